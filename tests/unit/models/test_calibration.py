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
        assert found.probability(margin, 90).sum() == pytest.approx(y.sum(), rel=1e-6)


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
    assert (np.diff(found.probability(np.linspace(-5, 5, 50), 90)) > 0).all()


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


def test_recovers_a_slope_that_changes_with_the_horizon():
    """Rows of several horizons show how much less the margin says about a farther one."""
    rng = np.random.default_rng(1)
    margin, days = rng.normal(size=60_000), rng.choice([30, 90, 180], 60_000)
    slope = 1.4 - 0.3 * np.log(days / 90)
    y = (rng.random(60_000) < sigmoid(-1.0 + slope * margin)).astype(float)
    found = AffineCalibration.fit(margin, y, horizon=days)
    assert found.tilt == pytest.approx(-0.3, abs=0.05)
    assert [found.slope_at(h) for h in (30, 90, 180)] == pytest.approx([1.73, 1.4, 1.19], abs=0.08)


def test_one_horizon_leaves_nothing_to_tilt():
    """A recipe with one horizon has one slope."""
    margin, y = drawn(5_000, slope=1.6, intercept=-2.0)
    assert AffineCalibration.fit(margin, y, horizon=np.full(5_000, 180), headline=180).tilt == 0.0


@pytest.mark.parametrize("tilt", [-5.0, -0.6, -0.1, 0.0, 0.1, 0.6, 5.0])
def test_within_its_bounds_no_probability_falls_with_the_horizon(tilt):
    """Whatever was fitted, at every margin the model can reach a longer horizon is as likely or likelier."""
    starts = {30: -4.4, 90: -3.2, 180: -2.4}
    fitted = AffineCalibration(slope=1.3, intercept=-0.1, events=200, tilt=tilt)
    found = fitted.within(starts, low=-3.0, high=4.0)
    assert found.slope_at(90) == fitted.slope_at(90)
    assert abs(found.tilt) <= abs(tilt)
    raw = np.linspace(-3.0, 4.0, 200)
    p = np.column_stack([found.probability(raw, h, start) for h, start in starts.items()])
    assert (np.diff(p, axis=1) >= -1e-12).all()
