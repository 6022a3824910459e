"""Snapshots: which customers are looked at on which dates, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from lifecycle_ml.matrix.build import active_accounts, customers
from lifecycle_ml.outcomes.expansion import label_expansion
from lifecycle_ml.outcomes.inactivity import label_inactivity
from lifecycle_ml.outcomes.labels import known_through, label_column, label_rolling
from lifecycle_ml.outcomes.recipe import InactivityLabel, Recipe
from lifecycle_ml.outcomes.renewal import label_renewal

if TYPE_CHECKING:
    from lifecycle_ml.tables.source import Tables


Labeller = Callable[["Tables", pd.DataFrame, Recipe, date], pd.DataFrame]
_LABELLERS: dict[str, Labeller] = {
    "rolling": label_rolling,
    "renewal": label_renewal,
    "inactivity": label_inactivity,
    "expansion": label_expansion,
}


def label(tables: Tables, spine: pd.DataFrame, recipe: Recipe, data_through: date) -> pd.DataFrame:
    """Label each row of a spine as the recipe's mode says: by `label_rolling`, `_renewal`, and so on.

    Grain:  one row per row of `spine` (account_id, as_of, known_at), sorted by (account_id, as_of).
    All modes give account_id, as_of, churned_on, too_late, cause, involuntary and a column `outcome_<H>d`
    per horizon: 1.0 the outcome came about, 0.0 it did not, NaN censored.
    """
    if spine.empty:
        return _empty(recipe).drop(columns="known_at")
    return _LABELLERS[recipe.label.mode](tables, spine, recipe, data_through)


def population(
    tables: Tables,
    recipe: Recipe,
    dates: Sequence[date],
    known_at: datetime | None = None,
    account_ids: Collection[str] | None = None,
) -> pd.DataFrame:
    """Return the spine of the accounts a recipe speaks of on each date: those who pay, or those in use.

    With renewal labels these are all customers too, also those whose renewal is far away or who have none:
    everybody is scored, `snapshots` alone keeps to the lead times.
    Grain, time, `known_at`, `account_ids` and errors as `matrix.spine.customers`.
    """
    if isinstance(recipe.label, InactivityLabel):
        within, counts = recipe.label.active_within_days, recipe.label.meaningful
        return active_accounts(tables, dates, within, counts, known_at, account_ids)
    return customers(tables, dates, known_at, account_ids)


def snapshot_dates(recipe: Recipe, first: date, data_through: date) -> list[date]:
    """Return the as_of dates to learn from, oldest first.

    The newest is the last on which the shortest horizon's label is known at `data_through`; from there back
    in whole steps, while at least the warm-up lies between `first` (where history begins) and the date.
    """
    label, steps = recipe.label, recipe.snapshots
    newest = data_through - known_through(label, label.horizons_days[0]).to_pytimedelta()
    oldest = first + timedelta(days=steps.warmup_days)
    count = (newest - oldest).days // steps.step_days + 1
    return [newest - timedelta(days=steps.step_days * back) for back in range(count - 1, -1, -1)]


def history_start(tables: Tables) -> date | None:
    """Return the first day of which the tables can tell: of contracts and of the usage feed the later.

    A feed that began years after the first contract is what bounds the history of features. None where
    there is neither.
    """
    columns = [("contracts", "starts_on"), ("usage_events", "happened_at")]
    starts = [tables[name][on].cast("date").min().to_pandas() for name, on in columns if name in tables]
    days = [pd.Timestamp(start).date() for start in starts if not pd.isna(start)]
    return max(days) if days else None


def snapshots(tables: Tables, recipe: Recipe, data_through: date, first: date | None = None) -> pd.DataFrame:
    """Return the labelled spine of a recipe.

    Grain:  one row per account of the recipe's `population` and snapshot date, sorted by (account_id, as_of);
            columns account_id, as_of, known_at and those of `label`. A customer whose ARR turned out to have
            ended before as_of is left out, for there was nothing left to lose; with renewal labels also one
            who stands at no lead before a renewal.
    Time:   spine as known at as_of; labels look ahead to `data_through`. History begins at `first`
            (default: `history_start`).
    Empty, with all columns, where history is too short for one date.
    """
    begins = first or history_start(tables)
    dates = snapshot_dates(recipe, begins, data_through) if begins else []
    spine = population(tables, recipe, dates)
    if spine.empty:
        return _empty(recipe)
    labels = label(tables, spine, recipe, data_through)
    labels.insert(2, "known_at", spine.sort_values(["account_id", "as_of"])["known_at"].to_numpy())
    if "lead_days" in labels:
        labels = labels[labels["lead_days"].notna()]
    return labels[labels["arr"] > 0].reset_index(drop=True) if "arr" in labels else labels


def _empty(recipe: Recipe) -> pd.DataFrame:
    kinds = {"account_id": "str", "as_of": "datetime64[us]", "known_at": "datetime64[us]"}
    if recipe.label.mode != "inactivity":
        kinds["arr"] = "float64"
    kinds |= {"churned_on": "datetime64[us]", "too_late": "bool", "cause": "str", "involuntary": "bool"}
    if recipe.label.mode == "renewal":
        kinds |= {"renews_on": "datetime64[us]", "lead_days": "float64"}
    if recipe.label.mode == "expansion":
        kinds |= {"arr_after": "float64", "outcome": "str", "contracted": "bool", "uplift": "bool"}
    kinds |= {label_column(horizon): "float64" for horizon in recipe.label.horizons_days}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
