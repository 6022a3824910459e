"""ARR expected to be lost or gained: against sums by hand, and what must hold of any probabilities."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle_ml.models.expected_arr import (
    AS_FITTED,
    calibration_shifts,
    expected_arr,
    expected_arr_of_all,
    mean_rise,
    money_by_date,
)

AS_OF = pd.Timestamp("2026-04-01")


def test_a_month_gets_its_days_of_each_stretch():
    """From 1 April: 30 days are April; of the 60 after, 31 are May and 29 June."""
    table = expected_arr(["A"], AS_OF, [1000.0], [[0.1, 0.3]], (30, 90))
    assert table["month"].dt.strftime("%Y-%m").tolist() == ["2026-04", "2026-05", "2026-06"]
    assert table["probability"].to_numpy() == pytest.approx([0.1, 0.2 * 31 / 60, 0.2 * 29 / 60])
    assert table["expected"].to_numpy() == pytest.approx(1000 * table["probability"].to_numpy())
    assert table["expected"].sum() == pytest.approx(300)
    assert table["expected_low"].to_numpy() == pytest.approx(table["expected"].to_numpy())


def test_an_account_loses_all_or_nothing():
    """In a month it leaves with 2%, 50% and 99% the ends are nothing, nothing to all, and all."""
    table = expected_arr(["A", "B", "C"], AS_OF, [10.0, 20.0, 30.0], [[0.02], [0.5], [0.99]], (30,))
    assert table["arr_low"].tolist() == [0, 0, 30]
    assert table["arr_high"].tolist() == [0, 20, 30]


def test_what_is_gained_is_the_rise():
    """An account that grows by a tenth on average is expected to gain probability x 10% x ARR."""
    table = expected_arr(["A"], AS_OF, [500.0], [[0.2]], (30,), rise=0.1)
    assert table["expected"].tolist() == pytest.approx([10.0])
    assert table["arr_high"].tolist() == pytest.approx([50.0])


def test_mean_rise_is_weighted_by_arr_and_leaves_out_who_did_not_grow():
    """100 to 150 and 900 to 950 are 100 on 1000; a flat account and one censored say nothing."""
    assert mean_rise([100, 900, 50, 70], [150, 950, 50, math.nan], [1, 1, 0, 1]) == pytest.approx(0.1)
    assert math.isnan(mean_rise([100], [100], [0]))


@settings(max_examples=40, deadline=None)
@given(
    chances=st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=6),
    day=st.dates(min_value=AS_OF.date(), max_value=AS_OF.date().replace(year=2030)),
)
def test_months_add_up_to_the_longest_horizon_and_are_never_negative(chances, day):
    """Whatever the probabilities (even falling ones), and wherever in a month it begins."""
    chances = np.array(chances)
    ids = [f"A{i}" for i in range(len(chances))]
    shifts = np.array([[0.0, 0.0], [0.4, -0.1], [-0.4, 0.2]])
    table = expected_arr(
        ids, pd.Timestamp(day), np.full(len(ids), 100.0), chances, (30, 90, 180), shifts=shifts
    )
    assert (table["expected"] >= 0).all()
    sums = table.groupby("account_id")["probability"].sum()
    assert sums.loc[ids].to_numpy() == pytest.approx(chances.max(axis=1))
    assert (table["expected_low"] <= table["expected_high"]).all()
    assert table["month"].dt.day.eq(1).all()


def test_the_sum_of_all_has_the_spread_of_a_binomial():
    """100 accounts of ARR 1 that leave with 20%: 20 expected, and 12 to 28 in 95 of 100 cases."""
    ids = [f"A{i}" for i in range(100)]
    total = expected_arr_of_all(ids, AS_OF, np.ones(100), np.full((100, 1), 0.2), (30,), draws=4000)
    assert pd.isna(total["month"].iloc[-1])
    assert total["expected"].tolist() == pytest.approx([20, 20])
    assert total["low"].iloc[-1] == pytest.approx(12, abs=1)
    assert total["high"].iloc[-1] == pytest.approx(28, abs=1)
    again = expected_arr_of_all(ids, AS_OF, np.ones(100), np.full((100, 1), 0.2), (30,), draws=4000)
    pd.testing.assert_frame_equal(total, again)


def test_doubt_about_the_calibration_widens_both():
    """Intercepts half a unit apart: expectations have ends, and the sum's interval is wider."""
    ids = [f"A{i}" for i in range(200)]
    given_ = (ids, AS_OF, np.ones(200), np.full((200, 1), 0.2), (30,))
    shifts = np.column_stack([np.linspace(-0.5, 0.5, 101), np.zeros(101)])
    sure, unsure = (expected_arr_of_all(*given_, shifts=each).iloc[-1] for each in (AS_FITTED, shifts))
    assert unsure["high"] - unsure["low"] > 1.5 * (sure["high"] - sure["low"])
    one = expected_arr(*given_, shifts=shifts).iloc[0]
    assert one["expected_low"] < one["expected"] < one["expected_high"]


def test_shifts_are_the_refits_of_accounts_drawn():
    """They scatter around 0 about as wide as a logistic regression's own error; one outcome tells nothing."""
    rng = np.random.default_rng(0)
    margin = rng.normal(-1, 1, 3000)
    p = 1 / (1 + np.exp(-margin))
    y = (rng.random(3000) < p).astype(float)
    shifts = calibration_shifts(y, p, range(3000))
    assert shifts.shape == (200, 2)
    w = p * (1 - p)
    design = np.column_stack([np.ones_like(margin), margin])
    error = np.sqrt(np.diag(np.linalg.inv((design * w[:, None]).T @ design)))
    assert shifts.std(axis=0) == pytest.approx(error, rel=0.25)
    assert abs(shifts.mean(axis=0)).max() < 0.05
    assert (calibration_shifts(np.zeros(5), np.linspace(0.1, 0.5, 5), range(5)) == AS_FITTED).all()
    assert (calibration_shifts([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], range(4)) == AS_FITTED).all()


def test_money_is_summed_by_date():
    """Two dates of two accounts: sums and ratios by hand; drawing one account only gives the ends."""
    expected, observed = [10.0, 20.0, 30.0, 0.0], [0.0, 40.0, 30.0, 0.0]
    table, ratio = money_by_date(
        expected, observed, ["A", "B", "A", "B"], [AS_OF, AS_OF, "2026-05-01", "2026-05-01"]
    )
    assert table["accounts"].tolist() == [2, 2]
    assert table["expected"].tolist() == [30, 30]
    assert table["observed"].tolist() == [40, 30]
    assert table["ratio"].tolist() == pytest.approx([4 / 3, 1.0])
    assert ratio.value == pytest.approx(70 / 60)
    # A alone: 30 of 40; B alone: 40 of 20.
    assert (ratio.low, ratio.high) == pytest.approx((0.75, 2.0))


def test_money_nobody_expected_has_no_ratio():
    """Nothing expected: NaN with the reason, and sums all the same."""
    table, ratio = money_by_date([0.0, 0.0], [0.0, 5.0], ["A", "B"], [AS_OF, AS_OF], draws=20)
    assert ratio.reason == "no money was expected to be lost or gained"
    assert table["ratio"].isna().all()
    assert table["observed"].tolist() == [5.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arr": [1.0]}, "2 accounts, 1 values of ARR and 2 rows"),
        ({"horizons": (90, 30)}, r"horizons are \[90, 30\]"),
    ],
)
def test_wrong_input_is_refused_in_words(changes, message):
    """Lengths and the order of horizons are checked."""
    given_ = {"arr": [1.0, 2.0], "probabilities": np.full((2, 2), 0.1), "horizons": (30, 90)} | changes
    with pytest.raises(ValueError, match=message):
        expected_arr(["A", "B"], AS_OF, **given_)
