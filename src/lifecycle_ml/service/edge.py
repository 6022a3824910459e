"""The outermost layers: request ids, body limits, security headers, the stop-watch, and compression."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Request, Response
from fastapi.middleware.gzip import GZipMiddleware

from lifecycle_ml.service.api.problems import problem_response

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LARGEST_BODY = 1_000_000
"""Bytes; 200 ids are a few kilobytes."""
BODY_SECONDS = 20.0
"""How long a body may take to arrive; who sends a byte a minute holds nothing open."""

_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        (
            b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
            b"base-uri 'none'; frame-ancestors 'none'"
        ),
    ),
)
_log = logging.getLogger(__name__)


class Edge:
    """ASGI middleware around everything else, so that even a refused body has a request id."""

    def __init__(self, app: App, broken: Callable[[Request], Response]) -> None:
        self._app = app
        self._broken = broken

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        started, status, answered = time.perf_counter(), 500, False

        async def answer(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
                own = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    *((name, value) for name, value in _HEADERS if name not in own),
                    *(budget.headers() if (budget := scope["state"].get("budget")) else ()),
                ]
            await send(message)

        try:
            body = await _arriving(scope, headers, receive)
            if isinstance(body, Response):
                await body(scope, receive, answer)
            else:
                await self._app(scope, body, answer)
        except Exception:
            _log.exception("a fault of ours, request_id=%s", request_id)
            if answered:
                raise
            await self._broken(Request(scope))(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - started
            # the path as declared, not as asked: account ids are no labels, and belong in no log
            route = getattr(scope.get("route"), "path", "unmatched")
            scope["app"].state.serving.metrics.observe(route, scope["method"], status, seconds)
            if _log.isEnabledFor(logging.INFO):
                _log_request(request_id, scope["method"], route, status, seconds * 1000)


def _log_request(request_id: str, method: str, route: str, status: int, ms: float) -> None:
    told = {"request_id": request_id, "method": method, "route": route, "status": status, "ms": round(ms, 1)}
    _log.info("%s %s %d %.1f ms request_id=%s", method, route, status, ms, request_id, extra=told)


class Gzip(GZipMiddleware):
    """Compresses answers to machines. Pages hold secrets beside what was asked for, and are left alone."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


async def _arriving(scope: Message, headers: dict[bytes, bytes], receive: Receive) -> Receive | Response:
    """Return what hands out the body, whole; or the problem with it."""
    if scope["method"] in {"GET", "HEAD"}:
        return receive
    request_id = scope["state"]["request_id"]
    closing = {"Connection": "close"}
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _read_body(headers, receive)
    except TimeoutError:
        detail = f"The body did not arrive within {BODY_SECONDS:g} seconds."
        return problem_response("request-timeout", detail, request_id, headers=closing)
    if body is None:
        detail = f"The body is larger than {LARGEST_BODY:,} bytes. Split the call."
        return problem_response("body-too-large", detail, request_id, headers=closing)
    return body


async def _read_body(headers: dict[bytes, bytes], receive: Receive) -> Receive | None:
    """Read the whole body before anyone parses it; None if it is over the limit, declared or not."""
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > LARGEST_BODY:
        return None
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return _replay([message], receive)
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST_BODY:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return _replay([{"type": "http.request", "body": b"".join(parts), "more_body": False}], receive)


def _replay(messages: list[Message], receive: Receive) -> Receive:
    async def replayed() -> Message:
        return messages.pop(0) if messages else await receive()

    return replayed
