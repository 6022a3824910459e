"""serving/stages.toml: where an account stands in its life with us, and what each stage asks for.

An account stays in its stage until the stage's exit is true. Then, and when it is first seen, it takes the
first stage of the file that it may enter; where there is none it takes the last, which is therefore always
open. A condition that cannot be told neither lets an account in nor out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pandas as pd
from pydantic import Field, field_validator, model_validator

from lifecycle_ml.actions.steps import Step, check_steps
from lifecycle_ml.actions.team import Team
from lifecycle_ml.actions.templates import check_fields, fill_fields
from lifecycle_ml.conditions.evaluate import evaluate
from lifecycle_ml.conditions.parse import Condition
from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.health.scored import columns_of_rules, parse_rule
from lifecycle_ml.workspace import Strict, Workspace

FILE: Final = "serving/stages.toml"
STAGES: Final = ("hand_off", "onboarding", "renewal", "growth", "adoption")
"""In the order in which an account takes them; the last one takes everybody else."""
PREFIX: Final = "stage_"
WHY_FIELDS: Final = ("name", "stage", "standing", "missing", "unmet")
LACKS_FIELDS: Final = ("missing",)
START: Final = "onboarding_start"
"""The column of the scored table that says what is true of what must be before onboarding starts."""
STARTING: Final = ("hand_off", "onboarding")
"""The stages in which anybody asks what onboarding still waits for."""


class Task(Strict):
    """Work a stage asks for while its condition holds."""

    when: str
    why: str
    keeps: float = Field(gt=0, le=1)
    steps: tuple[Step, ...] = Field(min_length=1, max_length=3)

    @field_validator("why")
    @classmethod
    def _known_fields(cls, value: str) -> str:
        return check_fields(value, WHY_FIELDS)

    @property
    def hours(self) -> float:
        """Hours all steps take together."""
        return sum(step.hours for step in self.steps)


class Stage(Strict):
    """One stage: how an account gets in and out, and the tasks it asks for."""

    label: str
    enters: str
    exits: str
    tasks: Mapping[str, Task] = Field(default_factory=dict)


class StartCriterion(Strict):
    """One thing that must be true before onboarding starts, and what to say where it is not."""

    label: str = Field(min_length=5)
    when: str
    lacks: str = Field(min_length=8)

    @field_validator("lacks")
    @classmethod
    def _known_fields(cls, value: str) -> str:
        return check_fields(value, LACKS_FIELDS)


class StagesFile(Strict):
    """serving/stages.toml as written."""

    cool_down_days: int = Field(ge=1)
    onboarding_start: Mapping[str, StartCriterion] = Field(default_factory=dict)
    stages: Mapping[str, Stage]

    @model_validator(mode="after")
    def _all_stages(self) -> StagesFile:
        for name in self.stages:
            if name not in STAGES:
                raise ConfigError(f"{FILE}: no stage {name!r}.{did_you_mean(name, STAGES)}")
        missing = [name for name in STAGES if name not in self.stages]
        if missing:
            raise ConfigError(f"{FILE}: stages missing: {', '.join(missing)}.")
        return self


@dataclass(frozen=True)
class Stages:
    """Checked stages: every feature and role they use exists. Build it with `load_stages`."""

    file: StagesFile
    conditions: Mapping[str, Condition]
    """By `<stage>.enters`, `<stage>.exits` and `<stage>.tasks.<task>`."""
    starts: Mapping[str, Condition]
    """The condition of each criterion of the start of onboarding, by criterion."""

    @property
    def cool_down(self) -> timedelta:
        """Time after a task was opened during which it is not opened again for the same account."""
        return timedelta(days=self.file.cool_down_days)

    @property
    def tasks(self) -> dict[str, tuple[str, Task]]:
        """Each task with its stage, by the name its actions carry in `playbook`."""
        return {
            f"{PREFIX}{stage}_{name}": (stage, task)
            for stage in STAGES
            for name, task in self.file.stages[stage].tasks.items()
        }

    def condition_of(self, task: str) -> Condition:
        """Return the condition of a task, by the name its actions carry in `playbook`."""
        stage, _ = self.tasks[task]
        return self.conditions[f"{stage}.tasks.{task.removeprefix(f'{PREFIX}{stage}_')}"]

    def unavailable(self, columns: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return conditions that read features `columns` lack; they are judged as if those were empty."""
        named = {
            **{f"stages.{name}": condition for name, condition in self.conditions.items()},
            **{f"{START}.{name}": condition for name, condition in self.starts.items()},
        }
        lacking = {
            name: tuple(column for column in condition.columns if column not in columns)
            for name, condition in named.items()
        }
        return {name: missing for name, missing in lacking.items() if missing}


def stages_of(scored: pd.DataFrame, prior: Mapping[str, str | None], stages: Stages) -> list[str]:
    """Return the stage of every account of `scored`, in its order; never null.

    `scored` is the scored table (stage aside), `prior` the stage of each account's last reading.
    """
    keys = [f"{stage}.{way}" for stage in STAGES for way in ("enters", "exits")]
    answers = judge(scored, {key: stages.conditions[key] for key in keys})
    true = {key: answers[key].to_numpy(dtype=bool, na_value=False) for key in keys}
    found = []
    for at, account_id in enumerate(scored["account_id"]):
        before = prior.get(account_id)
        if before in STAGES and not true[f"{before}.exits"][at]:
            found.append(before)
            continue
        # What an account has just left it does not enter again the same day.
        open_to = (stage for stage in STAGES[:-1] if stage != before and true[f"{stage}.enters"][at])
        found.append(next(open_to, STAGES[-1]))
    return found


def starts_of(scored: pd.DataFrame, stages: Stages) -> list[list[dict[str, Any]] | None]:
    """Return what must be true before onboarding starts, and whether it is, for every account of `scored`.

    In its order; None where the stage (a column of `scored`) is neither hand-off nor onboarding. `met` is
    None where it cannot be told; `says` is what to say where it is not met, else None.
    """
    found: list[list[dict[str, Any]] | None] = [None] * len(scored)
    here = scored["stage"].isin(STARTING).to_numpy(dtype=bool)
    asked = scored[here]
    if asked.empty or not stages.starts:
        return found
    answers = judge(asked, stages.starts)
    missing = asked["handoff_missing"].tolist() if "handoff_missing" in asked else [None] * len(asked)
    told = {name: [None if pd.isna(met) else bool(met) for met in answers[name]] for name in stages.starts}
    for row, at in enumerate(here.nonzero()[0]):
        found[at] = [
            _start(name, criterion, told[name][row], missing[row])
            for name, criterion in stages.file.onboarding_start.items()
        ]
    return found


def _start(name: str, criterion: StartCriterion, met: bool | None, missing: Any) -> dict[str, Any]:
    says = None if met is not False else fill_fields(criterion.lacks, {"missing": missing_fields(missing)})
    return {"criterion": name, "label": criterion.label, "met": met, "says": says}


def unmet(starts: Any) -> str:
    """Say what onboarding waits for, as `starts_of` found it; nothing where all is met or cannot be told."""
    return " ".join(one["says"] for one in starts if one["says"]) if isinstance(starts, list) else ""


def missing_fields(names: Any) -> str:
    """Say which hand-off fields sales left empty; nothing where their names are not known."""
    return f"Missing: {names}." if isinstance(names, str) and names else ""


def judge(scored: pd.DataFrame, conditions: Mapping[str, Condition]) -> pd.DataFrame:
    """Judge conditions over the scored table; columns it lacks count as empty: nothing is known of them."""
    lacking = {column for condition in conditions.values() for column in condition.columns}.difference(scored)
    return evaluate(conditions, scored.assign(**dict.fromkeys(sorted(lacking))) if lacking else scored)


def load_stages(workspace: Workspace, features: Collection[str], team: Team) -> Stages:
    """Load serving/stages.toml and check it against `features`, all that are defined, and the team.

    Raises: ConfigError or ConditionError with file, stage and the nearest right name.
    """
    return check_stages(workspace.load("serving", "stages.toml", StagesFile), features, team)


def check_stages(file: StagesFile, features: Collection[str], team: Team) -> Stages:
    """Check the features and roles that stages name. Raises: ConfigError, ConditionError."""
    columns: dict[str, Any] = columns_of_rules(features)
    # A stage that rested on the stage would rest on itself.
    about_accounts = {name: kind for name, kind in columns.items() if name != "stage"}
    conditions = {}
    for name in STAGES:
        stage, where = file.stages[name], f"{FILE} stages.{name}"
        for key, text in (("enters", stage.enters), ("exits", stage.exits)):
            conditions[f"{name}.{key}"] = parse_rule(text, about_accounts, f"{where}.{key}")
        for task, entry in stage.tasks.items():
            conditions[f"{name}.tasks.{task}"] = parse_rule(entry.when, columns, f"{where}.tasks.{task}")
            check_steps(entry.steps, team, f"{where}.tasks.{task}")
    starts = {
        name: parse_rule(criterion.when, about_accounts, f"{FILE} {START}.{name}")
        for name, criterion in file.onboarding_start.items()
    }
    return Stages(file=file, conditions=conditions, starts=starts)
