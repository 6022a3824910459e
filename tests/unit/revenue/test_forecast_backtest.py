"""Past forecasts: made from what was known on their day, judged by what is certain today."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.revenue.books import read_books
from lifecycle_ml.revenue.forecast_backtest import forecast_with_past
from lifecycle_ml.revenue.forecast_report import forecast_report, how_it_did
from lifecycle_ml.revenue.retention import retention
from lifecycle_ml.tables.source import tables_from_frames

ACCOUNTS = 60


def company(late=False):
    """60 evergreen accounts from January 2022; one leaves in the middle of every month from July on.

    late: that account 59 left in December 2023 becomes known in June 2024.
    """
    names = [f"A{at:02}" for at in range(ACCOUNTS)]
    left = pd.date_range("2022-07-15", periods=24, freq="MS") + pd.Timedelta(days=14)
    cancelled = [left[at] if at < len(left) else pd.NaT for at in range(ACCOUNTS)]
    contracts = pd.DataFrame(
        {
            "contract_id": names,
            "account_id": names,
            "starts_on": pd.Timestamp("2022-01-10"),
            "ends_on": pd.NaT,
            "arr": 1000.0,
            "cancelled_on": cancelled,
            "known_at": pd.Timestamp("2022-01-10"),
        }
    )
    if late:
        again = contracts[contracts["contract_id"] == "A59"].assign(
            cancelled_on=pd.Timestamp("2023-12-10"), known_at=pd.Timestamp("2024-06-01")
        )
        contracts = pd.concat([contracts, again], ignore_index=True)
    accounts = pd.DataFrame({"account_id": names, "created_at": pd.Timestamp("2021-12-01")})
    return tables_from_frames({"accounts": accounts, "contracts": contracts})


def made(tables, known_on="2024-07-01", **options):
    return forecast_with_past(tables, date.fromisoformat(known_on), 30, 2, **options)


@pytest.fixture(scope="module")
def usual():
    """The forecasts of the company on 1 July 2024, made once."""
    return made(company(), origins=5)


def test_past_forecasts_are_whole_quarters_back_and_judged_by_the_books(usual):
    """May 2024 is the newest certain month: grace and lag have not passed since the end of June."""
    books = read_books(company(), date(2024, 7, 1), 30, 2)[0]
    real = retention(books, draws=1).set_index("month")["nrr"]
    past = usual.past

    assert list(past["known_on"].unique()) == [date(2023, month, 1) for month in (4, 7, 10)] + [
        date(2024, 1, 1)
    ]
    assert past["nrr_realised"].to_numpy() == pytest.approx(real.loc[past["month"]].to_numpy())
    assert past["month"].max() == "2024-03"


def test_a_steady_loss_is_forecast_as_it_comes(usual):
    """One of about 45 leaves a month, a growing part; a quarter ahead that costs little over a point."""
    one = usual.past[usual.past["quarter"] == 1]

    assert (one["nrr"] - one["nrr_realised"]).abs().max() < 0.015
    assert one["nrr_inside"].all()


def test_what_became_known_later_moves_no_past_forecast(usual):
    """That A59 left in December is known in June: said on 1 April it was still there."""
    late = made(company(late=True), origins=5)
    keys = ["known_on", "month", "nrr", "nrr_low"]
    before = usual.past["known_on"] <= date(2024, 4, 1)

    pd.testing.assert_frame_equal(usual.past.loc[before, keys], late.past.loc[before, keys])
    assert late.past["nrr_realised"].sum() < usual.past["nrr_realised"].sum()
    assert late.quarters["nrr"].iloc[0] < usual.quarters["nrr"].iloc[0]


def test_the_level_of_an_interval_rests_on_what_had_come_true_by_then(usual):
    """Cutting away the newest half year leaves the older forecasts with the same intervals."""
    older = made(company(), "2024-01-01", origins=3).past
    same = older.merge(usual.past, on=["known_on", "month"], suffixes=("", "_later"))

    assert len(same) == len(older) > 0
    assert same["nrr_low"].to_numpy() == pytest.approx(same["nrr_low_later"].to_numpy())


def test_books_without_a_loss_make_no_forecast_and_say_why():
    found = made(company(), "2022-07-01")

    assert found.made is None
    assert "since the first loss in them no quarter is over and certain yet" in found.says


def test_how_past_forecasts_did_by_hand():
    past = pd.DataFrame(
        {
            "nrr": [0.9, 0.8],
            "nrr_low": [0.85, 0.75],
            "nrr_high": [0.95, 0.85],
            "nrr_realised": [0.92, 0.9],
            "nrr_last_year": [0.97, np.nan],
            "nrr_inside": [True, False],
        }
    )
    did = how_it_did(past, "nrr")

    assert (did["forecasts"], did["inside"], did["beside"]) == (2, 1, 1)
    assert did["error"] == pytest.approx(0.06)
    assert (did["error_beside"], did["last_year"]) == (pytest.approx(0.02), pytest.approx(0.05))


def test_the_report_holds_plain_values_in_units_of_money(usual):
    """36 accounts are left, one of them carried because it may yet renew: it is expected lost with 80%."""
    books = read_books(company(), date(2024, 7, 1), 30, 2)[0]
    report = forecast_report(books, usual, "no scores")
    rate = report["rates"]["classes"][0]["lost_after"]

    assert report["quarters"][0]["arr_then"] == report["quarters"][0]["accounts"] * 1000.0
    assert 35_000 * rate < report["at_risk"][0]["lost"] < 37_000 * rate + 1000
    assert report["no_models"] == "no scores"
