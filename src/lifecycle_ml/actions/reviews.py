"""A red account never without a next step: what follows where its playbook is done and it did not recover.

The run that finds every step of the running episode done or dismissed gives the evidence some days. Until
then the review sleeps: it has an owner and a date, and is nobody's work. On that day it wakes, unless the
account recovered before, which ends it, or is about to: then it looks again some days later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

import pandas as pd

from lifecycle_ml.actions.action import LIVE, Action, ActionEvent, action_id_of, is_review
from lifecycle_ml.actions.needs import Need, Today, reason_in_words
from lifecycle_ml.actions.playbooks import Plan
from lifecycle_ml.actions.rulebook import ActionRules
from lifecycle_ml.actions.templates import fill_fields, sentence
from lifecycle_ml.health.predicate import Check, applicable
from lifecycle_ml.health.state import HealthState
from lifecycle_ml.reasons.sentences import write_number

LOOKS_AGAIN: Final = timedelta(days=7)
"""After this an account that was about to recover, or has an open step again, is looked at again."""
_WAITING: Final = "Waiting for the evidence. "


class Reviews:
    """The reviews of one run. `kept` is what is unfinished, `ended` what ended in the running episodes."""

    def __init__(
        self,
        scored: pd.DataFrame,
        today: Today,
        states: Mapping[str, HealthState],
        kept: Sequence[Action],
        ended: Sequence[Action],
        rules: ActionRules,
        now: datetime,
    ) -> None:
        self._scored = scored
        self._today = today
        self._states = states
        self._live = {(each.account_id, each.playbook) for each in kept if not _is_review(each)}
        self._watched = {(each.account_id, each.playbook) for each in kept if _is_review(each)}
        self._kept = kept
        self._ended = ended
        self._rules = rules
        self._now = now

    def begin(self) -> Iterator[ActionEvent]:
        """Give each account whose steps have all ended a review, asleep until the evidence had its time."""
        review = self._rules.playbooks.file.review
        for need in self._today.needs:
            plan = self._rules.playbooks.by_id.get(need.playbook) if need.kind == "playbook" else None
            if plan is None or not plan.reviewed:
                continue
            key = (need.account_id, need.playbook)
            if key in self._live or key in self._watched:
                continue
            if any(need.action_id(step) not in self._known for step in need.steps):
                continue
            number = 1
            while _id(need, number) in self._known:
                number += 1
            days = review.after_days if number == 1 else review.repeat_days
            yield self._asleep(need, plan, number, self._now + timedelta(days=days))

    def postponed(self, action: Action) -> ActionEvent | None:
        """Return the event of a review that is to sleep on, though its time has come; None: it is to wake.

        The account is about to recover: only time is missing. Or a step was added to its playbook.
        """
        need = self._needs.get((action.account_id, action.playbook))
        if need is None or action.due_at is None:
            return None
        if (action.account_id, action.playbook) in self._live:
            because = "a step of the playbook is open again"
        elif self._recovers(need):
            because = "all criteria of the way back are met: only time is missing"
        else:
            return None
        later = self._now + LOOKS_AGAIN
        due_at = later + timedelta(days=self._rules.playbooks.file.review.sla_days)
        again = self._rules.playbooks.file.review.escalates_after_days
        put_off = replace(
            action,
            snoozed_until=later,
            due_at=due_at,
            escalates_at=None if action.escalates_to is None else due_at + timedelta(days=again),
            why=_WAITING + self._why(need),
        )
        return ActionEvent("snoozed", self._now, put_off, f"until {later:%Y-%m-%d %H:%M} UTC: {because}")

    def woken(self, action: Action) -> Action:
        """Return a review that wakes, with what is met and what was done as of today."""
        need = self._needs.get((action.account_id, action.playbook))
        if need is None:
            return replace(action, why=action.why and action.why.removeprefix(_WAITING))
        return replace(action, why=self._why(need), arr_kept_per_hour=round(need.worth, 2))

    def _asleep(self, need: Need, plan: Plan, number: int, until: datetime) -> ActionEvent:
        team = self._rules.team
        step = self._rules.review_step(plan, f"review_{number}")
        above = team.roles[step.owner_role].escalates_to
        due_at = until + timedelta(days=step.sla_days)
        action = Action(
            action_id=_id(need, number),
            account_id=need.account_id,
            playbook=need.playbook,
            step=step.id,
            title=step.title,
            owner_role=step.owner_role,
            owner=team.lead(plan.playbook.steps[0].owner_role)[1],
            opened_at=self._now,
            due_at=due_at,
            why=_WAITING + self._why(need),
            escalates_to=team.first_told(above, need.arr) if above else None,
            escalates_at=due_at + timedelta(days=step.escalates_after_days) if above else None,
            status="snoozed",
            arr_kept_per_hour=round(need.worth, 2),
            snoozed_until=until,
            kind="playbook",
            hours=step.hours,
        )
        because = f"every step has ended and the account is {plan.color}: it waits for the evidence"
        return ActionEvent("opened", self._now, action, because)

    @cached_property
    def _known(self) -> set[str]:
        return {action.action_id for action in (*self._kept, *self._ended)}

    @cached_property
    def _needs(self) -> dict[tuple[str, str], Need]:
        return {
            (need.account_id, need.playbook): need for need in self._today.needs if need.kind == "playbook"
        }

    @cached_property
    def _at(self) -> dict[str, int]:
        return {account_id: at for at, account_id in enumerate(self._scored["account_id"])}

    @cached_property
    def _done(self) -> dict[tuple[str, str], list[Action]]:
        found: dict[tuple[str, str], list[Action]] = {}
        for action in self._ended:
            found.setdefault((action.account_id, action.playbook), []).append(action)
        return found

    def _checks(self, need: Need) -> list[Check]:
        at, state = self._at[need.account_id], self._states[need.account_id]
        criteria = self._rules.playbooks.by_id[need.playbook].playbook.recovers_when
        return [
            each.check(_number(self._scored[each.feature].iloc[at]), state.onset)
            for each in applicable(criteria, self._scored.columns)
        ]

    def _recovers(self, need: Need) -> bool:
        """Tell whether nothing but time is missing for the account to leave its colour."""
        state = self._states[need.account_id]
        under = state.runs.under_red if state.color == "red" else state.runs.under_yellow
        return under is not None and not state.facts and all(each.met for each in self._checks(need))

    def _why(self, need: Need) -> str:
        state, row = self._states[need.account_id], self._today.rows[need.account_id]
        plan = self._rules.playbooks.by_id[need.playbook]
        ended = self._done.get((need.account_id, need.playbook), ())
        words = {
            "name": row.get("name") or need.account_id,
            "color": state.color,
            "since": state.since.isoformat(),
            "reason": reason_in_words(row, plan),
            "criteria": criteria_in_words(self._checks(need)),
            "done": self._done_in_words(need, ended),
        }
        return fill_fields(self._rules.playbooks.file.review.why, words)

    def _done_in_words(self, need: Need, ended: Sequence[Action]) -> str:
        by_id = {action.action_id: action for action in ended}
        mine = [by_id[name] for step in need.steps if (name := need.action_id(step)) in by_id]
        parts = []
        for status, verb in (("done", "Done"), ("dismissed", "Dismissed")):
            if titles := [action.title for action in mine if action.status == status]:
                parts.append(sentence(f"{verb}: {'; '.join(titles)}"))
        before = sum(_is_review(each) and each.action_id in self._rounds(need) for each in ended)
        if before:
            parts.append(f"Reviewed {'once' if before == 1 else f'{before} times'} before.")
        return " ".join(parts)

    def _rounds(self, need: Need) -> set[str]:
        found, number = set[str](), 1
        while (name := _id(need, number)) in self._known:
            found.add(name)
            number += 1
        return found


def what_follows(need: Need, own: Collection[Action], rules: ActionRules) -> tuple[str, ...]:
    """Say who decides how to go on, and when, where every step of a playbook ended; nothing before that.

    `own` are all actions of the account, finished ones too.
    """
    by_id = {action.action_id: action for action in own}
    steps = [by_id.get(need.action_id(step)) for step in need.steps]
    if any(step is None or step.status in LIVE for step in steps):
        return ()
    mine = (each for each in own if each.playbook == need.playbook and each.status in LIVE)
    review = next((each for each in mine if _is_review(each)), None)
    if review is not None:
        who = f"{review.owner} ({review.owner_role})"
        if review.snoozed_until is not None:
            return (f"waiting for the evidence until {review.snoozed_until:%Y-%m-%d}, owner {who}",)
        return (f"{who} decides how to go on, due {review.due_at:%Y-%m-%d}",)
    if not rules.playbooks.by_id[need.playbook].reviewed:
        return ("every step has ended, and the playbook asks for no review",)
    return ("every step has ended: the next run sets the day on which somebody decides how to go on",)


def criteria_in_words(checks: Sequence[Check]) -> str:
    """Say which criteria of a way back are not met, each with today's value."""
    missing = [check for check in checks if not check.met]
    if not checks:
        return "No criterion of its way back can be told."
    if not missing:
        return "Every criterion of its way back is met, and the risk or a fact still holds the colour."
    listed = "; ".join(f"{check.criterion} ({_now(check)})" for check in missing)
    return f"{len(missing)} of {len(checks)} criteria of its way back not met: {listed}."


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _now(check: Check) -> str:
    return "cannot be told" if check.now is None else f"now {write_number(check.now)}"


def _is_review(action: Action) -> bool:
    return is_review(action.kind, action.step)


def _id(need: Need, number: int) -> str:
    return action_id_of(need.account_id, need.playbook, f"review_{number}", need.since)
