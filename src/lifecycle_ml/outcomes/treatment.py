"""Which snapshots were worked on: a saved account must not teach a model that such accounts stay."""

from __future__ import annotations

from datetime import date
from typing import Final

import pandas as pd

from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.outcomes.recipe import Recipe

BEFORE_DAYS: Final = 90
"""Work done this many days before a snapshot may still be what the account looks like then."""


def mark_treated(
    rows: pd.DataFrame, interventions: pd.DataFrame, horizon_days: int, before_days: int = BEFORE_DAYS
) -> pd.Series:
    """Say of each snapshot whether the account was worked on, left alone on purpose, or neither.

    rows: account_id, as_of. interventions: account_id, arm, at, done_at, as `monitor.effects.interventions`
    gives them. A snapshot is `treated` where a step was completed in `[as_of - before_days, as_of +
    horizon_days)`, else `held_out` where the account was drawn into a hold-out in that window, else
    `untreated`. Grain: one value per row of `rows`, under its index. Labels are not touched: whether treated
    rows are left out or reported apart is for whoever trains or evaluates to say. It looks ahead, so it is no
    feature.
    """
    treatment = pd.Series("untreated", index=rows.index, dtype="str", name="treatment")
    done = interventions[interventions["done_at"].notna()][["account_id", "done_at"]]
    held = interventions[interventions["arm"] == "held_out"][["account_id", "at"]]
    for value, times in (("held_out", held), ("treated", done)):
        treatment[
            _inside(rows, times.set_axis(["account_id", "moment"], axis=1), horizon_days, before_days)
        ] = value
    return treatment


def with_treatment(
    labels: pd.DataFrame, interventions: pd.DataFrame | None, recipe: Recipe, data_through: date
) -> pd.DataFrame:
    """Mark labelled snapshots that were worked on; the same frame back where none was.

    labels: account_id, as_of and more, as `snapshots` gives them. interventions: as for `mark_treated`, for
    what the recipe predicts; what happened from `data_through` 00:00 on is not looked at. Adds `treatment`,
    at the headline horizon, and `worked_at`: when the first step inside the window of the longest horizon was
    completed (NaT: none was).
    """
    if interventions is None or interventions.empty or labels.empty:
        return labels
    day = pd.Timestamp(data_through)
    known = interventions[interventions["at"] < day]
    known = known.assign(done_at=known["done_at"].where(known["done_at"] < day))
    longest = max(recipe.label.horizons_days)
    worked_at = _first_work(labels, known, longest)
    if worked_at.isna().all():
        return labels
    return labels.assign(
        treatment=mark_treated(labels, known, recipe.label.headline_days), worked_at=worked_at
    )


def learnable(labels: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """Return the labels a recipe may learn from: with `treated = "leave_out"` those of work are unknown.

    A label of H days is left out where a step was completed in `[as_of - 90, as_of + H)`, whatever came of
    the account: to leave out only those who stayed would make everybody look worse. What is left out for
    one horizon was known to be worked on when that horizon's label was.
    """
    if recipe.treated == "keep" or "worked_at" not in labels:
        return labels
    columns = {}
    for horizon in recipe.label.horizons_days:
        worked = labels["worked_at"] < labels["as_of"] + pd.Timedelta(days=horizon)
        columns[label_column(horizon)] = labels[label_column(horizon)].mask(worked)
    return labels.assign(**columns)


def _first_work(rows: pd.DataFrame, interventions: pd.DataFrame, horizon_days: int) -> pd.Series:
    """Return the first completed step in the window around each row, NaT where there is none."""
    done = interventions.loc[interventions["done_at"].notna(), ["account_id", "done_at"]]
    numbered = rows[["account_id", "as_of"]].assign(row=range(len(rows)))
    found = numbered.merge(done, on="account_id")
    after = found["done_at"] >= found["as_of"] - pd.Timedelta(days=BEFORE_DAYS)
    before = found["done_at"] < found["as_of"] + pd.Timedelta(days=horizon_days)
    first = found[after & before].groupby("row")["done_at"].min().reindex(numbered["row"])
    return pd.Series(first.to_numpy(), index=rows.index)


def _inside(rows: pd.DataFrame, times: pd.DataFrame, horizon_days: int, before_days: int) -> pd.Series:
    """Return which rows have a moment of their account inside the window around them."""
    numbered = rows[["account_id", "as_of"]].assign(row=range(len(rows)))
    found = numbered.merge(times, on="account_id")
    after = found["moment"] >= found["as_of"] - pd.Timedelta(days=before_days)
    before = found["moment"] < found["as_of"] + pd.Timedelta(days=horizon_days)
    return pd.Series(numbered["row"].isin(found.loc[after & before, "row"]).to_numpy(), index=rows.index)
