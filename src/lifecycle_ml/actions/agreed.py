"""serving/motion.toml: what a company agrees on that no other file says."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, field_validator

from lifecycle_ml.actions.team import Team
from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.workspace import Strict, Workspace

FILE: Final = "serving/motion.toml"
RECEIVERS: Final = ("sales", "marketing", "product", "finance")
TITLES: Final = {
    "onboarding_start": "Onboarding start criteria",
    "hand_off": "Required hand-off information",
    "activation": "Activation milestones",
    "usage_signals": "Product usage signals",
    "health_inputs": "Health score inputs",
    "renewal_ownership": "Renewal ownership",
    "expansion_triggers": "Expansion trigger logic",
    "churn_categories": "Churn risk categories",
    "escalation": "Executive escalation paths",
    "feedback_loops": "Feedback loops",
}
"""The ten parts, in the order a customer meets them."""


class HandOff(Strict):
    """What sales hands over before onboarding starts."""

    required_fields: tuple[str, ...] = Field(min_length=1)


class Activation(Strict):
    """The milestones of which one counts as activation, and the days after the start it should take."""

    milestones: tuple[str, ...] = Field(min_length=1)
    within_days: int = Field(ge=1, le=730)


class Hearing(Strict):
    """Who hears what retention teaches a part of the company, and every how many days."""

    receiver: Literal["sales", "marketing", "product", "finance"]
    role: str
    every_days: int = Field(ge=1, le=366)


class MotionFile(Strict):
    """serving/motion.toml as written. What it leaves out is not agreed on, and `check motion` says so."""

    owners: dict[str, str] = Field(default_factory=dict)
    hand_off: HandOff | None = None
    activation: Activation | None = None
    feedback_loops: tuple[Hearing, ...] = ()

    @field_validator("owners")
    @classmethod
    def _known_parts(cls, owners: dict[str, str]) -> dict[str, str]:
        for name in owners:
            if name not in TITLES:
                raise ConfigError(f"{FILE} owners: no part {name!r}.{did_you_mean(name, TITLES)}")
        return owners


def load_motion_file(workspace: Workspace, team: Team) -> MotionFile:
    """Load serving/motion.toml and check it against the team.

    Raises: ConfigError with file, key and the nearest right name.
    """
    file = workspace.load("serving", "motion.toml", MotionFile)
    named = {f"owners.{part}": role for part, role in file.owners.items()}
    named |= {f"feedback_loops, {one.receiver}": one.role for one in file.feedback_loops}
    for where, role in named.items():
        if role not in team.roles:
            raise ConfigError(f"{FILE} {where}: no role {role!r}.{did_you_mean(role, team.roles)}")
    return file
