"""Performance: seen where outcomes are final, estimated where they are not."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from monitor_world import AS_OF, CONFIG, MATURE, RECIPE, book, outcomes, trained, true_probability

from lifecycle_ml.monitor.performance import (
    estimate,
    mature_dates,
    realise,
    same_weekday,
    truth_known_through,
)

PERFORMANCE = CONFIG.performance


def test_the_truth_is_known_after_horizon_grace_and_lag():
    """90 days, 30 of grace and 2 of lag before the as-of date."""
    assert truth_known_through(RECIPE, AS_OF, 90) == date(2026, 8, 7)
    assert truth_known_through(RECIPE, AS_OF, 30) == date(2026, 10, 6)


def test_cohorts_lie_after_the_training_and_end_where_the_shortest_horizon_can_tell():
    """All on the weekday of the as-of date, none before the training ended."""
    dates = mature_dates(RECIPE, date(2026, 6, 1), AS_OF, PERFORMANCE)
    assert dates == [
        date(2026, 6, 8),
        date(2026, 7, 6),
        date(2026, 8, 3),
        date(2026, 8, 31),
        date(2026, 9, 28),
    ]
    assert {day.weekday() for day in dates} == {AS_OF.weekday()}
    assert mature_dates(RECIPE, date(2026, 11, 1), AS_OF, PERFORMANCE) == []
    assert same_weekday(date(2026, 6, 10), AS_OF) == date(2026, 6, 8)


def test_true_probabilities_are_found_calibrated():
    """Observed over expected and the slope lie around 1, whatever the churn rate."""
    known = book(MATURE, accounts=2_000)
    scores = known.matrix[["account_id", "as_of"]].assign(probability=true_probability(known.matrix))
    seen = realise(scores, outcomes(known), 0.05, 90, RECIPE, AS_OF, PERFORMANCE)
    assert seen.observed_expected.low < 1 < seen.observed_expected.high
    assert seen.calibration_slope.low < 1 < seen.calibration_slope.high
    assert seen.rate.value == pytest.approx(seen.observed / 0.05)
    assert (seen.cohorts[0], seen.cohorts[-1], seen.rows) == (MATURE[0], MATURE[-1], 6_000)


def test_rows_whose_outcome_is_open_or_came_too_late_count_for_nothing():
    """A censored label is no stayer, and notice already given is no prediction."""
    known = book(MATURE[:1], accounts=300)
    scores = known.matrix[["account_id", "as_of"]].assign(probability=0.1)
    labels = outcomes(known)
    labels.loc[:99, "outcome_90d"] = np.nan
    labels.loc[100:149, "too_late"] = True
    assert realise(scores, labels, 0.05, 90, RECIPE, AS_OF, PERFORMANCE).rows == 150
    labels["outcome_90d"] = np.nan
    assert realise(scores, labels, 0.05, 90, RECIPE, AS_OF, PERFORMANCE) is None


def test_only_the_newest_cohorts_count():
    """Older ones speak of an older book."""
    days = pd.date_range("2025-11-03", periods=9, freq="28D")
    known = book(days, accounts=100)
    scores = known.matrix[["account_id", "as_of"]].assign(probability=0.1)
    seen = realise(scores, outcomes(known), 0.05, 90, RECIPE, AS_OF, PERFORMANCE)
    assert len(seen.cohorts) == PERFORMANCE.cohorts
    assert seen.cohorts[-1] == days[-1].date()


def test_the_estimate_is_what_then_comes_true_of_calibrated_probabilities():
    """Expected accounts, ranking and Brier score of a book ten times as large fall into the ranges."""
    current = book([AS_OF], accounts=9_000)
    p = true_probability(current.matrix)
    ahead = estimate(p, 90, RECIPE, AS_OF)
    labels = outcomes(current, seed=9)
    scores = current.matrix[["account_id", "as_of"]].assign(probability=p)
    seen = realise(scores, labels, 0.05, 90, RECIPE, AS_OF, PERFORMANCE)
    assert ahead.events.low <= seen.events <= ahead.events.high
    assert ahead.auroc.value == pytest.approx(seen.auroc.value, abs=0.02)
    assert ahead.brier.value == pytest.approx(seen.brier.value, abs=0.01)
    assert ahead.known_on == date(2027, 4, 8)


def test_nothing_is_estimated_without_probabilities_or_from_too_few():
    """Where nobody is expected to churn there is no ranking to estimate, and it says so."""
    assert estimate(np.array([np.nan]), 90, RECIPE, AS_OF) is None
    certain = estimate(np.full(20, 1e-9), 90, RECIPE, AS_OF)
    assert np.isnan(certain.auroc.value)
    assert certain.auroc.reason


def test_the_world_of_these_tests_is_learned():
    """The bundle leans on use and tickets, hardly on noise: what the verdicts' tests rest on."""
    from lifecycle_ml.monitor.observe import lean_of

    bundle, reference = trained()
    leans = lean_of(bundle, reference.matrix)
    assert sum(leans.values()) == pytest.approx(1)
    assert leans["use"] > 0.4
    assert leans["noise"] < 0.08
