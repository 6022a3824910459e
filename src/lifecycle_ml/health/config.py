"""serving/health.toml: where the colours turn, which facts turn them alone, and the ten health inputs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from lifecycle_ml.conditions.parse import Condition
from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.health.scored import columns_of_rules, parse_rule
from lifecycle_ml.tables.schema import CATEGORIES
from lifecycle_ml.workspace import Strict, Workspace, each_of

FILE = "serving/health.toml"

INPUTS = (
    "usage_against_own_pattern",
    "stakeholder_engagement",
    "support_severity_and_volume",
    "onboarding_milestones",
    "business_reviews",
    "renewal_proximity",
    "payment_issues",
    "contract_utilisation",
    "expansion_potential",
    "executive_sponsor",
)
"""The ten health inputs, in the order they are served."""


class Limit(Strict):
    """Where a colour is entered and, lower, where it is left again."""

    enter: float = Field(gt=0)
    exit: float = Field(gt=0)

    @model_validator(mode="after")
    def _exit_below_enter(self) -> Limit:
        if self.exit >= self.enter:
            raise ValueError("exit must lie below enter, else colours flap")
        return self


class Turn(NamedTuple):
    """A limit as probabilities of the headline horizon."""

    enter: float
    exit: float


class ColorLimits(Strict):
    """Where red and yellow are entered and left."""

    red: Limit
    yellow: Limit

    @model_validator(mode="after")
    def _in_order(self) -> ColorLimits:
        if self.yellow.enter >= self.red.enter or self.yellow.exit >= self.red.exit:
            raise ValueError("yellow must be entered and left below red")
        return self


class Limits(ColorLimits):
    """Limits of risk, as multiples of the recipe's base rate or as probabilities."""

    unit: Literal["times_base_rate", "probability"]
    segments: Mapping[str, ColorLimits] = Field(default_factory=dict)
    """Limits of their own for accounts of a segment, named as accounts.segment names it; same unit."""

    @model_validator(mode="after")
    def _probabilities_below_one(self) -> Limits:
        every = (self, *self.segments.values())
        if self.unit == "probability" and any(limits.red.enter >= 1 for limits in every):
            raise ValueError("a limit with unit probability lies below 1")
        return self

    def of(self, segment: str | None) -> ColorLimits:
        """Return the limits for accounts of a segment: its own, or those of all."""
        return self if segment is None else self.segments.get(segment, self)


class Fact(Strict):
    """A condition that turns the colour at once, whatever the model says, and holds it while it is true."""

    when: str
    color: Literal["yellow", "red"]
    says: str
    category: str | None = None

    @field_validator("category")
    @classmethod
    def _known_category(cls, value: str | None) -> str | None:
        if value is not None and value not in CATEGORIES:
            raise ValueError(f"no such category.{did_you_mean(value, CATEGORIES)}")
        return value


class Input(Strict):
    """One health input: a feature, and from which value it is good or poor; between them it is watched.

    Without `poor` the input is never poor. A change within `steady_within` of the feature's unit counts as
    steady; `trend = false` for what moves by the calendar alone.
    """

    feature: str
    better: Literal["higher", "lower"]
    good: float
    poor: float | None = None
    steady_within: float = Field(ge=0)
    trend: bool = True

    @model_validator(mode="after")
    def _good_beyond_poor(self) -> Input:
        if self.poor is not None and (self.good > self.poor) != (self.better == "higher"):
            raise ValueError(f"better is {self.better!r}, so good must lie beyond poor in that direction")
        return self


class HealthFile(Strict):
    """serving/health.toml as written."""

    min_days: int = Field(ge=0)
    trend_days: int = Field(ge=2)
    limits: Limits
    facts: dict[str, Fact] = Field(default_factory=dict)
    inputs: dict[str, Input]

    @field_validator("inputs")
    @classmethod
    def _all_ten(cls, value: dict[str, Input]) -> dict[str, Input]:
        return each_of(value, INPUTS, f"{FILE}: no health input", f"{FILE}: health inputs")


@dataclass(frozen=True)
class HealthConfig:
    """A checked health.toml: every name it uses exists. Build it with `load_health`."""

    file: HealthFile
    conditions: Mapping[str, Condition]
    """The condition of each fact, by fact."""

    @property
    def min_days(self) -> int:
        """Days that must lie between two publications before risk alone turns a colour."""
        return self.file.min_days

    @property
    def facts(self) -> Mapping[str, Fact]:
        """Facts by name."""
        return self.file.facts

    @property
    def inputs(self) -> Mapping[str, Input]:
        """The ten health inputs by name, in their order."""
        return self.file.inputs

    def limit(self, color: Literal["yellow", "red"], base_rate: float, segment: str | None = None) -> Turn:
        """Return the limits of `color` as probabilities, given the base rate of the recipe's population.

        `segment` is the account's; one without limits of its own, or none, has those of all.
        m times a large base rate would lie beyond 1. There the chance of *staying* is divided by m instead,
        whichever is lower, so that a limit always leaves room above it. Where nobody has ever churned no
        limit means anything, and none is ever reached.
        """
        limit: Limit = getattr(self.file.limits.of(segment), color)
        if self.file.limits.unit == "probability":
            return Turn(limit.enter, limit.exit)
        if not base_rate > 0:
            return Turn(math.inf, math.inf)
        return Turn(_times_base_rate(limit.enter, base_rate), _times_base_rate(limit.exit, base_rate))

    def unavailable(self, columns: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return facts and inputs that `columns` cannot feed, each with the features it lacks.

        They are left out (a fact) or unknown (an input); a company without a support tool still gets colours.
        """
        needs = {f"facts.{name}": condition.columns for name, condition in self.conditions.items()}
        needs |= {f"inputs.{name}": (entry.feature,) for name, entry in self.inputs.items()}
        lacking = {
            name: tuple(column for column in wanted if column not in columns)
            for name, wanted in needs.items()
        }
        return {name: missing for name, missing in lacking.items() if missing}


def _times_base_rate(multiple: float, base_rate: float) -> float:
    limit = multiple * base_rate
    if multiple > 1:
        limit = min(limit, 1 - (1 - base_rate) / multiple)
    # 3 x 0.1 is a little more than 0.3 in binary; a risk of exactly 0.3 has reached the limit.
    return round(limit, 12)


def load_health(workspace: Workspace, features: Collection[str]) -> HealthConfig:
    """Load serving/health.toml and check every name against `features`, all that are defined.

    Whether a company has the tables behind a feature is another question, asked of the scored table each
    night. Raises: ConfigError or ConditionError with file, key and the nearest right name.
    """
    return check_health(workspace.load("serving", "health.toml", HealthFile), features)


def check_health(file: HealthFile, features: Collection[str]) -> HealthConfig:
    """Check the names a health file uses. Raises: ConfigError, ConditionError."""
    columns = columns_of_rules(features)
    conditions = {
        name: parse_rule(fact.when, columns, f"{FILE} facts.{name}") for name, fact in file.facts.items()
    }
    for name, fact_condition in conditions.items():
        # The colour comes from the facts, so a fact that reads it would decide about itself.
        if "health" in fact_condition.columns:
            raise ConfigError(f"{FILE} facts.{name}: a fact cannot rest on health, which rests on facts.")
    for name, entry in file.inputs.items():
        if entry.feature not in columns:
            raise ConfigError(
                f"{FILE} inputs.{name}: no feature {entry.feature!r}.{did_you_mean(entry.feature, columns)}"
            )
    return HealthConfig(file=file, conditions=conditions)
