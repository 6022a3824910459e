"""How much late rows change: worked out on companies small enough to see it."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.matrix.lateness import measure_lateness, newest_known
from lifecycle_ml.matrix.measures import count, largest, latest

AS_OF = date(2024, 7, 1)

CONTRACTS = """
account_id | contract_id | starts_on  | ends_on    | arr  | plan | known_at
A          | a           | 2024-01-01 |            | 1000 | pro  |
B          | b           | 2024-01-01 |            | 1000 | pro  |
# known late: a customer we did not know, one that had ended, a plan that had changed, a plan made since
C          | c           | 2024-06-01 |            | 1000 | pro  | 2024-07-03T08:00:00
D          | d           | 2024-01-01 |            | 1000 | pro  | 2024-01-01
D          | d           | 2024-01-01 | 2024-06-01 | 1000 | pro  | 2024-07-03
B          | b2          | 2024-06-01 |            | 10   | max  | 2024-07-02
A          | a2          | 2024-08-01 |            | 10   | max  | 2024-07-02
"""
TICKETS = """
ticket_id | account_id | opened_at  | severity | known_at
t1        | A          | 2024-06-10 | 3        |
t2        | A          | 2024-06-29 | 1        | 2024-07-02
t3        | A          | 2024-06-30 | 2        | 2024-07-04T06:30:00
t4        | B          | 2024-06-29 | 2        | 2024-07-02
t5        | B          | 2024-07-01 | 2        | 2024-07-02
"""


@pytest.fixture(scope="module")
def tables(small):
    """Four accounts, some of whose rows were late."""
    accounts = "account_id | created_at\n" + "\n".join(f"{name} | 2023-01-01" for name in "ABCD")
    return small.company(accounts=accounts, contracts=CONTRACTS, tickets=TICKETS)


def features_of(small, **measures):
    """Name the measures."""
    return FeatureSet(tuple(named(small, name, measure) for name, measure in measures.items()))


def named(small, name, measure):
    """Wrap one measure under a name."""
    from dataclasses import replace

    return replace(small.feature_of(measure), name=name)


@pytest.fixture(scope="module")
def found(small, tables):
    """The day looked at twice."""
    features = features_of(
        small,
        tickets=count("tickets", days=28),
        worst=largest("tickets", "4 - severity"),
        plan=latest("contracts", "plan", where="starts_on <= as_of", on="starts_on"),
        least=count("tickets", where="severity = 4"),
    )
    return measure_lateness(tables, features, AS_OF)


def test_the_second_look_is_when_the_newest_row_was_known(tables, found):
    """At the midnight after; a day on which nothing is newer is its own."""
    assert found.known_at == datetime(2024, 7, 5)
    assert newest_known(tables, date(2025, 1, 1)) == datetime(2025, 1, 1)


def test_accounts_enter_and_leave(found):
    """C's contract came late, D's had ended without our knowing."""
    assert (found.accounts_then, found.accounts_now) == (3, 3)
    assert found.entered == ("C",)
    assert found.left == ("D",)


def test_late_rows_are_counted_by_table_and_plans_made_since_are_not_late(found):
    """t5 happened on the day itself, so neither look sees it."""
    late = {item.table: item for item in found.late_rows}

    assert set(late) == {"tickets", "contracts"}
    assert (late["tickets"].rows, late["tickets"].accounts, late["tickets"].plans_since) == (3, 2, 0)
    assert late["tickets"].median_delay_days == 3
    assert (late["contracts"].rows, late["contracts"].plans_since) == (3, 1)


def test_features_say_for_how_many_accounts_they_changed_and_by_how_much(found):
    """Compared are A and B, customers both times."""
    by_name = {item.feature: item for item in found.features}
    tickets, worst, plan, least = (by_name[name] for name in ("tickets", "worst", "plan", "least"))

    # A had one ticket and has three, B none and one
    assert (tickets.accounts_changed, tickets.share_changed) == (2, 1)
    assert (tickets.median_change, tickets.median_relative_change) == (1.5, 2)
    assert [(v.account_id, v.then, v.now) for v in tickets.largest] == [("A", 1, 3), ("B", 0, 1)]
    assert (worst.became_known, worst.became_null) == (1, 0)
    assert [(v.account_id, v.then, v.now) for v in worst.largest] == [("A", 1, 3), ("B", None, 2)]
    assert worst.median_change == 2
    assert [(v.account_id, v.then, v.now) for v in plan.largest] == [("B", "pro", "max")]
    assert plan.median_change is None
    assert least.accounts_changed == 0
    assert [item.feature for item in found.changed] == ["tickets", "worst", "plan"]


def test_a_nearer_look_sees_less(small, tables):
    """Until 2 July t2 and t4 had come, not t3."""
    features = features_of(small, tickets=count("tickets", days=28))
    found = measure_lateness(tables, features, AS_OF, datetime(2024, 7, 2))

    assert (found.entered, found.left) == ((), ())
    assert [(v.account_id, v.now) for v in found.features[0].largest] == [("A", 2), ("B", 1)]
    assert found.to_json()["known_at"] == "2024-07-02T00:00:00"


def test_without_contracts_all_accounts_are_compared(small):
    """Nobody is a customer where there are no contracts."""
    tables = small.company(tickets="account_id|ticket_id|opened_at|known_at\nA|t|2024-06-30|2024-07-02")
    found = measure_lateness(tables, features_of(small, tickets=count("tickets")), AS_OF)

    assert (found.accounts_then, found.accounts_now) == (2, 2)
    assert found.features[0].accounts_changed == 1
