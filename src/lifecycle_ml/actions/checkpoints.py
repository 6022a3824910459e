"""serving/renewals.toml: when a renewal is prepared, by whom, and what its data must say.

Checkpoints are counted back from the day that decides. The first one counts from the renewal date, the later
ones from the last day on which notice can be given, where there is one: after that day an automatic renewal
is decided, whatever the calendar says. Evergreen contracts have no renewal and are left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from lifecycle_ml.actions.action import CHECKPOINTS as CHECKPOINTS  # noqa: PLC0414 - also named here
from lifecycle_ml.actions.checkpoint_evidence import COLUMN, Evidence, Found, Heard, check_evidence, find
from lifecycle_ml.actions.steps import Step, check_steps
from lifecycle_ml.actions.team import Team
from lifecycle_ml.actions.templates import check_fields
from lifecycle_ml.conditions.parse import Condition
from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.health.inputs import as_number
from lifecycle_ml.health.scored import columns_of_rules, parse_rule
from lifecycle_ml.workspace import Strict, Workspace

FILE: Final = "serving/renewals.toml"
PREFIX: Final = "checkpoint_"
DATA: Final = "renewal_data"
FIRST_BEFORE_SECOND: Final = timedelta(days=30)
WHY_FIELDS: Final = ("name", "deadline", "standing")
COLUMNS: Final = ("days_to_renewal", "notice_days", "term_days", "auto_renew", "renewal_signed")
"""The features a renewal is read from; the first is needed, the others help."""

State = Literal["past", "now", "ahead"]


class OwnerLevel(Strict):
    """From this ARR on, this role prepares the renewal."""

    arr_from: float = Field(ge=0)
    role: str


class Wider(Strict):
    """From this ARR on, checkpoints fall this many times as early, where the term is long enough."""

    arr_from: float = Field(gt=0)
    times: float = Field(gt=1, le=3)


class CheckpointStep(Strict):
    """A step of a checkpoint. Without a role of its own it is the renewal owner's."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str = Field(min_length=8)
    owner_role: str | None = None
    sla_days: int = Field(ge=1)
    hours: float = Field(gt=0)
    escalates_after_days: int = Field(ge=1)
    escalates_to: str | None = None

    def owned_by(self, role: str) -> Step:
        """Return the step as `role`, who prepares this renewal, has to do it."""
        return _owned(self, role)


@cache
def _owned(step: CheckpointStep, role: str) -> Step:
    return Step.model_validate(step.model_dump() | {"owner_role": step.owner_role or role})


class Checkpoint(Strict):
    """What has to be true this many days before the day that decides, and the work that makes it so."""

    title: str
    why: str
    keeps: float = Field(gt=0, le=1)
    steps: tuple[CheckpointStep, ...] = Field(min_length=1, max_length=3)
    evidence: tuple[Evidence, ...] = ()

    @field_validator("why")
    @classmethod
    def _known_fields(cls, value: str) -> str:
        return check_fields(value, WHY_FIELDS)

    @property
    def hours(self) -> float:
        """Hours all steps take together."""
        return sum(step.hours for step in self.steps)


class Problem(Strict):
    """One thing that can be wrong with the data of a renewal."""

    when: str
    says: str = Field(min_length=8)


class DataUpkeep(Strict):
    """The one action that names everything wrong with the data of a renewal."""

    cool_down_days: int = Field(ge=1)
    keeps: float = Field(gt=0, le=1)
    step: Step
    problems: Mapping[str, Problem]


class RenewalsFile(Strict):
    """serving/renewals.toml as written."""

    owners: tuple[OwnerLevel, ...] = Field(min_length=1)
    wider: tuple[Wider, ...] = ()
    checkpoints: Mapping[str, Checkpoint]
    data: DataUpkeep

    @model_validator(mode="after")
    def _known_checkpoints(self) -> RenewalsFile:
        known = [str(days) for days in CHECKPOINTS]
        for name in self.checkpoints:
            if name not in known:
                raise ConfigError(f"{FILE}: no checkpoint {name!r}.{did_you_mean(name, known)}")
        missing = [name for name in known if name not in self.checkpoints]
        if missing:
            raise ConfigError(f"{FILE}: checkpoints missing: {', '.join(missing)}.")
        if min(level.arr_from for level in self.owners) > 0:
            raise ConfigError(
                f"{FILE} owners: one level needs arr_from = 0, or small renewals have no owner."
            )
        return self


@dataclass(frozen=True)
class Renewals:
    """Checked renewals.toml: every feature and role it uses exists. Build it with `load_renewals`."""

    file: RenewalsFile
    conditions: Mapping[str, Condition]
    """The condition of each problem of renewal data, by problem."""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """All that the checkpoints want to be true."""
        return tuple(one for each in self.file.checkpoints.values() for one in each.evidence)

    def owner_role(self, arr: float | None) -> str:
        """Return the role that prepares a renewal of this size."""
        reached = [level for level in self.file.owners if (arr or 0.0) >= level.arr_from]
        return max(reached, key=lambda level: level.arr_from).role

    def widened(self, days: int, arr: float | None, term_days: float | None) -> int | None:
        """Return days before the date that decides, None where the term is shorter than twice the window."""
        times = [level.times for level in self.file.wider if (arr or 0.0) >= level.arr_from]
        wide = round(days * max(times, default=1.0))
        if term_days is None or term_days >= 2 * wide:
            return wide
        return days if term_days >= 2 * days else None

    def unavailable(self, columns: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return what `columns` cannot feed: `checkpoints` as a whole, and problems of renewal data."""
        lacking = {
            f"renewals.data.problems.{name}": tuple(
                column for column in condition.columns if column not in columns
            )
            for name, condition in self.conditions.items()
        }
        if COLUMNS[0] not in columns:
            lacking["renewals.checkpoints"] = (COLUMNS[0],)
        return {name: missing for name, missing in lacking.items() if missing}


@dataclass(frozen=True)
class DatedCheckpoint:
    """One checkpoint of one term and the day it falls on."""

    checkpoint: int
    falls_on: date
    state: State


@dataclass(frozen=True)
class Renewal:
    """The end of the term in force, and the checkpoints on the way there.

    `notice_on` is the last day notice can be given, None without a (plausible) period of notice. `auto_renew`
    is None where nobody knows. `owner` is the person, `owner_role` the role that prepares it. A renewal that
    is signed has no checkpoints left. `begins` is the first day of the term, None where it is not known;
    `wanted` are the checkpoints as written and `heard` what the tables know of their evidence.
    """

    renewal_on: date
    notice_on: date | None
    auto_renew: bool | None
    owner: str | None
    owner_role: str
    checkpoints: tuple[DatedCheckpoint, ...]
    begins: date | None = None
    wanted: Mapping[str, Checkpoint] = field(default_factory=dict, repr=False, compare=False)
    heard: Heard = field(default_factory=dict, repr=False, compare=False)

    def evidence(self, dated: DatedCheckpoint) -> list[Found]:
        """Return what a checkpoint wants to be true, and whether the tables know it of this term."""
        checkpoint = self.wanted.get(str(dated.checkpoint))
        found = []
        for evidence in checkpoint.evidence if checkpoint else ():
            since = dated.falls_on - timedelta(days=evidence.within_days)
            found.append(find(evidence, self.heard, max(since, self.begins or since)))
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the renewal as it is stored and served."""
        return {
            "renewal_on": self.renewal_on.isoformat(),
            "notice_on": self.notice_on and self.notice_on.isoformat(),
            "auto_renew": self.auto_renew,
            "owner": self.owner,
            "checkpoints": [
                {
                    "checkpoint": dated.checkpoint,
                    "falls_on": dated.falls_on.isoformat(),
                    "state": dated.state,
                    "evidence": [found.to_json() for found in self.evidence(dated)],
                }
                for dated in self.checkpoints
            ],
        }

    @property
    def reached(self) -> DatedCheckpoint | None:
        """The checkpoint whose time it is: the last that fell due, until the next one does."""
        return next((dated for dated in self.checkpoints if dated.state == "now"), None)

    @property
    def deadline(self) -> str:
        """The dates that decide, in words."""
        ends = "renews itself" if self.auto_renew else "ends"
        if self.notice_on is None:
            return f"the contract {ends} on {self.renewal_on}"
        return f"notice can be given until {self.notice_on} and the contract {ends} on {self.renewal_on}"


def renewal_of(row: Mapping[str, Any], as_of: date, renewals: Renewals) -> Renewal | None:
    """Return the renewal ahead of one account of the scored table, None for evergreen contracts.

    Reads days_to_renewal, notice_days, term_days, auto_renew, renewal_signed, arr, renewal_owner, owner,
    sales_owner and checkpoint_evidence; every one but the first may be null or absent.
    """
    days = as_number(row.get("days_to_renewal"))
    if days is None:
        return None
    renewal_on = as_of + timedelta(days=int(days))
    term, notice = as_number(row.get("term_days")), as_number(row.get("notice_days"))
    arr, automatic = as_number(row.get("arr")), as_number(row.get("auto_renew"))
    # A period of notice longer than the term is a mistake in the data, reported as such, and no date.
    dated = notice is not None and notice >= 0 and (term is None or notice < term)
    notice_on = renewal_on - timedelta(days=int(notice)) if dated and notice is not None else None
    signed = as_number(row.get("renewal_signed")) == 1
    role = renewals.owner_role(arr)
    by_role = _text(row.get("sales_owner")) if role == "account_executive" else None
    begins = None if term is None else renewal_on - timedelta(days=int(term))
    heard = row.get(COLUMN)
    return Renewal(
        renewal_on=renewal_on,
        notice_on=notice_on,
        auto_renew=None if automatic is None else automatic == 1,
        owner=_text(row.get("renewal_owner")) or by_role or _text(row.get("owner")),
        owner_role=role,
        checkpoints=() if signed else _dated(renewals, renewal_on, notice_on, begins, arr, term, as_of),
        begins=begins,
        wanted=renewals.file.checkpoints,
        heard=heard if isinstance(heard, Mapping) else {},
    )


def _dated(
    renewals: Renewals,
    renewal_on: date,
    notice_on: date | None,
    begins: date | None,
    arr: float | None,
    term: float | None,
    as_of: date,
) -> tuple[DatedCheckpoint, ...]:
    decides = notice_on or renewal_on
    falls: dict[int, date] = {}
    for checkpoint in CHECKPOINTS:
        window = renewals.widened(checkpoint, arr, term)
        if window is not None:
            counted_from = renewal_on if checkpoint == CHECKPOINTS[0] else decides
            falls[checkpoint] = counted_from - timedelta(days=window)
    first, second = CHECKPOINTS[:2]
    if first in falls and second in falls:
        falls[first] = min(falls[first], falls[second] - FIRST_BEFORE_SECOND)
    kept = [(checkpoint, day) for checkpoint, day in falls.items() if begins is None or day >= begins]
    reached = [checkpoint for checkpoint, day in kept if day <= as_of]
    return tuple(
        DatedCheckpoint(
            checkpoint,
            day,
            "ahead" if day > as_of else "now" if checkpoint == reached[-1] else "past",
        )
        for checkpoint, day in kept
    )


def load_renewals(workspace: Workspace, features: Collection[str], team: Team) -> Renewals:
    """Load serving/renewals.toml and check it against `features`, all that are defined, and the team.

    Raises: ConfigError or ConditionError with file, key and the nearest right name.
    """
    return check_renewals(workspace.load("serving", "renewals.toml", RenewalsFile), features, team)


def check_renewals(file: RenewalsFile, features: Collection[str], team: Team) -> Renewals:
    """Check the features and roles that renewals.toml names. Raises: ConfigError, ConditionError."""
    for name, checkpoint in file.checkpoints.items():
        steps = [step.id for step in checkpoint.steps]
        check_evidence(checkpoint.evidence, steps, f"{FILE} checkpoints.{name}")
    for level in file.owners:
        for name, checkpoint in file.checkpoints.items():
            where = f"{FILE} checkpoints.{name} of {level.role!r}"
            check_steps([step.owned_by(level.role) for step in checkpoint.steps], team, where)
    check_steps([file.data.step], team, f"{FILE} data.step")
    columns = columns_of_rules(features)
    conditions = {
        name: parse_rule(problem.when, columns, f"{FILE} data.problems.{name}")
        for name, problem in file.data.problems.items()
    }
    return Renewals(file=file, conditions=conditions)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
