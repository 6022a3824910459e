"""One action, and what happens to it: the values the store keeps and people see."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

Kind = Literal["playbook", "checkpoint", "trigger", "renewal_data", "stage"]
Status = Literal["open", "over_capacity", "snoozed", "done", "dismissed", "closed"]
UNFINISHED: tuple[Status, ...] = ("open", "over_capacity", "snoozed")
EventKind = Literal["opened", "closed", "escalated", "done", "dismissed", "snoozed", "assigned", "woken"]


@dataclass(frozen=True)
class Action:
    """One piece of work given to one owner. Instants are naive UTC.

    `playbook` names the need it answers: a playbook, checkpoint, trigger or stage; `kind` says which of them.
    `escalates_to` and `escalates_at` are the next escalation still to come; once the highest role has been
    told, or the action is finished, `escalates_at` is None. `arr_kept_per_hour` is the ARR this work is
    expected to keep, or to add, per hour spent. `hours` is what it takes of its owner's week.
    `snoozed_until` is set exactly while the status is snoozed.
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


@dataclass(frozen=True)
class ActionEvent:
    """What happened to an action, the action as it stands afterwards, why, and who did it."""

    kind: EventKind
    at: datetime
    action: Action
    because: str = ""
    by: str = "lifecycle"


def action_id_of(account_id: str, playbook: str, step: str, since: date) -> str:
    """Return the id of an action: the same need of the same episode always has the same one."""
    key = json.dumps([account_id, playbook, step, since.isoformat()])
    return f"act_{hashlib.sha256(key.encode()).hexdigest()[:24]}"
