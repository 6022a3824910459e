"""Documents about all accounts, one per as_of: the monitor's verdict, the revenue statement, effects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from lifecycle_ml.store import assigned, forgotten
from lifecycle_ml.store import statements as revenue
from lifecycle_ml.store.access import Access
from lifecycle_ml.store.schema import verdicts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

_LATEST_VERDICT: Final = sa.select(verdicts.c.document).order_by(verdicts.c.as_of.desc()).limit(1)


class Reports(Access):
    """What runs found out about all accounts together; of each kind the newest as_of is read."""

    def write_verdict(self, as_of: date, at: datetime, document: Mapping[str, Any]) -> None:
        """Keep what the monitor says as of a date; said again, the later word replaces the earlier one."""
        with self._writing() as connection:
            connection.execute(sa.delete(verdicts).where(verdicts.c.as_of == as_of))
            kept = forgotten.without_them(connection, as_of, document)
            connection.execute(sa.insert(verdicts).values(as_of=as_of, at=at, document=kept))

    def verdict(self) -> dict[str, Any] | None:
        """Return the verdict of the newest as_of, None before the first."""
        with self._reading() as connection:
            found: dict[str, Any] | None = connection.execute(_LATEST_VERDICT).scalar()
        return found

    def write_statement(self, as_of: date, at: datetime, document: Mapping[str, Any]) -> None:
        """Keep the revenue statement of a day; said again, the later one replaces it."""
        with self._writing() as connection:
            revenue.write(connection, as_of, at, forgotten.without_them(connection, as_of, document))

    def statement(self) -> dict[str, Any] | None:
        """Return the revenue statement of the newest as_of, None before the first."""
        with self._reading() as connection:
            return revenue.read(connection)

    def write_effects(self, as_of: date, at: datetime, found: Sequence[dict[str, Any]]) -> None:
        """Keep what playbooks changed, outcomes known up to `as_of`, for the pages."""
        with self._writing() as connection:
            assigned.write_effects(connection, as_of, at, found)

    def effects(self) -> dict[str, Any] | None:
        """Return what playbooks changed as kept last (as_of, at, document), None before that."""
        with self._reading() as connection:
            return assigned.read_effects(connection)
