"""API keys: made, exchanged and revoked in the store, so that every worker on it knows the same ones.

A key is 256 random bits, so one SHA-256 of it is as good as a slow hash: there is nothing to guess. The key
itself is returned once, when it is made, and kept nowhere.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from lifecycle_ml.errors import UserError, did_you_mean
from lifecycle_ml.settings import ROLES
from lifecycle_ml.store import audit
from lifecycle_ml.store.engine import say_store_error, writing
from lifecycle_ml.store.schema import api_keys, naive_utc

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date, datetime, timedelta

PREFIX: Final = "lifecycle_"
"""What every key begins with, so that scanners for leaked secrets can tell one."""
USUAL_PER_MINUTE: Final = 1_000
"""Calls a minute where nothing else is said."""
_NAMES = re.compile(r"(?!key-)[A-Za-z0-9](?:[A-Za-z0-9 ._@-]{0,62}[A-Za-z0-9])?")
_WORKS = api_keys.c.revoked_at.is_(None)


class KeyChangeError(UserError):
    """A key that cannot be made, exchanged or revoked like this."""


@dataclass(frozen=True)
class StoredKey:
    """One key as the store knows it; instants are naive UTC.

    `per_minute`: calls a minute, None for any number. `last_used_on` is a day, so that reading seldom writes.
    """

    key_id: str
    name: str
    role: str
    digest: bytes = field(repr=False)
    per_minute: int | None
    created_at: datetime
    last_used_on: date | None
    expires_at: datetime | None
    revoked_at: datetime | None

    def works(self, now: datetime) -> bool:
        """Whether it opens the service at `now`."""
        ended = self.expires_at is not None and self.expires_at <= naive_utc(now)
        return self.revoked_at is None and not ended


def digest_of(key: str) -> bytes:
    """Return what a key is kept and compared as."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class Keys:
    """The keys in one store; `Store.keys` gives them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def all(self) -> list[StoredKey]:
        """Return every key there ever was, by name, the newest first."""
        question = sa.select(api_keys).order_by(api_keys.c.name, api_keys.c.number.desc())
        with say_store_error(self._engine), self._engine.connect() as connection:
            return [_key(row) for row in connection.execute(question)]

    def create(
        self,
        name: str,
        role: str,
        now: datetime,
        *,
        lasts: timedelta | None = None,
        per_minute: int | None = USUAL_PER_MINUTE,
        by: str = "",
    ) -> str:
        """Make a key and return it: nobody can read it again. `lasts` None: until it is revoked.

        Raises: KeyChangeError for a name or role that cannot be one, or a name whose key still works.
        """
        if not _NAMES.fullmatch(name):
            raise KeyChangeError(
                f"key name {name!r}: write 1 to 64 letters, digits, blanks, '.', '_', '-' or '@', beginning "
                "and ending with a letter or digit, and not beginning with 'key-'."
            )
        if role not in ROLES:
            raise KeyChangeError(
                f"role {role!r}: write one of {', '.join(ROLES)}.{did_you_mean(role, ROLES)}"
            )
        with say_store_error(self._engine), writing(self._engine) as connection:
            if _working(connection, name, now):
                raise KeyChangeError(
                    f"a key named {name!r} works already. `lifecycle keys rotate` exchanges it, "
                    "`lifecycle keys revoke` ends it."
                )
            audit.write(connection, audit.Entry(now, by, "key created", name))
            return _insert(connection, name, role, now, lasts, per_minute)

    def rotate(self, name: str, now: datetime, overlap: timedelta, by: str = "") -> str:
        """Make a key that follows one, and return it: the one before works on for `overlap`.

        Role, limit and lifetime are those of the key before. Raises: KeyChangeError if none of that name
        works.
        """
        with say_store_error(self._engine), writing(self._engine) as connection:
            known = _working(connection, name, now)
            if not known:
                raise _unknown(connection, name, now)
            for each in known:
                ends = naive_utc(now) + overlap
                if each.expires_at is None or ends < each.expires_at:
                    its_own = api_keys.c.key_id == each.key_id
                    connection.execute(sa.update(api_keys).where(its_own).values(expires_at=ends))
            last = known[0]
            lasts = None if last.expires_at is None else last.expires_at - last.created_at
            audit.write(connection, audit.Entry(now, by, "key rotated", name))
            return _insert(connection, name, last.role, now, lasts, last.per_minute)

    def revoke(self, name: str, now: datetime, key_id: str | None = None, by: str = "") -> int:
        """End every key of a name, or the one with `key_id`, at once; return how many worked.

        Raises: KeyChangeError if none of them works.
        """
        with say_store_error(self._engine), writing(self._engine) as connection:
            found = [each for each in _working(connection, name, now) if key_id in (None, each.key_id)]
            if not found:
                raise _unknown(connection, name, now)
            connection.execute(
                sa.update(api_keys)
                .where(api_keys.c.key_id.in_([each.key_id for each in found]))
                .values(revoked_at=now)
            )
            audit.write(connection, audit.Entry(now, by, "key revoked", name))
        return len(found)

    def used(self, key_ids: Collection[str], day: date) -> None:
        """Keep that keys were used on a day."""
        with say_store_error(self._engine), writing(self._engine) as connection:
            connection.execute(
                sa.update(api_keys)
                .where(api_keys.c.key_id.in_(list(key_ids)))
                .where(sa.or_(api_keys.c.last_used_on.is_(None), api_keys.c.last_used_on < day))
                .values(last_used_on=day)
            )


def _insert(
    connection: sa.Connection,
    name: str,
    role: str,
    now: datetime,
    lasts: timedelta | None,
    per_minute: int | None,
) -> str:
    key = PREFIX + secrets.token_urlsafe(32)
    connection.execute(
        sa.insert(api_keys).values(
            key_id=secrets.token_hex(4),
            name=name,
            role=role,
            digest=digest_of(key),
            per_minute=per_minute,
            created_at=now,
            expires_at=None if lasts is None else naive_utc(now) + lasts,
        )
    )
    return key


def _working(connection: sa.Connection, name: str, now: datetime) -> list[StoredKey]:
    question = sa.select(api_keys).where(api_keys.c.name == name, _WORKS)
    rows = connection.execute(question.order_by(api_keys.c.number.desc()))
    return [each for each in map(_key, rows) if each.works(now)]


def _unknown(connection: sa.Connection, name: str, now: datetime) -> KeyChangeError:
    rows = connection.execute(sa.select(api_keys).where(_WORKS))
    names = sorted({each.name for each in map(_key, rows) if each.works(now)})
    return KeyChangeError(
        f"no working key is named {name!r}.{did_you_mean(name, names)} `lifecycle keys list` has them all."
    )


def _key(row: sa.Row[Any]) -> StoredKey:
    values = dict(row._mapping)  # noqa: SLF001 - the documented way to a row's columns
    del values["number"]
    return StoredKey(**values | {"digest": bytes(values["digest"])})
