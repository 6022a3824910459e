"""What a nightly run keeps of revenue for the service: the books, the forecast and what retention teaches."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from lifecycle_ml.errors import TableError
from lifecycle_ml.revenue import forecast_report, retention, waterfall
from lifecycle_ml.revenue.books import read_books
from lifecycle_ml.revenue.forecast_backtest import forecast_with_past
from lifecycle_ml.revenue.loops.report import feedback_loops
from lifecycle_ml.revenue.outlook import published_outlook
from lifecycle_ml.revenue.report import MONTHS, plain_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifecycle_ml.revenue.books import Books
    from lifecycle_ml.revenue.forecast_backtest import Forecasts
    from lifecycle_ml.revenue.outlook import Outlook
    from lifecycle_ml.store.store import Store
    from lifecycle_ml.tables.source import Tables

FORMULAS = {**waterfall.FORMULAS, **retention.FORMULAS, **forecast_report.FORMULAS}
LOOPS_STAND = timedelta(days=7)
"""Loops learn from years of customers, and are worked out again only when they are so old."""

_FLOW = ("month", "opening", *waterfall.MOVEMENTS, "price", "closing", "accounts_closing")


def revenue_statement(
    tables: Tables,
    as_of: date,
    grace_days: int,
    arrival_lag_days: int,
    store: Store,
    decides: Mapping[str, str] | None = None,
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return ARR waterfall, NRR and GRR of the last twelve whole months, their forecast, and the loops.

    Keys: as_of; formulas; books, one per currency where they cannot be summed (currency, advice, known_on,
    awaiting, waterfall, retention, forecast); loops (as_of, lacks, rows). Amounts are units of the books'
    currency, figures are objects of value, low, high (95%) and no_interval (why there is none). What cannot
    be told is None. No account is named.
    `before` is the statement of an earlier day, from which loops younger than LOOPS_STAND are taken over.
    Raises: TableError where there are no contracts.
    """
    books = [_book(*each) for each in forecasts_of(tables, as_of, grace_days, arrival_lag_days, store)]
    return {
        "as_of": as_of.isoformat(),
        "formulas": FORMULAS,
        "books": books,
        "loops": _loops(tables, as_of, grace_days, arrival_lag_days, decides, before),
    }


def forecasts_of(
    tables: Tables, as_of: date, grace_days: int, arrival_lag_days: int, store: Store
) -> list[tuple[Books, Forecasts, str | None]]:
    """Forecast every book; account models speak where they were published in time, or it is said why not."""
    reasons: dict[date, str] = {}

    def ask(day: date, books: Books) -> Outlook | None:
        found, says = published_outlook(store, list(books.accounts), day)
        if found is None:
            reasons[day] = says
        return found

    made = []
    for books in read_books(tables, as_of, grace_days, arrival_lag_days):
        found = forecast_with_past(tables, as_of, grace_days, arrival_lag_days, ask, books_of_today=books)
        made.append((books, found, reasons.get(as_of)))
    return made


def _book(books: Books, forecasts: Forecasts, no_models: str | None) -> dict[str, Any]:
    shown = set(books.months[-MONTHS:].strftime("%Y-%m"))
    flow = waterfall.waterfall(books)
    ahead = forecast_report.forecast_report(books, forecasts, no_models)
    return {
        "currency": books.currency,
        "advice": books.advice,
        "known_on": books.known_on.isoformat(),
        "awaiting": {
            "accounts": int(books.awaiting.sum()),
            "arr": int(books.arr[books.awaiting, -1].sum()) / 100,
        },
        "waterfall": [
            {name: row[name] for name in _FLOW} for row in plain_rows(flow[flow["month"].isin(shown)])
        ],
        "retention": [_kept(row) for row in plain_rows(retention.retention(books, last=MONTHS))],
        "forecast": {
            "says": ahead["says"],
            "no_models": ahead["no_models"],
            "quarters": [_ahead(row) for row in ahead["quarters"]],
            "did": {
                name: {key: did[key] for key in ("forecasts", "inside", "error")}
                for name, did in ahead["did"].items()
            },
        },
    }


def _kept(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("month", "accounts", "lost", "arr_then", "arr_now", "arr_kept")
    figures = {name: _figure(row, name, row.get(f"{name}_no_interval")) for name in ("nrr", "grr")}
    return {
        **{name: row[name] for name in names},
        **figures,
        "logo_churn": _figure(row, "logo_churn", None),
    }


def _ahead(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("month", "accounts", "arr_then")},
        **{name: _figure(row, name, row["no_interval"]) for name in forecast_report.FIGURES},
    }


def _figure(row: Mapping[str, Any], name: str, no_interval: str | None) -> dict[str, Any]:
    return {
        "value": row[name],
        "low": row[f"{name}_low"],
        "high": row[f"{name}_high"],
        "no_interval": no_interval,
    }


def _loops(
    tables: Tables,
    as_of: date,
    grace_days: int,
    arrival_lag_days: int,
    decides: Mapping[str, str] | None,
    before: Mapping[str, Any] | None,
) -> dict[str, Any]:
    if before is not None:
        kept: dict[str, Any] = before["loops"]
        if timedelta() <= as_of - date.fromisoformat(kept["as_of"]) < LOOPS_STAND:
            return kept
    lacks, found = None, []
    try:
        found = feedback_loops(tables, as_of, grace_days, arrival_lag_days, decides=decides)
    except TableError as error:  # books may stand apart by currency, loops may not
        lacks = str(error)
    return {
        "as_of": as_of.isoformat(),
        "lacks": lacks,
        "rows": [
            {
                "receiver": loop.receiver,
                "loop": loop.name,
                "question": loop.question,
                "findings": loop.findings,
                "lacks": loop.lacks,
            }
            for loop in found
        ],
    }
