"""Who may ask: API keys, compared by hash and in constant time, with roles that contain one another."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.serving import Serving, serving
from lifecycle_ml.settings import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lifecycle_ml.settings import ApiKey

HEADER = APIKeyHeader(
    name="X-API-Key", auto_error=False, scheme_name="ApiKey", description="A key of role read, act or admin."
)


@dataclass(frozen=True)
class Caller:
    """Who asks: the role, and a name for logs and ledger that does not give the key away."""

    role: str
    name: str
    digest: bytes


class KeyRing:
    """The keys the service knows, as hashes; the keys themselves are not kept."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._known = tuple((_digest(key.key), key.role) for key in keys)

    def __bool__(self) -> bool:
        return bool(self._known)

    def __repr__(self) -> str:
        return f"KeyRing({len(self._known)} keys)"

    def caller(self, key: str) -> Caller | None:
        """Return who has this key. Takes the same time whichever key it is, or none."""
        return self._match(_digest(key))

    def named(self, name: str) -> Caller | None:
        """Return the caller of that name, if its key is still known."""
        found = None
        for known, role in self._known:
            caller = Caller(role, _name(known), known)
            if hmac.compare_digest(caller.name.encode(), name.encode("utf-8", "replace")):
                found = caller
        return found

    def _match(self, digest: bytes) -> Caller | None:
        found = None
        for known, role in self._known:
            if hmac.compare_digest(known, digest):
                found = Caller(role, _name(known), known)
        return found


def may(role: str, needed: str) -> bool:
    """Whether a role contains another: admin contains act, act contains read."""
    return ROLES.index(role) >= ROLES.index(needed)


def require(role: str) -> Callable[..., Caller]:
    """Return the dependency that lets only keys of `role` (or a larger one) through."""

    def check(
        request: Request,
        at: Annotated[Serving, Depends(serving)],
        key: Annotated[str | None, Security(HEADER)] = None,
    ) -> Caller:
        if key is None or (caller := at.keys.caller(key)) is None:
            if not at.keys:
                detail = "The service has no keys: set LIFECYCLE_API_KEYS (role:key) and restart it."
            elif key is None:
                detail = "The header X-API-Key is missing."
            else:
                detail = "The key in X-API-Key is not known."
            raise ProblemError("no-key", detail, headers={"WWW-Authenticate": 'ApiKey realm="lifecycle"'})
        if not may(caller.role, role):
            raise ProblemError(
                "wrong-role", f"{request.method} here needs a key of role {role}; this one has {caller.role}."
            )
        return caller

    return check


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _name(digest: bytes) -> str:
    """A short name of a key: a hash of its hash, so that it says nothing about either."""
    return "key-" + hashlib.sha256(b"name" + digest).hexdigest()[:12]
