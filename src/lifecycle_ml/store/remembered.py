"""Answers to writes, kept for a day: a question repeated with the same key gets the same answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lifecycle_ml.errors import StoreError
from lifecycle_ml.store import audit
from lifecycle_ml.store.schema import idempotency, naive_utc

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

KEPT = timedelta(hours=24)


class ReusedKeyError(StoreError):
    """An idempotency key was used before, for another request."""


@dataclass(frozen=True)
class Answer:
    """What was answered: the HTTP status and the body."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Request:
    """One write as its caller named it: `key` is the caller's own word, `digest` a hash of what is asked.

    `did` and `target` are what the audit log says of it; without `did` it says nothing.
    """

    key: str
    caller: str
    digest: str
    did: str = ""
    target: str = ""
    request_id: str = ""


def once(connection: sa.Connection, request: Request, at: datetime, answer: Callable[[], Answer]) -> Answer:
    """Return the answer given to this request before; where there is none, get one and keep it for a day.

    Raises: ReusedKeyError if the key came with another request.
    """
    given = _replay(connection, request, at)
    if given is None:
        given = answer()
        _remember(connection, request, given, at)
    return given


def _replay(connection: sa.Connection, request: Request, now: datetime) -> Answer | None:
    question = sa.select(idempotency).where(*_its_own(request))
    row = connection.execute(question).first()
    if row is None or row.at <= naive_utc(now) - KEPT:
        return None
    if row.request_digest != request.digest:
        raise ReusedKeyError(
            "This idempotency key was used for another request within the last 24 hours. Send a new key."
        )
    return Answer(row.status, bytes(row.answer))


def _remember(connection: sa.Connection, request: Request, answer: Answer, at: datetime) -> None:
    # the audit log's line is written with it; answers older than a day go
    connection.execute(sa.delete(idempotency).where(idempotency.c.at <= naive_utc(at) - KEPT))
    connection.execute(
        sa.insert(idempotency).values(
            key_hash=_hash(request.key),
            caller=request.caller,
            request_digest=request.digest,
            status=answer.status,
            answer=answer.body,
            at=at,
        )
    )
    if request.did:
        audit.write(
            connection, audit.Entry(at, request.caller, request.did, request.target, request.request_id)
        )


def _its_own(request: Request) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return idempotency.c.key_hash == _hash(request.key), idempotency.c.caller == request.caller


def _hash(key: str) -> str:
    # a key may hold anything its caller chose to put in
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
