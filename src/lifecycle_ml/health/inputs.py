"""The ten health inputs of an account: state and trend of one feature each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from lifecycle_ml.health.config import HealthConfig, Input

Trend = Literal["improving", "steady", "declining", "unknown"]
MIN_TREND_DAYS = 7
"""Younger comparisons are noise: the trend stays unknown."""


@dataclass(frozen=True)
class Past:
    """The inputs' values at two earlier readings, the older one to compare with, the newer one to follow it.

    One remembered reading would be compared with itself right after it was renewed; two of them, renewed in
    turn, keep the comparison between half of and the whole `trend_days`.
    """

    older_on: date
    older: Mapping[str, float]
    newer_on: date
    newer: Mapping[str, float]


def remember(
    past: Past | None, values: Callable[[], Mapping[str, float]], as_of: date, trend_days: int
) -> Past:
    """Return what to compare with from `as_of` on; `values` gives today's, asked for only when needed."""
    if past is None:
        today = values()
        return Past(as_of, today, as_of, today)
    if (as_of - past.newer_on).days >= trend_days // 2:
        return Past(past.newer_on, past.newer, as_of, values())
    return past


def state_of(entry: Input, value: float | None) -> Literal["good", "watch", "poor", "unknown"]:
    """Return good, watch or poor by the input's thresholds; unknown for a null."""
    if value is None or math.isnan(value):
        return "unknown"
    sign = 1 if entry.better == "higher" else -1
    if sign * value >= sign * entry.good:
        return "good"
    if entry.poor is not None and sign * value <= sign * entry.poor:
        return "poor"
    return "watch"


def trend_of(entry: Input, value: float | None, then: float | None, days: int) -> Trend:
    """Return where the value went in `days`; unknown for nulls, short spans and calendar features."""
    if not entry.trend or days < MIN_TREND_DAYS or value is None or then is None:
        return "unknown"
    if math.isnan(value) or math.isnan(then):
        return "unknown"
    change = value - then
    if abs(change) <= entry.steady_within:
        return "steady"
    return "improving" if (change > 0) == (entry.better == "higher") else "declining"


def inputs_of(
    config: HealthConfig, row: Mapping[str, Any], past: Past | None, as_of: date
) -> list[dict[str, Any]]:
    """Return the ten inputs as they are served: name, state, value (None: not known), trend."""
    shown = []
    for name, entry in config.inputs.items():
        value = as_number(row.get(entry.feature))
        then = past.older.get(name) if past else None
        days = (as_of - past.older_on).days if past else 0
        shown.append(
            {
                "name": name,
                "state": state_of(entry, value),
                "value": plain_number(value),
                "trend": trend_of(entry, value, then, days),
            }
        )
    return shown


def as_number(value: Any) -> float | None:
    """Return a cell of the scored table as a number, None for every kind of null."""
    if value is None:
        return None
    number = float(value)
    return None if math.isnan(number) else number


def plain_number(value: float | None) -> float | int | None:
    """Return a number as JSON shows it best: whole numbers whole, others to six digits."""
    if value is None:
        return None
    return int(value) if value == int(value) else float(f"{value:.6g}")
