"""Everything that turns scores into work, loaded once and checked against the features and the team."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Final

from lifecycle_ml.actions.action import Action, is_review
from lifecycle_ml.actions.checkpoints import CHECKPOINTS, DATA, PREFIX, Renewals, load_renewals
from lifecycle_ml.actions.playbooks import NO_UNITS, Plan, Playbooks, load_playbooks
from lifecycle_ml.actions.stages import Stages, load_stages
from lifecycle_ml.actions.steps import Step
from lifecycle_ml.actions.team import Team, load_team
from lifecycle_ml.actions.triggers import PREFIX as TRIGGER
from lifecycle_ml.actions.triggers import Triggers, load_triggers
from lifecycle_ml.health.scored import SCORED_COLUMNS
from lifecycle_ml.workspace import Workspace

WEEK: Final = timedelta(days=7)


@dataclass(frozen=True)
class ActionRules:
    """Playbooks, triggers, renewals, stages and the team that does the work. See `load_action_rules`."""

    playbooks: Playbooks
    triggers: Triggers
    renewals: Renewals
    stages: Stages
    team: Team

    @property
    def recall(self) -> timedelta:
        """How far back finished actions still decide whether something is opened."""
        widest = max((level.times for level in self.renewals.file.wider), default=1.0)
        return max(
            WEEK,
            self.playbooks.cool_down,
            self.triggers.cool_down,
            self.stages.cool_down,
            timedelta(days=self.renewals.file.data.cool_down_days),
            timedelta(days=round(CHECKPOINTS[0] * widest)),
        )

    def unavailable(self, columns: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return the rules that features in `columns` cannot feed, each with the features it lacks.

        A trigger or checkpoint among them never comes up, a stage's condition is judged as if the features
        were empty, a criterion of a way back is left out.
        """
        columns = {*columns, *SCORED_COLUMNS}
        lacking = {
            f"playbooks.{name}.recovers_when": tuple(
                predicate.feature
                for predicate in plan.playbook.recovers_when
                if predicate.feature not in columns
            )
            for name, plan in self.playbooks.by_id.items()
        }
        return {
            **{name: missing for name, missing in lacking.items() if missing},
            **self.triggers.unavailable(columns),
            **self.renewals.unavailable(columns),
            **self.stages.unavailable(columns),
        }

    def step_of(self, action: Action) -> Step | None:
        """Return the step an action came from, None where the workspace no longer has it."""
        key = (action.kind, action.playbook, action.step, action.owner_role)
        if key not in self._found:
            steps = self._steps(action)
            self._found[key] = next((step for step in steps if step.id == action.step), None)
        return self._found[key]

    def review_step(self, plan: Plan, name: str) -> Step:
        """Return the step of a playbook's review, which is the work of the lead of its first step's role."""
        review = self.playbooks.file.review
        return Step(
            id=name,
            title=review.title,
            owner_role=self.team.lead(plan.playbook.steps[0].owner_role)[0],
            sla_days=review.sla_days,
            hours=review.hours,
            escalates_after_days=review.escalates_after_days,
        )

    @cached_property
    def _found(self) -> dict[tuple[str, str, str, str], Step | None]:
        # Thousands of actions are open at once, and they come from a few dozen steps.
        return {}

    def _steps(self, action: Action) -> Collection[Step]:
        name = action.playbook
        match action.kind:
            case "playbook":
                plan = self.playbooks.by_id.get(name)
                if plan is None:
                    return ()
                again = is_review("playbook", action.step) and plan.reviewed
                return (self.review_step(plan, action.step),) if again else plan.playbook.steps
            case "checkpoint":
                checkpoint = self.renewals.file.checkpoints.get(name.removeprefix(PREFIX))
                return [step.owned_by(action.owner_role) for step in checkpoint.steps] if checkpoint else ()
            case "renewal_data":
                return (self.renewals.file.data.step,) if name == DATA else ()
            case "trigger":
                trigger = self.triggers.by_id.get(name.removeprefix(TRIGGER))
                return trigger.steps if trigger else ()
            case "stage":
                return self.stages.tasks[name][1].steps if name in self.stages.tasks else ()


def load_action_rules(
    workspace: Workspace, features: Collection[str], units: Mapping[str, str] = NO_UNITS
) -> ActionRules:
    """Load team, playbooks, triggers, renewals and stages, checked against `features`, all that are defined.

    units: the unit of each feature, for which the ways back are judged in whole numbers where it counts.

    Whether a company has the tables behind a feature is another question: see `ActionRules.unavailable`.
    Raises: ConfigError or ConditionError for the first rule that cannot be, with file, key and remedy.
    """
    team = load_team(workspace)
    return ActionRules(
        playbooks=load_playbooks(workspace, features, team, units),
        triggers=load_triggers(workspace, features, team),
        renewals=load_renewals(workspace, features, team),
        stages=load_stages(workspace, features, team),
        team=team,
    )
