"""Drift: silent where there is none, whatever the size of the book, and heard where there is."""

import numpy as np
import pandas as pd
import pytest
from monitor_world import CONFIG

from lifecycle_ml.monitor.bins import bin_feature
from lifecycle_ml.monitor.drift import (
    Snapshots,
    age_weights,
    chance_psi,
    effective_accounts,
    measure_drift,
    psi,
)

DRIFT = CONFIG.drift
FEATURES = 8
LEANS = {f"f{number}": 1 / FEATURES for number in range(FEATURES)}
LEVEL_DRAWS = 200


def values(rng, lasting, season=0.0):
    """Numbers, counts and yes/no, each mostly lasting and a little of the day."""
    x = 0.9 * lasting + 0.43 * rng.normal(size=lasting.shape) + season
    x[:, :3] = rng.poisson(np.exp(0.6 * x[:, :3] - 0.5))
    x[:, 3:5] = x[:, 3:5] > 1.2
    return x


def snapshots(accounts, dates, rng, *, prefix="A", seasons=None, ages=500.0):
    """The same accounts on every date."""
    lasting = rng.normal(size=(accounts, FEATURES))
    parts = []
    for at, day in enumerate(dates):
        season = 0.0 if seasons is None else seasons[at]
        part = pd.DataFrame(values(rng, lasting, season), columns=list(LEANS))
        part.insert(0, "as_of", pd.Timestamp(day))
        part.insert(0, "account_id", [f"{prefix}{number}" for number in range(accounts)])
        parts.append(part)
    matrix = pd.concat(parts, ignore_index=True)
    return Snapshots(matrix, np.full(len(matrix), ages))


YEAR = pd.date_range("2025-01-06", periods=8, freq="42D")
TODAY = [pd.Timestamp("2026-06-01")]


@pytest.mark.slow
@pytest.mark.parametrize("accounts", [100, 500, 5000])
def test_a_report_without_drift_calls_it_no_more_often_than_the_level_says(accounts):
    """Two hundred books drawn from the population of the reference: at most 5% with any drifted feature.

    The level counts whole reports over all features, with the floor on PSI and the season taken out so that
    the test against chance stands alone.
    """
    rng = np.random.default_rng(accounts)
    alone = DRIFT.model_copy(update={"least_psi": 1e-9, "usual_factor": 1.0})
    population = snapshots(20_000, TODAY, rng, prefix="B").matrix
    reference = snapshots(400, YEAR[:3], rng)
    wrong = strict = 0
    for _ in range(LEVEL_DRAWS):
        rows = population.iloc[rng.choice(len(population), accounts, replace=False)].reset_index(drop=True)
        found = measure_drift(reference, Snapshots(rows, np.full(accounts, 500.0)), LEANS, alone)
        wrong += any(item.tested and item.psi > item.chance for item in found)
        strict += any(
            item.drifted and item.psi >= DRIFT.least_psi and item.psi > DRIFT.usual_factor * item.usual
            for item in found
        )
    # one reference serves all draws, so its own luck is in all of them: five standard errors of room
    assert wrong / LEVEL_DRAWS <= DRIFT.level + 5 * (DRIFT.level * 0.95 / LEVEL_DRAWS) ** 0.5
    assert strict / LEVEL_DRAWS <= DRIFT.level


@pytest.mark.slow
@pytest.mark.parametrize("accounts", [200, 500])
def test_half_a_standard_deviation_in_one_feature_is_found(accounts):
    """In at least four books of five, and hardly ever in another feature."""
    rng = np.random.default_rng(1)
    found = others = 0
    for _ in range(40):
        reference, current = snapshots(800, YEAR[:4], rng), snapshots(accounts, TODAY, rng, prefix="B")
        current.matrix["f6"] += 0.5
        drifted = {item.feature for item in measure_drift(reference, current, LEANS, DRIFT) if item.drifted}
        found += "f6" in drifted
        others += bool(drifted - {"f6"})
    assert found >= 32
    assert others <= 4


def test_what_the_reference_did_every_year_is_season_and_no_drift():
    """Today is as high as one of the reference's own dates was; the same height in a flat year is drift."""
    summer = [0, 0, 0, 0.3, 0.9, 0.3, 0, 0]
    current = snapshots(600, TODAY, np.random.default_rng(2), prefix="B", seasons=[0.9])
    for seasons, expected in ((summer, False), ([0.0] * 8, True)):
        reference = snapshots(600, YEAR, np.random.default_rng(3), seasons=seasons)
        found = {item.feature: item for item in measure_drift(reference, current, LEANS, DRIFT)}
        assert found["f6"].drifted is expected


def test_a_book_that_grows_is_younger_and_has_not_drifted():
    """Young accounts use less, and today most are young; old and young are as they always were."""
    rng = np.random.default_rng(4)

    def aged(young, old, dates, prefix):
        both = [
            snapshots(young, dates, rng, prefix=f"{prefix}y", ages=60.0),
            snapshots(old, dates, rng, prefix=f"{prefix}o", ages=900.0),
        ]
        both[0].matrix[["f5", "f6"]] -= 2.0
        return Snapshots(
            pd.concat([part.matrix for part in both], ignore_index=True),
            np.concatenate([part.age_days for part in both]),
        )

    reference, current = aged(80, 600, YEAR, "R"), aged(500, 600, TODAY, "T")
    found = measure_drift(reference, current, LEANS, DRIFT)
    assert not any(item.drifted for item in found)
    unweighted = measure_drift(
        Snapshots(reference.matrix, np.zeros(len(reference))),
        Snapshots(current.matrix, np.zeros(len(current))),
        LEANS,
        DRIFT,
    )
    assert {item.feature for item in unweighted if item.drifted} >= {"f5", "f6"}


def test_a_feature_nobody_leans_on_is_measured_and_never_called_drifted():
    """Its PSI is shown; it is not among those tested."""
    rng = np.random.default_rng(5)
    reference, current = snapshots(500, YEAR, rng), snapshots(500, TODAY, rng, prefix="B")
    current.matrix["f6"] += 3.0
    found = {item.feature: item for item in measure_drift(reference, current, LEANS | {"f6": 0.0}, DRIFT)}
    assert found["f6"].psi > 1
    assert not found["f6"].tested
    assert not found["f6"].drifted


def test_too_few_accounts_are_measured_but_not_tested():
    """Forty-nine accounts decide nothing."""
    rng = np.random.default_rng(6)
    current = snapshots(DRIFT.least_accounts - 1, TODAY, rng, prefix="B")
    current.matrix["f6"] += 3.0
    found = measure_drift(snapshots(500, YEAR, rng), current, LEANS, DRIFT)
    assert not any(item.tested or item.drifted for item in found)


def test_rows_of_one_account_count_as_one():
    """Ten dates of a hundred accounts are worth a hundred accounts, uneven weights make them fewer."""
    every = snapshots(100, YEAR, np.random.default_rng(7))
    assert effective_accounts(every, np.ones(len(every))) == pytest.approx(100)
    uneven = np.where(np.arange(len(every)) % 100 < 50, 3.0, 1.0)
    assert effective_accounts(every, uneven) == pytest.approx(80)


@pytest.mark.parametrize(("bins", "level", "quantile"), [(10, 0.05, 16.919), (5, 0.001, 18.467)])
def test_chance_is_the_chi_squared_quantile_of_the_sizes(bins, level, quantile):
    """Against the table of the distribution, within two percent, on the careful side."""
    assert chance_psi(bins, 200, 1000, level) == pytest.approx(quantile * (1 / 200 + 1 / 1000), rel=0.02)
    assert chance_psi(1, 200, 1000, level) == float("inf")


def test_psi_by_hand():
    """(0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5)."""
    assert psi(np.array([0.6, 0.4]), np.array([0.5, 0.5])) == pytest.approx(0.0405465, rel=1e-5)


def test_ages_are_weighted_to_those_of_today():
    """A quarter of the reference is young, half of today is."""
    then = np.array([50.0] * 100 + [500.0] * 300)
    weights = age_weights(then, np.array([50.0] * 5 + [500.0] * 5))
    assert weights[:100].sum() == pytest.approx(200)
    assert weights.sum() == pytest.approx(400)


def test_bins_hold_five_accounts_and_keep_a_heap_together():
    """A count that is mostly 0 has a bin for 0 alone; categories and what is empty have their own."""
    counts = pd.Series([0.0] * 80 + list(range(1, 21)))
    binned = bin_feature(counts, counts.head(100), np.ones(100), 10)
    assert binned.names[0] == "0"
    held = np.bincount(binned.reference, minlength=len(binned.names))
    assert held[0] == 80
    assert held[:-1].min() >= 5
    plans = pd.Series(["basic"] * 60 + ["plus"] * 39 + [None], dtype="str")
    named = bin_feature(plans, pd.Series(["new", None] * 50, dtype="str"), np.ones(100), 10)
    assert named.names == ("basic", "plus", "any other", "empty")
    assert named.current.tolist()[:2] == [2, 3]


def test_what_moved_is_said_with_one_edge():
    """One side of an edge, with the share today and the share then; not a narrow bin between two edges."""
    then, now = pd.Series(np.arange(100.0)), pd.Series(np.arange(100.0) / 2)
    binned = bin_feature(then, now, np.ones(100), 10)
    said, share_now, share_then = binned.clearest(np.ones(100))
    assert said == "49 or less"
    assert (share_now, share_then) == (pytest.approx(0.99), pytest.approx(0.50, abs=0.01))
