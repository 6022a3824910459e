"""Letting old readings go: one publication at a time, so that others write in between and readers go on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lifecycle_ml.store import publishing
from lifecycle_ml.store.engine import say_store_error, writing
from lifecycle_ml.store.schema import publications, readings

if TYPE_CHECKING:
    from datetime import date


@dataclass(frozen=True)
class Pruned:
    """What went: publications with their readings; `before` is the first as_of that stayed a candidate."""

    before: date | None
    publications: int
    readings: int


def prune(engine: sa.Engine, keep_days: int) -> Pruned:
    """Delete the publications whose as_of lies more than `keep_days` before that of the current one.

    Each goes whole, in a transaction of its own; stopped in between, the rest goes the next time. The current
    one, unfinished ones, actions, ledger, what people said, assignments and the audit log stay.
    """
    with say_store_error(engine), engine.connect() as connection:
        seen = publishing.current(connection)
        if seen is None:
            return Pruned(None, 0, 0)
        before = seen.as_of - timedelta(days=keep_days)
        old = [
            each.publication_id
            for each in publishing.published(connection)
            if each.as_of < before and each.publication_id != seen.publication_id
        ]
    gone = 0
    for publication_id in old:
        with say_store_error(engine), writing(engine) as connection:
            its_own = readings.c.publication_id == publication_id
            gone += connection.execute(
                sa.select(sa.func.count()).select_from(readings).where(its_own)
            ).scalar_one()
            connection.execute(sa.delete(publications).where(publications.c.publication_id == publication_id))
    return Pruned(before, len(old), gone)
