"""Metrics of scored snapshots, each computed for many bootstrap draws at once.

A draw counts how often each account was drawn; a row weighs what its account counts. Rows are ordered once,
so that every ranking metric of a draw is a cumulative sum over that order. With all counts 1 a metric equals
scikit-learn's of the same name, and with counts as `sample_weight` likewise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle_ml.models.refit import LogisticRefit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

ACCEPTANCE = 6 / (6 + 14)
"""Mean share of churners an offer keeps: Beta(6, 14), Verbraken, Verbeke and Baesens 2013."""
INCENTIVE_SHARE = 0.05
"""Cost of an offer as a share of the account's value, Janssens et al. 2022 (B2Boost)."""
CONTACT_COST = 15.0
"""Cost of contacting one account, in the currency of its value; same source."""

_CLIP = float(np.finfo(np.float64).eps)
_LOGIT_CLIP = 1e-9


@dataclass(frozen=True)
class Sample:
    """Scored rows: outcome 0/1, probability, account as a code, and where known value and date."""

    y: Floats
    p: Floats
    account: NDArray[np.intp]
    n_accounts: int
    arr: Floats | None = None
    as_of: NDArray[Any] | None = None
    capacity: float = 0.1

    @cached_property
    def by_probability(self) -> Ordered:
        """Rows from the highest probability down."""
        return Ordered(self, self.p)

    @cached_property
    def by_expected_loss(self) -> Ordered:
        """Rows from the highest probability x ARR down, ranked within their date.

        A team works through one list per date, so the head of every date's list comes first.
        """
        assert self.arr is not None
        loss = self.p * self.arr
        return Ordered(self, loss if self.as_of is None else rank_within_date(loss, self.as_of))

    @cached_property
    def refit(self) -> LogisticRefit:
        """Outcomes on log-odds, intercept and slope free."""
        return LogisticRefit(self.y, self._logit, self.account, self.n_accounts, with_slope=True)

    @cached_property
    def shift(self) -> LogisticRefit:
        """Outcomes on log-odds, slope held at 1."""
        return LogisticRefit(self.y, self._logit, self.account, self.n_accounts, with_slope=False)

    @cached_property
    def _logit(self) -> Floats:
        clipped = np.clip(self.p, _LOGIT_CLIP, 1 - _LOGIT_CLIP)
        return np.asarray(np.log(clipped) - np.log1p(-clipped))

    @cached_property
    def sums(self) -> Floats:
        """Per account: rows, outcomes, probabilities, log loss and squared error. (accounts, 5)."""
        clipped = np.clip(self.p, _CLIP, 1 - _CLIP)
        loss = -(self.y * np.log(clipped) + (1 - self.y) * np.log1p(-clipped))
        terms = (np.ones_like(self.p), self.y, self.p, loss, (self.y - self.p) ** 2)
        totals = [np.bincount(self.account, term, self.n_accounts) for term in terms]
        return np.column_stack(totals)


def rank_within_date(key: Floats, as_of: NDArray[Any]) -> Floats:
    """Return the rank of each row within its date: the highest key 1, the lowest near 0; ties share."""
    return np.asarray(pd.Series(key).groupby(as_of).rank(pct=True).to_numpy(), dtype="float64")


class Ordered:
    """Rows of a sample from the highest key down; rows with one key are tied and cannot be told apart."""

    def __init__(self, sample: Sample, key: Floats) -> None:
        order = np.argsort(-key, kind="stable")
        ranked = key[order]
        starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        tie = np.cumsum(np.r_[False, ranked[1:] != ranked[:-1]])
        self.order = order
        self.account = sample.account[order]
        self.start = starts[tie]
        self.end = np.r_[starts[1:], len(ranked)][tie]
        self.events = np.flatnonzero(sample.y[order] == 1)
        self.events_before = np.r_[0, np.cumsum(sample.y[order] == 1)]


class Draws:
    """One block of draws over a sample; what several metrics need is computed once."""

    def __init__(self, sample: Sample, counts: Floats) -> None:
        self.sample = sample
        self.counts = counts

    @cached_property
    def sums(self) -> Floats:
        """Rows, outcomes, probabilities, log loss, squared error of each draw. (draws, 5)."""
        return np.asarray(self.counts.astype("float64") @ self.sample.sums)

    @cached_property
    def by_probability(self) -> Curves:
        """Cumulative sums by falling probability."""
        return Curves(self.sample.by_probability, self.counts)

    @cached_property
    def by_expected_loss(self) -> Curves:
        """Cumulative sums by falling probability x ARR."""
        return Curves(self.sample.by_expected_loss, self.counts)


class Curves:
    """Cumulative weights of one block of draws along one order."""

    def __init__(self, ordered: Ordered, counts: Floats) -> None:
        self.ordered = ordered
        self.weights = counts[:, ordered.account]
        self.rows = _cumulative(self.weights)
        self.event_weights = self.weights[:, ordered.events]
        self.events = _cumulative(self.event_weights)

    def events_through(self, position: NDArray[np.intp]) -> Floats:
        """Weight of the events among the first `position` rows. (draws, positions)."""
        return self.events[:, self.ordered.events_before[position]]

    def captured(self, share: float, values: Floats) -> Floats:
        """Share of the events' `values` found in the first `share` of the weight; ties count evenly."""
        gained = _cumulative(self.event_weights * values)
        target = share * self.rows[:, -1]
        position = np.array(
            [np.searchsorted(row, goal) for row, goal in zip(self.rows, target, strict=True)], dtype="intp"
        )
        row = np.clip(position - 1, 0, len(self.ordered.start) - 1)
        start, end = self.ordered.start[row], self.ordered.end[row]
        draw = np.arange(len(target))
        inside = _divide(target - self.rows[draw, start], self.rows[draw, end] - self.rows[draw, start])
        before = gained[draw, self.ordered.events_before[start]]
        after = gained[draw, self.ordered.events_before[end]]
        return _divide(before + inside * (after - before), gained[:, -1])


def auroc(draws: Draws) -> Floats:
    """Chance that an account that churned was ranked above one that stayed; ties count half."""
    curves, ordered = draws.by_probability, draws.sample.by_probability
    start, end = ordered.start[ordered.events], ordered.end[ordered.events]
    stayed = curves.rows[:, -1] - curves.events[:, -1]
    above = curves.rows[:, start] - curves.events_through(start)
    through = curves.rows[:, end] - curves.events_through(end)
    beaten = stayed[:, None] - (above + through) / 2
    return _divide((curves.event_weights * beaten).sum(axis=1), curves.events[:, -1] * stayed)


def average_precision(draws: Draws) -> Floats:
    """Precision averaged over recall, as scikit-learn's `average_precision_score`."""
    curves, ordered = draws.by_probability, draws.sample.by_probability
    end = ordered.end[ordered.events]
    precision = _divide(curves.events_through(end), curves.rows[:, end])
    found = (curves.event_weights * np.nan_to_num(precision)).sum(axis=1)
    return _divide(found, curves.events[:, -1])


def log_loss(draws: Draws) -> Floats:
    """Mean negative log-likelihood."""
    return draws.sums[:, 3] / draws.sums[:, 0]


def brier(draws: Draws) -> Floats:
    """Mean squared distance between probability and outcome."""
    return draws.sums[:, 4] / draws.sums[:, 0]


def observed_expected(draws: Draws) -> Floats:
    """Outcomes seen over outcomes expected; 1 is right on average, above 1 is too optimistic."""
    return _divide(draws.sums[:, 1], draws.sums[:, 2])


def calibration_slope(draws: Draws) -> Floats:
    """Slope of outcomes on log-odds: 1 is right, below 1 too extreme, above 1 too timid."""
    return draws.sample.refit.draw(draws.counts)[:, 1]


def calibration_intercept(draws: Draws) -> Floats:
    """Shift of the log-odds that makes them right on average, slope held at 1; 0 is right."""
    return draws.sample.shift.draw(draws.counts)[:, 0]


def top_decile_lift(draws: Draws) -> Floats:
    """Churn rate among the tenth with the highest probability over that of all."""
    captured = draws.by_probability.captured(0.1, np.ones(len(draws.sample.by_probability.events)))
    return np.asarray(captured / 0.1)


def expected_maximum_profit(draws: Draws) -> Floats:
    """Profit per row of offering to the best number of accounts from the top; each at its own value.

    EMPB of Janssens et al. 2022: an offered churner earns (1 - incentive) x value with the mean acceptance,
    an offered stayer costs the incentive, each contact costs its price. Offering to nobody earns 0.
    """
    sample, curves, ordered = draws.sample, draws.by_probability, draws.sample.by_probability
    assert sample.arr is not None
    earned = np.where(
        sample.y == 1,
        ACCEPTANCE * (1 - INCENTIVE_SHARE) * sample.arr - CONTACT_COST,
        -INCENTIVE_SHARE * sample.arr - CONTACT_COST,
    )[ordered.order]
    profit = np.cumsum(curves.weights * earned, axis=1)
    # Profit only rises where a churner is: no other place can be the best to stop at.
    stops = np.unique(ordered.end[ordered.events]) - 1
    best = profit[:, stops].max(axis=1, initial=0.0)
    return _divide(best, curves.rows[:, -1])


def arr_captured_at_capacity(draws: Draws) -> Floats:
    """Share of churned ARR on the lists of a team that can work on `capacity` of the accounts of each date.

    The list is ordered by probability x ARR: with a constant probability this is ranking by ARR alone.
    """
    sample, ordered = draws.sample, draws.sample.by_expected_loss
    assert sample.arr is not None
    return draws.by_expected_loss.captured(sample.capacity, sample.arr[ordered.order][ordered.events])


METRICS: dict[str, Callable[[Draws], Floats]] = {
    metric.__name__: metric
    for metric in (
        auroc,
        average_precision,
        log_loss,
        brier,
        calibration_slope,
        calibration_intercept,
        observed_expected,
        top_decile_lift,
        expected_maximum_profit,
        arr_captured_at_capacity,
    )
}
"""Every metric by name."""

NEED_BOTH_OUTCOMES = frozenset({"auroc", "calibration_slope", "calibration_intercept"})
NEED_EVENTS = frozenset(
    {"average_precision", "top_decile_lift", "expected_maximum_profit", "arr_captured_at_capacity"}
)
NEED_ARR = frozenset({"expected_maximum_profit", "arr_captured_at_capacity"})
NEED_SPREAD = frozenset({"calibration_slope"})


def _cumulative(weights: Floats) -> Floats:
    sums = np.zeros((weights.shape[0], weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def _divide(above: Floats, below: Floats) -> Floats:
    """Divide, with NaN where there is nothing to divide by."""
    quotient: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return quotient
