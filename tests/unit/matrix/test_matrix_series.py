"""Measures over several windows, over the calendar, and among peers, each worked out by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from lifecycle_ml.errors import DefinitionError
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.matrix.measures import (
    among_peers,
    calendar,
    count,
    days_since_first,
    deviation,
    first,
    largest,
    present,
    slope,
    spread,
    streak,
    total,
)

# Weeks before 2024-07-01 begin on 06-24, 06-17, 06-10, 06-03. A: 4, 3, 2, 0 events; B: 1, 0, 0, 2.
EVENTS = """
account_id | happened_at | user_id | quantity | feature
A          | 2024-06-25  | u1      | 1        | x
A          | 2024-06-26  | u1      | 3        | x
A          | 2024-06-18  | u2      | 3        | y
A          | 2024-06-11  | u1      | 2        | z
A          | 2024-01-01  | u9      | 1        | first
B          | 2024-06-30  | u5      | 1        | x
B          | 2024-06-05  | u5      | 2        | x
"""


@pytest.fixture(scope="module")
def used(small):
    """Two accounts and their events."""
    return small.company(usage_events=EVENTS)


weekly = total("usage_events", "quantity", days=7)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        # Newest first 4, 3, 2, 0: weights 1.5, .5, -.5, -1.5 over 5.
        (slope(weekly, 4), [(6 + 1.5 - 1 - 0) / 5, (1.5 + 0 - 0 - 3) / 5]),
        (streak(weekly, 4), [3, 1]),
        (streak(present("usage_events", days=7), 2), [2, 1]),
        (streak(1 - present("usage_events", days=7), 4), [0, 0]),
        (spread(weekly, 2), [0.5, 0.5]),
        (first("usage_events", "quantity", days=28), [2, 2]),
        # A: 1, 3, 3, 2 around 2.25; B: 2, 1 around 1.5.
        (deviation("usage_events", "quantity", days=28), [0.6875**0.5, 0.5]),
        (days_since_first("usage_events", days=28), [20, 26]),
        (calendar("month"), [7, 7]),
        (calendar("quarter"), [3, 3]),
        (calendar("weekday"), [1, 1]),
        (calendar("day_of_year"), [183, 183]),
        (10 - weekly, [6, 9]),
        (8 / weekly, [2, 8]),
    ],
)
def test_the_value_is_the_one_worked_out_by_hand(small, used, measure, expected):
    """Both accounts on one day."""
    assert small.values(used, measure, "2024-07-01") == pytest.approx(expected)


def test_windows_before_the_account_or_its_feed_count_for_nothing(small):
    """A slope needs all its windows; a streak ends where nobody looked."""
    young = "account_id | created_at\nA | 2024-06-12\nB | 2023-01-01"
    tables = small.company(accounts=young, usage_events=EVENTS)
    assert small.values(tables, slope(weekly, 3), "2024-07-01")[0] is None
    assert small.values(tables, slope(weekly, 2), "2024-07-01")[0] == 1.0
    assert small.values(tables, streak(weekly, 4), "2024-07-01") == [2, 1]
    # The feed begins on 2024-01-01; the week before it was never looked at.
    quiet = 1 - present("usage_events", days=7)
    assert small.values(tables, streak(quiet, 12), "2024-01-15", accounts=("B",)) == [2]
    assert small.values(tables, streak(quiet, 12), "2024-01-05", accounts=("B",)) == [None]


def book(n, segment):
    """A company of n customers of one segment, account k with ARR k and k events."""
    names = [f"{segment}{k:02}" for k in range(n)]
    accounts = "\n".join(f"{a} | 2023-01-01 | {segment}" for a in names)
    contracts = "\n".join(f"c{a} | {a} | 2023-01-01 | {k + 1}" for k, a in enumerate(names))
    events = "\n".join(f"{a} | 2024-06-20 | {k + 1}" for k, a in enumerate(names))
    return names, accounts, contracts, events


@pytest.fixture(scope="module")
def peers(small):
    """33 customers of one segment and 11 of another."""
    big, accounts, contracts, events = book(33, "big")
    few, *others = book(11, "few")
    tables = small.company(
        accounts=f"account_id | created_at | segment\n{accounts}\n{others[0]}",
        contracts=f"contract_id | account_id | starts_on | arr\n{contracts}\n{others[1]}",
        usage_events=f"account_id | happened_at | quantity\n{events}\n{others[2]}",
    )
    return tables, big, few


def test_position_among_peers_is_that_in_the_same_third_of_the_segment(small, peers):
    """Of 33 accounts the middle third are numbers 12 to 22; the first of them is below all ten others."""
    tables, big, few = peers
    compared = among_peers(total("usage_events", "quantity", days=28))
    got = small.values(tables, compared, "2024-07-01", accounts=big)
    assert got[10:23] == pytest.approx([1, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 0])
    # A third of eleven is too few to say anything.
    assert small.values(tables, compared, "2024-07-01", accounts=few) == [None] * 11


def test_one_account_asked_for_alone_has_the_position_it_has_among_all(small, peers):
    """Its peers are the customers of the day, whoever is on the spine."""
    tables, big, _ = peers
    compared = among_peers(total("usage_events", "quantity", days=28))
    assert small.values(tables, compared, "2024-07-01", accounts=[big[12]]) == pytest.approx([0.1])


def test_equals_count_half_and_accounts_without_a_value_are_nobodys_peers(small, peers):
    """All have the same number of rows, so all stand in the middle; who has none has no position."""
    tables, big, _ = peers
    alike = among_peers(count("usage_events", days=28))
    assert small.values(tables, alike, "2024-07-01", accounts=big) == [0.5] * 33
    empty = among_peers(largest("usage_events", "quantity", where="quantity > 100", days=28))
    assert small.values(tables, empty, "2024-07-01", accounts=big) == [None] * 33


def test_a_position_among_peers_is_a_whole_feature(small):
    """It cannot be calculated with: that would need everybody's answer first."""
    with pytest.raises(DefinitionError, match="a position among peers is a whole feature"):
        small.feature_of(among_peers(weekly) * 2)


def test_peers_of_several_dates_and_looks_do_not_mix(small, peers):
    """Every date, and every moment of looking, has its own peers."""
    tables, big, _ = peers
    features = FeatureSet((small.feature_of(among_peers(weekly)),))
    later = small.spine_of("2024-06-27", big[:3], "2024-07-02")
    both = pd.concat([small.spine_of("2024-06-24", big[3:6]), later])
    matrix = build_matrix(tables, features, both)
    alone = [
        build_matrix(tables, features, small.spine_of(d, a, k))
        for d, a, k in (("2024-06-27", big[:3], "2024-07-02"), ("2024-06-24", big[3:6], None))
    ]
    pd.testing.assert_frame_equal(matrix, pd.concat(alone, ignore_index=True))
