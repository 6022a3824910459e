"""A small company for planning: rows of the scored table, and a book that keeps actions as the store does."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

import pandas as pd

from lifecycle_ml.actions.action import LIVE, UNFINISHED, Action, ActionEvent
from lifecycle_ml.actions.ledger import apply_word
from lifecycle_ml.actions.plan import ended_in_episode, plan_actions
from lifecycle_ml.actions.rulebook import load_action_rules
from lifecycle_ml.health.scored import SCORED_COLUMNS
from lifecycle_ml.health.state import HealthState
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.workspace import load_workspace, standard_root

WORKSPACE = load_workspace(standard_root())
FEATURES = load_features(WORKSPACE).names
RULES = load_action_rules(WORKSPACE, FEATURES)
DAY = date(2026, 6, 1)
TEXT = {name for name, kind in SCORED_COLUMNS.items() if kind == "text"}
CALM = {
    "name": "Acme",
    "segment": "mid",
    "owner": "Dana",
    "arr": 12_000.0,
    "risk": 0.1,
    "band": "low",
    "reason": "unknown",
    "reason_label": "No cause is clear enough to name",
    "evidence_says": None,
    "health": "green",
    "stage": "adoption",
    "tenure_days": 800,
    "activated": 1,
}


def row(account_id="A", as_of=DAY, **values):
    """One account of the scored table: green and calm but for `values`; every other feature is null."""
    empty = {name: (None if name in TEXT else float("nan")) for name in (*FEATURES, *SCORED_COLUMNS)}
    return {**empty, **CALM, "account_id": account_id, "as_of": pd.Timestamp(as_of), **values}


def table(*rows):
    """The scored table."""
    return pd.DataFrame(list(rows) or [row()])


def state(color="green", reason="champion_left", since=DAY):
    """The health of an account."""
    if color == "green":
        return HealthState(color="green", since=since)
    playbook = RULES.playbooks.choose(color, reason)
    because = "the champion left"
    return HealthState(color=color, since=since, reason=reason, playbook=playbook, because=because)


@dataclass
class Book:
    """Actions by id with the instant each last changed, and everything that happened to them."""

    actions: dict[str, Action] = field(default_factory=dict)
    changed: dict[str, datetime] = field(default_factory=dict)
    ledger: list[ActionEvent] = field(default_factory=list)

    def plan(self, scored, states, now, rules=RULES, salt=b"") -> list[ActionEvent]:
        """Plan as the nightly run does, without applying anything."""
        finished = [action for action in self.actions.values() if action.status not in LIVE]
        lately = [a for a in finished if self.changed[a.action_id] >= now - rules.playbooks.cool_down]
        recalled = [a for a in finished if self.changed[a.action_id] >= now - rules.recall]
        recent = {a.action_id: a for a in [*ended_in_episode([*finished, *recalled], states), *lately]}
        live = [action for action in self.actions.values() if action.status in LIVE]
        return plan_actions(scored, states, live, list(recent.values()), rules, now, salt)

    def run(self, scored, states, now=None, rules=RULES, salt=b"") -> list[ActionEvent]:
        """Plan and apply."""
        now = now or datetime.combine(scored["as_of"].iloc[0].date(), time(2))
        events = self.plan(scored, states, now, rules, salt)
        self.apply(events)
        return events

    def apply(self, events) -> None:
        """Keep what happened."""
        for event in events:
            self.actions[event.action.action_id] = event.action
            self.changed[event.action.action_id] = event.at
        self.ledger.extend(events)

    def tell(self, action, word, at) -> None:
        """Apply a person's word."""
        self.apply([apply_word(action, word, "dana", at)])

    @property
    def unfinished(self) -> list[Action]:
        """Open, over capacity and sleeping actions."""
        return [action for action in self.actions.values() if action.status in UNFINISHED]

    def of(self, kind) -> list[Action]:
        """All actions of a kind, finished ones too."""
        return [action for action in self.actions.values() if action.kind == kind]


def days_after(days, start=DAY):
    """A later day."""
    return start + timedelta(days=days)
