"""serving/team.toml: who holds which role, how many hours they have, and who is told when work slips."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from pydantic import Field, model_validator

from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.workspace import Strict, Workspace

FILE: Final = "serving/team.toml"

ROLES: Final = (
    "csm",
    "account_executive",
    "cs_lead",
    "vp_cs",
    "product",
    "product_marketing",
    "finance",
    "operations",
)


class Person(Strict):
    """Somebody who holds a role; their own hours, where they differ from the role's."""

    name: str = Field(min_length=1)
    hours_a_week: float | None = Field(default=None, ge=0)


class Role(Strict):
    """One role: its people, the hours a week each has for actions, and the role above it."""

    people: tuple[Person, ...] = ()
    hours_a_week: float = Field(ge=0)
    escalates_to: str | None = None


class ArrLevel(Strict):
    """From this ARR on, at least this role is told first."""

    arr_from: float = Field(ge=0)
    role: str


class Budgets(Strict):
    """How much work that can wait one person is given, so that accounts at risk find somebody with time."""

    expansion_tasks_a_week: int = Field(default=3, ge=0)
    """Expansion tasks opened for one owner in any seven days."""
    share_that_can_wait: float = Field(default=0.4, ge=0, le=1)
    """Share of an owner's hours that expansion, upkeep of renewal data and stage tasks may take together."""
    share_for_upkeep: float = Field(default=0.0, ge=0, le=0.5)
    """Share of an owner's hours kept for renewal data and stage tasks; nothing else is given it."""


class HoldOuts(Strict):
    """Who is strategic, and so is never held out to measure the effect of a playbook."""

    strategic_from: float | None = Field(default=None, ge=0)
    """ARR from which an account is strategic; default the lowest level of [[escalation]]."""
    strategic_segments: tuple[str, ...] = ()


class Team(Strict):
    """serving/team.toml. Every role used exists, no chain of escalation runs in a circle, and each ends with
    a person, so that every action has an owner. Customer success managers are named by accounts.csm_owner.
    """

    roles: Mapping[str, Role]
    escalation: tuple[ArrLevel, ...] = ()
    budgets: Budgets = Budgets()
    hold_outs: HoldOuts = HoldOuts()

    @model_validator(mode="after")
    def _chains_end_with_a_person(self) -> Team:
        for name in self.roles:
            _require_role(name, ROLES, "roles")
        for name, role in self.roles.items():
            if role.escalates_to is not None:
                _require_role(role.escalates_to, self.roles, f"roles.{name}.escalates_to")
        for level in self.escalation:
            _require_role(level.role, self.roles, "escalation")
        for name in self.roles:
            seen = [name]
            while (above := self.roles[seen[-1]].escalates_to) is not None:
                if above in seen:
                    circle = " -> ".join([*seen[seen.index(above) :], above])
                    raise ConfigError(f"{FILE}: escalation runs in a circle: {circle}.")
                seen.append(above)
            if not self.roles[seen[-1]].people:
                raise ConfigError(
                    f"{FILE}: role {seen[-1]!r} ends a chain of escalation, so it needs a person in people."
                )
        return self

    @property
    def strategic_from(self) -> float | None:
        """The ARR from which an account is strategic, None where no line is drawn."""
        lowest = min((level.arr_from for level in self.escalation), default=None)
        return lowest if self.hold_outs.strategic_from is None else self.hold_outs.strategic_from

    def chain(self, role: str) -> tuple[str, ...]:
        """Return the roles above `role`, nearest first."""
        above = []
        while (following := self.roles[role].escalates_to) is not None:
            above.append(following)
            role = following
        return tuple(above)

    def lead(self, role: str) -> tuple[str, str]:
        """Return role and person that work of `role` goes to when its own people cannot take it."""
        for name in (*self.chain(role), role):
            if self.roles[name].people:
                return name, self.roles[name].people[0].name
        raise AssertionError("a chain of escalation without people passed the check")

    def hours(self, role: str, person: str) -> float:
        """Return the hours a week `person` has for actions, in `role` or whichever role lists them.

        People nobody lists have the hours of `role`.
        """
        for name in (role, *self.roles):
            for known in self.roles[name].people:
                if known.name == person:
                    own = known.hours_a_week
                    return self.roles[name].hours_a_week if own is None else own
        return self.roles[role].hours_a_week

    def first_told(self, role: str, arr: float) -> str:
        """Return the role told first when work slips: `role`, or one above it that the ARR calls for."""
        above = self.chain(role)
        called = [level.role for level in self.escalation if arr >= level.arr_from and level.role in above]
        return max(called, key=above.index, default=role)


def load_team(workspace: Workspace) -> Team:
    """Load serving/team.toml. Raises: ConfigError with file, key and the nearest right name."""
    return workspace.load("serving", "team.toml", Team)


def _require_role(name: str, known: Collection[str], where: str) -> None:
    if name not in known:
        raise ConfigError(f"{FILE}: {where}: no role {name!r}.{did_you_mean(name, known)}")
