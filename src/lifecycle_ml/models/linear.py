"""A ridge regression on encoded columns: what is straight in the data, with exact contributions.

Columns are held inside their 1st and 99th percentile, centred and scaled; a gap stands for the mean and has a
weight of its own where gaps are more than a few. Directions are bounds: a column said to raise the risk
never lowers it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from lifecycle_ml.models.encoding import Floats

QUANTILES = (0.01, 0.99)
MOST_ROWS = 20_000
"""Rows the percentiles are taken from; more say nothing new."""
FEWEST_GAPS = 0.005
"""Share of gaps from which a column's gaps have a weight of their own."""
_STEPS = 100


@dataclass(frozen=True)
class Scaling:
    """How encoded columns become terms of a linear margin: (columns,) each.

    `scales` is infinite for a column that says nothing. `gaps` are the positions of columns whose gaps have a
    weight; their terms follow those of the columns.
    """

    lows: Floats
    highs: Floats
    means: Floats
    scales: Floats
    gaps: npt.NDArray[np.int64]

    @classmethod
    def fit(cls, encoded: Floats) -> Scaling:
        """Learn ranges, means and spreads; labels play no part."""
        columns = encoded.shape[1]
        lows, highs = np.zeros(columns), np.zeros(columns)
        means, scales = np.zeros(columns), np.full(columns, np.inf)
        some = encoded[:: max(1, len(encoded) // MOST_ROWS)]
        for column in range(columns):
            values = some[:, column]
            values = values[~np.isnan(values)]
            if not len(values):
                continue
            low, high = np.quantile(values, QUANTILES)
            if low == high:
                low, high = values.min(), values.max()  # a rare yes: its percentiles are all no
            inside = np.clip(values, low, high)
            lows[column], highs[column], means[column] = low, high, inside.mean()
            spread = inside.std()
            scales[column] = spread if spread > 1e-12 * (1 + abs(means[column])) else np.inf
        share = np.isnan(encoded).mean(axis=0)
        gaps = np.flatnonzero((share >= FEWEST_GAPS) & (share <= 1 - FEWEST_GAPS))
        return cls(lows, highs, means, scales, gaps)

    def terms(self, encoded: Floats) -> Floats:
        """Return (rows, columns + gaps): scaled values, 0 for a gap, then 1 where a weighted gap is."""
        gone = np.isnan(encoded)
        values = (np.clip(encoded, self.lows, self.highs) - self.means) / self.scales
        values[gone] = 0.0
        return np.concatenate([values, gone[:, self.gaps].astype(np.float64)], axis=1)

    def gathered(self, terms: Floats) -> Floats:
        """Add the terms of gaps to those of their columns: (..., columns)."""
        columns = len(self.lows)
        found = terms[..., :columns].copy()
        found[..., self.gaps] += terms[..., columns:]
        return found

    def directions(self, monotone: Sequence[int]) -> list[tuple[float | None, float | None]]:
        """Return the bounds of each term's weight; a gap may weigh either way."""
        bounds: dict[int, tuple[float | None, float | None]] = {1: (0.0, None), -1: (None, 0.0)}
        free: tuple[float | None, float | None] = (None, None)
        return [*(bounds.get(sign, free) for sign in monotone), *(free for _ in self.gaps)]

    def bounds(self, weights: Floats) -> tuple[float, float]:
        """Return the lowest and the highest margin these weights can give."""
        columns = len(self.lows)
        ends = np.stack([(self.lows - self.means) / self.scales, (self.highs - self.means) / self.scales])
        found = ends * weights[:columns]
        least, most = np.minimum(found.min(axis=0), 0.0), np.maximum(found.max(axis=0), 0.0)
        gap = np.zeros(columns)
        gap[self.gaps] = weights[columns:]
        return float(np.minimum(least, gap).sum()), float(np.maximum(most, gap).sum())

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a manifest; an infinite scale becomes null."""
        return {
            "lows": self.lows.tolist(),
            "highs": self.highs.tolist(),
            "means": self.means.tolist(),
            "scales": [scale if np.isfinite(scale) else None for scale in self.scales.tolist()],
            "gaps": self.gaps.tolist(),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Scaling:
        """Rebuild from `to_json`."""
        scales = [np.inf if scale is None else scale for scale in saved["scales"]]
        return cls(
            np.asarray(saved["lows"], dtype=np.float64),
            np.asarray(saved["highs"], dtype=np.float64),
            np.asarray(saved["means"], dtype=np.float64),
            np.asarray(scales, dtype=np.float64),
            np.asarray(saved["gaps"], dtype=np.int64),
        )


def fit_weights(
    terms: Floats,
    y: Floats,
    *,
    offset: Floats,
    penalty: Floats | float,
    bounds: Sequence[tuple[float | None, float | None]],
    weight: Floats | None = None,
    start: Floats | None = None,
) -> Floats:
    """Return the weights with least log loss of `offset + terms @ weights` plus penalty/2 per squared weight.

    L-BFGS-B (Byrd, Lu, Nocedal, Zhu 1995) with a bound per weight; `start` is where it begins. `penalty` is
    one number or one per weight.
    """
    w = np.ones(len(y)) if weight is None else weight
    narrow = terms.astype(np.float32)  # half the memory to walk through; seven digits are enough to descend
    ridge = np.broadcast_to(np.asarray(penalty, dtype=np.float64), (terms.shape[1],))

    def loss(weights: Floats) -> tuple[float, Floats]:
        margin = offset + narrow @ weights.astype(np.float32)
        pull = w * (0.5 * (1 + np.tanh(0.5 * margin)) - y)
        value = float(w @ (np.logaddexp(0, margin) - y * margin) + 0.5 * (ridge * weights) @ weights)
        return value, pull.astype(np.float32) @ narrow + ridge * weights

    began = np.zeros(terms.shape[1]) if start is None else start
    found = minimize(
        loss, began, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS, "ftol": 1e-7}
    )
    return np.asarray(found.x, dtype=np.float64)
