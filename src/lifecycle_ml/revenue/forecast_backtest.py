"""Forecasts of the past beside what came of them: as known on each past day, never with today's knowledge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lifecycle_ml.revenue.books import read_books
from lifecycle_ml.revenue.forecast import Forecast, forecast, with_interval
from lifecycle_ml.revenue.rates import Rates, learn_rates, newest_settled, recorded_from
from lifecycle_ml.revenue.retention import TRAILING_MONTHS
from lifecycle_ml.revenue.terms import STEP_MONTHS, read_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from lifecycle_ml.revenue.books import Books
    from lifecycle_ml.revenue.outlook import Outlook
    from lifecycle_ml.tables.source import Tables

ORIGINS = 12
"""At most so many past quarters are forecast again."""
LEVEL_DOUBT, LEVEL_WEIGHT = 0.15, 6.0
"""Before any forecast has come true, the rates of a quarter are taken to be off by 15% as a whole, as if six
past forecasts had said so."""


@dataclass(frozen=True)
class Origin:
    """One day a forecast is made from: its books, calendar, rates and account models, as known then."""

    known_on: date
    books: Books
    rates: Rates
    made: Forecast


@dataclass(frozen=True)
class Forecasts:
    """The forecast of today, and those of the past.

    made: None, with the reason in `says`, where the books are too young. quarters: those of `made`, with
    intervals. past: one row per past forecast that has come true: known_on, month, quarter, by (where its
    chances came from), nrr and grr with _low and _high, _realised, _last_year (the same figure of the same
    quarter a year before, as known on known_on; NaN where the books were younger), _inside.
    level: by figure, the variance a quarter ahead beyond chance and model.
    """

    made: Forecast | None
    quarters: pd.DataFrame
    past: pd.DataFrame
    level: dict[str, float]
    rates: Rates | None
    says: str


def forecast_with_past(
    tables: Tables,
    known_on: date,
    grace_days: int,
    arrival_lag_days: int,
    ask: Callable[[date, Books], Outlook | None] | None = None,
    origins: int = ORIGINS,
    books_of_today: Books | None = None,
) -> Forecasts:
    """Forecast the next four quarters as known on `known_on`, and every quarter of the past in the same way.

    Past days lie whole quarters before `known_on`. Each has its books, its calendar, its rates and (from
    `ask`) what the account models said then; the level doubt of its interval rests only on forecasts that had
    come true by then. What was realised is read from the books of `known_on`, once losses are certain.
    """
    settle = grace_days + arrival_lag_days
    today = books_of_today or read_books(tables, known_on, grace_days, arrival_lag_days)[0]
    made = _past_origins(tables, today, grace_days, arrival_lag_days, ask, origins)
    past = pd.concat([_judged(each, today, settle) for each in made[:-1]] or [pd.DataFrame()])
    listed = []
    for origin in made:
        before = [_judged(each, origin.books, settle) for each in made if each.known_on < origin.known_on]
        level = _level(origin, pd.concat(before) if before else pd.DataFrame())
        if origin is not made[-1] and len(past):
            rows = past[past["known_on"] == origin.known_on]
            listed.append(with_interval(rows, level))
    if not made or made[-1].known_on != known_on:
        return Forecasts(None, pd.DataFrame(), pd.DataFrame(), {}, None, _too_young(today))
    newest = made[-1]
    told = pd.concat(listed, ignore_index=True) if listed else pd.DataFrame()
    for name in ("nrr", "grr") if len(told) else ():
        inside = told[f"{name}_realised"].between(told[f"{name}_low"], told[f"{name}_high"])
        told[f"{name}_inside"] = inside.where(told[f"{name}_low"].notna())
    return Forecasts(
        made=newest.made,
        quarters=with_interval(newest.made.quarters, level),
        past=told,
        level=level,
        rates=newest.rates,
        says=newest.made.says,
    )


def _too_young(books: Books) -> str:
    return (
        f"no forecast: the books hold {len(books.months)} months, and since the first loss in them no "
        "quarter is over and certain yet. A forecast learns from a quarter of ARR and the grace after it."
    )


def _past_origins(
    tables: Tables,
    today: Books,
    grace_days: int,
    arrival_lag_days: int,
    ask: Callable[[date, Books], Outlook | None] | None,
    origins: int,
) -> list[Origin]:
    """Make the forecasts of the past and of today, oldest first; days without rates are left out."""
    found: list[Origin] = []
    for back in range(origins, -1, -1):
        moment = pd.Timestamp(today.known_on) - pd.DateOffset(months=STEP_MONTHS * back)
        if back and (len(today.months) == 0 or moment.to_period("M") - 1 < today.months[0]):
            continue
        day = moment.date()
        books = (
            today
            if back == 0
            else _same(read_books(tables, day, grace_days, arrival_lag_days, levels_only=True), today)
        )
        if books is None or not len(books.months):
            continue
        terms = read_terms(tables, day)
        rates = learn_rates(books, terms, grace_days + arrival_lag_days)
        if rates is None:
            continue
        awaited = _awaited(found, books, grace_days + arrival_lag_days)
        outlook = None if ask is None else ask(day, books)
        found.append(Origin(day, books, rates, forecast(books, terms, rates, outlook, awaited)))
    return found


def _same(books: Sequence[Books], today: Books) -> Books | None:
    return next((each for each in books if each.currency == today.currency), None)


def _awaited(before: Sequence[Origin], books: Books, settle_days: int) -> tuple[int, int]:
    """Of accounts carried at past dates, how many came back, as far as that is certain in these books."""
    last = newest_settled(books, settle_days)
    came, carried = 0, 0
    for origin in before:
        month = _position(books, origin.books.months[-1])
        if month is None or month > last:
            continue
        waiting = origin.books.accounts[origin.books.awaiting]
        at = pd.Index(books.accounts).get_indexer(pd.Index(waiting))
        carried += len(waiting)
        came += int((books.arr[at[at >= 0], 1 + month] > 0).sum())
    return came, carried


def _position(books: Books, month: pd.Period) -> int | None:
    at = (month - books.months[0]).n
    return at if 0 <= at < len(books.months) else None


def _retained(books: Books, month: pd.Period) -> dict[str, float]:
    """NRR and GRR of one month of the books; NaN where they are younger."""
    at = _position(books, month)
    if at is None or at < TRAILING_MONTHS:
        return {"nrr": np.nan, "grr": np.nan}
    now, then = books.arr[:, 1 + at], books.arr[:, 1 + at - TRAILING_MONTHS]
    total = then.sum()
    if not total:
        return {"nrr": np.nan, "grr": np.nan}
    return {"nrr": now[then > 0].sum() / total, "grr": np.minimum(then, now).sum() / total}


def _last_year(books: Books, month: pd.Period) -> dict[str, float]:
    """`_retained`, NaN too where its year began before losses are in the books: it would be none to beat."""
    at = _position(books, month - TRAILING_MONTHS)
    if at is None or at < recorded_from(books) - 1:
        return {"nrr": np.nan, "grr": np.nan}
    return _retained(books, month)


def _judged(origin: Origin, books: Books, settle_days: int) -> pd.DataFrame:
    """Return the quarters of a past forecast that are certain in later books, with what came of them."""
    last = newest_settled(books, settle_days)
    rows = []
    for row in origin.made.quarters.to_dict("records"):
        month = pd.Period(str(row["month"]), "M")
        at = _position(books, month)
        if at is None or at > last:
            continue
        real, before = _retained(books, month), _last_year(origin.books, month - TRAILING_MONTHS)
        rows.append(
            {"known_on": origin.known_on, "by": origin.made.says}
            | row
            | {f"{name}_realised": real[name] for name in real}
            | {f"{name}_last_year": before[name] for name in before}
        )
    return pd.DataFrame(rows)


def _level(origin: Origin, past: pd.DataFrame) -> dict[str, float]:
    """Variance per quarter ahead by which past forecasts were off beyond what chance and model explain."""
    flows = origin.made.flows
    there = max(1.0, float(origin.books.arr[:, -1].sum()))
    losses = float(flows["lost"].mean()) / there
    shrunk, gained = float(flows["shrunk"].mean()) / there, float(flows["gained"].mean()) / there
    prior = {
        "nrr": LEVEL_DOUBT**2 * (losses**2 + shrunk**2 + gained**2),
        "grr": LEVEL_DOUBT**2 * (losses**2 + shrunk**2),
    }
    found = {}
    for name, variance in prior.items():
        if not len(past):
            found[name] = variance
            continue
        off = (past[name] - past[f"{name}_realised"]) ** 2
        beyond = (off - past[f"{name}_chance"] - past[f"{name}_model"]) / past["quarter"]
        weight = LEVEL_WEIGHT + len(beyond)
        found[name] = max(0.0, float((beyond.sum() + LEVEL_WEIGHT * variance) / weight))
    return found
