"""Needs become work: a pure function from today's accounts and open actions to events.

All steps of a playbook are opened together at the onset, each with its own due date counted from then: a
CRM shows the whole plan, and no step waits unseen for another to be ticked off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import pandas as pd

from lifecycle_ml.actions.action import (
    HOLD_OUT,
    LIVE,
    Action,
    ActionEvent,
    Assignment,
    action_id_of,
    is_review,
)
from lifecycle_ml.actions.desk import Desk
from lifecycle_ml.actions.hold_out import draw, why_spared
from lifecycle_ml.actions.needs import Need, Today, episode_of, look_at
from lifecycle_ml.actions.reviews import Reviews
from lifecycle_ml.actions.rulebook import ActionRules
from lifecycle_ml.actions.steps import Step
from lifecycle_ml.actions.triggers import PREFIX as TRIGGER
from lifecycle_ml.health.state import HealthState

_NO_STEP: Final = "the workspace no longer asks for this step"
_RANK: Final = {"playbook": 0, "checkpoint": 0, "renewal_data": 1, "stage": 1, "trigger": 2}
"""Keeping comes before upkeep, and upkeep before growing; within a rank the ARR kept per hour decides."""


def ended_in_episode(actions: Iterable[Action], states: Mapping[str, HealthState]) -> list[Action]:
    """Return the finished actions that still answer something.

    Of playbooks those of their account's running episode. Those of other kinds all pass: `plan_actions`
    knows by itself how long they count.
    """
    return [
        action
        for action in actions
        if action.status not in LIVE
        and (action.kind != "playbook" or _in_episode(action, states.get(action.account_id)))
    ]


def plan_actions(
    scored: pd.DataFrame,
    states: Mapping[str, HealthState],
    open_actions: Sequence[Action],
    recent: Sequence[Action],
    rules: ActionRules,
    now: datetime,
    salt: bytes = b"",
) -> list[ActionEvent]:
    """Return what must happen to actions now: closings, wakings, escalations, openings in order of worth.

    Closings:    an action whose need is gone: the account recovered, changed colour, is no longer a
                 customer; the renewal is signed or its date moved; the record is complete; the account left
                 the stage; the account turned red above an expansion task; its sign passed and it is late.
    Wakings:     a snoozed action whose time has come; it escalates the step's usual days later at soonest.
    Reviews:     one for each red account (yellow where its playbook asks for it) whose steps have all ended,
                 asleep until the evidence had its time: see `reviews.py`.
    Escalations: once per level, dated when the level fell due; a late run catches up on every level passed.
    Openings:    every step of the playbook of each yellow and red account and of each checkpoint reached, and
                 the work that can wait: renewal data, tasks of stages, tasks of triggers. Each need once:
                 nothing that is open or in `recent` is opened again in its episode or cool-down. Work that
                 does not fit into its owner's hours goes to the role's lead as `over_capacity`, with the same
                 due date; work that can wait stays unopened until somebody has the hours. Open work never
                 exceeds a week's hours of its owner. Red waits for no cool-down and no budget.
    Hold-outs:   of the accounts a playbook or trigger would be opened for, those drawn to measure its effect
    get
                 one action with status `held_out` instead, which lasts as long as the need; `salt` makes the
                 draw unguessable. The first event of each such need carries its assignment.

    `scored` is the scored table with reason_label, evidence_says and, where it is known, latched_label: the
    words for the reason of the running episode (all rows of one as_of); `states` may
    also hold accounts it lacks, whose contract lapsed a short while ago: their actions stay and escalate.
    `recent` holds finished actions: what `ended_in_episode` gives of those of the running episodes and those
    that ended within `rules.recall`, and all that ended within `rules.playbooks.cool_down`: for their account
    and reason yellow opens nothing.

    Planning again with the events applied gives no events. `now` is naive UTC.
    """
    asked = {one.account_id for one in open_actions if one.kind == "checkpoint" or one.status == "held_out"}
    today = look_at(scored, states, rules, asked)
    events: list[ActionEvent] = []
    kept: list[Action] = []
    for action in open_actions:
        because = _ended(action, states.get(action.account_id), today, rules, now)
        if because is None:
            kept.append(action)
        else:
            closed = replace(action, status="closed", escalates_at=None, snoozed_until=None)
            events.append(ActionEvent("closed", now, closed, because))
    ended = [*recent, *(event.action for event in events)]
    desk = Desk(rules.team, kept, ended, now)
    reviews = Reviews(scored, today, states, tuple(kept), ended, rules, now)
    for at, action in enumerate(kept):
        steps = [*_waking(action, desk, reviews, rules, now)]
        kept[at] = steps[-1].action if steps else action
        steps += _escalations(kept[at], rules, now)
        kept[at] = steps[-1].action if steps else action
        events.extend(steps)
    events.extend(reviews.begin())
    events.extend(_openings(today.needs, states, kept, ended, desk, rules, now, salt))
    return events


def _in_episode(action: Action, state: HealthState | None) -> bool:
    if state is None:
        return False
    return action.action_id == action_id_of(action.account_id, action.playbook, action.step, state.since)


def _ended(
    action: Action, state: HealthState | None, today: Today, rules: ActionRules, now: datetime
) -> str | None:
    """Return why an action's need is gone, None while it is not."""
    if state is None:
        return "the account is no longer a customer"
    if action.account_id not in today.rows:
        return None
    if action.status == "held_out" and state.color != "red":
        spared = why_spared(today.rows[action.account_id], _share(action, rules), rules.team)
        if spared is not None:
            return f"no longer held out: {spared}"
    match action.kind:
        case "playbook":
            return _episode_over(action, state, rules)
        case "checkpoint":
            return _term_over(action, today, rules)
        case "trigger":
            return _growth_over(action, state, today, rules, now)
        case "renewal_data":
            return None if action.account_id in today.problems else "nothing is missing any more"
        case "stage":
            return _stage_over(action, today, rules)


def _episode_over(action: Action, state: HealthState, rules: ActionRules) -> str | None:
    plan = episode_of(state, rules.playbooks)
    if plan is None:
        return f"recovered: green since {state.since}"
    if action.playbook == plan.id and _in_episode(action, state):
        return _no_longer_asked(action, rules)
    if not action.playbook.endswith(f"_{state.color}"):
        return f"the account turned {state.color} on {state.since}"
    return _NO_STEP


def _term_over(action: Action, today: Today, rules: ActionRules) -> str | None:
    renewal = today.renewals.get(action.account_id)
    if renewal is None:
        return "the contract no longer has an end"
    same_term = action.action_id == action_id_of(
        action.account_id, action.playbook, action.step, renewal.renewal_on
    )
    if not same_term:
        return f"the renewal date moved to {renewal.renewal_on}"
    if not renewal.checkpoints:
        return "nothing is left to prepare: the next contract is signed"
    return None if rules.step_of(action) else _NO_STEP


def _growth_over(
    action: Action, state: HealthState, today: Today, rules: ActionRules, now: datetime
) -> str | None:
    if state.color == "red":
        return f"the account turned red on {state.since}: it is kept before it is grown"
    if (gone := _no_longer_asked(action, rules)) is not None:
        return gone
    fired = today.fired.get(action.account_id, frozenset())
    ends = action.opened_at + rules.triggers.cool_down if action.status == "held_out" else action.due_at
    late = ends is not None and ends <= now
    if late and action.status == "held_out":
        return "the cool-down is over"
    # Ratios wobble around their limit: a sign that is gone for a day ends nothing that is still in time.
    if late and action.playbook.removeprefix(TRIGGER) not in fired:
        return "the sign has passed"
    return None


def _no_longer_asked(action: Action, rules: ActionRules) -> str | None:
    if action.status == "held_out":
        return None if _share(action, rules) > 0 else _NO_STEP
    return None if rules.step_of(action) else _NO_STEP


def _share(action: Action, rules: ActionRules) -> float:
    """Return the share the workspace holds out of what an action answers."""
    if action.kind == "trigger":
        trigger = rules.triggers.by_id.get(action.playbook.removeprefix(TRIGGER))
        return trigger.hold_out if trigger else 0.0
    plan = rules.playbooks.by_id.get(action.playbook)
    return plan.playbook.hold_out if plan else 0.0


def _stage_over(action: Action, today: Today, rules: ActionRules) -> str | None:
    if rules.step_of(action) is None:
        return _NO_STEP
    here = today.asked[action.playbook]
    if action.account_id not in here:
        stage, _ = rules.stages.tasks[action.playbook]
        return f"the account left the stage {rules.stages.file.stages[stage].label}"
    return "it is no longer called for" if here[action.account_id] is False else None


def _waking(
    action: Action, desk: Desk, reviews: Reviews, rules: ActionRules, now: datetime
) -> list[ActionEvent]:
    if action.status != "snoozed" or (action.snoozed_until is not None and action.snoozed_until > now):
        return []
    woke_at = action.snoozed_until or now
    if is_review(action.kind, action.step):
        later = reviews.postponed(action)
        if later is not None:
            return [later]
        action = reviews.woken(action)
    again = woke_at + timedelta(days=_escalates_after(action, rules))
    status = desk.wake(action)
    woken = replace(
        action,
        status=status,
        beyond_capacity=status == "over_capacity",
        snoozed_until=None,
        # Who is reminded after weeks needs a moment to act before somebody is told.
        escalates_at=None if action.escalates_at is None else max(action.escalates_at, again),
    )
    return [ActionEvent("woken", woke_at, woken, f"its time has come, as set: {woke_at:%Y-%m-%d %H:%M} UTC")]


def _escalations(action: Action, rules: ActionRules, now: datetime) -> list[ActionEvent]:
    events: list[ActionEvent] = []
    if action.status == "snoozed":
        return events
    days = _escalates_after(action, rules)
    while action.escalates_at is not None and action.escalates_to is not None and action.escalates_at <= now:
        told, at = action.escalates_to, action.escalates_at
        above = rules.team.roles[told].escalates_to if told in rules.team.roles else None
        action = replace(
            action,
            escalates_to=above or told,
            escalates_at=at + timedelta(days=days) if above else None,
        )
        events.append(ActionEvent("escalated", at, action, f"past due since {action.due_at}: told {told}"))
    return events


def _escalates_after(action: Action, rules: ActionRules) -> int:
    step = rules.step_of(action)
    # Only an account that has left the table keeps a step the workspace has dropped.
    return step.escalates_after_days if step else 7


def _openings(
    needs: Sequence[Need],
    states: Mapping[str, HealthState],
    kept: Sequence[Action],
    ended: Sequence[Action],
    desk: Desk,
    rules: ActionRules,
    now: datetime,
    salt: bytes,
) -> list[ActionEvent]:
    known = {action.action_id for action in (*kept, *ended)}
    held = held_back(needs, states, kept, ended, rules, now)
    opened = []
    for need in sorted(needs, key=lambda need: (_RANK[need.kind], -need.worth, need.account_id)):
        if (need.account_id, need.playbook) in held:
            continue
        steps = [
            (step, named)
            for step, named in zip(need.steps, need.named, strict=True)
            if need.action_id(step) not in known
        ]
        given = desk.give(need, steps) if steps else None
        assignment = None
        if given is not None and len(steps) == len(need.steps):
            assignment = _assign(need, known, salt, now)
        if given is not None and assignment is not None and assignment.arm == "held_out":
            desk.take_back(need, steps, given)
            opened.append(_held_out(need, assignment, rules))
            continue
        for (step, _), (owner, status) in zip(steps, given or (), strict=given is not None):
            due_at = now + timedelta(days=step.sla_days)
            action = Action(
                action_id=need.action_id(step),
                account_id=need.account_id,
                playbook=need.playbook,
                step=step.id,
                title=step.title,
                owner_role=step.owner_role,
                owner=owner,
                opened_at=now,
                due_at=due_at,
                why=need.why,
                escalates_to=rules.team.first_told(_above(step, rules), need.arr),
                escalates_at=due_at + timedelta(days=step.escalates_after_days),
                status=status,
                arr_kept_per_hour=round(need.worth, 2),
                kind=need.kind,
                hours=step.hours,
                beyond_capacity=status == "over_capacity",
            )
            opened.append(ActionEvent("opened", now, action, need.because, assignment=assignment))
            assignment = None
    return opened


def _assign(need: Need, known: set[str], salt: bytes, now: datetime) -> Assignment | None:
    """Return what is drawn for a need that would be opened now; None if nothing is to be drawn for it.

    A hold-out that somebody ended, or that the rules ended, is not drawn again in its episode.
    """
    told = need.hold_out
    if told is None or action_id_of(need.account_id, need.playbook, HOLD_OUT, need.since) in known:
        return None
    held = draw(salt, need.playbook, need.account_id, need.since) < told.share
    return Assignment(
        account_id=need.account_id,
        playbook=need.playbook,
        kind=need.kind,
        since=need.since,
        at=now,
        arm="held_out" if held else "offered",
        share=told.share,
        spared=told.spared,
        expected=told.expected,
        arr=told.arr,
    )


def _held_out(need: Need, assignment: Assignment, rules: ActionRules) -> ActionEvent:
    """Return the event of an account left alone: one action that says so, without due date and hours."""
    plan, first = rules.playbooks.by_id.get(need.playbook), need.steps[0]
    title = plan.playbook.title if plan else first.title
    action = Action(
        action_id=action_id_of(need.account_id, need.playbook, HOLD_OUT, need.since),
        account_id=need.account_id,
        playbook=need.playbook,
        step=HOLD_OUT,
        title=f"Held out, nothing is to be done: “{title}”",
        owner_role=first.owner_role,
        owner=need.named[0],
        opened_at=assignment.at,
        due_at=None,
        why=f"{assignment.share:.0%} of the accounts this work is meant for are left alone at random, so "
        f"that its effect can be measured. {need.why}",
        escalates_to=None,
        escalates_at=None,
        status="held_out",
        arr_kept_per_hour=None,
        kind=need.kind,
        hours=0.0,
    )
    return ActionEvent("held_out", assignment.at, action, need.because, assignment=assignment)


def _above(step: Step, rules: ActionRules) -> str:
    above = step.escalates_to or rules.team.roles[step.owner_role].escalates_to
    assert above is not None, "a step without anybody above it passed the check"
    return above


def held_back(
    needs: Sequence[Need],
    states: Mapping[str, HealthState],
    kept: Sequence[Action],
    ended: Sequence[Action],
    rules: ActionRules,
    now: datetime,
) -> dict[tuple[str, str], str]:
    """Return the (account, playbook) pairs of needs that must wait for a cool-down, each with the reason.

    Yellow waits after work for the same account and reason, of an earlier episode, ended; red never
    does. What has a cool-down of its own waits from the opening of the last such action, and while one is
    unfinished.
    """
    reasons = {
        (action.account_id, rules.playbooks.by_id[action.playbook].reason)
        for action in ended
        if action.kind == "playbook"
        and action.playbook in rules.playbooks.by_id
        and not _in_episode(action, states.get(action.account_id))
    }
    last: dict[tuple[str, str], datetime] = {}
    for action in (*kept, *ended):
        key = (action.account_id, action.playbook)
        last[key] = max(last.get(key, action.opened_at), action.opened_at)
    unfinished = {(action.account_id, action.playbook) for action in kept}
    held_out = {
        (
            action.account_id,
            action.playbook,
        ): f"held out since {action.opened_at:%Y-%m-%d} to measure the effect"
        for action in kept
        if action.status == "held_out"
    }
    held = {}
    for need in needs:
        key = (need.account_id, need.playbook)
        if key in held_out:
            held[key] = held_out[key]
        elif need.kind == "playbook":
            plan = rules.playbooks.by_id[need.playbook]
            if plan.color != "red" and (need.account_id, plan.reason) in reasons:
                days = rules.playbooks.file.cool_down_days
                held[key] = f"work for the same reason ended within the last {days} days"
        elif need.cool_down is not None:
            if key in unfinished:
                held[key] = f"the same work, opened on {last[key]:%Y-%m-%d}, is not finished"
            elif key in last and last[key] > now - need.cool_down:
                again = last[key] + need.cool_down
                held[key] = f"it was opened on {last[key]:%Y-%m-%d} and cools down until {again:%Y-%m-%d}"
    return held


__all__ = ["Action", "ActionEvent", "ended_in_episode", "plan_actions"]
