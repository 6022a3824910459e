"""GET /v1/accounts/{id}/changes: why the risk moved between two readings."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, ConfigDict, Field

from lifecycle_ml.errors import LifecycleError, StoreError
from lifecycle_ml.service.api import examples
from lifecycle_ml.service.api.answers import json_bytes, json_response, responses
from lifecycle_ml.service.api.keys import require
from lifecycle_ml.service.api.models import (
    AccountId,
    Answer,
    Band,
    Color,
    IsoDate,
    Number,
    Probability,
    Receipt,
    ServedModel,
    Shape,
)
from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.key_ring import Caller
from lifecycle_ml.service.serving import Serving, about_call, serving
from lifecycle_ml.store.between import REMEMBERED, NoSuchReadingError, choose_pair
from lifecycle_ml.store.rows import storable

if TYPE_CHECKING:
    from collections.abc import Mapping

router = APIRouter(prefix="/v1", tags=["accounts"])


class ChangesQuestion(Shape):
    """Which two readings; without dates those that show how the account came by its colour."""

    first: IsoDate | None = Field(
        default=None,
        alias="from",
        description="As_of of the earlier reading. Default: the newest at least 28 days older than the day "
        "the account took its colour (than the later reading, where it had that colour all along), else the "
        "oldest.",
    )
    last: IsoDate | None = Field(
        default=None, alias="to", description="As_of of the later reading. Default: the newest."
    )


class ComparedReading(Shape):
    """One of the two readings, in short."""

    as_of: date
    scored_at: AwareDatetime
    publication_id: int
    color: Color
    band: Band
    probability: Probability | None = Field(description="At the headline horizon; null where rules serve.")
    source: str = Field(description="model or rules.")
    model: ServedModel | None
    reproduced: bool | None = Field(
        description="Whether its score came out again from today's source; null where that was not tried."
    )
    receipt: Receipt


class FeatureChange(Shape):
    """What one feature adds to the move."""

    feature: str
    category: str = Field(
        description="A category of the taxonomy, context, or data_gap where the value was or became unknown."
    )
    unit: str | None
    before: Number | str | None
    after: Number | str | None
    margin: Number = Field(description="Log-odds, by the earlier model.")
    says: str | None = Field(description="The change in words; null where nobody would notice it.")


class CategoryChange(Shape):
    """What the features of one category add together."""

    category: str
    label: str
    margin: Number


class LateData(Shape):
    """Rows that became known after the earlier reading and speak of days before it."""

    margin: Number
    contributions: list[FeatureChange]


class FeatureChanges(Shape):
    """What changed at the account itself."""

    margin: Number
    by_category: list[CategoryChange]
    contributions: list[FeatureChange]


class Step(Shape):
    """One step of the move."""

    margin: Number = Field(description="Log-odds.")


class ChangeParts(Shape):
    """The move, in log-odds of the calibrated margin; the five margins add up to `margin_change`."""

    late_data: LateData
    features: FeatureChanges
    model: Step = Field(description="Other trees or another base rate, at the same features.")
    calibration: Step = Field(description="Another slope or intercept.")
    rewritten: Step = Field(
        description="What today's source and definitions no longer say as they did; 0 where both readings "
        "are reproduced."
    )


class Changes(Answer):
    """Why the risk of an account moved between two of its readings."""

    model_config = ConfigDict(json_schema_extra={"example": examples.CHANGES})

    account_id: AccountId
    from_: ComparedReading = Field(alias="from")
    to: ComparedReading
    horizon_days: int = Field(gt=0)
    says: list[str] = Field(description="One to three sentences for people.")
    margin_change: Number | None = Field(
        description="Log-odds at the headline horizon; null where it cannot be split."
    )
    parts: ChangeParts | None
    why_no_parts: str | None = Field(description="Why there are no parts: rules served, a model is gone, …")


@router.get(
    "/accounts/{account_id:path}/changes",
    operation_id="getAccountChanges",
    responses=responses(
        Changes,
        "account-not-found",
        "no-earlier-reading",
        "no-such-reading",
        "refresh-unavailable",
        "refresh-failed",
    ),
)
def get_changes(
    account_id: str,
    question: Annotated[ChangesQuestion, Query()],
    request: Request,
    at: Annotated[Serving, Depends(serving)],
    _caller: Annotated[Caller, Depends(require("read"))],
) -> Response:
    """Say why an account's risk moved between two of its readings, in sentences and in parts that add up.

    The rows behind the readings are built again from the source, so this takes seconds. Where the move cannot
    be split, `parts` is null and `why_no_parts` says why.
    """
    found = read_changes(at, account_id, question.first, question.last)
    return json_response(json_bytes({**found, **about_call(request)}))


def read_changes(
    at: Serving, account_id: str, first: date | None = None, last: date | None = None
) -> Mapping[str, Any]:
    """Return why an account's risk moved. Raises: ProblemError where that cannot be told."""
    if at.comparer is None:
        raise ProblemError("refresh-unavailable", "This service cannot compute features: it only reads.")
    past = at.store.history(account_id, REMEMBERED) if storable(account_id) else []
    if not past:
        raise ProblemError("account-not-found", "No account has this id.")
    try:
        pair = choose_pair(account_id, past, first, last)
    except NoSuchReadingError as error:
        raise ProblemError(
            "no-such-reading",
            str(error),
            errors=[{"detail": str(error), "parameter": error.parameter}],
            extra={"available": [str(day) for day in error.dates]},
        ) from error
    if pair is None:
        only = past[0].publication.as_of
        raise ProblemError("no-earlier-reading", f"The account has one reading only, as of {only}.")
    try:
        return at.comparer(pair)
    except StoreError:
        raise
    except LifecycleError as error:
        raise ProblemError("refresh-failed", str(error)) from error
