"""Splits that keep the future out of training: by date, by label window and by account."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle_ml.outcomes.labels import known_through

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lifecycle_ml.outcomes.recipe import Recipe


@dataclass(frozen=True)
class Fold:
    """One rolling origin: learn from what was known at `cutoff`, test on the dates from there on."""

    cutoff: date
    train_until: date
    """Newest snapshot date whose headline label was known at the cut-off, less the gap."""
    test_dates: tuple[date, ...]


def rolling_origins(dates: Sequence[date], recipe: Recipe, data_through: date) -> list[Fold]:
    """Cut the snapshot dates into rolling origins, oldest first.

    Test dates are those whose headline label is known at `data_through`, from the newest back in blocks of
    `dates_per_cutoff` that do not overlap. Where history is short, blocks shrink before cut-offs are given
    up; every fold keeps at least `min_training_dates` to learn from. Empty where not even one fold fits.
    """
    label, splits = recipe.label, recipe.splits
    known = known_through(label, label.headline_days).to_pytimedelta()
    reach = known_through(label, label.headline_days + splits.gap_days).to_pytimedelta()
    ordered = sorted(set(dates))
    testable = [day for day in ordered if day + known <= data_through]
    for cutoffs in range(splits.cutoffs, 0, -1):
        for size in range(splits.dates_per_cutoff, 0, -1):
            if cutoffs * size > len(testable):
                continue
            tested = testable[len(testable) - cutoffs * size :]
            first_training = [day for day in ordered if day + reach <= tested[0]]
            if len(first_training) < splits.min_training_dates:
                continue
            blocks = [tested[start : start + size] for start in range(0, len(tested), size)]
            return [
                Fold(block[0], max(day for day in ordered if day + reach <= block[0]), tuple(block))
                for block in blocks
            ]
    return []


def known_at_cutoff(
    as_of: ArrayLike, horizon_days: ArrayLike, cutoff: date, recipe: Recipe
) -> NDArray[np.bool_]:
    """Mark the training rows (as_of, horizon) whose label was known at the cut-off, less the gap.

    For stacked rows, where each carries its own horizon: a 30-day row may lie closer to the cut-off than a
    180-day row. `as_of` and `horizon_days` broadcast against each other. A row that passes has a label
    window that ends before every test window begins.
    """
    days = np.asarray(as_of, dtype="datetime64[D]").astype("int64")
    fixed = known_through(recipe.label, recipe.splits.gap_days).days
    until = np.datetime64(cutoff, "D").astype("int64")
    return np.asarray(days + np.asarray(horizon_days, dtype="int64") + fixed <= until)


def account_shares(groups: ArrayLike, seed: int = 0) -> NDArray[np.float64]:
    """Give each row a number in [0, 1) that depends on its account and the seed alone.

    The same account gets the same number in every data set, so folds do not reshuffle as accounts come.
    """
    codes, accounts = pd.factorize(np.asarray(groups, dtype=object))
    drawn = [
        int.from_bytes(hashlib.sha256(f"{seed}\0{account}".encode()).digest()[:8], "big") / 2**64
        for account in accounts
    ]
    return np.asarray(drawn, dtype="float64")[codes] if len(codes) else np.empty(0)


def account_folds(groups: ArrayLike, n_folds: int, seed: int = 0) -> NDArray[np.int64]:
    """Give each row one of `n_folds` folds, all rows of an account the same; for cross-fitting."""
    return np.asarray(account_shares(groups, seed) * n_folds, dtype="int64")


class PurgedTimeSplit:
    """Time-ordered cross-validation without shared label windows; for anything that takes `cv=`.

    A row stands for one account on one date and its label looks `horizon_days` ahead. Fold k tests a block
    of the newest dates and trains on earlier ones only, after dropping every row whose label window
    `[as_of, as_of + horizon_days)` plus `gap_days` reaches into the test block: with monthly rows and a
    90-day label a split that forgets this scores 0.69 where 0.59 is true.

    Parameters
    ----------
    n_splits : int
        Number of test blocks, at least 1; the newest dates, without overlap.
    horizon_days : int
        How far the label looks ahead; add grace and arrival lag where the label needs them.
    gap_days : int
        Extra distance between the last training label and the first test date.
    dates_per_split : int
        Dates in one test block.
    unseen_accounts : bool
        Also drop a training row whose account is tested: fold k then tests only its share of the accounts.
        Needs `groups`.
    as_of : array of dates, optional
        Date of each row of X (with a time zone: its UTC date). Default: X's column `as_of`, else its index
        level of that name.

    Raises ValueError where dates are missing, or too few for the folds asked for.

    """

    def __init__(
        self,
        n_splits: int = 4,
        *,
        horizon_days: int = 90,
        gap_days: int = 0,
        dates_per_split: int = 1,
        unseen_accounts: bool = False,
        as_of: ArrayLike | None = None,
    ) -> None:
        for name, value, least in (
            ("n_splits", n_splits, 1),
            ("horizon_days", horizon_days, 1),
            ("gap_days", gap_days, 0),
            ("dates_per_split", dates_per_split, 1),
        ):
            if not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(f"PurgedTimeSplit: {name} is {value!r}; give a whole number from {least}.")
        self.n_splits = n_splits
        self.horizon_days = horizon_days
        self.gap_days = gap_days
        self.dates_per_split = dates_per_split
        self.unseen_accounts = unseen_accounts
        self.as_of = as_of

    def __repr__(self) -> str:
        return (
            f"PurgedTimeSplit(n_splits={self.n_splits}, horizon_days={self.horizon_days}, "
            f"gap_days={self.gap_days}, dates_per_split={self.dates_per_split}, "
            f"unseen_accounts={self.unseen_accounts})"
        )

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002 (scikit-learn's signature)
        """Return the number of folds."""
        return self.n_splits

    def split(
        self,
        X: Any,
        y: Any = None,  # noqa: ARG002 (scikit-learn's signature)
        groups: ArrayLike | None = None,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield (train, test) row positions, the oldest fold first; `groups` is the account of each row."""
        days = self._days(X)
        if self.unseen_accounts and groups is None:
            raise ValueError("PurgedTimeSplit: unseen_accounts=True needs groups, the account of each row.")
        dates = np.unique(days)
        needed = self.n_splits * self.dates_per_split
        reach = self.horizon_days + self.gap_days
        if len(dates) <= needed or dates[0] + reach > dates[-needed]:
            raise ValueError(
                f"PurgedTimeSplit: {len(dates)} dates over {int(np.ptp(dates)) if len(dates) else 0} days; "
                f"{self.n_splits} folds of {self.dates_per_split} dates need {needed + 1} dates or more, the "
                f"first {reach} days (horizon_days + gap_days) before the oldest test date. Ask for fewer."
            )
        # A single fold still leaves half of the accounts to learn from.
        fold_of = None if groups is None else account_folds(groups, max(2, self.n_splits))
        for fold, block in enumerate(np.split(dates[-needed:], self.n_splits)):
            train = days + reach <= block[0]
            test = np.isin(days, block)
            if self.unseen_accounts and fold_of is not None:
                train &= fold_of != fold
                test &= fold_of == fold
            if not train.any() or not test.any():
                raise ValueError(
                    f"PurgedTimeSplit: fold {fold + 1} of {self.n_splits} has {int(train.sum())} training "
                    f"and {int(test.sum())} test rows. Ask for fewer folds."
                )
            yield np.flatnonzero(train), np.flatnonzero(test)

    def _days(self, X: Any) -> NDArray[np.int64]:
        as_of = self.as_of
        if as_of is None and isinstance(X, pd.DataFrame):
            if "as_of" in X.columns:
                as_of = X["as_of"].to_numpy()
            elif "as_of" in X.index.names:
                as_of = X.index.get_level_values("as_of").to_numpy()
        if as_of is None:
            raise ValueError(
                "PurgedTimeSplit: no dates. Give as_of=, one date per row, or an X with a column or index "
                "level as_of."
            )
        stamps = pd.to_datetime(pd.Series(np.asarray(as_of)), utc=True).dt.tz_localize(None)
        days = stamps.to_numpy().astype("datetime64[D]")
        if len(days) != len(X):
            raise ValueError(f"PurgedTimeSplit: as_of has {len(days)} dates for {len(X)} rows.")
        if np.isnat(days).any():
            raise ValueError(f"PurgedTimeSplit: {int(np.isnat(days).sum())} rows have no date.")
        return days.astype("int64")
