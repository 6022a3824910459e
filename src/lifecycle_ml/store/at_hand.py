"""Accounts kept in memory until anything in the store changes, so that asking again costs no SQL.

Only SQLite counts its changes where asking for the count costs next to nothing (`PRAGMA data_version`);
on Postgres nothing is kept and every question goes to the database.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from lifecycle_ml.store.lists import Answers

if TYPE_CHECKING:
    from collections.abc import Collection

    import sqlalchemy as sa

    from lifecycle_ml.store.rows import Publication, Words

MOST_BYTES: Final = 32_000_000
"""Of readings kept; those asked for longest ago go first."""


class _One(NamedTuple):
    body: bytes
    name: str | None
    actions: list[dict[str, Any]] | None
    words: Words | None


class AtHand:
    """What was read of accounts of the current publication since the last change. Safe between threads.

    Any commit by anybody (a publication, an action completed, a key's use) forgets all of it.
    """

    def __init__(self, engine: sa.Engine, most_bytes: int = MOST_BYTES) -> None:
        self._engine, self._most = engine, most_bytes
        self._lock = Lock()
        self._watch: Any = None
        self._version: int | None = None
        self._publication: Publication | None = None
        self._kept: OrderedDict[str, _One] = OrderedDict()
        self._bytes = 0

    def look(self, account_ids: Collection[str]) -> tuple[int | None, Answers | None]:
        """Return the store's change count (None: it has none), and the accounts if all are at hand.

        The count goes back to `keep` with what was read after it.
        """
        with self._lock:
            version = self._count()
            if version != self._version:
                self._forget(version)
            # a column of a table is a collection too, and has no truth of its own
            known = len(account_ids) > 0 and all(each in self._kept for each in account_ids)
            if version is None or not known:
                return version, None
            found = Answers(self._publication)
            for account_id in account_ids:
                one = self._kept[account_id]
                self._kept.move_to_end(account_id)
                found.bodies[account_id] = one.body
                found.names[account_id] = one.name
                if one.actions is not None:
                    found.actions[account_id] = one.actions
                if one.words is not None:
                    found.words[account_id] = one.words
            return version, found

    def keep(self, version: int | None, found: Answers) -> None:
        """Keep what was read since the count was `version`; nothing, if there was a change in between."""
        with self._lock:
            if version is None or version != self._version or version != self._count():
                return
            self._publication = found.publication
            for account_id, body in found.bodies.items():
                if account_id not in self._kept:
                    self._bytes += len(body)
                self._kept[account_id] = _One(
                    body,
                    found.names.get(account_id),
                    found.actions.get(account_id),
                    found.words.get(account_id),
                )
            while self._bytes > self._most:
                _, one = self._kept.popitem(last=False)
                self._bytes -= len(one.body)

    def close(self) -> None:
        """Forget everything and end the connection that watches."""
        with self._lock:
            self._forget(None)
            if self._watch is not None:
                self._watch.close()
                self._watch = None

    def _forget(self, version: int | None) -> None:
        self._version, self._publication, self._bytes = version, None, 0
        self._kept.clear()

    def _count(self) -> int | None:
        """Return SQLite's count of commits by others: of all, for this connection itself writes nothing."""
        if self._engine.dialect.name != "sqlite":
            return None
        try:
            if self._watch is None:
                taken = self._engine.raw_connection()
                self._watch = taken.driver_connection
                taken.detach()
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])
        except (sqlite3.Error, SQLAlchemyError):
            return None  # whoever asks the database next says what is wrong
