"""How much a model may bend, chosen from the training data alone.

No fixed setting wins: heavily regularised trees are best where signal is thin and far behind where a table
nearly determines its outcome; a straight line wins where the world shifts. So a few shapes of tree and a
ridge regression are tried on training rows held back, and what they show there decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from lifecycle_ml.models.encoding import Floats
from lifecycle_ml.models.linear import Scaling, fit_weights
from lifecycle_ml.models.logistic import fit_logistic

Rows = npt.NDArray[np.int64]
Held = tuple[Rows, Rows]
"""Rows to learn from and rows to be judged on."""

CHUNK = 25
"""Trees grown between two looks at the rows held back."""
PATIENCE = 4
"""Looks without improvement after which no more trees are grown."""
FEWEST_COLUMNS = 5
"""Columns a tree may look at, at the least."""
BELIEVED = 150
"""Trees a shape is believed to need, unless another number is better by as much as a shape has to be."""
CONVINCED = 1.0
"""A shape that bends more has to be better by so many standard errors, accounts being the unit."""
PENALTIES = (1000.0, 100.0, 10.0, 1.0)
"""Of the ridge regression, in rows an account has on average; the heaviest first."""
FEWEST_LINEAR = 0.05
"""A regression that earns less is left out: it would cost more than it tells."""
MOST_ROWS = 20_000
"""Training rows the regression is tried on; a straight line is known from fewer than trees are."""
BELIEF = 10.0
"""Weight, in rows an account has on average, of the belief that trees alone are right."""


@dataclass(frozen=True)
class Capacity:
    """How much one member may bend: LightGBM's parameters under our names."""

    n_trees: int = 150
    learning_rate: float = 0.03
    n_leaves: int = 6
    min_leaf: int = 60
    l2: float = 10.0
    feature_fraction: float = 0.4
    row_fraction: float = 0.8
    max_bin: int = 63

    def parameters(self, seed: int, num_threads: int, monotone: Sequence[int]) -> dict[str, Any]:
        """Return LightGBM's parameters; deterministic whatever the number of threads."""
        return {
            "objective": "binary",
            "boost_from_average": False,
            "learning_rate": self.learning_rate,
            "num_leaves": self.n_leaves,
            "min_data_in_leaf": self.min_leaf,
            "lambda_l2": self.l2,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.row_fraction,
            "bagging_freq": 1 if self.row_fraction < 1 else 0,
            "max_bin": self.max_bin,
            "monotone_constraints": list(monotone),
            "seed": seed,
            "num_threads": num_threads,
            "deterministic": True,
            "force_col_wise": True,
            "feature_pre_filter": False,
            "verbosity": -1,
        }

    def within(self, rows: int, columns: int) -> Capacity:
        """Return the capacity as so many rows allow it, with columns enough for a tree to combine."""
        return replace(
            self,
            min_leaf=max(1, min(self.min_leaf, rows // 10)),
            feature_fraction=min(1.0, max(self.feature_fraction, FEWEST_COLUMNS / columns)),
        )


LADDER = (
    Capacity(n_trees=400),
    Capacity(n_trees=500, learning_rate=0.05, n_leaves=16, min_leaf=20, l2=5.0),
    Capacity(n_trees=400, learning_rate=0.1, n_leaves=63, min_leaf=5, l2=1.0, feature_fraction=0.5),
)
"""Shapes that are tried, the straightest first, each with the most trees it may have.

The first one is the regularised setting that wins where signal is thin; a shape is tried only where the one
before it was better than its predecessor.
"""


@dataclass(frozen=True)
class Table:
    """Encoded rows with everything a fit needs: y 0/1, the margin each row starts from, weights, accounts."""

    X: Floats
    y: Floats
    offset: Floats
    weight: Floats | None
    account: npt.NDArray[np.int64]

    @property
    def rows_each(self) -> float:
        """Rows an account has on average."""
        return len(self.y) / max(1, len(np.unique(self.account)))

    def losses(self, rows: Rows, margin: Floats) -> Floats:
        """Return the log loss of each row at a margin beyond its offset, after the best shift of all.

        The level of rows held back is not the level to come, and no shape can know it.
        """
        y, offset = self.y[rows], self.offset[rows] + margin
        weight = None if self.weight is None else self.weight[rows]
        (level,) = fit_logistic(np.ones((len(rows), 1)), y, offset, weight=weight)
        whole = offset + level
        loss = np.logaddexp(0, whole) - y * whole
        return np.asarray(loss if self.weight is None else loss * self.weight[rows], dtype=np.float64)


@dataclass(frozen=True)
class Chosen:
    """What held-back rows spoke for.

    trees: shape and number of trees. penalty: of the ridge regression. tree_weight, linear_weight: what each
    part's margin counts in the sum; linear_weight 0 leaves the regression out. tried: (leaves, trees, mean
    log loss) of each shape, in the order tried. level: the shift that rows held back asked for beside them;
    where they are later than those learned from it says nothing of the level to come.
    """

    trees: Capacity
    penalty: float = PENALTIES[0]
    tree_weight: float = 1.0
    linear_weight: float = 0.0
    level: float = 0.0
    tried: tuple[tuple[int, int, float], ...] = ()


def choose(
    table: Table,
    folds: Sequence[Held],
    *,
    monotone: Sequence[int],
    ladder: Iterable[Capacity] = LADDER,
    any_number: bool = True,
    linear: bool = True,
    seed: int = 0,
    num_threads: int = 1,
) -> Chosen:
    """Choose capacity and blend by log loss on rows held back (`folds`); other rows are never looked at.

    A shape that bends more replaces the one before only where it is better by a standard error over
    accounts. The ridge regression joins with the weight it earns beside the trees. With `any_number` false a
    shape's number of trees is kept, not chosen.
    """
    table, folds = _restricted(table, folds)
    shapes = list(ladder)
    seen = min(len(train) for train, _ in folds)
    held = np.concatenate([test for _, test in folds])
    data = lgb.Dataset(
        table.X,
        label=table.y,
        weight=table.weight,
        init_score=table.offset,
        params=shapes[0].parameters(seed, num_threads, monotone),
    ).construct()
    parts = [data.subset(np.sort(train)).construct() for train, _ in folds]
    best: tuple[Capacity, Floats, Floats] | None = None
    tried = []
    with ThreadPoolExecutor(max_workers=num_threads, initializer=_silence) as pool:
        for shape in shapes:
            least = 0 if any_number else shape.n_trees
            n_trees, margin = _grow(
                shape.within(seen, table.X.shape[1]), least, table, folds, parts, monotone, seed, pool
            )
            losses = table.losses(held, margin)
            tried.append((shape.n_leaves, n_trees, float(losses.mean())))
            if best is not None and not _better(table, held, best[2], losses):
                break
            best = replace(shape, n_trees=n_trees), margin, losses
        assert best is not None
        penalty, straight = _straight(table, folds, monotone, pool) if linear else (PENALTIES[0], None)
    tree_weight, linear_weight, level = _blend(table, held, best[1], straight)
    return Chosen(best[0], penalty, tree_weight, linear_weight, level, tuple(tried))


def _silence() -> None:
    """Keep LightGBM from warning, in this thread, of every tree that stops early: levels are by thread."""
    lgb.Dataset(np.zeros((2, 1)), params={"verbosity": -1}).construct()


def _restricted(table: Table, folds: Sequence[Held]) -> tuple[Table, list[Held]]:
    """Leave out rows no fold uses: not even the bins of a histogram may know them."""
    used = np.unique(np.concatenate([rows for fold in folds for rows in fold]))
    if len(used) == len(table.y):
        return table, list(folds)
    weight = None if table.weight is None else table.weight[used]
    kept = Table(table.X[used], table.y[used], table.offset[used], weight, table.account[used])
    return kept, [(np.searchsorted(used, train), np.searchsorted(used, test)) for train, test in folds]


def _grow(
    shape: Capacity,
    least: int,
    table: Table,
    folds: Sequence[Held],
    parts: Sequence[lgb.Dataset],
    monotone: Sequence[int],
    seed: int,
    pool: ThreadPoolExecutor,
) -> tuple[int, Floats]:
    """Grow trees on every fold, `least` at the least, until the rows held back stop improving.

    Returns how many were best, and the margins then.
    """
    boosters = [
        lgb.Booster(shape.parameters(seed + number, 1, monotone), part) for number, part in enumerate(parts)
    ]
    held = [table.X[test] for _, test in folds]
    rows = np.concatenate([test for _, test in folds])
    margin = np.zeros(len(rows))
    believed: tuple[int, Floats] | None = None
    best = least, margin, np.full(len(rows), np.inf)
    grown = 0

    def chunk(booster: lgb.Booster, X: Floats) -> Floats:
        for _ in range(step):
            booster.update()
        # every call sets the level anew, to a default that warns
        added = booster.predict(
            X, raw_score=True, start_iteration=grown, num_iteration=step, num_threads=1, verbosity=-1
        )
        return np.asarray(added, dtype=np.float64)

    while grown < shape.n_trees:
        step = min(CHUNK, shape.n_trees - grown)
        margin = margin + np.concatenate(list(pool.map(chunk, boosters, held)))
        grown += step
        losses = table.losses(rows, margin)
        if grown == BELIEVED:
            believed = grown, margin
        if losses.mean() < best[2].mean() or grown <= least:
            best = grown, margin, losses
        elif grown >= max(best[0], BELIEVED) + PATIENCE * CHUNK:
            break
    if believed is not None and not _better(table, rows, table.losses(rows, believed[1]), best[2]):
        return believed
    return best[0], best[1]


def _better(table: Table, rows: Rows, before: Floats, after: Floats) -> bool:
    """Say whether the loss fell by more than chance would have it, drawing accounts."""
    gain = np.bincount(table.account[rows], before - after)
    count = np.bincount(table.account[rows])
    gain = gain[count > 0]
    spread = gain.std() * np.sqrt(len(gain))
    return bool(gain.sum() > CONVINCED * spread)


def _straight(
    table: Table, folds: Sequence[Held], monotone: Sequence[int], pool: ThreadPoolExecutor
) -> tuple[float, Floats]:
    """Fit the ridge regression on every fold with each penalty: the best one, and the margins it gave."""

    def path(fold: Held) -> list[Floats]:
        train, test = fold
        train = train[:: -(-len(train) // MOST_ROWS)]
        scaling = Scaling.fit(table.X[train])
        terms, held = scaling.terms(table.X[train]), scaling.terms(table.X[test])
        weights = None
        margins = []
        for penalty in PENALTIES:
            weights = fit_weights(
                terms,
                table.y[train],
                offset=table.offset[train],
                penalty=penalty * table.rows_each,
                bounds=scaling.directions(monotone),
                weight=None if table.weight is None else table.weight[train],
                start=weights,
            )
            margins.append(held @ weights)
        return margins

    rows = np.concatenate([test for _, test in folds])
    paths = list(pool.map(path, folds))
    margins = [np.concatenate(parts) for parts in zip(*paths, strict=True)]
    losses = [table.losses(rows, margin).mean() for margin in margins]
    best = int(np.argmin(losses))
    return PENALTIES[best], margins[best]


def _blend(table: Table, rows: Rows, trees: Floats, straight: Floats | None) -> tuple[float, float, float]:
    """Return what trees and regression count in the sum, neither below 0, and the shift beside them.

    Stacking (Wolpert 1992). The regression stays out where it does not lower the loss by a standard error.
    """
    alone, level = _counted(table, rows, [trees])
    if straight is None:
        return alone, 0.0, level
    tree_weight, linear_weight, shift = _counted(table, rows, [trees, straight])
    together = table.losses(rows, tree_weight * trees + linear_weight * straight)
    if linear_weight < FEWEST_LINEAR or not _better(table, rows, table.losses(rows, trees), together):
        return alone, 0.0, level
    return tree_weight, linear_weight, shift


def _counted(table: Table, rows: Rows, margins: Sequence[Floats]) -> list[float]:
    """Fit what each margin counts, believing at first that it is all of the first one; the shift last."""
    terms = np.column_stack([*margins, np.ones(len(rows))])
    others = len(margins) - 1
    found = fit_weights(
        terms,
        table.y[rows],
        offset=table.offset[rows] + margins[0],
        penalty=np.array([BELIEF] * len(margins) + [0.0]) * table.rows_each,
        bounds=[(-1.0, None), *[(0.0, None)] * others, (None, None)],
        weight=None if table.weight is None else table.weight[rows],
    )
    return [float(1 + found[0]), *(float(weight) for weight in found[1:])]
