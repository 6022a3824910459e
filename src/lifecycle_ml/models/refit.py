"""Logistic refits of outcomes on log-odds in many bootstrap draws: what calibration figures rest on."""

from __future__ import annotations

from math import comb, factorial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Sums = dict[tuple[int, int], Floats]

_STEPS = 30
_WHOLE_CONVERGED = 1e-9
_DRAW_CONVERGED = 3e-3  # convergence is quadratic: what such a step leaves over is some 1e-5
_SERIES_CONVERGED = 1e-6
_ORDERS = 4
_REACH = 0.5  # the series is used where no row's log-odds move farther: the rest of it is below 1e-4


class LogisticRefit:
    """`y ~ intercept + slope * logit`, fitted to the whole sample and then to draws of its accounts.

    Shapes: one entry per row for y (0/1), logit and account (a code). With `with_slope` false the slope is
    held at 1. `whole` is (intercept, slope) of the sample itself, NaN where one outcome only occurs, or the
    logit separates them so that no fit exists.

    Around the whole fit a draw's score is a power series in the fit's shift, whose coefficients are sums over
    accounts. Solving it needs no pass over the rows; only draws too far away for it are fitted by passes.
    """

    def __init__(
        self, y: Floats, logit: Floats, account: NDArray[np.intp], n_accounts: int, *, with_slope: bool
    ) -> None:
        self._y, self._logit, self._account = y, logit, account
        self._with_slope = with_slope
        design = np.column_stack([np.ones_like(logit), logit])
        self._design, self._moments = design, np.column_stack([design, logit * logit])
        self._outcomes = np.column_stack(
            [np.bincount(account, kind, n_accounts) for kind in (y, 1 - y)]
        ).astype("float64")
        once = np.ones((1, n_accounts))
        whole = self._pass(np.array([[0.0, 1.0]]), self._both(once), once, _WHOLE_CONVERGED)
        self.whole: Floats = whole[0]
        self._terms: list[tuple[int, int]] = []
        if np.isfinite(self.whole).all():
            self._expand(n_accounts)

    def draw(self, counts: Floats) -> Floats:
        """Return (intercept, slope) of each draw, (draws, 2), from how often it drew each account.

        NaN as for `whole`.
        """
        start = self.whole if self._terms else np.array([0.0, 1.0])
        fit = np.tile(start, (counts.shape[0], 1))
        todo = self._both(counts)
        if self._terms and len(todo):
            shift, near = self._solve_series(counts[todo])
            fit[todo[near]] += shift[near]
            done, todo = todo[near], todo[~near]
            left = np.setdiff1d(np.arange(len(fit)), np.r_[done, todo])
        else:
            left = np.setdiff1d(np.arange(len(fit)), todo)
        fit[left] = np.nan
        return self._pass(fit, todo, counts, _DRAW_CONVERGED)

    def _both(self, counts: Floats) -> NDArray[np.intp]:
        """Draws in which both outcomes occur."""
        return np.flatnonzero((counts.astype("float64") @ self._outcomes > 0).all(axis=1))

    def _pass(self, fit: Floats, todo: NDArray[np.intp], counts: Floats, enough: float) -> Floats:
        """Fit the draws in `todo` by Newton's method, one pass over the rows a step."""
        for _ in range(_STEPS):
            if not len(todo):
                return fit
            weights = counts[np.ix_(todo, self._account)]
            expected = _expected(fit[todo] @ self._design.T)
            score = (weights * (self._y - expected)) @ self._design
            curvature = (weights * (expected * (1 - expected))) @ self._moments
            step, found = self._step(score, curvature)
            fit[todo] += np.where(found[:, None], step, np.nan)
            todo = todo[found & (np.abs(step).max(axis=1) > enough)]
        fit[todo] = np.nan
        return fit

    def _expand(self, n_accounts: int) -> None:
        """Sum per account each derivative of the logistic function times each power of the logit."""
        mean = _expected(self._design @ self.whole)
        first = mean * (1 - mean)
        tilt = 1 - 2 * mean
        third = first * (1 - 6 * first)
        derivatives = (self._y - mean, first, first * tilt, third, first * tilt * (1 - 12 * first))
        totals = []
        for order, derivative in enumerate(derivatives):
            for power in range(order + 2):
                self._terms.append((order, power))
                totals.append(np.bincount(self._account, derivative * self._logit**power, n_accounts))
        self._totals = np.column_stack(totals)
        self._farthest = float(np.abs(self._logit).max())

    def _solve_series(self, counts: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return each draw's shift from the whole fit, and whether the series holds that far."""
        drawn: Floats = counts.astype("float64") @ self._totals
        sums: Sums = {term: drawn[:, column] for column, term in enumerate(self._terms)}
        shift, solvable = np.zeros((len(counts), 2)), np.ones(len(counts), dtype=bool)
        for _ in range(_STEPS):
            score = np.column_stack([sums[0, power] - _moved(sums, shift, 0, power) for power in (0, 1)])
            curvature = np.column_stack(
                [sums[1, power] + _moved(sums, shift, 1, power) for power in (0, 1, 2)]
            )
            step, found = self._step(score, curvature)
            solvable &= found
            shift += np.where(found[:, None], step, 0.0)
            if np.abs(step[solvable]).max(initial=0.0) < _SERIES_CONVERGED:
                break
        reach = np.abs(shift[:, 0]) + np.abs(shift[:, 1]) * self._farthest
        settled = np.abs(step).max(axis=1) < _SERIES_CONVERGED
        return shift, solvable & settled & (reach < _REACH)

    def _step(self, score: Floats, curvature: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Newton's step of (intercept, slope) in each draw, and whether the draw's curvature allows one."""
        h0, h1, h2 = curvature.T
        if self._with_slope:
            det = h0 * h2 - h1 * h1
            found = (h0 > 0) & (det > 1e-9 * h0 * h2)
            raw = np.column_stack([h2 * score[:, 0] - h1 * score[:, 1], h0 * score[:, 1] - h1 * score[:, 0]])
            step = raw / np.where(found, det, 1.0)[:, None]
        else:
            found = h0 > 0
            step = np.column_stack([score[:, 0] / np.where(found, h0, 1.0), np.zeros(len(score))])
        # A step farther than this has left the region in which Newton's method can be trusted.
        return np.clip(step, -5, 5), found


def _moved(sums: Sums, shift: Floats, order: int, power: int) -> Floats:
    """Change, summed over a draw's rows, of derivative number `order` times logit ** power."""
    total: Floats = np.zeros(len(shift))
    for degree in range(1, _ORDERS - order + 1):
        for up in range(degree + 1):
            factor = comb(degree, up) / factorial(degree)
            moved = shift[:, 0] ** (degree - up) * shift[:, 1] ** up
            total = total + factor * moved * sums[order + degree, up + power]
    return total


def _expected(margin: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(margin, -30, 30))))
