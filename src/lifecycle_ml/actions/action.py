"""One action, and what happens to it: the values the store keeps and people see."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal

Kind = Literal["playbook", "checkpoint", "trigger", "renewal_data", "stage"]
Status = Literal["open", "over_capacity", "snoozed", "held_out", "done", "dismissed", "closed"]
UNFINISHED: tuple[Status, ...] = ("open", "over_capacity", "snoozed")
"""What somebody still has to do."""
LIVE: tuple[Status, ...] = (*UNFINISHED, "held_out")
"""What has not ended: also accounts left alone on purpose, for whom nobody has anything to do."""
EventKind = Literal[
    "opened", "held_out", "closed", "escalated", "done", "dismissed", "snoozed", "assigned", "woken"
]
Arm = Literal["offered", "held_out"]
CHECKPOINTS: Final = (180, 120, 90, 60, 30)
"""The checkpoints of a renewal, by the days before the day that decides."""
NAMED_BY: Final = {"csm": "owner", "account_executive": "sales_owner"}
"""Roles whose person the account itself names, and the column that does."""
HOLD_OUT: Final = "hold-out"
"""The step of what stands for a need left alone on purpose; no step of a workspace can be called so."""
_REVIEW: Final = re.compile(r"review_[0-9]+")


@dataclass(frozen=True)
class Action:
    """One piece of work given to one owner. Instants are naive UTC.

    `playbook` names the need it answers: a playbook, checkpoint, trigger or stage; `kind` says which of them.
    `escalates_to` and `escalates_at` are the next escalation still to come; once the highest role has been
    told, or the action is finished, `escalates_at` is None. `arr_kept_per_hour` is the ARR this work is
    expected to keep, or to add, per hour spent. `hours` is what it takes of its owner's week.
    `beyond_capacity` is set while it is over_capacity, and goes on while it sleeps after that: put off, it
    still lies in nobody's week.
    `snoozed_until` is set exactly while the status is snoozed. While it is held_out the action stands for
    work nobody is to do: it has no due date, takes no hours and escalates to nobody.
    """

    action_id: str
    account_id: str
    playbook: str
    step: str
    title: str
    owner_role: str
    owner: str | None
    opened_at: datetime
    due_at: datetime | None
    why: str | None
    escalates_to: str | None
    escalates_at: datetime | None
    status: Status
    arr_kept_per_hour: float | None
    snoozed_until: datetime | None = None
    kind: Kind = "playbook"
    hours: float = 0.0
    beyond_capacity: bool = False

    @property
    def watches(self) -> bool:
        """Whether it is a review that sleeps: the account waits for the evidence."""
        return self.status == "snoozed" and is_review(self.kind, self.step)


@dataclass(frozen=True)
class Assignment:
    """What was decided for one account when a playbook or trigger called for it.

    `since` begins the episode and `at` is the recorded now of the run that decided. `share` is the chance it
    had of being held out; 0 where it was never to be, and `spared` says why then. `expected` is the
    probability (0..1) of the outcome as scored that day, None where it cannot be told; `arr` likewise.
    """

    account_id: str
    playbook: str
    kind: Kind
    since: date
    at: datetime
    arm: Arm
    share: float
    spared: str | None
    expected: float | None
    arr: float | None


@dataclass(frozen=True)
class ActionEvent:
    """What happened to an action, the action as it stands afterwards, why, and who did it.

    `assignment` comes with the first event of a need that a hold-out is, or could have been, drawn for.
    """

    kind: EventKind
    at: datetime
    action: Action
    because: str = ""
    by: str = "lifecycle"
    assignment: Assignment | None = None


def is_review(kind: str, step: str) -> bool:
    """Tell whether an action asks how to go on with an account that its playbook did not bring back.

    While it sleeps it is a watch: the account waits for the evidence until it wakes.
    """
    return kind == "playbook" and _REVIEW.fullmatch(step) is not None


def action_id_of(account_id: str, playbook: str, step: str, since: date) -> str:
    """Return the id of an action: the same need of the same episode always has the same one."""
    key = json.dumps([account_id, playbook, step, since.isoformat()])
    return f"act_{hashlib.sha256(key.encode()).hexdigest()[:24]}"
