"""Which cause an account's facts speak for: how unusual they are, weighed by what leavers said.

The margin says how likely an account leaves; why is another question. Where facts go together the trees give
one of them the credit, so sums of contributions alone name the recorded cause of only a third of leavers.
Here each category's facts are compared with those of accounts that stayed, whoever got the credit:

    weight of a category = offset + mean over its features of (weight * surprise)
    surprise             = max(0, ln(1/2) - ln(share of accounts that stayed and stand at least as badly))

With each category's contributions added these are the log-odds of a conditional logit (McFadden 1974,
"Conditional logit analysis of qualitative choice behavior"), whose choices are the categories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from lifecycle_ml.models.block import Block, Matrix
from lifecycle_ml.models.encoding import Floats, Places, steps_of, sum_groups

USUAL_WEIGHT = 1.5
"""Weight of every feature where nothing, or too little, was recorded: what leavers of four simulated
companies gave, other ones than benchmarks report."""
PULL = 1.0
"""Strength of the pull of weights to the usual one, and of offsets to 0: one leaver's worth of curvature."""
FEWEST_LEAVERS = 50
"""Fewer leavers with a recorded cause teach nothing."""
FOLDS = 5
MEMBERS = 10
POINTS = 64
"""Values of a feature that are kept to compare with."""
RAREST = 1e-3
"""A value that no account that stayed had counts as one in a thousand."""


@dataclass(frozen=True)
class Tail:
    """How bad a value is: the share of accounts that stayed and stand at least as badly (ties count half)."""

    values: Floats
    shares: Floats

    @classmethod
    def fit(cls, stayed: Floats, points: int = POINTS) -> Tail | None:
        """Keep what interpolation needs of values of which higher is worse; None where too few are known."""
        known = np.sort(stayed[~np.isnan(stayed)])
        if len(known) < points:
            return None
        values = np.unique(known)
        if len(values) > points:
            # the worse, the denser: rare values tell most
            worse = 1 - np.geomspace(0.5, 1 / len(known), points - points // 4)
            share = np.concatenate([np.linspace(0, 0.5, points // 4, endpoint=False), worse])
            values = np.unique(np.quantile(known, share))
        better = np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
        return cls(values, 1 - better / (2 * len(known)))


@dataclass(frozen=True)
class Tails:
    """The tails of several features, each looked at by itself: one number of each is as quick as many.

    `points`, `shares` and `slopes` hold those of one feature after those of the other, from `starts` on; the
    slope of a line after a feature's last point is 0.
    """

    tails: tuple[Tail, ...]
    starts: npt.NDArray[np.intp]
    points: Floats
    shares: Floats
    slopes: Floats

    @classmethod
    def of(cls, tails: Sequence[Tail]) -> Tails:
        """Lay the tails out, one after the other."""
        slopes = [np.append(np.diff(each.shares) / np.diff(each.values), 0.0) for each in tails]
        lengths = np.array([len(each.values) for each in tails], dtype=np.intp)
        none = np.empty(0)
        return cls(
            tails=tuple(tails),
            starts=np.cumsum(lengths) - lengths,
            points=np.concatenate([none, *(each.values for each in tails)]),
            shares=np.concatenate([none, *(each.shares for each in tails)]),
            slopes=np.concatenate([none, *slopes]),
        )

    def surprise(self, values: Floats) -> Floats:
        """Return how surprising each value is in the bad direction, 0 up to the median and where unknown.

        values, and what is returned: (features, rows). Shares between two points lie on the line between
        them.
        """
        at = np.empty(values.shape, dtype=np.intp)
        worst = np.empty((len(values), 1))
        for place, tail in enumerate(self.tails):
            at[place] = tail.values.searchsorted(values[place], "right")
            worst[place] = tail.values[-1]
        before = at == 0
        at += self.starts[:, None] - 1 + before
        share = self.slopes[at] * (values - self.points[at]) + self.shares[at]
        share[before] = self.shares[at[before]]
        share[values > worst] = RAREST
        found = np.maximum(np.log(0.5) - np.log(np.maximum(share, RAREST)), 0.0)
        found[np.isnan(values)] = 0.0
        return np.asarray(found)


@dataclass(frozen=True)
class Weighed:
    """What the facts of each row say, in log-odds up to a constant a row.

    `values` (rows, features) by feature, offsets left out; `members` (members, rows, categories) by category,
    of which the mean over members is served.
    """

    features: tuple[str, ...]
    values: Floats
    members: Floats


@dataclass(frozen=True)
class Causes:
    """Weights of evidence, for features that have a direction and belong to a category.

    `signs`: +1 where more is worse, else -1. `place`: the category of each feature, as its place in
    `categories`. `weights` (members, features) and `offsets` (members, categories): one member for each draw
    of the leavers they were fitted to; one, the usual weight and no offset, where nothing was learned.
    `leavers`: accounts with a recorded cause that were learned from, 0 where none were.
    """

    categories: tuple[str, ...]
    features: tuple[str, ...]
    signs: tuple[int, ...]
    place: npt.NDArray[np.intp]
    tails: tuple[Tail, ...]
    weights: Floats
    offsets: Floats
    leavers: int = 0

    @classmethod
    def fit(
        cls,
        matrix: pd.DataFrame,
        stayed: npt.NDArray[np.bool_],
        cause: pd.Series,
        categories: Sequence[str],
        category_of: Mapping[str, str],
        directions: Mapping[str, int],
        seed: int = 0,
    ) -> Causes:
        """Compare with snapshots that `stayed`, and learn from those of leavers with a recorded `cause`.

        matrix: account_id and the features, one row per snapshot; cause: of each row, null where the account
        did not leave within the horizon or nothing was recorded (what is no category counts as nothing).
        category_of, directions: feature to category, and to +1 (more is worse) or -1; features without
        either are left out. What was learned is kept where it predicts the causes of accounts held back
        better than the usual weights and than how often each is recorded (else the records say nothing that
        facts say); an account counts once however many snapshots it has.
        """
        named = [
            name
            for name, category in category_of.items()
            if category in categories and directions.get(name) and name in matrix
        ]
        found, tails = [], []
        # in the order of categories, so that each one's features stand together
        for name in sorted(named, key=lambda name: categories.index(category_of[name])):
            tail = Tail.fit(directions[name] * _numbers(matrix, name)[stayed])
            if tail is not None:
                found.append(name)
                tails.append(tail)
        start = cls(
            categories=tuple(categories),
            features=tuple(found),
            signs=tuple(directions[name] for name in found),
            place=np.array([categories.index(category_of[name]) for name in found], dtype=np.intp),
            tails=tuple(tails),
            weights=np.full((1, len(found)), USUAL_WEIGHT),
            offsets=np.zeros((1, len(categories))),
        )
        told = cause.isin(list(categories)).to_numpy()
        # thousands of products of small tables: a second thread would only be waited for
        with threadpool_limits(1, user_api="blas"):
            return start._learned(matrix[told], cause[told], seed)

    def _learned(self, matrix: pd.DataFrame, cause: pd.Series, seed: int) -> Causes:
        account, accounts = pd.factorize(matrix["account_id"])
        if len(accounts) < FEWEST_LEAVERS or cause.nunique() < 2 or not self.features:
            return self
        surprise = self.surprise(matrix)
        chosen = np.array([self.categories.index(name) for name in cause], dtype=np.intp)
        rows = Leavers(surprise, chosen, 1 / np.bincount(account)[account])
        learned = usual = frequent = 0.0
        for train, test in GroupKFold(FOLDS, shuffle=True, random_state=seed).split(surprise, groups=account):
            weights, offsets = self._weights(rows.of(train))
            learned += self._loss(rows.of(test), weights, offsets)
            usual += self._loss(rows.of(test), self.weights[0], self.offsets[0])
            often = np.bincount(chosen[train], rows.weight[train], len(self.categories))
            frequent += self._loss(rows.of(test), np.zeros(len(self.features)), np.log(often + 1))
        if learned >= min(usual, frequent):
            return self
        random = np.random.default_rng(seed)
        whole, fitted = np.concatenate(self._weights(rows)), []
        for _ in range(MEMBERS):
            times = np.bincount(random.integers(0, len(accounts), len(accounts)), minlength=len(accounts))
            fitted.append(self._weights(rows.times(times[account]), whole))
        return replace(
            self,
            weights=np.stack([weights for weights, _ in fitted]),
            offsets=np.stack([offsets for _, offsets in fitted]),
            leavers=len(accounts),
        )

    def surprise(self, matrix: Matrix) -> Floats:
        """Return how surprising each feature is in its bad direction: (rows, features).

        0 where it is null, no column, or no worse than the median of the accounts that stayed.
        """
        values = np.array(self.signs, dtype=np.float64)[:, None] * Block.of(matrix).numbers(self.features)
        return self._compared.surprise(values).T

    def weigh(self, matrix: Matrix) -> Weighed:
        """Weigh the facts of every row."""
        surprise = (self.surprise(matrix) / self._size).T
        members = sum_groups(self.weights[:, :, None] * surprise, self._grouped)
        members += self.offsets[:, :, None]
        values = (surprise * self.weights.mean(axis=0)[:, None]).T
        return Weighed(self.features, values, members.swapaxes(1, 2))

    @cached_property
    def _compared(self) -> Tails:
        return Tails.of(self.tails)

    @cached_property
    def _grouped(self) -> tuple[int, list[tuple[Places, Places]]]:
        return steps_of([np.flatnonzero(self.place == at) for at in range(len(self.categories))])

    def _odds(self, surprise: Floats, weights: Floats, offsets: Floats) -> Floats:
        odds = np.tile(offsets, (len(surprise), 1))
        present, starts = np.unique(self.place, return_index=True)
        odds[:, present] += np.add.reduceat(surprise * weights, starts, axis=1)
        return odds

    def _weights(self, rows: Leavers, start: Floats | None = None) -> tuple[Floats, Floats]:
        """Fit weights (not below 0) and offsets by penalised maximum likelihood."""
        size = self._size
        surprise, each = rows.surprise / size, np.arange(len(rows.chosen))
        count = len(self.features)

        def loss(parameters: Floats) -> tuple[float, Floats]:
            weights, offsets = parameters[:count], parameters[count:]
            log_share = _log_softmax(self._odds(surprise, weights, offsets))
            slack = np.exp(log_share)
            slack[each, rows.chosen] -= 1
            slack *= rows.weight[:, None]
            away = (weights - USUAL_WEIGHT) / size
            value = -(rows.weight * log_share[each, rows.chosen]).sum()
            value += 0.5 * PULL * ((away * (weights - USUAL_WEIGHT)).sum() + (offsets**2).sum())
            slope = (slack[:, self.place] * surprise).sum(axis=0) + PULL * away
            return float(value), np.concatenate([slope, slack.sum(axis=0) + PULL * offsets])

        if start is None:
            start = np.concatenate([self.weights[0], self.offsets[0]])
        bounds = [(0, None)] * count + [(None, None)] * len(self.categories)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-7})
        return found.x[:count], found.x[count:]

    def _loss(self, rows: Leavers, weights: Floats, offsets: Floats) -> float:
        log_share = _log_softmax(self._odds(rows.surprise / self._size, weights, offsets))
        return float(-(rows.weight * log_share[np.arange(len(log_share)), rows.chosen]).sum())

    @cached_property
    def _size(self) -> Floats:
        """How many features the category of each feature has."""
        return np.bincount(self.place, minlength=len(self.categories))[self.place].astype(np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            "categories": list(self.categories),
            "features": [
                {
                    "name": name,
                    "sign": sign,
                    "category": int(place),
                    "values": tail.values,
                    "shares": tail.shares,
                }
                for name, sign, place, tail in zip(
                    self.features, self.signs, self.place, self.tails, strict=True
                )
            ],
            "weights": self.weights,
            "offsets": self.offsets,
            "leavers": self.leavers,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Causes:
        """Rebuild from `to_json`."""
        each = saved["features"]
        return cls(
            categories=tuple(saved["categories"]),
            features=tuple(item["name"] for item in each),
            signs=tuple(int(item["sign"]) for item in each),
            place=np.array([item["category"] for item in each], dtype=np.intp),
            tails=tuple(
                Tail(np.asarray(item["values"], float), np.asarray(item["shares"], float)) for item in each
            ),
            weights=np.asarray(saved["weights"], dtype=np.float64).reshape(-1, len(each)),
            offsets=np.asarray(saved["offsets"], dtype=np.float64),
            leavers=int(saved["leavers"]),
        )


@dataclass(frozen=True)
class Leavers:
    """Snapshots of leavers: surprises (rows, features), place of the recorded cause, and weight, of each."""

    surprise: Floats
    chosen: npt.NDArray[np.intp]
    weight: Floats

    def of(self, rows: npt.NDArray[np.intp]) -> Leavers:
        """Return some of the rows."""
        return Leavers(self.surprise[rows], self.chosen[rows], self.weight[rows])

    def times(self, count: npt.NDArray[np.intp]) -> Leavers:
        """Return every row as often as it was drawn, as weight."""
        drawn = np.flatnonzero(count)
        return Leavers(self.surprise[drawn], self.chosen[drawn], self.weight[drawn] * count[drawn])


def _numbers(matrix: pd.DataFrame, name: str) -> Floats:
    return matrix[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _log_softmax(odds: Floats) -> Floats:
    odds = odds - odds.max(axis=1, keepdims=True)
    return np.asarray(odds - np.log(np.exp(odds).sum(axis=1, keepdims=True)))
