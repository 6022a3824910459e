"""Who was offered a playbook or trigger and who was held out, kept as it was decided."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from lifecycle_ml.actions.action import HOLD_OUT, Assignment
from lifecycle_ml.store.schema import actions, assignments, effects

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

Became = Literal["held_out", "done", "dismissed", "not_done"]
_COLUMNS = tuple(assignments.c[each.name] for each in fields(Assignment))


@dataclass(frozen=True)
class Assigned:
    """One assignment and what became of it.

    `became` is `done` where at least one step was completed, `dismissed` where none was and people dismissed
    one, `not_done` where the work is still open or ended by itself. `done_at` is when the first step was
    done.
    """

    assignment: Assignment
    became: Became
    done_at: datetime | None


def write(connection: sa.Connection, assignment: Assignment, publication_id: int) -> None:
    """Keep an assignment; what was decided for an episode first stays."""
    its_own = (
        (assignments.c.account_id == assignment.account_id)
        & (assignments.c.playbook == assignment.playbook)
        & (assignments.c.since == assignment.since)
    )
    if connection.execute(sa.select(assignments.c.since).where(its_own)).first() is None:
        values = asdict(assignment) | {"publication_id": publication_id}
        connection.execute(sa.insert(assignments).values(**values))


def read(connection: sa.Connection) -> list[Assigned]:
    """Return all assignments with what became of them, the oldest first; see `Store.assignments`."""
    work = (
        sa.select(actions.c.account_id, actions.c.playbook, actions.c.opened_at, actions.c.status)
        .add_columns(actions.c.changed_at)
        .where(actions.c.step != HOLD_OUT, actions.c.status.in_(("done", "dismissed")))
        .order_by(actions.c.changed_at)
    )
    told: dict[tuple[str, str, datetime], list[tuple[str, datetime]]] = {}
    for row in connection.execute(work):
        told.setdefault((row.account_id, row.playbook, row.opened_at), []).append(
            (row.status, row.changed_at)
        )
    order = (assignments.c.at, assignments.c.account_id, assignments.c.playbook)
    rows = connection.execute(sa.select(*_COLUMNS).order_by(*order)).mappings()
    return [
        _assigned(one, told.get((one.account_id, one.playbook, one.at), []))
        for one in (Assignment(**row) for row in rows)
    ]


def write_effects(
    connection: sa.Connection, as_of: date, at: datetime, found: Sequence[dict[str, Any]]
) -> None:
    """Keep what playbooks changed, outcomes known up to `as_of`; said again, the later word replaces it."""
    connection.execute(sa.delete(effects).where(effects.c.as_of == as_of))
    connection.execute(sa.insert(effects).values(as_of=as_of, at=at, document=list(found)))


def read_effects(connection: sa.Connection) -> dict[str, Any] | None:
    """Return what was kept for the newest as_of: as_of, at, and document; None before the first."""
    row = connection.execute(sa.select(effects).order_by(effects.c.as_of.desc()).limit(1)).mappings().first()
    return None if row is None else dict(row)


def _assigned(assignment: Assignment, told: list[tuple[str, datetime]]) -> Assigned:
    if assignment.arm == "held_out":
        return Assigned(assignment, "held_out", None)
    done_at = next((at for status, at in told if status == "done"), None)
    if done_at is not None:
        return Assigned(assignment, "done", done_at)
    return Assigned(assignment, "dismissed" if told else "not_done", None)
