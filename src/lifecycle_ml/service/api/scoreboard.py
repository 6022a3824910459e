"""What followed when triggers fired, as it was worked out last: /v1/triggers/scoreboard."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ConfigDict, Field

from lifecycle_ml.service.api import examples
from lifecycle_ml.service.api.answers import json_bytes, responses, tagged_response
from lifecycle_ml.service.api.keys import require
from lifecycle_ml.service.api.models import Answer, Number, Shape
from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.key_ring import Caller
from lifecycle_ml.service.serving import Serving, serving

Count = Annotated[int, Field(ge=0)]

EXAMPLE: Final[dict[str, Any]] = {
    "as_of": "2026-07-01",
    "triggers": [
        {
            "trigger": "usage_near_limit",
            "label": "Use comes close to what the contract allows",
            "horizon_days": 180,
            "fired": 212,
            "tasks": {
                "seen": 31,
                "red": 2,
                "yellow": 5,
                "no_room": 4,
                "opened": 20,
                "held_out": 0,
                "worked": 12,
            },
            "grew": {
                "rows": 180,
                "accounts": 140,
                "others": 5210,
                "mean": 0.31,
                "other_mean": 0.12,
                "difference": {"value": 0.19, "low": 0.12, "high": 0.26},
            },
            "arr": None,
            "left": None,
            "verdict": "growth_follows",
            "says": "Growth follows: 31% grew, 12% of comparable accounts.",
        }
    ],
}
"""One answer, without what is said of the call."""


class OutcomeGap(Shape):
    """The first mean minus the second, with its 95% interval."""

    value: Number
    low: Number
    high: Number


class ComparedOutcome(Shape):
    """What followed where the trigger fired, beside comparable accounts where it did not."""

    rows: Count = Field(description="Firings with a comparable account whose horizon has passed.")
    accounts: Count = Field(description="Accounts they are of.")
    others: Count = Field(description="Snapshots of comparable accounts.")
    mean: Number
    other_mean: Number
    difference: OutcomeGap


class TriggerTasks(Shape):
    """What became of the times a trigger fired while the product ran."""

    seen: Count
    red: Count = Field(description="No task, because the account was red.")
    yellow: Count = Field(description="No task, because the account was yellow.")
    no_room: Count = Field(description="No task, because nobody had hours or budget left.")
    opened: Count
    held_out: Count
    worked: Count


class TriggerScore(Shape):
    """One trigger: how often it fired, what became of that, and what followed."""

    trigger: str
    label: str
    horizon_days: int
    fired: Count | None = Field(description="Null where its signs cannot be told from the tables there are.")
    tasks: TriggerTasks
    grew: ComparedOutcome | None = Field(description="Shares of accounts that grew.")
    arr: ComparedOutcome | None = Field(description="Relative change of ARR; -1 for an account that left.")
    left: ComparedOutcome | None = Field(description="Shares of accounts that left.")
    verdict: Literal["growth_follows", "nobody_profits", "cannot_be_told", "not_enough_history"]
    says: str


class TriggerScoreboard(Answer):
    """What followed when triggers fired. It is no effect: accounts that show a sign differ from others."""

    model_config = ConfigDict(json_schema_extra={"example": {**EXAMPLE, **examples.CALL}})

    as_of: date = Field(description="By what was known then.")
    triggers: list[TriggerScore]


router = APIRouter(prefix="/v1", tags=["accounts"])


@router.get(
    "/triggers/scoreboard",
    operation_id="getTriggerScoreboard",
    responses=responses(TriggerScoreboard, "no-scoreboard", tagged=True),
)
def get_scoreboard(
    request: Request,
    at: Annotated[Serving, Depends(serving)],
    _caller: Annotated[Caller, Depends(require("read"))],
) -> Response:
    """Return what followed when triggers fired, as `lifecycle actions --scoreboard` worked it out last."""
    found = at.store.scoreboard()
    if found is None:
        raise ProblemError(
            "no-scoreboard",
            "Nobody has worked out a scoreboard of triggers yet; `lifecycle actions --scoreboard` does.",
        )
    return tagged_response(request, json_bytes(found))
