"""The gate: whether a model may be served, and if not, what was seen and what would lift it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lifecycle_ml.errors import counted
from lifecycle_ml.models.evaluation import Interval
from lifecycle_ml.models.tiers import Tier
from lifecycle_ml.outcomes.recipe import Gate
from lifecycle_ml.promotion.colours import Colours
from lifecycle_ml.promotion.leaks import Suspect
from lifecycle_ml.promotion.recorded import RecordedReasons
from lifecycle_ml.promotion.stability import Stability


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
    stability: Stability | None = None
    """None where there are no reasons: expansion, the advisory tier, no workspace."""
    colours: Colours | None = None
    """Likewise for colours."""
    recorded: RecordedReasons | None = None
    """Reasons beside recorded ones, which the gate does not judge; None where none were recorded."""

    def to_json(self) -> dict[str, Any]:
        """Return what was shown of reasons and colours; null where it was not looked at."""
        return {
            "first_reason_unchanged": None if self.stability is None else self.stability.unchanged.to_json(),
            "colours": None if self.colours is None else self.colours.to_json(),
            "recorded_reasons": None if self.recorded is None else self.recorded.to_json(),
        }


def judge(shown: Shown, gate: Gate) -> tuple[Refusal, ...]:
    """Return every rule that is not met; none means the model may be served."""
    refusals = [*_leaks(shown, gate), *_events(shown, gate)]
    if shown.tier.name != "insufficient" and shown.cutoffs:
        refusals += [*_skill(shown, gate), *_calibration(shown, gate)]
        refusals += [*_stability(shown, gate), *_colours(shown, gate)]
    return tuple(refusals)


def _leaks(shown: Shown, gate: Gate) -> list[Refusal]:
    found = [
        Refusal(
            "leakage_suspect",
            f"{suspect.says}{_behind(suspect)}",
            suspect.needs
            or f"to find out when {suspect.feature} is known, then mend its clock or name it in the recipe's "
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


def _behind(suspect: Suspect) -> str:
    return f" [{suspect.feature} from {', '.join(suspect.columns)}]" if suspect.columns else ""


def _events(shown: Shown, gate: Gate) -> list[Refusal]:
    tier = shown.tier
    had = counted(tier.accounts, f"{tier.outcome} account")
    if tier.name == "insufficient":
        needs = []
        if tier.more_needed:
            needs.append(counted(tier.more_needed, f"more {tier.outcome} account"))
        if tier.days_needed:
            needs.append(f"{counted(tier.days_needed, 'more day')} of history")
        return [Refusal("too_few_events", had, " and ".join(needs))]
    if not shown.cutoffs:
        return [
            Refusal(
                "too_few_events",
                f"{had}, but no date with history enough to test on",
                "more history: a cut-off needs training dates whose labels were known before its test dates",
            )
        ]
    if shown.events < gate.min_events:
        return [
            Refusal(
                "too_few_events",
                f"{counted(shown.events, f'{tier.outcome} account')} among the out-of-time rows",
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


def _stability(shown: Shown, gate: Gate) -> list[Refusal]:
    found = shown.stability
    if found is None or found.unchanged.value >= gate.min_stability:
        return []
    return [
        Refusal(
            "unstable_reasons",
            f"first reason unchanged under refit for {_percent(found.unchanged)} of the readings of "
            f"{counted(found.accounts, 'red account')}",
            f"at least {gate.min_stability:.0%} (min_stability): more churned accounts, or fewer features "
            "that repeat each other across categories (leave_out)",
        )
    ]


def _colours(shown: Shown, gate: Gate) -> list[Refusal]:
    found = shown.colours
    if found is None:
        return []
    where = f"over {found.dates} out-of-time dates"
    beyond = f", by more than {gate.min_colour_gain:.0%} of it" if gate.min_colour_gain else ""
    refusals = []
    for name, gain, caught, share, capacity in (
        ("red", found.gain, found.caught, found.red, gate.red_capacity),
        ("red and yellow", found.gain_flagged, found.caught_flagged, found.flagged, gate.flagged_capacity),
    ):
        if not gain.value > gate.min_colour_gain:
            refusals.append(
                Refusal(
                    "colour_bar",
                    f"{name} accounts ({share:.1%} of readings; the worst {capacity:.0%} of each date count) "
                    f"catch {_percent(caught)} of churn, {_percent(gain, signed=True)} beside {found.rule} "
                    f"at equal numbers, {where}",
                    f"more churn caught than by {found.rule}{beyond} (min_colour_gain): a better model, or "
                    "other limits in serving/health.toml (`lifecycle health tune` looks for them)",
                )
            )
    if not found.odds.value >= gate.min_red_odds:
        refusals.append(
            Refusal(
                "colour_bar",
                f"odds of churn among red accounts {_words(found.odds)} times the population's, {where}",
                f"at least {gate.min_red_odds:g} times (min_red_odds): a higher limit for red in "
                "serving/health.toml (`lifecycle health tune` looks for one)",
            )
        )
    return refusals


def _percent(interval: Interval, *, signed: bool = False) -> str:
    if math.isnan(interval.value):
        return f"an unknown share ({interval.reason})"
    sign = "+" if signed else ""
    value, low, high = (
        f"{100 * number:{sign}.0f}%" for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"


def _words(interval: Interval, *, signed: bool = False) -> str:
    if math.isnan(interval.value):
        return f"unknown ({interval.reason})"
    sign = "+" if signed else ""
    if math.isnan(interval.low):
        return f"{interval.value:{sign}.3f} ({interval.reason})"
    return f"{interval.value:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"
