"""Who gets a piece of work, and what becomes of it when they have no time left."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from lifecycle_ml.actions.action import HOLD_OUT, Action, Status, is_review
from lifecycle_ml.actions.needs import Need
from lifecycle_ml.actions.rulebook import WEEK
from lifecycle_ml.actions.steps import Step
from lifecycle_ml.actions.team import Team

Given = tuple[str, Status]
UPKEEP: Final = ("renewal_data", "stage")
_ROUNDING = 1e-9


class Desk:
    """Knows the hours everybody has left. Open and sleeping work counts against its owner until done.

    A review that sleeps is none yet: most accounts recover before it wakes. Nor is work beyond capacity that
    somebody put off: it was never in anybody's week. Who does work of several roles and is listed in none has
    the hours of the role with the fewest.
    """

    def __init__(self, team: Team, kept: Sequence[Action], ended: Sequence[Action], now: datetime) -> None:
        self._team = team
        self._hours: dict[tuple[str, str], float] = {}
        self._fewest: dict[str, float] = {}
        self._load: dict[str, float] = defaultdict(float)
        self._upkeep: dict[str, float] = defaultdict(float)
        for action in kept:
            if action.owner is not None and (action.status == "open" or _sleeps_as_work(action)):
                self._load[action.owner] += action.hours
                self._upkeep[action.owner] += action.hours if action.kind in UPKEEP else 0.0
                self._fewest[action.owner] = self._week(action.owner_role, action.owner)
        self._expansion = Counter(
            action.owner
            for action in (*kept, *ended)
            if action.kind == "trigger"
            and action.step != HOLD_OUT
            and action.opened_at > now - WEEK
            and action.owner is not None
        )

    def wake(self, action: Action) -> Status:
        """Return the status a sleeping action wakes to: open, if its owner has the hours for everything."""
        if action.owner is not None and not _sleeps_as_work(action):
            self._load[action.owner] += action.hours
        if action.owner is None or self._free(action.owner_role, action.owner) >= -_ROUNDING:
            return "open"
        self._load[action.owner] -= action.hours
        return "over_capacity"

    def give(self, need: Need, steps: Sequence[tuple[Step, str | None]]) -> list[Given] | None:
        """Return owner and status for each step with the person named for it; None: not now.

        Work that cannot wait is always given: beyond its owner's hours it goes to the role's lead as
        `over_capacity`. Work that can wait is given all or none, within its share of the owners' hours;
        upkeep has some hours to itself, which nothing else takes, for else a busy desk would never get to
        it; expansion tasks are given only as many a week as the budget allows.
        """
        given: list[Given] = []
        for step, named in steps:
            found = self._owner(need, step, named)
            if found is None:
                for (step_before, _), (owner_before, _) in zip(steps, given, strict=False):
                    self._take(need, step_before, owner_before, -1)
                return None
            role, owner = found
            if not need.waits and step.hours > self._free_for_keeping(role, owner) + _ROUNDING:
                given.append((self._team.lead(step.owner_role)[1], "over_capacity"))
                continue
            self._take(need, step, owner, 1)
            given.append((owner, "open"))
        return given

    def take_back(self, need: Need, steps: Sequence[tuple[Step, str | None]], given: Sequence[Given]) -> None:
        """Return the hours of what `give` gave out a moment ago: the account is held out."""
        for (step, _), (owner, status) in zip(steps, given, strict=True):
            if status == "open":
                self._take(need, step, owner, -1)

    def _owner(self, need: Need, step: Step, named: str | None) -> tuple[str, str] | None:
        """Return the role whose hours count and the person who does a step; None: nobody can now."""
        role = step.owner_role
        people = [named] if named else [person.name for person in self._team.roles[role].people]
        if not people:
            role, lead = self._team.lead(role)
            people = [lead]
        if need.waits:
            people = [person for person in people if self._may(need, step, role, person)]
        return (role, max(people, key=lambda person: self._free(role, person))) if people else None

    def _may(self, need: Need, step: Step, role: str, owner: str) -> bool:
        budgets, hours = self._team.budgets, self._week(role, owner)
        beside = self._load[owner] + step.hours <= hours * budgets.share_that_can_wait + _ROUNDING
        own = need.kind in UPKEEP and self._upkeep[owner] + step.hours <= self._kept(hours) + _ROUNDING
        if not (beside or own) or step.hours > self._free(role, owner) + _ROUNDING:
            return False
        return need.kind != "trigger" or self._expansion[owner] < budgets.expansion_tasks_a_week

    def _take(self, need: Need, step: Step, owner: str, times: int) -> None:
        self._load[owner] += times * step.hours
        self._fewest[owner] = self._week(step.owner_role, owner)
        self._upkeep[owner] += times * step.hours if need.kind in UPKEEP else 0.0
        if need.kind == "trigger":
            self._expansion[owner] += times

    def _kept(self, hours: float) -> float:
        return hours * self._team.budgets.share_for_upkeep

    def _free_for_keeping(self, role: str, person: str) -> float:
        """Return the hours left for work that cannot wait: those kept for upkeep are not among them."""
        unused = max(0.0, self._kept(self._week(role, person)) - self._upkeep[person])
        return self._free(role, person) - unused

    def _free(self, role: str, person: str) -> float:
        return self._week(role, person) - self._load[person]

    def _week(self, role: str, person: str) -> float:
        """Return the hours a week somebody has; looked up once, for it is asked of every step."""
        key = (role, person)
        if key not in self._hours:
            self._hours[key] = self._team.hours(role, person)
        return min(self._hours[key], self._fewest.get(person, self._hours[key]))


def _sleeps_as_work(action: Action) -> bool:
    beside = action.beyond_capacity or is_review(action.kind, action.step)
    return action.status == "snoozed" and not beside
