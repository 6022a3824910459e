"""One model for all horizons: the horizon is an input more of which can only raise the risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.models.bag import Bag
from lifecycle_ml.models.block import Matrix
from lifecycle_ml.models.classifier import RiskClassifier
from lifecycle_ml.models.encoding import Encoding, Floats, Places, steps_of, sum_groups
from lifecycle_ml.models.logistic import log_odds
from lifecycle_ml.outcomes.labels import label_column

HORIZON = "horizon_days"
"""The input column that holds the horizon; what it contributes is context."""
RENEWAL = "days_to_renewal"
PAST_RENEWAL = "horizon_days_past_renewal"
"""Days of the horizon that lie after the renewal, negative where the renewal lies beyond it.

A contract mostly ends at its renewal or not at all, so whether that falls inside the horizon is what shallow
trees would need most of their splits for. It rises with the horizon, and counts as the horizon's own. With a
single horizon it says no more than days to renewal, so there is none.
"""
HELD_PARTS, HELD_BACK = 6, 2
"""Capacity is chosen by the newest parts of the dates: so many of so many."""


@dataclass(frozen=True)
class HorizonModel:
    """A bag fitted on snapshots x horizons, label "the outcome came about by then".

    Each row starts from the log-odds of its horizon's base rate (`starts`, rising with the horizon) and the
    trees add to it: heavy regularisation then cannot wash the horizon out, and since trees may only raise
    the margin with the horizon, probabilities never fall as it grows.
    """

    features: tuple[str, ...]
    horizons: tuple[int, ...]
    starts: Mapping[int, float]
    encoding: Encoding
    bag: Bag
    classifier: RiskClassifier | None = field(default=None, repr=False, compare=False)
    """The fitted estimator, in the process that fitted it; a loaded model has none."""

    @classmethod
    def fit(
        cls,
        matrix: pd.DataFrame,
        labels: pd.DataFrame,
        *,
        features: Sequence[str],
        horizons: Sequence[int],
        classifier: RiskClassifier,
        settled_days: int = 0,
    ) -> HorizonModel:
        """Fit on snapshots.

        matrix: one row per snapshot with account_id, as_of and the features. labels: the same rows in the
        same order with `outcome_{h}d` (1, 0, NaN = censored); a censored horizon's row is left out.
        classifier: an unfitted RiskClassifier; its `monotone` names features. Its capacity is chosen by the
        newest dates (`newest_held_back`). settled_days: days after a horizon until its label is known.
        """
        ordered = tuple(sorted(int(h) for h in horizons))
        outcomes = outcome_matrix(labels, ordered)
        starts = horizon_starts(outcomes, ordered)
        parts, ys, offsets, accounts, days, ahead = [], [], [], [], [], []
        inputs = matrix[list(features)]
        ids = matrix["account_id"].to_numpy()
        as_of = matrix["as_of"].to_numpy().astype("datetime64[D]").astype("int64")
        for position, horizon in enumerate(ordered):
            known = ~np.isnan(outcomes[:, position])
            parts.append(_at(inputs[known], horizon, past_renewal=len(ordered) > 1))
            ys.append(outcomes[known, position])
            offsets.append(np.full(int(known.sum()), starts[horizon]))
            accounts.append(ids[known])
            days.append(as_of[known])
            ahead.append(np.full(int(known.sum()), horizon + settled_days))
        directions = {k: v for k, v in (classifier.monotone or {}).items() if k in features}
        rising = {name: 1 for name in parts[0].columns if name in _RISING}
        fitted = RiskClassifier(**{**classifier.get_params(), "monotone": {**directions, **rising}})
        fitted.fit(
            pd.concat(parts, ignore_index=True),
            np.concatenate(ys),
            groups=np.concatenate(accounts),
            offset=np.concatenate(offsets),
            folds=newest_held_back(np.concatenate(days), np.concatenate(ahead)),
        )
        return cls(
            features=tuple(features),
            horizons=ordered,
            starts=starts,
            encoding=fitted.encoding_,
            bag=fitted.bag_,
            classifier=fitted,
        )

    def raw(self, matrix: Matrix) -> Floats:
        """Return the margin beyond each horizon's start: (rows, horizons)."""
        encoded = self._encoded(matrix)
        return np.column_stack([self.bag.margin(self._stood(encoded, h)) for h in self.horizons])

    def unseen_raw(self, matrix: pd.DataFrame) -> Floats:
        """Return `raw` from those members alone that never saw the row's account."""
        if self.classifier is None:
            raise ValueError("a loaded model does not know which accounts its members saw.")
        inputs = matrix[list(self.features)]
        accounts = matrix["account_id"].to_numpy()
        return np.column_stack(
            [self.classifier.unseen_margin(self._placed(inputs, h), accounts) for h in self.horizons]
        )

    def contributions(self, matrix: Matrix, horizon: int) -> Floats:
        """Return exact contributions: (rows, features + 2); the horizon's own and the base last."""
        return self._gathered(self.bag.contributions(self.inputs(matrix, horizon)))

    def member_contributions(self, matrix: Matrix, horizon: int) -> Floats:
        """Return each member's contributions: (members, rows, features + 2)."""
        return self._gathered(self.bag.member_contributions(self.inputs(matrix, horizon)))

    def explained(self, matrix: Matrix, horizon: int) -> tuple[Floats, Floats]:
        """Return `member_contributions` and, of that horizon, `raw`: (rows,); rows are encoded once."""
        stood = self.inputs(matrix, horizon)
        return self._gathered(self.bag.member_contributions(stood)), self.bag.margin(stood)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a manifest; the members are saved beside it as text."""
        return {
            "encoding": self.encoding.to_json(),
            "starts": {str(h): start for h, start in self.starts.items()},
            "bag": self.bag.to_json(),
        }

    @classmethod
    def from_json(
        cls, saved: Mapping[str, Any], members: Sequence[str], num_threads: int = 1
    ) -> HorizonModel:
        """Rebuild from `to_json` and `bag.texts()`."""
        encoding = Encoding.from_json(saved["encoding"])
        starts = {int(h): float(start) for h, start in saved["starts"].items()}
        return cls(
            features=tuple(name for name in encoding.names if name not in _RISING),
            horizons=tuple(sorted(starts)),
            starts=starts,
            encoding=encoding,
            bag=Bag.from_json(saved["bag"], members, num_threads),
        )

    def inputs(self, matrix: Matrix, horizon: int) -> Floats:
        """Return what the bag is asked about rows at one horizon: (rows, encoded columns)."""
        return self._stood(self._encoded(matrix), horizon)

    def _encoded(self, matrix: Matrix) -> Floats:
        """Encode the rows once, as at horizon 0; `_stood` moves them to a horizon."""
        own = self._own.transform(matrix)
        rising = np.zeros((len(own), self._rising))
        if PAST_RENEWAL in self.encoding.names:
            rising[:, 0] = -own[:, self._own.start(RENEWAL)]
        return np.concatenate([own, rising], axis=1)

    def _placed(self, inputs: pd.DataFrame, horizon: int) -> pd.DataFrame:
        return _at(inputs, horizon, past_renewal=PAST_RENEWAL in self.encoding.names)

    def _stood(self, encoded: Floats, horizon: int) -> Floats:
        stood = encoded.copy()
        stood[:, encoded.shape[1] - self._rising :] += horizon
        return stood

    def _gathered(self, values: Floats) -> Floats:
        """Sum one-hot columns to their feature, and all that rises with the horizon to the horizon's own."""
        return sum_groups(values.swapaxes(-1, -2), self._grouped).swapaxes(-1, -2)

    @cached_property
    def _grouped(self) -> tuple[int, list[tuple[Places, Places]]]:
        sources = np.minimum(self.encoding.sources, len(self.features))
        groups = np.split(np.arange(len(sources)), np.flatnonzero(np.diff(sources)) + 1)
        return steps_of([*groups, np.array([len(sources)])])

    @cached_property
    def _own(self) -> Encoding:
        return Encoding(self.encoding.columns[: len(self.features)])

    @property
    def _rising(self) -> int:
        return len(self.encoding.names) - len(self.features)


_RISING = (PAST_RENEWAL, HORIZON)


def _at(inputs: pd.DataFrame, horizon: int, *, past_renewal: bool) -> pd.DataFrame:
    """Add the inputs that depend on the horizon: last, and each of them rises with it day by day."""
    stood = inputs.copy()
    if past_renewal and RENEWAL in inputs:
        stood[PAST_RENEWAL] = horizon - inputs[RENEWAL]
    stood[HORIZON] = float(horizon)
    return stood


def newest_held_back(
    days: npt.NDArray[np.int64], ahead: npt.NDArray[np.int64]
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] | None:
    """Hold back the newest dates twice: pairs of row numbers, to learn from and to be judged on.

    days: each row's date. ahead: days until its label is known. The newest sixth of the dates is judged by
    what was known before it, and so is the sixth before. Capacity is then chosen in the way it will be
    judged: by times to come. None where history is too short.
    """
    dates = np.unique(days)
    size = max(1, len(dates) // HELD_PARTS)
    folds = []
    for back in range(HELD_BACK):
        block = dates[len(dates) - (back + 1) * size : len(dates) - back * size]
        if not len(block):
            continue
        train, test = np.flatnonzero(days + ahead <= block[0]), np.flatnonzero(np.isin(days, block))
        if len(train) and len(test):
            folds.append((train, test))
    return folds or None


def outcome_matrix(labels: pd.DataFrame, horizons: Sequence[int]) -> Floats:
    """Return outcomes as floats: (rows, horizons), NaN = censored."""
    return np.column_stack(
        [labels[label_column(h)].to_numpy(dtype=np.float64, na_value=np.nan) for h in horizons]
    )


def horizon_starts(outcomes: Floats, horizons: Sequence[int]) -> dict[int, float]:
    """Return the log-odds of each horizon's base rate, never falling with the horizon.

    Half an event is added on both sides, so that a horizon without events has a start too.
    """
    starts: dict[int, float] = {}
    highest = -np.inf
    for position, horizon in enumerate(horizons):
        column: npt.NDArray[np.float64] = outcomes[:, position]
        known = column[~np.isnan(column)]
        rate = (known.sum() + 0.5) / (len(known) + 1)
        highest = max(highest, log_odds(float(rate)))
        starts[horizon] = float(highest)
    return starts
