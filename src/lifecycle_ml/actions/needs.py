"""What accounts call for today: episodes of red and yellow, checkpoints, renewal data, stages, triggers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pandas as pd

from lifecycle_ml.actions.action import Kind, action_id_of
from lifecycle_ml.actions.checkpoints import DATA, PREFIX, Renewal, Renewals, renewal_of
from lifecycle_ml.actions.hold_out import why_spared
from lifecycle_ml.actions.playbooks import Plan, Playbooks
from lifecycle_ml.actions.rulebook import ActionRules
from lifecycle_ml.actions.stages import judge
from lifecycle_ml.actions.steps import Step
from lifecycle_ml.actions.templates import fill_fields, sentence
from lifecycle_ml.actions.triggers import PREFIX as TRIGGER
from lifecycle_ml.actions.triggers import fire_triggers
from lifecycle_ml.health.inputs import as_number
from lifecycle_ml.health.state import HealthState

ROW_COLUMNS = (
    *("account_id", "as_of", "name", "owner", "sales_owner", "renewal_owner", "arr", "risk", "reason"),
    *("segment", "health", "expansion_probability"),
    *(
        "reason_label",
        "latched_label",
        "evidence_says",
        "stage",
        "expansion_band",
        "expansion_lift",
        "days_to_renewal",
    ),
    *("notice_days", "term_days", "auto_renew", "renewal_signed"),
)
NAMED_BY = {"csm": "owner", "account_executive": "sales_owner"}
"""Roles whose person the account itself names, and the column that does."""
LIFT_COUNTS = (1 / 3, 3.0)
"""The expansion model speeds a task up or holds it back by no more than this."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class HoldOut:
    """Whether an account may be held out of what it calls for, and what is known of it then.

    `spared` says why it is never held out, None if it may be. `expected` is the probability of the outcome
    the work is about as scored today, 0..1; `arr` in the book's currency; None: not known.
    """

    share: float
    spared: str | None
    expected: float | None
    arr: float | None


@dataclass(frozen=True)
class Need:
    """One thing an account calls for. `since` begins its episode, and with it the ids of its actions.

    `named` is the person the account names for each step, in their order. `waits` marks work that may come
    later: it takes only a part of anybody's hours and never overflows. `cool_down` is None where the episode
    itself keeps a need from coming twice. `hold_out` is None for needs whose effect is not measured.
    """

    kind: Kind
    account_id: str
    playbook: str
    since: date
    steps: tuple[Step, ...]
    named: tuple[str | None, ...]
    why: str
    because: str
    arr: float
    worth: float
    waits: bool = False
    cool_down: timedelta | None = None
    hold_out: HoldOut | None = None

    def action_id(self, step: Step) -> str:
        """Return the id of the action for one of the steps."""
        return action_id_of(self.account_id, self.playbook, step.id, self.since)


@dataclass(frozen=True)
class Today:
    """What is known of every account today, judged once for all kinds of needs.

    `fired` holds the names of the triggers that fired, by account, whatever their path; `problems` what is
    wrong with the renewal data, in words; `asked` the stage tasks and whether their condition holds (None:
    cannot be told).
    """

    rows: Mapping[str, Row]
    renewals: Mapping[str, Renewal]
    fired: Mapping[str, frozenset[str]]
    problems: Mapping[str, list[str]]
    asked: Mapping[str, Mapping[str, bool | None]]
    needs: Sequence[Need]


def look_at(scored: pd.DataFrame, states: Mapping[str, HealthState], rules: ActionRules) -> Today:
    """Judge the scored table by every rule. Grain of `needs`: one per account and thing called for."""
    scored = scored[scored["account_id"].isin(list(states))]
    rows = _rows(scored)
    renewals = {
        account_id: renewal
        for account_id, row in rows.items()
        if (renewal := renewal_of(row, row["as_of"], rules.renewals)) is not None
    }
    problems = _problems(scored, rules.renewals, renewals)
    asked = _asked(scored, rules)
    fired = fire_triggers(scored, rules.triggers)
    needs = [
        *_playbook_needs(rows, states, rules),
        *_checkpoint_needs(rows, states, renewals, rules),
        *_data_needs(rows, problems, rules.renewals),
        *_stage_needs(rows, states, asked, rules),
        *(
            _trigger_need(rows[account_id], one.trigger, one.says, rules)
            for account_id, many in fired.items()
            for one in many
            if one.path == "task"
        ),
    ]
    names = {account_id: frozenset(one.trigger for one in many) for account_id, many in fired.items()}
    return Today(rows, renewals, names, problems, asked, needs)


def episode_of(state: HealthState, playbooks: Playbooks) -> Plan | None:
    """Return the playbook of an account's running episode, None for green."""
    if state.color == "green":
        return None
    name = state.playbook if state.playbook in playbooks.by_id else None
    # A playbook that was renamed since the onset is replaced by the one that answers the same reason now.
    return playbooks.by_id[name or playbooks.choose(state.color, state.reason or "unknown")]


def _rows(scored: pd.DataFrame) -> dict[str, dict[str, Any]]:
    chosen = scored[[column for column in ROW_COLUMNS if column in scored]].astype(object)
    chosen["as_of"] = pd.to_datetime(scored["as_of"]).dt.date
    known = chosen.where(chosen.notna(), None)
    names = list(known.columns)
    rows = (dict(zip(names, values, strict=True)) for values in known.itertuples(index=False, name=None))
    return {row["account_id"]: row for row in rows}


def _playbook_needs(
    rows: Mapping[str, Row], states: Mapping[str, HealthState], rules: ActionRules
) -> Iterator[Need]:
    for account_id, row in rows.items():
        state = states[account_id]
        plan = episode_of(state, rules.playbooks)
        if plan is None:
            continue
        playbook = plan.playbook
        yield Need(
            kind="playbook",
            account_id=account_id,
            playbook=plan.id,
            since=state.since,
            steps=playbook.steps,
            named=tuple(_named(step, row) for step in playbook.steps),
            why=_why(plan, row, state, rules.playbooks),
            because=state.because or "",
            arr=_number(row, "arr"),
            worth=_kept(row, playbook.keeps, playbook.hours),
            hold_out=_hold_out(row, playbook.hold_out, "risk", rules),
        )


def _checkpoint_needs(
    rows: Mapping[str, Row],
    states: Mapping[str, HealthState],
    renewals: Mapping[str, Renewal],
    rules: ActionRules,
) -> Iterator[Need]:
    for account_id, renewal in renewals.items():
        reached = renewal.reached
        if reached is None:
            continue
        row = rows[account_id]
        checkpoint = rules.renewals.file.checkpoints[str(reached.checkpoint)]
        steps = tuple(step.owned_by(renewal.owner_role) for step in checkpoint.steps)
        words = {
            "name": row.get("name") or account_id,
            "deadline": renewal.deadline,
            "standing": _standing(row, states[account_id], rules.playbooks),
        }
        yield Need(
            kind="checkpoint",
            account_id=account_id,
            playbook=f"{PREFIX}{reached.checkpoint}",
            since=renewal.renewal_on,
            steps=steps,
            named=tuple(
                (row.get("renewal_owner") if written.owner_role is None else None) or _named(step, row)
                for written, step in zip(checkpoint.steps, steps, strict=True)
            ),
            why=fill_fields(checkpoint.why, words),
            because=f"the {reached.checkpoint}-day checkpoint fell on {reached.falls_on}",
            arr=_number(row, "arr"),
            worth=_kept(row, checkpoint.keeps, checkpoint.hours),
        )


def _data_needs(
    rows: Mapping[str, Row], problems: Mapping[str, list[str]], renewals: Renewals
) -> Iterator[Need]:
    upkeep = renewals.file.data
    for account_id, says in problems.items():
        row = rows[account_id]
        yield Need(
            kind="renewal_data",
            account_id=account_id,
            playbook=DATA,
            since=row["as_of"],
            steps=(upkeep.step,),
            named=(_named(upkeep.step, row),),
            why=f"{row.get('name') or account_id}: {'; '.join(says)}.",
            because="; ".join(says),
            arr=_number(row, "arr"),
            worth=_kept(row, upkeep.keeps, upkeep.step.hours),
            waits=True,
            cool_down=timedelta(days=upkeep.cool_down_days),
        )


def _stage_needs(
    rows: Mapping[str, Row],
    states: Mapping[str, HealthState],
    asked: Mapping[str, Mapping[str, bool | None]],
    rules: ActionRules,
) -> Iterator[Need]:
    for name, (stage, task) in rules.stages.tasks.items():
        label = rules.stages.file.stages[stage].label
        for account_id, holds in asked[name].items():
            if not holds:
                continue
            row = rows[account_id]
            words = {
                "name": row.get("name") or account_id,
                "stage": label,
                "standing": _standing(row, states[account_id], rules.playbooks),
            }
            yield Need(
                kind="stage",
                account_id=account_id,
                playbook=name,
                since=row["as_of"],
                steps=task.steps,
                named=tuple(_named(step, row) for step in task.steps),
                why=fill_fields(task.why, words),
                because=f"in the stage {label}: {task.when}",
                arr=_number(row, "arr"),
                worth=_kept(row, task.keeps, task.hours),
                waits=True,
                cool_down=rules.stages.cool_down,
            )


def _trigger_need(row: Row, name: str, says: str, rules: ActionRules) -> Need:
    trigger = rules.triggers.by_id[name]
    low, high = LIFT_COUNTS
    lift = as_number(row.get("expansion_lift"))
    times = 1.0 if lift is None else min(max(lift, low), high)
    return Need(
        kind="trigger",
        account_id=row["account_id"],
        playbook=f"{TRIGGER}{name}",
        since=row["as_of"],
        steps=trigger.steps,
        named=tuple(_named(step, row) for step in trigger.steps),
        why=" ".join(f"{row.get('name') or row['account_id']}: {says} {trigger.why}".split()),
        because=says,
        arr=_number(row, "arr"),
        worth=_number(row, "arr") * trigger.adds * times / trigger.hours,
        waits=True,
        cool_down=rules.triggers.cool_down,
        hold_out=_hold_out(row, trigger.hold_out, "expansion_probability", rules),
    )


def _hold_out(row: Row, share: float, outcome: str, rules: ActionRules) -> HoldOut:
    spared = why_spared(row, share, rules.team)
    return HoldOut(
        share=0.0 if spared else share,
        spared=spared,
        expected=as_number(row.get(outcome)),
        arr=as_number(row.get("arr")),
    )


def _problems(scored: pd.DataFrame, renewals: Renewals, ahead: Mapping[str, Renewal]) -> dict[str, list[str]]:
    """Return what is wrong with the renewal data, by account; evergreen contracts have none to be wrong."""
    says = [problem.says for problem in renewals.file.data.problems.values()]
    true = judge(scored, renewals.conditions).to_numpy(dtype=bool, na_value=False)
    return {
        account_id: [said for said, holds in zip(says, row, strict=True) if holds]
        for account_id, row in zip(scored["account_id"], true, strict=True)
        if account_id in ahead and row.any()
    }


def _asked(scored: pd.DataFrame, rules: ActionRules) -> dict[str, dict[str, bool | None]]:
    """Return, for each stage task, the accounts in its stage and whether its condition holds there."""
    tasks = rules.stages.tasks
    answers = judge(scored, {name: rules.stages.condition_of(name) for name in tasks})
    return {
        name: {
            account_id: None if pd.isna(answer) else bool(answer)
            for account_id, here, answer in zip(
                scored["account_id"], scored["stage"] == stage, answers[name], strict=True
            )
            if here
        }
        for name, (stage, _) in tasks.items()
    }


def _named(step: Step, row: Row) -> str | None:
    column = NAMED_BY.get(step.owner_role)
    return row.get(column) if column else None


def _kept(row: Row, keeps: float, hours: float) -> float:
    """Expected ARR kept per hour: ARR at risk x the share the work keeps / the hours it takes."""
    return _number(row, "arr") * _number(row, "risk") * keeps / hours


def _number(row: Row, column: str) -> float:
    return as_number(row.get(column)) or 0.0


def _reason(row: Row, plan: Plan) -> str:
    """Return the latched reason in words: as the taxonomy labels it, else the playbook's title."""
    today = row.get("reason_label") if row.get("reason") == plan.reason else None
    return row.get("latched_label") or today or plan.playbook.title


def _standing(row: Row, state: HealthState, playbooks: Playbooks) -> str:
    """Say how the account stands: colour and reason, and whether it is likely to grow."""
    plan = episode_of(state, playbooks)
    grows = row.get("expansion_band") == "high"
    if plan is None:
        return "It is green and likely to grow." if grows else "It is green."
    return sentence(f"it is {state.color}: {_reason(row, plan)}") + (" It could grow, too." if grows else "")


def _why(plan: Plan, row: Row, state: HealthState, playbooks: Playbooks) -> str:
    # The reason was latched at the onset; evidence of another reason would not explain this action.
    today = row.get("reason") == plan.reason
    words = {
        "name": row.get("name") or row["account_id"],
        "color": state.color,
        "reason": _reason(row, plan),
        "evidence": sentence((row.get("evidence_says") if today else None) or state.because or ""),
        "because": state.because or "",
    }
    both = playbooks.file.growing_and_at_risk if row.get("expansion_band") == "high" else ""
    return fill_fields(f"{plan.playbook.why} {both}", words)
