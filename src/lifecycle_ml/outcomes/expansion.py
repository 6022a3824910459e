"""Expansion: who bought more, told apart from who merely paid more."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lifecycle_ml.outcomes.labels import (
    UNITS,
    in_force,
    known_through,
    label_column,
    label_rolling,
    recurring_contracts,
    step_sums,
)
from lifecycle_ml.outcomes.recipe import ExpansionLabel

if TYPE_CHECKING:
    from lifecycle_ml.outcomes.recipe import Recipe
    from lifecycle_ml.tables.source import Tables

_EXACT = 1e-9  # shares of money are compared with a margin for the rounding of floats


def label_expansion(tables: Tables, spine: pd.DataFrame, recipe: Recipe, data_through: date) -> pd.DataFrame:
    """Label each snapshot: retained through the horizon, and recurring ARR up by more than a rise in price?

    Grain and time: as `label_rolling`. A contract that renews another ends it on the day it starts, so an
    early renewal is no growth while both run. ARR at the end is that of the last day of the window; in a gap
    that was renewed within grace, that of the day before the gap.
    Growth is what ARR gained; while no new plan and no new product came, at most what seats (or the usage
    limit) grew by at the old price: the rest is price. Where a row records none of the four, price cannot be
    told apart and the whole gain is growth. It counts from `min_share` of ARR and from `seat_tier` seats.
    Columns: arr, churned_on, too_late, cause, involuntary as `label_rolling`
             arr_after    ARR at the end of the window, 0 where churned inside it; NaN where censored
             outcome      churned, expanded, contracted (ARR down by as much as growth must be up), flat;
                          None where censored
             contracted   the outcome is contracted
             uplift       ARR is up and nothing grew: a rise in price
             outcome_<H>d 1.0 expanded, 0.0 any other outcome, NaN censored or no ARR at as_of
    Raises: TableError as `label_rolling`.
    """
    label = recipe.label
    assert isinstance(label, ExpansionLabel)
    horizon = label.horizon_days
    labels = label_rolling(tables, spine, recipe, data_through)
    contracts = _superseded(recurring_contracts(tables, data_through))
    steps = _levels(contracts)
    before = in_force(labels, steps, "from_on", _LEVELS).fillna(0.0)
    standing = steps[steps["arr"] > 0]
    after = in_force(labels, standing, "from_on", _LEVELS, days=horizon - 1).fillna(0.0)
    churned = labels["churned_on"] < labels["as_of"] + pd.Timedelta(days=horizon)
    known = labels["as_of"] + known_through(label, horizon) <= pd.Timestamp(data_through)
    known &= before["arr"] > 0
    gain = after["arr"] - before["arr"]
    exact = _EXACT * before["arr"]
    new, recorded = _bought(labels, contracts, horizon, (gain > exact) & known & ~churned)
    growth = gain.where(new, np.minimum(gain, before["arr"] * (_volume(before, after) - 1)))
    growth = growth.where(recorded | (_volume(before, after) != 1), gain)
    tier = (label.seat_tier / before["seats"].where(before["seats"] > 0)).fillna(0.0)
    needed = before["arr"] * np.maximum(tier, label.min_share) - exact
    stayed = known & ~churned
    labels["arr"] = before["arr"]
    labels["arr_after"] = after["arr"].where(~churned, 0.0).where(known)
    labels["outcome"] = pd.Series(
        np.select(
            [~known, churned, growth >= needed, -gain >= needed],
            ["", "churned", "expanded", "contracted"],
            "flat",
        ),
        index=labels.index,
        dtype="str",
    ).where(known, None)
    labels["contracted"] = labels["outcome"] == "contracted"
    labels["uplift"] = stayed & (gain > exact) & (growth <= exact)
    labels[label_column(horizon)] = (labels["outcome"] == "expanded").astype("float64").where(known)
    return labels


_LEVELS = ["arr", "seats", "usage_limit"]


def _superseded(contracts: pd.DataFrame) -> pd.DataFrame:
    """End each contract no later than the paid contract that renews it starts."""
    following = contracts[contracts["renews_contract_id"].notna() & (contracts["units"] > 0)]
    starts = following.groupby("renews_contract_id")["starts_on"].min()
    stops = contracts["stops_on"]
    renewed_on = pd.Series(starts.reindex(contracts["contract_id"]).to_numpy(), index=stops.index)
    first = pd.concat([stops, renewed_on], axis=1).min(axis=1)
    return contracts.assign(stops_on=first.astype(stops.dtype))


def _levels(contracts: pd.DataFrame) -> pd.DataFrame:
    """Step function of ARR, seats and usage limit (0 where nothing is recorded)."""
    whole = contracts.assign(
        seats=contracts["seats"].fillna(0).round().astype("int64"),
        usage_limit=contracts["usage_limit"].fillna(0).round().astype("int64"),
    )
    steps = step_sums(whole, ["units", "seats", "usage_limit"])
    return steps.assign(arr=steps["units"] / UNITS).drop(columns="units")


def _volume(before: pd.DataFrame, after: pd.DataFrame) -> pd.Series:
    """Seats (or usage limit) at the end over those at as_of, the larger; 1 where neither is known."""
    ratios = [
        (after[name] / before[name].where(before[name] > 0)).where(after[name] > 0)
        for name in ("seats", "usage_limit")
    ]
    return pd.concat(ratios, axis=1).max(axis=1).fillna(1.0)


def _bought(
    labels: pd.DataFrame, contracts: pd.DataFrame, horizon: int, asked: pd.Series
) -> tuple[pd.Series, pd.Series]:
    """Tell of the rows asked about whether a plan or product is new at the end, and whether any of the four
    things that tell growth from price (plan, product, seats, usage limit) is recorded there.
    """
    rows = labels.loc[asked, ["account_id", "as_of"]].reset_index(names="row")
    pairs = rows.merge(contracts[contracts["units"] > 0], on="account_id")
    last = pairs["as_of"] + pd.Timedelta(days=horizon - 1)

    def runs(day: pd.Series) -> pd.Series:
        return (pairs["starts_on"] <= day) & ~(pairs["stops_on"] <= day)

    then, now = pairs[runs(pairs["as_of"])], pairs[runs(last)]
    new: set[int] = set()
    for name in ("plan", "product"):
        had = then[["row", name]].dropna().drop_duplicates()
        has = now[["row", name]].dropna().drop_duplicates()
        # What was not recorded at as_of cannot be said to be new.
        has = has[has["row"].isin(had["row"])]
        side = has.merge(had, how="left", on=["row", name], indicator="side")
        new |= set(side.loc[side["side"] == "left_only", "row"])
    told = now.loc[now[["plan", "product", "seats", "usage_limit"]].notna().any(axis=1), "row"]
    return (
        pd.Series(labels.index.isin(new), index=labels.index),
        pd.Series(labels.index.isin(told), index=labels.index),
    )
