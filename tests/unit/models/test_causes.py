"""Weights of evidence: how unusual facts are beside accounts that stayed, and what leavers teach of them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.models.causes import RAREST, USUAL_WEIGHT, Causes, Tail, Tails

CATEGORIES = ("support", "adoption", "budget")
CATEGORY_OF = {
    "tickets": "support",
    "angry": "support",
    "users": "adoption",
    "logins": "adoption",
    "late": "budget",
    "mood": "weather",
}
DIRECTIONS = {"tickets": 1, "angry": 1, "users": -1, "logins": -1, "late": 1, "mood": 1}


def company(leavers=240, stayed=2_000, seed=0):
    """Leavers whose cause moves one telling feature; the other features of its category are noise."""
    random = np.random.default_rng(seed)
    rows = stayed + leavers
    cause = pd.Series([None] * stayed + [CATEGORIES[n % 3] for n in range(leavers)], dtype="str")
    normal = random.normal(size=(rows, 6))
    matrix = pd.DataFrame(normal, columns=list(CATEGORY_OF))
    matrix.insert(0, "account_id", [f"A-{n}" for n in range(rows)])
    matrix["tickets"] += 2.0 * (cause == "support").to_numpy()
    matrix["users"] -= 2.0 * (cause == "adoption").to_numpy()
    matrix["late"] += 2.0 * (cause == "budget").to_numpy()
    return matrix, cause


def fitted(matrix, cause):
    return Causes.fit(matrix, cause.isna().to_numpy(), cause, CATEGORIES, CATEGORY_OF, DIRECTIONS)


def named(causes, matrix):
    return causes.weigh(matrix).members.mean(axis=0).argmax(axis=1)


def test_surprise_is_the_log_of_how_few_stand_as_badly():
    """Half of those at the value count; up to the median nothing is surprising, beyond all it is capped."""
    tail = Tail.fit(np.repeat([0.0, 1.0, 2.0], [80, 15, 5]))
    assert tail is not None
    surprise = Tails.of([tail]).surprise(np.array([[0.0, 1.0, 2.0, 7.0, -3.0, np.nan]]))
    expected = [0.0, np.log(0.5 / 0.125), np.log(0.5 / 0.025), np.log(0.5 / RAREST), 0.0, 0.0]
    assert surprise[0] == pytest.approx(expected)


def test_each_feature_is_held_against_its_own_tail():
    """Beside tails of other lengths, one of a single value: between two points shares lie on a line."""
    short, long = Tail(np.array([3.0]), np.array([0.5])), Tail(np.array([0.0, 4.0]), np.array([0.5, 0.1]))
    surprise = Tails.of([short, long, short]).surprise(np.array([[3.0, 3.5], [1.0, 4.0], [2.0, 9.0]]))
    rare = np.log(0.5 / RAREST)
    expected = [[0.0, rare], [np.log(0.5 / 0.4), np.log(0.5 / 0.1)], [0.0, rare]]
    assert surprise == pytest.approx(np.array(expected))


def test_a_tail_of_many_values_is_kept_short_and_true():
    """Sixty-four points say how rare a value is within a tenth of its log, also far out."""
    known = np.sort(np.random.default_rng(1).normal(size=5_000))
    tail = Tail.fit(known)
    assert tail is not None
    assert len(tail.values) <= 64
    for share in (0.4, 0.2, 0.05, 0.01):
        value = np.quantile(known, 1 - share)
        found = Tails.of([tail]).surprise(np.array([[value]]))
        assert found[0, 0] == pytest.approx(np.log(0.5 / share), abs=0.1)


def test_a_feature_hardly_known_is_left_out():
    """Nothing is unusual beside sixty accounts."""
    assert Tail.fit(np.r_[np.arange(60.0), np.full(1_000, np.nan)]) is None


def test_what_has_no_category_or_no_direction_is_left_out():
    """The weather is no cause; a channel has no better and worse."""
    matrix, cause = company()
    found = Causes.fit(
        matrix, cause.isna().to_numpy(), cause, CATEGORIES, CATEGORY_OF, DIRECTIONS | {"logins": 0}
    )
    assert set(found.features) == {"tickets", "angry", "users", "late"}


def test_without_recorded_causes_every_feature_weighs_the_usual():
    """What stands out names the cause of most, though nobody said why anybody left."""
    matrix, cause = company()
    silent = cause.where(cause.isna(), "said nothing")
    found = fitted(matrix, silent)
    assert found.leavers == 0
    assert (found.weights == USUAL_WEIGHT).all()
    assert (found.offsets == 0).all()
    left = cause.notna().to_numpy()
    right = np.array(CATEGORIES)[named(found, matrix[left])] == cause[left].to_numpy()
    assert right.mean() > 0.6


def test_leavers_teach_which_features_tell():
    """The telling features get more weight than noise beside them, and causes held back are named better."""
    matrix, cause = company()
    found = fitted(matrix, cause)
    assert found.leavers == 240
    weight = dict(zip(found.features, found.weights.mean(axis=0), strict=True))
    assert weight["tickets"] > weight["angry"]
    assert weight["users"] > weight["logins"]
    other, truth = company(seed=5)
    left = truth.notna().to_numpy()
    share = {
        name: (np.array(CATEGORIES)[named(causes, other[left])] == truth[left].to_numpy()).mean()
        for name, causes in {
            "learned": found,
            "usual": fitted(matrix, cause.where(cause.isna(), "other")),
        }.items()
    }
    assert share["learned"] > share["usual"]


def test_recorded_causes_that_mean_nothing_change_nothing():
    """Reasons typed at random predict nothing of accounts held back."""
    matrix, cause = company()
    left = np.flatnonzero(cause.notna())
    mixed = cause.copy()
    mixed.iloc[left] = cause.iloc[np.random.default_rng(2).permutation(left)].to_numpy()
    assert fitted(matrix, mixed).leavers == 0


def test_few_leavers_teach_nothing():
    """Forty-nine are too few."""
    matrix, cause = company(leavers=48)
    assert fitted(matrix, cause).leavers == 0


def test_an_account_counts_once_however_many_snapshots_it_has():
    """Repeating the rows of leavers moves no weight."""
    matrix, cause = company()
    left = cause.notna()
    twice = pd.concat([matrix, matrix[left]], ignore_index=True)
    again = fitted(twice, pd.concat([cause, cause[left]], ignore_index=True))
    once = fitted(matrix, cause)
    assert again.leavers == once.leavers
    np.testing.assert_allclose(again.weights, once.weights, atol=0.01)


def test_a_row_weighs_the_same_alone_as_in_a_batch():
    """To the last bit; nulls and absent columns weigh nothing."""
    matrix, cause = company()
    found = fitted(matrix, cause)
    matrix.loc[3, "tickets"] = np.nan
    whole = found.weigh(matrix)
    single = [found.weigh(matrix.iloc[[row]]) for row in range(20)]
    np.testing.assert_array_equal(
        np.concatenate([part.members for part in single], axis=1), whole.members[:, :20]
    )
    assert whole.values[3, found.features.index("tickets")] == 0
    without = found.weigh(matrix.drop(columns="late"))
    assert (without.values[:, found.features.index("late")] == 0).all()


def test_what_is_saved_is_what_weighs():
    """Through JSON and back."""
    matrix, cause = company()
    found = fitted(matrix, cause)
    text = json.dumps(found.to_json(), default=lambda array: array.tolist())
    np.testing.assert_array_equal(
        Causes.from_json(json.loads(text)).weigh(matrix).members, found.weigh(matrix).members
    )
