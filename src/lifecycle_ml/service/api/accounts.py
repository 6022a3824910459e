"""GET /v1/accounts, one account, and its readings."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, StringConstraints

from lifecycle_ml.service.api.answers import json_bytes, responses, tagged_response
from lifecycle_ml.service.api.keys import require
from lifecycle_ml.service.api.models import (
    AccountAnswer,
    AccountList,
    Band,
    Color,
    History,
    IsoDate,
    Shape,
)
from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.api.telling import spoken
from lifecycle_ml.service.key_ring import Caller
from lifecycle_ml.service.serving import Serving, serving
from lifecycle_ml.store.cursor import Cursor
from lifecycle_ml.store.document import instant_text, splice_live
from lifecycle_ml.store.rows import LONGEST_ID, AccountFilters, Sort, storable

if TYPE_CHECKING:
    from lifecycle_ml.store.lists import Answers
    from lifecycle_ml.store.rows import Past

router = APIRouter(prefix="/v1", tags=["accounts"])
Text = Annotated[str, StringConstraints(max_length=LONGEST_ID, pattern=r"^[^\x00]*$")]
CursorText = Annotated[str, StringConstraints(max_length=2_000)]


class AccountChoice(Shape):
    """Which accounts. A filter given twice lists alternatives."""

    health: list[Color] = Field(default_factory=list, description="Colours.")
    owner: list[Text] = Field(
        default_factory=list, description="Owners (CSM), exactly as written in the source."
    )
    stage: list[Text] = Field(default_factory=list)
    segment: list[Text] = Field(default_factory=list)
    reason: list[Text] = Field(
        default_factory=list, description="First reason: a taxonomy category, or unknown."
    )
    expansion_band: list[Band] = Field(default_factory=list, description="How likely the account expands.")
    renewal_from: IsoDate | None = Field(default=None, description="Renewal on this day or later.")
    renewal_before: IsoDate | None = Field(default=None, description="Renewal before this day.")
    text: Text | None = Field(default=None, description="Part of the name or the id.")
    cursor: CursorText | None = Field(default=None, description="The `next` of the answer before.")
    limit: int = Field(default=50, ge=1, le=200)

    def filters(self) -> AccountFilters:
        """Return the filters as the store takes them."""
        return AccountFilters(
            health=tuple(self.health),
            owner=tuple(self.owner),
            stage=tuple(self.stage),
            segment=tuple(self.segment),
            reason=tuple(self.reason),
            expansion_band=tuple(self.expansion_band),
            renewal_from=self.renewal_from,
            renewal_before=self.renewal_before,
            text=self.text or None,
        )


class AccountQuestion(AccountChoice):
    """Which accounts, in which order. A filter given twice lists alternatives."""

    sort: Sort = Field(
        default="arr_at_risk",
        description="Most ARR at risk, highest risk, most ARR or soonest renewal first, or by name.",
    )
    order: Literal["ascending", "descending"] | None = Field(
        default=None, description="Turns the order round; what has no value comes last either way."
    )


class OneQuestion(Shape):
    as_of: IsoDate | None = Field(default=None, description="Default: the current publication's.")


class HistoryQuestion(Shape):
    cursor: CursorText | None = Field(default=None, description="The `next` of the answer before.")
    limit: int = Field(default=100, ge=1, le=500)


@router.get(
    "/accounts",
    operation_id="listAccounts",
    responses=responses(AccountList, "invalid-cursor", "nothing-published", tagged=True),
)
def list_accounts(
    question: Annotated[AccountQuestion, Query()],
    request: Request,
    at: Annotated[Serving, Depends(serving)],
    _caller: Annotated[Caller, Depends(require("read"))],
) -> Response:
    """List scored accounts of the current publication, page by page.

    A cursor goes on in the publication it began in, so a list stays one list while the next one arrives.
    """
    page = at.store.list_accounts(
        question.filters(),
        question.sort,
        question.cursor,
        question.limit,
        descending=None if question.order is None else question.order == "descending",
    )
    if page.publication is None:
        raise ProblemError("nothing-published", "There is no publication to list.")
    now = at.clock()
    accounts = [splice_live(row.body, page.live(row.account_id, now)) for row in page.rows]
    rest = {
        "next": page.next,
        "as_of": str(page.publication.as_of),
        "scored_at": instant_text(page.publication.now),
        "publication_id": page.publication.publication_id,
    }
    return tagged_response(request, b'{"accounts":[' + b",".join(accounts) + b"]," + json_bytes(rest)[1:])


@router.get(
    "/accounts/{account_id:path}/history",
    operation_id="getAccountHistory",
    responses=responses(History, "account-not-found", "invalid-cursor", tagged=True),
)
def get_history(
    account_id: str,
    question: Annotated[HistoryQuestion, Query()],
    request: Request,
    at: Annotated[Serving, Depends(serving)],
    _caller: Annotated[Caller, Depends(require("read"))],
) -> Response:
    """Return an account's readings in short, the newest first: one per as_of, and what people said of it."""
    before = None
    if question.cursor is not None:
        before = date.fromordinal(
            max(1, Cursor.read(question.cursor, ("history", account_id), float).publication_id)
        )
    past = at.store.history(account_id, question.limit + 1, before) if storable(account_id) else []
    if not past and before is None:
        raise ProblemError("account-not-found", "No account has this id.")
    shown, following = past[: question.limit], None
    if len(past) > question.limit:
        last = shown[-1].publication.as_of.toordinal()
        following = Cursor(last, None, account_id).write(("history", account_id))
    return tagged_response(
        request,
        json_bytes(
            {
                "account_id": account_id,
                "readings": [short_reading(each) for each in shown],
                "said": [] if before else [spoken(each) for each in at.store.said(account_id)],
                "next": following,
            }
        ),
    )


@router.get(
    "/accounts/{account_id:path}",
    operation_id="getAccount",
    responses=responses(
        AccountAnswer, "account-not-found", "account-not-scored", "nothing-published", tagged=True
    ),
)
def get_account(
    account_id: str,
    question: Annotated[OneQuestion, Query()],
    request: Request,
    at: Annotated[Serving, Depends(serving)],
    _caller: Annotated[Caller, Depends(require("read"))],
) -> Response:
    """Return one scored account, and what must be true before its onboarding starts."""
    found = _find(at, account_id, question.as_of)
    starts = at.store.onboarding_start(account_id, among=found.publication)
    document = splice_live(found.bodies[account_id], found.live(account_id, at.clock()))
    return tagged_response(request, document[:-1] + b"," + json_bytes({"onboarding_start": starts})[1:])


def read_account(at: Serving, account_id: str) -> bytes:
    """Return one scored account with its live parts. Raises: ProblemError where there is none."""
    found = _find(at, account_id, None)
    return splice_live(found.bodies[account_id], found.live(account_id, at.clock()))


def _find(at: Serving, account_id: str, as_of: date | None) -> Answers:
    """Return what is known of an account that has a reading. Raises: ProblemError where it has none."""
    if not storable(account_id):
        raise ProblemError("account-not-found", "No account has this id.")
    found = at.store.answers([account_id], as_of)
    if found.publication is None and as_of is None:
        raise ProblemError("nothing-published", "There is no publication to answer from.")
    if account_id in found.bodies:
        return found
    if account_id in found.unscored:
        raise ProblemError("account-not-scored", found.unscored[account_id])
    detail = "No account has this id."
    if not account_id:
        detail = "The id is missing. GET /v1/accounts lists accounts."
    elif "/" in account_id:
        detail += " Below an account there are /history and /changes."
    raise ProblemError("account-not-found", detail)


def short_reading(past: Past) -> dict[str, Any]:
    """Return an earlier reading in short."""
    document = json.loads(past.body)
    health, churn = document["health"], document["churn"]
    return {
        "as_of": str(past.publication.as_of),
        "scored_at": instant_text(past.publication.now),
        "publication_id": past.publication.publication_id,
        "kind": past.publication.kind,
        "color": health["color"],
        "since": health["since"],
        "stage": document["stage"],
        "band": churn["band"],
        "probability": churn["probability"],
        "source": churn["source"],
        "expansion_band": document["expansion"]["band"],
        "arr_at_risk": health["arr_at_risk"],
        "reason": document["reasons"][0]["category"] if document["reasons"] else "unknown",
        "receipt": past.receipt,
    }
