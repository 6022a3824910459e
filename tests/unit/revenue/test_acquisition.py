"""CAC, payback and LTV against numbers worked out by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.revenue.acquisition import acquisition
from lifecycle_ml.revenue.books import read_books
from lifecycle_ml.tables.source import tables_from_frames

KNOWN_ON = date(2025, 1, 1)


def tables_of(costs=(600.0, 900.0, None)):
    """Ten partner accounts of 1,200, of which five left after half a year; three from the web, none lost."""
    accounts = pd.DataFrame({"account_id": [f"P{at}" for at in range(10)] + ["W0", "W1", "W2"]})
    partner = accounts["account_id"].str.startswith("P")
    accounts["acquisition_channel"] = partner.map({True: "partner", False: "web"})
    accounts["acquisition_campaign"] = pd.Series(["spring"] * 4, dtype="str").reindex(accounts.index)
    accounts["acquisition_cost"] = [500.0] * 10 + list(costs)
    accounts["created_at"] = pd.Timestamp("2023-01-01")
    contracts = pd.DataFrame(
        {
            "contract_id": [f"C-{name}" for name in accounts["account_id"]],
            "account_id": accounts["account_id"],
            "starts_on": pd.Timestamp("2024-01-01"),
            "ends_on": [pd.Timestamp("2024-07-01")] * 5 + [None] * 8,
            "arr": [1200] * 10 + [3000, 2000, 9000],
        }
    ).astype({"ends_on": "datetime64[us]"})
    return tables_from_frames({"accounts": accounts, "contracts": contracts})


def rows_of(tables, **options):
    (books,) = read_books(tables, KNOWN_ON, 30)
    return acquisition(tables, books, **options).set_index("group")


def test_cac_and_payback_by_hand():
    """500 an account of 100 a month; 600 and 900 for the two of known cost, of 5,000 a year together."""
    table = rows_of(tables_of())

    assert list(table["cac"]) == [500, 750]
    assert list(table["costed"]) == [10, 2]
    assert table.loc["partner", "payback_months"] == pytest.approx(5)
    assert table.loc["web", "payback_months"] == pytest.approx(1500 / (5000 / 12))


def test_ltv_by_hand():
    """Five lost in 5 x 6/12 + 5 x 11/12 account-years; those that stay pay 1,200.

    A month counts from its opening: the one in which an account was won has none yet.
    """
    partner = rows_of(tables_of()).loc["partner"]

    assert (partner["losses"], partner["accounts_now"]) == (5, 5)
    assert partner["account_years"] == pytest.approx(5 * 6 / 12 + 5 * 11 / 12)
    assert partner["ltv"] == pytest.approx(1200 / (5 / (85 / 12)))
    assert partner["ltv_to_cac"] == pytest.approx(partner["ltv"] / 500)
    assert partner["ltv_low"] < partner["ltv"] < partner["ltv_high"]


def test_gross_margin_lengthens_payback_and_lowers_ltv():
    whole, half = rows_of(tables_of()).loc["partner"], rows_of(tables_of(), gross_margin=0.5).loc["partner"]

    assert half["payback_months"] == pytest.approx(2 * whole["payback_months"])
    for name in ("ltv", "ltv_low", "ltv_high"):
        assert half[name] == pytest.approx(whole[name] / 2)


def test_without_losses_nobody_knows_a_lifetime():
    web = rows_of(tables_of()).loc["web"]

    assert np.isnan(web[["ltv", "ltv_low", "ltv_high", "ltv_to_cac"]].astype(float)).all()


def test_without_costs_there_is_no_cac():
    table = rows_of(tables_of(costs=(None, None, None)))

    assert np.isnan(table.loc["web", "cac"])
    assert np.isnan(table.loc["web", "payback_months"])
    assert table.loc["partner", "cac"] == 500


def test_accounts_of_no_campaign_are_a_group_of_their_own():
    table = rows_of(tables_of(), by="acquisition_campaign")

    assert dict(table["accounts"]) == {"not recorded": 9, "spring": 4}
