"""serving/playbooks.toml: what happens at yellow and at red, for each reason and for `unknown`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from pydantic import Field, field_validator, model_validator

from lifecycle_ml.actions.action import is_review
from lifecycle_ml.actions.hold_out import MOST, check_hold_out
from lifecycle_ml.actions.steps import Step, check_steps
from lifecycle_ml.actions.team import Team
from lifecycle_ml.actions.templates import check_fields
from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.health.levers import TARGET
from lifecycle_ml.health.predicate import Predicate, require_known
from lifecycle_ml.health.scored import SCORED_COLUMNS, columns_of_rules
from lifecycle_ml.tables.schema import CATEGORIES
from lifecycle_ml.workspace import Strict, Workspace

FILE: Final = "serving/playbooks.toml"
UNKNOWN: Final = "unknown"
REASONS: Final = (*CATEGORIES, UNKNOWN)
COLORS: Final = ("red", "yellow")
WHY_FIELDS: Final = ("name", "color", "reason", "evidence", "because")
NO_UNITS: Final[Mapping[str, str]] = MappingProxyType({})
REVIEW_FIELDS: Final = ("name", "color", "since", "reason", "criteria", "done")


class Review(Strict):
    """What follows where all steps of a playbook ended and the account did not recover."""

    after_days: int = Field(default=14, ge=1)
    """Days the evidence is given, from the run that finds every step ended, until somebody decides."""
    repeat_days: int = Field(default=28, ge=1)
    """Days until the next review of an account that is still not back after one."""
    title: str = Field(default="Decide how to go on: the plan is done, the account is not back", min_length=8)
    why: str = (
        "{name} is still {color} since {since}: {reason}. {criteria} {done} Decide: try another step, "
        "escalate, or accept the loss, and write down which."
    )
    sla_days: int = Field(default=5, ge=1)
    hours: float = Field(default=0.5, gt=0)
    escalates_after_days: int = Field(default=3, ge=1)

    @field_validator("why")
    @classmethod
    def _known_fields(cls, value: str) -> str:
        return check_fields(value, REVIEW_FIELDS)


class LeverSection(Strict):
    """One thing a team can move: a feature, the words for a change of it, and the steps that do it."""

    feature: str
    says: str
    """The change in words, with {target} or {now}, mostly both."""
    steps: tuple[str, ...] = Field(min_length=1)
    """Steps that do it, as reason.colour.step; an account's own playbook goes first, then their order."""
    along: Mapping[str, str] = Field(default_factory=dict)
    """Features that rest on the same fact, with their new value: calculated from `target` and the row."""
    needs: str | None = None
    """A feature that must be above zero today."""
    most: float | None = Field(default=None, ge=0)
    """The largest value it may move to."""

    @field_validator("says")
    @classmethod
    def _known_fields(cls, value: str) -> str:
        if "{target}" not in value and "{now}" not in value:
            raise ValueError("the words for a change need a number: {target}, {now} or both")
        return check_fields(value, (TARGET, "now"))


class Playbook(Strict):
    """What happens at one colour for one reason, and the evidence that ends it."""

    title: str
    why: str
    keeps: float = Field(gt=0, le=1)
    """Share of the ARR at risk this work is expected to keep: an assumption until effects are measured."""
    hold_out: float = Field(default=0.0, ge=0, le=MOST)
    """Share of the accounts it calls for that are left alone to measure its effect; only at yellow."""
    steps: tuple[Step, ...] = Field(min_length=1, max_length=5)
    recovers_when: tuple[Predicate, ...] = Field(min_length=1)
    review: bool | None = None
    """Whether an account that did not recover is reviewed; default: at red."""

    @field_validator("why")
    @classmethod
    def _known_fields(cls, value: str) -> str:
        return check_fields(value, WHY_FIELDS)

    @property
    def hours(self) -> float:
        """Hours all steps take together."""
        return sum(step.hours for step in self.steps)


class PlaybooksFile(Strict):
    """serving/playbooks.toml as written: playbooks by reason, then colour."""

    cool_down_days: int = Field(ge=0)
    review: Review = Review()
    growing_and_at_risk: str = ""
    """Said in addition where expansion is likely too: both at once are a conversation of its own."""
    playbooks: Mapping[str, Mapping[str, Playbook]]
    levers: Mapping[str, LeverSection] = Field(default_factory=dict)
    """What a team can move; without any, no account is told what would help."""

    @field_validator("growing_and_at_risk")
    @classmethod
    def _known_fields(cls, value: str) -> str:
        return check_fields(value, WHY_FIELDS)

    @model_validator(mode="after")
    def _every_reason_and_color(self) -> PlaybooksFile:
        for reason, by_color in self.playbooks.items():
            if reason not in REASONS:
                raise ConfigError(f"{FILE}: no reason {reason!r}.{did_you_mean(reason, REASONS)}")
            for color in by_color:
                if color not in COLORS:
                    raise ConfigError(
                        f"{FILE} playbooks.{reason}: no colour {color!r}.{did_you_mean(color, COLORS)}"
                    )
        missing = [
            f"{reason}.{color}"
            for reason in REASONS
            for color in COLORS
            if color not in self.playbooks.get(reason, {})
        ]
        if missing:
            raise ConfigError(
                f"{FILE}: no playbook for {', '.join(missing)}; each reason needs red and yellow."
            )
        return self


@dataclass(frozen=True)
class Plan:
    """One playbook with what it answers. Its id is `<reason>_<colour>`."""

    id: str
    reason: str
    color: str
    playbook: Playbook

    @property
    def reviewed(self) -> bool:
        """Whether somebody decides how to go on where all steps ended and the account did not recover."""
        asked = self.playbook.review
        return self.color == "red" if asked is None else asked


@dataclass(frozen=True)
class Playbooks:
    """Checked playbooks: every feature and role they use exists. Build it with `load_playbooks`."""

    file: PlaybooksFile
    by_id: Mapping[str, Plan]

    @property
    def cool_down(self) -> timedelta:
        """Time after an action of a reason ended during which yellow opens no new one for that reason."""
        return timedelta(days=self.file.cool_down_days)

    def choose(self, color: str, reason: str) -> str:
        """Return the id of the playbook for a colour and reason; an unknown reason takes `unknown`'s."""
        return f"{reason if reason in REASONS else UNKNOWN}_{color}"

    def recovers_when(self, color: str, reason: str) -> tuple[Predicate, ...]:
        """Return the criteria of the way back; none for green."""
        if color not in COLORS:
            return ()
        return self.by_id[self.choose(color, reason)].playbook.recovers_when


def load_playbooks(
    workspace: Workspace, features: Collection[str], team: Team, units: Mapping[str, str] = NO_UNITS
) -> Playbooks:
    """Load serving/playbooks.toml and check it against `features`, all that are defined, and the team.

    units: the unit of each feature; a way back asks for whole numbers of what is counted.
    Raises: ConfigError with file, key and the nearest right name.
    """
    file = workspace.load("serving", "playbooks.toml", PlaybooksFile)
    return check_playbooks(file, features, team, units)


def check_playbooks(
    file: PlaybooksFile, features: Collection[str], team: Team, units: Mapping[str, str] = NO_UNITS
) -> Playbooks:
    """Check the features and roles that playbooks name. Raises: ConfigError."""
    numbers = {name for name in columns_of_rules(features) if SCORED_COLUMNS.get(name, "number") == "number"}
    plans = {}
    for reason, by_color in file.playbooks.items():
        for color, playbook in by_color.items():
            where = f"{FILE} playbooks.{reason}.{color}"
            require_known(playbook.recovers_when, numbers, f"{where}.recovers_when")
            check_steps(playbook.steps, team, where)
            _keep_reviews_apart(playbook, where)
            check_hold_out(playbook.hold_out, team, where, color)
            criteria = tuple(
                each.in_unit(units[each.feature]) if each.feature in units else each
                for each in playbook.recovers_when
            )
            counted = playbook.model_copy(update={"recovers_when": criteria})
            plan = Plan(id=f"{reason}_{color}", reason=reason, color=color, playbook=counted)
            plans[plan.id] = plan
    return Playbooks(file=file, by_id=plans)


def _keep_reviews_apart(playbook: Playbook, where: str) -> None:
    for step in playbook.steps:
        if is_review("playbook", step.id):
            raise ConfigError(
                f"{where}: step {step.id!r} has the name of a review, which follows all steps by itself "
                "([review] of the file); call it something else."
            )
