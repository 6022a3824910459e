"""Letting old readings go: one publication at a time, so that others write in between and readers go on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from lifecycle_ml.store import audit, publishing
from lifecycle_ml.store.engine import say_store_error, writing
from lifecycle_ml.store.schema import publications, readings

if TYPE_CHECKING:
    from datetime import date, datetime

DID: Final = "publication pruned"
"""What the audit log says of each that went."""


@dataclass(frozen=True)
class Pruned:
    """What went: publications with their readings; `before` is the first as_of that stayed a candidate."""

    before: date | None
    publications: int
    readings: int


def prune(engine: sa.Engine, keep_days: int, by: str, at: datetime) -> Pruned:
    """Delete the publications whose as_of lies more than `keep_days` before that of the current one.

    Each goes whole, in a transaction of its own with its line in the audit log; stopped in between, the rest
    goes the next time. The current one, unfinished ones, actions, ledger, what people said, assignments and
    the audit log stay.
    """
    with say_store_error(engine), engine.connect() as connection:
        seen = publishing.current(connection)
        if seen is None:
            return Pruned(None, 0, 0)
        before = seen.as_of - timedelta(days=keep_days)
        old = [
            each
            for each in publishing.published(connection)
            if each.as_of < before and each.publication_id != seen.publication_id
        ]
    gone = counted = 0
    for each in old:
        with say_store_error(engine), writing(engine) as connection:
            its_own = readings.c.publication_id == each.publication_id
            rows = sa.select(sa.func.count()).select_from(readings).where(its_own)
            count = connection.execute(rows).scalar_one()
            this = publications.c.publication_id == each.publication_id
            if connection.execute(sa.delete(publications).where(this)).rowcount:
                target = f"publication {each.publication_id}, as of {each.as_of}"
                audit.write(connection, audit.Entry(at, by, DID, target))
                gone, counted = gone + count, counted + 1
    return Pruned(before, counted, gone)
