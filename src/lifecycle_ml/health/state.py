"""The colour of an account as a state machine: quick to believe a fact, slow to believe a number.

Down   a listed fact at once; or risk over the enter limit in an unbroken run of publications that spans at
       least `min_days`. One reading over the limit changes nothing.
Up     risk under the exit limit in a run that spans `min_days` since the colour was entered, **and** every
       criterion of the playbook's way back met, **and** no fact that would hold the colour still true.
Latch  reason, playbook and the values criteria compare with are fixed when the colour turns. Turning from
       yellow to red is an onset of its own and latches anew; stepping down from red to yellow is not: it
       keeps the reason and the values of the onset and takes that reason's yellow playbook.
Nulls  a risk nobody knows neither begins nor breaks a run and turns nothing; a fact that cannot be told
       neither fires nor lets go; a criterion that cannot be told is not met.

Where rules serve, or a model is advisory, the risk is the churn rate the account's band had, held against the
same limits: a band that churns hardly more than the rest turns nobody yellow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from lifecycle_ml.conditions.evaluate import evaluate
from lifecycle_ml.health.config import HealthConfig, Turn
from lifecycle_ml.health.inputs import Past, remember
from lifecycle_ml.health.predicate import Predicate, applicable

Color = Literal["green", "yellow", "red"]
_RANK: dict[str, int] = {"green": 0, "yellow": 1, "red": 2}

RecoversWhen = Callable[[Color, str], tuple[Predicate, ...]]
ChoosePlaybook = Callable[[Color, str], str]


@dataclass(frozen=True)
class Runs:
    """Since when risk has been over or under each limit without a break; None: it is not."""

    over_red: date | None = None
    under_red: date | None = None
    over_yellow: date | None = None
    under_yellow: date | None = None


@dataclass(frozen=True)
class HealthState:
    """What is remembered of one account's health between publications.

    `since` is the as_of at which the colour was entered (for green: first seen or recovered), which is also
    the start of the episode its actions belong to. `because` says what turned it. `onset` holds the values
    that the way back compares with. `facts` are those true now, or true before and not known now.
    """

    color: Color
    since: date
    previous: Color | None = None
    reason: str | None = None
    playbook: str | None = None
    because: str | None = None
    onset: Mapping[str, float] = field(default_factory=dict)
    facts: tuple[str, ...] = ()
    runs: Runs = Runs()
    past: Past | None = None

    def to_json(self) -> str:
        """Return the state as one line of JSON; the same state gives the same text."""
        raw: dict[str, Any] = {
            "color": self.color,
            "since": self.since.isoformat(),
            "previous": self.previous,
            "reason": self.reason,
            "playbook": self.playbook,
            "because": self.because,
            "onset": dict(self.onset),
            "facts": list(self.facts),
            "runs": {key: value.isoformat() if value else None for key, value in vars(self.runs).items()},
            "past": self.past
            and {
                "older_on": self.past.older_on.isoformat(),
                "older": dict(self.past.older),
                "newer_on": self.past.newer_on.isoformat(),
                "newer": dict(self.past.newer),
            },
        }
        return json.dumps(raw, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> HealthState:
        """Read a state that `to_json` wrote."""
        raw = json.loads(text)
        runs = {key: date.fromisoformat(value) if value else None for key, value in raw["runs"].items()}
        past = raw["past"] and {
            key: date.fromisoformat(value) if key.endswith("_on") else value
            for key, value in raw["past"].items()
        }
        return cls(
            **(
                raw
                | {
                    "since": date.fromisoformat(raw["since"]),
                    "facts": tuple(raw["facts"]),
                    "runs": Runs(**runs),
                    "past": Past(**past) if past else None,
                }
            )
        )


@dataclass(frozen=True)
class _Reading:
    """One account today, as the machine sees it."""

    risk: float
    segment: str | None
    reason: str
    facts: Mapping[str, bool | None]
    value: Callable[[str], float | None]


def next_states(
    prior: Mapping[str, HealthState],
    scored: pd.DataFrame,
    config: HealthConfig,
    as_of: date,
    recovers_when: RecoversWhen,
    choose_playbook: ChoosePlaybook,
    base_rate: float,
) -> dict[str, HealthState]:
    """Return the state of every account of `scored` at `as_of`, in its order.

    `prior` are the states of the last publication before `as_of`; an account without one starts green, or at
    the colour its facts call for. `scored` is the scored table (columns `risk`, `reason`, `segment` where
    limits differ by it, and the features); facts and criteria on columns it lacks are left out.
    `base_rate` is that of the recipe's population, `recovers_when` and `choose_playbook` come from the
    playbooks.
    Raises: ConditionError for a fact whose values cannot be compared.
    """
    machine = _Machine(config, as_of, recovers_when, choose_playbook, base_rate, frozenset(scored.columns))
    return {
        account_id: machine.step(prior.get(account_id), reading)
        for account_id, reading in _readings(scored, config)
    }


class _Machine:
    def __init__(
        self,
        config: HealthConfig,
        as_of: date,
        recovers_when: RecoversWhen,
        choose_playbook: ChoosePlaybook,
        base_rate: float,
        columns: frozenset[str],
    ) -> None:
        self._config = config
        self._as_of = as_of
        self._choose_playbook = choose_playbook
        self._recovers_when = recovers_when
        self._criteria: dict[tuple[Color, str], tuple[Predicate, ...]] = {}
        self._columns = columns
        self._base_rate = base_rate
        self._turns: dict[str | None, dict[str, Turn]] = {}

    def step(self, prior: HealthState | None, reading: _Reading) -> HealthState:
        before = prior or HealthState(color="green", since=self._as_of)
        state = replace(
            before,
            runs=self._runs(before.runs, reading),
            facts=tuple(
                name
                for name, holds in reading.facts.items()
                if holds or (holds is None and name in before.facts)
            ),
            past=remember(
                before.past, partial(self._inputs, reading), self._as_of, self._config.file.trend_days
            ),
        )
        target, because = self._worst(state, reading)
        if _RANK[target] > _RANK[state.color]:
            return self._onset(state, target, because, reading)
        if state.color == "green":
            return state
        state = replace(state, onset=self._remembered(state, reading))
        lower = self._lowest(state, reading)
        if lower == state.color:
            return state
        if lower == "yellow":
            stepped = self._enter(state, lower)
            return replace(stepped, onset=self._remembered(stepped, reading))
        return self._enter(state, lower)

    def _inputs(self, reading: _Reading) -> Mapping[str, float]:
        return {
            name: value
            for name, entry in self._config.inputs.items()
            if (value := reading.value(entry.feature)) is not None
        }

    def _runs(self, runs: Runs, reading: _Reading) -> Runs:
        if np.isnan(reading.risk):
            return runs
        red, yellow = self._limit("red", reading), self._limit("yellow", reading)
        judged = (
            reading.risk >= red.enter,
            reading.risk < red.exit,
            reading.risk >= yellow.enter,
            reading.risk < yellow.exit,
        )
        since = (runs.over_red, runs.under_red, runs.over_yellow, runs.under_yellow)
        return Runs(
            *(start or self._as_of if holds else None for start, holds in zip(since, judged, strict=True))
        )

    def _spans(self, start: date | None, since: date | None = None) -> bool:
        begun = start if since is None or start is None else max(start, since)
        return begun is not None and (self._as_of - begun).days >= self._config.min_days

    def _worst(self, state: HealthState, reading: _Reading) -> tuple[Color, str]:
        """Return the worst colour today's evidence calls for, and the evidence in words."""
        runs: tuple[tuple[Color, date | None], ...] = (
            ("red", state.runs.over_red),
            ("yellow", state.runs.over_yellow),
        )
        for color, over in runs:
            fact = next((name for name in state.facts if self._config.facts[name].color == color), None)
            if fact is not None:
                return color, self._config.facts[fact].says
            if self._spans(over) and self._is_over(color, reading):
                return color, self._words(color, over, reading)
        return "green", ""

    def _is_over(self, color: str, reading: _Reading) -> bool:
        """Tell whether today's own reading is over the limit: an unknown risk must not complete a run."""
        return reading.risk >= self._limit(color, reading).enter

    def _words(self, color: str, since: date | None, reading: _Reading) -> str:
        limit = self._limit(color, reading).enter
        return (
            f"risk of churn {_percent(reading.risk)}, at or over the limit of {_percent(limit)} since {since}"
        )

    def _onset(self, state: HealthState, color: Color, because: str, reading: _Reading) -> HealthState:
        named = [
            self._config.facts[name].category
            for name in state.facts
            if self._config.facts[name].color == color and self._config.facts[name].category
        ]
        # A fact that turned the colour also says what the playbook must answer, whatever else the model saw.
        reason = named[0] if named else reading.reason
        entered = self._enter(replace(state, reason=reason, because=because, onset={}), color)
        return replace(entered, onset=self._remembered(entered, reading))

    def _enter(self, state: HealthState, color: Color) -> HealthState:
        if color == "green":
            return replace(
                state,
                color=color,
                since=self._as_of,
                previous=state.color,
                reason=None,
                playbook=None,
                because=None,
                onset={},
            )
        reason = state.reason or "unknown"
        return replace(
            state,
            color=color,
            since=self._as_of,
            previous=state.color,
            reason=reason,
            playbook=self._choose_playbook(color, reason),
        )

    def _remembered(self, state: HealthState, reading: _Reading) -> Mapping[str, float]:
        """Add today's value of what the way back compares with, where the onset has none.

        Beyond the onset itself this fills in what a changed playbook asks for later, which would otherwise
        be a criterion nobody can ever meet.
        """
        wanted = {
            column
            for predicate in self._way_back(state.color, state.reason)
            for column in predicate.remembers
        }
        today = {
            column: self._to_compare(state.color, column, value, reading)
            for column in sorted(wanted.difference(state.onset))
            if (value := reading.value(column)) is not None
        }
        return {**state.onset, **today} if today else state.onset

    def _to_compare(self, color: Color, column: str, value: float, reading: _Reading) -> float:
        """Return what a way back compares with: a risk no lower than where the colour is entered.

        Where a fact turned the colour the risk may have been low all along, and nine tenths of that is out of
        reach for an account whose risk was never the trouble.
        """
        return max(value, self._limit(color, reading).enter) if column == "risk" else value

    def _way_back(self, color: Color, reason: str | None) -> tuple[Predicate, ...]:
        key = (color, reason or "unknown")
        if key not in self._criteria:
            self._criteria[key] = applicable(self._recovers_when(*key), self._columns)
        return self._criteria[key]

    def _lowest(self, state: HealthState, reading: _Reading) -> Color:
        """Return the best colour the account has earned; never beyond a colour it has not earned to leave."""
        ladder: tuple[Color, ...] = ("red", "yellow") if state.color == "red" else ("yellow",)
        for color in ladder:
            under = state.runs.under_red if color == "red" else state.runs.under_yellow
            held = any(_RANK[self._config.facts[name].color] >= _RANK[color] for name in state.facts)
            if held or not self._is_under(color, reading) or not self._spans(under, state.since):
                return color
            checks = (
                predicate.check(reading.value(predicate.feature), state.onset)
                for predicate in self._way_back(color, state.reason)
            )
            if not all(check.met for check in checks):
                return color
        return "green"

    def _is_under(self, color: Color, reading: _Reading) -> bool:
        return reading.risk < self._limit(color, reading).exit

    def _limit(self, color: str, reading: _Reading) -> Turn:
        """Return where a colour turns for this account's segment."""
        segment = reading.segment
        if segment not in self._turns:
            colors: tuple[Literal["yellow", "red"], ...] = ("yellow", "red")
            self._turns[segment] = {
                each: self._config.limit(each, self._base_rate, segment) for each in colors
            }
        return self._turns[segment][color]


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"


def _readings(scored: pd.DataFrame, config: HealthConfig) -> list[tuple[str, _Reading]]:
    missing = config.unavailable(scored.columns)
    facts = {name: cond for name, cond in config.conditions.items() if f"facts.{name}" not in missing}
    answers = evaluate(facts, scored)
    fired = {name: [None if pd.isna(value) else bool(value) for value in answers[name]] for name in facts}
    numbers: dict[str, np.ndarray[Any, Any]] = {}

    def value_at(row: int, column: str) -> float | None:
        if column not in scored.columns:
            return None
        if column not in numbers:
            numbers[column] = pd.to_numeric(scored[column], errors="coerce").to_numpy(float, na_value=np.nan)
        value = float(numbers[column][row])
        return None if np.isnan(value) else value

    segments = scored["segment"] if "segment" in scored.columns else [None] * len(scored)
    return [
        (
            str(account_id),
            _Reading(
                risk=float("nan") if pd.isna(risk) else float(risk),
                segment=segment if isinstance(segment, str) else None,
                reason=reason if isinstance(reason, str) else "unknown",
                facts={name: values[row] for name, values in fired.items()},
                value=partial(value_at, row),
            ),
        )
        for row, (account_id, risk, segment, reason) in enumerate(
            zip(scored["account_id"], scored["risk"], segments, scored["reason"], strict=True)
        )
    ]
