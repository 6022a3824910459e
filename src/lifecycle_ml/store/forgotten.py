"""What a run that is under way must leave out: accounts forgotten after it had read them.

A run holds in memory what it read, so without this it would write again what `lifecycle forget` has erased.
Only a keyed hash is kept of an account, and only with the publication it must stay out of.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets as randomness
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy as sa

from lifecycle_ml.store.schema import forgotten, pointer, publications
from lifecycle_ml.store.schema import secrets as secret_table
from lifecycle_ml.store.traces import names_accounts, scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

NAME: Final = "forgotten"
"""Of the store's random value that marks are made with."""
_Row = TypeVar("_Row")


def mark_of(connection: sa.Connection, account_id: str) -> str:
    """Return what stands for an account that may not be named: its hash with a secret of this store.

    The secret is made where there is none, so this belongs into a transaction that writes.
    """
    secret = _secret(connection)
    if secret is None:
        secret = randomness.token_bytes(32)
        connection.execute(sa.insert(secret_table).values(name=NAME, value=secret))
    return _mark(secret, account_id)


def known_mark(connection: sa.Connection, account_id: str) -> str | None:
    """Return the mark of an account, None where this store never forgot any."""
    secret = _secret(connection)
    return None if secret is None else _mark(secret, account_id)


def keep_out(connection: sa.Connection, mark: str) -> None:
    """Keep an account out of the publications that runs may still write to."""
    unfinished = sa.or_(
        publications.c.published_at.is_(None),
        # its run may still be writing what the monitor says
        publications.c.publication_id.in_(sa.select(pointer.c.publication_id)),
    )
    for row in connection.execute(sa.select(publications.c.publication_id).where(unfinished)).all():
        here = {"publication_id": row.publication_id, "mark": mark}
        known = sa.select(forgotten.c.mark).filter_by(**here)
        if connection.execute(known).first() is None:
            connection.execute(sa.insert(forgotten).values(**here))


def without(
    connection: sa.Connection, publication_id: int, rows: Iterable[_Row], account_of: Callable[[_Row], str]
) -> list[_Row]:
    """Return the rows whose accounts were not forgotten while the publication was being made."""
    is_out = _kept_out(connection, publication_id)
    return [row for row in rows if is_out is None or not is_out(account_of(row))]


def let_in(connection: sa.Connection, publication_id: int) -> None:
    """Forget what a publication had to leave out: a run that begins it anew reads the tables anew."""
    connection.execute(sa.delete(forgotten).where(forgotten.c.publication_id == publication_id))


def without_them(connection: sa.Connection, as_of: date, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document a run keeps of its as_of without the accounts its publication has to leave out."""
    newest = sa.select(sa.func.max(publications.c.publication_id)).where(publications.c.as_of == as_of)
    here = connection.execute(newest).scalar()
    is_out = None if here is None else _kept_out(connection, here)
    if is_out is None:
        return dict(document)
    return scrub(document, lambda value, key: names_accounts(key) and is_out(value))[0] or {}


def _kept_out(connection: sa.Connection, publication_id: int) -> Callable[[object], bool] | None:
    """Return what tells whether an account is kept out of a publication, None where none is."""
    question = sa.select(forgotten.c.mark).where(forgotten.c.publication_id == publication_id)
    marks = {row.mark for row in connection.execute(question)}
    secret = _secret(connection) if marks else None
    return None if secret is None else lambda account: _mark(secret, str(account)) in marks


def _secret(connection: sa.Connection) -> bytes | None:
    value = connection.execute(sa.select(secret_table.c.value).where(secret_table.c.name == NAME)).scalar()
    return None if value is None else bytes(value)


def _mark(secret: bytes, account_id: str) -> str:
    digest = hmac.new(secret, account_id.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"account#{digest.hexdigest()[:24]}"
