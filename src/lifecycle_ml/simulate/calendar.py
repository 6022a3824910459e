"""The contract calendar: the terms each account would have if it stayed, and when it can leave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifecycle_ml.simulate.book import Book
from lifecycle_ml.simulate.grid import AHEAD, NEVER, WARM_UP, Floats, Grid, Ints, stream
from lifecycle_ml.simulate.priors import ANNUAL, EVERGREEN, MONTHLY

MID_TERM = 0.35
"""What remains of the hazard inside an annual term: break clauses, closures, agreed exits."""

RENEWAL = 20.0
"""Weeks of hazard that come together in the decision on an annual renewal."""

MONTH = 30.0 / 7
"""Weeks of hazard that come together at the end of a monthly term."""


@dataclass(frozen=True)
class Term:
    """One planned term: signed on, decided on, in force from start to end (days; end None = evergreen)."""

    start: int
    end: int | None
    signed: int
    decided: int


@dataclass(frozen=True)
class Calendar:
    """When accounts can leave. Columns are weeks, from WARM_UP before the first day to AHEAD after the last.

    open_door   hazard weeks for leaving within the week (then `notice` days later)
    at_end      hazard weeks for deciding, in this week, not to renew
    exit_day    the day on which who decides so in this week is gone
    """

    terms: list[list[Term]]
    open_door: Floats
    at_end: Floats
    exit_day: Ints
    notice: Ints


def plan_calendar(seed: int, book: Book, grid: Grid, causes: bool) -> Calendar:
    """Plan every account's terms to the end of the data; late renewals leave a gap shorter than 30 days."""
    rng = stream(seed, "calendar")
    shape = (len(book), grid.columns + AHEAD)
    open_door, at_end = np.zeros(shape), np.zeros(shape)
    exit_day = np.full(shape, NEVER, dtype=np.int64)
    terms: list[list[Term]] = []
    for account in range(len(book)):
        kind, created = int(book.term[account]), int(book.created[account])
        signed = created - int(rng.integers(0, 15))
        if kind == EVERGREEN:
            terms.append([Term(created, None, signed, NEVER)])
            open_door[account] = 1.0
            continue
        length = 30 if kind == MONTHLY else 365 if rng.random() < 0.85 else 730
        # Terms that ended before the first day are not in the systems any more.
        skipped = max(0, -created // length)
        start, plan = created + skipped * length, []
        if skipped:
            signed = start - int(rng.integers(0, 30))
        while start < grid.days + 7 * AHEAD:
            end = start + length
            gap = ahead = 0
            if kind == ANNUAL and causes:
                ahead, gap = _renewal_habits(rng, bool(book.auto_renew[account]), int(book.notice[account]))
            decided = end - ahead
            plan.append(Term(start, end, signed, decided))
            week = decided // 7 + WARM_UP
            if 0 <= week < shape[1]:
                at_end[account, week] = MONTH if kind == MONTHLY else RENEWAL * (1.5 if length > 365 else 1.0)
                exit_day[account, week] = end
            if kind == ANNUAL:
                doors = slice(max(0, start // 7 + WARM_UP), max(0, end // 7 + WARM_UP))
                open_door[account, doors] = MID_TERM
            # An automatic renewal is signed by nobody and takes effect on the day.
            signed = end + gap if gap else end if kind == MONTHLY or book.auto_renew[account] else decided
            start = end + gap
        terms.append(plan)
    if not causes:
        open_door[:], at_end[:] = 1.0, 0.0
    notice = np.where((book.term == EVERGREEN) & causes, book.notice, 0)
    return Calendar(terms, open_door, at_end, exit_day, notice)


def _renewal_habits(rng: np.random.Generator, auto_renew: bool, notice: int) -> tuple[int, int]:
    """Days from the decision to the end of the term, and days a renewal comes late (0 mostly)."""
    habit, early, soon, late = rng.random(), rng.integers(25, 60), rng.integers(1, 8), rng.integers(3, 26)
    if auto_renew:
        return notice + 3, 0
    if habit < 0.08:
        return int(early), 0
    if habit < 0.13:
        return 0, int(late)
    return int(soon), 0
