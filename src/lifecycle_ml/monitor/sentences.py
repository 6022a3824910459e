"""What was seen, in sentences: with numbers, sizes and dates, never a statistic alone."""

from __future__ import annotations

import math

from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.evaluation import Interval
from lifecycle_ml.monitor.config import Performance
from lifecycle_ml.monitor.drift import FeatureDrift
from lifecycle_ml.monitor.performance import Estimated, Realised
from lifecycle_ml.outcomes.recipe import Recipe


def percent(share: float) -> str:
    """Print a share; small ones with a decimal."""
    return f"{share:.1%}" if 0 < share < 0.0995 else f"{share:.0%}"


def money(amount: float) -> str:
    """Print an amount rounded to three digits: 4.12 million, 381,000."""
    if amount >= 1_000_000:
        return f"{amount / 1_000_000:.3g} million"
    digits = 3 - len(str(int(amount)))
    return f"{round(amount, min(digits, 0)):,.0f}"


def drift_says(drift: FeatureDrift, accounts: int) -> str:
    """Say where a feature moved, from how much to how much, and beyond which chance."""
    lean = "" if drift.lean <= 0 else f" ({percent(drift.lean)} of what the model leans on)"
    subject = "The risk" if drift.feature == "risk" else f"`{drift.feature}`{lean}"
    season = "" if math.isnan(drift.usual) else f"; single reference dates differ by up to {drift.usual:.2f}"
    return (
        f"{subject} is {drift.clearest} for {percent(drift.share_now)} of {accounts:,} accounts; in the "
        f"training snapshots it was for {percent(drift.share_then)}. PSI {drift.psi:.2f}, by chance at most "
        f"{drift.chance:.2f} at this size{season}."
    )


def realised_says(seen: Realised, recipe: Recipe) -> str:
    """Say what came true of earlier scores."""
    return (
        f"Of {seen.rows:,} scores given on {_dates(seen)}, {percent(seen.observed)} "
        f"{recipe.label.outcome} within "
        f"{seen.horizon_days} days; {percent(seen.expected)} were expected. AUROC "
        f"{_range(seen.auroc)}, observed "
        f"over expected {_range(seen.observed_expected)}; outcomes are final for snapshots through "
        f"{seen.known_through}."
    )


def auroc_says(seen: Realised, trained: float, bundle: Bundle, limits: Performance) -> str:
    """Say that the ranking is lost."""
    return (
        f"AUROC of scores given on {_dates(seen)} is {_range(seen.auroc)} ({seen.events} accounts with "
        "the outcome "
        f"within {seen.horizon_days} days); when version {bundle.version or 'now serving'} was trained "
        "it was "
        f"{trained:.2f}, and a drop of {limits.auroc_drop:.2f} is tolerated. Outcomes are final for "
        "snapshots "
        f"through {seen.known_through}."
    )


def calibration_says(seen: Realised, recipe: Recipe) -> str:
    """Say how outcomes contradict the probabilities."""
    return (
        f"Of {seen.rows:,} scores given on {_dates(seen)}, {percent(seen.observed)} "
        f"{recipe.label.outcome} within "
        f"{seen.horizon_days} days where {percent(seen.expected)} were expected: observed over expected "
        f"{_range(seen.observed_expected)}, calibration slope {_range(seen.calibration_slope)}. "
        "Outcomes are final "
        f"for snapshots through {seen.known_through}."
    )


def base_rate_says(seen: Realised, ahead: float, bundle: Bundle, high: int, accounts: int) -> str:
    """Say that bands and limits are multiples of a base rate that is no longer that of the book."""
    return (
        f"The base rate is {percent(bundle.base_rates[seen.horizon_days])} in {seen.horizon_days} "
        "days, but of "
        f"{seen.rows:,} snapshots on {_dates(seen)} {percent(seen.observed)} had the outcome, "
        f"{_range(seen.rate)} "
        f"times as many, as the scores expected ({percent(seen.expected)}); for today's accounts they expect "
        f"{percent(ahead)} in {bundle.headline} days. {high:,} of {accounts:,} accounts are in the "
        "high band. "
        f"Outcomes are final for snapshots through {seen.known_through}."
    )


def estimate_says(ahead: Estimated, trained: float | None, recipe: Recipe) -> str:
    """Say what the probabilities expect, and when the truth about it is known."""
    was = "" if trained is None else f"; {trained:.2f} when it was trained"
    return (
        f"Before outcomes are known: {ahead.events.value:.0f} ({ahead.events.low:.0f} to "
        f"{ahead.events.high:.0f}) of "
        f"{ahead.accounts:,} accounts are expected to have {recipe.label.outcome} within "
        f"{ahead.horizon_days} days, "
        f"with an AUROC of {_range(ahead.auroc)}{was}. It holds if the probabilities do; the truth is "
        "known on "
        f"{ahead.known_on}."
    )


def _dates(seen: Realised) -> str:
    first, last = seen.cohorts[0], seen.cohorts[-1]
    return f"{first}" if first == last else f"{len(seen.cohorts)} dates from {first} to {last}"


def _range(figure: Interval) -> str:
    if math.isnan(figure.value):
        return f"unknown ({figure.reason})"
    return f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"
