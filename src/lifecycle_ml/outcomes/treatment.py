"""Which snapshots were worked on: a saved account must not teach a model that such accounts stay."""

from __future__ import annotations

from typing import Final

import pandas as pd

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


def _inside(rows: pd.DataFrame, times: pd.DataFrame, horizon_days: int, before_days: int) -> pd.Series:
    """Return which rows have a moment of their account inside the window around them."""
    numbered = rows[["account_id", "as_of"]].assign(row=range(len(rows)))
    found = numbered.merge(times, on="account_id")
    after = found["moment"] >= found["as_of"] - pd.Timedelta(days=before_days)
    before = found["moment"] < found["as_of"] + pd.Timedelta(days=horizon_days)
    return pd.Series(numbered["row"].isin(found.loc[after & before, "row"]).to_numpy(), index=rows.index)
