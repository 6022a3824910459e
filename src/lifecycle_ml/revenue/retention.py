"""NRR, GRR and logo churn: of what accounts paid a year ago or at signing, how much is still there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lifecycle_ml.models.evaluation import bootstrap_counts
from lifecycle_ml.revenue.intervals import wilson
from lifecycle_ml.revenue.waterfall import groups_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifecycle_ml.revenue.books import Books
    from lifecycle_ml.revenue.waterfall import By

TRAILING_MONTHS = 12
COHORT_AGES = (3, 6, 12, 24, 36, 48, 60)
"""Months since an account's first month with ARR at which a cohort is looked at."""

MIN_ACCOUNTS = 20
"""ARR must be spread as if over so many accounts of one size: few large ones tell a bootstrap too little."""
MIN_CHANGED = 5
"""So many accounts must pay another amount than then (for GRR: less), or there is hardly anything to draw."""

FORMULAS = {
    "NRR": "ARR now of the accounts that had ARR 12 months ago / their ARR then",
    "GRR": "the same, each account counted at no more than its ARR then",
    "logo churn": "accounts that had ARR 12 months ago and have none now / accounts that had ARR then",
}
"""Each figure in words; `ago` and `now` are month ends."""


def retention(
    books: Books, by: By | None = None, last: int | None = None, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return NRR, GRR and logo churn over the twelve months up to the end of every month, or of the `last`.

    Grain: one row per month that has a month twelve before it, or per group and month, where any account had
    ARR then: month, group, accounts (those with ARR then), lost (of them, without ARR now), arr_then,
    arr_now, arr_kept (cents), nrr, grr, logo_churn (shares), each with _low and _high, and nrr_no_interval,
    grr_no_interval.
    Accounts won since are left out; one that went and came back counts as it stands now.
    Intervals are 95%: of NRR and GRR from a bootstrap over accounts, of logo churn Wilson's. NaN with the
    reason in `_no_interval` where ARR lies with too few accounts or too few changed.
    """
    months = books.months[TRAILING_MONTHS:]
    begin = 0 if last is None else max(0, len(months) - last)
    then = books.arr[:, 1:-TRAILING_MONTHS][:, begin:]
    now = books.arr[:, 1 + TRAILING_MONTHS :][:, begin:]
    names = pd.DataFrame({"month": months[begin:].strftime("%Y-%m")})
    groups = groups_of(books, by)
    parts = [
        _measured(names.assign(group=group), then[groups == group], now[groups == group], draws, seed)
        for group in np.unique(groups)
    ]
    return _stacked(parts, ["month", "group"])


def cohorts(books: Books, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return NRR, GRR and logo churn of each signing cohort, some months after its accounts' first month.

    Grain: one row per cohort (group, a quarter) and age in months, 0 and COHORT_AGES, as far as every account
    of the cohort has reached it: group, age and the columns of `retention`, `then` being the end of the
    account's own first month. At age 0 they add up to all ARR that was ever new.
    """
    cohort, first = books.cohorts, books.first_months
    parts = []
    for group in np.unique(cohort):
        of = np.flatnonzero(cohort == group)
        oldest = len(books.months) - 1 - int(first[of].max())
        ages = [age for age in (0, *COHORT_AGES) if age <= oldest]
        now = np.column_stack([books.arr[of, 1 + first[of] + age] for age in ages])
        then = np.repeat(now[:, :1], len(ages), axis=1)
        parts.append(_measured(pd.DataFrame({"age": ages}).assign(group=group), then, now, draws, seed))
    return _stacked(parts, ["age", "group"])


def _stacked(parts: list[pd.DataFrame], names: list[str]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    if not filled:
        return pd.DataFrame(columns=names)
    stacked: pd.DataFrame = pd.concat(filled, ignore_index=True)
    return stacked


def _measured(
    names: pd.DataFrame, then: NDArray[np.int64], now: NDArray[np.int64], draws: int, seed: int
) -> pd.DataFrame:
    """Measure the accounts of one group, a row of names per column of ARR then and now (accounts, rows)."""
    any_then = np.flatnonzero(then.any(axis=0))
    then, now = then[:, any_then], np.where(then > 0, now, 0)[:, any_then]
    kept = np.minimum(then, now)
    table = names.iloc[any_then].reset_index(drop=True)
    table["accounts"] = (then > 0).sum(axis=0)
    table["lost"] = ((then > 0) & (now == 0)).sum(axis=0)
    for name, amounts in (("arr_then", then), ("arr_now", now), ("arr_kept", kept)):
        table[name] = amounts.sum(axis=0)
    for name, amounts in (("nrr", now), ("grr", kept)):
        reasons = [_reason(then[:, at], amounts[:, at]) for at in range(len(table))]
        told = np.flatnonzero([reason is None for reason in reasons])
        ends = np.full((2, len(table)), np.nan)
        ends[:, told] = _drawn(then[:, told], amounts[:, told], draws, seed)
        table[name] = amounts.sum(axis=0) / then.sum(axis=0)
        table[f"{name}_low"], table[f"{name}_high"] = ends
        table[f"{name}_no_interval"] = pd.Series(reasons, dtype="object")
    table["logo_churn"] = table["lost"] / table["accounts"]
    table["logo_churn_low"], table["logo_churn_high"] = wilson(
        table["logo_churn"].to_numpy(), table["accounts"].to_numpy()
    )
    return table


def _reason(then: NDArray[np.int64], now: NDArray[np.int64]) -> str | None:
    """Why a ratio of these amounts gets no interval; None where it does."""
    amounts = then[then > 0].astype(float)
    spread = int(amounts.sum() ** 2 / (amounts**2).sum() + 1e-9)
    if spread < MIN_ACCOUNTS:
        return f"ARR lies with too few accounts (as if {spread} of one size; {MIN_ACCOUNTS} are needed)"
    changed = int((then[then > 0] != now[then > 0]).sum())
    if changed < MIN_CHANGED:
        return f"too few accounts changed ({changed}; {MIN_CHANGED} are needed)"
    return None


def _drawn(then: NDArray[np.int64], now: NDArray[np.int64], draws: int, seed: int) -> NDArray[np.float64]:
    """95% quantiles of sum(now) / sum(then) over draws of the accounts, (low and high, rows)."""
    if not then.shape[1]:
        return np.empty((2, 0))
    ratios: list[NDArray[np.float64]] = []
    for counts in bootstrap_counts(len(then), len(then), draws, seed):
        drawn = counts.astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios.append((drawn @ now) / (drawn @ then))
    ends: NDArray[np.float64] = np.nanquantile(np.concatenate(ratios), [0.025, 0.975], axis=0)
    return ends
