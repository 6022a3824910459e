"""What became of accounts within a quarter in the past, by what the contract calendar said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lifecycle_ml.revenue.terms import AWAITING, CLASSES, NOTICE, STEP_MONTHS, classes_ahead

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from lifecycle_ml.revenue.books import Books

    Floats = NDArray[np.float64]

LEARNED_MONTHS = 12
"""Quarters beginning in this many months are learned from: a whole year, so that no season weighs double."""
YOUNG_MONTHS = 12
"""Accounts in their first year are told apart: what onboarding did not do, they leave for."""
WEIGHT = 100.0
"""A class counts its own past, and that of the class above it as if of so many account-quarters."""
AWAITED_BACK, AWAITED_WEIGHT = 0.2, 5.0
"""Of accounts whose contract ended within grace, so many renew late before anything is known of it."""

_FIXED = {NOTICE: (0.9, 5.0)}
"""Who gave notice is expected to leave before anything is known of it, as if seen five times."""


@dataclass(frozen=True)
class Rates:
    """Chances within a quarter, weighted by ARR, learned from one company's past.

    lost, lost_doubt      (classes, 2): chance of losing all ARR, in the first year (column 1) and after
                          (column 0), and its standard error
    grew, shrank          (classes,): chance that one who stays pays more, or less, at the quarter's end
    rise, fall            by what part ARR then grows or shrinks (means); rise_squared, fall_squared: the
                          means of their squares
    change_doubt          standard error of the net change of those who stay
    back                  part of ARR lost up to a year ago that is won back within a quarter
    quarters, losses      account-quarters learned from, and how many of them ended in a loss
    """

    lost: Floats
    lost_doubt: Floats
    grew: Floats
    shrank: Floats
    rise: float
    fall: float
    rise_squared: float
    fall_squared: float
    change_doubt: float
    back: float
    quarters: int
    losses: int


def newest_settled(books: Books, settle_days: int) -> int:
    """Return the position of the newest month whose losses are certain, -1 where none is.

    settle_days: grace and arrival lag; until they have passed, an account may yet renew.
    """
    ends = books.months.end_time.to_numpy().astype("datetime64[D]")
    known = np.datetime64(books.known_on, "D") - ends > np.timedelta64(settle_days, "D")
    return int(known.sum()) - 1


def recorded_from(books: Books) -> int:
    """Return the position of the first month with a loss; the number of months where there is none.

    Records often begin with the customers of that day and their old contracts: whoever left before is in no
    table. Earlier months hold survivors alone, and would teach that nobody leaves.
    """
    lost = (books.arr[:, 1:-1] > 0) & (books.arr[:, 2:] == 0)
    seen = np.flatnonzero(lost.any(axis=0))
    return int(seen[0]) + 1 if len(seen) else len(books.months)


def learn_rates(books: Books, terms: pd.DataFrame, settle_days: int) -> Rates | None:
    """Learn from every quarter that began in the newest LEARNED_MONTHS and has settled.

    Quarters overlap, month by month; doubt counts accounts, not quarters. Nothing before the first loss in
    the books is learned from (`recorded_from`). None where no quarter has settled since.
    """
    last = newest_settled(books, settle_days)
    begins = range(max(recorded_from(books), last - STEP_MONTHS - LEARNED_MONTHS + 1), last - STEP_MONTHS + 1)
    parts: list[tuple[NDArray[np.int64], ...]] = []
    away, won_back = 0.0, 0.0
    for month in begins:
        had, has = books.arr[:, 1 + month], books.arr[:, 1 + month + STEP_MONTHS]
        at = np.flatnonzero(had > 0)
        kind = classes_ahead(terms, books, month, 1)[at, 0].astype(np.int64)
        young = (month - books.first_months[at] < YOUNG_MONTHS).astype(np.int64)
        parts.append((at, kind, young, had[at], has[at]))
        before = books.arr[:, max(1, 1 + month - 12) : 1 + month].max(axis=1, initial=0)
        gone = (had == 0) & (before > 0)
        away += float(before[gone].sum())
        won_back += float(has[gone].sum())
    if not parts or not sum(len(part[0]) for part in parts):
        return None
    account, kind, young, had, has = (np.concatenate(column) for column in zip(*parts, strict=True))
    lost, doubt = _losses(account, kind, young, had.astype(float), has == 0)
    stays = has > 0
    change = np.where(stays, (has - had) / had, 0.0)
    weight = np.where(stays, had, 0).astype(float)
    up, down = weight * (change > 0), weight * (change < 0)
    _, net_doubt = _ratio(account, weight * change, weight)
    return Rates(
        lost=lost,
        lost_doubt=doubt,
        grew=_by_class(kind, up, weight),
        shrank=_by_class(kind, down, weight),
        rise=_mean(change, up),
        fall=-_mean(change, down),
        rise_squared=_mean(change**2, up),
        fall_squared=_mean(change**2, down),
        change_doubt=net_doubt,
        back=won_back / away if away else 0.0,
        quarters=len(had),
        losses=int((~stays).sum()),
    )


def _losses(
    account: NDArray[np.int64],
    kind: NDArray[np.int64],
    young: NDArray[np.int64],
    had: Floats,
    gone: NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    lost = np.zeros((len(CLASSES), 2))
    doubt = np.zeros_like(lost)
    typical = float(had.mean())
    whole, whole_doubt = _ratio(account, had * gone, had)
    for at in range(len(CLASSES)):
        here = kind == at
        if at == AWAITING:
            lost[at] = 1 - AWAITED_BACK
            continue
        prior, weight = _FIXED.get(at, (whole, WEIGHT))
        rate, error = _ratio(account[here], (had * gone)[here], had[here])
        share = had[here].sum() / (had[here].sum() + weight * typical)
        above = share * rate + (1 - share) * prior
        above_doubt = float(np.hypot(share * error, (1 - share) * whole_doubt))
        for age in (0, 1):
            cell = here & (young == age)
            rate, error = _ratio(account[cell], (had * gone)[cell], had[cell])
            own = had[cell].sum() / (had[cell].sum() + WEIGHT * typical)
            lost[at, age] = own * rate + (1 - own) * above
            doubt[at, age] = float(np.hypot(own * error, (1 - own) * above_doubt))
    return lost, doubt


def _by_class(kind: NDArray[np.int64], part: Floats, weight: Floats) -> Floats:
    whole = part.sum() / weight.sum() if weight.sum() else 0.0
    typical = weight.mean() * WEIGHT
    above = np.bincount(kind, part, len(CLASSES)) + typical * whole
    below = np.bincount(kind, weight, len(CLASSES)) + typical
    found: Floats = np.divide(above, below, out=np.zeros(len(CLASSES)), where=below > 0)
    return found


def _mean(values: Floats, weight: Floats) -> float:
    return float((values * weight).sum() / weight.sum()) if weight.sum() else 0.0


def _ratio(account: NDArray[np.int64], above: Floats, below: Floats) -> tuple[float, float]:
    """Return sum(above) / sum(below) with its standard error, accounts being what is drawn (linearised)."""
    whole = below.sum()
    if not whole:
        return 0.0, 0.0
    rate = float(above.sum() / whole)
    left = np.bincount(account, above - rate * below)
    return rate, float(np.sqrt((left**2).sum()) / whole)
