"""The colours accounts had on days of the past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from lifecycle_ml.store import publishing
from lifecycle_ml.store.schema import listings

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

BESIDE: Final = 28
"""Days before a day from which a publication still tells of it."""


def colors(connection: sa.Connection, days: Collection[date]) -> dict[date, dict[str, str]]:
    """Return, by as_of, the colours of the newest publication beside each of `days`, where there is one."""
    known: dict[date, int] = {}
    for one in publishing.published(connection):
        known.setdefault(one.as_of, one.publication_id)
    chosen = set()
    for day in days:
        beside = [as_of for as_of in known if 0 <= (day - as_of).days < BESIDE]
        if beside:
            chosen.add(max(beside))
    return {
        as_of: {
            row.account_id: row.health
            for row in connection.execute(
                sa.select(listings.c.account_id, listings.c.health).where(
                    listings.c.publication_id == known[as_of]
                )
            )
        }
        for as_of in sorted(chosen)
    }
