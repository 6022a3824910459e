"""The queue as rows for other systems: flat, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from lifecycle_ml.actions.action import LIVE
from lifecycle_ml.store.document import instant_text
from lifecycle_ml.store.rows import ActionFilters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from lifecycle_ml.store.store import Store

QUEUE_COLUMNS: Final = (
    "action_id",
    "account_id",
    "playbook",
    "kind",
    "title",
    "owner_role",
    "owner",
    "status",
    "opened_at",
    "due_at",
    "escalates_to",
    "escalates_at",
    "snoozed_until",
    "hours",
    "arr_kept_per_hour",
    "why",
)
_INSTANTS: Final = frozenset({"opened_at", "due_at", "escalates_at", "snoozed_until"})
_RUNS_IN_SHEETS: Final = tuple("=+-@\t\r\n＝＋－＠")
_READ: Final = 1_000
"""Actions read at a time."""


def queue_rows(store: Store, owner: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield every action that has not ended, most ARR kept per hour first, with `QUEUE_COLUMNS`.

    Held-out ones are among them, with that status; instants are text in UTC. What changes while it is read
    may be missed or come as it was, as with any list read page by page.
    """
    filters = ActionFilters(status=LIVE, owner=(owner,) if owner else ())
    cursor = None
    while True:
        page = store.list_actions(filters, cursor, _READ)
        for row in page.rows:
            yield {name: _plain(name, row[name]) for name in QUEUE_COLUMNS}
        if (cursor := page.next) is None:
            return


def csv_lines(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield a header and a line per row, each ended by CR LF, every cell `harmless`."""
    yield csv_line(columns)
    for row in rows:
        yield csv_line([harmless(row[name]) for name in columns])


def csv_line(cells: Iterable[Any]) -> str:
    """Return one line of a CSV file."""
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def harmless(value: Any) -> Any:
    """Return a cell no spreadsheet takes for a formula: text that begins like one gets a quote before it."""
    if isinstance(value, str) and value.lstrip(" ").startswith(_RUNS_IN_SHEETS):
        return "'" + value
    return value


def _plain(name: str, value: Any) -> Any:
    moment: datetime | None = value if name in _INSTANTS else None
    return instant_text(moment) if name in _INSTANTS else value
