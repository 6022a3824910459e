"""One step of any plan of work, whatever calls for it: a playbook, a checkpoint, a trigger or a stage."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import Field

from lifecycle_ml.actions.team import Team
from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.workspace import Strict


class Step(Strict):
    """One thing one person does: a title they can act on, and what happens when it slips."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str = Field(min_length=8)
    owner_role: str
    sla_days: int = Field(ge=1)
    hours: float = Field(gt=0)
    escalates_after_days: int = Field(ge=1)
    escalates_to: str | None = None
    """Default: the role above the owner's in team.toml."""


def check_steps(steps: Collection[Step], team: Team, where: str) -> None:
    """Raise ConfigError for a step that occurs twice, a role nobody knows, or an escalation without end."""
    ids = [step.id for step in steps]
    for step in steps:
        if ids.count(step.id) > 1:
            raise ConfigError(
                f"{where}: step {step.id!r} occurs twice; ids of steps make the ids of actions."
            )
        _check_roles(step, team, f"{where} step {step.id!r}")


def require_role(role: str, team: Team, where: str) -> None:
    """Raise ConfigError, naming the nearest right one, for a role that team.toml does not have."""
    if role not in team.roles:
        raise ConfigError(f"{where}: no role {role!r} in serving/team.toml.{did_you_mean(role, team.roles)}")


def _check_roles(step: Step, team: Team, where: str) -> None:
    require_role(step.owner_role, team, where)
    if step.escalates_to is not None:
        require_role(step.escalates_to, team, where)
    if step.escalates_to is None and team.roles[step.owner_role].escalates_to is None:
        raise ConfigError(f"{where}: nobody stands above {step.owner_role!r}; name escalates_to.")
    told = step.escalates_to
    if told is not None and step.owner_role in (told, *team.chain(told)):
        raise ConfigError(
            f"{where}: escalation runs in a circle: {told!r} leads back to {step.owner_role!r}, who is late."
        )
