"""POST /v1/what-if: the score an account would have if some of its features were different."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints

from lifecycle_ml.errors import LifecycleError, StoreError
from lifecycle_ml.service.api import examples
from lifecycle_ml.service.api.answers import json_bytes, json_response, responses
from lifecycle_ml.service.api.keys import require
from lifecycle_ml.service.api.models import (
    AccountId,
    Answer,
    Color,
    InFavour,
    Models,
    Number,
    Prediction,
    Propensity,
    Reason,
    Shape,
)
from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.key_ring import Caller
from lifecycle_ml.service.serving import Serving, about_call, serving
from lifecycle_ml.store.document import instant_text
from lifecycle_ml.store.rows import storable
from lifecycle_ml.what_if import ChangeError, FeatureChange, NoModelError, NotThereError

if TYPE_CHECKING:
    from lifecycle_ml.store.rows import Publication

router = APIRouter(prefix="/v1", tags=["accounts"])
MOST_CHANGES = 50
Word = Annotated[str, StringConstraints(max_length=255)]
Truth = Annotated[bool, Field(strict=True)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class AskedChange(Shape):
    """One feature, as it would be."""

    feature: Word = Field(description="A feature of the workspace, as evidence names it.")
    value: Truth | Real | Word | None = Field(
        description="A number, a word, true or false, as the feature holds them; null: not known."
    )
    unit: Word | None = Field(
        default=None, description="What the value is counted in; refused where the feature has another unit."
    )


class WhatIfQuestion(Shape):
    """One account of the current publication, and what would be different."""

    model_config = ConfigDict(json_schema_extra={"example": examples.WHAT_IF_QUESTION})

    account_id: AccountId
    changes: list[AskedChange] = Field(min_length=1, max_length=MOST_CHANGES)


class MadeChange(Shape):
    """A feature as it is and as it would be."""

    feature: str
    unit: str
    before: Number | str | None
    after: Number | str | None
    common_from: Number | None = Field(
        description="Four in five training snapshots lie between `common_from` and `common_to`; null for "
        "words. Beyond them the model has seen little."
    )
    common_to: Number | None


class ShortScore(Shape):
    """What the score of an account comes to."""

    churn: Prediction
    expansion: Propensity
    color: Color = Field(description="By the same rules and the same past as the published colour.")
    arr_at_risk: Number | None
    reasons: list[Reason]
    in_favour: list[InFavour]


class WhatIfAnswer(Answer):
    """The score of an account as it is, and as it would be with the changes."""

    model_config = ConfigDict(json_schema_extra={"example": examples.WHAT_IF})

    account_id: AccountId
    as_of: date
    scored_at: AwareDatetime
    publication_id: int
    changes: list[MadeChange]
    before: ShortScore
    after: ShortScore
    model: Models


@router.post(
    "/what-if",
    operation_id="askWhatIf",
    responses=responses(
        WhatIfAnswer,
        "account-not-found",
        "account-not-scored",
        "no-model",
        "body-too-large",
        "request-timeout",
        "refresh-unavailable",
        "refresh-failed",
        "nothing-published",
    ),
)
def what_if(
    question: WhatIfQuestion,
    request: Request,
    at: Annotated[Serving, Depends(serving)],
    _caller: Annotated[Caller, Depends(require("read"))],
) -> Response:
    """Answer the score, reasons and risk an account would have with other values of some features.

    Features that rest on the same fact do not follow: change each of them. No reading is written. The first
    question about an account reads the source, which takes seconds; the next ones do not.
    """
    if at.what_if is None:
        raise ProblemError("refresh-unavailable", "This service cannot compute features: it only reads.")
    publication = _published(at, question.account_id)
    changes = [FeatureChange(each.feature, each.value, each.unit) for each in question.changes]
    try:
        answer = at.what_if(publication, question.account_id, changes)
    except ChangeError as error:
        raise ProblemError(
            "invalid-request",
            "1 thing is wrong with the request.",
            errors=[{"detail": str(error), "pointer": f"/changes/{error.at}/{error.key}"}],
        ) from error
    except NoModelError as error:
        raise ProblemError("no-model", str(error)) from error
    except NotThereError as error:
        raise ProblemError("account-not-scored", str(error)) from error
    except StoreError:
        raise
    except LifecycleError as error:
        raise ProblemError("refresh-failed", str(error)) from error
    rest = {
        "scored_at": instant_text(publication.now),
        "publication_id": publication.publication_id,
        **about_call(request),
    }
    return json_response(json_bytes({**answer, **rest}))


def _published(at: Serving, account_id: str) -> Publication:
    """Return the publication readers see. Raises: ProblemError where it has no reading of the account."""
    if not storable(account_id):
        raise ProblemError("account-not-found", "No account has this id.")
    found = at.store.answers([account_id])
    if found.publication is None:
        raise ProblemError("nothing-published", "There is no publication to change anything of.")
    if account_id in found.bodies:
        return found.publication
    if account_id in found.unscored:
        raise ProblemError("account-not-scored", found.unscored[account_id])
    raise ProblemError("account-not-found", "No account has this id.")
