"""Curves for reading scores: against pandas and scikit-learn, and what they promise of odd rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from lifecycle_ml.models.curves import gain_curve, rate_curve


def scored(n_accounts=300, rows_each=4, seed=0):
    """Rows of accounts whose risk is p, the rows of one sharing their fate."""
    rng = np.random.default_rng(seed)
    p = np.repeat(1 / (1 + np.exp(-rng.normal(-1.5, 1.2, n_accounts))), rows_each)
    y = (np.repeat(rng.random(n_accounts), rows_each) < p).astype(float)
    return y, p, np.repeat([f"A{i}" for i in range(n_accounts)], rows_each)


def test_rates_are_those_of_the_bins():
    """Each bin's mean value and rate are what pandas says of the same rows."""
    y, p, groups = scored()
    expected = pd.DataFrame({"p": p, "y": y}).groupby(pd.qcut(p, 10), observed=True).agg(["mean", "size"])

    curve = rate_curve(p, y, groups, draws=50)

    assert curve["value"].to_numpy() == pytest.approx(expected["p", "mean"].to_numpy())
    assert curve["rate"].to_numpy() == pytest.approx(expected["y", "mean"].to_numpy())
    assert curve["rows"].tolist() == expected["y", "size"].tolist()
    assert (curve["low"] <= curve["rate"]).all()
    assert (curve["rate"] <= curve["high"]).all()


def test_intervals_count_accounts_and_not_their_rows():
    """Four rows of one account are hardly more than one: their interval must not be half as wide."""
    y, p, groups = scored()
    once = rate_curve(p[::4], y[::4], groups[::4], bins=5)
    repeated = rate_curve(p, y, groups, bins=5)

    widths = (repeated["high"] - repeated["low"]) / (once["high"] - once["low"])

    assert widths.between(0.8, 1.25).all()


def test_rows_without_a_value_are_a_bin_of_their_own():
    """A gap is shown as what it is, last, and censored rows are in no bin."""
    value = [1.0, 2.0, 3.0, 4.0, np.nan, np.nan, 4.0]
    y = [0, 0, 1, 1, 1, 0, np.nan]

    curve = rate_curve(value, y, list("abcdefg"), bins=2, draws=50)

    assert curve["rows"].tolist() == [2, 2, 2]
    assert np.isnan(curve["value"].iloc[-1])
    assert curve["rate"].tolist() == [0.0, 1.0, 0.5]


def test_a_rare_count_keeps_a_bin_of_its_own():
    """One account in ten lost its champion: quantiles would put it among those that did not."""
    curve = rate_curve([0.0] * 90 + [1.0] * 10, [0.0] * 90 + [1.0] * 10, range(100), draws=20)

    assert curve["value"].tolist() == [0.0, 1.0]
    assert curve["rate"].tolist() == [0.0, 1.0]
    assert curve["accounts"].tolist() == [90, 10]


def test_equal_values_are_never_parted():
    """Most rows share one value, and so one bin, however many bins were asked for."""
    value = [0.0] * 80 + list(range(1, 21))

    curve = rate_curve(value, [0.0] * 100, range(100), bins=10, draws=20)

    assert curve["rows"].sum() == 100
    assert curve["rows"].iloc[0] >= 80


def test_nothing_but_gaps_is_one_bin():
    """A feature no row has still gives the base rate."""
    curve = rate_curve([np.nan] * 4, [0, 1, 0, 1], list("abcd"), draws=20)

    assert curve["rate"].tolist() == [0.5]


def test_the_area_under_the_gain_curve_is_the_auroc():
    """Found over all shares and the AUROC are one figure: area = (1 - rate) x auroc + rate / 2."""
    y, p, groups = scored()
    curve = gain_curve(y, p, groups, draws=20)
    area = np.trapezoid(np.r_[0, curve["found"]], np.r_[0, curve["share"]])

    rate = y.mean()

    assert area == pytest.approx((1 - rate) * roc_auc_score(y, p) + rate / 2, abs=2e-3)
    assert curve["found"].iloc[-1] == pytest.approx(1)
    assert curve["lift"].iloc[-1] == pytest.approx(1)


def test_a_constant_score_finds_what_chance_finds():
    """Ties count evenly: found is the share itself."""
    y, _, groups = scored()
    curve = gain_curve(y, np.full(len(y), 0.3), groups, draws=20)

    assert curve["found"].to_numpy() == pytest.approx(curve["share"].to_numpy())


def test_without_the_outcome_nothing_can_be_found():
    """NaN, not an error and not a zero."""
    curve = gain_curve([0, 0, np.nan], [0.1, 0.2, 0.3], ["a", "b", "c"])

    assert curve["found"].isna().all()
    assert len(curve) == 100


@pytest.mark.parametrize("curve", [rate_curve, gain_curve])
def test_wrong_rows_are_refused(curve):
    """Lengths that differ and outcomes that are none are said, not guessed at."""
    with pytest.raises(ValueError, match="one of each per row"):
        curve([0.1, 0.2], [1.0], ["a", "b"])
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        curve([1, 1] if curve is rate_curve else [0, 2], [0, 2], ["a", "b"])
