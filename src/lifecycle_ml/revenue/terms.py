"""The contract calendar: which accounts decide on a renewal in which of the quarters ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd

from lifecycle_ml.tables.clock import as_known
from lifecycle_ml.tables.schema import SCHEMAS

if TYPE_CHECKING:
    from datetime import date

    from numpy.typing import NDArray

    from lifecycle_ml.revenue.books import Books
    from lifecycle_ml.tables.source import Tables

STEP_MONTHS = 3
"""A quarter ahead: three months from the end of the last whole month."""
SHORT_TERM_DAYS = 100
"""Terms up to this long are renewed within any quarter, as evergreen contracts may end within any."""
CLASSES = ("any time", "runs on", "renews", "notice given", "awaiting")
"""What the calendar says of an account in a quarter: it may leave at any time (no end, or short terms), its
term does not end, its term ends, its term ends and notice was given, or it has ended and may yet renew."""
ANY_TIME, RUNS_ON, RENEWS, NOTICE, AWAITING = range(len(CLASSES))

_NEVER = 10_000_000
_DAYS_PER_MONTH = 365.25 / 12


def read_terms(tables: Tables, known_on: date) -> pd.DataFrame:
    """Return the paid recurring contracts known on `known_on` with their planned ends.

    Grain: one row per contract, its newest version: account_id, and in whole days since 1970 known, starts,
    ends (planned; 10,000,000: none), cancelled and notice (the same where there is none), known by known_on.
    """
    through = ibis.timestamp(pd.Timestamp(known_on).to_pydatetime())
    spined = tables["contracts"].mutate(as_of=through, known_until=through)
    rows = as_known(spined, SCHEMAS["contracts"])
    rows = rows.filter(rows.is_recurring.fill_null(True), rows.arr > 0)
    day = {
        "known": rows.known_at,
        "starts": rows.starts_on,
        "ends": rows.ends_on,
        "cancelled": rows.cancelled_on,
        "notice": rows.notice_given_on,
    }
    epoch = ibis.date("1970-01-01")
    found: pd.DataFrame = rows.select(
        "account_id",
        **{
            name: value.cast("date").delta(epoch, unit="day").fill_null(_NEVER).cast("int64")
            for name, value in day.items()
        },
    ).to_pandas()
    return found


def classes_ahead(terms: pd.DataFrame, books: Books, month: int, steps: int) -> NDArray[np.int8]:
    """Say for each account of the books what the calendar says of the `steps` quarters after a month.

    month: position in `books.months`; what was known and signed by its end counts, so a renewal signed ahead
    moves the end. Shapes: (accounts, steps), positions in CLASSES. Where several contracts run, the one that
    ends last decides; after an end the same term is taken to follow. Accounts without a contract then are
    `any time`, for a contract of their own says nothing else.
    """
    last = np.datetime64(books.months[month].end_time.date(), "D").astype(np.int64)
    live = terms[(terms["known"] <= last + 1) & (terms["cancelled"] > last) & (terms["ends"] > last)]
    place = pd.Index(books.accounts).get_indexer(pd.Index(live["account_id"]))
    live, place = live[place >= 0], place[place >= 0]
    order = np.lexsort((live["ends"].to_numpy(), place))
    newest = order[np.append(np.diff(place[order]) != 0, True)] if len(order) else order
    ends = np.full(len(books.accounts), _NEVER, dtype=np.int64)
    length = np.full(len(books.accounts), _NEVER, dtype=np.int64)
    ends[place[newest]] = live["ends"].to_numpy()[newest]
    length[place[newest]] = (live["ends"] - live["starts"]).to_numpy()[newest]
    told = np.zeros(len(books.accounts), dtype=bool)
    told[place[live["notice"].to_numpy() <= last]] = True

    found = np.full((len(books.accounts), steps), ANY_TIME, dtype=np.int8)
    fixed = (ends < _NEVER) & (length > SHORT_TERM_DAYS)
    found[fixed] = RUNS_ON
    start = _month_of(np.array([last]))[0]
    ahead = _month_of(np.where(fixed, ends, last)) - start
    months = np.maximum(1, np.round(np.where(fixed, length, 1) / _DAYS_PER_MONTH)).astype(np.int64)
    for step in range(steps):
        begin, stop = step * STEP_MONTHS, (step + 1) * STEP_MONTHS
        # the first end at or after the beginning of this quarter, of this term or of one like it after it
        later = ahead + np.maximum(0, -(-(begin + 1 - ahead) // months)) * months
        found[fixed & (later <= stop), step] = RENEWS
        found[told & fixed & (ahead > begin) & (ahead <= stop), step] = NOTICE
    # who may go at any time and has given notice goes in the first quarter
    found[told & ~fixed, 0] = NOTICE
    return found


def _month_of(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Months since 1970; a contract that ends on any day of a month is gone at that month's end."""
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
