"""Curves for reading scores: against pandas and scikit-learn, and what they promise of odd rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lifecycle_ml.models.curves import LISTS, capacity_table, decile_table, gain_curve, rate_curve
from lifecycle_ml.models.evaluation import evaluate, paired_difference


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


def test_tenths_hold_what_they_hold():
    """Twenty rows, churners at ranks 1, 2, 5 and 20: lifts 5, 0, 2.5, then 2.5 in the last tenth."""
    y = np.zeros(20)
    y[[0, 1, 4, 19]] = 1
    table = decile_table(y, np.linspace(0.95, 0.0, 20), range(20), draws=20)
    assert table["decile"].tolist() == list(range(1, 11))
    assert table["rows"].tolist() == [2] * 10
    assert table["lift"].to_numpy() == pytest.approx([5, 0, 2.5, 0, 0, 0, 0, 0, 0, 2.5])
    assert table["rate"].to_numpy() == pytest.approx([1, 0, 0.5, 0, 0, 0, 0, 0, 0, 0.5])
    assert table["found"].to_numpy() == pytest.approx([0.5, 0.5, *[0.75] * 7, 1])
    assert table["expected"].iloc[0] == pytest.approx((0.95 + 0.9) / 2)


def test_the_first_tenth_is_the_top_decile_lift():
    """One figure, one value: the table's first lift and interval are the metric's."""
    y, p, groups = scored()
    first = decile_table(y, p, groups, draws=100).iloc[0]
    metric = evaluate(y, p, groups, draws=100, metrics=["top_decile_lift"])["top_decile_lift"]
    assert (first["lift"], first["lift_low"], first["lift_high"]) == pytest.approx(
        (metric.value, metric.low, metric.high)
    )


def test_a_list_is_taken_from_each_date():
    """The best of each date's ten: one of two churners on a list of two, though date 2 has higher scores."""
    as_of = np.repeat([1, 2], 10)
    p = np.concatenate([np.linspace(0.30, 0.12, 10), np.linspace(0.90, 0.72, 10)])
    y = np.zeros(20)
    y[[0, 15]] = 1
    table = capacity_table(y, p, range(20), as_of, lists=(0.1, 0.3), draws=20).set_index("share")
    assert table.loc[0.1, ["accounts", "precision", "recall", "lift"]].tolist() == pytest.approx(
        [1, 0.5, 0.5, 5.0]
    )
    assert table.loc[0.3, ["accounts", "precision", "recall"]].tolist() == pytest.approx([3, 1 / 6, 0.5])
    assert "arr_caught" not in table


def test_captured_money_is_the_metrics():
    """At each length the ARR caught, and what it is above ranking by ARR alone, are those of `evaluate`."""
    y, p, groups = scored()
    rng = np.random.default_rng(0)
    arr, as_of = rng.lognormal(9, 1, len(y)), np.tile(np.arange(4), len(y) // 4)
    table = capacity_table(
        y, p, groups, as_of, arr=arr, against={"arr": np.ones(len(y))}, draws=60
    ).set_index("share")
    assert table.index.tolist() == list(LISTS)
    for share in (0.05, 0.2):
        given = {"as_of": as_of, "capacity": share, "draws": 60}
        name = "arr_captured_at_capacity"
        found = evaluate(y, p, groups, arr, metrics=[name], **given)[name]
        gain = paired_difference(y, p, np.full(len(y), 0.5), groups, name, arr=arr, **given)
        row = table.loc[share]
        assert (row["arr_caught"], row["arr_caught_low"], row["arr_caught_high"]) == pytest.approx(
            (found.value, found.low, found.high)
        )
        assert (row["gain_over_arr"], row["gain_over_arr_low"], row["gain_over_arr_high"]) == pytest.approx(
            (gain.value, gain.low, gain.high)
        )


def test_lists_without_churn_or_money_are_nan():
    """Nobody churned, or those who did paid nothing: NaN and no warning, counts as they are."""
    none = capacity_table([0, 0], [0.1, 0.2], ["A", "B"], [1, 1], arr=[5.0, 6.0], lists=(0.5,), draws=5)
    assert none[["precision", "recall", "arr_caught"]].isna().to_numpy().all()
    assert none["accounts"].tolist() == [1]
    free = capacity_table([1, 0], [0.1, 0.2], ["A", "B"], [1, 1], arr=[0.0, 0.0], lists=(0.5,), draws=50)
    assert free["arr_caught"].isna().all()
    assert free["recall"].tolist() == [0.0]
    assert decile_table([0, 0], [0.1, 0.2], ["A", "B"], draws=5)["lift"].isna().all()


def test_a_list_of_censored_rows_is_refused():
    """Rows without an outcome would leave the dates out of step."""
    with pytest.raises(ValueError, match="leave out censored rows"):
        capacity_table([0, np.nan], [0.1, 0.2], ["A", "B"], [1, 1])


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 6), st.integers(0, 2), st.integers(0, 1), st.integers(0, 5), st.integers(1, 9)
        ),
        min_size=1,
        max_size=40,
    ).filter(lambda rows: any(y for _, _, y, _, _ in rows))
)
def test_longer_lists_never_find_less(rows):
    """However tied: recall and ARR caught rise with the list to all of it, and the whole has no lift."""
    account, as_of, y, tenths, arr = (np.array(column) for column in zip(*rows, strict=True))
    table = capacity_table(
        y,
        tenths / 10,
        account,
        as_of,
        arr=arr,
        against={"arr": np.ones(len(y))},
        lists=(0.1, 0.4, 1.0),
        draws=3,
    )
    for name in ("recall", "arr_caught", "arr_caught_arr"):
        assert (np.diff(table[name]) >= -1e-9).all()
        assert table[name].iloc[-1] == pytest.approx(1.0)
    assert table["lift"].iloc[-1] == pytest.approx(1.0)
    assert table["precision"].iloc[-1] == pytest.approx(y.mean())
