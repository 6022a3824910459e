"""GET /v1/actions: the queue."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from lifecycle_ml.service.api.accounts import CursorText, Text
from lifecycle_ml.service.api.answers import json_bytes, json_response, responses
from lifecycle_ml.service.api.keys import Caller, require
from lifecycle_ml.service.api.models import ActionList, IsoDate, Role, Shape
from lifecycle_ml.service.serving import Serving, request_id, serving
from lifecycle_ml.store.document import action_document, instant_text
from lifecycle_ml.store.rows import ActionFilters

router = APIRouter(prefix="/v1", tags=["actions"])
Status = Literal["open", "over_capacity", "done", "closed"]


def _unfinished() -> list[Status]:
    return ["open", "over_capacity"]


class ActionQuestion(Shape):
    """Which actions. A filter given twice lists alternatives."""

    status: list[Status] = Field(default_factory=_unfinished, description="Default: what is to be done.")
    owner: list[Text] = Field(default_factory=list)
    owner_role: list[Role] = Field(default_factory=list)
    account_id: list[Text] = Field(default_factory=list)
    due_before: IsoDate | None = Field(default=None, description="Due before this day (UTC).")
    cursor: CursorText | None = Field(default=None, description="The `next` of the answer before.")
    limit: int = Field(default=50, ge=1, le=200)


@router.get("/actions", operation_id="listActions", responses=responses(ActionList, "invalid-cursor"))
def list_actions(
    question: Annotated[ActionQuestion, Query()],
    request: Request,
    at: Annotated[Serving, Depends(serving)],
    _caller: Annotated[Caller, Depends(require("read"))],
) -> Response:
    """List actions, most ARR kept per hour of work first."""
    due = datetime.combine(question.due_before, time(), UTC) if question.due_before else None
    filters = ActionFilters(
        status=tuple(question.status),
        owner=tuple(question.owner),
        owner_role=tuple(question.owner_role),
        account_id=tuple(question.account_id),
        due_before=due,
    )
    page = at.store.list_actions(filters, question.cursor, question.limit)
    queued = [
        {
            **action_document(row),
            "account_id": row["account_id"],
            "opened_at": instant_text(row["opened_at"]),
            "arr_kept_per_hour": row["arr_kept_per_hour"],
        }
        for row in page.rows
    ]
    return json_response(
        json_bytes({"actions": queued, "next": page.next, "request_id": request_id(request)})
    )
