"""Expansion, worked by hand on one account at a time."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.outcomes.snapshots import label, snapshots
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import load_workspace, standard_root

RECIPE = load_recipe(load_workspace(standard_root()), "expansion")
AS_OF = "2024-06-01"  # window up to 2024-11-27, that is before + 180 = 11-28; grace 30, arrival lag 2
LATER = date(2026, 1, 1)
BASE = {"seats": 100, "arr": 10_000, "plan": "team", "product": "platform"}

CASES = {
    "nothing changes": ([{}], "flat"),
    "one seat more of ten": (
        [{"seats": 10, "arr": 1000}, {"on": "2024-08-01", "seats": 1, "arr": 100}],
        "up",
    ),
    "one seat more of a hundred": ([{}, {"on": "2024-08-01", "seats": 1, "arr": 100}], "flat"),
    "five seats more of a hundred": ([{}, {"on": "2024-08-01", "seats": 5, "arr": 500}], "up"),
    "five seats more, on the last day of the window": (
        [{}, {"on": "2024-11-27", "seats": 5, "arr": 500}],
        "up",
    ),
    "five seats more, the day after the window": ([{}, {"on": "2024-11-28", "seats": 5, "arr": 500}], "flat"),
    "five seats more on as_of itself were there before": (
        [{}, {"on": "2024-06-01", "seats": 5, "arr": 500}],
        "flat",
    ),
    "more seats for a while only": (
        [{}, {"on": "2024-07-01", "until": "2024-10-01", "seats": 20, "arr": 2000}],
        "flat",
    ),
    "renewed at a higher price": (
        [{"until": "2024-08-01"}, {"on": "2024-08-01", "arr": 11_000}],
        "uplift",
    ),
    "renewed at a higher price with two seats more": (
        [{"until": "2024-08-01"}, {"on": "2024-08-01", "seats": 102, "arr": 11_200}],
        "flat",
    ),
    "renewed at a higher price with ten seats more": (
        [{"until": "2024-08-01"}, {"on": "2024-08-01", "seats": 110, "arr": 12_100}],
        "up",
    ),
    "renewed with fewer seats at a higher price": (
        [{"until": "2024-08-01"}, {"on": "2024-08-01", "seats": 90, "arr": 11_000}],
        "uplift",
    ),
    "upgraded to another plan": (
        [{"gone": "2024-08-01"}, {"on": "2024-08-01", "plan": "business", "arr": 11_000}],
        "up",
    ),
    "a plan that costs two percent more": (
        [{"gone": "2024-08-01"}, {"on": "2024-08-01", "plan": "business", "arr": 10_200}],
        "flat",
    ),
    "a second product": (
        [{}, {"on": "2024-08-01", "product": "analytics", "seats": None, "arr": 3000}],
        "up",
    ),
    "upgrade co-termed: the old contract replaced by a larger one with the same end": (
        [
            {"until": "2025-01-01", "gone": "2024-08-01"},
            {"on": "2024-08-01", "until": "2025-01-01", "seats": 120, "arr": 12_000},
        ],
        "up",
    ),
    "amendments folded into one contract at renewal, prices up": (
        [
            {"until": "2024-08-01"},
            {"on": "2024-01-01", "until": "2024-08-01", "product": "seats_0", "seats": 20, "arr": 2000},
            {"on": "2024-08-01", "seats": 120, "arr": 12_700},
        ],
        "uplift",
    ),
    "renewed early: both run, neither counts twice": (
        [
            {"id": "old", "until": "2024-12-15"},
            {"on": "2024-11-01", "until": "2025-12-15", "renews": "old"},
        ],
        "flat",
    ),
    "renewed early before as_of: not yet contracted when the old one ends": (
        [{"id": "old", "until": "2024-07-01"}, {"on": "2024-05-15", "renews": "old"}],
        "flat",
    ),
    "renewed late within grace, the end of the window in the gap": (
        [{"until": "2024-11-20"}, {"on": "2024-12-10", "seats": 130, "arr": 13_000}],
        "flat",
    ),
    "renewed late within grace, larger, inside the window": (
        [{"until": "2024-08-01"}, {"on": "2024-08-20", "seats": 130, "arr": 13_000}],
        "up",
    ),
    "fewer seats": (
        [{"until": "2024-08-01"}, {"on": "2024-08-01", "seats": 80, "arr": 8000}],
        "down",
    ),
    "three seats fewer of a hundred": (
        [{"until": "2024-08-01"}, {"on": "2024-08-01", "seats": 97, "arr": 9700}],
        "flat",
    ),
    "churned inside the window": ([{"until": "2024-08-01"}], "churned"),
    "grew, then churned inside the window": (
        [{"until": "2024-10-01"}, {"on": "2024-07-01", "until": "2024-10-01", "seats": 50, "arr": 5000}],
        "churned",
    ),
    "churned after the window": ([{"until": "2024-12-15"}], "flat"),
    "left for longer than grace and came back larger": (
        [{"until": "2024-07-01"}, {"on": "2024-09-01", "seats": 200, "arr": 20_000}],
        "churned",
    ),
    "a higher usage limit on the same plan": (
        [
            {"seats": None, "usage_limit": 1000, "until": "2024-08-01"},
            {"on": "2024-08-01", "seats": None, "usage_limit": 2000, "arr": 14_000},
        ],
        "up",
    ),
    "nothing recorded that tells price from volume": (
        [
            {"seats": None, "plan": None, "product": None, "until": "2024-08-01"},
            {"on": "2024-08-01", "seats": None, "plan": None, "product": None, "arr": 11_000},
        ],
        "up",
    ),
    "a plan recorded for the first time is not new": (
        [{"plan": None, "until": "2024-08-01"}, {"on": "2024-08-01", "arr": 11_000}],
        "uplift",
    ),
    "a one-off purchase is not recurring": (
        [{}, {"on": "2024-08-01", "seats": 50, "arr": 5000, "is_recurring": False}],
        "flat",
    ),
    "not a customer at as_of": ([{"on": "2024-07-01"}], "none"),
}


def tables_of(cases):
    rows = []
    for account, contracts in cases.items():
        for position, contract in enumerate(contracts):
            row = BASE | {"usage_limit": None, "is_recurring": True} | contract
            renews = row.pop("renews", None)
            rows.append(
                {
                    "contract_id": f"{account}/{row.pop('id', position)}",
                    "account_id": account,
                    "renews_contract_id": None if renews is None else f"{account}/{renews}",
                    "starts_on": row.pop("on", "2023-06-01"),
                    "ends_on": row.pop("until", None),
                    "cancelled_on": row.pop("gone", None),
                    **row,
                }
            )
    frame = pd.DataFrame(rows)
    for column in ("starts_on", "ends_on", "cancelled_on"):
        frame[column] = pd.to_datetime(frame[column])
    accounts = pd.DataFrame({"account_id": sorted(cases), "created_at": pd.Timestamp("2022-01-01")})
    return tables_from_frames({"accounts": accounts, "contracts": frame})


def labelled(cases, data_through=LATER, recipe=RECIPE):
    day = pd.Timestamp(AS_OF).as_unit("us")
    spine = pd.DataFrame({"account_id": list(cases), "as_of": day, "known_at": day})
    return label(tables_of(cases), spine, recipe, data_through).set_index("account_id")


@pytest.fixture(scope="module")
def worked():
    """Labels of all cases at once, each case an account of its own."""
    return labelled({name: contracts for name, (contracts, _) in CASES.items()})


@pytest.mark.parametrize("case", CASES)
def test_expansion_case_worked_by_hand(worked, case):
    """Each contract history gets the outcome a person would give it."""
    row, expected = worked.loc[case], CASES[case][1]
    if expected == "none":
        assert pd.isna(row["outcome_180d"])
        assert pd.isna(row["outcome"])
        return
    assert row["outcome"] == {"up": "expanded", "down": "contracted", "uplift": "flat"}.get(
        expected, expected
    )
    assert row["uplift"] == (expected == "uplift")
    assert row["contracted"] == (expected == "down")
    assert row["outcome_180d"] == (expected == "up")


def test_windows_that_reach_past_the_data_are_censored():
    """2024-06-01 + 180 + 30 + 2 = 2024-12-30: the label is given from that day on, grown or not."""
    grown = {"A": [{}, {"on": "2024-06-10", "seats": 50, "arr": 5000}], "B": [{}]}
    early, due = labelled(grown, date(2024, 12, 29)), labelled(grown, date(2024, 12, 30))
    assert early["outcome_180d"].isna().all()
    assert early["outcome"].isna().all()
    assert early["arr_after"].isna().all()
    assert due["outcome_180d"].tolist() == [1.0, 0.0]
    assert due["arr_after"].tolist() == [15_000.0, 10_000.0]


def test_a_larger_seat_tier_asks_for_more_seats():
    """Where seats are sold by the twenty, ten more of a hundred are no expansion."""
    tiers = RECIPE.model_copy(update={"label": RECIPE.label.model_copy(update={"seat_tier": 20})})
    cases = {
        "ten": [{}, {"on": "2024-08-01", "seats": 10, "arr": 1000}],
        "twenty": [{}, {"on": "2024-08-01", "seats": 20, "arr": 2000}],
    }
    assert labelled(cases, recipe=tiers)["outcome_180d"].to_dict() == {"ten": 0.0, "twenty": 1.0}
    assert labelled(cases)["outcome_180d"].to_dict() == {"ten": 1.0, "twenty": 1.0}


@pytest.mark.slow
def test_labels_find_the_growth_a_simulated_company_really_had():
    """Nearly all snapshots called expanded grew by an amendment then; no mere rise in price is one."""
    company = simulate_company(31, 400)
    through = company.first + timedelta(days=company.days)
    rows = snapshots(tables_from_frames(company.tables), RECIPE, through)
    rows = rows[rows["outcome_180d"].notna()].reset_index()
    growth = company.truth["growth"].dropna(subset=["expanded_on"])
    pairs = rows.merge(growth, on="account_id")
    late = pd.Timedelta(days=31)  # monthly contracts carry more seats from the next term on
    after = pairs["expanded_on"] > pairs["as_of"] - late
    inside = after & (pairs["expanded_on"] < pairs["as_of"] + pd.Timedelta(days=180))
    grew = rows["index"].isin(pairs.loc[inside, "index"])
    expanded = rows["outcome"] == "expanded"
    assert expanded.sum() > 200
    assert grew[expanded].mean() > 0.98
    assert (expanded | (rows["outcome"] == "churned"))[grew].mean() > 0.8
    assert rows["uplift"].sum() > 200
    assert not (rows["uplift"] & expanded).any()
