"""What people said about accounts, kept as it was said; each function works in its caller's transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lifecycle_ml.actions.account_words import Said, say
from lifecycle_ml.actions.action import action_id_of
from lifecycle_ml.errors import StoreError
from lifecycle_ml.store import publishing
from lifecycle_ml.store.document import instant_text
from lifecycle_ml.store.rows import Words
from lifecycle_ml.store.schema import account_words, actions, listings, readings, unscored

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lifecycle_ml.actions.account_words import AccountWord

_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_STANDING = (
    sa.select(account_words)
    .where(account_words.c.account_id.in_(_IDS), account_words.c.kind.in_(("override", "sentiment")))
    .order_by(account_words.c.word_id)
)
_OUTCOMES = (
    sa.select(account_words)
    .where(account_words.c.account_id.in_(_IDS), account_words.c.kind == "outcome")
    .order_by(account_words.c.word_id)
)


_DONE = sa.select(
    *(actions.c[name] for name in ("account_id", "playbook", "step", "action_id", "changed_at"))
).where(actions.c.account_id.in_(_IDS), actions.c.kind == "checkpoint", actions.c.status == "done")


class NoSuchAccountError(StoreError):
    """No account has the id that was asked for."""

    exit_code = 2


def keep(connection: sa.Connection, account_id: str, word: AccountWord, by: str, at: datetime) -> Said:
    """Keep a person's word; see `Store.say`."""
    if not _is_known(connection, account_id):
        raise NoSuchAccountError(
            f"no account has the id {account_id!r}; ids are those of the accounts table."
        )
    said = say(account_id, word, by, at, _renewal(connection, account_id))
    connection.execute(
        sa.insert(account_words).values(
            account_id=account_id, kind=said.kind, at=at, by=said.by, details=dict(said.details)
        )
    )
    return said


def standing(connection: sa.Connection, ids: list[str]) -> dict[str, Words]:
    """Return the last override and sentiment of some accounts; those nobody spoke of are left out."""
    found: dict[str, Words] = {}
    if ids:
        for row in connection.execute(_STANDING, {"ids": ids}):
            words = found.setdefault(row.account_id, Words())
            setattr(words, row.kind, _said(row))
    return found


def history(connection: sa.Connection, account_id: str, limit: int) -> list[Said]:
    """Return what was said of an account, the newest first."""
    question = (
        sa.select(account_words)
        .where(account_words.c.account_id == account_id)
        .order_by(account_words.c.word_id.desc())
        .limit(limit)
    )
    return [_said(row) for row in connection.execute(question)]


@dataclass
class CheckpointWords:
    """What people did at checkpoints and what these came to, by (account_id, renewal_on, checkpoint)."""

    outcomes: dict[tuple[str, str, int], Said]
    done: dict[tuple[str, str, int], datetime]
    """When the last of a checkpoint's steps that were completed was."""
    steps: dict[tuple[str, str, int, str], datetime]
    """When each of them was, with the step beside the checkpoint."""

    def add_to(self, account_id: str, renewal: Mapping[str, Any]) -> dict[str, Any]:
        """Return a renewal with `done_on` and `outcome` at each checkpoint, None where none is.

        Evidence whose step was done is there, whatever the tables knew of it.
        """
        return {
            **renewal,
            "checkpoints": [self._told(account_id, renewal, one) for one in renewal["checkpoints"]],
        }

    def _told(self, account_id: str, renewal: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Any]:
        key = (account_id, renewal["renewal_on"], one["checkpoint"])
        done, said = self.done.get(key), self.outcomes.get(key)
        outcome = None
        if said is not None:
            outcome = {"outcome": said.details["outcome"], "by": said.by, "at": instant_text(said.at)}
        return {
            **one,
            "done_on": done and done.date().isoformat(),
            "outcome": outcome,
            "evidence": [self._shown(key, each) for each in one.get("evidence", [])],
        }

    def _shown(self, key: tuple[str, str, int], evidence: Mapping[str, Any]) -> dict[str, Any]:
        done = self.steps.get((*key, evidence["step"]))
        if evidence["there"] or done is None:
            return dict(evidence)
        return {**evidence, "there": True, "on": done.date().isoformat(), "seen_in": "step"}


def checkpoints(connection: sa.Connection, renewals: Mapping[str, Mapping[str, Any]]) -> CheckpointWords:
    """Return what was done and said at the checkpoints of renewals, given as documents by account.

    A step counts for the term it was opened for: the renewal's date is part of an action's id.
    """
    found = CheckpointWords({}, {}, {})
    ids = list(renewals)
    if not ids:
        return found
    for row in connection.execute(_OUTCOMES, {"ids": ids}):
        found.outcomes[row.account_id, row.details["renewal_on"], row.details["checkpoint"]] = _said(row)
    for row in connection.execute(_DONE, {"ids": ids}):
        text = renewals[row.account_id]["renewal_on"]
        days = row.playbook.removeprefix("checkpoint_")
        own = action_id_of(row.account_id, row.playbook, row.step, date.fromisoformat(text))
        if days.isdigit() and own == row.action_id:
            key = (row.account_id, text, int(days))
            found.done[key] = max(row.changed_at, found.done.get(key, row.changed_at))
            found.steps[*key, row.step] = row.changed_at
    return found


def _is_known(connection: sa.Connection, account_id: str) -> bool:
    return any(
        connection.execute(
            sa.select(table.c.account_id).where(table.c.account_id == account_id).limit(1)
        ).first()
        for table in (readings, unscored)
    )


def told_renewal(connection: sa.Connection, account_id: str, as_of: date | None) -> dict[str, Any] | None:
    """Return the renewal ahead of an account with what was done and said of it; see `Store.renewal`."""
    renewal = _renewal(connection, account_id, as_of)
    if renewal is None:
        return None
    return checkpoints(connection, {account_id: renewal}).add_to(account_id, renewal)


def _renewal(
    connection: sa.Connection, account_id: str, as_of: date | None = None
) -> Mapping[str, Any] | None:
    current = publishing.current(connection) if as_of is None else publishing.latest_for(connection, as_of)
    if current is None:
        return None
    question = sa.select(listings.c.renewal).where(
        listings.c.publication_id == current.publication_id, listings.c.account_id == account_id
    )
    text = connection.execute(question).scalar()
    found: Mapping[str, Any] | None = json.loads(text) if text else None
    return found


def _said(row: Any) -> Said:
    return Said(row.kind, row.account_id, row.at, row.by, row.details)
