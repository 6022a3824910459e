"""The gate: whether a model may be served, and if not, what was seen and what would lift it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lifecycle_ml.models.evaluation import Interval
from lifecycle_ml.models.tiers import Tier
from lifecycle_ml.outcomes.recipe import Gate
from lifecycle_ml.promotion.leaks import Suspect


@dataclass(frozen=True)
class Refusal:
    """One rule that was not met: what was seen, and what it would take."""

    rule: str
    saw: str
    needs: str

    def to_json(self) -> dict[str, str]:
        """Return rule, saw and needs."""
        return {"rule": self.rule, "saw": self.saw, "needs": self.needs}


@dataclass(frozen=True)
class Shown:
    """What a model has shown out of time, as far as the gate asks.

    `gains` are the paired differences of average precision at the headline horizon over each rule, two-sided
    so that the low end is the one-sided bound the recipe asks for. `slope` and `observed_expected` are those
    of the cross-fitted probabilities. `events` are accounts with the outcome among the out-of-time rows.
    """

    tier: Tier
    cutoffs: int
    events: int
    gains: Mapping[str, Interval]
    slope: Interval
    observed_expected: Interval
    suspects: Sequence[Suspect] = ()
    as_of_today: Sequence[str] = ()
    """Inputs that rest on columns overwritten in place, where the recipe does not allow them."""


def judge(shown: Shown, gate: Gate) -> tuple[Refusal, ...]:
    """Return every rule that is not met; none means the model may be served."""
    refusals = [*_leaks(shown, gate), *_events(shown, gate)]
    if shown.tier.name != "insufficient" and shown.cutoffs:
        refusals += [*_skill(shown, gate), *_calibration(shown, gate)]
    return tuple(refusals)


def _leaks(shown: Shown, gate: Gate) -> list[Refusal]:
    found = [
        Refusal(
            "leakage_suspect",
            suspect.says,
            f"to find out when {suspect.feature} is known, then mend its clock or name it in the recipe's "
            f"leave_out (leak_auroc = {gate.leak_auroc:g})",
        )
        for suspect in shown.suspects
    ]
    if shown.as_of_today:
        names = ", ".join(shown.as_of_today)
        found.append(
            Refusal(
                "leakage_suspect",
                f"{names}: from columns that are overwritten in place, so the past reads as of today",
                "versions with known_at for these columns, or allow_as_of_today = true in the recipe",
            )
        )
    return found


def _events(shown: Shown, gate: Gate) -> list[Refusal]:
    tier = shown.tier
    if tier.name == "insufficient":
        needs = []
        if tier.more_needed:
            needs.append(f"{tier.more_needed} more {tier.outcome} accounts")
        if tier.days_needed:
            needs.append(f"{tier.days_needed} more days of history")
        return [Refusal("too_few_events", f"{tier.accounts} {tier.outcome} accounts", " and ".join(needs))]
    if not shown.cutoffs:
        return [
            Refusal(
                "too_few_events",
                f"{tier.accounts} {tier.outcome} accounts, but no date with history enough to test on",
                "more history: a cut-off needs training dates whose labels were known before its test dates",
            )
        ]
    if shown.events < gate.min_events:
        return [
            Refusal(
                "too_few_events",
                f"{shown.events} {tier.outcome} accounts among the out-of-time rows",
                f"{gate.min_events - shown.events} more (min_events = {gate.min_events})",
            )
        ]
    return []


def _skill(shown: Shown, gate: Gate) -> list[Refusal]:
    bound = f"{100 * gate.level:g}% lower bound of the gain above {gate.min_gain:g} over every rule"
    return [
        Refusal("no_skill", f"average precision against {name}: {_words(gain, signed=True)}", bound)
        for name, gain in shown.gains.items()
        if not gain.low > gate.min_gain
    ]


def _calibration(shown: Shown, gate: Gate) -> list[Refusal]:
    return [
        Refusal(
            "calibration",
            f"{label} {_words(interval)}",
            f"an interval that touches [{low:g}, {high:g}]",
        )
        for label, interval, low, high in (
            ("calibration slope", shown.slope, gate.slope_low, gate.slope_high),
            (
                "observed over expected outcomes",
                shown.observed_expected,
                gate.observed_expected_low,
                gate.observed_expected_high,
            ),
        )
        if not (interval.high >= low and interval.low <= high)
    ]


def _words(interval: Interval, *, signed: bool = False) -> str:
    if math.isnan(interval.value):
        return f"unknown ({interval.reason})"
    sign = "+" if signed else ""
    return f"{interval.value:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"
