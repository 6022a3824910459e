"""Calibration that keeps contributions exact: an affine map of the margin, fitted out of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.models.encoding import Floats
from lifecycle_ml.models.logistic import fit_logistic, sigmoid

SLOPES = (0.05, 5.0)
"""A slope outside says that the margin ranks the wrong way or hardly at all; the gate then refuses it."""


@dataclass(frozen=True)
class AffineCalibration:
    """probability = sigmoid(offset + intercept + slope_at(horizon) * margin), every slope > 0.

    The margin is what a model adds to the log-odds a row starts from (its offset, the base rate of its
    horizon); being affine, contributions scaled by the slope still add up to the calibrated margin.
    What is seen today says more about the next month than about the next half year, so the slope may tilt
    with the horizon: slope_at(h) = slope + tilt * log(h / headline). `events` is the number of churned
    accounts it was fitted on.
    """

    slope: float = 1.0
    intercept: float = 0.0
    events: int = 0
    tilt: float = 0.0
    headline: int = 90

    @classmethod
    def fit(
        cls,
        margin: Floats,
        y: Floats,
        groups: npt.ArrayLike | None = None,
        *,
        offset: Floats | float = 0.0,
        horizon: npt.ArrayLike | None = None,
        headline: int = 90,
        platt_from: int = 50,
    ) -> AffineCalibration:
        """Fit on out-of-time margins and outcomes (0/1), one row each.

        horizon: days of each row; the tilt is fitted where several occur. Events are accounts with the
        outcome (`groups`), not rows: below `platt_from` only the intercept is fitted, from there on slope
        and tilt too. Without both classes nothing can be learned: the identity is returned.
        """
        churned = y > 0
        events = int(churned.sum()) if groups is None else len(pd.unique(np.asarray(groups)[churned]))
        if not churned.any() or churned.all():
            return cls(events=events, headline=headline)
        start = np.broadcast_to(np.asarray(offset, dtype=np.float64), margin.shape)
        ones = np.ones(len(margin))
        slope, tilt = 1.0, 0.0
        if events >= platt_from:
            inputs = [margin, ones]
            turn = np.zeros(len(margin)) if horizon is None else _turn(horizon, headline)
            if turn.min() < turn.max():
                inputs.append(turn * margin)
            slope, intercept, *more = (float(c) for c in fit_logistic(np.column_stack(inputs), y, start))
            tilt = more[0] if more else 0.0
            if SLOPES[0] <= slope <= SLOPES[1]:
                return cls(slope, intercept, events, tilt, headline)
            slope, tilt = float(np.clip(slope, *SLOPES)), 0.0
        (intercept,) = fit_logistic(ones[:, None], y, start + slope * margin)
        return cls(slope, float(intercept), events, tilt, headline)

    def within(self, starts: Mapping[int, float], low: float, high: float) -> AffineCalibration:
        """Return the calibration with a tilt under which probabilities cannot fall as the horizon grows.

        starts: log-odds each horizon begins from. low, high: bounds of the model's margin, whose value never
        falls with the horizon. Between two horizons the calibrated margin then rises for every account if
        it does at both bounds; the tilt is cut back until it does, and the headline stays as fitted.
        """
        least, most = -np.inf, np.inf
        for nearer, farther in pairwise(sorted(starts)):
            step, rise = np.log(farther / nearer), starts[farther] - starts[nearer]
            if high > 0:
                least = max(least, -rise / (step * high))
            if low < 0:
                most = min(most, rise / (step * -low))
        for horizon in starts:
            turn = float(np.log(horizon / self.headline))
            if turn > 0:
                least = max(least, (SLOPES[0] - self.slope) / turn)
            elif turn < 0:
                most = min(most, (SLOPES[0] - self.slope) / turn)
        return replace(self, tilt=float(np.clip(self.tilt, min(least, 0.0), max(most, 0.0))))

    def slope_at(self, horizon: int) -> float:
        """Return the slope of one horizon, in days."""
        return self.slope + self.tilt * float(np.log(horizon / self.headline))

    def margin(self, margin: Floats, horizon: int, offset: Floats | float = 0.0) -> Floats:
        """Return calibrated log-odds at one horizon."""
        calibrated = self.slope_at(horizon) * margin + (self.intercept + np.asarray(offset))
        return np.asarray(calibrated, dtype=np.float64)

    def probability(self, margin: Floats, horizon: int, offset: Floats | float = 0.0) -> Floats:
        """Return calibrated probabilities at one horizon."""
        return sigmoid(self.margin(margin, horizon, offset))


def _turn(horizon: npt.ArrayLike, headline: int) -> Floats:
    return np.asarray(np.log(np.asarray(horizon, dtype=np.float64) / headline), dtype=np.float64)
