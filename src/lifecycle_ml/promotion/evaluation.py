"""What a challenger showed out of time: figures with their intervals, and why some are absent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from lifecycle_ml.models.encoding import Floats
from lifecycle_ml.models.evaluation import DaysOfWarning, Interval
from lifecycle_ml.models.expected_arr import AS_FITTED
from lifecycle_ml.outcomes.recipe import Recipe

CAPACITY = 0.1
"""Share of each date's accounts on a team's list, where nobody says otherwise."""
CALENDAR = "renewal_calendar"
RANDOM = "drawn_at_random"
WORKED_ON, LEFT_ALONE = "worked_on", "not_worked_on"
UNKNOWN = Interval(math.nan, math.nan, math.nan, "no out-of-time rows")


@dataclass(frozen=True)
class Group:
    """Some of the out-of-time rows: the model beside the rule with the best average precision there.

    metrics: the model's. rule: that rule's average precision. gain: the model's above it, paired. Where the
    group has too few accounts with the outcome there are only counts, and `reason` says so.
    """

    rows: int
    accounts: int
    accounts_with_outcome: int
    metrics: Mapping[str, Interval] = field(default_factory=dict)
    best_rule: str | None = None
    rule: Interval = UNKNOWN
    gain: Interval = UNKNOWN
    reason: str | None = None

    @property
    def worse(self) -> bool:
        """Whether the best rule orders this group better than the model, by the point of the difference."""
        return self.gain.value < 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        counts = {
            "rows": self.rows,
            "accounts": self.accounts,
            "accounts_with_outcome": self.accounts_with_outcome,
        }
        if self.reason is not None:
            return counts | {"reason": self.reason}
        return counts | {
            "metrics": plain(self.metrics),
            "best_rule": self.best_rule,
            "rule_average_precision": self.rule.to_json(),
            "gain": self.gain.to_json(),
        }


@dataclass(frozen=True)
class Evaluation:
    """What was seen out of time, at the headline horizon unless said otherwise; intervals by account.

    metrics: the model, cross-fitted. baselines: the same figures of each rule and of the logistic regression.
    gains: average precision above each of them, paired; the low end is the gate's one-sided bound.
    unseen: the model's figures with members that never saw the account. by_horizon: few figures per horizon.
    counts: rows, accounts, accounts with the outcome, cut-offs. skipped: rules not fitted, and why.
    segments: by segment, the largest first. groups: `renewing` (the contract in force ends inside the
    horizon) and `unseen_accounts`; where snapshots were worked on also `not_worked_on` and `worked_on`.
    deciles: as `decile_table`. capacity: as `capacity_table`, beside ranking
    by ARR alone (`arr`) and by renewal calendar x ARR (`calendar`), where `list_share` is the team's list.
    warning: days of warning of the model's list, the best rule's and one drawn at random. money: as
    `money_by_date`, ARR lost or (expansion) gained inside the horizon; money_ratio: over all dates.
    calibrators: log loss, and what it is above that of the calibration served, of each other calibration.
    shifts: as `calibration_shifts`. unmeasured: parts that are absent, and why.
    """

    metrics: Mapping[str, Interval]
    baselines: Mapping[str, Mapping[str, Interval]]
    gains: Mapping[str, Interval]
    unseen: Mapping[str, Interval]
    by_horizon: Mapping[int, Mapping[str, Interval]]
    counts: Mapping[str, int]
    skipped: Mapping[str, str]
    segments: Mapping[str, Group] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    deciles: pd.DataFrame | None = None
    capacity: pd.DataFrame | None = None
    list_share: float = CAPACITY
    warning: Mapping[str, DaysOfWarning] = field(default_factory=dict)
    money: pd.DataFrame | None = None
    money_ratio: Interval = UNKNOWN
    calibrators: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    shifts: Floats = field(default_factory=lambda: AS_FITTED)
    unmeasured: Mapping[str, str] = field(default_factory=dict)

    @property
    def worse_segments(self) -> tuple[str, ...]:
        """Segments in which the best rule orders accounts better than the model."""
        return tuple(name for name, group in self.segments.items() if group.worse)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "metrics": plain(self.metrics),
            "baselines": {name: plain(figures) for name, figures in self.baselines.items()},
            "gains": plain(self.gains),
            "unseen_accounts": plain(self.unseen),
            "by_horizon": {str(h): plain(figures) for h, figures in self.by_horizon.items()},
            "counts": dict(self.counts),
            "skipped": dict(self.skipped),
            "segments": {name: group.to_json() for name, group in self.segments.items()},
            "worse_segments": list(self.worse_segments),
            "groups": {name: group.to_json() for name, group in self.groups.items()},
            "deciles": _records(self.deciles),
            "capacity": _records(self.capacity),
            "list_share": self.list_share,
            "days_of_warning": {name: found.to_json() for name, found in self.warning.items()},
            "money": _records(self.money),
            "money_ratio": self.money_ratio.to_json(),
            "calibrators": {name: plain(figures) for name, figures in self.calibrators.items()},
            "unmeasured": dict(self.unmeasured),
        }


def plain(figures: Mapping[str, Interval]) -> dict[str, dict[str, float | str | None]]:
    """Return figures as plain values."""
    return {name: interval.to_json() for name, interval in figures.items()}


def say_worked_on(found: Mapping[str, int], evaluation: Evaluation, recipe: Recipe) -> str:
    """Say how many snapshots were worked on, what learning did with them, and the figures without them.

    found: snapshots, and those `treated` and `held_out`, as a bundle's data have them.
    """
    share = found["treated"] / found["snapshots"]
    alone = f" and {found['held_out']:,} left alone on purpose" if found["held_out"] else ""
    done = {
        "keep": "They are learned from as they came out",
        "leave_out": "What came of them is left out of learning and calibration",
    }[recipe.treated]
    says = (
        f"{found['treated']:,} of {found['snapshots']:,} snapshots ({share:.0%}) were worked on{alone}. "
        f"{done}: a saved account must not teach the model that such accounts stay by themselves."
    )
    group, name = evaluation.groups.get(LEFT_ALONE), "average_precision"
    if group is None or name not in group.metrics or name not in evaluation.metrics:
        return f"{says} Figures without them could not be measured."
    here, all_rows = group.metrics, evaluation.metrics
    return (
        f"{says} Without them average precision is {here[name].value:.3f} instead of "
        f"{all_rows[name].value:.3f}, the area under the curve {here['auroc'].value:.3f} instead of "
        f"{all_rows['auroc'].value:.3f}, and {here['observed_expected'].value:.2f} times what was "
        f"expected came about instead of {all_rows['observed_expected'].value:.2f}."
    )


def _records(table: pd.DataFrame | None) -> list[dict[str, Any]] | None:
    """Return rows as plain values: dates as text, None for what is not known."""
    if table is None:
        return None
    found = table.copy()
    for name in found:
        if found[name].dtype.kind == "M":
            found[name] = found[name].dt.date.astype(str)
    return [
        {
            str(name): None if isinstance(value, float) and math.isnan(value) else value
            for name, value in row.items()
        }
        for row in found.to_dict("records")
    ]
