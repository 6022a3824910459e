"""The forecast of NRR and GRR, and how past forecasts did, as one document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle_ml.revenue.finance import at_risk
from lifecycle_ml.revenue.terms import CLASSES

if TYPE_CHECKING:
    from lifecycle_ml.revenue.books import Books
    from lifecycle_ml.revenue.forecast_backtest import Forecasts

FIGURES = ("nrr", "grr")
MOST_ACCOUNTS = 10
MIN_PAST = 8
"""With fewer past forecasts the share inside says next to nothing, and the report says so."""

FORMULAS = {
    "forecast NRR": (
        "ARR expected at the quarter's end of the accounts that had ARR 12 months before / their ARR then; "
        "the part of the 12 months that is over counts as it was"
    ),
    "forecast GRR": "the same, each account counted at no more than its ARR then",
    "interval": (
        "95%: accounts leaving or staying one by one, rates learned from finite history and the model's "
        "level, and by how much past forecasts were off beyond that"
    ),
    "last year": "the same figure of the same quarter one year before, as known on the day of the forecast",
}
"""Each figure in words."""


def forecast_report(books: Books, forecasts: Forecasts, no_models: str | None) -> dict[str, Any]:
    """Return the forecast of one book as plain values, amounts in units of money.

    Keys: currency, known_on, says (where chances come from), no_models (why account models do not speak, or
    None), quarters, past, did (by figure: forecasts, inside, mean absolute error, and where last year can be
    told, both errors over the same forecasts), at_risk (by quarter), accounts (the MOST_ACCOUNTS with the
    largest expected loss), rates (what was learned from the past, by class of the contract calendar).
    """
    made = forecasts.made
    return {
        "currency": books.currency,
        "known_on": books.known_on.isoformat(),
        "says": forecasts.says,
        "no_models": no_models,
        "quarters": _plain(forecasts.quarters),
        "past": _plain(forecasts.past),
        "did": {name: how_it_did(forecasts.past, name) for name in FIGURES},
        "at_risk": [] if made is None else at_risk(made.flows),
        "accounts": [] if made is None else _accounts(made.accounts),
        "rates": None if forecasts.rates is None else _rates(forecasts),
    }


def how_it_did(past: pd.DataFrame, name: str) -> dict[str, Any]:
    """Return how often past forecasts of one figure held, and how far off they were beside last year's."""
    told = past[past[f"{name}_low"].notna()] if len(past) else past
    if not len(told):
        return {
            "forecasts": 0,
            "inside": 0,
            "error": None,
            "beside": 0,
            "error_beside": None,
            "last_year": None,
        }
    off = (told[name] - told[f"{name}_realised"]).abs()
    beside = told[f"{name}_last_year"].notna()
    last_year = (told[f"{name}_last_year"] - told[f"{name}_realised"]).abs()
    return {
        "forecasts": len(told),
        "inside": int(told[f"{name}_inside"].astype(bool).sum()),
        "error": float(off.mean()),
        "beside": int(beside.sum()),
        "error_beside": float(off[beside].mean()) if beside.any() else None,
        "last_year": float(last_year[beside].mean()) if beside.any() else None,
    }


def _accounts(accounts: pd.DataFrame) -> list[dict[str, Any]]:
    worst = accounts.sort_values(["lost", "account_id"], ascending=[False, True]).head(MOST_ACCOUNTS)
    return [
        {
            "account_id": str(row["account_id"]),
            "calendar": str(row["calendar"]),
            **{name: round(float(row[name]) / 100, 2) for name in ("arr", "lost", "gained")},
        }
        for row in worst.to_dict("records")
    ]


def _rates(forecasts: Forecasts) -> dict[str, Any]:
    rates = forecasts.rates
    assert rates is not None
    return {
        "account_quarters": rates.quarters,
        "losses": rates.losses,
        "classes": [
            {
                "calendar": name,
                "lost_first_year": float(rates.lost[at, 1]),
                "lost_after": float(rates.lost[at, 0]),
                "grew": float(rates.grew[at]),
                "shrank": float(rates.shrank[at]),
            }
            for at, name in enumerate(CLASSES)
        ],
        "rise": rates.rise,
        "fall": rates.fall,
    }


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON's own values: dates as text, what cannot be told None, ARR in units."""
    rows = []
    for row in table.to_dict("records"):
        plain: dict[str, Any] = {}
        for name, value in row.items():
            if value is None or (isinstance(value, float) and np.isnan(value)):
                plain[str(name)] = None
            elif name == "known_on":
                plain["known_on"] = value.isoformat()
            elif name == "arr_then":
                plain["arr_then"] = value / 100
            elif isinstance(value, np.generic):
                plain[str(name)] = value.item()
            else:
                plain[str(name)] = value
        rows.append(plain)
    return rows
