"""What is coming: renewals with their checkpoints, and signs of growth."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, ConfigDict, Field

from lifecycle_ml.actions.account_words import Ending
from lifecycle_ml.service.api import examples
from lifecycle_ml.service.api.accounts import AccountChoice
from lifecycle_ml.service.api.answers import json_bytes, responses, tagged_response
from lifecycle_ml.service.api.keys import require
from lifecycle_ml.service.api.models import AccountId, Answer, Band, Color, Number, Shape, Trigger
from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.key_ring import Caller
from lifecycle_ml.service.serving import Serving, serving
from lifecycle_ml.store.document import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle_ml.store.rows import Listed, Page


class CheckpointOutcome(Shape):
    """What a checkpoint came to, as somebody said last."""

    outcome: Ending
    by: str
    at: AwareDatetime


class CheckpointEvidence(Shape):
    """One thing a checkpoint wants to be true."""

    evidence: str = Field(description="Its name in serving/renewals.toml.")
    label: str
    there: bool | None = Field(description="Null where nobody can tell: nothing that would show it is kept.")
    on: date | None = Field(description="When it was last seen.")
    seen_in: Literal["touchpoint", "milestone", "step"] | None
    step: str | None = Field(description="The step that shows it once it is done, where one does.")


class Checkpoint(Shape):
    """A day on the way to a renewal on which somebody looks at the account."""

    checkpoint: int = Field(description="Days before the renewal, or before the last day for notice.")
    falls_on: date
    state: Literal["past", "now", "ahead"]
    done_on: date | None = Field(description="When its steps were completed; null: they were not, as of now.")
    outcome: CheckpointOutcome | None = Field(description="What people say it came to, as of now.")
    evidence: list[CheckpointEvidence] = Field(
        description="What the tables knew at as_of, and the steps done as of now."
    )


class Renewal(Shape):
    """The end of a term, what must happen before it, and who sees to it."""

    model_config = ConfigDict(json_schema_extra={"example": examples.RENEWAL})

    renewal_on: date
    notice_on: date | None = Field(description="The last day for notice; null where it is not known.")
    auto_renew: bool | None = Field(description="Null where it is not known.")
    owner: str | None
    checkpoints: list[Checkpoint]


class ListedAccount(Shape):
    """An account in short."""

    account_id: AccountId
    name: str | None
    owner: str | None
    segment: str | None
    stage: str | None
    health: Color
    band: Band
    expansion_band: Band | None
    arr: Number | None
    arr_at_risk: Number | None


class RenewingAccount(ListedAccount):
    """An account whose term ends, and its checkpoints; null where none are kept for it."""

    renewal_on: date
    renewal: Renewal | None


class RenewalList(Answer):
    """One page of the calendar, the soonest renewal first, and the cursor of the next page."""

    renewals: list[RenewingAccount]
    next: str | None
    as_of: date
    scored_at: AwareDatetime
    publication_id: int


class TriggeredAccount(ListedAccount):
    """An account with signs of growth."""

    triggers: list[Trigger]


class TriggerList(Answer):
    """One page of accounts with signs of growth, most ARR first, and the cursor of the next page."""

    accounts: list[TriggeredAccount]
    next: str | None
    as_of: date
    scored_at: AwareDatetime
    publication_id: int


router = APIRouter(prefix="/v1", tags=["accounts"])


@router.get(
    "/renewals",
    operation_id="listRenewals",
    responses=responses(RenewalList, "invalid-cursor", "nothing-published", tagged=True),
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
    told = at.store.renewals_as_told({row.account_id: row.renewal for row in page.rows if row.renewal})
    return _answer(
        request,
        page,
        "renewals",
        lambda row: {"renewal_on": str(row.renewal_on), "renewal": told.get(row.account_id)},
    )


@router.get(
    "/triggers",
    operation_id="listTriggers",
    responses=responses(TriggerList, "invalid-cursor", "nothing-published", tagged=True),
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
    }
    return tagged_response(request, json_bytes(answer))


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
