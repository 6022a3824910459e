"""The keys the service knows, compared by hash and in constant time."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Final

from lifecycle_ml.errors import StoreError
from lifecycle_ml.store.keys import digest_of
from lifecycle_ml.store.schema import naive_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from lifecycle_ml.settings import ApiKey
    from lifecycle_ml.store.keys import Keys, StoredKey

_log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 2.0
"""How long a worker goes by the keys it read: so long a revoked one may still be let through."""


@dataclass(frozen=True)
class Caller:
    """Who asks: the role, and a name for logs and ledger that does not give the key away."""

    role: str
    name: str
    digest: bytes = field(repr=False)
    per_minute: int | None = None
    """Calls a minute, None for any number."""
    request_id: str = ""
    """The call they ask with now."""

    @property
    def mark(self) -> str:
        """What stands for this very key in a session: a hash of its hash, which says nothing about either."""
        return _mark(self.digest)


class KeyRing:
    """The keys the service knows, as hashes: those of the environment, and those of the store.

    Those of the environment hold as long as the process; those of the store are read again every
    `FRESH_SECONDS`, so what is revoked ends in every worker. While the store does not answer, no key is
    known to be good, and asking raises StoreError.
    """

    def __init__(
        self,
        keys: Iterable[ApiKey],
        stored: Keys | None = None,
        clock: Callable[[], datetime] | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        digests = [(digest_of(key.key), key.role) for key in keys]
        self._fixed = tuple(Caller(role, _mark(digest), digest) for digest, role in digests)
        self._stored, self._clock, self._timer = stored, clock, timer
        self._lock = Lock()
        self._read: tuple[StoredKey, ...] = ()
        self._stale_at: float | None = None

    def __bool__(self) -> bool:
        return bool(self._known())

    def __repr__(self) -> str:
        return f"KeyRing({len(self._fixed) + len(self._read)} keys)"

    def caller(self, key: str) -> Caller | None:
        """Return who has this key. Takes the same time whichever key it is, or none."""
        found = self._find(key)
        if found is not None:
            self._note_use(found)
        return found

    def caller_at_hand(self, key: str) -> Caller | None:
        """Return what `caller` would where that asks the store nothing; None: ask `caller`."""
        if self._stored is not None and self._is_stale():
            return None
        found = self._find(key)
        return None if found is None or self._unnoted(found) else found

    def marked(self, mark: str) -> Caller | None:
        """Return the caller whose key has this mark, if it is still good."""
        found = None
        for known in self._known():
            if hmac.compare_digest(known.mark.encode(), mark.encode("utf-8", "replace")):
                found = known
        return found

    def _find(self, key: str) -> Caller | None:
        digest, found = digest_of(key), None
        for known in self._known():
            if hmac.compare_digest(known.digest, digest):
                found = known
        return found

    def _is_stale(self) -> bool:
        return self._stale_at is None or self._timer() >= self._stale_at

    def _known(self) -> list[Caller]:
        if self._stored is None or self._clock is None:
            return list(self._fixed)
        if self._is_stale():
            with self._lock:
                if self._is_stale():
                    self._read = tuple(self._stored.all())
                    self._stale_at = self._timer() + FRESH_SECONDS
        now = self._clock()
        good = (
            Caller(each.role, each.name, each.digest, each.per_minute)
            for each in self._read
            if each.works(now)
        )
        return [*self._fixed, *good]

    def _unnoted(self, caller: Caller) -> list[StoredKey]:
        """Return the stored key of the caller, where nobody kept yet that it was used today."""
        if self._clock is None:
            return []
        today = naive_utc(self._clock()).date()
        return [
            each
            for each in self._read
            if each.digest == caller.digest and (each.last_used_on is None or each.last_used_on < today)
        ]

    def _note_use(self, caller: Caller) -> None:
        """Keep the day a stored key was last used on; failing to is no reason to refuse a call."""
        if self._stored is None or self._clock is None:
            return
        today = naive_utc(self._clock()).date()
        for each in self._unnoted(caller):
            with self._lock:
                self._read = tuple(
                    replace(one, last_used_on=today) if one is each else one for one in self._read
                )
            try:
                self._stored.used([each.key_id], today)
            except StoreError:
                _log.warning("could not keep that the key %s was used on %s", each.key_id, today)


def _mark(digest: bytes) -> str:
    return "key-" + hashlib.sha256(b"name" + digest).hexdigest()[:12]
