"""What accounts call for today: episodes of red and yellow, checkpoints, renewal data, stages, triggers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property, partial

import pandas as pd

from lifecycle_ml.actions.action import NAMED_BY, Kind, action_id_of
from lifecycle_ml.actions.by_account import Row, RowsByAccount, Terms
from lifecycle_ml.actions.checkpoints import DATA, PREFIX, Checkpoint, DatedCheckpoint, Renewal
from lifecycle_ml.actions.hold_out import why_spared
from lifecycle_ml.actions.judged import Judged, judge_all
from lifecycle_ml.actions.playbooks import Plan, Playbooks
from lifecycle_ml.actions.rulebook import ActionRules
from lifecycle_ml.actions.stages import START, Task, missing_fields, unmet
from lifecycle_ml.actions.steps import Step
from lifecycle_ml.actions.templates import fill_fields, sentence
from lifecycle_ml.actions.triggers import PREFIX as TRIGGER
from lifecycle_ml.health.inputs import as_number
from lifecycle_ml.health.state import HealthState

LIFT_COUNTS = (1 / 3, 3.0)
"""The expansion model speeds a task up or holds it back by no more than this."""

Words = Callable[[], tuple[str, str]]
"""Says why work is called for, and what brought it up. Most needs are open already: theirs is never asked."""


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
    itself keeps a need from coming twice. `told` gives `why` and `because`. `measured` gives `hold_out`, and
    is None for needs whose effect is not measured.
    """

    kind: Kind
    account_id: str
    playbook: str
    since: date
    steps: tuple[Step, ...]
    named: tuple[str | None, ...]
    told: Words = field(repr=False, compare=False)
    arr: float
    worth: float
    waits: bool = False
    cool_down: timedelta | None = None
    measured: Callable[[], HoldOut] | None = field(default=None, repr=False, compare=False)

    @property
    def why(self) -> str:
        """Why the work is called for, in words for whoever does it."""
        return self._words[0]

    @property
    def because(self) -> str:
        """What brought it up, for the ledger."""
        return self._words[1]

    @property
    def hold_out(self) -> HoldOut | None:
        """Whether the account may be held out of it, None where the effect is not measured."""
        return None if self.measured is None else self.measured()

    @cached_property
    def _words(self) -> tuple[str, str]:
        return self.told()

    def action_id(self, step: Step) -> str:
        """Return the id of the action for one of the steps."""
        return action_id_of(self.account_id, self.playbook, step.id, self.since)


@dataclass(frozen=True)
class Today:
    """What is known of every account today, judged once for all kinds of needs.

    `fired` holds the names of the triggers that fired, by account, whatever their path; `problems` what is
    wrong with the renewal data, in words; `asked` the stage tasks and whether their condition holds (None:
    cannot be told). `rows` and `renewals` are worked out for an account when they are asked for.
    """

    rows: Mapping[str, Row]
    renewals: Mapping[str, Renewal]
    fired: Mapping[str, frozenset[str]]
    problems: Mapping[str, list[str]]
    asked: Mapping[str, Mapping[str, bool | None]]
    needs: Sequence[Need]


def look_at(
    scored: pd.DataFrame,
    states: Mapping[str, HealthState],
    rules: ActionRules,
    about: Collection[str] = (),
) -> Today:
    """Judge the scored table by every rule. Grain of `needs`: one per account and thing called for.

    `about` are accounts whose row or renewal the caller will ask for, beside those that call for something:
    reading them with the others costs a fraction of reading them one by one.
    """
    ids = scored["account_id"].tolist()
    kept = [account_id in states for account_id in ids]
    if not all(kept):
        scored = scored[kept].reset_index(drop=True)
        ids = scored["account_id"].tolist()
    judged = judge_all(scored, rules)
    rows = RowsByAccount(scored, ids)
    terms = Terms(scored, rows, rules.renewals)
    due = terms.due()
    troubled = [at for at, account_id in enumerate(ids) if states[account_id].color != "green"]
    rows.read({*troubled, *due, *judged.called, *rows.places(about)})
    problems = {ids[at]: judged.problems_of(at) for at in judged.wrong if ids[at] in terms}
    needs = [
        *_playbook_needs((ids[at] for at in troubled), rows, states, rules),
        *_checkpoint_needs((ids[at] for at in due), rows, states, terms, rules),
        *_data_needs(rows, problems, rules),
        *_stage_needs(ids, judged, rows, states, rules),
        *_trigger_needs(ids, judged, rows, rules),
    ]
    fired = {ids[at]: names for at, names in judged.seen.fired.items()}
    asked = {
        name: dict(zip(map(ids.__getitem__, at), holds, strict=True))
        for name, (at, holds) in judged.asked.items()
    }
    return Today(rows, terms, fired, problems, asked, needs)


def episode_of(state: HealthState, playbooks: Playbooks) -> Plan | None:
    """Return the playbook of an account's running episode, None for green."""
    if state.color == "green":
        return None
    name = state.playbook if state.playbook in playbooks.by_id else None
    # A playbook that was renamed since the onset is replaced by the one that answers the same reason now.
    return playbooks.by_id[name or playbooks.choose(state.color, state.reason or "unknown")]


def _playbook_needs(
    troubled: Iterable[str], rows: Mapping[str, Row], states: Mapping[str, HealthState], rules: ActionRules
) -> Iterator[Need]:
    for account_id in troubled:
        row, state = rows[account_id], states[account_id]
        plan = episode_of(state, rules.playbooks)
        assert plan is not None, "a green account has no episode"
        playbook = plan.playbook
        yield Need(
            kind="playbook",
            account_id=account_id,
            playbook=plan.id,
            since=state.since,
            steps=playbook.steps,
            named=tuple(_named(step, row) for step in playbook.steps),
            told=partial(_playbook_words, plan, row, state, rules.playbooks),
            arr=_number(row, "arr"),
            worth=_kept(row, playbook.keeps, playbook.hours),
            measured=partial(_hold_out, row, playbook.hold_out, "risk", rules),
        )


def _checkpoint_needs(
    due: Iterable[str],
    rows: Mapping[str, Row],
    states: Mapping[str, HealthState],
    renewals: Mapping[str, Renewal],
    rules: ActionRules,
) -> Iterator[Need]:
    steps_of: dict[tuple[int, str], tuple[Step, ...]] = {}
    for account_id in due:
        renewal = renewals[account_id]
        reached = renewal.reached
        assert reached is not None, "it is due because a checkpoint was reached"
        row = rows[account_id]
        checkpoint = rules.renewals.file.checkpoints[str(reached.checkpoint)]
        key = (reached.checkpoint, renewal.owner_role)
        if key not in steps_of:
            steps_of[key] = tuple(step.owned_by(renewal.owner_role) for step in checkpoint.steps)
        steps = steps_of[key]
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
            told=partial(
                _checkpoint_words, checkpoint, renewal, reached, row, states[account_id], rules.playbooks
            ),
            arr=_number(row, "arr"),
            worth=_kept(row, checkpoint.keeps, checkpoint.hours),
        )


def _data_needs(
    rows: Mapping[str, Row], problems: Mapping[str, list[str]], rules: ActionRules
) -> Iterator[Need]:
    upkeep = rules.renewals.file.data
    for account_id, says in problems.items():
        row = rows[account_id]
        yield Need(
            kind="renewal_data",
            account_id=account_id,
            playbook=DATA,
            since=row["as_of"],
            steps=(upkeep.step,),
            named=(_named(upkeep.step, row),),
            told=partial(_data_words, row, says),
            arr=_number(row, "arr"),
            worth=_kept(row, upkeep.keeps, upkeep.step.hours),
            waits=True,
            cool_down=timedelta(days=upkeep.cool_down_days),
        )


def _stage_needs(
    ids: Sequence[str],
    judged: Judged,
    rows: Mapping[str, Row],
    states: Mapping[str, HealthState],
    rules: ActionRules,
) -> Iterator[Need]:
    for name, (stage, task) in rules.stages.tasks.items():
        label = rules.stages.file.stages[stage].label
        for at, holds in zip(*judged.asked[name], strict=True):
            if not holds:
                continue
            account_id = ids[at]
            row = rows[account_id]
            yield Need(
                kind="stage",
                account_id=account_id,
                playbook=name,
                since=row["as_of"],
                steps=task.steps,
                named=tuple(_named(step, row) for step in task.steps),
                told=partial(_stage_words, label, task, row, states[account_id], rules.playbooks),
                arr=_number(row, "arr"),
                worth=_kept(row, task.keeps, task.hours),
                waits=True,
                cool_down=rules.stages.cool_down,
            )


def _trigger_needs(
    ids: Sequence[str], judged: Judged, rows: Mapping[str, Row], rules: ActionRules
) -> Iterator[Need]:
    low, high = LIFT_COUNTS
    for at, name in judged.seen.tasks:
        trigger, row = rules.triggers.by_id[name], rows[ids[at]]
        lift = as_number(row.get("expansion_lift"))
        times = 1.0 if lift is None else min(max(lift, low), high)
        yield Need(
            kind="trigger",
            account_id=row["account_id"],
            playbook=f"{TRIGGER}{name}",
            since=row["as_of"],
            steps=trigger.steps,
            named=tuple(_named(step, row) for step in trigger.steps),
            told=partial(_trigger_words, judged, at, name, trigger.why, row),
            arr=_number(row, "arr"),
            worth=_number(row, "arr") * trigger.adds * times / trigger.hours,
            waits=True,
            cool_down=rules.triggers.cool_down,
            measured=partial(_hold_out, row, trigger.hold_out, "expansion_probability", rules),
        )


def _playbook_words(plan: Plan, row: Row, state: HealthState, playbooks: Playbooks) -> tuple[str, str]:
    return _why(plan, row, state, playbooks), state.because or ""


def _checkpoint_words(
    checkpoint: Checkpoint,
    renewal: Renewal,
    reached: DatedCheckpoint,
    row: Row,
    state: HealthState,
    playbooks: Playbooks,
) -> tuple[str, str]:
    words = {
        "name": row.get("name") or row["account_id"],
        "deadline": renewal.deadline,
        "standing": _standing(row, state, playbooks),
    }
    because = f"the {reached.checkpoint}-day checkpoint fell on {reached.falls_on}"
    return fill_fields(checkpoint.why, words), because


def _data_words(row: Row, says: Sequence[str]) -> tuple[str, str]:
    listed = "; ".join(says)
    return f"{row.get('name') or row['account_id']}: {listed}.", listed


def _stage_words(
    label: str, task: Task, row: Row, state: HealthState, playbooks: Playbooks
) -> tuple[str, str]:
    words = {
        "name": row.get("name") or row["account_id"],
        "stage": label,
        "standing": _standing(row, state, playbooks),
        "missing": missing_fields(row.get("handoff_missing")),
        "unmet": unmet(row.get(START)),
    }
    return fill_fields(task.why, words), f"in the stage {label}: {task.when}"


def _trigger_words(judged: Judged, at: int, name: str, why: str, row: Row) -> tuple[str, str]:
    says = judged.seen.says(at, name)
    return " ".join(f"{row.get('name') or row['account_id']}: {says} {why}".split()), says


def _hold_out(row: Row, share: float, outcome: str, rules: ActionRules) -> HoldOut:
    spared = why_spared(row, share, rules.team)
    return HoldOut(
        share=0.0 if spared else share,
        spared=spared,
        expected=as_number(row.get(outcome)),
        arr=as_number(row.get("arr")),
    )


def _named(step: Step, row: Row) -> str | None:
    column = NAMED_BY.get(step.owner_role)
    return row.get(column) if column else None


def _kept(row: Row, keeps: float, hours: float) -> float:
    """Expected ARR kept per hour: ARR at risk x the share the work keeps / the hours it takes."""
    return _number(row, "arr") * _number(row, "risk") * keeps / hours


def _number(row: Row, column: str) -> float:
    return as_number(row.get(column)) or 0.0


def reason_in_words(row: Row, plan: Plan) -> str:
    """Return the latched reason in words: as the taxonomy labels it, else the playbook's title."""
    today = row.get("reason_label") if row.get("reason") == plan.reason else None
    return row.get("latched_label") or today or plan.playbook.title


def _standing(row: Row, state: HealthState, playbooks: Playbooks) -> str:
    """Say how the account stands: colour and reason, and whether it is likely to grow."""
    plan = episode_of(state, playbooks)
    grows = row.get("expansion_band") == "high"
    if plan is None:
        return "It is green and likely to grow." if grows else "It is green."
    return sentence(f"it is {state.color}: {reason_in_words(row, plan)}") + (
        " It could grow, too." if grows else ""
    )


def _why(plan: Plan, row: Row, state: HealthState, playbooks: Playbooks) -> str:
    # The reason was latched at the onset; evidence of another reason would not explain this action.
    today = row.get("reason") == plan.reason
    words = {
        "name": row.get("name") or row["account_id"],
        "color": state.color,
        "reason": reason_in_words(row, plan),
        "evidence": sentence((row.get("evidence_says") if today else None) or state.because or ""),
        "because": state.because or "",
    }
    both = playbooks.file.growing_and_at_risk if row.get("expansion_band") == "high" else ""
    return fill_fields(f"{plan.playbook.why} {both}", words)
