"""Churn by silence, for products without contracts."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import ibis
import pandas as pd

from lifecycle_ml.conditions.translate import to_ibis
from lifecycle_ml.matrix.spine import checked, own_rows, rolled_up
from lifecycle_ml.outcomes.labels import INVOLUNTARY, causes_of, known_through, label_column
from lifecycle_ml.outcomes.recipe import InactivityLabel
from lifecycle_ml.tables.clock import as_known
from lifecycle_ml.tables.schema import SCHEMAS

if TYPE_CHECKING:
    from lifecycle_ml.outcomes.recipe import Recipe
    from lifecycle_ml.tables.source import Tables

_DAY = pd.Timedelta(days=1)


def label_inactivity(tables: Tables, spine: pd.DataFrame, recipe: Recipe, data_through: date) -> pd.DataFrame:
    """Label each snapshot: is there no meaningful use inside the horizon?

    Grain:  one row per row of `spine` (account_id, as_of, known_at), sorted by (account_id, as_of).
    Time:   looks ahead, to `data_through` 00:00Z and no further: events known later are not used. The window
            is `[as_of, as_of + H)`: use on the day as_of counts, use on the day as_of + H does not. Use of a
            child account counts for the account it rolled up to at as_of.
    Columns: churned_on    the day after the last use before as_of, where no use followed inside the window
             too_late      never: there is no notice to give
             cause, involuntary  as `label_rolling`
             outcome_<H>d  1.0, 0.0, or NaN: censored (window and arrival lag reach past data_through)
    """
    label = recipe.label
    assert isinstance(label, InactivityLabel)
    horizon = pd.Timedelta(days=label.horizon_days)
    rows = checked(spine)
    labels = rows[["account_id", "as_of"]].copy()
    members = rolled_up(tables, own_rows(rows))
    members = members[["row", "member", "as_of"]].astype({"as_of": "datetime64[us]"}).sort_values("as_of")
    days = _days_in_use(tables, label, data_through)
    last = pd.merge_asof(
        members, days, left_on="as_of", right_on="day", by="member", allow_exact_matches=False
    )
    following = pd.merge_asof(
        members, days, left_on="as_of", right_on="day", by="member", direction="forward"
    )
    used_last = last.groupby("row")["day"].max().reindex(labels.index)
    used_next = following.groupby("row")["day"].min().reindex(labels.index)
    silent = ~(used_next < labels["as_of"] + horizon)
    known = labels["as_of"] + known_through(label, label.horizon_days) <= pd.Timestamp(data_through)
    labels["churned_on"] = (used_last + _DAY).where(silent & known)
    labels["too_late"] = False
    labels["cause"] = causes_of(tables, labels, data_through)
    labels["involuntary"] = labels["cause"].isin(INVOLUNTARY)
    labels[label_column(label.horizon_days)] = silent.astype("float64").where(known)
    return labels


def _days_in_use(tables: Tables, label: InactivityLabel, data_through: date) -> pd.DataFrame:
    """Return each day with meaningful use known at data_through: member (an account), day; sorted by day."""
    through = ibis.timestamp(pd.Timestamp(data_through).to_pydatetime())
    events = tables["usage_events"]
    events = events.filter(to_ibis(label.meaningful, events, "label.meaningful"))
    known = as_known(events.mutate(as_of=through, known_until=through), SCHEMAS["usage_events"])
    days = known.select(member="account_id", day=known.happened_at.truncate("D")).distinct()
    found: Any = tables.backend.to_pandas(days)
    return pd.DataFrame(found).astype({"day": "datetime64[us]"}).sort_values("day", ignore_index=True)
