"""Labels, worked by hand on one account at a time."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from lifecycle_ml.errors import TableError
from lifecycle_ml.outcomes.labels import label_rolling
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import load_workspace, standard_root

RECIPE = load_recipe(load_workspace(standard_root()), "churn")
AS_OF = "2024-06-01"  # + 30 = 07-01, + 90 = 08-30, + 180 = 11-28; grace 30, arrival lag 2
LATER = date(2026, 1, 1)


def tables_of(contracts, outcomes=None, fx_rates=None):
    rows = []
    for position, contract in enumerate(contracts):
        row = {
            "contract_id": f"C{position}",
            "account_id": "A",
            "starts_on": "2023-06-01",
            "ends_on": None,
            "arr": 1200,
            "cancelled_on": None,
            "notice_given_on": None,
            "is_recurring": True,
            "currency": "EUR",
        }
        rows.append(row | contract)
    frame = pd.DataFrame(rows)
    for column in ("starts_on", "ends_on", "cancelled_on", "notice_given_on", "known_at"):
        if column in frame:
            frame[column] = pd.to_datetime(frame[column])
    accounts = pd.DataFrame(
        {"account_id": sorted(set(frame["account_id"])), "created_at": pd.Timestamp("2022-01-01")}
    )
    frames = {"accounts": accounts, "contracts": frame}
    if outcomes is not None:
        frames["outcomes"] = pd.DataFrame(outcomes)
    if fx_rates is not None:
        frames["fx_rates"] = pd.DataFrame(fx_rates)
    return tables_from_frames(frames)


def spine_of(as_of=AS_OF, account="A"):
    days = pd.to_datetime([as_of] if isinstance(as_of, str) else as_of).as_unit("us")
    return pd.DataFrame({"account_id": account, "as_of": days, "known_at": days})


def label(contracts, as_of=AS_OF, data_through=LATER, **more):
    labels = label_rolling(tables_of(contracts, **more), spine_of(as_of), RECIPE, data_through)
    assert len(labels) == 1
    return labels.iloc[0]


def outcome(row):
    return "".join(
        "?" if pd.isna(row[f"outcome_{h}d"]) else str(int(row[f"outcome_{h}d"])) for h in (30, 90, 180)
    )


CASES = {
    "evergreen stays": ([{}], "000"),
    "ends inside 30 days": ([{"ends_on": "2024-06-15"}], "111"),
    "ends inside 90 days": ([{"ends_on": "2024-08-01"}], "011"),
    "ends on the last day of the 30-day window": ([{"ends_on": "2024-06-30"}], "111"),
    "ends exactly at the edge of the 30-day window": ([{"ends_on": "2024-07-01"}], "011"),
    "ends the day after as_of": ([{"ends_on": "2024-06-02"}], "111"),
    "ended on as_of itself": ([{"ends_on": "2024-06-01"}], "???"),
    "starts on as_of": ([{"starts_on": "2024-06-01", "ends_on": "2024-06-11"}], "111"),
    "starts after as_of": ([{"starts_on": "2024-06-02"}], "???"),
    "renewed the same day": (
        [{"ends_on": "2024-06-15"}, {"starts_on": "2024-06-15", "ends_on": "2025-06-15"}],
        "000",
    ),
    "renewed on the last day of grace": (
        [{"ends_on": "2024-06-15"}, {"starts_on": "2024-07-15", "ends_on": "2025-07-15"}],
        "000",
    ),
    "renewed one day after grace": (
        [{"ends_on": "2024-06-15"}, {"starts_on": "2024-07-16", "ends_on": "2025-07-15"}],
        "111",
    ),
    "renewed early, overlapping": (
        [{"ends_on": "2024-06-15"}, {"starts_on": "2024-05-01", "ends_on": "2025-05-01"}],
        "000",
    ),
    "amendment ends, base contract stays": (
        [{"ends_on": "2025-06-01"}, {"starts_on": "2024-01-01", "ends_on": "2024-06-15", "arr": 300}],
        "000",
    ),
    "monthly, cancelled at any time": ([{"cancelled_on": "2024-07-20"}], "011"),
    "cancelled after it would have ended": (
        [{"ends_on": "2024-06-15", "cancelled_on": "2024-09-01"}],
        "111",
    ),
    "replaced by a free plan": (
        [{"ends_on": "2024-06-15"}, {"starts_on": "2024-06-15", "arr": 0}],
        "111",
    ),
    "a one-off purchase does not keep it": (
        [{"ends_on": "2024-06-15"}, {"starts_on": "2024-06-15", "is_recurring": False}],
        "111",
    ),
    "an empty is_recurring counts as recurring": (
        [{"ends_on": "2024-06-15", "is_recurring": True}, {"starts_on": "2024-06-15", "is_recurring": None}],
        "000",
    ),
    "left, returned, left again: the first end counts": (
        [{"ends_on": "2024-06-15"}, {"starts_on": "2024-09-01", "ends_on": "2024-09-20"}],
        "111",
    ),
    "a gap before as_of was within grace": (
        [{"starts_on": "2023-01-01", "ends_on": "2024-05-10"}, {"starts_on": "2024-05-20"}],
        "000",
    ),
}


@pytest.fixture(scope="module")
def worked():
    """Labels of all cases at once, each case an account of its own."""
    contracts = [row | {"account_id": case} for case, (rows, _) in CASES.items() for row in rows]
    spine = pd.concat([spine_of(account=case) for case in CASES])
    return label_rolling(tables_of(contracts), spine, RECIPE, LATER).set_index("account_id")


@pytest.mark.parametrize("case", CASES)
def test_label_case_worked_by_hand(worked, case):
    """Each contract history gets the labels of 30, 90 and 180 days a person would give it."""
    assert outcome(worked.loc[case]) == CASES[case][1]


@pytest.mark.parametrize(
    ("through", "expected"),
    [
        # 2024-06-01 + 30 + 30 + 2 = 08-02, + 90 = 10-01, + 180 = 12-30
        (date(2024, 8, 1), "???"),
        (date(2024, 8, 2), "1??"),
        (date(2024, 9, 30), "1??"),
        (date(2024, 10, 1), "11?"),
        (date(2024, 12, 29), "11?"),
        (date(2024, 12, 30), "111"),
    ],
)
def test_window_grace_and_lag_past_the_data_are_censored(through, expected):
    """A label is given from the day its window, grace and arrival lag have passed, churned or not."""
    assert outcome(label([{"ends_on": "2024-06-20"}], data_through=through)) == expected


def test_planned_end_in_the_future_is_not_yet_churn():
    """A contract that ends after the data does says nothing about churn."""
    row = label([{"ends_on": "2024-12-31"}], data_through=date(2024, 12, 30))
    assert outcome(row) == "000"
    assert pd.isna(row["churned_on"])


def test_rows_known_after_data_through_are_not_used():
    """A renewal that was entered after the data end cannot turn a loss into a stay."""
    contracts = [
        {"ends_on": "2024-06-15", "known_at": "2023-06-01"},
        {"starts_on": "2024-06-15", "known_at": "2025-02-01"},
    ]
    assert outcome(label(contracts, data_through=date(2025, 1, 1))) == "111"
    assert outcome(label(contracts, data_through=LATER)) == "000"


def test_too_late_needs_notice_given_before_as_of():
    """Notice counts from the day after it was given, and only while its contract is in force."""
    given = [{"ends_on": "2024-08-01", "notice_given_on": "2024-05-31"}]
    today = [{"ends_on": "2024-08-01", "notice_given_on": "2024-06-01"}]
    gone = [{"ends_on": "2024-05-20", "notice_given_on": "2024-03-01"}, {"starts_on": "2024-05-20"}]
    assert label(given)["too_late"]
    assert not label(today)["too_late"]
    assert not label(gone)["too_late"]


def test_too_late_needs_notice_known_at_as_of():
    """Notice entered in a later version of the row was not known, however early it was given."""
    contracts = [
        {"contract_id": "C", "ends_on": "2024-08-01", "known_at": "2023-06-01"},
        {
            "contract_id": "C",
            "ends_on": "2024-08-01",
            "notice_given_on": "2024-05-15",
            "known_at": "2024-06-10",
        },
    ]
    assert not label(contracts)["too_late"]
    assert label(contracts, as_of="2024-06-11")["too_late"]


def test_cause_is_the_recorded_reason_nearest_to_the_end():
    """Of two recorded reasons the nearer one counts, and one from another year counts for nothing."""
    outcomes = {
        "account_id": ["A", "A"],
        "happened_on": pd.to_datetime(["2024-06-20", "2024-06-02"]),
        "outcome": ["churned", "churned"],
        "reason": ["non_payment", "champion_left"],
    }
    row = label([{"ends_on": "2024-06-15"}], outcomes=outcomes)
    assert row["cause"] == "non_payment"
    assert row["involuntary"]
    outcomes["happened_on"] = pd.to_datetime(["2022-06-20", "2022-06-02"])
    assert pd.isna(label([{"ends_on": "2024-06-15"}], outcomes=outcomes)["cause"])


def test_an_account_that_stays_has_no_cause():
    """A recorded churn reason without the end of a contract is not a cause of churn."""
    outcomes = {
        "account_id": ["A"],
        "happened_on": pd.to_datetime(["2024-06-20"]),
        "outcome": ["churned"],
        "reason": ["non_payment"],
    }
    row = label([{}], outcomes=outcomes)
    assert pd.isna(row["cause"])
    assert not row["involuntary"]


def test_arr_is_the_sum_of_active_rows_in_constant_currency():
    """Two currencies add up at their newest rates, and a missing rate is named."""
    contracts = [{"arr": 1000}, {"arr": 500, "currency": "USD"}]
    rates = {"currency": ["EUR", "USD", "USD"], "month": pd.to_datetime(["2024-01-01"] * 2 + ["2025-01-01"])}
    assert label(contracts, fx_rates=rates | {"rate": [1.0, 0.7, 0.9]})["arr"] == 1450.0
    with pytest.raises(TableError, match="no rate before 2024-12-01 for USD, the currency of 1 contracts"):
        label(
            contracts,
            data_through=date(2024, 12, 1),
            fx_rates={"currency": ["EUR"], "month": pd.to_datetime(["2024-01-01"]), "rate": [1.0]},
        )


def test_the_reporting_currency_needs_no_rate_of_its_own():
    """Rates are quoted in it, so a rate of 1 may be left out."""
    contracts = [{"arr": 1000}, {"arr": 500, "currency": "USD"}]
    rates = {"currency": ["USD"], "month": pd.to_datetime(["2024-01-01"]), "rate": [0.8]}
    assert label(contracts, fx_rates=rates)["arr"] == 1400.0


def test_labels_keep_one_row_per_snapshot_in_order():
    """Every row of the spine comes back once, sorted, an unknown account without ARR and label."""
    spine = pd.concat([spine_of("2024-06-01", "B"), spine_of(["2024-06-29", "2024-06-01"])])
    labels = label_rolling(tables_of([{"ends_on": "2024-07-15"}]), spine, RECIPE, LATER)
    assert labels["account_id"].tolist() == ["A", "A", "B"]
    assert labels["as_of"].dt.strftime("%m-%d").tolist() == ["06-01", "06-29", "06-01"]
    assert labels["outcome_30d"].tolist()[:2] == [0.0, 1.0]
    assert labels.loc[2, "arr"] == 0.0
    assert pd.isna(labels.loc[2, "outcome_90d"])
