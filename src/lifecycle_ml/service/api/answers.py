"""Answers built from ready bytes, and the documentation of what each route may answer."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from fastapi import Response

from lifecycle_ml.service.api.models import Problem
from lifecycle_ml.service.api.problems import KINDS
from lifecycle_ml.service.serving import about_call

if TYPE_CHECKING:
    from fastapi import Request
    from pydantic import BaseModel

ALWAYS = (
    "no-key",
    "wrong-role",
    "invalid-request",
    "too-many-requests",
    "internal-error",
    "store-unavailable",
)
"""Problems every route under /v1 may answer with."""


def json_bytes(value: Any) -> bytes:
    """Return compact JSON in ASCII, which holds whatever was sent to us, even half characters."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def json_response(content: bytes) -> Response:
    """Return ready bytes as an answer."""
    return Response(content, media_type="application/json")


def tagged_response(request: Request, document: bytes) -> Response:
    """Return a JSON object with what is said of the call, or 304 to who has the same object already.

    The tag is a hash of the document without that, so it covers what is live in it and what was published;
    it is weak because the id of the call makes every answer's bytes its own.
    """
    tag = f'W/"{hashlib.blake2b(document, digest_size=16).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if _has(request.headers.get("If-None-Match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(with_call(document, request), media_type="application/json", headers=headers)


def _has(asked: str, tag: str) -> bool:
    """Whether one of the tags of If-None-Match is this one, weak or strong."""
    return asked.strip() == "*" or tag.removeprefix("W/") in re.findall(r'"[^"]*"', asked)


def with_call(document: bytes, request: Request) -> bytes:
    """Return a JSON object that is not empty with what is said of the call at its end, without parsing it."""
    return document[:-1] + b"," + json_bytes(about_call(request))[1:]


def responses(
    answer: type[BaseModel] | None, *kinds: str, tagged: bool = False
) -> dict[int | str, dict[str, Any]]:
    """Return what a route may answer, for the documentation: its answer, and problems by status.

    `tagged`: it answers with `tagged_response`.
    """
    documented: dict[int | str, dict[str, Any]] = {}
    if tagged:
        documented[304] = {"description": "Nothing changed since the answer whose ETag If-None-Match has."}
    if answer is not None:
        documented[200] = {"model": answer, "description": (answer.__doc__ or "").strip()}
    for kind in (*ALWAYS, *kinds):
        status, title = KINDS[kind].status, KINDS[kind].title
        if status in documented:
            documented[status]["description"] += f" · {title}"
        else:
            documented[status] = {"model": Problem, "description": title}
    return documented
