"""The revenue statements that runs keep; each function works in its caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lifecycle_ml.store.schema import statements

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime


def write(connection: sa.Connection, as_of: date, at: datetime, document: Mapping[str, Any]) -> None:
    """Keep the statement of a day; said again, the later one replaces it."""
    connection.execute(sa.delete(statements).where(statements.c.as_of == as_of))
    connection.execute(sa.insert(statements).values(as_of=as_of, at=at, document=dict(document)))


def read(connection: sa.Connection) -> dict[str, Any] | None:
    """Return the statement of the newest as_of, None before the first."""
    newest = sa.select(statements.c.document).order_by(statements.c.as_of.desc()).limit(1)
    found: dict[str, Any] | None = connection.execute(newest).scalar()
    return found
