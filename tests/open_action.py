"""An action as a rule opens it, for tests that let somebody do something with one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from lifecycle_ml.actions.action import Action


def open_action(now: datetime, **changes: Any) -> Action:
    """Return an open action of Dana's, due in two days and escalated in three, but for the changes."""
    action = Action(
        action_id="act_1",
        account_id="A",
        playbook="champion_left_red",
        step="find_successor",
        title="Ask who takes over",
        owner_role="csm",
        owner="Dana",
        opened_at=now,
        due_at=now + timedelta(days=2),
        why="the champion left",
        escalates_to="cs_lead",
        escalates_at=now + timedelta(days=3),
        status="open",
        arr_kept_per_hour=100.0,
        hours=1.0,
    )
    return replace(action, **changes)
