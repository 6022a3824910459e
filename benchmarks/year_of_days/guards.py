"""The same year with guards taken away: what they hold back.

Scores and reasons do not depend on guards, so they are made once a day; colours and actions are made of them
once per set of guards, by the product's own functions and a store each. Publications hold no readings here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from datetime import time as clock
from typing import Any

import pandas as pd
import sqlalchemy as sa
from benchmarks.year_of_days.people import work
from benchmarks.year_of_days.promises import QUARTER_DAYS
from benchmarks.year_of_days.run import STANDARD, Company

from lifecycle_ml.actions.hold_out import SALT
from lifecycle_ml.actions.plan import plan_actions
from lifecycle_ml.actions.rulebook import ActionRules
from lifecycle_ml.actions.team import Team
from lifecycle_ml.health.config import HealthConfig
from lifecycle_ml.health.predicate import Predicate
from lifecycle_ml.health.scored import accounts_of
from lifecycle_ml.health.state import Color, HealthState, next_states
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.nightly import HISTORY_WEEKS
from lifecycle_ml.outcomes.snapshots import population
from lifecycle_ml.readings import finished_lately, score_accounts, with_colours
from lifecycle_ml.reasons.explain import explain
from lifecycle_ml.rulebook import Rulebook, load_rulebook
from lifecycle_ml.store.store import Store

AT_ONCE = 28
"""As_of dates whose matrix is built in one pass."""
PLENTY = 1000.0
"""Hours and tasks a week where nobody's are limited."""


@dataclass(frozen=True)
class Guards:
    """Which guards hold. `patience`: two publications a week apart, and as long in a colour before it is
    left. `latches`: an exit limit below the entry limit, evidence for the way back, and the reason of the
    onset kept. `cool_downs` after work ended or was opened. `limits`: hours and budgets. `plans`: whether
    actions are planned at all, or colours alone looked at.
    """

    patience: bool = True
    latches: bool = True
    cool_downs: bool = True
    limits: bool = True
    plans: bool = True


VARIANTS: Mapping[str, Guards] = {
    "all guards": Guards(),
    "without patience": Guards(patience=False, plans=False),
    "without latches": Guards(latches=False, plans=False),
    "without cool-downs": Guards(cool_downs=False),
    "without hours and budgets": Guards(limits=False),
    "no guard": Guards(patience=False, latches=False, cool_downs=False, limits=False),
}


@dataclass
class _Variant:
    guards: Guards
    rules: Rulebook
    team: Team
    """As the workspace names it: people keep their own hours, whatever they are given."""
    store: Store
    engine: sa.Engine
    states: dict[str, HealthState] = field(default_factory=dict)
    stages: dict[str, str | None] = field(default_factory=dict)
    seen: dict[str, date] = field(default_factory=dict)
    flips: int = 0
    readings: int = 0
    reds: int = 0
    yellows: int = 0
    opened: Counter[tuple[str, str]] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    unfinished: int = 0


def run_variants(
    company: Company,
    days: list[date],
    step_days: int,
    names: list[str],
    say: Callable[[str], None] = print,
) -> dict[str, dict[str, Any]]:
    """Return flips and tasks of each set of guards over the same days.

    What serves must be there already: run the year first.
    """
    rules = load_rulebook(STANDARD, company.settings, company.tables)
    variants = {}
    for name in names:
        file = company.folder / f"guards-{name.replace(' ', '-')}.db"
        file.unlink(missing_ok=True)
        url = f"sqlite:///{file}"
        variants[name] = _Variant(
            guards=VARIANTS[name],
            rules=without(rules, VARIANTS[name]),
            team=rules.actions.team,
            store=Store.open(url),
            engine=sa.create_engine(url),
        )
    history = [days[0] - timedelta(weeks=back) for back in range(HISTORY_WEEKS, 0, -1)]
    for day, scored in _scored_days(rules, company, [*history, *days]):
        for variant in variants.values():
            _colour_and_plan(variant, scored, day, step_days, planning=day >= days[0])
        if day.day == 1 or day == days[-1]:
            say(f"{day}: " + ", ".join(f"{name} {variant.flips}" for name, variant in variants.items()))
    found = {name: _counted(variant, len(days), step_days) for name, variant in variants.items()}
    for variant in variants.values():
        variant.engine.dispose()
        variant.store.close()
    return found


def _scored_days(rules: Rulebook, company: Company, days: list[date]) -> Iterator[tuple[date, pd.DataFrame]]:
    for start in range(0, len(days), AT_ONCE):
        chunk = days[start : start + AT_ONCE]
        spine = population(company.tables, rules.recipe, chunk)
        matrix = build_matrix(company.tables, rules.features, spine)
        for day in chunk:
            today = matrix[matrix["as_of"] == pd.Timestamp(day)].reset_index(drop=True)
            accounts = accounts_of(company.tables, day).assign(provisional=False)
            segments = accounts.set_index("account_id")["segment"]
            explained = explain(rules.churn, today, rules.features, rules.taxonomy, segments)
            yield day, score_accounts(rules, accounts, today, explained, day)


def _colour_and_plan(
    variant: _Variant, scored: pd.DataFrame, day: date, step_days: int, *, planning: bool
) -> None:
    rules, guards = variant.rules, variant.guards
    newest = max(variant.seen.values(), default=day)
    grace = timedelta(days=rules.recipe.label.grace_days)
    prior = {
        account: state for account, state in variant.states.items() if variant.seen[account] >= newest - grace
    }
    states = next_states(
        prior,
        scored,
        rules.health,
        day,
        rules.actions.playbooks.recovers_when if guards.latches else _no_criteria,
        rules.actions.playbooks.choose,
        rules.churn.base_rates[rules.churn.headline],
    )
    if not guards.latches:
        states = _unlatched(states, scored, day, rules)
    dressed = with_colours(rules, scored, states, {account: variant.stages.get(account) for account in prior})
    if planning:
        variant.readings += len(states)
        variant.reds += sum(state.color == "red" for state in states.values())
        variant.yellows += sum(state.color == "yellow" for state in states.values())
        variant.flips += sum(
            account in prior and prior[account].color != state.color for account, state in states.items()
        )
        if guards.plans:
            _plan(variant, dressed, prior, states, day, step_days)
    variant.states.update(states)
    variant.stages.update(zip(dressed["account_id"], dressed["stage"], strict=True))
    variant.seen.update(dict.fromkeys(states, day))


def _plan(
    variant: _Variant,
    scored: pd.DataFrame,
    prior: Mapping[str, HealthState],
    states: Mapping[str, HealthState],
    day: date,
    step_days: int,
) -> None:
    store, actions = variant.store, variant.rules.actions
    now = datetime.combine(day, clock(2))
    publication = store.begin(day, datetime.combine(day, clock()), now)
    every = {**prior, **states}
    ended = finished_lately(store, every, actions, now)
    events = plan_actions(scored, every, store.open_actions(), ended, actions, now, store.secret(SALT))
    store.publish(publication, events)
    for event in events:
        variant.events[event.kind] += 1
        if event.kind == "opened":
            variant.opened[event.action.owner_role, str(event.action.owner)] += 1
    variant.events.update(work(store, variant.engine, variant.team, now + timedelta(hours=7), step_days))
    variant.unfinished += len(store.open_actions())


def _unlatched(
    states: Mapping[str, HealthState], scored: pd.DataFrame, day: date, rules: Rulebook
) -> dict[str, HealthState]:
    """Let reason and playbook follow today's first reason; a new playbook is a new episode."""
    today = dict(zip(scored["account_id"], scored["reason"], strict=True))
    found = {}
    for account, state in states.items():
        reason = today[account]
        if state.color == "green" or state.facts or reason == state.reason:
            found[account] = state
            continue
        playbook = rules.actions.playbooks.choose(state.color, reason)
        found[account] = replace(state, reason=reason, playbook=playbook, since=day)
    return found


def _no_criteria(_color: Color, _reason: str) -> tuple[Predicate, ...]:
    return ()


def without(rules: Rulebook, guards: Guards) -> Rulebook:
    """Return the rules without the guards that do not hold."""
    health, actions = rules.health, rules.actions
    if not guards.patience:
        health = replace(health, file=health.file.model_copy(update={"min_days": 0}))
    if not guards.latches:
        health = _left_where_entered(health)
    if not guards.cool_downs:
        actions = _without_cool_downs(actions)
    if not guards.limits:
        actions = replace(actions, team=_unlimited(actions.team))
    return replace(rules, health=health, actions=actions)


def _left_where_entered(health: HealthConfig) -> HealthConfig:
    limits = health.file.limits
    same = {
        color: limit.model_copy(update={"exit": limit.enter})
        for color, limit in (("red", limits.red), ("yellow", limits.yellow))
    }
    file = health.file.model_copy(update={"limits": limits.model_copy(update=same)})
    return replace(health, file=file)


def _without_cool_downs(actions: ActionRules) -> ActionRules:
    none = {"cool_down_days": 0}
    data = actions.renewals.file.data.model_copy(update=none)
    renewals = actions.renewals.file.model_copy(update={"data": data})
    return replace(
        actions,
        playbooks=replace(actions.playbooks, file=actions.playbooks.file.model_copy(update=none)),
        triggers=replace(actions.triggers, file=actions.triggers.file.model_copy(update=none)),
        stages=replace(actions.stages, file=actions.stages.file.model_copy(update=none)),
        renewals=replace(actions.renewals, file=renewals),
    )


def _unlimited(team: Team) -> Team:
    roles = {name: role.model_copy(update={"hours_a_week": PLENTY}) for name, role in team.roles.items()}
    budgets = team.budgets.model_copy(
        update={"expansion_tasks_a_week": round(PLENTY), "share_that_can_wait": 1.0}
    )
    return team.model_copy(update={"roles": roles, "budgets": budgets})


def _counted(variant: _Variant, runs: int, step_days: int) -> dict[str, Any]:
    weeks = runs * step_days / 7
    quarters = variant.readings * step_days / QUARTER_DAYS
    people: dict[str, list[int]] = defaultdict(list)
    for (role, _), count in variant.opened.items():
        people[role].append(count)
    return {
        "runs": runs,
        "flips": variant.flips,
        "flips_per_account_quarter": round(variant.flips / quarters, 3),
        "red": round(variant.reds / variant.readings, 4),
        "yellow": round(variant.yellows / variant.readings, 4),
        "planned": variant.guards.plans,
        "events": dict(variant.events),
        "unfinished": round(variant.unfinished / runs, 1),
        "tasks_per_owner_week": {
            role: round(sum(counts) / len(counts) / weeks, 2) for role, counts in sorted(people.items())
        },
        "tasks_per_owner_week_of_all": round(
            sum(variant.opened.values()) / max(len(variant.opened), 1) / weeks, 2
        ),
    }
