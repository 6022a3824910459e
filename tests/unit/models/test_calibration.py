"""Affine calibration: an intercept for few events, a slope for more, contributions untouched."""

import numpy as np
import pytest

from lifecycle_ml.models.calibration import AffineCalibration
from lifecycle_ml.models.logistic import sigmoid


def drawn(rows, slope, intercept, seed=0):
    rng = np.random.default_rng(seed)
    margin = rng.normal(size=rows)
    y = (rng.random(rows) < sigmoid(intercept + slope * margin)).astype(float)
    return margin, y


def test_recovers_slope_and_intercept():
    """With many events it finds the line the outcomes were drawn from."""
    margin, y = drawn(50_000, slope=1.6, intercept=-2.0)
    found = AffineCalibration.fit(margin, y)
    assert found.slope == pytest.approx(1.6, abs=0.08)
    assert found.intercept == pytest.approx(-2.0, abs=0.06)


def test_observed_equals_expected_where_it_was_fitted():
    """The intercept makes the expected number of events the observed one, in both regimes."""
    for rows in (150, 20_000):
        margin, y = drawn(rows, slope=0.7, intercept=-1.5)
        found = AffineCalibration.fit(margin, y)
        assert found.probability(margin).sum() == pytest.approx(y.sum(), rel=1e-6)


def test_few_events_shift_only_the_intercept():
    """Below 50 churned accounts the slope stays 1."""
    margin, y = drawn(150, slope=3.0, intercept=-1.5)
    assert y.sum() < 50
    found = AffineCalibration.fit(margin, y)
    assert found.slope == 1.0
    assert found.intercept != 0.0


def test_events_are_churned_accounts_not_rows():
    """Many rows of ten churned accounts are ten events."""
    margin, y = drawn(5_000, slope=3.0, intercept=0.0)
    accounts = np.where(y > 0, np.arange(5_000) % 10, 100 + np.arange(5_000))
    found = AffineCalibration.fit(margin, y, accounts)
    assert (found.events, found.slope) == (10, 1.0)


def test_a_margin_that_ranks_the_wrong_way_keeps_a_positive_slope():
    """Order is never reversed, so probabilities cannot fall with the horizon."""
    margin, y = drawn(5_000, slope=-1.0, intercept=-1.0)
    found = AffineCalibration.fit(margin, y)
    assert found.slope > 0
    assert (np.diff(found.probability(np.linspace(-5, 5, 50))) > 0).all()


def test_one_class_teaches_nothing():
    """Without churn (or with nothing else) the calibration is the identity."""
    assert AffineCalibration.fit(np.zeros(10), np.zeros(10)) == AffineCalibration()


def test_the_offset_is_not_scaled():
    """Each horizon's own base rate stands outside the slope."""
    margin, y = drawn(50_000, slope=2.0, intercept=0.0)
    offset = np.where(np.arange(50_000) % 2 == 0, -1.0, 1.0)
    rng = np.random.default_rng(1)
    y = (rng.random(50_000) < sigmoid(offset + 2.0 * margin)).astype(float)
    found = AffineCalibration.fit(margin, y, offset=offset)
    assert found.slope == pytest.approx(2.0, abs=0.08)
    assert found.intercept == pytest.approx(0.0, abs=0.06)
