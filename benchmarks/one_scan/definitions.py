"""The features that are timed, in the project's own vocabulary, and what a rival needs to know of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.one_scan.events import KINDS

from lifecycle_ml.matrix.feature import Feature, FeatureSet
from lifecycle_ml.matrix.measures import (
    Measure,
    change,
    count,
    days_since,
    distinct,
    own_past,
    present,
    slope,
    streak,
    total,
)

EVENTS = "usage_events"
WINDOWS = (7, 14, 28, 56, 84, 168)
CONDITIONS = {"all": None, "meaningful": "kind NOT IN ('admin', 'export')", "key": "kind = 'key'"}
MEANINGFUL = CONDITIONS["meaningful"]


@dataclass(frozen=True)
class Sum:
    """A count or a total of one window `[as_of - ago - days, as_of - ago)` under one of the conditions."""

    condition: str
    adds: bool
    days: int
    ago: int = 0

    @property
    def name(self) -> str:
        """What the feature is called."""
        moved = f"_ago_{self.ago}d" if self.ago else ""
        return f"{'quantity' if self.adds else 'events'}_{self.condition}_{self.days}d{moved}"

    @property
    def where(self) -> str | None:
        """The condition on a row, as SQL."""
        return ALL_CONDITIONS[self.condition]

    @property
    def measure(self) -> Measure:
        """The definition."""
        if self.adds:
            return total(EVENTS, "quantity", where=self.where, days=self.days, ago=self.ago)
        return count(EVENTS, where=self.where, days=self.days, ago=self.ago)


ALL_CONDITIONS = CONDITIONS | {f"kind_{kind}": f"kind = '{kind}'" for kind in KINDS}

_LAGS = tuple(
    Sum("meaningful", adds, days, ago)
    for days, times in ((7, (1, 2, 3)), (28, (1, 2, 3, 4, 5)))
    for ago in (days * k for k in times)
    for adds in (False, True)
)
ADDITIVE = (
    *(Sum(condition, adds, days) for condition in CONDITIONS for adds in (False, True) for days in WINDOWS),
    *_LAGS,
)
"""Counts and totals with and without conditions, six windows, and lag buckets."""
WIDE = (
    *(Sum(c, adds, days) for c in ALL_CONDITIONS for adds in (False, True) for days in WINDOWS),
    *_LAGS,
)
"""The same for every kind of event: as many additive features as a wide catalogue has."""

_events_28d = count(EVENTS, where=MEANINGFUL, days=28)
_quantity_28d = total(EVENTS, "quantity", where=MEANINGFUL, days=28)
_users_28d = distinct(EVENTS, "user_id", where=MEANINGFUL, days=28)

BEYOND_SUMS: dict[str, Measure] = {
    "users_28d": _users_28d,
    "users_84d": distinct(EVENTS, "user_id", where=MEANINGFUL, days=84),
    "features_28d": distinct(EVENTS, "feature", where=MEANINGFUL, days=28),
    "features_84d": distinct(EVENTS, "feature", where=MEANINGFUL, days=84),
    "active_days_28d": distinct(EVENTS, "happened_at", where=MEANINGFUL, days=28),
    "active_days_84d": distinct(EVENTS, "happened_at", where=MEANINGFUL, days=84),
    "days_since_last_use": days_since(EVENTS, where=MEANINGFUL, days=168),
    "quantity_slope_28d": slope(_quantity_28d, 6),
    "quantity_own_past_28d": own_past(_quantity_28d),
    "events_change_28d": change(_events_28d),
    "users_change_28d": change(_users_28d),
    "weeks_without_use": streak(1 - present(EVENTS, where=MEANINGFUL, days=7), 12),
}
"""What tiles of sums cannot answer, or what is calculated over several windows."""


def additive_features(sums: Sequence[Sum] = ADDITIVE) -> FeatureSet:
    """Return counts and totals as features."""
    return FeatureSet(tuple(_feature(one.name, one.measure) for one in sums))


def usage_features() -> FeatureSet:
    """Return the whole usage family: the sums, and everything beyond."""
    beyond = (_feature(name, measure) for name, measure in BEYOND_SUMS.items())
    return FeatureSet((*additive_features(), *beyond))


def _feature(name: str, measure: Measure) -> Feature:
    return Feature(
        name=name,
        value=measure,
        unit="things",
        null_means="unknown",
        direction="none",
        category="context",
        says="{value}",
    )
