"""Calibration that keeps contributions exact: an affine map of the margin, fitted out of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.models.encoding import Floats
from lifecycle_ml.models.logistic import fit_logistic, sigmoid

SLOPES = (0.05, 5.0)
"""A slope outside says that the margin ranks the wrong way or hardly at all; the gate then refuses it."""


@dataclass(frozen=True)
class AffineCalibration:
    """probability = sigmoid(offset + intercept + slope * margin), slope > 0.

    The margin is what a model adds to the log-odds a row starts from (its offset, the base rate of its
    horizon); being affine, contributions scaled by the slope still add up to the calibrated margin.
    `events` is the number of churned accounts it was fitted on.
    """

    slope: float = 1.0
    intercept: float = 0.0
    events: int = 0

    @classmethod
    def fit(
        cls,
        margin: Floats,
        y: Floats,
        groups: npt.ArrayLike | None = None,
        *,
        offset: Floats | float = 0.0,
        platt_from: int = 50,
    ) -> AffineCalibration:
        """Fit on out-of-time margins and outcomes (0/1).

        Events are churned accounts (`groups`), not rows: below `platt_from` only the intercept is fitted,
        from there on the slope too. Without both classes nothing can be learned: the identity is returned.
        """
        churned = y > 0
        events = int(churned.sum()) if groups is None else len(pd.unique(np.asarray(groups)[churned]))
        if not churned.any() or churned.all():
            return cls(events=events)
        start = np.broadcast_to(np.asarray(offset, dtype=np.float64), margin.shape)
        ones = np.ones((len(margin), 1))
        if events >= platt_from:
            slope, intercept = fit_logistic(np.column_stack([margin, ones]), y, start)
            if SLOPES[0] <= slope <= SLOPES[1]:
                return cls(float(slope), float(intercept), events)
            slope = float(np.clip(slope, *SLOPES))
        else:
            slope = 1.0
        (intercept,) = fit_logistic(ones, y, start + slope * margin)
        return cls(slope, float(intercept), events)

    def margin(self, margin: Floats, offset: Floats | float = 0.0) -> Floats:
        """Return calibrated log-odds."""
        return np.asarray(self.slope * margin + (self.intercept + np.asarray(offset)), dtype=np.float64)

    def probability(self, margin: Floats, offset: Floats | float = 0.0) -> Floats:
        """Return calibrated probabilities."""
        return sigmoid(self.margin(margin, offset))
