"""What people do with an action: complete, dismiss, snooze, assign. Each word becomes one event."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from lifecycle_ml.actions.action import LIVE, Action, ActionEvent
from lifecycle_ml.errors import LifecycleError

LONGEST_SNOOZE: Final = timedelta(days=90)


class ActionError(LifecycleError):
    """A word that cannot be said about this action: the message says why, and what can be."""

    exit_code = 2


@dataclass(frozen=True)
class Complete:
    """The work is done; the note says what came of it."""

    note: str = ""


@dataclass(frozen=True)
class Dismiss:
    """The work will not be done, for this reason."""

    reason: str


@dataclass(frozen=True)
class Snooze:
    """Nothing is to be done before `until` (naive instants are UTC); the due date stays what it was."""

    until: datetime


@dataclass(frozen=True)
class Assign:
    """Somebody else does it: named as the team or the CRM names them."""

    owner: str


Word = Complete | Dismiss | Snooze | Assign


def apply_word(action: Action, word: Word, by: str, at: datetime) -> ActionEvent:
    """Return what a person's word makes of an action; `at` is naive UTC.

    Completing and dismissing finish it; a held-out action can only be dismissed, which ends the hold-out: the
    next run opens the work. A snoozed action neither escalates nor comes up before it wakes, and
    the first run after that wakes it. Work that somebody takes over is no longer over capacity.

    Raises: ActionError if the action is finished, the reason or owner is empty, or the time to wake does not
    lie within the next 90 days.
    """
    if action.status == "held_out" and not isinstance(word, Dismiss):
        raise ActionError(
            f"action {action.action_id} is held out: nothing is to be done, so that an effect can be "
            "measured. To end that, dismiss it with a reason; the next run then opens the work."
        )
    if action.status not in LIVE:
        raise ActionError(
            f"action {action.action_id} is already {action.status}; only unfinished actions can be changed."
        )
    match word:
        case Complete(note):
            done = replace(action, status="done", escalates_at=None, snoozed_until=None)
            return ActionEvent("done", at, done, note.strip(), by)
        case Dismiss(reason):
            because = _required(reason, action, "dismissed without a reason; say why it will not be done")
            dismissed = replace(action, status="dismissed", escalates_at=None, snoozed_until=None)
            return ActionEvent("dismissed", at, dismissed, because, by)
        case Snooze(until):
            until = _naive(until)
            if not at < until <= at + LONGEST_SNOOZE:
                last = at + LONGEST_SNOOZE
                raise ActionError(
                    f"action {action.action_id} cannot sleep until {until:%Y-%m-%d %H:%M} UTC; choose a time "
                    f"after {at:%Y-%m-%d %H:%M} and not after {last:%Y-%m-%d %H:%M}, or dismiss it."
                )
            snoozed = replace(action, status="snoozed", snoozed_until=until)
            return ActionEvent("snoozed", at, snoozed, f"until {until:%Y-%m-%d %H:%M} UTC", by)
        case Assign(owner):
            name = _required(owner, action, "given to nobody; name the person who takes it")
            status = "open" if action.status == "over_capacity" else action.status
            given = replace(action, owner=name, status=status, beyond_capacity=False)
            return ActionEvent("assigned", at, given, f"from {action.owner} to {name}", by)


def _required(text: str, action: Action, otherwise: str) -> str:
    if not text.strip():
        raise ActionError(f"action {action.action_id} cannot be {otherwise}.")
    return text.strip()


def _naive(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
