"""Expansion and its own causes: a growing customer fills its limit, adds teams, hires, asks for more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifecycle_ml.simulate.book import Book
from lifecycle_ml.simulate.causes import NUMBER
from lifecycle_ml.simulate.episodes import Pressure
from lifecycle_ml.simulate.grid import NEVER, WARM_UP, Floats, Grid, Ints, stream
from lifecycle_ml.simulate.leaving import Leavers

CAUSES_OF_GROWTH = ("limit_reached", "new_teams", "hiring", "premium_capability")


@dataclass(frozen=True)
class Growth:
    """One entry per growth episode; `grown` is the day of the amendment, NEVER where nothing came of it."""

    account: Ints
    cause: Ints
    begun: Ints  # day
    grown: Ints  # day
    share: Floats  # seats added, as a share of the seats then


@dataclass(frozen=True)
class Seats:
    """Contracted seats: what changed when, and the level by week."""

    account: Ints
    day: Ints
    change: Ints  # seats added or given up
    level: Floats  # (accounts, columns from week 0)
    growth: Floats  # (causes of growth, accounts, columns from week 0): height of the growth traces


def draw_growth(seed: int, book: Book, leavers: Leavers, pressure: Pressure, grid: Grid) -> Growth:
    """Six in ten growth episodes end in an amendment, fewer where the account is in trouble."""
    rng = stream(seed, "growth")
    counts = rng.poisson(0.26 / 52, (len(book), grid.weeks))
    account, week = np.nonzero(counts)
    keep = week * 7 > book.created[account] + 60
    account, week = account[keep], week[keep]
    cause = rng.integers(len(CAUSES_OF_GROWTH), size=len(account))
    begun = week * 7 + rng.integers(0, 7, len(week))
    later = begun + np.clip(rng.gamma(4.0, 18.0, len(week)), 21, 180).astype(np.int64)
    then = np.minimum(later // 7, grid.weeks - 1) + WARM_UP
    trouble = pressure.hazard.sum(axis=0)[account, then]
    comes = rng.random(len(week)) < 0.62 * np.exp(-40.0 * trouble)
    # Who has a cause to leave buys no more in the two months before deciding it.
    before = np.where(leavers.cause[account] >= 0, 60, 0)
    comes &= (later < grid.days) & (later < leavers.decided[account] - before)
    share = np.clip(rng.lognormal(np.log(0.25), 0.5, len(week)), 0.08, 1.2)
    return Growth(account, cause, begun, np.where(comes, later, NEVER), share)


def lay_seats(
    seed: int, book: Book, leavers: Leavers, pressure: Pressure, growth: Growth, grid: Grid
) -> Seats:
    """Seats by week: amendments add, customers whose budget is cut give up some."""
    rng = stream(seed, "seats")
    traces = np.zeros((len(CAUSES_OF_GROWTH), len(book), grid.weeks), np.float32)
    end = np.where(growth.grown < NEVER, growth.grown + 28, growth.begun + 150)
    for age in range(30):
        week = growth.begun // 7 + age
        live = (week < grid.weeks) & (week * 7 < end)
        at = (growth.cause[live], growth.account[live], week[live])
        np.maximum.at(traces, at, np.float32(min(1.0, (age + 1) / 6)))

    cut = pressure.trace[NUMBER["budget_eliminated"]]
    weekly = 0.05 * np.clip(cut - 0.5, 0, None) + 0.0006
    who, when = np.nonzero(rng.random(cut.shape) < weekly)
    day = when * 7 + rng.integers(0, 7, len(when))
    less = -rng.uniform(0.1, 0.35, len(when))
    grown_up = day > book.created[who] + 60
    who, day, less = who[grown_up], day[grown_up], less[grown_up]

    grown = growth.grown < NEVER
    account = np.concatenate([growth.account[grown], who])
    days = np.concatenate([growth.grown[grown], day])
    share = np.concatenate([growth.share[grown], less])
    order = np.lexsort((days, account))
    account, days, share = account[order], days[order], share[order]
    level = np.repeat(book.seats[:, None].astype(np.float64), grid.weeks, axis=1)
    change = np.zeros(len(account), np.int64)
    last: dict[int, int] = {}
    for number, (one, at_day, part) in enumerate(zip(account, days, share, strict=True)):
        # At most one change in four months, and only while the account is a customer.
        if at_day - last.get(int(one), -NEVER) < 120 or at_day >= min(leavers.decided[one], grid.days):
            continue
        now = level[one, min(at_day // 7, grid.weeks - 1)]
        step = max(1, round(now * part)) if part > 0 else -max(1, round(-now * part))
        if now + step < 2:
            continue
        change[number] = step
        last[int(one)] = int(at_day)
        level[one, at_day // 7 :] += step
    real = change != 0
    return Seats(account[real], days[real], change[real], level, traces)


def grown_from(growth: Growth, seats: Seats) -> Growth:
    """The growth episodes with only those amendments that were really made."""
    made = set(zip(seats.account.tolist(), seats.day.tolist(), strict=True))
    real = [pair in made for pair in zip(growth.account.tolist(), growth.grown.tolist(), strict=True)]
    return Growth(
        growth.account, growth.cause, growth.begun, np.where(real, growth.grown, NEVER), growth.share
    )
