"""Capacity chosen from the data: deep where a table decides its outcome, straight where signal is thin."""

from dataclasses import replace

import numpy as np
import pytest

from lifecycle_ml.models.capacity import LADDER, Capacity, Table, choose
from lifecycle_ml.models.classifier import RiskClassifier
from lifecycle_ml.outcomes.splits import PurgedTimeSplit


def table(X, y):
    return Table(X, y.astype(float), np.full(len(y), -1.0), None, np.arange(len(y)))


def folds(rows, parts=4):
    part = np.arange(rows) % parts
    return [(np.flatnonzero(part != p), np.flatnonzero(part == p)) for p in range(parts)]


def thin(rows=3000, seed=0):
    """Ten columns, a weak straight signal in the first."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 10))
    return X, rng.random(rows) < 1 / (1 + np.exp(1 - 0.7 * X[:, 0]))


def cells(rows=4000, seed=0):
    """An outcome that is a matter of the cell, 8 by 8, that two columns put a row in: nothing is straight."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 8, size=(rows, 2))
    odd = (rng.random((8, 8)) < 0.4)[tuple(np.floor(X).astype(int).T)]
    return X, np.where(rng.random(rows) < 0.02, ~odd, odd)


def test_thin_signal_keeps_the_straightest_shape():
    """Deeper trees would learn the noise."""
    X, y = thin()
    chosen = choose(table(X, y), folds(len(y)), monotone=[0] * 10)
    assert chosen.trees.n_leaves == LADDER[0].n_leaves
    assert len(chosen.tried) == 2
    assert chosen.linear_weight > 0.3


def test_a_table_that_decides_its_outcome_gets_deep_trees():
    """Where shallow trees are far behind, the ladder is climbed, and the line has no say."""
    X, y = cells()
    chosen = choose(table(X, y), folds(len(y)), monotone=[0, 0])
    assert chosen.trees.n_leaves > LADDER[0].n_leaves
    assert chosen.linear_weight == 0.0
    losses = [loss for _, _, loss in chosen.tried]
    assert losses[1] < losses[0] - 0.05


def test_rows_outside_the_folds_are_never_looked_at():
    """Scrambling them changes nothing about the choice."""
    X, y = thin()
    inside = folds(2000)
    scrambled = X.copy(), y.copy()
    scrambled[0][2000:] = 99.0
    scrambled[1][2000:] = ~y[2000:]
    first, second = (choose(table(*rows), inside, monotone=[0] * 10) for rows in ((X, y), scrambled))
    assert first == second


def test_same_choice_whatever_the_threads():
    """The number of threads is no part of the data."""
    X, y = thin()
    one, two = (choose(table(X, y), folds(len(y)), monotone=[0] * 10, num_threads=n) for n in (1, 2))
    assert one == two


def test_a_capacity_of_ones_own_is_kept():
    """What a recipe fixes is not chosen again; only the line's weight is."""
    X, y = thin()
    own = Capacity(n_trees=30, learning_rate=0.1, n_leaves=4)
    model = RiskClassifier(capacity=own, n_members=2, num_threads=1).fit(X, y)
    assert model.chosen_.trees == own
    assert replace(model.chosen_, tried=()).linear_weight > 0


def test_folds_may_come_from_a_purged_time_split():
    """A splitter's folds decide instead of folds over accounts."""
    X, y = thin(1200)
    as_of = np.repeat(np.arange("2024-01", "2025-01", dtype="datetime64[M]").astype("datetime64[D]"), 100)
    split = PurgedTimeSplit(2, horizon_days=30, as_of=as_of)
    model = RiskClassifier(n_members=2, num_threads=1).fit(
        X, y, groups=np.tile(np.arange(100), 12), folds=split.split(X)
    )
    assert model.chosen_.tried


def test_says_what_a_capacity_may_be():
    """A word but auto is refused."""
    X, y = thin(200)
    with pytest.raises(ValueError, match="give 'auto' or a Capacity"):
        RiskClassifier(capacity="deep").fit(X, y)


def test_nothing_is_printed(capfd):
    """LightGBM has nothing to say about trees that stop early, in whatever thread."""
    X, y = thin(120)
    RiskClassifier(n_members=2, num_threads=2).fit(X, y)
    said = capfd.readouterr()
    assert "LightGBM" not in said.out + said.err


def test_what_one_fit_chose_another_keeps():
    """Shape, number of trees, penalty and blend travel; nothing is chosen again."""
    X, y = thin()
    first = RiskClassifier(n_members=2, num_threads=1).fit(X[:1500], y[:1500])
    second = RiskClassifier(capacity=first.chosen_, n_members=2, num_threads=1).fit(X[1500:], y[1500:])
    assert second.chosen_ is first.chosen_
    assert second.bag_.tree_weight == first.chosen_.tree_weight
