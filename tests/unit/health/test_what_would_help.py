"""What would help: the smallest changes within reach, each verified by the model that serves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.conditions.calculate import parse_calculation
from lifecycle_ml.health.levers import Lever
from lifecycle_ml.health.what_would_help import what_would_help
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.changes import changes_of

WEIGHTS = {"users": -0.1, "users_per_seat": -1.0, "meetings": -0.5, "tickets": 0.4, "tenure": -0.001}


@dataclass(frozen=True)
class Straight:
    """A model whose margin is a weighted sum, counting a null as 0."""

    features: tuple[str, ...] = tuple(WEIGHTS)
    horizons: tuple[int, ...] = (30, 90)

    @property
    def starts(self) -> dict[int, float]:
        return {30: -1.0, 90: 0.0}

    def raw(self, matrix: pd.DataFrame) -> np.ndarray:
        margin = sum(weight * matrix[name].fillna(0).to_numpy(float) for name, weight in WEIGHTS.items())
        return np.column_stack([margin + 2.0] * 2)


CHANGES = {
    "users": (-8.0, 10.0),
    "users_per_seat": (-0.5, 0.5),
    "meetings": (-2.0, 2.0),
    "tickets": (-3.0, 3.0),
    "tenure": (56.0, 56.0),
}
BUNDLE = Bundle(
    name="churn",
    tier="full",
    horizons=(30, 90),
    headline=90,
    model=Straight(),  # type: ignore[arg-type]
    base_rates={30: 0.05, 90: 0.1},
    band_rates={},
    changes={name: ((0.0, *seen),) for name, seen in CHANGES.items()},
)
COLUMNS = (*WEIGHTS, "seats", "target")
USERS = Lever(
    "users",
    "users",
    +1,
    along={"users_per_seat": parse_calculation("target / seats", COLUMNS, "here")},
    shares=frozenset({"users_per_seat"}),
)
MEETINGS = Lever("meetings", "meetings", +1)
TICKETS = Lever("tickets", "tickets", -1)
LEVERS = (USERS, MEETINGS, TICKETS)


def account(name="A", **values):
    row = {"users": 20.0, "users_per_seat": 0.2, "meetings": 1.0, "tickets": 2.0, "tenure": 300.0}
    return {"account_id": name, **row, "seats": 100.0, **values}


def risks(frame):
    return BUNDLE.probabilities(frame)[:, 1]


def asked(*rows, limit, bundle=BUNDLE, levers=LEVERS):
    frame = pd.DataFrame(list(rows))
    found = what_would_help(bundle, frame, dict.fromkeys(frame["account_id"], limit), levers)
    return frame, found


def rescored(frame, offer, name="A"):
    row = frame[frame["account_id"] == name].assign(**offer.values)
    return float(risks(row)[0])


def test_one_lever_is_enough_and_moved_no_further_than_needed():
    """The smallest number of meetings that does it, not the largest within reach."""
    start = float(risks(pd.DataFrame([account()]))[0])
    _, found = asked(account(), limit=start - 0.001, levers=(MEETINGS,))

    (offer,) = found["A"].offers
    assert [(move.feature, move.now, move.target) for move in offer.moves] == [("meetings", 1.0, 2.0)]
    assert offer.values == {"meetings": 2.0}


def test_single_levers_come_before_pairs_and_the_smallest_first():
    """Where single levers do it no pair is offered, and the list is ordered by how much is moved."""
    _, found = asked(account(), limit=0.43)
    sizes = [
        sum(abs(m.target - m.now) / (CHANGES[m.feature][1] - CHANGES[m.feature][0]) for m in offer.moves)
        for offer in found["A"].offers
    ]

    assert len(sizes) == 3
    assert {len(offer.moves) for offer in found["A"].offers} == {1}
    assert sizes == sorted(sizes)


def test_two_levers_where_one_is_not_enough():
    """No single reach does it; the pair that is offered cannot be made smaller in either lever."""
    limit = 0.2
    frame, found = asked(account(), limit=limit)

    assert found["A"].offers
    for offer in found["A"].offers:
        assert len(offer.moves) == 2
        for move in offer.moves:
            step = 1 if move.target > move.now else -1
            less = {**offer.values, move.feature: move.target - step}
            if move.feature == "users":
                less["users_per_seat"] = less["users"] / 100
            assert float(risks(frame.assign(**less))[0]) >= limit


def test_three_levers_where_two_are_not_enough():
    """Three at most are joined."""
    _, found = asked(account(), limit=0.06)

    assert [len(offer.moves) for offer in found["A"].offers] == [3]


def test_nothing_within_reach_is_an_answer():
    """Looked for and not found is told apart from not looked for."""
    _, found = asked(account(), limit=0.01)

    assert found["A"].offers == ()
    assert not found["A"].under


def test_a_risk_under_the_limit_needs_no_change():
    """A colour may be held by a fact while the model's risk is low."""
    _, found = asked(account(), limit=0.99)

    assert found["A"].under
    assert found["A"].offers == ()


def many(count=300):
    rng = np.random.default_rng(5)
    return [
        account(
            f"A-{at}",
            users=float(users),
            users_per_seat=users / 100,
            meetings=float(rng.integers(0, 4)) if rng.random() > 0.1 else np.nan,
            tickets=float(rng.integers(0, 6)),
            tenure=float(rng.integers(10, 900)),
        )
        for at, users in enumerate(rng.integers(0, 100, count))
    ]


def test_every_offer_holds_when_scored_and_stays_within_what_was_observed():
    """The probability is the changed row's score; nothing else and nothing further moved."""
    frame, found = asked(*many(), limit=0.2)
    offers = [(name, offer) for name, what in found.items() for offer in what.offers]
    rows = frame.set_index("account_id")

    assert {len(offer.moves) for _, offer in offers} == {1, 2, 3}
    for name, offer in offers:
        assert rescored(frame, offer, name) == offer.probability
        assert offer.probability < 0.2
        assert set(offer.values) <= {"users", "users_per_seat", "meetings", "tickets"}
        for move in offer.moves:
            low, high = CHANGES[move.feature]
            assert move.now == rows.loc[name, move.feature]
            assert offer.values[move.feature] == move.target >= 0
            assert low <= move.target - move.now <= high
        if "users" in offer.values:
            assert offer.values["users_per_seat"] == offer.values["users"] / 100
            assert offer.values["users_per_seat"] <= 1


def test_an_account_gets_the_same_answer_alone_as_in_a_batch():
    """Batch, refresh and API agree."""
    rows = many(60)
    _, together = asked(*rows, limit=0.2)

    for row in rows:
        _, alone = asked(row, limit=0.2)
        assert alone[row["account_id"]] == together[row["account_id"]]


def test_what_moves_along_may_hold_a_lever_back():
    """Ten users more are usual, but with ten seats and seven users there is room for three."""
    small = account(users=7.0, users_per_seat=0.7, seats=10.0)
    with_three, with_four = risks(
        pd.DataFrame([small, small]).assign(users=[10.0, 11.0], users_per_seat=[1.0, 1.1])
    )
    _, reached = asked(small, limit=with_three + 1e-9, levers=(USERS,))
    _, beyond = asked(small, limit=with_four + 1e-9, levers=(USERS,))

    assert [offer.values for offer in reached["A"].offers] == [{"users": 10.0, "users_per_seat": 1.0}]
    assert beyond["A"].offers == ()


def test_a_lever_whose_calculation_loses_a_value_is_not_used():
    """Without seats nobody knows the share of them; a row without one could not exist."""
    _, found = asked(account(seats=0.0), limit=0.45, levers=(USERS,))

    assert found["A"].offers == ()


def test_a_value_may_end_where_null_means_none():
    """The last ticket closed: there is no oldest one any more. Elsewhere a value lost rules the lever out."""
    losing = replace(TICKETS, along={"tenure": parse_calculation("tenure + 0 / target", COLUMNS, "here")})
    row = account(tickets=1.0)
    limit = float(risks(pd.DataFrame([row]))[0]) - 0.001

    _, refused = asked(row, limit=limit, levers=(losing,))
    _, allowed = asked(row, limit=limit, levers=(replace(losing, ends=frozenset({"tenure"})),))

    assert refused["A"].offers == ()
    assert allowed["A"].offers[0].values["tickets"] == 0
    assert np.isnan(allowed["A"].offers[0].values["tenure"])


def test_levers_that_touch_the_same_feature_are_never_joined():
    """Each sets the feature by its own rule; together they would contradict one another."""
    other = Lever(
        "seats",
        "meetings",
        +1,
        along={"users_per_seat": parse_calculation("users_per_seat + 0.1", COLUMNS, "here")},
    )
    _, found = asked(account(), limit=0.3, levers=(USERS, other))

    assert all(len(offer.moves) == 1 for offer in found["A"].offers)


def test_the_same_change_in_other_words_is_offered_once():
    """Two levers that come to the same row are one answer."""
    twin = replace(MEETINGS, name="reviews")
    _, found = asked(account(), limit=0.43, levers=(MEETINGS, twin))

    assert [offer.moves[0].lever for offer in found["A"].offers] == ["meetings"]


def test_a_lever_needs_what_it_rests_on():
    """Where nobody is active nobody can use more."""
    more_use = replace(MEETINGS, needs=frozenset({"users"}))
    limit = float(risks(pd.DataFrame([account(users=0.0)]))[0]) - 0.001
    _, nobody = asked(account(users=0.0), limit=limit, levers=(more_use,))
    _, somebody = asked(account(users=1.0), limit=limit - 0.1, levers=(more_use,))

    assert nobody["A"].offers == ()
    assert somebody["A"].offers


def test_a_target_bounds_how_little_is_enough():
    """`most`: a review counts when it was held within so many days."""
    review = Lever("tickets", "tickets", -1, most=1.0)
    row = account(tickets=3.0)
    _, found = asked(row, limit=float(risks(pd.DataFrame([row]))[0]) - 0.001, levers=(review,))

    assert [offer.values for offer in found["A"].offers] == [{"tickets": 1.0}]


def test_a_feature_never_seen_to_move_is_not_offered():
    """Nobody knows how far a team gets with it."""
    seen = {name: bands for name, bands in BUNDLE.changes.items() if name != "meetings"}
    still = replace(BUNDLE, changes=seen)
    _, found = asked(account(), limit=0.43, bundle=still)

    assert "meetings" not in {move.feature for offer in found["A"].offers for move in offer.moves}


@pytest.mark.parametrize("tier", ["advisory", "insufficient"])
def test_without_a_probability_nothing_is_looked_for(tier):
    """Bands cannot be brought under a limit."""
    _, found = asked(account(), limit=0.2, bundle=replace(BUNDLE, tier=tier))

    assert found == {}


def test_observed_changes_are_taken_some_weeks_apart_where_something_changed():
    """Eight weeks apart: ups and downs, without those who stayed where they were; 13 weeks at most."""
    days = pd.date_range("2025-01-01", periods=4, freq="28D")
    matrix = pd.DataFrame(
        {
            "account_id": np.repeat([f"A-{at}" for at in range(40)], 4),
            "as_of": np.tile(days, 40),
            "users": np.concatenate([[0.0, 5.0, at % 4, 5.0] for at in range(40)]),
            "rare": np.concatenate([[0.0, 0.0, float(at < 10), 0.0] for at in range(40)]),
            "plan": pd.Series(["basic"] * 160, dtype="str"),
        }
    )

    assert changes_of(matrix, ("users", "rare", "plan")) == {"users": ((0.0, 1.0, 3.0),)}
    gone = matrix[matrix["as_of"].isin([days[0], days[3]])]
    assert changes_of(gone.assign(users=np.tile([0.0, 2.0], 40)), ("users",)) == {"users": ((0.0, 2.0, 2.0),)}
