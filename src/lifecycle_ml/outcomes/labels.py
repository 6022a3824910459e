"""Churn by contract, and what all labels share: names, censoring, revenue over time, recorded causes."""

# ruff: noqa: PD004 (ibis has isnull and notnull only)

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd

from lifecycle_ml.errors import TableError
from lifecycle_ml.tables.clock import as_known
from lifecycle_ml.tables.schema import SCHEMAS

if TYPE_CHECKING:
    from lifecycle_ml.outcomes.recipe import Label, Recipe
    from lifecycle_ml.tables.source import Tables

INVOLUNTARY = ("company_closed_or_merged", "non_payment")
"""Recorded reasons nobody at the customer chose; kept as churn, told apart in reports."""

CAUSE_WITHIN_DAYS = 92
"""A recorded outcome farther than this from the end of the contract speaks of something else."""

UNITS = 10_000  # ARR is DECIMAL(18, 4): whole ten-thousandths add up to exactly zero, floats do not


def label_column(horizon_days: int) -> str:
    """Name the label of one horizon, `outcome_90d`."""
    return f"outcome_{horizon_days}d"


def known_through(label: Label, horizon_days: int) -> pd.Timedelta:
    """Distance from as_of to the first date on which the label of this horizon is known.

    The window `[as_of, as_of + H)` must have passed, then grace (a late renewal is not churn), then the lag
    with which contract rows arrive.
    """
    return pd.Timedelta(days=horizon_days + label.grace_days + label.arrival_lag_days)


def label_rolling(tables: Tables, spine: pd.DataFrame, recipe: Recipe, data_through: date) -> pd.DataFrame:
    """Label each snapshot: does ARR above zero reach zero inside the horizon, with no new contract in grace?

    Grain:  one row per row of `spine` (account_id, as_of, known_at), sorted by (account_id, as_of).
    Time:   looks ahead, to `data_through` 00:00Z and no further: contract rows and columns known later are
            not used. A contract is active while `starts_on <= d < min(ends_on, cancelled_on)`; the window
            is `[as_of, as_of + H)`, so an end exactly at as_of + H lies outside.
    Columns: arr           recurring ARR at as_of, in constant currency (0 where no contract was active)
             churned_on    first day without ARR; NaT where the account stayed or the loss is not yet certain
             too_late      notice was already given, and known, for a contract in force at as_of
             cause         recorded reason nearest to churned_on, None where nobody recorded one
             involuntary   the cause is a closure, a merger or non-payment
             outcome_<H>d  1.0, 0.0, or NaN: censored (window, grace and arrival lag reach past
                           data_through, whether or not a loss is already visible) or no ARR at as_of
    Amendments overlap: ARR is the sum over active rows, and only its reaching zero is churn.
    Raises: TableError where several currencies occur and one has no rate.
    """
    label = recipe.label
    steps = arr_steps(tables, data_through)
    periods = active_periods(steps, label.grace_days)
    rows = spine[["account_id", "as_of", "known_at"]].sort_values(["account_id", "as_of"], ignore_index=True)
    labels = rows[["account_id", "as_of"]].copy()
    labels["arr"] = in_force(rows, steps, "from_on", ["arr"])["arr"].fillna(0.0)
    active = labels["arr"] > 0
    ended_on = in_force(rows, periods, "started_on", ["ended_on"])["ended_on"]
    certain = ended_on + known_through(label, 0) < pd.Timestamp(data_through)
    labels["churned_on"] = ended_on.where(active & certain)
    labels["too_late"] = _notice_known(tables, rows) & active
    labels["cause"] = causes_of(tables, labels, data_through)
    labels["involuntary"] = labels["cause"].isin(INVOLUNTARY)
    for horizon in label.horizons_days:
        inside = labels["churned_on"] < labels["as_of"] + pd.Timedelta(days=horizon)
        known = labels["as_of"] + known_through(label, horizon) <= pd.Timestamp(data_through)
        labels[label_column(horizon)] = inside.astype("float64").where(active & known)
    return labels


def arr_steps(tables: Tables, data_through: date) -> pd.DataFrame:
    """Return each account's recurring ARR as a step function, from contracts known at `data_through`.

    Grain: one row per account and date on which its ARR changes, sorted: account_id, from_on, arr (float,
    constant currency). From the last row on, ARR stays what it is: an evergreen contract has no end.
    """
    return step_sums(recurring_contracts(tables, data_through), ["units"]).assign(
        arr=lambda steps: steps.pop("units") / UNITS
    )


def step_sums(contracts: pd.DataFrame, amounts: list[str]) -> pd.DataFrame:
    """Sum whole-number columns over the contracts in force, as a step function.

    contracts: account_id, starts_on, stops_on (NaT: no end), units and `amounts`; rows without revenue or
    without a day in force count for nothing. Grain: as `arr_steps`, with a column per amount.
    """
    valid = (contracts["units"] != 0) & ~(contracts["stops_on"] <= contracts["starts_on"])
    rows = contracts[valid]
    starts = rows[["account_id", *amounts]].assign(from_on=rows["starts_on"])
    ended = rows[rows["stops_on"].notna()]
    stops = (-ended[amounts]).assign(account_id=ended["account_id"], from_on=ended["stops_on"])
    changes = pd.concat([starts, stops], ignore_index=True)
    steps = pd.DataFrame(changes.groupby(["account_id", "from_on"], sort=True)[amounts].sum()).reset_index()
    steps[amounts] = steps.groupby("account_id")[amounts].cumsum()
    return steps


def active_periods(steps: pd.DataFrame, grace_days: int) -> pd.DataFrame:
    """Merge stretches of positive ARR that lie at most `grace_days` apart into active periods.

    Grain: one row per account and period: account_id, started_on, ended_on (first day without ARR; NaT for
    a period without an end). A contract renewed within grace continues its period, so it was never churn.
    """
    account = steps["account_id"]
    active = steps["arr"] > 0
    before = active.groupby(account).shift(fill_value=False).astype(bool)
    # The first step after an active one in which ARR is gone ends the stretch.
    begin = steps[active & ~before]
    end = steps[~active & before]
    stretch = begin.groupby("account_id").cumcount()
    spans = begin[["account_id", "from_on"]].assign(stretch=stretch).rename(columns={"from_on": "started_on"})
    ends = end[["account_id", "from_on"]].assign(stretch=end.groupby("account_id").cumcount())
    spans = spans.merge(ends.rename(columns={"from_on": "ended_on"}), "left", ["account_id", "stretch"])
    last_end = spans.groupby("account_id")["ended_on"].shift()
    apart = ~(spans["started_on"] - last_end <= pd.Timedelta(days=grace_days))
    period = apart.groupby(spans["account_id"]).cumsum().rename("period")
    grouped = spans.groupby(["account_id", period], sort=True)
    merged = pd.DataFrame(grouped.agg(started_on=("started_on", "first")).reset_index())
    # Not "last": it skips NaT, and a period whose last stretch has no end has none.
    merged["ended_on"] = spans.loc[grouped.tail(1).index, "ended_on"].to_numpy()
    return merged[["account_id", "started_on", "ended_on"]]


def recurring_contracts(tables: Tables, data_through: date) -> pd.DataFrame:
    """Return the recurring contracts known at `data_through`, a version each.

    Columns: contract_id, account_id, product, plan, renews_contract_id, starts_on, stops_on (the planned end
    or the cancellation, whichever comes first; NaT: none), seats, usage_limit (float, NaN: not recorded) and
    units (ARR in constant currency, in whole ten-thousandths so that sums are exact).
    """
    through = ibis.timestamp(pd.Timestamp(data_through).to_pydatetime())
    spined = tables["contracts"].mutate(as_of=through, known_until=through)
    known = as_known(spined, SCHEMAS["contracts"])
    rows = known.filter(known.is_recurring.fill_null(True), known.arr.notnull())
    selected: pd.DataFrame = rows.select(
        "contract_id",
        "account_id",
        "product",
        "plan",
        "renews_contract_id",
        "currency",
        starts_on=rows.starts_on.cast("timestamp"),
        ends_on=rows.ends_on.cast("timestamp"),
        cancelled_on=rows.cancelled_on.cast("timestamp"),
        seats=rows.seats.cast("float64"),
        usage_limit=rows.usage_limit.cast("float64"),
        units=(rows.arr * UNITS).cast("int64"),
    ).to_pandas()
    ends = selected[["ends_on", "cancelled_on"]]
    selected["stops_on"] = ends.min(axis=1).astype(selected["ends_on"].dtype)
    selected["units"] = _in_constant_currency(selected, tables, data_through)
    return selected.drop(columns=["currency", "ends_on", "cancelled_on"])


def _in_constant_currency(contracts: pd.DataFrame, tables: Tables, data_through: date) -> pd.Series:
    """ARR in whole ten-thousandths; with several currencies, all at the newest rate before data_through."""
    currencies = sorted(contracts["currency"].dropna().unique())
    if len(currencies) < 2:
        return contracts["units"]
    rates: dict[str, float] = {}
    if "fx_rates" in tables:
        table = tables["fx_rates"]
        known = table.filter(table.month < ibis.date(data_through), table.superseded_at.isnull())
        listed = known.select("currency", "month", rate=known.rate.cast("float64")).to_pandas()
        rates = dict(listed.sort_values("month")[["currency", "rate"]].itertuples(index=False, name=None))
    missing = [currency for currency in currencies if currency not in rates]
    # the reporting currency, in which rates are quoted, need not be listed; where it is, all others must be
    if len(missing) > 1 or (missing and 1.0 in rates.values()):
        count = int(contracts["currency"].isin(missing).sum())
        raise TableError(
            f"fx_rates: no rate before {data_through} for {', '.join(missing)}, the currency of {count} "
            f"contracts; ARR is summed in constant currency. Add a row (currency, month, rate) for each of "
            f"{', '.join(currencies)} but the reporting currency."
        )
    factor = contracts["currency"].map(rates).fillna(1.0)
    return (contracts["units"] * factor).round().astype("int64")


def in_force(
    rows: pd.DataFrame, history: pd.DataFrame, start: str, values: list[str], *, days: int = 0
) -> pd.DataFrame:
    """Return the `values` in force `days` after as_of, row by row: of the newest `history` begun by then."""
    left = rows[["account_id"]].assign(row=np.arange(len(rows)), day=rows["as_of"] + pd.Timedelta(days=days))
    left = left.sort_values("day")
    right = history[["account_id", start, *values]].sort_values(start)
    right[start] = right[start].astype(left["day"].dtype)
    found = pd.merge_asof(left, right, left_on="day", right_on=start, by="account_id")
    return found.sort_values("row", ignore_index=True)[values]


def _notice_known(tables: Tables, rows: pd.DataFrame) -> pd.Series:
    contracts = tables["contracts"].filter(
        lambda t: t.notice_given_on.notnull() & t.is_recurring.fill_null(True) & (t.arr > 0)
    )
    spine = ibis.memtable(rows.rename(columns={"known_at": "known_until"}).assign(row=np.arange(len(rows))))
    known = as_known(contracts.join(spine, "account_id"), SCHEMAS["contracts"])
    day = known.as_of
    runs = (known.starts_on.cast("timestamp") <= day) & known.cancelled_on.isnull()
    runs &= known.ends_on.isnull() | (known.ends_on.cast("timestamp") > day)
    flagged = known.filter(known.notice_given_on.notnull() & runs).select("row").distinct()
    return pd.Series(rows.index.isin(flagged.to_pandas()["row"]), index=rows.index)


def causes_of(tables: Tables, labels: pd.DataFrame, data_through: date) -> pd.Series:
    """Return the reason people recorded nearest to each row's churned_on, None where nobody did."""
    empty = pd.Series([None] * len(labels), index=labels.index, dtype="str")
    churned = labels[["account_id", "churned_on"]].dropna().drop_duplicates().sort_values("churned_on")
    if "outcomes" not in tables or churned.empty:
        return empty
    through = ibis.timestamp(pd.Timestamp(data_through).to_pydatetime())
    spined = tables["outcomes"].mutate(as_of=through, known_until=through)
    known = as_known(spined, SCHEMAS["outcomes"])
    rows = known.filter((known.outcome == "churned") & known.reason.notnull())
    recorded: Any = rows.select(
        "account_id", "reason", happened_on=rows.happened_on.cast("timestamp")
    ).to_pandas()
    if recorded.empty:
        return empty
    recorded["happened_on"] = recorded["happened_on"].astype(churned["churned_on"].dtype)
    nearest = pd.merge_asof(
        churned,
        recorded.sort_values(["happened_on", "reason"]),
        left_on="churned_on",
        right_on="happened_on",
        by="account_id",
        direction="nearest",
        tolerance=pd.Timedelta(days=CAUSE_WITHIN_DAYS),
    )
    found = labels[["account_id", "churned_on"]].merge(nearest, "left", ["account_id", "churned_on"])
    return found["reason"].astype("str").where(found["reason"].notna(), None)
