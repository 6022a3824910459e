"""A bag of boosted trees over accounts: fitted on one binned table, saved as text, explained exactly."""

from __future__ import annotations

import os

# Two OpenMP teams that wait by spinning make each other some fifty times slower on a busy machine; the
# runtime reads this once, when LightGBM is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from lifecycle_ml.models.encoding import Floats

FEW_ROWS = 256
"""Up to here one thread answers faster than two wake up."""


@dataclass(frozen=True)
class Capacity:
    """How much one member may bend: LightGBM's parameters under our names."""

    n_trees: int
    learning_rate: float
    n_leaves: int
    min_leaf: int
    l2: float
    feature_fraction: float
    row_fraction: float
    max_bin: int

    def parameters(self, seed: int, num_threads: int, monotone: Sequence[int]) -> dict[str, object]:
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


@dataclass(frozen=True)
class Bag:
    """Boosters whose margins are averaged: log-odds beyond the offset the rows were fitted with."""

    members: tuple[lgb.Booster, ...]
    num_threads: int = 1

    @classmethod
    def fit(
        cls,
        X: Floats,
        y: Floats,
        *,
        offset: Floats,
        weight: Floats | None,
        rows: Sequence[npt.NDArray[np.int64]],
        seeds: Sequence[int],
        capacity: Capacity,
        monotone: Sequence[int],
        num_threads: int,
    ) -> Bag:
        """Fit one member per entry of `rows` (the row numbers it sees); values are binned only once.

        Members are fitted side by side with one thread each: on shallow trees that is more than twice as
        fast as one after the other with all threads, and no thread waits for another.
        """
        shared = capacity.parameters(int(seeds[0]), num_threads, monotone)
        data = lgb.Dataset(X, label=y, weight=weight, init_score=offset, params=shared).construct()
        # subsets are cut before threads start: cutting one sets a field of the table they share
        parts = [data.subset(np.sort(chosen)).construct() for chosen in rows]

        def fit_member(part: lgb.Dataset, seed: int) -> str:
            params = capacity.parameters(seed, 1, monotone)
            return to_text(lgb.train(params, part, num_boost_round=capacity.n_trees))

        with ThreadPoolExecutor(max_workers=num_threads) as pool:
            members = list(pool.map(fit_member, parts, [int(seed) for seed in seeds]))
        return cls.from_texts(members, num_threads)

    @classmethod
    def from_texts(cls, texts: Sequence[str], num_threads: int = 1) -> Bag:
        """Rebuild from LightGBM's text format, which holds no code."""
        return cls(tuple(lgb.Booster(model_str=text) for text in texts), num_threads)

    def texts(self) -> list[str]:
        """Return each member as text."""
        return [to_text(member) for member in self.members]

    def margins(self, X: Floats) -> Floats:
        """Return each member's margin: (members, rows)."""
        threads = self._threads(X)
        return np.stack([m.predict(X, raw_score=True, num_threads=threads) for m in self.members])

    def margin(self, X: Floats) -> Floats:
        """Return the mean margin of the members: (rows,)."""
        # member by member, never as a reduction over an axis: the order of addition, and so the last bits,
        # would depend on how many rows are asked for, and an account must score the same alone as in a batch
        threads = self._threads(X)
        total = np.zeros(X.shape[0])
        for member in self.members:
            total += member.predict(X, raw_score=True, num_threads=threads)
        return total / len(self.members)

    @property
    def bounds(self) -> tuple[float, float]:
        """Margins the bag cannot leave, whatever the row: every tree at its lowest, at its highest leaf."""
        lows = [member.lower_bound() for member in self.members]
        highs = [member.upper_bound() for member in self.members]
        return float(np.mean(lows)), float(np.mean(highs))

    def member_contributions(self, X: Floats) -> Floats:
        """Return exact path-dependent SHAP values: (members, rows, columns + 1), the last one the base."""
        threads = self._threads(X)
        return np.stack([m.predict(X, pred_contrib=True, num_threads=threads) for m in self.members])

    def contributions(self, X: Floats) -> Floats:
        """Return the members' mean SHAP values: (rows, columns + 1); they add up to `margin`."""
        threads = self._threads(X)
        total = np.zeros((X.shape[0], X.shape[1] + 1))
        for member in self.members:
            total += member.predict(X, pred_contrib=True, num_threads=threads)
        return total / len(self.members)

    def _threads(self, X: Floats) -> int:
        return 1 if X.shape[0] <= FEW_ROWS else self.num_threads


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
