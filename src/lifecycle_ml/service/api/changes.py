"""What people say about an action or an account and what they are answered, as types."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints

from lifecycle_ml.actions.account_words import Ending, Feeling
from lifecycle_ml.service.api import examples
from lifecycle_ml.service.api.models import Answer, Color, IsoDate, QueuedAction, SaidOfAccount, Shape

LONGEST_TEXT = 1_000
Written = Annotated[str, StringConstraints(max_length=LONGEST_TEXT, pattern=r"^[^\x00]*$")]
"""What a person writes: kept with the action for good."""


class ChangedAction(QueuedAction, Answer):
    """The action as it stands after the change."""

    model_config = ConfigDict(json_schema_extra={"example": examples.CHANGED_ACTION})


class Change(Shape):
    """What every change may carry in its body where a header cannot be set."""

    idempotency_key: Annotated[str, StringConstraints(max_length=255)] | None = Field(
        default=None, description="Instead of the header Idempotency-Key."
    )


class Completion(Change):
    """The work is done."""

    note: Written = Field(default="", description="What came of it.")


class Dismissal(Change):
    """The work will not be done."""

    reason: Annotated[Written, StringConstraints(min_length=1)] = Field(description="Why not.")


class Nap(Change):
    """The work can wait: it neither escalates nor comes up before it wakes."""

    until: AwareDatetime = Field(description="When it comes back: within the next 90 days.")


class Assignment(Change):
    """Somebody else does it."""

    owner: Annotated[Written, StringConstraints(min_length=1, max_length=255)] = Field(
        description="Named as the team or the CRM names them."
    )


Text = Annotated[Written, StringConstraints(min_length=1)]


class KeptWord(SaidOfAccount, Answer):
    """What was said of the account, as it is kept."""

    model_config = ConfigDict(json_schema_extra={"example": examples.KEPT_WORD})

    account_id: str


class AccountChange(Change):
    """What every word about an account may carry."""

    by: Annotated[Written, StringConstraints(min_length=1, max_length=255)] | None = Field(
        default=None, description="Who says it, where another system passes it on; default the key's name."
    )


class OverrideChange(AccountChange):
    """A colour of a person's own, beside the model's; null ends the one that stands."""

    color: Color | None
    reason: Text = Field(description="What the model does not know.")
    until: IsoDate | None = Field(
        default=None, description="The last day it stands, within the next 180; none where it is ended."
    )


class SentimentChange(AccountChange):
    """How the account feels to somebody who knows it."""

    value: Feeling
    note: Written = Field(default="", description="What makes it feel so.")


class OutcomeChange(AccountChange):
    """What a checkpoint of the renewal ahead came to."""

    outcome: Ending
    checkpoint: int | None = Field(
        default=None, description="One that was reached: 180, 120, 90, 60 or 30. Default: the last one."
    )
    note: Written = Field(default="", description="What it rests on.")


class DecisionChange(AccountChange):
    """What a review of the account decided."""

    decision: Text
    decided_by: Text = Field(description="Who decided it.")
    next_step: Text = Field(description="What happens now.")
    due: IsoDate = Field(description="When the next step is due: today or later.")
