"""The shrunken logistic regression: challenger of the trees, and the model of companies with few churned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.models.block import Matrix
from lifecycle_ml.models.encoding import Encoding, Floats

PENALTIES = (1.0, 10.0, 100.0, 1000.0)
"""Tried by cross-validation over accounts; in units of rows an account has on average."""
LIKE_ANOTHER = 0.8
"""A column correlated this much with one already chosen says nothing new."""
FOLDS = 4


def sigmoid(margin: Floats) -> Floats:
    """Return probabilities of log-odds, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * margin)), dtype=np.float64)


def log_odds(rate: float) -> float:
    """Return the log-odds of a rate, held inside (1e-6, 1 - 1e-6)."""
    inside = min(max(rate, 1e-6), 1 - 1e-6)
    return float(np.log(inside / (1 - inside)))


def fit_logistic(
    X: Floats,
    y: Floats,
    offset: Floats | float = 0.0,
    penalty: Floats | float = 0.0,
    *,
    weight: Floats | None = None,
    steps: int = 50,
) -> Floats:
    """Return the coefficients that maximise the penalised likelihood of `sigmoid(offset + X @ coefficients)`.

    Newton's method with step halving. `penalty` is the weight of each squared coefficient (ridge).
    """
    columns = X.shape[1]
    ridge = np.broadcast_to(np.asarray(penalty, dtype=np.float64), (columns,)) + 1e-9
    start = np.broadcast_to(np.asarray(offset, dtype=np.float64), (len(y),))
    beta = np.zeros(columns)
    w = np.ones(len(y)) if weight is None else weight

    def loss(candidate: Floats) -> float:
        margin = start + X @ candidate
        return float(w @ (np.logaddexp(0, margin) - y * margin) + 0.5 * ridge @ candidate**2)

    now = loss(beta)
    for _ in range(steps):
        p = sigmoid(start + X @ beta)
        gradient = X.T @ (w * (y - p)) - ridge * beta
        curvature = (X * (w * p * (1 - p))[:, None]).T @ X + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        while (after := loss(beta + step)) > now + 1e-12 and np.abs(step).max() > 1e-10:
            step = step / 2
        beta = beta + step
        if now - after < 1e-9 * (1 + abs(now)):
            break
        now = after
    return beta


@dataclass(frozen=True)
class LogisticModel:
    """A ridge regression on few columns. Margin beyond the horizon's base rate = sum of weight * (x - mean).

    One model for all horizons: they differ in the log-odds they start from (`starts`), so probabilities
    never fall with the horizon; it is fitted at the headline horizon. A null stands for the mean.
    """

    features: tuple[str, ...]
    horizons: tuple[int, ...]
    starts: Mapping[int, float]
    encoding: Encoding
    weights: Floats
    means: Floats
    lows: Floats
    highs: Floats

    @classmethod
    def fit(
        cls,
        matrix: pd.DataFrame,
        y: Floats,
        accounts: npt.ArrayLike,
        *,
        starts: Mapping[int, float],
        headline: int,
        directions: Mapping[str, int],
        events_per_feature: float = 12.0,
        seed: int = 0,
    ) -> LogisticModel:
        """Fit on rows of `matrix` (features only) with headline outcomes `y` (0/1).

        Uses at most one column per `events_per_feature` churned accounts, those with the strongest relation
        to the outcome in the direction claimed; the penalty is chosen by cross-validation over accounts.
        """
        codes = np.asarray(pd.factorize(np.asarray(accounts))[0], dtype=np.int64)
        encoding = Encoding.fit(matrix, codes)
        encoded = encoding.transform(matrix)
        lows, highs, means = _ranges(encoded)
        scaled, scales = _scale(encoded, lows, highs, means)
        signs = np.array(
            [directions.get(encoding.names[source], 0) for source in encoding.sources], dtype=np.int64
        )
        events = len(np.unique(codes[y > 0]))
        chosen = _choose(scaled, y, signs, max(1, int(events / events_per_feature)))
        start = np.full(len(y), starts[headline])
        rows_each = len(y) / max(1, int(codes.max()) + 1)
        weights = np.zeros(encoded.shape[1])
        if chosen:
            part = scaled[:, chosen]
            penalty = rows_each * _penalty(part, y, codes, start, rows_each, seed)
            weights[chosen] = _signed(part, y, start, penalty, signs[chosen]) / scales[chosen]
        return cls(
            features=encoding.names,
            horizons=tuple(sorted(starts)),
            starts=dict(starts),
            encoding=encoding,
            weights=weights,
            means=means,
            lows=lows,
            highs=highs,
        )

    def raw(self, matrix: Matrix) -> Floats:
        """Return the margin beyond each horizon's start: (rows, horizons), the same for every horizon."""
        terms = self._terms(matrix)
        margin = np.zeros(len(matrix))
        for column in np.flatnonzero(self.weights):
            # in a fixed order, so that a row scores the same alone as in a batch
            margin += terms[:, column]
        return np.repeat(margin[:, None], len(self.horizons), axis=1)

    def contributions(self, matrix: Matrix, horizon: int) -> Floats:
        """Return exact contributions: (rows, features + 2); the horizon's own (0) and the base (0) last."""
        del horizon
        gathered = self.encoding.gather(self._terms(matrix))
        return np.concatenate([gathered, np.zeros((len(matrix), 2))], axis=1)

    def member_contributions(self, matrix: Matrix, horizon: int) -> Floats:
        """Return `contributions` as those of the only member: (1, rows, features + 2)."""
        return self.contributions(matrix, horizon)[None]

    def explained(self, matrix: Matrix, horizon: int) -> tuple[Floats, Floats]:
        """Return `member_contributions` and, of that horizon, `raw`: (rows,)."""
        return self.member_contributions(matrix, horizon), self.raw(matrix)[:, self.horizons.index(horizon)]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a manifest."""
        return {
            "encoding": self.encoding.to_json(),
            "starts": {str(h): start for h, start in self.starts.items()},
            "weights": self.weights.tolist(),
            "means": self.means.tolist(),
            "lows": self.lows.tolist(),
            "highs": self.highs.tolist(),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> LogisticModel:
        """Rebuild from `to_json`."""
        encoding = Encoding.from_json(saved["encoding"])
        starts = {int(h): float(start) for h, start in saved["starts"].items()}
        return cls(
            features=encoding.names,
            horizons=tuple(sorted(starts)),
            starts=starts,
            encoding=encoding,
            weights=np.asarray(saved["weights"], dtype=np.float64),
            means=np.asarray(saved["means"], dtype=np.float64),
            lows=np.asarray(saved["lows"], dtype=np.float64),
            highs=np.asarray(saved["highs"], dtype=np.float64),
        )

    def _terms(self, matrix: Matrix) -> Floats:
        encoded = self.encoding.transform(matrix)
        inside = np.clip(encoded, self.lows, self.highs) - self.means
        return np.asarray(np.where(np.isnan(inside), 0.0, inside) * self.weights, dtype=np.float64)


def _ranges(encoded: Floats) -> tuple[Floats, Floats, Floats]:
    """Return 1st percentile, 99th percentile and the mean between them, per column; 0 where all is null."""
    columns = encoded.shape[1]
    lows, highs, means = np.zeros(columns), np.zeros(columns), np.zeros(columns)
    for column in range(columns):
        values = encoded[:, column]
        values = values[~np.isnan(values)]
        if len(values):
            lows[column], highs[column] = np.quantile(values, [0.01, 0.99])
            if lows[column] == highs[column]:
                # a rare yes: its percentiles are all no
                lows[column], highs[column] = values.min(), values.max()
            means[column] = np.clip(values, lows[column], highs[column]).mean()
    return lows, highs, means


def _scale(encoded: Floats, lows: Floats, highs: Floats, means: Floats) -> tuple[Floats, Floats]:
    centred = np.clip(encoded, lows, highs) - means
    centred = np.where(np.isnan(centred), 0.0, centred)
    spread = centred.std(axis=0)
    scales = np.where(spread > 0, spread, np.inf)
    return centred / scales, scales


def _choose(scaled: Floats, y: Floats, signs: npt.NDArray[np.int64], most: int) -> list[int]:
    """Return columns by strength of their relation to `y`, leaving out wrong directions and near copies."""
    relation = scaled.T @ (y - y.mean()) / len(y)
    relation = np.where(signs * relation < 0, 0.0, relation)
    chosen: list[int] = []
    for column in np.argsort(-np.abs(relation), kind="stable"):
        if len(chosen) == most or relation[column] == 0:
            break
        likeness = np.abs(scaled[:, chosen].T @ scaled[:, column]) / len(y)
        if not (likeness > LIKE_ANOTHER).any():
            chosen.append(int(column))
    return chosen


def _signed(X: Floats, y: Floats, start: Floats, penalty: float, signs: npt.NDArray[np.int64]) -> Floats:
    """Fit, and fit again without the columns whose weight contradicts the direction claimed."""
    kept = np.ones(X.shape[1], dtype=bool)
    weights = np.zeros(X.shape[1])
    while kept.any():
        weights[:] = 0.0
        weights[kept] = fit_logistic(X[:, kept], y, start, penalty)
        wrong = kept & (weights * signs < 0)
        if not wrong.any():
            break
        kept &= ~wrong
        weights[:] = 0.0
    return weights


def _penalty(
    X: Floats, y: Floats, codes: npt.NDArray[np.int64], start: Floats, rows_each: float, seed: int
) -> float:
    """Return the penalty with the least log loss on accounts left out."""
    fold = np.random.default_rng(seed).integers(0, FOLDS, int(codes.max()) + 1)[codes]
    losses = []
    for penalty in PENALTIES:
        total = 0.0
        for left_out in range(FOLDS):
            test = fold == left_out
            if test.all() or not test.any():
                continue
            weights = fit_logistic(X[~test], y[~test], start[~test], penalty * rows_each)
            margin = start[test] + X[test] @ weights
            total += float(np.logaddexp(0, margin).sum() - y[test] @ margin)
        losses.append(total)
    return PENALTIES[int(np.argmin(losses))]
