"""The ARR waterfall: how each month's opening ARR became its closing ARR, to the cent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifecycle_ml.revenue.books import Books

By = Literal["segment", "cohort"]

MOVEMENTS = ("new", "reactivation", "expansion", "contraction", "churn")
"""What lies between opening and closing; contraction and churn are negative."""

FORMULAS = {
    "closing": "opening + new + reactivation + expansion + contraction + churn",
    "new": "ARR at the end of an account's first month with any",
    "reactivation": "ARR at the end of the month of accounts that had none at its start and some before",
    "expansion": "rise of ARR of accounts that had some at both ends of the month",
    "of it price": "the part of expansion beyond new products, plans, seats and usage limits",
    "contraction": "fall of ARR of accounts that had some at both ends of the month",
    "churn": "ARR at the start of the month of accounts that have none at its end",
}
"""Each figure of the waterfall in words."""


def groups_of(books: Books, by: By | None) -> NDArray[np.str_]:
    """Return the group of each account: its segment, its signing cohort, or `all`."""
    if by == "segment":
        return books.segments
    return books.cohorts if by == "cohort" else np.full(len(books.accounts), "all")


def movements(books: Books) -> dict[str, NDArray[np.int64]]:
    """Split each account's change in each month into MOVEMENTS, (accounts, months) cents.

    What an account gains and loses inside one month is netted: each cell lies in at most one movement.
    """
    opening, closing = books.arr[:, :-1], books.arr[:, 1:]
    had, has = opening > 0, closing > 0
    ever = np.logical_or.accumulate(had, axis=1) if had.size else had
    change = closing - opening
    return {
        "new": np.where(has & ~ever, change, 0),
        "reactivation": np.where(has & ~had & ever, change, 0),
        "expansion": np.where(had & has, np.maximum(change, 0), 0),
        "contraction": np.where(had & has, np.minimum(change, 0), 0),
        "churn": np.where(had & ~has, change, 0),
    }


def waterfall(books: Books, by: By | None = None) -> pd.DataFrame:
    """Return the ARR waterfall of every month.

    Grain: one row per month, or per group and month: month (`2024-01`), group (`all`, a segment or cohort),
    opening, new, reactivation, expansion, price (contained in expansion), contraction, churn, closing (all
    in cents), accounts_opening, accounts_new, accounts_reactivated, accounts_expanded, accounts_contracted,
    accounts_churned, accounts_closing. opening + MOVEMENTS = closing exactly; groups add up to `all` exactly.
    """
    moves = movements(books)
    groups = groups_of(books, by)
    parts = []
    for group in np.unique(groups):
        of = groups == group
        columns = {
            "month": books.months.strftime("%Y-%m"),
            "group": group,
            "opening": books.arr[of, :-1].sum(axis=0),
            **{name: cells[of].sum(axis=0) for name, cells in moves.items()},
            "price": books.price[of].sum(axis=0),
            "closing": books.arr[of, 1:].sum(axis=0),
            "accounts_opening": (books.arr[of, :-1] > 0).sum(axis=0),
            "accounts_new": (moves["new"][of] != 0).sum(axis=0),
            "accounts_reactivated": (moves["reactivation"][of] != 0).sum(axis=0),
            "accounts_expanded": (moves["expansion"][of] != 0).sum(axis=0),
            "accounts_contracted": (moves["contraction"][of] != 0).sum(axis=0),
            "accounts_churned": (moves["churn"][of] != 0).sum(axis=0),
            "accounts_closing": (books.arr[of, 1:] > 0).sum(axis=0),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["month", "group"])
