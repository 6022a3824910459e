"""How good scores are: every metric with an interval from a bootstrap over accounts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle_ml.errors import did_you_mean
from lifecycle_ml.models.metrics import (
    METRICS,
    NEED_ARR,
    NEED_BOTH_OUTCOMES,
    NEED_EVENTS,
    NEED_SPREAD,
    Draws,
    Sample,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_BLOCK_CELLS = 1_000_000  # draws x rows held at once: about 8 MB per array
_MIN_DRAWS_SHARE = 0.5


@dataclass(frozen=True)
class Interval:
    """A figure with its interval. NaN, with a reason, where the rows cannot tell."""

    value: float
    low: float
    high: float
    reason: str | None = None

    def to_json(self) -> dict[str, float | str | None]:
        """Return value, low and high, None for NaN; and the reason where there is one."""
        shown: dict[str, float | str | None] = {
            name: None if math.isnan(number) else number
            for name, number in (("value", self.value), ("low", self.low), ("high", self.high))
        }
        return shown | ({"reason": self.reason} if self.reason else {})


@dataclass(frozen=True)
class Bootstrap:
    """Metrics of one candidate on the rows themselves, and on draws of their accounts.

    refused: why a metric cannot be given. point, drawn: of the others, by name, the value and those of the
    draws. Two candidates on the same rows, seed and number of draws can be compared draw by draw.
    """

    refused: Mapping[str, str | None]
    point: Mapping[str, float]
    drawn: Mapping[str, NDArray[Any]]

    def intervals(self, level: float = 0.95) -> dict[str, Interval]:
        """Return each metric with its interval, NaN with the reason where the rows cannot give it."""
        return {
            name: _interval(self.point[name], self.drawn[name], level)
            if reason is None
            else Interval(math.nan, math.nan, math.nan, reason)
            for name, reason in self.refused.items()
        }

    def above(self, other: Bootstrap, metric: str, level: float = 0.95) -> Interval:
        """Return how much higher a metric is than the other's, paired draw by draw."""
        reason = self.refused[metric] or other.refused[metric]
        if reason is not None:
            return Interval(math.nan, math.nan, math.nan, reason)
        value = self.point[metric] - other.point[metric]
        return _interval(value, self.drawn[metric] - other.drawn[metric], level)


def bootstrap(
    y: ArrayLike,
    p: ArrayLike,
    groups: ArrayLike,
    arr: ArrayLike | None = None,
    seed: int = 0,
    draws: int = 1000,
    *,
    as_of: ArrayLike | None = None,
    capacity: float = 0.1,
    metrics: Iterable[str] | None = None,
) -> Bootstrap:
    """Measure probabilities on the rows and on every draw; arguments and errors as in `evaluate`."""
    names = _known(METRICS if metrics is None else metrics)
    sample = _sample(y, p, groups, arr, as_of, capacity)
    refused = {name: _reason(name, sample) for name in names}
    wanted = [name for name in names if refused[name] is None]
    once = Draws(sample, np.ones((1, sample.n_accounts)))
    drawn: dict[str, list[NDArray[Any]]] = {name: [] for name in wanted}
    if wanted:
        for counts in bootstrap_counts(sample.n_accounts, len(sample.y), draws, seed):
            block = Draws(sample, counts)
            for name in wanted:
                drawn[name].append(_compute(name, block))
    return Bootstrap(
        refused,
        {name: float(_compute(name, once)[0]) for name in wanted},
        {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in drawn.items()},
    )


def evaluate(
    y: ArrayLike,
    p: ArrayLike,
    groups: ArrayLike,
    arr: ArrayLike | None = None,
    seed: int = 0,
    draws: int = 1000,
    *,
    as_of: ArrayLike | None = None,
    level: float = 0.95,
    capacity: float = 0.1,
    metrics: Iterable[str] | None = None,
) -> dict[str, Interval]:
    """Measure probabilities against outcomes.

    Shapes: one entry per row: `y` 0/1, `p` probability, `groups` account, `arr` its value, `as_of` its date.
    Accounts are drawn with replacement and with all their rows, for rows of one account are not independent:
    a bootstrap over rows understates the width. `level` is two-sided: the low end of 0.95 is a one-sided
    97.5% bound. `capacity` is the share of each date's accounts a team can work on; the share of churned ARR
    found by ranking on ARR alone is this metric of a constant `p`. Same seed, same draws.
    A figure the rows cannot give (no churn among them, no `arr`, …) is NaN with the reason, never an error.
    Raises: ValueError for lengths that differ, outcomes but 0 and 1, numbers that are no probabilities.
    """
    return bootstrap(
        y, p, groups, arr, seed, draws, as_of=as_of, capacity=capacity, metrics=metrics
    ).intervals(level)


def paired_difference(
    y: ArrayLike,
    p_a: ArrayLike,
    p_b: ArrayLike,
    groups: ArrayLike,
    metric: str = "average_precision",
    level: float = 0.95,
    seed: int = 0,
    draws: int = 1000,
    *,
    arr: ArrayLike | None = None,
    as_of: ArrayLike | None = None,
    capacity: float = 0.1,
) -> Interval:
    """Measure how much higher `metric` is for `p_a` than for `p_b`, on the same rows and the same draws.

    Shapes, `level` (two-sided), errors and NaN as in `evaluate`. For losses (log_loss, brier) a difference
    below 0 is in favour of a.
    """
    a, b = (
        bootstrap(y, p, groups, arr, seed, draws, as_of=as_of, capacity=capacity, metrics=[metric])
        for p in (p_a, p_b)
    )
    return a.above(b, metric, level)


def bootstrap_counts(n_accounts: int, n_rows: int, draws: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield blocks of draws, (draws in block, accounts): how often each account was drawn.

    Each draw has a random stream of its own, so that neither block size nor the number of draws changes it.
    """
    size = max(1, min(draws, _BLOCK_CELLS // max(1, n_rows)))
    streams = np.random.SeedSequence(seed).spawn(draws)
    for start in range(0, draws, size):
        block = streams[start : start + size]
        counts = np.empty((len(block), n_accounts), dtype="float32")
        for row, stream in enumerate(block):
            chosen = np.random.default_rng(stream).integers(0, n_accounts, n_accounts)
            counts[row] = np.bincount(chosen, minlength=n_accounts)
        yield counts


@dataclass(frozen=True)
class DaysOfWarning:
    """How long before it was too late accounts that churned stood on the list.

    median: days, over losses. shares: part of the losses warned of at least so many days before, among those
    looked at that early. losses: how many; by_notice: for how many of them the notice date counted. named:
    part of all accounts that were ever on the list; a list that changes often names more, and warns of more.
    """

    median: Interval
    shares: Mapping[int, Interval]
    losses: int = 0
    by_notice: int = 0
    named: float = math.nan

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "median": self.median.to_json(),
            "shares": {str(days): share.to_json() for days, share in self.shares.items()},
            "losses": self.losses,
            "by_notice": self.by_notice,
            "named": None if math.isnan(self.named) else self.named,
        }


def days_of_warning(
    groups: ArrayLike,
    as_of: ArrayLike,
    flagged: ArrayLike,
    churned_on: ArrayLike,
    *,
    notice_days: ArrayLike | None = None,
    within_days: int = 180,
    at_least: Sequence[int] = (30, 60, 90),
    seed: int = 0,
    draws: int = 1000,
    level: float = 0.95,
) -> DaysOfWarning:
    """Measure the days between the first warning and the last day on which notice could still be given.

    Shapes: one entry per row: account, date, whether the account was flagged then, first day without ARR
    (NaT where it stayed), days of notice its contract asks for (NaN: none known; the end itself counts then).
    Only dates in the last `within_days` before that day count as a warning; an account never flagged there
    had 0 days, one that no date of `as_of` looks at there is left out. A share counts only losses looked at
    at least so early, for others could not have been warned of in time. Intervals draw losses. NaN, with the
    reason, where there is no such loss.
    """
    ends = pd.to_datetime(pd.Series(np.asarray(churned_on)))
    notice = pd.Series(
        np.nan if notice_days is None else np.asarray(notice_days, dtype="float64"), ends.index
    )
    rows = pd.DataFrame(
        {
            "account": np.asarray(groups, dtype=object),
            "churned_on": ends,
            "left": (ends - pd.to_datetime(pd.Series(np.asarray(as_of)))).dt.days - notice.fillna(0.0),
            "flagged": np.asarray(flagged, dtype=bool),
            "by_notice": notice.notna(),
        }
    )
    named = float(rows.groupby("account")["flagged"].max().mean())
    rows = rows[(rows["left"] > 0) & (rows["left"] <= within_days)]
    if rows.empty:
        nothing = Interval(math.nan, math.nan, math.nan, "no account churned")
        return DaysOfWarning(nothing, dict.fromkeys(at_least, nothing), named=named)
    rows["warned"] = rows["left"].where(rows["flagged"], 0.0)
    losses = rows.groupby(["account", "churned_on"])[["warned", "left", "by_notice"]].max()
    warned, seen = (losses[name].to_numpy(dtype="float64") for name in ("warned", "left"))
    drawn = np.random.default_rng(seed).integers(0, len(warned), (draws, len(warned)))
    shares = {}
    for days in at_least:
        early = seen >= days
        if not early.any():
            reason = f"no account that churned was looked at {days} days before"
            shares[days] = Interval(math.nan, math.nan, math.nan, reason)
            continue
        in_time = (warned >= days)[drawn].sum(axis=1)
        looked_at = early[drawn].sum(axis=1)
        parts = np.divide(in_time, looked_at, out=np.full(draws, np.nan), where=looked_at > 0)
        shares[days] = _interval(float((warned >= days).sum() / early.sum()), parts, level)
    median = _interval(float(np.median(warned)), np.median(warned[drawn], axis=1), level)
    return DaysOfWarning(median, shares, len(losses), int(losses["by_notice"].sum()), named)


def _known(names: Iterable[str]) -> list[str]:
    listed = list(names)
    for name in listed:
        if name not in METRICS:
            raise ValueError(f"There is no metric {name!r}.{did_you_mean(name, METRICS)}")
    return listed


def _sample(
    y: ArrayLike,
    p: ArrayLike,
    groups: ArrayLike,
    arr: ArrayLike | None,
    as_of: ArrayLike | None,
    capacity: float,
) -> Sample:
    outcome, probability = np.asarray(y, dtype="float64"), np.asarray(p, dtype="float64")
    codes, accounts = pd.factorize(np.asarray(groups, dtype=object))
    value = None if arr is None else np.nan_to_num(np.asarray(arr, dtype="float64"))
    dates = None if as_of is None else np.asarray(as_of)
    for name, column in (("p", probability), ("groups", codes), ("arr", value), ("as_of", dates)):
        if column is not None and len(column) != len(outcome):
            raise ValueError(f"evaluate: y has {len(outcome)} rows, {name} has {len(column)}.")
    odd = ~np.isin(outcome, (0.0, 1.0))
    if odd.any():
        raise ValueError(f"evaluate: {int(odd.sum())} outcomes are neither 0 nor 1; leave out censored rows.")
    wrong = ~((probability >= 0) & (probability <= 1))
    if wrong.any():
        raise ValueError(f"evaluate: {int(wrong.sum())} values of p are no probabilities between 0 and 1.")
    if not 0 < capacity < 1:
        raise ValueError(f"evaluate: capacity is {capacity}; give a share between 0 and 1.")
    return Sample(outcome, probability, codes, len(accounts), value, dates, capacity)


def _reason(name: str, sample: Sample) -> str | None:
    rows, events = len(sample.y), int(sample.y.sum())
    if rows == 0:
        return "no rows"
    if name in NEED_ARR and sample.arr is None:
        return "no ARR given"
    if name in NEED_EVENTS | NEED_BOTH_OUTCOMES and events == 0:
        return f"no churn among {rows} rows"
    if name in NEED_BOTH_OUTCOMES and events == rows:
        return f"all {rows} rows churned"
    if name in NEED_SPREAD and np.ptp(sample.p) == 0:
        return "all probabilities are equal"
    return None


def _compute(name: str, draws: Draws) -> NDArray[Any]:
    return np.asarray(METRICS[name](draws), dtype="float64")


def _interval(value: float, draws: NDArray[Any], level: float) -> Interval:
    if math.isnan(value):
        return Interval(math.nan, math.nan, math.nan, "the rows do not determine it")
    usable = draws[np.isfinite(draws)]
    if len(usable) == 0 or len(usable) < _MIN_DRAWS_SHARE * len(draws):
        return Interval(value, math.nan, math.nan, f"only {len(usable)} of {len(draws)} draws have a value")
    low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))
