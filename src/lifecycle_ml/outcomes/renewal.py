"""Churn at the renewal: one row per account and lead time before each."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lifecycle_ml.conditions.translate import to_ibis
from lifecycle_ml.matrix.compiled import place
from lifecycle_ml.matrix.measures import IN_FORCE
from lifecycle_ml.outcomes.labels import known_through, label_column, label_rolling
from lifecycle_ml.outcomes.recipe import RenewalLabel
from lifecycle_ml.tables.clock import as_known
from lifecycle_ml.tables.fetch import fetch
from lifecycle_ml.tables.schema import SCHEMAS

if TYPE_CHECKING:
    from lifecycle_ml.outcomes.recipe import Recipe
    from lifecycle_ml.tables.source import Tables


def label_renewal(tables: Tables, spine: pd.DataFrame, recipe: Recipe, data_through: date) -> pd.DataFrame:
    """Label each snapshot: does the account leave at its next renewal, with no new contract in grace?

    Grain:  one row per row of `spine` (account_id, as_of, known_at), sorted by (account_id, as_of).
    Time:   the renewal and the lead are what was known at as_of (see `renewals`): an amendment that comes
            later moves no row. The outcome looks ahead as in `label_rolling`.
    Columns: arr, churned_on, too_late, cause, involuntary as `label_rolling`
             renews_on     the next renewal; NaT where none is known: an evergreen contract, or no contract
             lead_days     on the first snapshot date less than a lead away from the renewal, that lead; NaN
                           on every other date. A renewal comes inside each lead once, so an account has at
                           most one row per renewal and lead; two leads reached in one step share a row, under
                           the shorter
             outcome_<H>d  1.0 where ARR was gone by the renewal, also where it had ended before it (early
                           termination), and no new contract followed within grace; 0.0 where there was ARR
                           beyond it, a late renewal within grace included. NaN where censored (renewal, grace
                           and arrival lag reach to data_through or past it), where no renewal lies less than
                           the longest lead H ahead, or without ARR at as_of
    Raises: TableError as `label_rolling`.
    """
    label = recipe.label
    assert isinstance(label, RenewalLabel)
    rows = spine[["account_id", "as_of", "known_at"]].sort_values(["account_id", "as_of"], ignore_index=True)
    labels = label_rolling(tables, rows, recipe, data_through)
    labels["renews_on"] = renewals(tables, rows)
    days = (labels["renews_on"] - labels["as_of"]).dt.days
    labels["lead_days"] = _leads(days, label.leads_days, recipe.snapshots.step_days)
    # A day more than the lag, as for every loss: of the last day of grace all of it is known.
    settled = labels["renews_on"] + known_through(label, 0) < pd.Timestamp(data_through)
    known = settled & (days < label.headline_days) & (labels["arr"] > 0)
    left = labels["churned_on"] <= labels["renews_on"]
    labels[label_column(label.headline_days)] = left.astype("float64").where(known)
    return labels


def renewals(tables: Tables, rows: pd.DataFrame) -> pd.Series:
    """Return each row's next renewal: the last end of its recurring contracts in force, as known then.

    rows: account_id, as_of, known_at. Grain: a timestamp per row, in the order of `rows`. Where contracts
    overlap the last end counts, for only there can ARR reach zero; NaT where one of them has no end, or where
    none is in force.
    """
    placed = rows.rename(columns={"known_at": "known_until"}).assign(row=np.arange(len(rows)))
    terms = tables["contracts"].join(place(tables, "renewal_rows", placed), "account_id")
    terms = as_known(terms, SCHEMAS["contracts"])
    terms = terms.mutate(as_of=terms.as_of.date())
    paid = terms.filter(to_ibis(IN_FORCE, terms, "IN_FORCE"), terms.arr > 0)
    ends = paid.group_by("row").aggregate(
        renews_on=paid.ends_on.cast("timestamp").max(),
        endless=paid.ends_on.isnull().any(),
    )
    found = fetch(tables.backend, ends).set_index("row")
    last = found["renews_on"].where(~found["endless"].astype(bool)).astype("datetime64[us]")
    return last.reindex(np.arange(len(rows))).set_axis(rows.index)


def _leads(days: pd.Series, leads_days: tuple[int, ...], step_days: int) -> pd.Series:
    """Return the shortest lead a renewal is nearer than, where the snapshot before was not nearer yet."""
    leads = np.asarray(leads_days, dtype="float64")
    ahead = days.to_numpy(dtype="float64", na_value=np.inf)
    beyond = np.append(leads, np.nan)
    lead = beyond[np.searchsorted(leads, ahead, side="right")]
    return pd.Series(np.where(ahead + step_days >= lead, lead, np.nan), index=days.index)
