"""Every rule and one account: whether it fired today, what of it failed, and what holds it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final, Literal

import pandas as pd

from lifecycle_ml.actions import checkpoints, playbooks, stages, triggers
from lifecycle_ml.actions.action import Action, action_id_of
from lifecycle_ml.actions.checkpoint_evidence import Found
from lifecycle_ml.actions.checkpoints import CHECKPOINTS, DATA, DatedCheckpoint, Renewal
from lifecycle_ml.actions.desk import Desk
from lifecycle_ml.actions.needs import Need, Today, episode_of, look_at
from lifecycle_ml.actions.plan import held_back
from lifecycle_ml.actions.reviews import what_follows
from lifecycle_ml.actions.rule_words import RuleWords, plain_value
from lifecycle_ml.actions.rulebook import ActionRules
from lifecycle_ml.actions.stages import STAGES
from lifecycle_ml.conditions.parse import Condition
from lifecycle_ml.conditions.parts import Part, Truth, judge_parts
from lifecycle_ml.health import config as health_config
from lifecycle_ml.health.config import HealthConfig
from lifecycle_ml.health.inputs import as_number
from lifecycle_ml.health.predicate import applicable
from lifecycle_ml.health.state import HealthState
from lifecycle_ml.reasons.sentences import write_number

Kind = Literal["limit", "fact", "playbook", "checkpoint", "renewal_data", "stage", "start", "task", "trigger"]
KINDS: Final[dict[Kind, str]] = {
    "limit": "Limits of risk",
    "fact": "Facts that turn the colour",
    "playbook": "Playbook",
    "checkpoint": "Checkpoints",
    "renewal_data": "Renewal data",
    "stage": "Stages",
    "start": "What must be true before onboarding starts",
    "task": "Tasks of stages",
    "trigger": "Triggers",
}


@dataclass(frozen=True)
class Said:
    """One comparison that decides a rule: what it asks for, whether that holds, and the account's values."""

    needs: str
    holds: Truth
    now: str
    text: str | None = None
    """The comparison as SQL, None where it is none."""
    values: Mapping[str, float | str | None] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**vars(self), "values": dict(self.values or {})}


@dataclass(frozen=True)
class Ruling:
    """One rule and one account. `fired` is None where it cannot be told; `held` says why nothing follows."""

    kind: Kind
    rule: str
    file: str
    says: str
    fired: Truth
    parts: tuple[Said, ...] = ()
    held: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**vars(self), "parts": [part.to_json() for part in self.parts], "held": list(self.held)}


@dataclass(frozen=True)
class Standing:
    """One account today, and what is already known of its work.

    `row` is its row of the scored table (colour and stage of today included); `before` the stage of its last
    reading. `kept` and `ended` are the unfinished and the recently finished actions of all accounts, as
    `plan_actions` takes them: hours and budgets are everybody's.
    """

    row: pd.DataFrame
    state: HealthState
    before: str | None
    base_rate: float
    kept: Sequence[Action]
    ended: Sequence[Action]
    now: datetime


def rule_on(account: Standing, health: HealthConfig, rules: ActionRules, words: RuleWords) -> list[Ruling]:
    """Hold every rule against one account, in the order in which a run takes them."""
    return _Court(account, health, rules, words).rulings()


class _Court:
    def __init__(self, account: Standing, health: HealthConfig, rules: ActionRules, words: RuleWords) -> None:
        self._account = account
        self._health = health
        self._rules = rules
        self._words = words
        self._row = {str(name): value for name, value in account.row.iloc[0].items()}
        self._id = str(self._row["account_id"])
        self._today: Today = look_at(account.row, {self._id: account.state}, rules)
        self._renewal: Renewal | None = self._today.renewals.get(self._id)
        self._conditions = {
            **{f"facts.{name}": condition for name, condition in health.conditions.items()},
            **{f"triggers.{name}": condition for name, condition in rules.triggers.conditions.items()},
            **{f"problems.{name}": condition for name, condition in rules.renewals.conditions.items()},
            **{f"stages.{name}": condition for name, condition in rules.stages.conditions.items()},
            **{f"{stages.START}.{name}": condition for name, condition in rules.stages.starts.items()},
        }
        self._judgements = judge_parts(self._conditions, account.row)
        self._held = self._hold()

    def rulings(self) -> list[Ruling]:
        return [
            *self._limits(),
            *self._facts(),
            *self._playbook(),
            *self._checkpoints(),
            *self._renewal_data(),
            *self._stages(),
            *self._starts(),
            *self._tasks(),
            *self._triggers(),
        ]

    def _limits(self) -> Iterator[Ruling]:
        risk, runs, days = as_number(self._row.get("risk")), self._account.state.runs, self._health.min_days
        as_of = pd.Timestamp(self._row["as_of"]).date()
        segment = _text(self._row.get("segment"))
        limits: tuple[tuple[Literal["red", "yellow"], date | None], ...] = (
            ("red", runs.over_red),
            ("yellow", runs.over_yellow),
        )
        for color, since in limits:
            limit = self._health.limit(color, self._account.base_rate, segment).enter
            over = None if risk is None else risk >= limit
            long_enough = since is not None and (as_of - since).days >= days
            parts = [
                Said(
                    needs=f"risk of churn is at least {_percent(limit)}",
                    holds=over,
                    now=f"risk of churn: {'not known' if risk is None else _percent(risk)}",
                    values={"risk": risk},
                )
            ]
            if over:
                parts.append(
                    Said(
                        needs=f"so in every reading of at least {days} days",
                        holds=long_enough,
                        now=f"over the limit since {since}",
                    )
                )
            fired = over and long_enough
            says = f"Risk turns the account {color}"
            yield Ruling("limit", f"limits.{color}", health_config.FILE, says, fired, tuple(parts))

    def _facts(self) -> Iterator[Ruling]:
        missing = self._health.unavailable(self._row)
        for name, fact in self._health.facts.items():
            key = f"facts.{name}"
            fired, parts = self._judged(key, left_out=key in missing)
            held: tuple[str, ...] = ()
            if fired is None and name in self._account.state.facts:
                held = ("it was true before, and a fact that cannot be told any more does not let go",)
            says = f"Turns the account {fact.color}: {fact.says}"
            yield Ruling("fact", key, health_config.FILE, says, fired, parts, held)

    def _playbook(self) -> Iterator[Ruling]:
        state = self._account.state
        plan = episode_of(state, self._rules.playbooks)
        if plan is None:
            return
        checks = [
            predicate.check(as_number(self._row.get(predicate.feature)), state.onset)
            for predicate in applicable(plan.playbook.recovers_when, self._row)
        ]
        parts = tuple(
            Said(
                needs=check.criterion,
                holds=check.met,
                now=f"now {_figure(check.now)}, needed {_figure(check.needed)}",
                values={"now": check.now, "needed": check.needed},
            )
            for check in checks
        )
        says = (
            f"{plan.playbook.title}: {state.color} since {state.since}, because {state.because or 'it was'}"
        )
        rule = f"playbooks.{plan.reason}.{plan.color}"
        yield Ruling("playbook", rule, playbooks.FILE, says, True, parts, self._held.get(plan.id, ()))

    def _checkpoints(self) -> Iterator[Ruling]:
        renewal = self._renewal
        dated = {each.checkpoint: each for each in renewal.checkpoints} if renewal else {}
        signed = as_number(self._row.get("renewal_signed")) == 1
        for days in CHECKPOINTS:
            file, name = self._rules.renewals.file, f"checkpoints.{days}"
            one = dated.get(days)
            if renewal is None:
                now = "no renewal lies ahead, or its date is not known"
            elif signed:
                now = "the renewal is signed"
            elif one is None:
                now = "the term is too short for it"
            elif one.state == "past":
                now = f"it fell on {one.falls_on}, and a later one has been reached"
            else:
                now = f"it {'falls' if one.state == 'ahead' else 'fell'} on {one.falls_on}"
            fired: Truth = one is not None and one.state == "now"
            if renewal is None and as_number(self._row.get("days_to_renewal")) is None:
                fired = None if "days_to_renewal" not in self._row else False
            parts = [Said(f"the {days}-day checkpoint is the last one reached", fired, now)]
            if renewal is not None and one is not None and one.state != "ahead":
                parts += [self._wants(renewal, one, evidence) for evidence in renewal.evidence(one)]
            held = self._held.get(f"{checkpoints.PREFIX}{days}", ())
            says = file.checkpoints[str(days)].title
            yield Ruling("checkpoint", name, checkpoints.FILE, says, fired, tuple(parts), held)

    def _wants(self, renewal: Renewal, dated: DatedCheckpoint, evidence: Found) -> Said:
        """Say whether evidence a checkpoint wants is there, the steps done in this term included."""
        needs = f"evidence: {evidence.label}"
        if evidence.there:
            return Said(needs, True, f"seen in a {evidence.origin} on {evidence.on}")
        if evidence.step is not None and self._done(renewal, dated, evidence.step):
            return Said(needs, True, "its step was done")
        if evidence.there is None:
            return Said(needs, None, "not known: no table holds such topics or milestones")
        return Said(needs, False, "missing: seen nowhere in time, and its step was not done")

    def _done(self, renewal: Renewal, dated: DatedCheckpoint, step: str) -> bool:
        playbook = f"{checkpoints.PREFIX}{dated.checkpoint}"
        asked = action_id_of(self._id, playbook, step, renewal.renewal_on)
        return any(each.action_id == asked and each.status == "done" for each in self._account.ended)

    def _renewal_data(self) -> Iterator[Ruling]:
        for name, problem in self._rules.renewals.file.data.problems.items():
            fired, parts = self._judged(f"problems.{name}")
            if self._renewal is None:
                parts += (Said("a renewal lies ahead", False, "none does, or its date is not known"),)
                fired = False
            held = self._held.get(DATA, ()) if fired else ()
            yield Ruling(
                "renewal_data", f"data.problems.{name}", checkpoints.FILE, problem.says, fired, parts, held
            )

    def _stages(self) -> Iterator[Ruling]:
        here, before = str(self._row["stage"]), self._account.before
        for name in STAGES:
            stage = self._rules.stages.file.stages[name]
            for way, verb in (("enters", "Lets the account in"), ("exits", "Lets the account out")):
                fired, parts = self._judged(f"stages.{name}.{way}")
                held = _stage_held(name, way, here, before, fired=fired is True)
                says = f"{stage.label}: {verb.lower()}"
                yield Ruling("stage", f"stages.{name}.{way}", stages.FILE, says, fired, parts, held)

    def _starts(self) -> Iterator[Ruling]:
        here = str(self._row["stage"])
        for name, criterion in self._rules.stages.file.onboarding_start.items():
            key = f"{stages.START}.{name}"
            fired, parts = self._judged(key)
            held = (
                () if here in stages.STARTING else ("the account is past onboarding: nobody asks any more",)
            )
            yield Ruling("start", key, stages.FILE, criterion.label, fired, parts, held)

    def _tasks(self) -> Iterator[Ruling]:
        here = self._row["stage"]
        for playbook, (stage, task) in self._rules.stages.tasks.items():
            name = playbook.removeprefix(f"{stages.PREFIX}{stage}_")
            key = f"stages.{stage}.tasks.{name}"
            fired, parts = self._judged(key)
            label = self._rules.stages.file.stages[stage].label
            if here != stage:
                at = self._rules.stages.file.stages[str(here)].label
                fired, parts = False, (*parts, Said(f"the stage is {label}", False, f"the stage is {at}"))
            held = self._held.get(playbook, ()) if fired else ()
            yield Ruling("task", key, stages.FILE, f"{label}: {task.steps[0].title}", fired, parts, held)

    def _triggers(self) -> Iterator[Ruling]:
        color = self._account.state.color
        for name, trigger in self._rules.triggers.by_id.items():
            fired: Truth = False
            parts: tuple[Said, ...] = ()
            for at in range(len(trigger.signs)):
                key = f"triggers.{name}.{at}"
                lacking = not set(self._conditions[key].columns).issubset(self._row)
                true, why = self._judged(key, left_out=lacking)
                if true:
                    fired, parts = True, why
                    break
                fired, parts = (None if true is None else fired), parts + why
            held = self._held.get(f"{triggers.PREFIX}{name}", ()) if fired else ()
            if color == "red":
                parts += (Said("the account is not red", False, "nobody is sold to while they are red"),)
                fired, held = False, ()
            elif fired and color == "yellow":
                held = ("shown, but a yellow account is given no task of growth",)
            elif fired and trigger.path == "score_only":
                held = ("shown beside the expansion score; it opens no task",)
            yield Ruling("trigger", f"triggers.{name}", triggers.FILE, trigger.label, fired, parts, held)

    def _judged(self, key: str, *, left_out: bool = False) -> tuple[Truth, tuple[Said, ...]]:
        """Return whether a condition holds and what decides that; a rule left out cannot be told."""
        judged = self._judgements[key]
        parts = judged.parts
        if left_out:
            lacking = [part for part in parts if not set(part.condition.columns).issubset(self._row)]
            return None, tuple(self._say(replace(part, holds=None)) for part in lacking or parts)
        return judged.holds, tuple(map(self._say, parts))

    def _say(self, part: Part) -> Said:
        condition: Condition = part.condition
        return Said(
            needs=self._words.needs(condition),
            holds=part.holds,
            now="; ".join(self._words.now(column, self._row) for column in condition.columns),
            text=condition.text,
            values={column: plain_value(self._row.get(column)) for column in condition.columns},
        )

    def _hold(self) -> dict[str, tuple[str, ...]]:
        """Return why the needs of today open nothing new, by playbook."""
        account = self._account
        own = [action for action in (*account.kept, *account.ended) if action.account_id == self._id]
        states = {self._id: account.state}
        mine = [action for action in account.kept if action.account_id == self._id]
        over = [action for action in account.ended if action.account_id == self._id]
        cooling = held_back(self._today.needs, states, mine, over, self._rules, account.now)
        found: dict[str, tuple[str, ...]] = {}
        for need in self._today.needs:
            known = {action.action_id: action for action in own}
            begun = [known[need.action_id(step)] for step in need.steps if need.action_id(step) in known]
            waits = cooling.get((self._id, need.playbook))
            if begun:
                found[need.playbook] = tuple(_begun(action) for action in begun)
                if need.kind == "playbook":
                    found[need.playbook] += what_follows(need, own, self._rules)
            elif waits is not None:
                found[need.playbook] = (waits,)
            elif self._nobody_free(need):
                found[need.playbook] = ("its owner has no hours, or no expansion tasks, left this week",)
        return found

    def _nobody_free(self, need: Need) -> bool:
        account = self._account
        desk = Desk(self._rules.team, account.kept, account.ended, account.now)
        return desk.give(need, list(zip(need.steps, need.named, strict=True))) is None


def _begun(action: Action) -> str:
    state = {"over_capacity": "over capacity", "snoozed": "asleep"}.get(action.status, action.status)
    return f"opened on {action.opened_at:%Y-%m-%d} and {state}: {action.title}"


def _stage_held(name: str, way: str, here: str, before: str | None, *, fired: bool) -> tuple[str, ...]:
    if not fired:
        return ()
    if way == "exits" and name not in (before, here):
        return ("the account is not in this stage",)
    if way == "enters" and here != name:
        if before == here:
            return ("the account stays in its stage until that stage's exit is true",)
        if before == name:
            return ("the account left it today, and a stage is not entered on the day it is left",)
        return ("an earlier stage let the account in",)
    return ()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _percent(share: float) -> str:
    return write_number(share, "share")


def _figure(value: float | None) -> str:
    return "not known" if value is None else write_number(value)
