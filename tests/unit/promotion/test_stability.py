"""Stable reasons: the first category of red accounts, before and after the model is fitted again."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.promotion import stability
from lifecycle_ml.promotion.backtest import Origin
from lifecycle_ml.promotion.grounds import load_grounds
from lifecycle_ml.promotion.stability import NONE, explainable, first_categories, reason_stability, redraw
from lifecycle_ml.tables.schema import CATEGORIES
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root

USE, CHAMPION = "active_users_28d", "champions_left_180d"


@dataclass
class Weighted:
    """A model whose contributions are weights times values."""

    weights: dict[str, float]
    horizons: tuple[int, ...] = (30, 90, 180)
    starts: dict[int, float] = field(default_factory=lambda: dict.fromkeys((30, 90, 180), 0.0))

    @property
    def features(self):
        return tuple(self.weights)

    def contributions(self, matrix, _horizon):
        parts = np.column_stack([matrix[name] * weight for name, weight in self.weights.items()])
        return np.column_stack([parts, np.zeros((len(matrix), 2))])  # of the horizon, and the base

    def member_contributions(self, matrix, horizon):
        return self.contributions(matrix, horizon)[None]

    def explained(self, block, horizon):
        return self.member_contributions(block.frame, horizon), self.raw(block.frame)[:, 0]

    def raw(self, matrix):
        return np.repeat(self.contributions(matrix, 90).sum(axis=1)[:, None], 3, axis=1)


@pytest.fixture(scope="module")
def grounds():
    """The standard features and taxonomy, on tables that have what the two features read."""
    at = pd.Timestamp("2024-01-01")
    frames = {
        "accounts": pd.DataFrame({"account_id": ["A"], "created_at": [at]}),
        "contacts": pd.DataFrame(
            {
                "contact_id": ["P"],
                "account_id": ["A"],
                "role": ["champion"],
                "joined_on": [at],
                "left_on": [at],
            }
        ),
        "usage_events": pd.DataFrame(
            {"event_id": ["E"], "account_id": ["A"], "happened_at": [at], "user_id": ["U"]}
        ),
    }
    return load_grounds(Workspace(root=standard_root(), standard=standard_root()), tables_from_frames(frames))


INPUTS = {USE: -1, CHAMPION: 1}


@pytest.fixture
def origin():
    """A cut-off: 40 retained accounts to compare with, 60 accounts ahead of which few are in trouble."""
    days = pd.date_range("2025-01-06", periods=2, freq="28D").as_unit("us")
    seen = pd.DataFrame({"account_id": [f"S-{n}" for n in range(40)], "as_of": days[0]})
    seen = seen.assign(**{USE: 10.0, CHAMPION: 0.0})
    told = seen[["account_id", "as_of"]].assign(
        outcome_30d=0.0, outcome_90d=0.0, outcome_180d=0.0, cause=pd.Series(dtype="str")
    )
    ahead = pd.DataFrame({"account_id": [f"T-{n}" for n in range(60)] * 2, "as_of": days.repeat(60)})
    trouble = ahead["account_id"].isin(["T-0", "T-1", "T-2"])
    ahead[USE] = np.where(trouble, 0.0, 10.0)
    ahead[CHAMPION] = np.where(trouble, 1.0, 0.0)
    return Origin(Weighted({USE: -0.3, CHAMPION: 1.0}), seen, told, ahead)


def again(monkeypatch, model):
    calls = []

    def fit(matrix, labels, *_args, **settings):
        calls.append((matrix, labels, settings))
        return model

    monkeypatch.setattr(stability, "fit_model", fit)
    return calls


def judged(origin, recipe, grounds):
    learned = explainable(origin, INPUTS, recipe, grounds)
    return reason_stability(origin, learned, INPUTS, recipe, grounds, seed=0, num_threads=1, draws=50)


def test_the_first_reason_is_the_category_that_raises_most(origin, recipe, grounds):
    """Ten users fewer at 0.3 each outweigh one champion at 1; beside the reference nothing else moves."""
    first = first_categories(explainable(origin, INPUTS, recipe, grounds), origin.ahead, grounds)
    assert {CATEGORIES[place] for place in first[:3]} == {grounds.features[USE].category}
    assert (first[3:60] == NONE).all()
    other = replace(origin, model=Weighted({USE: -0.05, CHAMPION: 3.0}))
    other = first_categories(explainable(other, INPUTS, recipe, grounds), origin.ahead, grounds)
    assert {CATEGORIES[place] for place in other[:3]} == {"champion_left"}


@pytest.mark.parametrize(("weight", "unchanged"), [(-0.2, 1.0), (-0.05, 0.0)])
def test_only_red_accounts_count_and_a_changed_order_shows(
    origin, recipe, grounds, monkeypatch, weight, unchanged
):
    """Red are the three in trouble on both dates (5% of 60); the many that nothing troubles say nothing."""
    again(monkeypatch, Weighted({USE: weight, CHAMPION: 1.0}))
    found = judged(origin, recipe, grounds)
    assert found.accounts == 3
    assert (found.unchanged.value, found.unchanged.low, found.unchanged.high) == (unchanged,) * 3


def test_the_refit_learns_from_other_accounts(origin, recipe, grounds, monkeypatch):
    """One fit, half of the accounts drawn anew, matrix and labels alike, with another seed."""
    calls = again(monkeypatch, origin.model)
    judged(origin, recipe, grounds)
    ((matrix, labels, settings),) = calls
    assert len(matrix) == len(origin.seen) == matrix["account_id"].nunique()
    assert (matrix["account_id"] == labels["account_id"]).all()
    assert settings["seed"] == 1
    assert settings["trees"]


def test_accounts_are_drawn_with_all_their_rows():
    """An account drawn twice is two accounts; the same seed draws the same."""
    matrix = pd.DataFrame({"account_id": ["a", "b", "a", "c", "b", "a"], "value": range(6)})
    drawn = redraw(matrix, 3)
    size = {"a": 3, "b": 2, "c": 1}
    taken = matrix.iloc[drawn.rows].assign(draw=drawn.accounts)
    assert len(set(drawn.accounts)) == 3
    for _, part in taken.groupby("draw"):
        assert len(set(part["account_id"])) == 1
        assert len(part) == size[part["account_id"].iloc[0]]
    assert (redraw(matrix, 3).rows == drawn.rows).all()
    assert any(list(redraw(matrix, seed).rows) != list(drawn.rows) for seed in range(4, 8))


def test_the_other_half_stays():
    """Every account of the half that is not drawn is there, once at least."""
    matrix = pd.DataFrame({"account_id": [f"A-{n}" for n in range(100)]})
    taken = redraw(matrix, 0, 0.5).rows
    assert len(taken) == 100
    assert 75 <= len(set(taken)) < 95
    assert len(set(redraw(matrix, 0, 0.0).rows)) == 100
