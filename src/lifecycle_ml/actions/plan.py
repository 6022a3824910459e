"""Colours become work: a pure function from states and open actions to events.

All steps of a playbook are opened together at the onset, each with its own due date counted from then: a
CRM shows the whole plan, and no step waits unseen for another to be ticked off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from lifecycle_ml.actions.action import UNFINISHED, Action, ActionEvent, Status, action_id_of
from lifecycle_ml.actions.playbooks import Plan, Playbooks, Step
from lifecycle_ml.actions.team import Team
from lifecycle_ml.health.state import HealthState

__all__ = ["Action", "ActionEvent", "ended_in_episode", "plan_actions"]


def ended_in_episode(actions: Iterable[Action], states: Mapping[str, HealthState]) -> list[Action]:
    """Return the finished actions that belong to their account's running episode."""
    return [
        action
        for action in actions
        if action.status not in UNFINISHED
        and action.account_id in states
        and action.action_id
        == action_id_of(action.account_id, action.playbook, action.step, states[action.account_id].since)
    ]


def plan_actions(
    scored: pd.DataFrame,
    states: Mapping[str, HealthState],
    open_actions: Sequence[Action],
    recent: Sequence[Action],
    playbooks: Playbooks,
    team: Team,
    now: datetime,
) -> list[ActionEvent]:
    """Return what must happen to actions now: closings, then escalations, then openings in order of worth.

    Closings:    an action whose account recovered, changed colour, or is no longer a customer.
    Escalations: once per level, dated when the level fell due; a late run catches up on every level passed.
    Openings:    every step of the playbook of each yellow and red account that is neither open nor in
                 `recent`. Ordered by ARR kept per hour; what does not fit into its owner's hours goes to the
                 role's lead as `over_capacity`, with the same due date. Open work never exceeds a week's
                 hours of its owner.

    `scored` needs account_id, name, owner, arr, risk, reason, reason_label, evidence_says. `recent` holds the
    finished actions of running episodes (`ended_in_episode`), which are never opened twice, and those that
    ended within `playbooks.cool_down`: for their account and reason yellow opens nothing, red always does.
    Planning again with the events applied gives no events. `now` is naive UTC.
    """
    wanted = {account_id: _wanted(account_id, state, playbooks) for account_id, state in states.items()}
    events: list[ActionEvent] = []
    kept: list[Action] = []
    for action in open_actions:
        because = _ended(action, states.get(action.account_id), wanted)
        if because is None:
            kept.append(action)
        else:
            closed = replace(action, status="closed", escalates_at=None)
            events.append(ActionEvent("closed", now, closed, because))
    ended = [*recent, *(event.action for event in events)]
    for action in kept:
        events.extend(_escalations(action, playbooks, team, now))
    events.extend(_openings(scored, states, wanted, kept, ended, playbooks, team, now))
    return events


def _wanted(account_id: str, state: HealthState, playbooks: Playbooks) -> dict[str, tuple[Plan, Step]]:
    """Return the actions an account's running episode calls for, by id."""
    if state.color == "green":
        return {}
    name = state.playbook if state.playbook in playbooks.by_id else None
    # A playbook that was renamed since the onset is replaced by the one that answers the same reason now.
    plan = playbooks.by_id[name or playbooks.choose(state.color, state.reason or "unknown")]
    return {
        action_id_of(account_id, plan.id, step.id, state.since): (plan, step) for step in plan.playbook.steps
    }


def _ended(action: Action, state: HealthState | None, wanted: Mapping[str, Mapping[str, Any]]) -> str | None:
    if state is None:
        return "the account is no longer a customer"
    if action.action_id in wanted[action.account_id]:
        return None
    if state.color == "green":
        return f"recovered: green since {state.since}"
    if not action.playbook.endswith(f"_{state.color}"):
        return f"the account turned {state.color} on {state.since}"
    return "the playbook no longer asks for this step"


def _escalations(action: Action, playbooks: Playbooks, team: Team, now: datetime) -> list[ActionEvent]:
    plan = playbooks.by_id[action.playbook].playbook
    days = next(step.escalates_after_days for step in plan.steps if step.id == action.step)
    events = []
    while action.escalates_at is not None and action.escalates_to is not None and action.escalates_at <= now:
        told, at = action.escalates_to, action.escalates_at
        above = team.roles[told].escalates_to if told in team.roles else None
        action = replace(
            action,
            escalates_to=above or told,
            escalates_at=at + timedelta(days=days) if above else None,
        )
        events.append(ActionEvent("escalated", at, action, f"past due since {action.due_at}: told {told}"))
    return events


def _openings(
    scored: pd.DataFrame,
    states: Mapping[str, HealthState],
    wanted: Mapping[str, Mapping[str, tuple[Plan, Step]]],
    kept: Sequence[Action],
    ended: Sequence[Action],
    playbooks: Playbooks,
    team: Team,
    now: datetime,
) -> list[ActionEvent]:
    known = {action.action_id for action in (*kept, *ended)}
    cooling = _cooling(ended, wanted, playbooks)
    needs = [
        (account_id, action_id, plan, step)
        for account_id, calls in wanted.items()
        for action_id, (plan, step) in calls.items()
        if action_id not in known and (plan.color == "red" or (account_id, plan.reason) not in cooling)
    ]
    rows = _rows(scored, {account_id for account_id, *_ in needs})
    worth = {account_id: _worth(row, wanted[account_id]) for account_id, row in rows.items()}
    needs = [need for need in needs if need[0] in rows]
    needs.sort(key=lambda need: (-worth[need[0]], need[0]))  # stable: steps stay in their order
    desk = _Desk(team, kept, playbooks)
    opened = []
    for account_id, action_id, plan, step in needs:
        row, state = rows[account_id], states[account_id]
        owner, status = desk.give(step, row["owner"] if step.owner_role == "csm" else None)
        due_at = now + timedelta(days=step.sla_days)
        above = step.escalates_to or team.roles[step.owner_role].escalates_to
        assert above is not None, "a step without anybody above it passed the check"
        action = Action(
            action_id=action_id,
            account_id=account_id,
            playbook=plan.id,
            step=step.id,
            title=step.title,
            owner_role=step.owner_role,
            owner=owner,
            opened_at=now,
            due_at=due_at,
            why=_why(plan, row, state),
            escalates_to=team.first_told(above, _number(row["arr"])),
            escalates_at=due_at + timedelta(days=step.escalates_after_days),
            status=status,
            arr_kept_per_hour=round(worth[account_id], 2),
            hours=step.hours,
        )
        opened.append(ActionEvent("opened", now, action, state.because or ""))
    return opened


class _Desk:
    """Who has how many hours left. Open work counts against its owner until it is done."""

    def __init__(self, team: Team, kept: Sequence[Action], playbooks: Playbooks) -> None:
        self._team = team
        self._load: dict[str, float] = defaultdict(float)
        for action in kept:
            if action.owner is not None and action.status == "open":
                steps = playbooks.by_id[action.playbook].playbook.steps
                self._load[action.owner] += next(step.hours for step in steps if step.id == action.step)

    def give(self, step: Step, named: str | None) -> tuple[str, Status]:
        """Return owner and status; `named` is the person the account itself names."""
        people = [named] if named else [person.name for person in self._team.roles[step.owner_role].people]
        if not people:
            # Nobody holds the role: its lead does the work, which is not a matter of hours.
            return self._team.lead(step.owner_role), "open"
        owner = max(people, key=lambda person: self._free(step.owner_role, person))
        if step.hours > self._free(step.owner_role, owner):
            return self._team.lead(step.owner_role), "over_capacity"
        self._load[owner] += step.hours
        return owner, "open"

    def _free(self, role: str, person: str) -> float:
        return self._team.hours(role, person) - self._load[person]


def _cooling(
    ended: Sequence[Action],
    wanted: Mapping[str, Mapping[str, Any]],
    playbooks: Playbooks,
) -> set[tuple[str, str]]:
    """Return (account, reason) pairs for which something of an earlier episode ended a short while ago."""
    return {
        (action.account_id, playbooks.by_id[action.playbook].reason)
        for action in ended
        if action.playbook in playbooks.by_id and action.action_id not in wanted.get(action.account_id, {})
    }


def _rows(scored: pd.DataFrame, account_ids: set[str]) -> dict[str, dict[str, Any]]:
    columns = ["account_id", "name", "owner", "arr", "risk", "reason", "reason_label", "evidence_says"]
    chosen = scored.loc[scored["account_id"].isin(account_ids), columns]
    records: list[dict[str, Any]] = [
        {str(key): None if pd.isna(value) else value for key, value in row.items()}
        for row in chosen.to_dict("records")
    ]
    return {row["account_id"]: row for row in records}


def _worth(row: Mapping[str, Any], calls: Mapping[str, tuple[Plan, Step]]) -> float:
    """Expected ARR kept per hour: ARR at risk x the share the playbook keeps / the hours it takes."""
    plan, _ = next(iter(calls.values()))
    return _number(row["arr"]) * _number(row["risk"]) * plan.playbook.keeps / plan.playbook.hours


def _number(value: Any) -> float:
    return 0.0 if value is None else float(value)


def _why(plan: Plan, row: Mapping[str, Any], state: HealthState) -> str:
    # The reason was latched at the onset; evidence of another reason would not explain this action.
    today = row["reason"] == plan.reason
    text = plan.playbook.why.format(
        name=row["name"] or row["account_id"],
        color=state.color,
        reason=(row["reason_label"] if today else None) or plan.playbook.title,
        evidence=_sentence((row["evidence_says"] if today else None) or state.because or ""),
        because=state.because or "",
    )
    return " ".join(text.split())


def _sentence(text: str) -> str:
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
