"""Contract rows: terms, renewals, amendments, cancel-and-replace, and the end of those who leave."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lifecycle_ml.simulate.book import PLANS, PRICES, Book
from lifecycle_ml.simulate.calendar import Calendar
from lifecycle_ml.simulate.grid import NEVER, Grid, stream
from lifecycle_ml.simulate.growth import Seats
from lifecycle_ml.simulate.leaving import Leavers
from lifecycle_ml.simulate.priors import ANNUAL, EVERGREEN, MONTHLY

_COLUMNS = (
    "account", "renews", "signed", "start", "end", "seats", "notice_given", "cancelled", "amends", "price"
)  # fmt: skip


def write_contracts(
    seed: int, book: Book, calendar: Calendar, seats: Seats, leavers: Leavers, grid: Grid, causes: bool
) -> pd.DataFrame:
    """One row per term or amendment. Rows nobody had signed when the data was taken are not there."""
    rng = stream(seed, "contracts")
    uplift = rng.uniform(0.0, 0.05, len(book))
    changes: dict[int, list[tuple[int, int]]] = {}
    for account, day, change in zip(seats.account, seats.day, seats.change, strict=True):
        changes.setdefault(int(account), []).append((int(day), int(change)))
    rows: list[tuple[object, ...]] = []
    for account in range(len(book)):
        _rows_of(
            rows, account, book, calendar, leavers, changes.get(account, []), grid, causes, uplift[account]
        )
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    return _canonical(table, book, grid, rng)


def _rows_of(
    rows: list[tuple[object, ...]],
    account: int,
    book: Book,
    calendar: Calendar,
    leavers: Leavers,
    changes: list[tuple[int, int]],
    grid: Grid,
    causes: bool,
    uplift: float,
) -> None:
    kind, gone, decided = int(book.term[account]), int(leavers.gone[account]), int(leavers.decided[account])
    level, before, price = int(book.seats[account]), -1, 1.0
    if kind == EVERGREEN:
        _evergreen(rows, account, calendar, leavers, changes, level, causes)
        return
    todo = list(changes)
    for term in calendar.terms[account]:
        if term.start >= gone or term.signed >= grid.days or (before >= 0 and term.signed > gone):
            break
        assert term.end is not None
        while todo and todo[0][0] <= term.start:
            level += todo.pop(0)[1]
        cut_short = gone if gone < term.end else NEVER
        told = NEVER
        if kind == ANNUAL and causes and decided < term.end <= gone < NEVER and book.auto_renew[account]:
            told = decided
        rows.append((account, before, term.signed, term.start, term.end, level, told, cut_short, -1, price))
        before = main = len(rows) - 1
        while kind == ANNUAL and todo and todo[0][0] < min(term.end, gone):
            day, change = todo[0]
            if change < 0:
                break  # seats are given up at the next renewal
            todo.pop(0)
            rows.append((account, -1, day - 3, day, term.end, change, NEVER, cut_short, main, price))
            level += change
        price *= 1 + (uplift if kind == ANNUAL else 0.0)


def _evergreen(
    rows: list[tuple[object, ...]],
    account: int,
    calendar: Calendar,
    leavers: Leavers,
    changes: list[tuple[int, int]],
    level: int,
    causes: bool,
) -> None:
    gone, decided = int(leavers.gone[account]), int(leavers.decided[account])
    term = calendar.terms[account][0]
    told = decided if causes and gone - decided > 0 else NEVER
    open_rows: list[list[object]] = [
        [account, -1, term.signed, term.start, NEVER, level, told, gone, -1, 1.0]
    ]
    closed: list[list[object]] = []
    base = len(rows)
    for day, change in changes:
        if day >= min(decided, gone):
            break
        level += change
        if change > 0:
            open_rows.append([account, -1, day - 2, day, NEVER, change, told, gone, base, 1.0])
            continue
        # Cancel and replace: the old rows end the day the smaller contract starts.
        first = base + len(closed)
        for row in open_rows:
            row[6], row[7] = NEVER, day
        closed += open_rows
        open_rows = [[account, first, day - 5, day, NEVER, level, told, gone, -1, 1.0]]
    rows += [tuple(row) for row in closed + open_rows]


def _canonical(table: pd.DataFrame, book: Book, grid: Grid, rng: np.random.Generator) -> pd.DataFrame:
    account = table["account"].to_numpy()
    ids = np.array([f"C-{number:06d}" for number in range(1, len(table) + 1)])
    count = len(table)
    term = book.term[account]
    base = PRICES[book.plan[account]] * (1 - book.discount[account]) * table["price"].to_numpy()
    seats = table["seats"].to_numpy()
    end, cancelled = table["end"].to_numpy(), table["cancelled"].to_numpy()
    renews = table["renews"].to_numpy()
    signed = table["signed"].to_numpy() + rng.uniform(0.35, 0.75, count)
    amends = table["amends"].to_numpy() >= 0
    # Amendments stand beside the contract they amend, and beside each other.
    added = np.char.add("seats_", table.groupby(["account", "amends"]).cumcount().to_numpy().astype(str))
    # Nobody signs an automatic renewal: it is known on the day it starts.
    automatic = book.auto_renew[account] & (renews >= 0) & (term != EVERGREEN)
    signed = np.where(automatic | (table["signed"] >= table["start"]), table["start"], signed)
    notice_kind = np.where(term == MONTHLY, 0, book.notice[account])
    lost = rng.random(count) < 0.04
    return pd.DataFrame(
        {
            "contract_id": pd.array(ids, dtype="str"),
            "account_id": pd.array(np.array(book.ids)[account], dtype="str"),
            "product": pd.array(np.where(amends, added, "platform"), dtype="str"),
            "renews_contract_id": pd.Series(np.where(renews >= 0, ids[renews], None), dtype="str"),
            "signed_at": grid.instants(np.where(lost, NEVER, signed)),
            "starts_on": grid.dates(table["start"].to_numpy()),
            "ends_on": grid.dates(end),
            "arr": np.maximum(np.round(base * seats, 2), 1.0),
            "currency": pd.array(np.full(count, "EUR"), dtype="str"),
            "is_recurring": np.ones(count, dtype=bool),
            "seats": seats.astype(np.int64),
            "usage_limit": (seats * 7).astype(np.float64),
            "auto_renew": pd.array(book.auto_renew[account], dtype="boolean"),
            "notice_days": notice_kind.astype(np.int64),
            "notice_given_on": grid.dates(grid.seen(table["notice_given"].to_numpy())),
            "payment_terms_days": np.where(term == ANNUAL, 30, 14).astype(np.int64),
            "plan": pd.array(np.array(PLANS)[book.plan[account]], dtype="str"),
            "discount": pd.Series(np.where(rng.random(count) < 0.05, np.nan, book.discount[account])),
            "cancelled_on": grid.dates(cancelled),
            "renewal_owner": pd.array(
                np.where(term == ANNUAL, np.char.add("ae-", (account % 7).astype(str)), "csm-pool"),
                dtype="str",
            ),
        }
    )
