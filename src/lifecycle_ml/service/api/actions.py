"""The queue of actions, and what people do with them."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Body, Depends, Header, Query, Request, Response
from pydantic import Field

from lifecycle_ml.actions.ledger import ActionError, Assign, Complete, Dismiss, Snooze
from lifecycle_ml.actions.next_hour import next_hours
from lifecycle_ml.service.api.accounts import CursorText, Text
from lifecycle_ml.service.api.answers import json_bytes, json_response, responses, tagged_response, with_call
from lifecycle_ml.service.api.changes import Assignment, ChangedAction, Completion, Dismissal, Nap
from lifecycle_ml.service.api.keys import require
from lifecycle_ml.service.api.models import ActionList, IsoDate, Role, Shape
from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.api.telling import queued, tell
from lifecycle_ml.service.key_ring import Caller
from lifecycle_ml.service.serving import Serving, serving
from lifecycle_ml.store.rows import ActionFilters

if TYPE_CHECKING:
    from lifecycle_ml.actions.ledger import Word
    from lifecycle_ml.service.api.changes import Change

router = APIRouter(prefix="/v1", tags=["actions"])
Status = Literal["open", "over_capacity", "snoozed", "held_out", "done", "dismissed", "closed"]
At = Annotated[Serving, Depends(serving)]
Actor = Annotated[Caller, Depends(require("act"))]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="A new value for each change, the same when it is repeated. Needed here or in the body.",
    ),
]
CHANGES = responses(
    ChangedAction,
    "idempotency-key-missing",
    "action-not-found",
    "action-conflict",
    "body-too-large",
    "request-timeout",
    "idempotency-key-reused",
)


def _unfinished() -> list[Status]:
    return ["open", "over_capacity"]


class ActionQuestion(Shape):
    """Which actions. A filter given twice lists alternatives."""

    status: list[Status] = Field(default_factory=_unfinished, description="Default: what is to be done now.")
    owner: list[Text] = Field(default_factory=list)
    owner_role: list[Role] = Field(default_factory=list)
    account_id: list[Text] = Field(default_factory=list)
    due_before: IsoDate | None = Field(default=None, description="Due before this day (UTC).")
    cursor: CursorText | None = Field(default=None, description="The `next` of the answer before.")
    limit: int = Field(default=50, ge=1, le=200)


@router.get(
    "/actions", operation_id="listActions", responses=responses(ActionList, "invalid-cursor", tagged=True)
)
def list_actions(
    question: Annotated[ActionQuestion, Query()],
    request: Request,
    at: At,
    _caller: Annotated[Caller, Depends(require("read"))],
) -> Response:
    """List actions, most ARR kept per hour of work first, and what one more hour would bring."""
    due = datetime.combine(question.due_before, time(), UTC) if question.due_before else None
    filters = ActionFilters(
        status=tuple(question.status),
        owner=tuple(question.owner),
        owner_role=tuple(question.owner_role),
        account_id=tuple(question.account_id),
        due_before=due,
    )
    page = at.store.list_actions(filters, question.cursor, question.limit)
    beyond = next_hours(at.store.waiting()) if question.cursor is None else []
    return tagged_response(
        request,
        json_bytes(
            {
                "actions": [queued(row) for row in page.rows],
                "next_hour": [
                    each.to_json() for each in beyond if each.concerns(question.owner, question.owner_role)
                ],
                "next": page.next,
            }
        ),
    )


@router.post("/actions/{action_id}/complete", operation_id="completeAction", responses=CHANGES)
def complete_action(
    action_id: str,
    request: Request,
    at: At,
    caller: Actor,
    change: Annotated[Completion, Body(default_factory=Completion)],
    key: Key = None,
) -> Response:
    """Say that the work is done, and what came of it."""
    return _changed(request, at, caller, action_id, Complete(change.note), change, key)


@router.post("/actions/{action_id}/dismiss", operation_id="dismissAction", responses=CHANGES)
def dismiss_action(
    action_id: str, change: Dismissal, request: Request, at: At, caller: Actor, key: Key = None
) -> Response:
    """Say that the work will not be done, and why."""
    return _changed(request, at, caller, action_id, Dismiss(change.reason), change, key)


@router.post("/actions/{action_id}/snooze", operation_id="snoozeAction", responses=CHANGES)
def snooze_action(
    action_id: str, change: Nap, request: Request, at: At, caller: Actor, key: Key = None
) -> Response:
    """Put the work off: it neither escalates nor comes up before it wakes."""
    return _changed(request, at, caller, action_id, Snooze(change.until), change, key)


@router.post("/actions/{action_id}/assign", operation_id="assignAction", responses=CHANGES)
def assign_action(
    action_id: str, change: Assignment, request: Request, at: At, caller: Actor, key: Key = None
) -> Response:
    """Give the work to somebody else."""
    return _changed(request, at, caller, action_id, Assign(change.owner), change, key)


def key_of(header: str | None, change: Change) -> str:
    """Return the idempotency key: the header's, which the draft writes in quotes, or the body's."""
    given = header or change.idempotency_key or ""
    return given[1:-1] if len(given) > 2 and given[0] == given[-1] == '"' else given


def _changed(
    request: Request, at: Serving, caller: Caller, action_id: str, word: Word, change: Change, key: str | None
) -> Response:
    try:
        changed = tell(at, caller, action_id, word, key_of(key, change))
    except ActionError as error:
        raise ProblemError("action-conflict", str(error)) from error
    return json_response(with_call(changed, request))
