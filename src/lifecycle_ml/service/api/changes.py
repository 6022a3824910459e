"""What people say about an action and what they are answered, as types."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints

from lifecycle_ml.service.api import examples
from lifecycle_ml.service.api.models import QueuedAction, Shape

LONGEST_TEXT = 1_000
Written = Annotated[str, StringConstraints(max_length=LONGEST_TEXT, pattern=r"^[^\x00]*$")]
"""What a person writes: kept with the action for good."""


class ChangedAction(QueuedAction):
    """The action as it stands after the change."""

    model_config = ConfigDict(json_schema_extra={"example": examples.CHANGED_ACTION})

    request_id: str


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
