"""Documents about all accounts, one per as_of: verdicts, revenue statements, scoreboards, effects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lifecycle_ml.store import assigned, forgotten
from lifecycle_ml.store.access import Access
from lifecycle_ml.store.schema import scoreboards, statements, verdicts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime


class Reports(Access):
    """What was found out about all accounts together; of each kind the newest as_of is read.

    Said again for an as_of, the later word replaces the earlier one.
    """

    def write_verdict(self, as_of: date, at: datetime, document: Mapping[str, Any]) -> None:
        """Keep what the monitor says as of a date."""
        self._keep(verdicts, as_of, at, document)

    def verdict(self) -> dict[str, Any] | None:
        """Return the latest verdict, None before the first."""
        return self._newest(verdicts)

    def write_statement(self, as_of: date, at: datetime, document: Mapping[str, Any]) -> None:
        """Keep the revenue statement of a day."""
        self._keep(statements, as_of, at, document)

    def statement(self) -> dict[str, Any] | None:
        """Return the latest revenue statement, None before the first."""
        return self._newest(statements)

    def write_scoreboard(self, as_of: date, at: datetime, document: Mapping[str, Any]) -> None:
        """Keep what followed when triggers fired, by what was known at `as_of`."""
        self._keep(scoreboards, as_of, at, document)

    def scoreboard(self) -> dict[str, Any] | None:
        """Return the latest scoreboard of triggers, None before the first."""
        return self._newest(scoreboards)

    def write_effects(self, as_of: date, at: datetime, found: Sequence[dict[str, Any]]) -> None:
        """Keep what playbooks changed, outcomes known up to `as_of`, for the pages."""
        with self._writing() as connection:
            assigned.write_effects(connection, as_of, at, found)

    def effects(self) -> dict[str, Any] | None:
        """Return what playbooks changed as kept last (as_of, at, document), None before that."""
        with self._reading() as connection:
            return assigned.read_effects(connection)

    def _keep(self, table: sa.Table, as_of: date, at: datetime, document: Mapping[str, Any]) -> None:
        with self._writing() as connection:
            connection.execute(sa.delete(table).where(table.c.as_of == as_of))
            kept = forgotten.without_them(connection, as_of, document)
            connection.execute(sa.insert(table).values(as_of=as_of, at=at, document=kept))

    def _newest(self, table: sa.Table) -> dict[str, Any] | None:
        question = sa.select(table.c.document).order_by(table.c.as_of.desc()).limit(1)
        with self._reading() as connection:
            found: dict[str, Any] | None = connection.execute(question).scalar()
        return found
