"""What a checkpoint wants to be true, and what the tables know of it: topics spoken of, milestones reached.

A step of the checkpoint that is done counts as well; the ledger holds it, and readers of the renewal join it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final, Literal

import ibis
from pydantic import Field, model_validator

from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.tables.clock import as_known
from lifecycle_ml.tables.schema import SCHEMAS
from lifecycle_ml.tables.source import Tables
from lifecycle_ml.workspace import Strict

COLUMN: Final = "checkpoint_evidence"
"""The column of the scored table that holds what was heard of each account."""
Origin = Literal["touchpoint", "milestone"]
Heard = Mapping[tuple[Origin, str], date | None]
"""When each topic was last talked about and each milestone reached; None: never. What is not in it nobody can
tell: the table is not there, or nobody records such a thing."""
SEEN_IN: Final[dict[Origin, tuple[str, str, str]]] = {
    "touchpoint": ("touchpoints", "topic", "happened_at"),
    "milestone": ("milestones", "milestone", "completed_on"),
}
"""The table, its column of names, and its column of days, by where evidence is seen."""


class Evidence(Strict):
    """One thing a checkpoint wants to be true, and where it can be seen: any one of these is enough.

    `topics` of touchpoints and `milestones` count from `within_days` before the checkpoint's day on, never
    from an earlier term; `step` is a step of the checkpoint, done in this term.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    label: str = Field(min_length=5)
    topics: tuple[str, ...] = ()
    milestones: tuple[str, ...] = ()
    step: str | None = None
    within_days: int = Field(default=90, ge=1, le=730)

    @model_validator(mode="after")
    def _can_be_seen(self) -> Evidence:
        if not (self.topics or self.milestones or self.step):
            raise ValueError(f"{self.label!r} can be seen nowhere; name topics, milestones or a step")
        return self

    @property
    def asked(self) -> Iterator[tuple[Origin, str]]:
        """The topics and milestones that show it."""
        yield from (("touchpoint", name) for name in self.topics)
        yield from (("milestone", name) for name in self.milestones)


@dataclass(frozen=True)
class Found:
    """One piece of evidence at one checkpoint, as the tables knew it.

    there: None where nobody can tell. `on` and `origin` say when and where it was last seen, None where it
    was not. `step` is the step of the checkpoint that shows it as well once it is done.
    """

    id: str
    label: str
    there: bool | None
    on: date | None = None
    origin: Origin | None = None
    step: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as it is stored and served."""
        return {
            "evidence": self.id,
            "label": self.label,
            "there": self.there,
            "on": self.on and self.on.isoformat(),
            "seen_in": self.origin,
            "step": self.step,
        }


def find(evidence: Evidence, heard: Heard, since: date) -> Found:
    """Say whether a piece of evidence is there, counted from the day `since` on.

    One topic or milestone is enough. Where none is seen and one of them cannot be told, none of it can.
    """
    asked = list(evidence.asked)
    seen = [(day, key[0]) for key in asked if (day := heard.get(key)) is not None and day >= since]
    if seen:
        day, origin = max(seen)
        return Found(evidence.id, evidence.label, True, day, origin, evidence.step)
    there = None if any(key not in heard for key in asked) else False
    return Found(evidence.id, evidence.label, there, step=evidence.step)


def check_evidence(wanted: Sequence[Evidence], steps: Collection[str], where: str) -> None:
    """Check that evidence has ids of its own and names steps of its checkpoint. Raises: ConfigError."""
    ids = [evidence.id for evidence in wanted]
    for name in dict.fromkeys(ids):
        if ids.count(name) > 1:
            raise ConfigError(f"{where}.evidence: {name!r} stands there {ids.count(name)} times; keep one.")
    for evidence in wanted:
        step = evidence.step
        if step is not None and step not in steps:
            raise ConfigError(f"{where}.evidence.{evidence.id}: no step {step!r}.{did_you_mean(step, steps)}")


@dataclass(frozen=True)
class Records:
    """What the tables hold of the evidence asked for, by account."""

    told: Heard
    """What can be told at all, each None: what is known of an account of which nothing was heard."""
    by_account: Mapping[str, Heard]

    def of(self, account_id: str) -> Heard:
        """Return what was heard of one account."""
        return self.by_account.get(account_id, self.told)


def hear(tables: Tables, wanted: Collection[Evidence], as_of: date, known_at: datetime) -> Records:
    """Read when each topic and milestone asked for was last seen, as known at both clocks.

    A topic can be told where `touchpoints` is there and any topic is known by then; a milestone where
    `milestones` is there and any is.
    """
    told: dict[tuple[Origin, str], date | None] = {}
    found: dict[str, dict[tuple[Origin, str], date | None]] = {}
    keys = dict.fromkeys(key for evidence in wanted for key in evidence.asked)
    for origin, (table, column, day) in SEEN_IN.items():
        names = [name for kind, name in keys if kind == origin]
        if not names or table not in tables or column not in tables.provided(table):
            continue
        rows = tables[table].mutate(
            as_of=ibis.timestamp(datetime.combine(as_of, time())), known_until=ibis.timestamp(known_at)
        )
        known = as_known(rows, SCHEMAS[table])
        known = known.filter(known[column].notnull())
        if not known.limit(1).count().execute():
            continue
        told |= {(origin, name): None for name in names}
        asked = known.filter(known[column].isin(names) & known[day].notnull())
        last = asked.group_by(["account_id", column]).aggregate(last=asked[day].cast("date").max()).execute()
        for account_id, name, seen in zip(last["account_id"], last[column], last["last"], strict=True):
            found.setdefault(account_id, {})[origin, name] = date.fromisoformat(str(seen)[:10])
    return Records(told, {account_id: told | heard for account_id, heard in found.items()})
