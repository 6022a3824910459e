"""People who do a share of the work, each within the hours of a week."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from lifecycle_ml.actions.action import Action
from lifecycle_ml.actions.ledger import Complete, Dismiss, Snooze, Word
from lifecycle_ml.actions.team import Team
from lifecycle_ml.store.schema import ledger
from lifecycle_ml.store.store import Store

SHARE = 0.8
"""Part of their hours people get to."""
DISMISSED, SNOOZED = 0.05, 0.15
"""One action in twenty is dismissed; one in ten is put off for a week, once, and done after that."""
WEEK = timedelta(days=7)
WORKDAYS = 5


def work(store: Store, engine: sa.Engine, team: Team, now: datetime, step_days: int) -> Counter[str]:
    """Let everybody work from `now` to the next run; return what was said, by word.

    People take their work in the order of the queue and never the second before the first. A week's hours are
    spread over its workdays; where a run stands for a week or more, over that. What they do is drawn from the
    action's id, so that a year that was stopped goes on as it would have.
    """
    if step_days < WORKDAYS and now.weekday() >= WORKDAYS:
        return Counter()
    part = 1.0 if step_days >= WORKDAYS else min(1.0, (now.weekday() + step_days) / WORKDAYS)
    spent, put_off = _this_week(engine, now)
    left: dict[str, float] = {}
    stuck: set[str] = set()
    said: Counter[str] = Counter()
    for action in sorted(store.open_actions(), key=_place_in_queue):
        owner = action.owner
        if owner is None or owner in stuck or action.status not in ("open", "over_capacity"):
            continue
        if owner not in left:
            left[owner] = SHARE * part * team.hours(action.owner_role, owner) - spent[owner]
        word = _word(action, now, put_off)
        hours = action.hours if isinstance(word, Complete) else 0.0
        if hours > left[owner] + 1e-9:
            stuck.add(owner)
            continue
        store.tell(action.action_id, word, owner, now)
        left[owner] -= hours
        said[type(word).__name__.lower()] += 1
    return said


def _place_in_queue(action: Action) -> tuple[float, str]:
    return -(action.arr_kept_per_hour or 0.0), action.action_id


def _word(action: Action, now: datetime, put_off: set[str]) -> Word:
    drawn = int(hashlib.sha256(action.action_id.encode()).hexdigest()[:8], 16) / 16**8
    if drawn < DISMISSED:
        return Dismiss("not the right moment for this customer")
    if drawn < SNOOZED and action.action_id not in put_off:
        return Snooze(now + WEEK)
    return Complete("done")


def _this_week(engine: sa.Engine, now: datetime) -> tuple[dict[str, float], set[str]]:
    """Return the hours everybody spent since Monday, and the actions that were ever put off."""
    monday = datetime.combine(now.date() - timedelta(days=now.weekday()), datetime.min.time())
    done: Any = sa.select(ledger.c.by, ledger.c.action).where(ledger.c.kind == "done", ledger.c.at >= monday)
    asleep = sa.select(ledger.c.action_id).where(ledger.c.kind == "snoozed")
    spent: dict[str, float] = defaultdict(float)
    with engine.connect() as connection:
        for by, action in connection.execute(done):
            spent[by] += action["hours"]
        put_off = set(connection.execute(asleep).scalars())
    return spent, put_off
