"""What is wrong with rules that load: conditions nobody meets, levels nobody reaches, roles nobody holds.

What cannot mean anything (an unknown column, a misspelt category, a playbook without an exit, a circle of
escalation) is refused when the file is loaded. Here is what loads, and does nothing or not what was meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lifecycle_ml.actions import checkpoints, playbooks, stages, team, triggers
from lifecycle_ml.actions.action import NAMED_BY
from lifecycle_ml.actions.rulebook import ActionRules
from lifecycle_ml.actions.stages import STAGES
from lifecycle_ml.conditions.parse import Condition, parse_condition
from lifecycle_ml.conditions.possible import can_be_both, can_be_true, can_be_untrue, implies
from lifecycle_ml.health import config as health_config
from lifecycle_ml.health.config import ColorLimits, HealthConfig
from lifecycle_ml.health.predicate import Predicate
from lifecycle_ml.health.scored import SCORED_RANGES
from lifecycle_ml.tables.findings import Finding
from lifecycle_ml.tables.rules import found

_Placed = tuple[str, str, Condition]


def examine_rules(
    health: HealthConfig, rules: ActionRules, evidence: Mapping[str, Condition] | None = None
) -> list[Finding]:
    """Return what is wrong with rules that load; `table` is the file, `column` the rule in it.

    `evidence` are further conditions to prove possible, by rule: those of the taxonomy.
    """
    return [
        *_conditions(health, rules, evidence or {}),
        *_facts(health),
        *_signs(rules),
        *_stages(rules),
        *_limits(health),
        *_levels(rules),
        *_ways_back(rules),
        *_reviews(rules),
        *_roles(rules),
        *_late_steps(rules),
    ]


def _conditions(
    health: HealthConfig, rules: ActionRules, evidence: Mapping[str, Condition]
) -> Iterator[Finding]:
    always: list[_Placed] = [
        *((health_config.FILE, f"facts.{name}", each) for name, each in health.conditions.items()),
        *((triggers.FILE, _sign(name), each) for name, each in rules.triggers.conditions.items()),
        *(
            (checkpoints.FILE, f"data.problems.{name}", each)
            for name, each in rules.renewals.conditions.items()
        ),
        *((stages.FILE, f"{stages.START}.{name}", each) for name, each in rules.stages.starts.items()),
        *(("serving/taxonomy.toml", f"categories.{name}", each) for name, each in evidence.items()),
    ]
    staged: list[_Placed] = [
        (stages.FILE, f"stages.{name}", each) for name, each in rules.stages.conditions.items()
    ]
    for file, key, condition in [*always, *staged]:
        if not can_be_true(condition, SCORED_RANGES):
            yield _found("rule_unreachable", file, key, f"{condition.text!r} can never be true")
    for file, key, condition in always:
        if not can_be_untrue(condition, SCORED_RANGES):
            yield _found("rule_always", file, key, f"{condition.text!r} is true of every account")
    calm = parse_condition("health <> 'red'", ["health"], triggers.FILE)
    for name, condition in rules.triggers.conditions.items():
        possible = can_be_true(condition, SCORED_RANGES)
        if possible and not can_be_both(condition, calm, SCORED_RANGES):
            says = f"{condition.text!r} asks for red accounts, which are sold nothing"
            yield _found("rule_unreachable", triggers.FILE, _sign(name), says)


def _facts(health: HealthConfig) -> Iterator[Finding]:
    """Facts behind another: the first true one of the worst colour speaks, and names the reason."""
    names = sorted(health.facts, key=lambda name: health.facts[name].color != "red")
    for at, name in enumerate(names):
        for first in names[:at]:
            if _behind(health.conditions[name], health.conditions[first]):
                says = f"wherever it is true, facts.{first} is true as well and turns the colour"
                yield _found("rule_shadowed", health_config.FILE, f"facts.{name}", says)
                break


def _signs(rules: ActionRules) -> Iterator[Finding]:
    for name, trigger in rules.triggers.by_id.items():
        signs = [rules.triggers.conditions[f"{name}.{at}"] for at in range(len(trigger.signs))]
        for at, sign in enumerate(signs):
            if any(_behind(sign, earlier) for earlier in signs[:at]):
                says = "wherever it is true, an earlier sign of the trigger is true as well and speaks"
                yield _found("rule_shadowed", triggers.FILE, _sign(f"{name}.{at}"), says)


def _stages(rules: ActionRules) -> Iterator[Finding]:
    conditions = rules.stages.conditions
    for at, name in enumerate(STAGES):
        enters, exits = conditions[f"{name}.enters"], conditions[f"{name}.exits"]
        if _behind(enters, exits):
            says = f"its exit {exits.text!r} is true of every account that enters"
            yield _found("stage_flaps", stages.FILE, f"stages.{name}.exits", says)
        for first in STAGES[:at] if name != STAGES[-1] else ():
            if _behind(enters, conditions[f"{first}.enters"]):
                says = f"every account that may enter it enters {first} first"
                yield _found("rule_shadowed", stages.FILE, f"stages.{name}.enters", says)
                break


def _limits(health: HealthConfig) -> Iterator[Finding]:
    limits = health.file.limits
    every: dict[str, ColorLimits] = {"limits": limits}
    every |= {f"limits.segments.{name}": own for name, own in limits.segments.items()}
    for key, own in every.items():
        if own.red.exit < own.yellow.enter:
            says = (
                f"red is left under {own.red.exit:g}, and yellow is entered only from {own.yellow.enter:g}: "
                "between them an account is yellow that would not have turned yellow; raise red's exit"
            )
            yield _found("thresholds_overlap", health_config.FILE, key, says)


def _levels(rules: ActionRules) -> Iterator[Finding]:
    levels, who = rules.team.escalation, rules.team
    for at, level in enumerate(levels):
        for other in (*levels[:at], *levels[at + 1 :]):
            above = other.role in who.chain(level.role)
            if other.arr_from <= level.arr_from and above:
                says = (
                    f"from {level.arr_from:,.0f} ARR {level.role} is to be told first, but from "
                    f"{other.arr_from:,.0f} on it is {other.role}, who stands above; raise that level"
                )
                yield _found("thresholds_overlap", team.FILE, f"escalation.{level.role}", says)
                break
    file = rules.renewals.file
    starts = [owner.arr_from for owner in file.owners]
    for at, owner in enumerate(file.owners):
        if owner.arr_from in starts[:at]:
            says = (
                f"another owner begins at {owner.arr_from:,.0f} ARR as well, and is taken; move one of them"
            )
            yield _found("thresholds_overlap", checkpoints.FILE, f"owners.{owner.role}", says)
    for wide in file.wider:
        for smaller in file.wider:
            if smaller.arr_from < wide.arr_from and smaller.times >= wide.times:
                says = (
                    f"from {wide.arr_from:,.0f} ARR checkpoints fall {wide.times:g} times as early, from "
                    f"{smaller.arr_from:,.0f} on it is {smaller.times:g} times already; drop it or raise it"
                )
                yield _found("thresholds_overlap", checkpoints.FILE, f"wider.{wide.arr_from:g}", says)


def _ways_back(rules: ActionRules) -> Iterator[Finding]:
    for plan in rules.playbooks.by_id.values():
        criteria = [each for each in plan.playbook.recovers_when if each.number is not None]
        if not criteria:
            continue
        text = " AND ".join(_asked(each) for each in criteria)
        key = f"playbooks.{plan.reason}.{plan.color}.recovers_when"
        both = parse_condition(text, [each.feature for each in criteria], f"{playbooks.FILE} {key}")
        if not can_be_true(both, SCORED_RANGES):
            yield _found("way_back_impossible", playbooks.FILE, key, f"no account can meet {text!r}")


def _reviews(rules: ActionRules) -> Iterator[Finding]:
    for plan in rules.playbooks.by_id.values():
        if plan.color == "red" and not plan.reviewed:
            key = f"playbooks.{plan.reason}.{plan.color}.review"
            says = (
                "once every step is done or dismissed nobody owes a red account a next step; "
                "leave `review` out, or set it to true"
            )
            yield _found("never_reviewed", playbooks.FILE, key, says)


def _asked(criterion: Predicate) -> str:
    # Of several numbers the strictest counts, so that of the plain one is the least that is asked.
    return f"{criterion.feature} {criterion.op} {criterion.number!r}"


def _roles(rules: ActionRules) -> Iterator[Finding]:
    working, told = _used(rules)
    for name, role in rules.team.roles.items():
        named = role.people or (name in NAMED_BY and name in working)
        if name in working | told and not named:
            use = "has steps to do" if name in working else "is told when work slips"
            lead = rules.team.lead(name)
            says = f"{name} {use} and nobody holds it, so all goes to {lead[1]} ({lead[0]}); name a person"
            yield _found("role_unheld", team.FILE, f"roles.{name}.people", says)
        elif name in working and not (
            role.hours_a_week or any(person.hours_a_week for person in role.people)
        ):
            says = (
                f"{name} has steps to do and no hours for them, so all of it is over capacity; give it hours"
            )
            yield _found("role_unheld", team.FILE, f"roles.{name}.hours_a_week", says)


def _used(rules: ActionRules) -> tuple[set[str], set[str]]:
    """Return the roles that have steps to do, and those that are told when these slip."""
    file = rules.renewals.file
    steps = [
        *(step for plan in rules.playbooks.by_id.values() for step in plan.playbook.steps),
        *(rules.review_step(plan, "review_1") for plan in rules.playbooks.by_id.values() if plan.reviewed),
        *(step for trigger in rules.triggers.by_id.values() for step in trigger.steps),
        *(step for _, task in rules.stages.tasks.values() for step in task.steps),
        *(
            step.owned_by(owner.role)
            for checkpoint in file.checkpoints.values()
            for step in checkpoint.steps
            for owner in file.owners
        ),
        file.data.step,
    ]
    working = {step.owner_role for step in steps}
    first = {step.escalates_to or rules.team.roles[step.owner_role].escalates_to for step in steps}
    told = {role for role in first if role is not None}
    told |= {above for role in told for above in rules.team.chain(role)}
    return working, told | {level.role for level in rules.team.escalation}


def _late_steps(rules: ActionRules) -> Iterator[Finding]:
    for name, checkpoint in rules.renewals.file.checkpoints.items():
        for step in checkpoint.steps:
            if step.sla_days > int(name):
                says = f"step {step.id!r} is due {step.sla_days} days after a checkpoint {name} days ahead"
                yield _found("step_too_late", checkpoints.FILE, f"checkpoints.{name}.{step.id}", says)


def _behind(condition: Condition, first: Condition) -> bool:
    """Tell whether a condition is never true without an earlier one.

    One that is never true at all, or an earlier one that always is, is another finding.
    """
    usual = can_be_true(condition, SCORED_RANGES) and can_be_untrue(first, SCORED_RANGES)
    return usual and implies(condition, first, SCORED_RANGES)


def _sign(key: str) -> str:
    name, _, at = key.rpartition(".")
    return f"triggers.{name}" if at == "0" else f"triggers.{name}.also[{int(at) - 1}]"


def _found(rule: str, file: str, key: str, says: str) -> Finding:
    return found(rule, file, key, advice=f"{file} {key}: {says}.")
