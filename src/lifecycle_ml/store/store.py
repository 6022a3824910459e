"""Publications, readings, actions and their ledger in a SQL database.

Writing: `begin`, `write_readings` (any number of times), `publish`. Until `publish` commits, nothing of a
publication is seen by readers; after it, all of it is. A run that was killed leaves a publication nobody
sees, which the next `begin` for the same as_of goes on with.
"""

from __future__ import annotations

import secrets as randomness
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lifecycle_ml.store import audit
from lifecycle_ml.store.accounts import Accounts
from lifecycle_ml.store.actions import Actions
from lifecycle_ml.store.engine import open_engine
from lifecycle_ml.store.keys import Keys
from lifecycle_ml.store.publications import Publications
from lifecycle_ml.store.reports import Reports
from lifecycle_ml.store.schema import pointer, secrets
from lifecycle_ml.store.words import PeoplesWords

if TYPE_CHECKING:
    from datetime import datetime


class Store(Publications, Accounts, Actions, PeoplesWords, Reports):
    """The store at one address. Safe to share between threads; open it with `Store.open`."""

    def __repr__(self) -> str:
        return f"Store({self._engine.url.render_as_string(hide_password=True)!r})"

    @classmethod
    def open(cls, url: str) -> Store:
        """Open the store, making its tables where it is empty and migrating it where it is an earlier one's.

        Raises: ConfigError for an address that cannot be one, StoreError where nothing answers or the
        store is a newer program's.
        """
        return cls(open_engine(url))

    def close(self) -> None:
        """Close all connections."""
        self._at_hand.close()
        self._engine.dispose()

    def ping(self) -> None:
        """Ask the database one question. Raises: StoreError if it does not answer."""
        with self._reading() as connection:
            connection.execute(sa.select(pointer.c.publication_id)).first()

    def keys(self) -> Keys:
        """Return the API keys of this store."""
        return Keys(self._engine)

    def audit_log(
        self, who: str | None = None, since: datetime | None = None, limit: int = 1_000
    ) -> list[audit.Entry]:
        """Return who changed what through the service or its keys, the newest first."""
        with self._reading() as connection:
            return audit.read(connection, who, since, limit)

    def secret(self, name: str) -> bytes:
        """Return this store's random value of that name, made once: the same for every worker."""
        question = sa.select(secrets.c.value).where(secrets.c.name == name)
        with self._reading() as connection:
            value = connection.execute(question).scalar()
        if value is None:
            with self._writing() as connection:
                value = connection.execute(question).scalar()
                if value is None:
                    value = randomness.token_bytes(32)
                    connection.execute(sa.insert(secrets).values(name=name, value=value))
        return bytes(value)
