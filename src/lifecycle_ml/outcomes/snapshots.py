"""Snapshots: which customers are looked at on which dates, and what became of them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from lifecycle_ml.matrix.build import customers
from lifecycle_ml.outcomes.labels import known_through, label_column, label_rolling

if TYPE_CHECKING:
    from lifecycle_ml.outcomes.recipe import Recipe
    from lifecycle_ml.tables.source import Tables


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
    """Return the first day of which the tables can tell: contracts and, where there is one, the usage feed.

    A feed that began years after the first contract is what bounds the history of features. None where
    there is no contract.
    """
    starts = [tables["contracts"].starts_on.cast("date").min().to_pandas()]
    if "usage_events" in tables:
        starts.append(tables["usage_events"].happened_at.cast("date").min().to_pandas())
    days = [pd.Timestamp(start).date() for start in starts if not pd.isna(start)]
    return max(days) if days else None


def snapshots(tables: Tables, recipe: Recipe, data_through: date, first: date | None = None) -> pd.DataFrame:
    """Return the labelled spine of a recipe.

    Grain:  one row per customer and snapshot date, sorted by (account_id, as_of); columns account_id, as_of,
            known_at and those of `label_rolling`. Customers are those with recurring ARR as known at as_of;
            one whose ARR turned out to have ended before is left out, for there was nothing left to lose.
    Time:   spine as known at as_of; labels look ahead to `data_through`. History begins at `first`
            (default: `history_start`).
    Empty, with all columns, where history is too short for one date.
    """
    begins = first or history_start(tables)
    dates = snapshot_dates(recipe, begins, data_through) if begins else []
    if not dates:
        return _empty(recipe)
    spine = customers(tables, dates)
    labels = label_rolling(tables, spine, recipe, data_through)
    labels.insert(2, "known_at", spine.sort_values(["account_id", "as_of"])["known_at"].to_numpy())
    return labels[labels["arr"] > 0].reset_index(drop=True)


def _empty(recipe: Recipe) -> pd.DataFrame:
    kinds = {"account_id": "str", "as_of": "datetime64[us]", "known_at": "datetime64[us]", "arr": "float64"}
    kinds |= {"churned_on": "datetime64[us]", "too_late": "bool", "cause": "str", "involuntary": "bool"}
    kinds |= {label_column(horizon): "float64" for horizon in recipe.label.horizons_days}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
