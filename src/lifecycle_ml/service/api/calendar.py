"""What is coming: renewals with their checkpoints, and signs of growth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from lifecycle_ml.service.api.accounts import AccountChoice
from lifecycle_ml.service.api.answers import json_bytes, json_response, responses
from lifecycle_ml.service.api.keys import Caller, require
from lifecycle_ml.service.api.models import RenewalList, TriggerList
from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.serving import Serving, request_id, serving
from lifecycle_ml.store.document import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle_ml.store.rows import Listed, Page

router = APIRouter(prefix="/v1", tags=["accounts"])


@router.get(
    "/renewals",
    operation_id="listRenewals",
    responses=responses(RenewalList, "invalid-cursor", "nothing-published"),
)
def list_renewals(
    question: Annotated[AccountChoice, Query()],
    request: Request,
    at: Annotated[Serving, Depends(serving)],
    _caller: Annotated[Caller, Depends(require("read"))],
) -> Response:
    """List the accounts whose term ends, the soonest first, each with its checkpoints.

    Contracts without an end have no renewal and are not here.
    """
    page = at.store.renewals(question.filters(), None, question.cursor, question.limit)
    return _answer(
        request,
        page,
        "renewals",
        lambda row: {"renewal_on": str(row.renewal_on), "renewal": row.renewal},
    )


@router.get(
    "/triggers",
    operation_id="listTriggers",
    responses=responses(TriggerList, "invalid-cursor", "nothing-published"),
)
def list_triggers(
    question: Annotated[AccountChoice, Query()],
    request: Request,
    at: Annotated[Serving, Depends(serving)],
    _caller: Annotated[Caller, Depends(require("read"))],
) -> Response:
    """List the accounts with signs of growth, most ARR first."""
    page = at.store.triggers(question.filters(), question.cursor, question.limit)
    return _answer(request, page, "accounts", lambda row: {"triggers": row.triggers})


def _answer(request: Request, page: Page, name: str, more: Callable[[Listed], dict[str, Any]]) -> Response:
    if page.publication is None:
        raise ProblemError("nothing-published", "There is no publication to list.")
    answer = {
        name: [_short(row) | more(row) for row in page.rows],
        "next": page.next,
        "as_of": str(page.publication.as_of),
        "scored_at": instant_text(page.publication.now),
        "publication_id": page.publication.publication_id,
        "request_id": request_id(request),
    }
    return json_response(json_bytes(answer))


def _short(row: Listed) -> dict[str, Any]:
    return {
        name: getattr(row, name)
        for name in (
            "account_id",
            "name",
            "owner",
            "segment",
            "stage",
            "health",
            "band",
            "expansion_band",
            "arr",
            "arr_at_risk",
        )
    }
