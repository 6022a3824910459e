"""Who changed what, when and by which request: written in the transaction of the change itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lifecycle_ml.store.schema import audit, naive_utc

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class Entry:
    """One change. `who`: a key's name, or a person at the command line; `target`: what was changed."""

    at: datetime
    who: str
    did: str
    target: str
    request_id: str = ""
    """Of the call; empty for a command."""


def deed_of(word: object) -> str:
    """Return what the log calls a person's word about an action or an account."""
    return type(word).__name__.lower()


def write(connection: sa.Connection, entry: Entry) -> None:
    """Add one entry."""
    connection.execute(
        sa.insert(audit).values(
            at=entry.at,
            who=entry.who,
            did=entry.did,
            target=entry.target,
            request_id=entry.request_id,
        )
    )


def read(connection: sa.Connection, who: str | None, since: datetime | None, limit: int) -> list[Entry]:
    """Return the newest entries (of one caller, since an instant), the newest first."""
    question = sa.select(audit).order_by(audit.c.entry_id.desc()).limit(limit)
    if who is not None:
        question = question.where(audit.c.who == who)
    if since is not None:
        question = question.where(audit.c.at >= naive_utc(since))
    return [
        Entry(row.at, row.who, row.did, row.target, row.request_id) for row in connection.execute(question)
    ]
