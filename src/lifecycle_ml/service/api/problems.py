"""Errors as RFC 9457 problem documents, each kind with a page that says what to do about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fastapi import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import Request


@dataclass(frozen=True)
class Kind:
    """One kind of problem: its status, its title, and what to do about it."""

    status: int
    title: str
    remedy: str


KINDS: dict[str, Kind] = {
    "idempotency-key-missing": Kind(
        400,
        "A change needs an idempotency key",
        "Send the header Idempotency-Key, or the body field idempotency_key: a new value for each change, "
        "and the same one when a call is repeated because its answer was lost. A repeated call changes "
        "nothing and gets the first answer again.",
    ),
    "no-key": Kind(
        401,
        "A key is needed",
        "Send an API key in the header X-API-Key. `lifecycle keys` makes, exchanges and ends keys; "
        "a key that is unknown, mistyped or revoked gets the same answer.",
    ),
    "wrong-role": Kind(
        403,
        "The key may not do this",
        "Roles are read, act and admin; each may do what those before it may. Use a key of the role named.",
    ),
    "not-found": Kind(404, "There is nothing at this address", "See /docs for the addresses there are."),
    "account-not-found": Kind(
        404,
        "No such account",
        "The id is the account_id of the accounts table, exactly as written there. An account that never had "
        "a reading is unknown to the service.",
    ),
    "account-not-scored": Kind(
        404,
        "The account has no reading here",
        "The account is known but was not scored in this publication, for instance because it had no active "
        "contract. The detail says why where that is known; /history has its earlier readings.",
    ),
    "no-earlier-reading": Kind(
        404,
        "There is nothing to compare with yet",
        "Why a risk moved is told between two readings of an account. It has only one; ask again after the "
        "next publication.",
    ),
    "action-not-found": Kind(
        404,
        "No such action",
        "The id is the action_id of an answer. GET /v1/actions lists what is to be done.",
    ),
    "no-verdict": Kind(
        404,
        "Nothing has been monitored yet",
        "The nightly run writes a verdict at its end, and `lifecycle monitor` writes one at any time.",
    ),
    "no-statement": Kind(
        404,
        "No revenue statement has been kept yet",
        "A nightly run (`lifecycle run`) keeps one at its end where there are contracts. `lifecycle revenue` "
        "works the same figures out at any time.",
    ),
    "no-scoreboard": Kind(
        404,
        "No scoreboard of triggers has been kept yet",
        "`lifecycle actions --scoreboard` works it out and keeps it; once a month is often enough.",
    ),
    "method-not-allowed": Kind(405, "This address does not do that", "The header Allow says what it does."),
    "request-timeout": Kind(
        408,
        "The body did not arrive",
        "A call's body has 20 seconds to arrive. Send it again; nothing was changed.",
    ),
    "action-conflict": Kind(
        409,
        "The action cannot be changed like this",
        "The detail says why: most often it is finished already. Read the action again before trying anew.",
    ),
    "account-conflict": Kind(
        409,
        "This cannot be said of the account",
        "The detail says why: most often a day lies in the past or too far ahead, or no checkpoint has been "
        "reached.",
    ),
    "no-model": Kind(
        409,
        "No model answers for churn",
        "A what-if changes what a model is told. Where rules serve, or the model of the publication is gone, "
        "there is none; `lifecycle train churn` says what is missing for one.",
    ),
    "body-too-large": Kind(413, "The body is too large", "At most 1,000,000 bytes a call; split the call."),
    "invalid-request": Kind(
        422,
        "The request is not valid",
        "`errors` says what is wrong and where: a JSON pointer into the body, or the name of a parameter. "
        "At most 200 account ids a call.",
    ),
    "idempotency-key-reused": Kind(
        422,
        "The idempotency key belongs to another change",
        "A key stands for one change for 24 hours. Use a new one for each change.",
    ),
    "invalid-cursor": Kind(
        422,
        "The cursor does not fit this list",
        "A cursor is the `next` of an answer, unchanged, with the same filters and order.",
    ),
    "no-such-reading": Kind(
        422,
        "There is no reading on this date",
        "`from` and `to` are the as_of of two readings, the earlier one first. `available` has the nearest "
        "dates with a reading; /history lists them all.",
    ),
    "refresh-unavailable": Kind(
        422,
        "Features cannot be computed here",
        "This service was started without access to the source tables. Leave `refresh` away to read the "
        "latest publication; why a risk moved can be asked where the source is, with `lifecycle explain`.",
    ),
    "refresh-failed": Kind(
        422,
        "The account could not be computed",
        "The source tables or the workspace have a fault; `lifecycle check` shows it. Published readings are "
        "not touched by this.",
    ),
    "too-many-requests": Kind(
        429,
        "The key has made its calls for this minute",
        "Wait the seconds in Retry-After. Ask for up to 200 accounts in one POST /v1/score, or read a list, "
        "instead of one account a call; `lifecycle keys create --per-minute` sets another limit.",
    ),
    "internal-error": Kind(
        500, "Something broke here", "A fault of ours. The log has it under the request id of the answer."
    ),
    "nothing-published": Kind(
        503, "Nothing is published yet", "Run `lifecycle run`; the service answers from then on by itself."
    ),
    "not-ready": Kind(
        503,
        "Not everything is in order",
        "`checks` says what is not: the store, the publication or a bundle. A publication that is served "
        "goes on being served.",
    ),
    "store-unavailable": Kind(
        503, "The store does not answer", "Check LIFECYCLE_STORE_URL and the database behind it, then repeat."
    ),
}
MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 20
LONGEST_DETAIL = 300


class ProblemError(Exception):
    """Raised by a route to answer with a problem."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = headers
        self.extra = extra


def problem_response(
    kind: str,
    detail: str,
    request_id: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """Return a problem document as a response."""
    document = {
        **item_problem(kind, detail),
        "status": KINDS[kind].status,
        "request_id": request_id,
        "errors": list(errors[:MOST_ERRORS]),
        "budget": None,
        **(extra or {}),
    }
    # ASCII only: a detail may quote what was sent, and that need not be text
    return Response(
        json.dumps(document),
        status_code=KINDS[kind].status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def item_problem(kind: str, detail: str) -> dict[str, str]:
    """Return a problem as the part of an answer that has no account."""
    return {"type": f"/problems/{kind}", "title": KINDS[kind].title, "detail": detail[:LONGEST_DETAIL]}


def validation_errors(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Re-say pydantic's errors: what is wrong, and where in the body or in which parameter.

    What was sent is not repeated: it may be secret, huge or no text.
    """
    said = []
    for error in errors[:MOST_ERRORS]:
        where, *path = (str(part)[:100] for part in error["loc"])
        if error["type"] == "json_invalid":
            path = []  # where in the text it broke off is no place in the body
        detail = _in_words(error, where, is_whole=not path)
        fault = {"detail": detail[:LONGEST_DETAIL]}
        if where == "query":
            fault["parameter"] = path[0] if path else ""
        else:
            fault["pointer"] = "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path)
        said.append(fault)
    return said


def refuse_parameters(request: Request) -> None:
    """Refuse parameters where none are taken: left out, they would look obeyed. Raises: ProblemError."""
    if request.query_params and not request.scope["route"].dependant.query_params:
        names = sorted({name[:100] for name in request.query_params})[:MOST_ERRORS]
        faults = [{"detail": "This address takes no parameters.", "parameter": name} for name in names]
        raise ProblemError("invalid-request", how_many(len(faults)), errors=faults)


def how_many(faults: int) -> str:
    """Say how much is wrong with a request."""
    return f"{faults} thing{' is' if faults == 1 else 's are'} wrong with the request."


_SAID: Final = {
    "timezone_aware": "Write an instant with its zone, such as 2026-12-01T09:00:00Z.",
    "string_pattern_mismatch": "A text cannot hold the character NUL.",  # the one pattern a question has
}
"""What pydantic would say in words of its own."""


def _in_words(error: Any, where: str, *, is_whole: bool) -> str:
    """Say what is wrong; `is_whole`: with the body as such."""
    kind = error["type"]
    if kind == "json_invalid":
        return f"Not valid JSON: {error.get('ctx', {}).get('error', '')}"
    if where == "body" and is_whole:
        return _body_fault(error)
    if kind == "extra_forbidden":
        return "Not a known parameter." if where == "query" else "Not a known key."
    said: str = _SAID.get(kind) or error["msg"].removeprefix("Value error, ")
    if where == "query" and kind == "literal_error" and "," in str(error["input"]):
        said += ". Give the parameter once for each value, without commas."
    return said


def _body_fault(error: Any) -> str:
    """Say what is wrong with a body that is no JSON object at all."""
    if error["type"] == "missing":
        return "The body is empty. Send a JSON object, and the header Content-Type: application/json."
    if isinstance(error.get("input"), bytes):
        return "The body was not read as JSON. Send the header Content-Type: application/json."
    return "Send a JSON object, in braces."
