"""The ledger and the actions as they stand, changed together in a transaction the caller opened."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lifecycle_ml.actions.action import LIVE, Action
from lifecycle_ml.actions.ledger import apply_word
from lifecycle_ml.errors import StoreError
from lifecycle_ml.store import assigned
from lifecycle_ml.store.document import instant_text
from lifecycle_ml.store.lists import plain
from lifecycle_ml.store.schema import actions, ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from lifecycle_ml.actions.action import ActionEvent
    from lifecycle_ml.actions.ledger import Word

COLUMNS = tuple(actions.c[each.name] for each in fields(Action))
_ENDS = ("closed", "done", "dismissed")
_ASKED = 500


class NoSuchActionError(StoreError):
    """No action has the id that was asked for."""

    exit_code = 2


def record(
    connection: sa.Connection, publication_id: int, ledger_seen: int, events: Sequence[ActionEvent]
) -> None:
    """Write a run's events and the actions as they stand after them, each once ever.

    An action that somebody changed after the run began (`ledger_seen` was the last event then) stays as
    they left it: the event was planned without knowing, and the next run plans it again if it still holds.
    """
    ids = list(dict.fromkeys(event.action.action_id for event in events))
    changed, told, escalated = _what_is_known(connection, ids, ledger_seen)
    lines: list[dict[str, Any]] = []
    stands: dict[str, dict[str, Any]] = {}
    for event in events:
        action_id, once = event.action.action_id, once_key(event)
        if action_id in changed or once in told:
            continue
        if once is not None:
            told.add(once)
        if event.kind == "escalated":
            escalated.add(action_id)
        if event.assignment is not None:
            assigned.write(connection, event.assignment, publication_id)
        lines.append(_line(event, once, publication_id))
        stands[action_id] = _row(event, escalated=action_id in escalated)
    for ended in _chunks(stands, _ASKED):
        connection.execute(sa.delete(actions).where(actions.c.action_id.in_(ended)))
    if lines:
        connection.execute(sa.insert(actions), list(stands.values()))
        connection.execute(sa.insert(ledger), lines)


def tell(connection: sa.Connection, action_id: str, word: Word, by: str, at: datetime) -> Action:
    """Apply a person's word to an action; see `Store.tell`."""
    its_own = actions.c.action_id == action_id
    row = connection.execute(sa.select(actions).where(its_own).with_for_update()).mappings().first()
    if row is None:
        raise NoSuchActionError(
            f"no action has the id {action_id}. `lifecycle actions --json` lists the open ones with theirs."
        )
    event = apply_word(Action(**{column.name: row[column.name] for column in COLUMNS}), word, by, at)
    values = _row(event, escalated=row["escalated"])
    connection.execute(sa.update(actions).where(its_own).values(**values))
    connection.execute(sa.insert(ledger), [_line(event, once_key(event), None)])
    return event.action


def once_key(event: ActionEvent) -> str | None:
    """Return what makes an event one with another: an action opens once and ends once, ever.

    It escalates and wakes once per moment. People may assign and snooze it as often as they like: None.
    """
    if event.kind in {"opened", "held_out"}:
        return f"{event.action.action_id} opened"
    if event.kind in _ENDS:
        return f"{event.action.action_id} ended"
    if event.kind in {"escalated", "woken"}:
        return f"{event.action.action_id} {event.kind} {instant_text(event.at)}"
    return None


def _what_is_known(
    connection: sa.Connection, ids: list[str], ledger_seen: int
) -> tuple[set[str], set[str], set[str]]:
    """Return the actions changed since the run began, the keys in the ledger, and the actions escalated."""
    changed: set[str] = set()
    told: set[str] = set()
    escalated: set[str] = set()
    for chunk in _chunks(ids, _ASKED):
        lines = sa.select(ledger.c.event_id, ledger.c.action_id, ledger.c.once).where(
            ledger.c.action_id.in_(chunk)
        )
        for event_id, action_id, once in connection.execute(lines):
            if event_id > ledger_seen:
                changed.add(action_id)
            if once is not None:
                told.add(once)
        finished = sa.select(actions.c.action_id, actions.c.escalated, actions.c.status).where(
            actions.c.action_id.in_(chunk)
        )
        for action_id, was_escalated, status in connection.execute(finished):
            if was_escalated:
                escalated.add(action_id)
            if status not in LIVE:
                changed.add(action_id)
    return changed, told, escalated


def _row(event: ActionEvent, *, escalated: bool) -> dict[str, Any]:
    return asdict(event.action) | {"escalated": escalated, "changed_at": event.at}


def _line(event: ActionEvent, once: str | None, publication_id: int | None) -> dict[str, Any]:
    return {
        "publication_id": publication_id,
        "kind": event.kind,
        "at": event.at,
        "action_id": event.action.action_id,
        "account_id": event.action.account_id,
        "by": event.by,
        "because": event.because,
        "action": plain(asdict(event.action)),
        "once": once,
    }


def _chunks(ids: Iterable[str], size: int) -> list[list[str]]:
    every = list(ids)
    return [every[start : start + size] for start in range(0, len(every), size)]
