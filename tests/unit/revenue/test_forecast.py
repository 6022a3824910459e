"""The forecast of NRR and GRR against figures worked out by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.revenue.books import Books
from lifecycle_ml.revenue.forecast import forecast, with_interval
from lifecycle_ml.revenue.outlook import Outlook, outlook_of
from lifecycle_ml.revenue.rates import Rates, learn_rates, newest_settled, recorded_from
from lifecycle_ml.revenue.terms import CLASSES

NO_TERMS = pd.DataFrame(
    {name: pd.Series(dtype="int64") for name in ("known", "starts", "ends", "cancelled", "notice")}
).assign(account_id=pd.Series(dtype="str"))
"""Nobody has an end: everybody may leave at any time."""


def books(levels, known_on="2024-01-01", awaiting=()):
    """Books from (accounts, months) whole units, the last month being the one before known_on."""
    arr = np.asarray(levels, dtype=np.int64) * 100
    count, months = arr.shape
    last = pd.Period(known_on, "M") - 1
    return Books(
        currency=None,
        advice=None,
        known_on=date.fromisoformat(known_on),
        months=pd.period_range(last - months + 1, last, freq="M"),
        accounts=np.array([f"A{at:03}" for at in range(count)]),
        segments=np.full(count, "smb"),
        arr=np.column_stack([np.zeros(count, dtype=np.int64), arr]),
        price=np.zeros((count, months), dtype=np.int64),
        awaiting=np.isin(np.arange(count), awaiting),
    )


def rates(lost=0.1, grew=0.0, shrank=0.0, rise=0.0, fall=0.0, doubt=0.0, back=0.0):
    shape = (len(CLASSES), 2)
    return Rates(
        lost=np.full(shape, lost),
        lost_doubt=np.full(shape, doubt),
        grew=np.full(len(CLASSES), grew),
        shrank=np.full(len(CLASSES), shrank),
        rise=rise,
        fall=fall,
        rise_squared=rise**2,
        fall_squared=fall**2,
        change_doubt=0.0,
        back=back,
        quarters=100,
        losses=10,
    )


STEADY = [[100] * 12] * 30


def test_losses_multiply_up_quarter_by_quarter():
    """A tenth leaves in each quarter, nobody changes: 90%, 81%, 72.9%, 65.61% of what was there."""
    found = forecast(books(STEADY), NO_TERMS, rates(0.1)).quarters

    assert list(found["month"]) == ["2024-03", "2024-06", "2024-09", "2024-12"]
    assert found["nrr"].to_numpy() == pytest.approx([0.9, 0.81, 0.729, 0.6561])
    assert found["grr"].to_numpy() == pytest.approx(found["nrr"].to_numpy())


def test_what_is_over_of_the_twelve_months_counts_as_it_was():
    """One of 30 left in June: the year to March has 29/30 x 90%, the year to December begins after it."""
    gone = [100] * 5 + [0] * 7
    found = forecast(books([gone, *STEADY[1:]]), NO_TERMS, rates(0.1)).quarters

    assert found["nrr"].iloc[0] == pytest.approx(0.9 * 29 / 30)
    assert found["nrr"].iloc[3] == pytest.approx(0.9**4)


def test_growth_lifts_nrr_and_not_grr():
    """Nobody leaves; half grow by a fifth in a quarter, a tenth shrink by a half: +10% - 5%."""
    found = forecast(books(STEADY), NO_TERMS, rates(0.0, 0.5, 0.1, 0.2, 0.5)).quarters

    assert found["nrr"].iloc[0] == pytest.approx(1.05)
    assert found["grr"].iloc[0] == pytest.approx(1 - 0.1 * 0.5)
    # two quarters: fell once and rose once is 0.6, fell twice 0.25, fell once 0.5
    twice = 2 * 0.1 * 0.5 * 0.6 + 2 * 0.1 * 0.4 * 0.5 + 0.01 * 0.25
    assert found["grr"].iloc[1] == pytest.approx(1 - (2 * 0.1 * 0.5 + 2 * 0.1 * 0.4 + 0.01) + twice)


def test_grr_counts_no_more_than_was_paid_then():
    """Who doubled since and leaves with 10% keeps 90% of what was paid then."""
    grown = [100] * 3 + [200] * 9
    first = forecast(books([grown] * 30), NO_TERMS, rates(0.1)).quarters.iloc[0]

    assert first["nrr"] == pytest.approx(2 * 0.9)
    assert first["grr"] == pytest.approx(0.9)


def test_chance_is_that_of_accounts_one_by_one():
    """30 accounts of one size, each there with 90%: variance 30 x 0.09 of (1/30)^2 each."""
    first = forecast(books(STEADY), NO_TERMS, rates(0.1)).quarters.iloc[0]

    assert first["nrr_chance"] == pytest.approx(0.09 / 30)
    assert first["grr_chance"] == pytest.approx(0.09 / 30)


def test_doubt_about_a_rate_moves_all_accounts_of_its_class():
    """A rate off by 2 points moves a quarter by 2 points, whatever the number of accounts."""
    first = forecast(books(STEADY), NO_TERMS, rates(0.1, doubt=0.02)).quarters.iloc[0]

    assert first["nrr_model"] == pytest.approx(0.02**2)


def test_account_models_speak_for_two_quarters_and_the_past_beyond():
    said = Outlook(
        "said", pd.DataFrame({0: [0.2] * 30, 1: [0.3] * 30}, index=books(STEADY).accounts), None, 0.1
    )
    found = forecast(books(STEADY), NO_TERMS, rates(0.1), said).quarters

    assert found["nrr"].to_numpy() == pytest.approx([0.8, 0.56, 0.56 * 0.9, 0.56 * 0.81])
    assert found["nrr_model"].iloc[0] == pytest.approx((0.1 * 0.2) ** 2)


def test_the_expansion_model_says_who_grows_and_not_how_much_in_all():
    levels = [[100] * 12] * 15 + [[300] * 12] * 15
    two = books(levels)
    grows = pd.Series([0.1] * 15 + [0.3] * 15, index=two.accounts)
    said = Outlook("said", pd.DataFrame({0: [0.0] * 30, 1: [0.0] * 30}, index=two.accounts), grows)
    alone = forecast(two, NO_TERMS, rates(0.0, 0.2, 0.0, 0.5))
    tilted = forecast(two, NO_TERMS, rates(0.0, 0.2, 0.0, 0.5), said)

    assert tilted.quarters["nrr"].iloc[0] == pytest.approx(alone.quarters["nrr"].iloc[0])
    gained = tilted.accounts.set_index("account_id")["gained"]
    assert (
        gained["A029"] / gained["A000"] > alone.accounts["gained"].iloc[29] / alone.accounts["gained"].iloc[0]
    )


def test_an_account_whose_contract_has_ended_is_there_as_often_as_such_came_back():
    """One of 30 is carried; 3 of 15 came back, and the prior is 1 of 5: a fifth."""
    found = forecast(books(STEADY, awaiting=(0,)), NO_TERMS, rates(0.0), None, (3, 15))

    assert found.quarters["nrr"].iloc[0] == pytest.approx((29 + 0.2) / 30)
    assert found.flows["lost"].iloc[0] == pytest.approx(0.8 * 10_000)


def test_what_was_lost_may_be_won_back():
    gone = [100] * 5 + [0] * 7
    first = forecast(books([gone, *STEADY[1:]]), NO_TERMS, rates(0.0, back=0.1)).quarters.iloc[0]

    assert first["nrr"] == pytest.approx((29 + 0.1) / 30)


def test_arr_with_few_accounts_has_no_interval_and_says_so():
    found = with_interval(
        forecast(books(STEADY[:5]), NO_TERMS, rates(0.1)).quarters, {"nrr": 0.0, "grr": 0.0}
    )

    assert found["nrr_low"].isna().all()
    assert "too few accounts (as if 5" in found["no_interval"].iloc[0]


def test_the_interval_adds_up_chance_model_and_level():
    quarters = forecast(books(STEADY), NO_TERMS, rates(0.1, doubt=0.02)).quarters
    first = with_interval(quarters, {"nrr": 0.0001, "grr": 0.0}).iloc[0]
    spread = 1.959964 * (0.003 + 0.0004 + 0.0001) ** 0.5

    assert (first["nrr_high"] - first["nrr_low"]) / 2 == pytest.approx(spread, rel=1e-5)
    assert first["grr_high"] <= 1.0


def test_chances_by_quarter_from_chances_by_horizon():
    """From 10% in 90 days and 19% in 180, a steady rate: 91 days lose 1 - 0.9^(91/90), and so on."""
    found = outlook_of("said", np.array(["A"]), (30, 90, 180), np.array([[0.03, 0.1, 0.19]]))
    first = 1 - 0.9 ** (91 / 90)

    assert found.lost.loc["A", 0] == pytest.approx(first)
    assert found.lost.loc["A", 1] == pytest.approx(1 - 0.81 / (1 - first))
    assert outlook_of("said", np.array(["A"]), (30, 90), np.array([[0.03, 0.1]])) is None


def test_months_are_settled_once_grace_and_lag_have_passed():
    """Known on 1 January with 32 days: the end of November is 32 days ago, that of October 62."""
    assert newest_settled(books(STEADY), 32) == 9
    assert newest_settled(books(STEADY), 0) == 11


def test_nothing_is_learned_from_before_the_first_loss():
    """The first loss is seen at the end of the sixth month; without one nothing is learned."""
    gone = [100] * 5 + [0] * 7
    told = books([gone, *STEADY[1:]])

    assert recorded_from(told) == 5
    assert recorded_from(books(STEADY)) == 12
    assert learn_rates(books(STEADY), NO_TERMS, 0) is None


def test_rates_are_weighted_by_arr_and_shrunk_to_all():
    """Quarters from June to September: of 40 accounts of 100 one of 900 leaves in August."""
    early, late = [100] * 5 + [0] * 7, [900] * 7 + [0] * 5
    steady = [[100] * 12] * 40
    found = learn_rates(books([early, late, *steady]), NO_TERMS, 0)
    # begins June, July, August, September: 4,900 + 4,900 + 4,000 + 4,000, lost 900 twice
    assert found.quarters == 41 + 41 + 40 + 40
    assert found.losses == 2
    # all are of one class and in their first year, so shrinking changes nothing
    assert found.lost[0, 1] == pytest.approx(1800 / 17_800)


def test_rises_and_falls_are_means_over_those_who_changed():
    up, down = [100] * 8 + [150] * 4, [100] * 8 + [80] * 4
    gone = [100] * 5 + [0] * 7
    found = learn_rates(books([gone, up, down, *STEADY[:8]]), NO_TERMS, 0)

    assert found.rise == pytest.approx(0.5)
    assert found.fall == pytest.approx(0.2)
    # quarters from June to September: of 10 accounts one grows, in the three that reach into September
    assert found.grew[0] == pytest.approx((100 * 3) / (1000 * 3 + 1030))
