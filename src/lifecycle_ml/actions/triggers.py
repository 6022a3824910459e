"""serving/triggers.toml: the signs that an account could grow, who follows them up, and when nobody does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from lifecycle_ml.actions.hold_out import MOST, check_hold_out
from lifecycle_ml.actions.steps import Step, check_steps, require_role
from lifecycle_ml.actions.team import Team
from lifecycle_ml.actions.templates import check_template, fill_features, sentence
from lifecycle_ml.conditions.evaluate import evaluate
from lifecycle_ml.conditions.parse import Condition
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.health.scored import columns_of_rules, parse_rule
from lifecycle_ml.workspace import Strict, Workspace

FILE: Final = "serving/triggers.toml"
TRIGGERS: Final = (
    "usage_near_limit",
    "several_teams",
    "new_department",
    "advanced_feature",
    "premium_capability_request",
    "hiring_related",
    "new_initiative",
    "broader_need",
)
"""The triggers of the standard workspace; a company may add its own and leave some out."""
PREFIX: Final = "trigger_"
"""Actions of a trigger name it in `playbook` with this before it."""

Path = Literal["task", "score_only"]


class Sign(Strict):
    """One way to see a trigger: a condition, and the sentence that says what was seen."""

    when: str
    says: str = Field(min_length=8)


class Trigger(Strict):
    """One sign of growth: how it is seen, who owns it, and the task it opens (`path = "task"`) or not.

    `adds` is the share of the account's ARR the work is expected to add: an assumption, used to order work.
    """

    label: str
    when: str
    says: str = Field(min_length=8)
    also: tuple[Sign, ...] = ()
    """Other ways to see the same trigger; the first that is true speaks."""
    owner_role: str
    path: Path
    why: str = ""
    adds: float = Field(default=0.05, gt=0, le=1)
    hold_out: float = Field(default=0.0, ge=0, le=MOST)
    steps: tuple[Step, ...] = Field(default=(), max_length=3)

    @model_validator(mode="after")
    def _tasks_have_steps(self) -> Trigger:
        if (self.path == "task") != bool(self.steps):
            raise ValueError('path "task" needs steps, and "score_only" has none')
        if self.hold_out and self.path != "task":
            raise ValueError('hold_out needs path "task": without a task nobody is offered anything')
        return self

    @property
    def signs(self) -> tuple[Sign, ...]:
        """Every way to see it, first the one of `when`."""
        return (Sign(when=self.when, says=self.says), *self.also)

    @property
    def hours(self) -> float:
        """Hours all steps take together."""
        return sum(step.hours for step in self.steps)


class TriggersFile(Strict):
    """serving/triggers.toml as written."""

    cool_down_days: int = Field(ge=1)
    triggers: Mapping[str, Trigger] = Field(default_factory=dict)


@dataclass(frozen=True)
class Triggers:
    """Checked triggers: every feature and role they use exists. Build it with `load_triggers`."""

    file: TriggersFile
    conditions: Mapping[str, Condition]
    """The condition of each sign, by `<trigger>.<number of the sign>`."""

    @property
    def by_id(self) -> Mapping[str, Trigger]:
        """Triggers by name."""
        return self.file.triggers

    @property
    def cool_down(self) -> timedelta:
        """Time after a task was opened during which its trigger opens no other for the same account."""
        return timedelta(days=self.file.cool_down_days)

    def unavailable(self, columns: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return triggers that cannot be seen in any way with `columns`, each with the features it lacks."""
        lacking: dict[str, tuple[str, ...]] = {}
        for name in self.by_id:
            missing = [
                tuple(column for column in condition.columns if column not in columns)
                for _, condition in self._signs_of(name)
            ]
            if all(missing):
                lacking[f"triggers.{name}"] = tuple(sorted({column for one in missing for column in one}))
        return lacking

    def seeable(self, columns: Collection[str]) -> dict[str, Condition]:
        """Return the conditions of the signs that `columns` can feed."""
        known = frozenset(columns)
        return {key: one for key, one in self.conditions.items() if known.issuperset(one.columns)}

    def _signs_of(self, name: str) -> Iterator[tuple[Sign, Condition]]:
        for at, sign in enumerate(self.by_id[name].signs):
            yield sign, self.conditions[f"{name}.{at}"]


@dataclass(frozen=True)
class Fired:
    """One trigger that fired for one account; `path` says whether it opens a task today."""

    trigger: str
    says: str
    owner_role: str
    path: Path

    def to_json(self) -> dict[str, str]:
        """Return the trigger as a scored account shows it."""
        return {"trigger": self.trigger, "says": self.says, "owner_role": self.owner_role}


def load_triggers(workspace: Workspace, features: Collection[str], team: Team) -> Triggers:
    """Load serving/triggers.toml and check it against `features`, all that are defined, and the team.

    Raises: ConfigError or ConditionError with file, trigger and the nearest right name.
    """
    return check_triggers(workspace.load("serving", "triggers.toml", TriggersFile), features, team)


def check_triggers(file: TriggersFile, features: Collection[str], team: Team) -> Triggers:
    """Check the features and roles that triggers name. Raises: ConfigError, ConditionError."""
    columns = columns_of_rules(features)
    conditions = {}
    for name, trigger in file.triggers.items():
        where = f"{FILE} triggers.{name}"
        if not name.isidentifier():
            raise ConfigError(f"{where}: a trigger's name is one word of letters, digits and underscores.")
        require_role(trigger.owner_role, team, where)
        check_steps(trigger.steps, team, where)
        check_hold_out(trigger.hold_out, team, where)
        for at, sign in enumerate(trigger.signs):
            place = where if at == 0 else f"{where}.also[{at - 1}]"
            condition = parse_rule(sign.when, columns, place)
            check_template(sign.says, condition.columns, f"{place}.says")
            conditions[f"{name}.{at}"] = condition
    return Triggers(file=file, conditions=conditions)


@dataclass(frozen=True)
class Seen:
    """The triggers seen in each row of a scored table, by the place of the row in it.

    `first` tells by trigger which of its signs speaks in each row: the first that is true; -1 where none is
    and where the account is red.
    """

    triggers: Triggers
    scored: pd.DataFrame
    first: Mapping[str, npt.NDArray[np.int64]]

    @cached_property
    def fired(self) -> dict[int, frozenset[str]]:
        """The names of the triggers that fired, by row; rows without any are absent."""
        names: dict[int, list[str]] = {}
        for name, first in self.first.items():
            for at in np.flatnonzero(first >= 0).tolist():
                names.setdefault(at, []).append(name)
        return {at: frozenset(names[at]) for at in sorted(names)}

    @cached_property
    def tasks(self) -> list[tuple[int, str]]:
        """Row and trigger of every task called for, by row and in the order of the file."""
        green = self._green
        order = list(self.first)
        called = [
            (at, number)
            for number, name in enumerate(order)
            if self.triggers.by_id[name].path == "task"
            for at in np.flatnonzero((self.first[name] >= 0) & green).tolist()
        ]
        return [(at, order[number]) for at, number in sorted(called)]

    def says(self, at: int, name: str) -> str:
        """Return what was seen in one row, as a sentence with its values."""
        number = int(self.first[name][at])
        columns = self.triggers.conditions[f"{name}.{number}"].columns
        values = tuple(self._values(column)[at] for column in columns)
        key = (name, number, values)
        if key not in self._said:
            sign = self.triggers.by_id[name].signs[number]
            self._said[key] = sentence(fill_features(sign.says, dict(zip(columns, values, strict=True))))
        return self._said[key]

    def by_account(self) -> dict[str, list[Fired]]:
        """Return the triggers that fired, by account, in the order of the file."""
        green = self._green
        found: dict[int, list[Fired]] = {}
        for name, first in self.first.items():
            trigger = self.triggers.by_id[name]
            for at in np.flatnonzero(first >= 0).tolist():
                path = trigger.path if green[at] else "score_only"
                one = Fired(trigger=name, says=self.says(at, name), owner_role=trigger.owner_role, path=path)
                found.setdefault(at, []).append(one)
        ids = self._values("account_id")
        return {ids[at]: found[at] for at in sorted(found)}

    @cached_property
    def _green(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.scored["health"] == "green", dtype=bool)

    @cached_property
    def _said(self) -> dict[tuple[str, int, tuple[Any, ...]], str]:
        # Many accounts show the same sign with the same values; each sentence is written once.
        return {}

    @cached_property
    def _columns(self) -> dict[str, list[Any]]:
        return {}

    def _values(self, column: str) -> list[Any]:
        if column not in self._columns:
            self._columns[column] = self.scored[column].tolist()
        return self._columns[column]


def see(scored: pd.DataFrame, triggers: Triggers, true: Mapping[str, npt.NDArray[np.bool_]]) -> Seen:
    """Return the triggers seen, given for each sign (`<trigger>.<number>`) the rows it is true in.

    `scored` has `account_id` and `health`. A red account shows none; signs absent from `true` are never true.
    """
    calm = np.asarray(scored["health"] != "red", dtype=bool)
    first = {}
    for name, trigger in triggers.by_id.items():
        speaks = np.full(len(scored), -1)
        for at in reversed(range(len(trigger.signs))):
            if (holds := true.get(f"{name}.{at}")) is not None:
                speaks[holds & calm] = at
        first[name] = speaks
    return Seen(triggers, scored, first)


def fire_triggers(scored: pd.DataFrame, triggers: Triggers) -> dict[str, list[Fired]]:
    """Return the triggers that fired, by account, in the order of the file; accounts without any are absent.

    `scored` is the scored table with `account_id` and `health`. A red account fires none: nobody is sold to
    while they are about to leave. A yellow one shows its triggers, but none opens a task. Signs whose
    features the table lacks are left out; what cannot be told does not fire.
    """
    answers = evaluate(triggers.seeable(scored.columns), scored)
    true = {str(key): answers[key].to_numpy(dtype=bool, na_value=False) for key in answers}
    return see(scored, triggers, true).by_account()
