"""Each verb of the vocabulary over a table small enough to compute by hand."""

from __future__ import annotations

import pytest

from lifecycle_ml.matrix.measures import (
    IN_FORCE,
    change,
    count,
    days_since,
    days_until,
    distinct,
    first_of,
    greatest,
    largest,
    latest,
    mean,
    only_if,
    own_past,
    present,
    share,
    smallest,
    total,
)

AS_OF = "2024-03-01"

TICKETS = """
ticket_id | account_id | opened_at        | closed_at        | severity | kind        | csat
t1        | A          | 2024-02-29 23:59 |                  | 1        | bug         |
t2        | A          | 2024-02-02 00:00 | 2024-02-20 10:00 | 2        | outage      | 4
t3        | A          | 2024-02-01 23:59 | 2024-02-21 10:00 | 4        | bug         | 1
t4        | A          | 2024-03-01 00:00 |                  | 1        | bug         |
"""

EVENTS = """
event_id | account_id | happened_at         | user_id | team | feature | kind   | quantity | users
e1       | A          | 2024-02-29 23:59:59 | u1      | red  | f       | use    | 2        |
e2       | A          | 2024-02-10 08:00    | u2      | red  | g       | key    | 3.5      |
e3       | A          | 2024-02-10 09:00    | u1      |      | f       | use    |          |
e4       | A          | 2024-02-02 00:00    | u3      | blue | f       | admin  | 1        |
e5       | A          | 2024-02-01 23:59:59 | u4      | blue | f       | use    | 7        |
e6       | A          | 2024-03-01 00:00    | u5      | blue | f       | use    | 9        |
e7       | B          | 2024-02-15 00:00    |         |      |         | use    | 40       | 12
e8       | B          | 2024-02-16 00:00    |         |      |         | use    | 50       | 11
"""

CONTRACTS = """
contract_id | account_id | starts_on | ends_on | arr | seats | is_recurring | cancelled_on | plan | auto_renew
c1          | A          | 2023-03-01 | 2024-03-01 | 500  | 5     | yes          |              | old  | no
c2          | A          | 2024-03-01 | 2025-03-01 | 900  | 9     | yes          |              | pro  | no
c3          | A          | 2024-01-01 | 2024-06-01 | 100  | 1     |              |              | more | yes
c4          | A          | 2024-01-01 | 2024-06-01 | 7000 | 70    | no           |              | once | no
c5          | B          | 2023-01-01 |            | 300  |       | yes          | 2024-03-01   | solo |
"""


@pytest.fixture(scope="module")
def tables(small):
    return small.company(tickets=TICKETS, usage_events=EVENTS, contracts=CONTRACTS)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (count("tickets"), [3, 0]),
        (count("tickets", days=28), [2, 0]),
        (count("tickets", days=29), [3, 0]),
        (count("tickets", days=1, ago=28), [1, 0]),
        (count("tickets", where="severity <= 2 AND closed_at IS NULL"), [1, 0]),
        (count("tickets", on="closed_at", days=9), [1, 0]),
        (count("tickets", on="closed_at", days=10), [2, 0]),
        (total("tickets", "severity", days=28), [3, 0]),
        (mean("tickets", "csat", on="closed_at", days=28), [2.5, None]),
        (distinct("tickets", "kind"), [2, 0]),
        (largest("tickets", "severity"), [4, None]),
        (smallest("tickets", "severity"), [1, None]),
        (largest("tickets", "days_between(opened_at, as_of)"), [29, None]),
        (latest("tickets", "csat", on="closed_at"), [1, None]),
        (latest("tickets", "csat"), [4, None]),
        (share("tickets", where="kind = 'bug'"), [2 / 3, None]),
        (share("tickets", where="kind = 'outage'", of="severity < 3"), [0.5, None]),
        (present("tickets", where="kind = 'outage'"), [1, 0]),
        (present("tickets", where="kind = 'question'"), [0, 0]),
        (days_since("tickets"), [1, None]),
        (days_since("tickets", where="kind = 'outage'"), [28, None]),
        (days_since("accounts"), [425, 425]),
        (first_of(mean("tickets", "csat"), 0), [2.5, 0]),
        (only_if(count("tickets"), present("tickets", where="kind = 'outage'")), [3, None]),
        (count("tickets") / count("tickets", where="kind = 'question'"), [None, None]),
        (count("tickets") - 1, [2, -1]),
        (count("tickets") * 2 + 1, [7, 1]),
    ],
    ids=str,
)
def test_verbs_over_rows(small, tables, measure, expected):
    """A ticket opened at as_of 00:00 is not seen; one opened at the window's first instant is."""
    assert small.values(tables, measure, AS_OF) == expected


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (count("usage_events", days=28), [4, 2]),
        (count("usage_events", days=29), [5, 2]),
        (count("usage_events", days=1, ago=28), [1, 0]),
        (count("usage_events", where="kind = 'admin'", days=28), [1, 0]),
        (total("usage_events", "coalesce(quantity, 1)", days=28), [7.5, 90]),
        (total("usage_events", "users", where="event_id = 'e3'", days=28), [None, 0]),
        (distinct("usage_events", "user_id", days=28), [3, 0]),
        (distinct("usage_events", "user_id", where="kind <> 'admin'", days=28), [2, 0]),
        (distinct("usage_events", "happened_at", days=28), [3, 2]),
        (distinct("usage_events", "team", days=28), [2, 0]),
        (largest("usage_events", "users", days=28), [None, 12]),
        (smallest("usage_events", "users", days=28), [None, 11]),
        (mean("usage_events", "users", days=28), [None, 11.5]),
        (latest("usage_events", "quantity", days=28), [2, 50]),
        (latest("usage_events", "feature", days=28), ["f", None]),
        (days_since("usage_events", days=364), [1, 14]),
        (days_since("usage_events", where="kind = 'key'", days=28), [20, None]),
        (present("usage_events", where="kind = 'key'", days=28), [1, 0]),
        (
            greatest(distinct("usage_events", "user_id", days=28), largest("usage_events", "users", days=28)),
            [3, 12],
        ),
    ],
    ids=str,
)
def test_verbs_over_usage_events(small, tables, measure, expected):
    """The same boundaries hold for tiles: the window's first instant is in, as_of itself is not."""
    assert small.values(tables, measure, AS_OF) == expected


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (total("contracts", "arr", where=IN_FORCE), [1000, 0]),
        (total("contracts", "arr", where=IN_FORCE, ago=1), [600, 300]),
        (total("contracts", "seats", where=IN_FORCE), [10, 0]),
        (total("contracts", "seats", where=IN_FORCE, ago=1), [6, None]),
        (days_until("contracts", "ends_on", where=IN_FORCE), [365, None]),
        (largest("contracts", "auto_renew", where=IN_FORCE), [1, None]),
        (smallest("contracts", "auto_renew", where=IN_FORCE), [0, None]),
        (latest("contracts", "plan", where=IN_FORCE, on="starts_on"), ["pro", None]),
        (
            total("contracts", "arr", where=IN_FORCE) / total("contracts", "arr", where=IN_FORCE).before(1),
            [1000 / 600, 0],
        ),
    ],
    ids=str,
)
def test_contracts_in_force(small, tables, measure, expected):
    """In force from the day it starts until the day before it ends or is cancelled; one-off sales never."""
    assert small.values(tables, measure, AS_OF) == expected


def test_own_past_averages_the_windows_the_account_lived_through(small):
    """Windows that began before the account existed say nothing about what is usual."""
    tables = small.company(
        accounts="account_id|created_at\nA|2023-12-01\nB|2024-02-05\nC|2020-01-01",
        usage_events="""
        account_id | happened_at
        C          | 2021-01-01
        A          | 2024-02-20
        A          | 2024-01-20
        A          | 2024-01-21
        A          | 2024-01-22
        A          | 2023-12-20
        B          | 2024-02-20
        """,
    )
    events = count("usage_events", days=28)
    # A: windows before hold 3, 1 and, begun on 2023-11-10 before A existed, nothing that counts.
    assert small.values(tables, own_past(events), AS_OF) == [2, None]
    assert small.values(tables, change(events), AS_OF) == [0.5, None]
    assert small.values(tables, change(events, windows=1), AS_OF) == [1 / 3, None]


def test_own_past_leaves_out_windows_before_the_feed_began(small):
    """What nobody recorded is not zero: a young feed must not make old accounts look busier than ever."""
    tables = small.company(
        usage_events="account_id|happened_at|known_at\n"
        "A|2024-02-20|\nA|2024-01-20|\nB|2024-01-04 12:00|2024-01-05\nB|2023-06-01|2024-03-02"
    )
    before = own_past(count("usage_events", days=28))
    # The feed began on 2024-01-04, so only [2024-01-05, 2024-02-02) counts, until an older row arrives.
    assert small.values(tables, before, AS_OF) == [1, 0]
    assert small.values(tables, before, AS_OF, "2024-03-02") == [1 / 3, 1 / 3]


def test_rates_are_unknown_where_seats_are(small):
    """Nothing is divided by an unknown or missing number of seats."""
    tables = small.company(
        usage_events="account_id|happened_at\nA|2024-02-20\nB|2024-02-20",
        contracts="contract_id|account_id|starts_on|arr|seats\nc|A|2024-01-01|10|\nd|A|2025-01-01|10|5",
    )
    seats = total("contracts", "seats", where=IN_FORCE)
    assert small.values(tables, count("usage_events", days=28) / seats, AS_OF) == [None, None]
