"""What marketing should hear: which channels bring the customers that are worth most."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from lifecycle_ml.revenue.acquisition import MIN_LOSSES, acquisition, worth_by_account
from lifecycle_ml.revenue.loops.loop import Column, Loop, judged, sentences

if TYPE_CHECKING:
    import pandas as pd

    from lifecycle_ml.revenue.books import Books
    from lifecycle_ml.tables.source import Tables


def lifetime_value(tables: Tables, books: Books, gross_margin: float = 1.0) -> Loop:
    """LTV by acquisition channel, each beside all other channels together."""
    asked = Loop(
        receiver="marketing",
        name="lifetime_value",
        question="Which channels bring the customers of highest lifetime value?",
        method="LTV as in the table by acquisition channel, with its assumptions and interval. Each channel "
        "beside all others: difference of log(LTV), its error from how much each account moves it.",
        columns=(
            Column("group", "channel", "text"),
            Column("accounts", "customers", "count"),
            Column("losses", "lost", "count"),
            Column("ltv", "LTV", "money"),
            Column("ltv_elsewhere", "elsewhere", "money"),
            Column("ltv_to_cac", "LTV / CAC", "rate"),
        ),
    )
    each = worth_by_account(tables, books)
    groups = each["group"].to_numpy()
    rows = acquisition(tables, books, "acquisition_channel", gross_margin)
    if len(rows) < 2:
        return replace(asked, lacks="Needs accounts.acquisition_channel with at least two channels.")
    beside = [_log_worth(each[groups == name]) + _log_worth(each[groups != name]) for name in rows["group"]]
    here, error, elsewhere, error_elsewhere = np.array(beside).T
    z = (here - elsewhere) / np.hypot(error, error_elsewhere)
    rows = rows.assign(
        ltv_elsewhere=np.exp(elsewhere) * gross_margin,
        p=np.where(np.isnan(z), np.nan, 2 * stats.norm.sf(np.abs(z))),
    ).drop(columns=["cac", "payback_months", "costed"])
    rows["says"] = sentences(
        rows,
        lambda row: (
            f"Customers from {row['group']} are worth "
            f"{'more' if row['ltv'] > row['ltv_elsewhere'] else 'less'} than those from elsewhere: "
            f"{row['ltv']:,.0f} against {row['ltv_elsewhere']:,.0f}."
        ),
    )
    return replace(asked, rows=judged(rows, ["group"]))


def _log_worth(each: pd.DataFrame) -> tuple[float, float]:
    """Return log(LTV) of some accounts and its standard error; NaN with fewer than MIN_LOSSES losses.

    log(LTV) = log(ARR now) - log(active) + log(years) - log(losses): each account moves it by its share of
    each of the four sums, and accounts are independent of each other.
    """
    now, active, years, losses = (each[name].to_numpy() for name in ("now", "active", "years", "losses"))
    if losses.sum() < MIN_LOSSES or active.sum() < MIN_LOSSES:
        return np.nan, np.nan
    moved = now / now.sum() - active / active.sum() + years / years.sum() - losses / losses.sum()
    value = np.log(now.sum() / active.sum() * years.sum() / losses.sum())
    return float(value), float(np.sqrt((moved**2).sum()))
