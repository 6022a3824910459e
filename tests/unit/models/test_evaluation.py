"""Metrics against scikit-learn, and intervals against what they promise."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from lifecycle_ml.models.evaluation import (
    bootstrap_counts,
    days_of_warning,
    evaluate,
    paired_difference,
)
from lifecycle_ml.models.metrics import METRICS, Draws, Sample
from lifecycle_ml.models.refit import LogisticRefit


def scored(n_accounts=150, rows_each=4, seed=0, decimals=None, drift=0.0):
    """Rows of accounts whose own risk persists: y, p, groups, arr, as_of."""
    rng = np.random.default_rng(seed)
    own = np.repeat(rng.normal(-2, 1.2, n_accounts), rows_each)
    n = len(own)
    p = 1 / (1 + np.exp(-own - drift))
    p = p if decimals is None else np.clip(p.round(decimals), 0.01, 0.99)
    # One draw per account: its rows share their fate, as the snapshots of one account do.
    fate = np.repeat(rng.random(n_accounts), rows_each)
    y = (fate < 1 / (1 + np.exp(-own))).astype(float)
    groups = np.repeat([f"A{i}" for i in range(n_accounts)], rows_each)
    return y, p, groups, rng.lognormal(9, 1, n), np.tile(np.arange(rows_each), n_accounts)


def weighted_slope(y, p, weights, *, with_slope=True):
    z = np.log(p / (1 - p))
    if with_slope:
        fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(z[:, None], y, weights)
        return fit.coef_[0, 0]
    low, high = -20.0, 20.0
    for _ in range(80):
        middle = (low + high) / 2
        expected = 1 / (1 + np.exp(-(z + middle)))
        low, high = (middle, high) if (weights * (y - expected)).sum() > 0 else (low, middle)
    return middle


def oracle(name, y, p, weights):
    """What scikit-learn says of weighted rows."""
    rows = np.repeat(np.arange(len(y)), weights.astype(int))
    return {
        "auroc": lambda: roc_auc_score(y, p, sample_weight=weights),
        "average_precision": lambda: average_precision_score(y, p, sample_weight=weights),
        "log_loss": lambda: log_loss(y, p, sample_weight=weights),
        "brier": lambda: brier_score_loss(y, p, sample_weight=weights),
        "observed_expected": lambda: y[rows].sum() / p[rows].sum(),
        "calibration_slope": lambda: weighted_slope(y, p, weights),
        "calibration_intercept": lambda: weighted_slope(y, p, weights, with_slope=False),
    }[name]()


@pytest.mark.parametrize("decimals", [None, 1], ids=["distinct", "tied"])
@pytest.mark.parametrize(
    "name",
    [
        "auroc",
        "average_precision",
        "log_loss",
        "brier",
        "observed_expected",
        "calibration_slope",
        "calibration_intercept",
    ],
)
def test_every_draw_equals_scikit_learn_with_sample_weight(name, decimals):
    """Each draw's metric is scikit-learn's with the draw's counts as weights, ties included."""
    y, p, groups, *_ = scored(decimals=decimals)
    codes, accounts = pd.factorize(groups)
    counts = next(bootstrap_counts(len(accounts), len(y), 6, seed=1))
    drawn = METRICS[name](Draws(Sample(y, p, codes, len(accounts)), counts))
    tolerance = 2e-4 if name.startswith("calibration") else 1e-9
    for row, value in zip(counts, drawn, strict=True):
        assert value == pytest.approx(oracle(name, y, p, row[codes]), abs=tolerance)
    point = evaluate(y, p, groups, draws=2, metrics=[name])[name].value
    assert point == pytest.approx(oracle(name, y, p, np.ones(len(y))), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(1, 9)), min_size=4, max_size=40
    ).filter(lambda rows: 0 < sum(y for _, y, _ in rows) < len(rows))
)
def test_ranking_metrics_hold_on_any_rows(rows):
    """On small tables full of ties AUROC and average precision equal scikit-learn's."""
    groups, y, tenths = (np.array(column) for column in zip(*rows, strict=True))
    found = evaluate(y, tenths / 10, groups, draws=3, metrics=["auroc", "average_precision"])
    assert found["auroc"].value == pytest.approx(roc_auc_score(y, tenths))
    assert found["average_precision"].value == pytest.approx(average_precision_score(y, tenths))


def test_lift_counts_the_top_tenth_and_shares_ties_evenly():
    """Two of four churners in the best ten of a hundred is a lift of 5; a constant has none."""
    p = np.linspace(0.99, 0.01, 100)
    y = np.zeros(100)
    y[[0, 9, 10, 50]] = 1
    groups = np.arange(100)
    assert evaluate(y, p, groups, draws=2)["top_decile_lift"].value == pytest.approx(5.0)
    constant = evaluate(y, np.full(100, 0.04), groups, draws=2)
    assert constant["top_decile_lift"].value == pytest.approx(1.0)
    # Ranks 1-20 tied with three churners: half of the tie lies in the top tenth.
    tied = np.where(np.arange(100) < 20, 0.5, 0.1)
    assert evaluate(y, tied, groups, draws=2)["top_decile_lift"].value == pytest.approx(1.5 / 4 / 0.1)


def test_captured_arr_follows_probability_times_arr_within_each_date():
    """The list takes a tenth of every date's accounts; a constant probability ranks by ARR alone."""
    as_of = np.repeat([1, 2], 10)
    arr = np.tile(np.arange(1.0, 11.0), 2)
    y = np.zeros(20)
    y[[9, 10]] = 1  # the largest account of date 1 (ARR 10), the smallest of date 2 (ARR 1)
    p = np.full(20, 0.05)
    p[10] = 0.9
    groups = np.arange(20)

    def caught(p):
        return evaluate(y, p, groups, arr, as_of=as_of, draws=2)["arr_captured_at_capacity"].value

    assert caught(np.full(20, 0.05)) == pytest.approx(10 / 11)
    # p x ARR of date 2: 0.9 for the smallest beats 0.5 of the largest.
    assert caught(p) == pytest.approx(1.0)


def test_profit_equals_the_reference_implementation():
    """Expected maximum profit is EMPB as empulse computes it."""
    from empulse.metrics import empb_score

    for seed, decimals in ((0, None), (1, 2), (2, 1)):
        y, p, groups, arr, _ = scored(seed=seed, decimals=decimals)
        expected = empb_score(
            y.astype(int), p, clv=arr, alpha=6, beta=14, incentive_fraction=0.05, contact_cost=15
        )
        found = evaluate(y, p, groups, arr, draws=2)["expected_maximum_profit"]
        assert found.value == pytest.approx(expected)


def test_intervals_by_account_are_wider_than_by_row():
    """Rows of one account share their fate: drawing rows would claim twice the precision."""
    y, p, groups, *_ = scored(n_accounts=200, rows_each=6)
    by_account = evaluate(y, p, groups, metrics=["auroc", "average_precision"], draws=400)
    by_row = evaluate(y, p, np.arange(len(y)), metrics=["auroc", "average_precision"], draws=400)
    for name, interval in by_account.items():
        assert interval.low < interval.value < interval.high
        assert interval.high - interval.low > 1.5 * (by_row[name].high - by_row[name].low)


def test_same_seed_gives_same_intervals_however_many_metrics():
    """Draws depend on the seed alone."""
    y, p, groups, arr, _ = scored()
    alone = evaluate(y, p, groups, metrics=["auroc"], draws=50)["auroc"]
    among = evaluate(y, p, groups, arr, draws=50)["auroc"]
    assert alone == among
    assert evaluate(y, p, groups, metrics=["auroc"], draws=50, seed=1)["auroc"] != alone


def test_calibration_interval_knows_right_from_shifted():
    """Right probabilities have 1 and 0 inside, shifted ones are found out."""
    y, p, groups, *_ = scored(n_accounts=1500, rows_each=2)
    right = evaluate(y, p, groups, draws=300)
    assert right["calibration_slope"].low < 1 < right["calibration_slope"].high
    assert right["observed_expected"].low < 1 < right["observed_expected"].high
    assert right["calibration_intercept"].low < 0 < right["calibration_intercept"].high
    y, p, groups, *_ = scored(n_accounts=1500, rows_each=2, drift=0.7)
    shifted = evaluate(y, p, groups, draws=300)
    assert shifted["observed_expected"].high < 1
    assert shifted["calibration_intercept"].value == pytest.approx(-0.7, abs=0.2)


def test_series_and_passes_agree_on_the_refit():
    """Draws far from the whole sample leave the series for passes over the rows, to the same end."""
    y, p, groups, *_ = scored(n_accounts=25, rows_each=1, seed=4)
    codes, accounts = pd.factorize(groups)
    z = np.log(p / (1 - p))
    fit = LogisticRefit(y, z, codes, len(accounts), with_slope=True)
    counts = next(bootstrap_counts(len(accounts), len(y), 60, seed=0))
    for row, (_, slope) in zip(counts, fit.draw(counts), strict=True):
        weights = row[codes]
        if len(set(y[weights > 0])) < 2 or np.isnan(slope):
            continue
        assert slope == pytest.approx(weighted_slope(y, p, weights.astype(float)), rel=2e-3, abs=2e-3)


def test_paired_difference_is_tighter_than_two_intervals():
    """On the same draws a small but steady gain is seen that two separate intervals hide."""
    y, p, groups, *_ = scored(n_accounts=600)
    rng = np.random.default_rng(0)
    worse = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + rng.normal(0, 0.6, len(p)))))
    gain = paired_difference(y, p, worse, groups, "auroc", draws=300)
    a, b = (evaluate(y, q, groups, metrics=["auroc"], draws=300)["auroc"] for q in (p, worse))
    assert gain.value == pytest.approx(a.value - b.value)
    assert gain.low > 0
    assert a.low < b.high
    same = paired_difference(y, p, p, groups, draws=20)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_level_is_two_sided():
    """The low end at 0.95 is the one-sided 97.5% bound: a lower level lies inside."""
    y, p, groups, *_ = scored()
    wide, narrow = (
        paired_difference(y, p, p**2, groups, "log_loss", level=level, draws=300) for level in (0.95, 0.8)
    )
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("y", "p", "name", "reason"),
    [
        ([0, 0, 0], [0.1, 0.2, 0.3], "auroc", "no churn among 3 rows"),
        ([0, 0, 0], [0.1, 0.2, 0.3], "average_precision", "no churn among 3 rows"),
        ([0, 0, 0], [0.1, 0.2, 0.3], "expected_maximum_profit", "no ARR given"),
        ([1, 1, 1], [0.1, 0.2, 0.3], "auroc", "all 3 rows churned"),
        ([0, 1, 0], [0.2, 0.2, 0.2], "calibration_slope", "all probabilities are equal"),
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], "calibration_slope", "the rows do not determine it"),
        ([], [], "log_loss", "no rows"),
    ],
)
def test_rows_that_cannot_tell_give_nan_with_a_reason(y, p, name, reason):
    """No churn, one class, a constant, perfect separation: NaN and why, no error and no warning."""
    interval = evaluate(y, p, list(range(len(y))), draws=20)[name]
    assert math.isnan(interval.value)
    assert interval.reason == reason
    assert interval.to_json() == {"value": None, "low": None, "high": None, "reason": reason}
    if name != "expected_maximum_profit":
        assert paired_difference(y, p, p, list(range(len(y))), name, draws=20).reason == reason or math.isnan(
            paired_difference(y, p, p, list(range(len(y))), name, draws=20).value
        )


def test_one_churner_keeps_its_value_and_says_which_draws_failed():
    """A figure that most draws cannot give keeps its value but claims no interval it does not have."""
    y = np.array([1.0] + [0.0] * 11)
    interval = evaluate(y, np.linspace(0.9, 0.1, 12), np.arange(12), draws=200)["auroc"]
    assert interval.value == 1.0
    assert interval.low <= interval.high or math.isnan(interval.low)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": [0, 2, 1]}, "1 outcomes are neither 0 nor 1"),
        ({"y": [0, math.nan, 1]}, "leave out censored rows"),
        ({"p": [0.1, 0.2, 1.2]}, "1 values of p are no probabilities"),
        ({"p": [0.1, math.nan, 0.2]}, "no probabilities"),
        ({"groups": ["A"]}, "y has 3 rows, groups has 1"),
        ({"metrics": ["auroq"]}, "There is no metric 'auroq'. Did you mean 'auroc'?"),
        ({"capacity": 1.5}, "capacity is 1.5"),
    ],
)
def test_wrong_input_is_refused_in_words(changes, message):
    """Lengths, outcomes, probabilities and names are checked."""
    arguments = {"y": [0, 1, 0], "p": [0.1, 0.2, 0.3], "groups": ["A", "B", "C"]} | changes
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        evaluate(**arguments, draws=5)


def test_days_of_warning_count_from_the_first_flag_that_still_matters():
    """Flagged 90 days ahead is 90; never flagged is 0; a flag from long ago does not count."""
    churned = pd.Timestamp("2024-07-01")
    rows = [
        ("A", churned - pd.Timedelta(days=90), True, churned),
        ("A", churned - pd.Timedelta(days=30), True, churned),
        ("B", churned - pd.Timedelta(days=60), False, churned),
        ("C", churned - pd.Timedelta(days=400), True, churned),
        ("C", churned - pd.Timedelta(days=20), True, churned),
        ("D", churned - pd.Timedelta(days=60), True, pd.NaT),
    ]
    groups, as_of, flagged, ends = zip(*rows, strict=True)
    warning = days_of_warning(groups, as_of, flagged, ends, draws=50)
    assert warning.median.value == 20
    assert (warning.losses, warning.by_notice) == (3, 0)
    assert warning.named == 3 / 4
    # Of the two looked at 60 days before or more, one stood on the list by then; C was not looked at.
    assert warning.shares[60].value == pytest.approx(1 / 2)
    assert warning.shares[90].value == 1.0
    nobody = days_of_warning(["D"], [churned], [True], [pd.NaT])
    assert nobody.losses == 0
    for figure in (nobody.median, *nobody.shares.values()):
        assert figure.to_json() == {"value": None, "low": None, "high": None, "reason": "no account churned"}


def test_warning_after_notice_is_no_warning():
    """With 60 days of notice a flag 80 days before the end came 20 days before it was too late."""
    ends = pd.Timestamp("2024-07-01")
    days = [100, 80, 50, 100, 80, 50]
    as_of = [ends - pd.Timedelta(days=left) for left in days]
    flagged = [False, True, True, False, False, True]
    groups, churned_on = ["A"] * 3 + ["B"] * 3, [ends] * 6
    notice = [60.0, 60.0, 60.0, math.nan, math.nan, math.nan]
    warning = days_of_warning(groups, as_of, flagged, churned_on, notice_days=notice, draws=50)
    # A: on the list 20 days before its notice date; B has none: 50 days before the end.
    assert warning.median.value == pytest.approx((20 + 50) / 2)
    assert (warning.losses, warning.by_notice) == (2, 1)
    assert warning.shares[30].value == pytest.approx(1 / 2)
    assert warning.shares[90].value == 0.0
    late = days_of_warning(["A"], [ends], [True], [ends], notice_days=[60.0])
    assert math.isnan(late.median.value)


def test_a_share_nobody_could_be_warned_for_says_so():
    """Losses looked at 40 days before at the earliest say nothing of 90 days."""
    ends = pd.Timestamp("2024-07-01")
    warning = days_of_warning(["A"], [ends - pd.Timedelta(days=40)], [True], [ends], draws=20)
    assert warning.shares[30].value == 1.0
    assert warning.shares[90].reason == "no account that churned was looked at 90 days before"
    assert list(warning.to_json()["shares"]) == ["30", "60", "90"]
