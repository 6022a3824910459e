"""What became of revenue and what is ahead, as the last run left it: /v1/revenue."""

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

Month = Annotated[str, Field(pattern=r"^\d{4}-\d{2}$", description="A calendar month; its last day counts.")]
Count = Annotated[int, Field(ge=0)]
Money = Annotated[Number, Field(description="In units of the book's currency, two decimals.")]

_TOO_FEW: Final = "too few accounts changed (3; 5 are needed)"
EXAMPLE: Final[dict[str, Any]] = {
    "as_of": "2026-07-01",
    "formulas": {
        "closing": "opening + new + reactivation + expansion + contraction + churn",
        "NRR": "ARR now of the accounts that had ARR 12 months ago / their ARR then",
    },
    "books": [
        {
            "currency": None,
            "advice": None,
            "known_on": "2026-07-01",
            "awaiting": {"accounts": 1, "arr": 12000.0},
            "waterfall": [
                {
                    "month": "2026-06",
                    "opening": 1200000.0,
                    "new": 24000.0,
                    "reactivation": 0.0,
                    "expansion": 10500.5,
                    "contraction": -4500.0,
                    "churn": -18000.0,
                    "price": 2500.0,
                    "closing": 1212000.5,
                    "accounts_closing": 101,
                }
            ],
            "retention": [
                {
                    "month": "2026-06",
                    "accounts": 96,
                    "lost": 11,
                    "arr_then": 1150000.0,
                    "arr_now": 1104000.0,
                    "arr_kept": 1046500.0,
                    "nrr": {"value": 0.96, "low": 0.91, "high": 1.01, "no_interval": None},
                    "grr": {"value": 0.91, "low": 0.86, "high": 0.95, "no_interval": None},
                    "logo_churn": {
                        "value": 0.1145833,
                        "low": 0.0652,
                        "high": 0.1935,
                        "no_interval": None,
                    },
                }
            ],
            "forecast": {
                "says": "the scores published for 2026-07-01",
                "no_models": None,
                "quarters": [
                    {
                        "month": "2026-09",
                        "accounts": 98,
                        "arr_then": 1180000.0,
                        "nrr": {"value": 0.95, "low": 0.92, "high": 0.98, "no_interval": None},
                        "grr": {"value": 0.9, "low": None, "high": None, "no_interval": _TOO_FEW},
                    }
                ],
                "did": {
                    "nrr": {"forecasts": 30, "inside": 29, "error": 0.015},
                    "grr": {"forecasts": 30, "inside": 29, "error": 0.014},
                },
            },
        }
    ],
    "loops": {
        "as_of": "2026-06-28",
        "lacks": None,
        "rows": [
            {
                "receiver": "sales",
                "loop": "bad_fit",
                "question": "Where do customers who do not fit come from?",
                "findings": [
                    "acquisition channel events: 28 of 100 customers do not fit, elsewhere 7 of 100."
                ],
                "lacks": None,
            }
        ],
    },
}
"""One answer, without what is said of the call."""


class RevenueFigure(Shape):
    """A ratio with its 95% interval; both ends are null where there is none, and no_interval says why."""

    value: Number
    low: Number | None
    high: Number | None
    no_interval: str | None


class RevenueMonth(Shape):
    """One month of the ARR waterfall. Contraction and churn are negative; price is part of expansion."""

    month: Month
    opening: Money
    new: Money
    reactivation: Money
    expansion: Money
    contraction: Money
    churn: Money
    price: Money
    closing: Money
    accounts_closing: Count


class RetentionMonth(Shape):
    """What is left at the end of a month of the ARR of twelve months before."""

    month: Month
    accounts: Count = Field(description="Those with ARR twelve months before.")
    lost: Count = Field(description="Of them, those without ARR now.")
    arr_then: Money
    arr_now: Money
    arr_kept: Money = Field(description="Each account counted at no more than its ARR then.")
    nrr: RevenueFigure
    grr: RevenueFigure
    logo_churn: RevenueFigure


class RevenueAhead(Shape):
    """NRR and GRR expected at the end of a quarter."""

    month: Month = Field(description="The last month of the quarter.")
    accounts: Count
    arr_then: Money
    nrr: RevenueFigure
    grr: RevenueFigure


class PastForecasts(Shape):
    """How earlier forecasts did that have come true."""

    forecasts: Count
    inside: Count = Field(description="Of them, those whose interval held what came.")
    error: Annotated[float, Field(ge=0)] | None = Field(description="Mean absolute error, as a share.")


class RevenueForecast(Shape):
    """The forecast of a book, where its chances come from, and how earlier ones did."""

    says: str
    no_models: str | None = Field(description="Why account models do not speak; null where they do.")
    quarters: list[RevenueAhead]
    did: dict[Literal["nrr", "grr"], PastForecasts]


class Awaiting(Shape):
    """ARR carried because its accounts may yet renew within grace."""

    accounts: Count
    arr: Money


class RevenueBook(Shape):
    """One book: all accounts, or those of one currency where currencies cannot be summed."""

    currency: str | None = Field(description="Null where there is one book for all.")
    advice: str | None
    known_on: date
    awaiting: Awaiting
    waterfall: list[RevenueMonth] = Field(description="The last twelve whole months.")
    retention: list[RetentionMonth] = Field(description="The same months, as far as a year lies before them.")
    forecast: RevenueForecast


class FeedbackLoop(Shape):
    """One question retention answers for another team; findings are what chance would hardly make."""

    receiver: Literal["sales", "marketing", "product"]
    loop: str
    question: str
    findings: list[str]
    lacks: str | None = Field(description="What is missing to answer; null where it is answered.")


class FeedbackLoops(Shape):
    """The loops, looked at once a week."""

    as_of: date
    lacks: str | None
    rows: list[FeedbackLoop]


class RevenueAnswer(Answer):
    """ARR waterfall, NRR and GRR of the last twelve months, their forecast, and the feedback loops."""

    model_config = ConfigDict(json_schema_extra={"example": {**EXAMPLE, **examples.CALL}})

    as_of: date
    formulas: dict[str, str] = Field(description="Each figure in words.")
    books: list[RevenueBook]
    loops: FeedbackLoops


router = APIRouter(prefix="/v1", tags=["models"])


@router.get(
    "/revenue",
    operation_id="getRevenue",
    responses=responses(RevenueAnswer, "no-statement", tagged=True),
)
def get_revenue(
    request: Request,
    at: Annotated[Serving, Depends(serving)],
    _caller: Annotated[Caller, Depends(require("read"))],
) -> Response:
    """Return the revenue statement of the newest run. Nothing is worked out for the call."""
    return tagged_response(request, json_bytes(read_statement(at)))


def read_statement(at: Serving) -> dict[str, Any]:
    """Return what the newest run kept. Raises: ProblemError before the first."""
    statement = at.store.statement()
    if statement is None:
        raise ProblemError("no-statement", "No run has kept a revenue statement in this store yet.")
    return statement
