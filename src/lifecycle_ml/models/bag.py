"""A bag over accounts: boosted trees, and a straight line beside them, saved as text, explained exactly."""

from __future__ import annotations

import os

# Two OpenMP teams that wait by spinning make each other some fifty times slower on a busy machine; the
# runtime reads this once, when LightGBM is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from lifecycle_ml.models.capacity import Chosen, Table
from lifecycle_ml.models.encoding import Floats
from lifecycle_ml.models.linear import Scaling, fit_weights
from lifecycle_ml.models.tree_shap import TreeTables

FEW_ROWS = 256
"""Up to here one thread answers faster than two wake up."""
MANY_ROWS = 10_000
"""From here on making tables of the trees costs less than it saves."""


@dataclass(frozen=True)
class Line:
    """The linear part of every member: one scaling, and weights by member (members, terms).

    Weights already hold what the part counts in the sum.
    """

    scaling: Scaling
    weights: Floats

    def margins(self, X: Floats) -> Floats:
        """Return each member's linear margin: (members, rows)."""
        terms = self.scaling.terms(X)
        # row by row along the terms: a row must score the same alone as in a batch
        return np.stack([(terms * weights).sum(axis=1) for weights in self.weights])

    def margin(self, X: Floats) -> Floats:
        """Return the members' mean linear margin: (rows,)."""
        return np.asarray((self.scaling.terms(X) * self.weights.mean(axis=0)).sum(axis=1), dtype=np.float64)

    def contributions(self, X: Floats, weights: Floats) -> Floats:
        """Return what each column adds with these weights: (rows, columns)."""
        return self.scaling.gathered(self.scaling.terms(X) * weights)


@dataclass(frozen=True)
class Bag:
    """Members whose margins are averaged: log-odds beyond the offset the rows were fitted with.

    A member's margin is `tree_weight` times that of its boosted trees, plus its straight line's, if any.
    """

    members: tuple[lgb.Booster, ...]
    num_threads: int = 1
    tree_weight: float = 1.0
    line: Line | None = field(default=None)

    @classmethod
    def fit(
        cls,
        table: Table,
        chosen: Chosen,
        *,
        rows: Sequence[npt.NDArray[np.int64]],
        seeds: Sequence[int],
        monotone: Sequence[int],
        num_threads: int,
    ) -> Bag:
        """Fit one member per entry of `rows` (the row numbers it sees); values are binned only once.

        Members are fitted side by side with one thread each: on shallow trees that is more than twice as
        fast as one after the other with all threads, and no thread waits for another.
        """
        trees = chosen.trees.within(min(len(part) for part in rows), table.X.shape[1])
        data = lgb.Dataset(
            table.X,
            label=table.y,
            weight=table.weight,
            init_score=table.offset,
            params=trees.parameters(int(seeds[0]), num_threads, monotone),
        ).construct()
        # subsets are cut before threads start: cutting one sets a field of the table they share
        parts = [data.subset(np.sort(part)).construct() for part in rows]

        def fit_trees(part: lgb.Dataset, seed: int) -> str:
            params = trees.parameters(seed, 1, monotone)
            return to_text(lgb.train(params, part, num_boost_round=trees.n_trees))

        with ThreadPoolExecutor(max_workers=num_threads) as pool:
            members = list(pool.map(fit_trees, parts, [int(seed) for seed in seeds]))
            line = _fit_line(table, chosen, rows, monotone, pool) if chosen.linear_weight > 0 else None
        return cls.from_texts(members, num_threads, tree_weight=chosen.tree_weight, line=line)

    @classmethod
    def from_texts(
        cls,
        texts: Sequence[str],
        num_threads: int = 1,
        *,
        tree_weight: float = 1.0,
        line: Line | None = None,
    ) -> Bag:
        """Rebuild from LightGBM's text format, which holds no code, and the plain values beside it."""
        members = tuple(lgb.Booster(model_str=text) for text in texts)
        return cls(members, num_threads, tree_weight, line)

    def texts(self) -> list[str]:
        """Return each member's trees as text."""
        return [to_text(member) for member in self.members]

    def to_json(self) -> dict[str, Any]:
        """Return what the texts do not hold, as plain values."""
        line = self.line
        return {
            "tree_weight": self.tree_weight,
            "line": None if line is None else line.scaling.to_json() | {"weights": line.weights.tolist()},
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any], texts: Sequence[str], num_threads: int = 1) -> Bag:
        """Rebuild from `to_json` and `texts`."""
        line = saved["line"]
        return cls.from_texts(
            texts,
            num_threads,
            tree_weight=float(saved["tree_weight"]),
            line=None
            if line is None
            else Line(Scaling.from_json(line), np.asarray(line["weights"], dtype=np.float64)),
        )

    def margins(self, X: Floats) -> Floats:
        """Return each member's margin: (members, rows)."""
        margins = self.tree_weight * self._tree_margins(X)
        return margins if self.line is None else margins + self.line.margins(X)

    def margin(self, X: Floats) -> Floats:
        """Return the mean margin of the members: (rows,)."""
        # member by member, never as a reduction over an axis: the order of addition, and so the last bits,
        # would depend on how many rows are asked for, and an account must score the same alone as in a batch
        total = np.zeros(X.shape[0])
        for margins in self._tree_margins(X):
            total += margins
        margin = self.tree_weight * (total / len(self.members))
        return margin if self.line is None else margin + self.line.margin(X)

    def _tree_margins(self, X: Floats) -> Floats:
        """Return the margin of each member's trees: (members, rows); the same bits either way."""
        if (len(X) >= MANY_ROWS or "tables" in self.__dict__) and self.tables is not None:
            return self.tables.margins(X)
        threads = self._threads(X)
        return np.stack(
            [m.predict(X, raw_score=True, num_threads=threads, verbosity=-1) for m in self.members]
        )

    @property
    def bounds(self) -> tuple[float, float]:
        """Margins the bag cannot leave, whatever the row: every tree at its lowest, at its highest leaf."""
        low = self.tree_weight * float(np.mean([member.lower_bound() for member in self.members]))
        high = self.tree_weight * float(np.mean([member.upper_bound() for member in self.members]))
        if self.line is None:
            return low, high
        least, most = self.line.scaling.bounds(self.line.weights.mean(axis=0))
        return low + least, high + most

    def member_contributions(self, X: Floats) -> Floats:
        """Return exact path-dependent SHAP values: (members, rows, columns + 1), the last one the base."""
        found = self._tree_contributions(X, by_member=True)
        if self.tree_weight != 1.0:
            found *= self.tree_weight
        if self.line is not None:
            terms = self.line.scaling.terms(X)
            for member, weights in zip(found, self.line.weights, strict=True):
                member[:, :-1] += self.line.scaling.gathered(terms * weights)
        return found

    def contributions(self, X: Floats) -> Floats:
        """Return the members' mean SHAP values: (rows, columns + 1); they add up to `margin`."""
        total: Floats = self._tree_contributions(X, by_member=False)[0]
        total *= self.tree_weight / len(self.members)
        if self.line is not None:
            total[:, :-1] += self.line.contributions(X, self.line.weights.mean(axis=0))
        return total

    def _tree_contributions(self, X: Floats, *, by_member: bool) -> Floats:
        """Return those of the trees, (members, rows, columns + 1), or summed over members: (1, ...)."""
        if self.tables is not None:
            found = self.tables.contributions(X, by_member=by_member)
            return found.transpose(0, 2, 1)
        threads = self._threads(X)
        each = [m.predict(X, pred_contrib=True, num_threads=threads, verbosity=-1) for m in self.members]
        if by_member:
            return np.asarray(np.stack(each))
        total = np.zeros((1, X.shape[0], X.shape[1] + 1))
        for values in each:
            total += values
        return total

    @cached_property
    def tables(self) -> TreeTables | None:
        """Contributions of small trees, tabulated when first asked for; None for larger ones."""
        return TreeTables.of(self.texts(), self.members[0].num_feature())

    def _threads(self, X: Floats) -> int:
        return 1 if X.shape[0] <= FEW_ROWS else self.num_threads


def _fit_line(
    table: Table,
    chosen: Chosen,
    rows: Sequence[npt.NDArray[np.int64]],
    monotone: Sequence[int],
    pool: ThreadPoolExecutor,
) -> Line:
    scaling = Scaling.fit(table.X)
    terms = scaling.terms(table.X)
    bounds = scaling.directions(monotone)

    def fit_member(part: npt.NDArray[np.int64]) -> Floats:
        return fit_weights(
            terms[part],
            table.y[part],
            offset=table.offset[part],
            penalty=chosen.penalty * table.rows_each,
            bounds=bounds,
            weight=None if table.weight is None else table.weight[part],
        )

    weights = np.stack(list(pool.map(fit_member, rows)))
    return Line(scaling, chosen.linear_weight * weights)


def to_text(booster: lgb.Booster) -> str:
    """Return a booster's trees as text, without the parameters (they hold the number of threads)."""
    text = str(booster.model_to_string())
    end = text.find("\nparameters:")
    return text if end < 0 else text[:end] + "\n"


def leave_accounts_out(
    account: npt.NDArray[np.int64],
    churned: npt.NDArray[np.bool_],
    n_members: int,
    fraction: float,
    random: np.random.RandomState,
) -> npt.NDArray[np.bool_]:
    """Say which member does not see which account: (members, accounts).

    Accounts are dealt into equal hands, those that churned apart from those that stayed, and each member
    leaves one hand out; after all hands were left out once they are dealt anew. So every account is unseen
    by the same number of members (within one), and every member sees its share of the churned.
    """
    n_accounts = int(account.max()) + 1
    out = np.zeros((n_members, n_accounts), dtype=bool)
    if fraction >= 1 or n_accounts < 2:
        return out
    hands = min(n_accounts, max(2, round(1 / (1 - fraction))))
    ever = np.zeros(n_accounts, dtype=bool)
    np.logical_or.at(ever, account, churned)
    hand = np.empty(n_accounts, dtype=np.int64)
    for member in range(n_members):
        if member % hands == 0:
            order = random.permutation(n_accounts)
            hand[order[np.argsort(ever[order], kind="stable")]] = np.arange(n_accounts) % hands
        out[member] = hand == member % hands
    return out
