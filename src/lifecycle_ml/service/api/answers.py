"""Answers built from ready bytes, and the documentation of what each route may answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi import Response

from lifecycle_ml.service.api.models import Problem
from lifecycle_ml.service.api.problems import KINDS

if TYPE_CHECKING:
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


def with_key(document: bytes, key: str, value: Any) -> bytes:
    """Return a JSON object with one more key at its end, without parsing it."""
    return document[:-1] + b"," + json_bytes(key) + b":" + json_bytes(value) + b"}"


def responses(answer: type[BaseModel] | None, *kinds: str) -> dict[int | str, dict[str, Any]]:
    """Return what a route may answer, for the documentation: its answer, and problems by status."""
    documented: dict[int | str, dict[str, Any]] = {}
    if answer is not None:
        documented[200] = {"model": answer, "description": (answer.__doc__ or "").strip()}
    for kind in (*ALWAYS, *kinds):
        status, title = KINDS[kind].status, KINDS[kind].title
        if status in documented:
            documented[status]["description"] += f" · {title}"
        else:
            documented[status] = {"model": Problem, "description": title}
    return documented
