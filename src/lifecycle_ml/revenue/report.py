"""The revenue report: waterfall, retention and cohorts of each book as one document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from lifecycle_ml.revenue import retention as kept
from lifecycle_ml.revenue import waterfall as flow
from lifecycle_ml.revenue.acquisition import acquisition

if TYPE_CHECKING:
    from lifecycle_ml.revenue.books import Books
    from lifecycle_ml.tables.source import Tables

MONTHS = 12
"""How many months the report shows."""

_MONEY = {
    "opening",
    *flow.MOVEMENTS,
    "price",
    "closing",
    "arr_then",
    "arr_now",
    "arr_kept",
}


def revenue_report(tables: Tables, books: Books, gross_margin: float = 1.0) -> dict[str, Any]:
    """Return the figures of one book, amounts in units of its currency with two decimals.

    Keys: currency, advice, known_on; waterfall (the last MONTHS months, all accounts), waterfall_by_segment;
    retention (the same months), retention_by_segment and retention_by_cohort (the last month); cohorts (by
    months since signing); by_channel and by_campaign (CAC, payback, LTV); awaiting (accounts and arr carried
    because they may yet renew within grace).
    Rows are those of `waterfall`, `retention`, `cohorts` and `acquisition`; what cannot be told is None.
    """
    shown = set(books.months[-MONTHS:].strftime("%Y-%m"))
    whole, by_segment = flow.waterfall(books), flow.waterfall(books, "segment")
    return {
        "currency": books.currency,
        "advice": books.advice,
        "known_on": books.known_on.isoformat(),
        "waterfall": plain_rows(whole[whole["month"].isin(shown)]),
        "waterfall_by_segment": plain_rows(by_segment[by_segment["month"].isin(shown)]),
        "retention": plain_rows(kept.retention(books, last=MONTHS)),
        "retention_by_segment": plain_rows(kept.retention(books, "segment", last=1)),
        "retention_by_cohort": plain_rows(kept.retention(books, "cohort", last=1)),
        "cohorts": plain_rows(kept.cohorts(books)),
        "by_channel": plain_rows(acquisition(tables, books, "acquisition_channel", gross_margin)),
        "by_campaign": plain_rows(acquisition(tables, books, "acquisition_campaign", gross_margin)),
        "awaiting": {
            "accounts": int(books.awaiting.sum()),
            "arr": int(books.arr[books.awaiting, -1].sum()) / 100,
        },
    }


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of `waterfall`, `retention` and so on: money in units, what cannot be told None."""
    return [
        {
            str(name): value / 100 if name in _MONEY else None if pd.isna(value) else value
            for name, value in row.items()
        }
        for row in table.to_dict("records")
    ]
