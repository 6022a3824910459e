"""POST /v1/score: up to 200 accounts in one call, each answered on its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError

from lifecycle_ml.errors import LifecycleError, StoreError
from lifecycle_ml.service.api.answers import json_bytes, json_response, responses
from lifecycle_ml.service.api.keys import HEADER, admit, require
from lifecycle_ml.service.api.models import ScoreAnswer, ScoreQuestion
from lifecycle_ml.service.api.problems import ProblemError, item_problem
from lifecycle_ml.service.key_ring import Caller
from lifecycle_ml.service.serving import Serving, about_call, serving, serving_of
from lifecycle_ml.store.document import encode, instant_text, splice_live
from lifecycle_ml.store.rows import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from datetime import date, datetime

    from lifecycle_ml.store.lists import Answers

AT_ONCE = 20
"""Most accounts whose answer is put together without a thread of its own, where all are at hand."""


class AtHandRoute(APIRoute):
    """Answers the common question (a few accounts, known key, nothing changed since) from memory.

    That takes no thread and no SQL. Whatever else is asked, every refusal among it, goes the usual way.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler that tries memory first."""
        usual = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return _at_hand(request, await request.body()) or await usual(request)

        return handle


def _at_hand(request: Request, body: bytes) -> Response | None:
    at, headers = serving_of(request), request.headers
    caller = at.keys.caller_at_hand(headers.get(HEADER.model.name, ""))
    if (
        caller is None
        or request.query_params
        or headers.get("content-type", "").partition(";")[0] != "application/json"
    ):
        return None
    try:
        question = ScoreQuestion.model_validate_json(body)
    except ValidationError:
        return None
    asked = question.account_ids
    if question.as_of is not None or question.refresh or len(asked) > AT_ONCE:
        return None
    found = at.store.answers_at_hand(asked)
    if found is None:
        return None
    admit(request, at, caller, "read")
    return _answer(question, at, about_call(request), found)


router = APIRouter(prefix="/v1", route_class=AtHandRoute)


@router.post(
    "/score",
    operation_id="scoreAccounts",
    tags=["accounts"],
    responses=responses(
        ScoreAnswer, "body-too-large", "request-timeout", "refresh-unavailable", "nothing-published"
    ),
)
def score(
    question: ScoreQuestion,
    request: Request,
    at: Annotated[Serving, Depends(serving)],
    _caller: Annotated[Caller, Depends(require("read"))],
) -> Response:
    """Answer the scored accounts of up to 200 ids, each with its own status.

    `ok`: `account` is there. `not_found`: no such account. `not_scored`: known, but without a reading for
    this as_of. `error`: could not be computed; `error` says why. One bad id never spoils the others.
    """
    if question.refresh and at.refresher is None:
        raise ProblemError("refresh-unavailable", "This service cannot compute features: it only reads.")
    ids = [account_id for account_id in question.account_ids if storable(account_id)]
    found = at.store.answers(ids, question.as_of)
    if found.publication is None and question.as_of is None:
        raise ProblemError("nothing-published", "There is no publication to answer from.")
    as_of = found.publication.as_of if found.publication else question.as_of
    failed = _refresh(at, found, ids, as_of) if question.refresh else None
    return _answer(question, at, about_call(request), found, failed)


def _answer(
    question: ScoreQuestion,
    at: Serving,
    call: Mapping[str, Any],
    found: Answers,
    failed: str | None = None,
) -> Response:
    as_of = found.publication.as_of if found.publication else question.as_of
    now = at.clock()
    items = [_item(account_id, found, now, failed) for account_id in question.account_ids]
    publication = found.publication
    rest = {
        "as_of": str(as_of),
        "scored_at": instant_text(publication.now) if publication else None,
        "publication_id": publication.publication_id if publication else None,
        **call,
    }
    return json_response(b'{"results":[' + b",".join(items) + b"]," + json_bytes(rest)[1:])


def _refresh(at: Serving, found: Answers, ids: list[str], as_of: date | None) -> str | None:
    """Replace stored readings by freshly computed ones; return why, if that failed."""
    assert at.refresher is not None
    known = {**dict.fromkeys(found.bodies, "No reading for this as_of."), **found.unscored}
    found.bodies.clear()
    try:
        fresh: Mapping[str, Mapping[str, Any]] = at.refresher(list(dict.fromkeys(ids)), as_of)
        found.bodies.update({account_id: encode(document) for account_id, document in fresh.items()})
    except LifecycleError as error:
        return str(error)
    found.unscored = {each: why for each, why in known.items() if each not in found.bodies}
    return None


def _item(account_id: str, found: Answers, now: datetime, failed: str | None) -> bytes:
    quoted = json.dumps(account_id).encode()
    if failed is not None:
        return _without(quoted, "error", "refresh-failed", failed)
    body = found.bodies.get(account_id)
    if body is not None:
        try:
            account = splice_live(body, found.live(account_id, now))
        except StoreError as error:
            return _without(quoted, "error", "internal-error", str(error))
        return b'{"account_id":' + quoted + b',"status":"ok","account":' + account + b"}"
    if account_id in found.unscored:
        return _without(quoted, "not_scored", "account-not-scored", found.unscored[account_id])
    return _without(quoted, "not_found", "account-not-found", "No account has this id.")


def _without(quoted: bytes, status: str, kind: str, detail: str) -> bytes:
    error = json_bytes(item_problem(kind, detail))
    return b'{"account_id":' + quoted + b',"status":"' + status.encode() + b'","error":' + error + b"}"
