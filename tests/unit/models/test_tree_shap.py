"""Tabulated trees: LightGBM's own margins and contributions, whatever the rows look like."""

import lightgbm as lgb
import numpy as np
import pytest

from lifecycle_ml.models import tree_shap
from lifecycle_ml.models.bag import Bag, to_text
from lifecycle_ml.models.tree_shap import TreeTables

COLUMNS = 12


def _rows(count, seed, gaps=0.15):
    """Numbers, counts, yes/no and a column that was never missing in training; gaps in all but the last."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(count, COLUMNS))
    X[:, 3:6] = random.poisson(2, (count, 3))
    X[:, 6:9] = random.integers(0, 2, (count, 3))
    X[:, :-1][random.random((count, COLUMNS - 1)) < gaps] = np.nan
    return X


def _fit(seed, leaves=6, trees=25, **more):
    X = _rows(1500, seed)
    score = np.nan_to_num(X[:, 0]) * X[:, -1] + np.nan_to_num(X[:, 4]) * np.nan_to_num(X[:, 7]) - 1
    random = np.random.default_rng(seed + 100)
    y = (random.random(len(X)) < 1 / (1 + np.exp(-score))).astype(float)
    params = {
        "objective": "binary",
        "num_leaves": leaves,
        "min_data_in_leaf": 5,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "seed": seed,
        "num_threads": 1,
        "deterministic": True,
        "verbosity": -1,
    }
    return to_text(lgb.train(params | more, lgb.Dataset(X, y), trees))


def _asked(count, seed):
    """Rows to explain, with gaps where training had none, endless values and values right on thresholds."""
    X = np.concatenate([_rows(count, seed, gaps=0.3), _rows(count, seed + 1, gaps=0.0)])
    X[::5, -1] = np.nan
    X[1, :2], X[2, :3] = np.inf, -np.inf
    X[3] = np.nan
    return X


@pytest.mark.parametrize(
    ("leaves", "more"),
    [
        (2, {}),
        (6, {}),
        (6, {"monotone_constraints": [1] * 3 + [0] * 9}),
        (6, {"use_missing": False}),
        (8, {"max_depth": 4}),
    ],
)
def test_margins_and_contributions_are_lightgbms(leaves, more):
    """Gaps, ties and repeated features included; the margin to the last bit."""
    texts = [_fit(seed, leaves, **more) for seed in range(3)]
    members = [lgb.Booster(model_str=text) for text in texts]
    tables = TreeTables.of(texts, COLUMNS)
    X = _asked(150, seed=9)

    theirs = np.stack([member.predict(X, pred_contrib=True) for member in members])
    ours = tables.contributions(X)
    np.testing.assert_allclose(ours.transpose(0, 2, 1), theirs, atol=1e-9, rtol=0)
    np.testing.assert_allclose(
        tables.contributions(X, by_member=False)[0].T, theirs.sum(axis=0), atol=1e-9, rtol=0
    )
    assert np.ptp(theirs[..., :-1]) > 0.1
    np.testing.assert_array_equal(
        tables.margins(X), np.stack([member.predict(X, raw_score=True) for member in members])
    )


def test_values_on_a_threshold_go_left():
    """Every threshold of the trees is asked for itself, and one step above."""
    text = _fit(1)
    tables = TreeTables.of([text], COLUMNS)
    member = lgb.Booster(model_str=text)
    on = np.zeros((len(tables.features), COLUMNS))
    on[np.arange(len(on)), tables.features] = tables.thresholds
    above = np.where(on == 0, on, np.nextafter(on, np.inf))

    assert len(on) > 30
    for X in (on, above):
        np.testing.assert_array_equal(tables.margins(X)[0], member.predict(X, raw_score=True))


def test_a_row_has_the_same_bits_alone_and_in_a_batch(monkeypatch):
    """Row by row and tree by tree add up in the same order."""
    monkeypatch.setattr(tree_shap, "BLOCK", 50)
    tables = TreeTables.of([_fit(seed) for seed in range(2)], COLUMNS)
    X = _asked(120, seed=4)
    assert len(X) > tree_shap.FEW_ROWS

    whole = tables.contributions(X)
    np.testing.assert_array_equal(tables.contributions(X[7:8])[..., 0], whole[..., 7])
    np.testing.assert_array_equal(tables.contributions(X[:130]), whole[..., :130])
    np.testing.assert_array_equal(tables.margins(X)[:, 7:8], tables.margins(X[7:8]))


def test_a_tree_that_never_split_counts_in_the_base():
    """Where the labels say nothing LightGBM writes a tree of one leaf."""
    X = _rows(60, 0)
    params = {"objective": "binary", "min_data_in_leaf": 60, "verbosity": -1, "num_threads": 1}
    text = to_text(lgb.train(params, lgb.Dataset(X, np.arange(60) < 20), 3))
    tables = TreeTables.of([text], COLUMNS)
    member = lgb.Booster(model_str=text)

    for rows in (X[:5], np.tile(X, (3, 1))):
        theirs = member.predict(rows, pred_contrib=True)
        np.testing.assert_allclose(tables.contributions(rows)[0].T, theirs, atol=1e-12)
        np.testing.assert_array_equal(tables.margins(rows)[0], member.predict(rows, raw_score=True))


@pytest.mark.parametrize("more", [{"leaves": 31}, {"zero_as_missing": True}, {"linear_tree": True}])
def test_trees_that_cannot_be_tabulated_are_left_to_lightgbm(more):
    """Large trees, zeros as gaps and linear leaves: no table, and the bag still explains."""
    text = _fit(3, **more)
    assert TreeTables.of([text], COLUMNS) is None

    if "linear_tree" not in more:
        bag = Bag.from_texts([text, text])
        X = _asked(20, seed=2)
        theirs = lgb.Booster(model_str=text).predict(X, pred_contrib=True)
        np.testing.assert_allclose(bag.member_contributions(X)[1], theirs, atol=1e-12)
        np.testing.assert_allclose(bag.contributions(X), theirs, atol=1e-12)


def test_lightgbms_own_categories_are_left_to_it():
    """A split into sets of levels is no comparison with a threshold."""
    random = np.random.default_rng(0)
    X = random.integers(0, 6, (500, 2)).astype(float)
    y = np.isin(X[:, 0], [1, 4]).astype(float)
    params = {"objective": "binary", "num_leaves": 4, "verbosity": -1, "num_threads": 1}
    booster = lgb.train(params, lgb.Dataset(X, y, categorical_feature=[0]), 3)
    assert TreeTables.of([to_text(booster)], 2) is None


@pytest.mark.parametrize("tabulated", [True, False])
def test_a_bags_margin_is_the_same_with_and_without_tables(tabulated):
    """Which way is taken is a matter of speed alone."""
    bag = Bag.from_texts([_fit(seed) for seed in range(2)], tree_weight=0.8)
    X = _asked(90, seed=5)
    plain = np.stack([0.8 * member.predict(X, raw_score=True) for member in bag.members])
    if tabulated:
        assert bag.contributions(X).shape == (len(X), COLUMNS + 1)  # makes the tables

    assert ("tables" in bag.__dict__) == tabulated
    np.testing.assert_array_equal(bag.margins(X), plain)
    np.testing.assert_allclose(bag.contributions(X).sum(axis=1), bag.margin(X), atol=1e-12)
