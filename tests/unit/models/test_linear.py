"""The straight line: against scikit-learn, within its bounds, gaps with a weight of their own."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lifecycle_ml.models.linear import Scaling, fit_weights


@pytest.fixture
def rows():
    """Columns on very different scales, one with gaps that mean something, one that never changes."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(3000, 4)) * [1, 100, 0.01, 0] + [0, 50, 0, 7]
    gone = rng.random(3000) < 0.2
    margin = -1 + X[:, 0] - X[:, 1] / 100 + 1.5 * gone
    y = (rng.random(3000) < 1 / (1 + np.exp(-margin))).astype(float)
    X[gone, 2] = np.nan
    return X, y


def fit(X, y, penalty=3.0, monotone=(0, 0, 0, 0)):
    scaling = Scaling.fit(X)
    weights = fit_weights(
        scaling.terms(X),
        y,
        offset=np.full(len(y), -1.0),
        penalty=penalty,
        bounds=scaling.directions(monotone),
    )
    return scaling, weights


def test_is_the_ridge_regression_of_scikit_learn(rows):
    """Same loss, same penalty: the same weights, but for the digits the descent is run with."""
    X, y = rows
    scaling = Scaling.fit(X)
    terms = np.column_stack([scaling.terms(X), np.ones(len(y))])
    free = [(None, None)] * terms.shape[1]
    penalty = np.array([2.0] * (terms.shape[1] - 1) + [0.0])
    found = fit_weights(terms, y, offset=np.zeros(len(y)), penalty=penalty, bounds=free)
    other = LogisticRegression(C=0.5, tol=1e-8, max_iter=1000).fit(terms[:, :-1], y)
    np.testing.assert_allclose(found[:-1], other.coef_[0], atol=5e-3)
    assert found[-1] == pytest.approx(other.intercept_[0], abs=5e-3)


def test_a_direction_is_never_contradicted(rows):
    """The second column lowers the risk; told that it raises it, it has no say."""
    X, y = rows
    assert fit(X, y)[1][1] < -0.1
    assert fit(X, y, monotone=(0, 1, 0, 0))[1][1] == 0.0


def test_gaps_speak_for_their_column(rows):
    """A gap's weight counts as its column's contribution, and a column that never changes has none."""
    X, y = rows
    scaling, weights = fit(X, y)
    assert list(scaling.gaps) == [2]
    added = scaling.gathered(scaling.terms(X) * weights)
    assert added.shape == X.shape
    gone = np.isnan(X[:, 2])
    assert (added[gone, 2] > 1.0).all()
    assert (added[:, 3] == 0).all()
    np.testing.assert_allclose(added.sum(axis=1), scaling.terms(X) @ weights, atol=1e-12)


def test_no_row_leaves_the_bounds(rows):
    """Not even one far outside what was seen."""
    X, y = rows
    scaling, weights = fit(X, y)
    low, high = scaling.bounds(weights)
    strange = np.random.default_rng(0).normal(0, 1e6, size=(500, 4))
    strange[::3, 2] = np.nan
    margin = scaling.terms(strange) @ weights
    assert low <= margin.min() <= margin.max() <= high
    assert margin.max() > high - 1e-9 or margin.min() < low + 1e-9


def test_survives_json(rows):
    """Every number comes back as it was."""
    X, _ = rows
    scaling = Scaling.fit(X)
    again = Scaling.from_json(scaling.to_json())
    np.testing.assert_array_equal(again.terms(X), scaling.terms(X))
