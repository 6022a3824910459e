"""serving/triggers.toml: the signs that an account could grow, who follows them up, and when nobody does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

import numpy as np
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


def fire_triggers(scored: pd.DataFrame, triggers: Triggers) -> dict[str, list[Fired]]:
    """Return the triggers that fired, by account, in the order of the file; accounts without any are absent.

    `scored` is the scored table with `account_id` and `health`. A red account fires none: nobody is sold to
    while they are about to leave. A yellow one shows its triggers, but none opens a task. Signs whose
    features the table lacks are left out; what cannot be told does not fire.
    """
    conditions = {
        key: condition
        for key, condition in triggers.conditions.items()
        if all(column in scored for column in condition.columns)
    }
    calm = scored[scored["health"] != "red"]
    if calm.empty or not conditions:
        return {}
    true = evaluate(conditions, calm).to_numpy(dtype=bool, na_value=False)
    some = np.flatnonzero(true.any(axis=1))
    calm, true = calm.iloc[some], true[some]
    columns = sorted({column for condition in conditions.values() for column in condition.columns})
    fired: dict[str, list[Fired]] = {}
    for account_id, color, row, answers in zip(
        calm["account_id"], calm["health"], calm[columns].to_dict("records"), true, strict=True
    ):
        holds = dict(zip(conditions, answers, strict=True))
        fired[account_id] = [
            Fired(
                trigger=name,
                says=sentence(fill_features(sign.says, {str(key): value for key, value in row.items()})),
                owner_role=trigger.owner_role,
                path=trigger.path if color == "green" else "score_only",
            )
            for name, trigger in triggers.by_id.items()
            if (sign := _first_true(name, trigger, holds)) is not None
        ]
    return fired


def _first_true(name: str, trigger: Trigger, true: Mapping[str, bool]) -> Sign | None:
    return next((sign for at, sign in enumerate(trigger.signs) if true.get(f"{name}.{at}")), None)
