"""Snapshot dates and the labelled spine; labels once more, against a day-by-day oracle."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.outcomes.labels import label_rolling
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.outcomes.snapshots import history_start, snapshot_dates, snapshots
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import load_workspace, standard_root

RECIPE = load_recipe(load_workspace(standard_root()), "churn")
DAY0 = pd.Timestamp("2023-01-01")
THROUGH = date(2025, 1, 1)


def random_contracts(n_accounts=150, seed=0):
    """Overlaps, gaps around grace, evergreen and cancelled contracts, free plans."""
    rng = np.random.default_rng(seed)
    rows = []
    for account in range(n_accounts):
        day = int(rng.integers(0, 300))
        for _ in range(rng.integers(1, 6)):
            length = int(rng.choice([30, 90, 180, 365]))
            ends = None if rng.random() < 0.12 else day + length
            cancelled = day + int(rng.integers(1, 2 * length)) if rng.random() < 0.25 else None
            arr = float(rng.choice([0, 1200.5, 6000]))
            rows.append((f"A{account}", day, ends, cancelled, arr))
            day += length + int(rng.choice([-40, -1, 0, 0, 1, 29, 30, 31, 70]))
    frame = pd.DataFrame(rows, columns=["account_id", "starts_on", "ends_on", "cancelled_on", "arr"])
    for column in ("starts_on", "ends_on", "cancelled_on"):
        frame[column] = DAY0 + pd.to_timedelta(frame[column].astype("float64"), unit="D")
    frame["contract_id"] = [f"C{row}" for row in range(len(frame))]
    return frame


def tables_of(contracts, **more):
    accounts = pd.DataFrame({"account_id": sorted(contracts["account_id"].unique())})
    accounts["created_at"] = DAY0 - pd.Timedelta(days=30)
    return tables_from_frames({"accounts": accounts, "contracts": contracts, **more})


@pytest.fixture(scope="module")
def company():
    contracts = random_contracts()
    return contracts, tables_of(contracts)


def days_with_arr(contracts, account, n_days=1100):
    """ARR above zero on each day, looked up day by day."""
    arr = np.zeros(n_days)
    for row in contracts[contracts["account_id"] == account].itertuples():
        ends = [end for end in (row.ends_on, row.cancelled_on) if not pd.isna(end)]
        # What is cancelled after the data end is not known yet.
        if not pd.isna(row.cancelled_on) and row.cancelled_on > pd.Timestamp(THROUGH):
            ends = [row.ends_on] if not pd.isna(row.ends_on) else []
        last = min(ends) if ends else DAY0 + pd.Timedelta(days=n_days)
        if row.starts_on > pd.Timestamp(THROUGH):
            continue
        arr[(row.starts_on - DAY0).days : max(0, (last - DAY0).days)] += row.arr
    return arr > 0


def by_hand(active, start, horizon):
    """Walk the window: on the first day without ARR, is there ARR again within grace?"""
    for day in range(start, start + horizon):
        back_within_grace = active[day : day + RECIPE.label.grace_days + 1].any()
        if not active[day] and not back_within_grace:
            return 1.0
    return 0.0


def test_labels_equal_a_walk_through_the_days(company):
    """150 accounts with random contracts, all horizons: labels equal what a day-by-day walk finds."""
    contracts, tables = company
    as_of = pd.to_datetime(["2023-09-01", "2024-01-15", "2024-06-01"]).as_unit("us")
    spine = pd.MultiIndex.from_product(
        [contracts["account_id"].unique(), as_of], names=["account_id", "as_of"]
    )
    rows = spine.to_frame(index=False).assign(known_at=lambda t: t["as_of"])
    labels = label_rolling(tables, rows, RECIPE, THROUGH)
    checked = 0
    for row in labels.itertuples():
        active = days_with_arr(contracts, row.account_id)
        start = (row.as_of - DAY0).days
        assert (row.arr > 0) == active[start]
        for horizon in RECIPE.label.horizons_days:
            value = getattr(row, f"outcome_{horizon}d")
            known = row.as_of + pd.Timedelta(days=horizon + 32) <= pd.Timestamp(THROUGH)
            if active[start] and known:
                assert value == by_hand(active, start, horizon), (row, horizon)
                checked += 1
            else:
                assert pd.isna(value)
    assert checked > 500
    assert 0.05 < labels["outcome_90d"].mean() < 0.6


def test_longer_horizons_only_add_churn(company):
    """Who churned within 30 days churned within 90 and 180."""
    _, tables = company
    labelled = snapshots(tables, RECIPE, THROUGH).dropna()
    assert (labelled["outcome_30d"] <= labelled["outcome_90d"]).all()
    assert (labelled["outcome_90d"] <= labelled["outcome_180d"]).all()


def test_snapshot_dates_end_with_the_last_known_label_and_leave_a_warm_up():
    """The newest date is the last whose 30-day label is known; the oldest keeps 84 days of history."""
    first = date(2023, 1, 1)
    dates = snapshot_dates(RECIPE, first, THROUGH)
    assert dates[-1] == THROUGH - timedelta(days=30 + 30 + 2)
    assert {(b - a).days for a, b in pairwise(dates)} == {28}
    assert first + timedelta(days=84) <= dates[0] < first + timedelta(days=84 + 28)
    assert snapshot_dates(RECIPE, THROUGH, THROUGH) == []


def test_snapshots_hold_customers_with_labels_in_order(company):
    """One sorted row per customer and date, ARR above zero; the newest dates are censored for 90 days."""
    _, tables = company
    rows = snapshots(tables, RECIPE, THROUGH)
    assert rows.columns[:4].tolist() == ["account_id", "as_of", "known_at", "arr"]
    assert (rows["arr"] > 0).all()
    assert not rows.duplicated(["account_id", "as_of"]).any()
    assert rows[["account_id", "as_of"]].equals(
        rows[["account_id", "as_of"]].sort_values(["account_id", "as_of"], ignore_index=True)
    )
    assert rows["outcome_30d"].notna().all()
    newest = rows[rows["as_of"] == rows["as_of"].max()]
    assert newest["outcome_90d"].isna().all()


def test_history_begins_with_the_feed_that_began_last(company):
    """A usage feed younger than the contracts bounds the history."""
    contracts, tables = company
    assert history_start(tables) == contracts["starts_on"].min().date()
    usage = pd.DataFrame({"account_id": ["A1"], "happened_at": [pd.Timestamp("2024-02-03 10:00")]})
    assert history_start(tables_of(contracts, usage_events=usage)) == date(2024, 2, 3)


def test_too_short_a_history_gives_an_empty_spine_with_all_columns(company):
    """No date fits: the columns are there, the rows are not."""
    _, tables = company
    full = snapshots(tables, RECIPE, THROUGH)
    empty = snapshots(tables, RECIPE, date(2023, 3, 1))
    assert empty.empty
    assert empty.columns.tolist() == full.columns.tolist()
    assert empty.dtypes.astype(str).tolist() == full.dtypes.astype(str).tolist()
