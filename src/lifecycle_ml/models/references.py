"""Compared with whom: the mean contributions of accounts that stayed, by horizon and segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lifecycle_ml.models.calibration import AffineCalibration
from lifecycle_ml.models.encoding import Floats
from lifecycle_ml.models.horizons import HorizonModel
from lifecycle_ml.models.logistic import LogisticModel

FEWEST_ACCOUNTS = 50
"""A segment with fewer retained accounts is compared with all of them."""
MOST_ROWS = 1_000
"""Snapshots explained for one mean; its standard error is then a thirtieth of the spread."""


@dataclass(frozen=True)
class References:
    """Mean contributions of retained snapshots: (horizons, 1 + segments, features + 1), all first."""

    horizons: tuple[int, ...]
    segments: tuple[str, ...]
    values: Floats

    @classmethod
    def fit(
        cls,
        model: HorizonModel | LogisticModel,
        calibration: AffineCalibration,
        matrix: pd.DataFrame,
        retained: pd.Series,
        segments: Mapping[str, str] | None,
        seed: int = 0,
    ) -> References:
        """Explain snapshots retained through the headline horizon.

        matrix: account_id, as_of and the features. retained: yes for the rows to compare with. segments:
        account_id to segment. calibration: its slopes bring values into calibrated log-odds.
        """
        kept = matrix[retained.to_numpy(dtype=bool)]
        kept = kept.sample(frac=1.0, random_state=seed)
        groups: dict[str, pd.DataFrame] = {"": kept.head(MOST_ROWS)}
        if segments is not None and len(kept):
            segment = kept["account_id"].map(dict(segments))
            for name, rows in kept.groupby(segment.to_numpy(), sort=True):
                if rows["account_id"].nunique() >= FEWEST_ACCOUNTS:
                    groups[str(name)] = rows.head(MOST_ROWS)
        means = [
            [
                calibration.slope_at(horizon) * model.contributions(rows, horizon)[:, :-1].mean(axis=0)
                if len(rows)
                else np.zeros(len(model.features) + 1)
                for rows in groups.values()
            ]
            for horizon in model.horizons
        ]
        return cls(tuple(model.horizons), tuple(list(groups)[1:]), np.asarray(means, dtype=np.float64))

    def at(self, horizon: int, segment: str | None) -> Floats:
        """Return the mean of one horizon and segment, of all retained accounts where that has none."""
        position = self.segments.index(segment) + 1 if segment in self.segments else 0
        return np.asarray(self.values[self.horizons.index(horizon), position], dtype=np.float64)
