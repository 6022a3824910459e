"""What winning an account cost, when it is paid back, and what an account is worth, by how it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from lifecycle_ml.models.evaluation import bootstrap_counts
from lifecycle_ml.revenue.books import NOT_RECORDED, known_accounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifecycle_ml.revenue.books import Books
    from lifecycle_ml.tables.source import Tables

Source = Literal["acquisition_channel", "acquisition_campaign"]

MIN_LOSSES = 5
"""With fewer losses a lifetime is a guess, and an interval has no upper end."""

FORMULAS = {
    "CAC": "acquisition cost / accounts won whose cost is recorded",
    "payback in months": "acquisition cost of those accounts / (their first ARR x gross margin / 12)",
    "losses a year": "accounts lost / years in which accounts had ARR",
    "LTV": "ARR per account now x gross margin / losses a year",
}
"""Each figure in words."""

ASSUMPTIONS = (
    "LTV takes the rate of losses of the past as that of the future, the same at every age of an account; "
    "ARR per account as it is now, without growth; and money later as worth the same as money now."
)


def acquisition(
    tables: Tables,
    books: Books,
    by: Source = "acquisition_channel",
    gross_margin: float = 1.0,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return CAC, payback and LTV by channel or campaign, over all months of the books.

    Grain: one row per value of `by` (`not recorded` among them): group, accounts (ever with ARR), costed (of
    them, with a cost), cac, payback_months, accounts_now, arr_per_account, losses, account_years, loss_rate,
    ltv, ltv_low, ltv_high (95%, from a bootstrap over accounts), ltv_to_cac. Amounts are in units of money.
    NaN: cac and payback without a cost recorded, or where the books are in one of several currencies, for
    costs are in the reporting currency; ltv with fewer than MIN_LOSSES losses or without accounts now.
    Gross margin is in no table: at 1.0, payback and LTV are of revenue, not of what is earned on it.
    """
    each = worth_by_account(tables, books, by)
    groups = each.pop("group").to_numpy()
    rows = [
        {"group": str(group)} | _measured(each[groups == group], gross_margin, draws, seed)
        for group in np.unique(groups)
    ]
    return pd.DataFrame(rows)


def worth_by_account(tables: Tables, books: Books, by: Source = "acquisition_channel") -> pd.DataFrame:
    """Return what CAC, payback and LTV are sums of.

    Grain: one row per account of the books: group (value of `by`), cost (NaN: not recorded, or the books are
    in one of several currencies), first (ARR at the end of its first month) and now, active (has ARR now),
    years (with ARR), losses (times it lost all ARR).
    """
    known = known_accounts(tables, books.known_on).reindex(books.accounts)
    groups = known[by].fillna(NOT_RECORDED).to_numpy(dtype=np.str_)
    costs = known["acquisition_cost"].to_numpy(dtype=np.float64)
    if books.currency is not None:
        costs = np.full(len(costs), np.nan)
    paid = books.arr > 0
    return (
        pd.DataFrame(
            {
                "cost": costs,
                "first": books.arr[np.arange(len(groups)), 1 + books.first_months] / 100,
                "now": books.arr[:, -1] / 100,
                "active": paid[:, -1],
                "years": paid[:, :-1].sum(axis=1) / 12,
                "losses": (paid[:, :-1] & ~paid[:, 1:]).sum(axis=1),
            }
        )
        .astype(float)
        .assign(group=groups)
    )


def _measured(each: pd.DataFrame, margin: float, draws: int, seed: int) -> dict[str, Any]:
    costed = each[each["cost"].notna()]
    cost, earned = float(costed["cost"].sum()), float(costed["first"].sum()) * margin / 12
    cac = cost / len(costed) if len(costed) else np.nan
    active, losses, years = (float(each[name].sum()) for name in ("active", "losses", "years"))
    told = losses >= MIN_LOSSES and active > 0
    once = np.ones((1, len(each)))
    ltv = float(_worth(each, once, margin)[0]) if told else np.nan
    low, high = np.nan, np.nan
    if told:
        drawn = [
            _worth(each, counts, margin) for counts in bootstrap_counts(len(each), len(each), draws, seed)
        ]
        low, high = np.nanquantile(np.concatenate(drawn), [0.025, 0.975])
    return {
        "accounts": len(each),
        "costed": len(costed),
        "cac": cac,
        "payback_months": cost / earned if len(costed) else np.nan,
        "accounts_now": int(active),
        "arr_per_account": float(each["now"].sum()) / active if active else np.nan,
        "losses": int(losses),
        "account_years": years,
        "loss_rate": losses / years if years else np.nan,
        "ltv": ltv,
        "ltv_low": float(low),
        "ltv_high": float(high) if np.isfinite(high) else np.nan,
        "ltv_to_cac": ltv / cac if cac else np.nan,
    }


def _worth(each: pd.DataFrame, counts: NDArray[Any], margin: float) -> NDArray[np.float64]:
    """LTV in each draw: (draws, accounts) counts in, one number per draw out."""
    now, active, years, losses = (
        counts @ each[name].to_numpy() for name in ("now", "active", "years", "losses")
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        worth: NDArray[np.float64] = (now / active) * margin * (years / losses)
    return worth
