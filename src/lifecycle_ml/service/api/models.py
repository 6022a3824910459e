"""What the API takes and gives, as types that are also its documentation.

`ScoredAccount` is the contract: the service answers stored bytes without building these objects, and the
tests hold real answers against them.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from lifecycle_ml.service.api import examples

Color = Literal["green", "yellow", "red"]
Band = Literal["low", "medium", "high"]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Receipt = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^(sha256:)?[0-9a-f]{12,64}$")]
AccountId = Annotated[str, StringConstraints(min_length=1)]
Role = Literal[
    "csm",
    "account_executive",
    "cs_lead",
    "vp_cs",
    "product",
    "product_marketing",
    "finance",
    "operations",
]
MOST_IDS = 200


def _only_iso(value: object) -> object:
    """Keep numbers out, in quotes too: they would be read as seconds since 1970."""
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("Write a date as YYYY-MM-DD.")
    return value


IsoDate = Annotated[date, BeforeValidator(_only_iso)]


class Shape(BaseModel):
    """Base of all shapes: what is not named here is not there."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class CallBudget(Shape):
    """What a key may still do this minute."""

    limit: int = Field(description="Calls a minute.")
    remaining: int = Field(description="Calls left of them.")
    resets_in: int = Field(description="Seconds until all of them may be made again.")


class Answer(Shape):
    """What every answer says of the call itself."""

    request_id: str
    budget: CallBudget | None = Field(description="Null where the key has no limit.")


class HorizonProbability(Shape):
    days: int = Field(gt=0, description="Length of the horizon in days, from as_of.")
    probability: Probability | None = Field(description="Null where rules serve.")


class Prediction(Shape):
    """What is expected to happen within a horizon."""

    probability: Probability | None = Field(description="At the headline horizon; null where rules serve.")
    horizon_days: int = Field(gt=0, description="The headline horizon in days.")
    by_horizon: list[HorizonProbability] = Field(description="Never falling as the horizon grows.")
    lift: Annotated[float, Field(ge=0)] | None = Field(description="Probability over the base rate.")
    band: Band = Field(description="Low under 1, medium under 3, high from 3 times the base rate.")
    source: Literal["model", "rules"]
    tier: Literal["full", "advisory", "insufficient"] = Field(description="How much history there was.")
    provisional: bool = Field(description="True where a feed was late or a column had emptied.")


class Propensity(Prediction):
    """Expansion within its horizon; band, source and tier are null while nothing serves it."""

    band: Band | None  # type: ignore[assignment]
    source: Literal["model", "rules"] | None  # type: ignore[assignment]
    tier: Literal["full", "advisory", "insufficient"] | None  # type: ignore[assignment]


class HealthInput(Shape):
    """One of the ten inputs people look at beside the model."""

    name: str
    state: Literal["good", "watch", "poor", "unknown"]
    value: Number | None
    trend: Literal["improving", "steady", "declining", "unknown"] | None


class Criterion(Shape):
    """One of the things that must be true before the colour improves."""

    criterion: str
    now: Number | None = Field(description="Null: cannot be told now.")
    needed: Number | None
    met: bool | None = Field(description="Null: cannot be told; it does not count as met.")


class Help(Shape):
    """A small change with which the model's risk would lie under the exit limit of the account's colour.

    A what-if, not a promise. Where nothing a team usually achieves would do, one entry says so.
    """

    change: str = Field(description="The change in words; one entry is one set of changes made together.")
    probability: Probability | None = Field(
        description="The changed account's score at the headline horizon; null: nothing is within reach."
    )
    step: str | None = Field(
        description="Title of the playbook step that does it, several joined by semicolons; null: no change."
    )


class Override(Shape):
    """A person's colour beside the model's."""

    color: Color
    reason: str
    by: str
    until: date | None


class Sentiment(Shape):
    """How a person feels about the account."""

    value: str
    by: str
    at: AwareDatetime


class Health(Shape):
    color: Color
    since: date = Field(description="The as_of at which the account took this colour.")
    previous: Color | None
    arr_at_risk: Number | None = Field(description="Risk times contract value, in the book's currency.")
    inputs: list[HealthInput]
    recovers_when: list[Criterion]
    what_would_help: list[Help] = Field(
        description="At most three, smallest first; [] for green accounts and where no probability is served."
    )
    override: Override | None
    sentiment: Sentiment | None


class Evidence(Shape):
    feature: str
    value: Number | str | bool | None
    usual: Number | None = Field(description="What is usual for this account; null where nothing is.")
    unit: str | None
    contribution: Number | None = Field(description="Push on the margin; null where rules serve.")
    says: str = Field(description="The evidence as a sentence.")


class Reason(Shape):
    """A category of the churn taxonomy that raises this account's risk."""

    category: str
    label: str
    share: Probability | None = Field(
        description="How likely it is the cause, among the eleven; null where rules serve."
    )
    stability: Probability | None = Field(description="Share of refits in which it ranks first.")
    owner_role: Role
    evidence: list[Evidence]


class InFavour(Shape):
    says: str


class Trigger(Shape):
    trigger: str
    says: str
    owner_role: Role


class Action(Shape):
    action_id: str
    playbook: str
    title: str
    owner_role: Role
    owner: str | None
    due_at: AwareDatetime | None
    why: str | None
    escalates_to: str | None
    escalates_at: AwareDatetime | None
    status: str = Field(
        description="open, over_capacity or snoozed; held_out: left alone on purpose, nothing is to be done; "
        "done, dismissed or closed in the queue's history."
    )


class Scorecard(Shape):
    """The account in flat fields a CRM can map one by one."""

    account_segment: str | None
    contract_value: Number | None
    renewal_date: date | None
    onboarding_status: str | None
    activation_status: str | None
    usage_trend: str | None
    stakeholder_engagement: str | None
    support_risk: str | None
    renewal_risk: str | None
    expansion_signal: str | None
    owner: str | None
    next_action: str | None = Field(description="Title of the unfinished action due first.")
    escalation_status: Literal["none", "on_track", "overdue", "escalated"]


class ServedModel(Shape):
    name: str
    version: str | None
    digest: str | None


class Models(Shape):
    churn: ServedModel | None
    expansion: ServedModel | None


class ScoredAccount(Shape):
    """One account as of one date: its risk, why, and what is being done about it."""

    model_config = ConfigDict(json_schema_extra={"example": examples.ACCOUNT})

    account_id: AccountId
    as_of: date
    scored_at: AwareDatetime
    stage: str | None
    churn: Prediction
    expansion: Propensity
    health: Health
    reasons: list[Reason]
    in_favour: list[InFavour]
    triggers: list[Trigger]
    actions: list[Action]
    scorecard: Scorecard
    model: Models
    receipt: Receipt = Field(description="Same receipt, same scores, reasons and colour.")


class Fault(Shape):
    """One thing wrong with a request, or why an item has no answer."""

    detail: str
    pointer: str | None = Field(default=None, description="Where in the body, as a JSON pointer.")
    parameter: str | None = Field(default=None, description="Which query parameter.")


class Problem(BaseModel):
    """RFC 9457: what went wrong, and at `type` a page that says what to do."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"example": examples.PROBLEM})

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[Fault] = Field(default_factory=list)
    budget: CallBudget | None = Field(
        default=None, description="Null where the key has no limit, or the call was not counted."
    )


class ScoreQuestion(Shape):
    """Which accounts to answer, as of when."""

    model_config = ConfigDict(json_schema_extra={"example": examples.SCORE_QUESTION})

    account_ids: list[AccountId] = Field(min_length=1, max_length=MOST_IDS)
    as_of: IsoDate | None = Field(default=None, description="Default: the current publication's.")
    refresh: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="Compute features from the source now instead of reading last night's."
    )


class ItemProblem(Shape):
    """Why one item has no account; the other items are answered all the same."""

    type: str
    title: str
    detail: str


class ScoreResult(Shape):
    account_id: str
    status: Literal["ok", "not_found", "not_scored", "error"]
    account: ScoredAccount | None = Field(default=None, description="Present where status is ok.")
    error: ItemProblem | None = Field(default=None, description="Present where it is not.")


class ScoreAnswer(Answer):
    """One result for each id asked, in the order asked."""

    results: list[ScoreResult]
    as_of: date
    scored_at: AwareDatetime | None = Field(description="Null where no publication has this as_of.")
    publication_id: int | None


class StartCriterion(Shape):
    """One thing that must be true before onboarding starts."""

    criterion: str = Field(description="Its name in serving/stages.toml.")
    label: str
    met: bool | None = Field(description="Null: cannot be told; it is not called missing.")
    says: str | None = Field(description="What is missing; null where nothing is, or nobody can tell.")


class AccountAnswer(ScoredAccount, Answer):
    """One scored account."""

    model_config = ConfigDict(json_schema_extra={"example": examples.ACCOUNT_ANSWER})

    onboarding_start: list[StartCriterion] = Field(
        description="What must be true before its onboarding starts; [] after hand-off and onboarding."
    )


class AccountList(Answer):
    """One page of accounts, and the cursor of the next (null on the last)."""

    accounts: list[ScoredAccount]
    next: str | None
    as_of: date
    scored_at: AwareDatetime
    publication_id: int


class Reading(Shape):
    """One reading in short."""

    as_of: date
    scored_at: AwareDatetime
    publication_id: int
    kind: Literal["nightly", "history"]
    color: Color
    since: date
    stage: str | None
    band: Band
    probability: Probability | None
    source: Literal["model", "rules"]
    expansion_band: Band | None
    arr_at_risk: Number | None
    reason: str
    receipt: Receipt


class SaidOfAccount(Shape):
    """What a person said of an account."""

    at: AwareDatetime
    kind: Literal["override", "sentiment", "outcome", "decision"]
    by: str
    says: str = Field(description="The word as a sentence.")
    details: dict[str, Any] = Field(
        description="What was said, by the names of the request; an outcome also names its renewal_on."
    )


class History(Answer):
    """An account's readings, the newest first, and the cursor of the next page."""

    account_id: str
    readings: list[Reading]
    said: list[SaidOfAccount] = Field(
        description="What people said of it, the newest first, at most 200; [] on later pages."
    )
    next: str | None


class QueuedAction(Action):
    """An action with the account it is about and what it is expected to keep."""

    account_id: str
    opened_at: AwareDatetime
    arr_kept_per_hour: Number | None


class NextHour(Shape):
    """One person, or everybody of one role, with more work than hours."""

    owner_role: str
    owner: str | None = Field(description="Null: the work is anybody's of the role.")
    lead: str | None = Field(description="Who the work over capacity went to.")
    actions: int = Field(description="Actions over capacity.")
    hours: Number = Field(description="Hours they take.")
    arr_kept: Number = Field(description="ARR one more hour would be expected to keep.")


class ActionList(Answer):
    """One page of the queue, most ARR kept per hour of work first."""

    actions: list[QueuedAction]
    next_hour: list[NextHour] = Field(
        description="What one more hour would bring, the most first; with the first page, else empty."
    )
    next: str | None


class Monitoring(Answer):
    """The latest verdict on data, scores and performance."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    verdict: str
    evidence: list[Any]
    truth_known_through: date | None = Field(description="Outcomes after this day are not settled yet.")


class PublicationModel(ServedModel):
    recipe: str
    source: Literal["model", "rules"]
    tier: Literal["full", "advisory", "insufficient"]


class ModelsAnswer(Answer):
    """What the current publication was made with."""

    publication_id: int
    as_of: date
    scored_at: AwareDatetime
    accounts: int
    models: list[PublicationModel]
    digests: dict[str, Any]
