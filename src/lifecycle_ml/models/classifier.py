"""RiskClassifier: the estimator the product uses, as a scikit-learn classifier."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)
from threadpoolctl import threadpool_limits

from lifecycle_ml.models.bag import Bag, leave_accounts_out
from lifecycle_ml.models.capacity import LADDER, Capacity, Chosen, Table, choose
from lifecycle_ml.models.encoding import Encoding, Floats

FOLDS = 5
"""Folds over accounts by which the capacity is chosen where none are given."""


class RiskClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A bag of monotone boosted trees and a straight line over accounts, for two classes.

    Takes a DataFrame with numbers, yes/no and categories (text or category columns), all of them with gaps,
    or an array of numbers. How much it may bend is chosen from the training rows (see `models.capacity`).
    No class weights and no resampling: probabilities are meant to be read.

    Parameters
    ----------
    capacity : "auto" to choose shape and number of trees from the training rows, or a `Capacity`, whose
        min_leaf counts rows and is at most a tenth of the rows a member sees; or what another fit chose
        (its `chosen_`), the line's part included.
    linear : whether a ridge regression may join the trees, with the weight it earns on rows held back.
    n_members : members of the bag; their margins are averaged.
    account_fraction : share of the accounts (`groups`; rows where none are given) each member sees.
    row_share : share of those accounts' rows each member sees; below 1 where rows of an account repeat each
        other, as snapshots at several horizons do.
    monotone : column name (or position, for arrays) -> +1 (more of it raises the risk), -1 or 0.
    min_level : a category's level needs this many rows (accounts, where groups are given) for a column of
        its own.
    random_state : same data and seed, same model, whatever the number of threads.
    num_threads : threads for fitting and for large predictions; default all cores, at most 4.

    Attributes
    ----------
    classes_, n_features_in_, feature_names_in_ : as in scikit-learn.
    chosen_ : what was chosen, and what each shape showed on rows held back.
    bag_, encoding_ : the fitted members and how columns become numbers.
    base_ : the margin rows start from: log-odds of the training data, shifted as rows held back by account
        asked for; 0 where an offset was given.

    """

    def __init__(
        self,
        capacity: Literal["auto"] | Capacity | Chosen = "auto",
        linear: bool = True,
        n_members: int = 10,
        account_fraction: float = 0.8,
        row_share: float = 1.0,
        monotone: Mapping[Any, int] | None = None,
        min_level: int = 20,
        random_state: int | np.random.RandomState | None = 0,
        num_threads: int | None = None,
    ) -> None:
        self.capacity = capacity
        self.linear = linear
        self.n_members = n_members
        self.account_fraction = account_fraction
        self.row_share = row_share
        self.monotone = monotone
        self.min_level = min_level
        self.random_state = random_state
        self.num_threads = num_threads

    def fit(
        self,
        X: Any,
        y: Any,
        groups: Any = None,
        sample_weight: Any = None,
        *,
        offset: Any = None,
        folds: Iterable[tuple[Any, Any]] | None = None,
    ) -> Self:
        """Fit on rows `X` with labels `y` (two classes; the larger one is the event).

        `groups` names the account of each row: members leave whole accounts out. `offset` is a margin
        (log-odds) each row starts from; then `decision_function` is what the model adds to it. `folds` are
        pairs of row numbers, to learn from and to be judged on, by which the capacity is chosen, as any
        scikit-learn splitter yields them (`PurgedTimeSplit` where rows have dates); default five folds over
        the accounts.
        Raises: ValueError for labels that are not two classes, or rows that do not match.
        """
        frame = self._frame(X, fitting=True)
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        check_consistent_length(frame, y)
        self.classes_ = np.unique(y)
        if type_of_target(y, input_name="y") not in ("binary", "multiclass") or len(self.classes_) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{type_of_target(y, input_name='y')}."
            )
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds only one class, {self.classes_[0]}; a risk needs rows of both classes."
            )
        target = (y == self.classes_[1]).astype(np.float64)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, frame)
        if weight is not None and len(np.unique(target[weight > 0])) < 2:
            raise ValueError("only one class is left where sample_weight is above 0.")
        account = np.arange(len(frame)) if groups is None else _codes(groups, len(frame))

        random = check_random_state(self.random_state)
        self.encoding_ = Encoding.fit(frame, None if groups is None else account, min_level=self.min_level)
        encoded = self.encoding_.transform(frame)
        if np.isinf(encoded).any():
            raise ValueError("Input X contains infinity; leave a gap where a value does not exist.")
        rate = float(np.average(target, weights=weight))
        self.base_ = 0.0 if offset is not None else float(np.log(rate / (1 - rate)))
        start = np.full(len(frame), self.base_) if offset is None else np.asarray(offset, dtype=np.float64)
        check_consistent_length(frame, start)
        table = Table(encoded, target, start, weight, account)

        self._left_out = leave_accounts_out(
            account, target > 0, self.n_members, self.account_fraction, random
        )
        self._accounts = None if groups is None else pd.Index(pd.unique(pd.Series(np.asarray(groups))))
        rows = [self._drawn(np.flatnonzero(~out[account]), random) for out in self._left_out]
        seeds = [int(seed) for seed in random.randint(1, 2**31 - 1, size=self.n_members)]
        monotone, num_threads = self._directions(), _threads(self.num_threads)
        # members are fitted side by side: a team of threads inside each would only wait for the others
        with threadpool_limits(1, user_api="blas"):
            self.chosen_ = self._choose(table, folds, monotone, seeds[0], num_threads)
            if folds is None and offset is None:
                self.base_ += self.chosen_.level
            self.bag_ = Bag.fit(
                table, self.chosen_, rows=rows, seeds=seeds, monotone=monotone, num_threads=num_threads
            )
        return self

    def decision_function(self, X: Any) -> Floats:
        """Return the mean margin (log-odds) of the members: (rows,)."""
        encoded = self._encoded(X)
        return self.base_ + self.bag_.margin(encoded)

    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of each class: (rows, 2). Not calibrated; see `AffineCalibration`."""
        risk = 1 / (1 + np.exp(-self.decision_function(X)))
        return np.column_stack([1 - risk, risk])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the likelier class of each row."""
        margin = self.decision_function(X)
        return np.asarray(self.classes_[(margin > 0).astype(int)])

    def contributions(self, X: Any) -> Floats:
        """Return what each column adds to the margin: (rows, columns + 1), the last one the base.

        Exact SHAP values of the bag; rows add up to `decision_function`. A category's columns are summed.
        """
        encoded = self._encoded(X)
        return self._gather(self.bag_.contributions(encoded))

    def member_contributions(self, X: Any) -> Floats:
        """Return the contributions of each member: (members, rows, columns + 1)."""
        encoded = self._encoded(X)
        return self._gather(self.bag_.member_contributions(encoded))

    def unseen_margin(self, X: Any, groups: Any) -> Floats:
        """Return the mean margin of those members that never saw the row's account: (rows,).

        Accounts that were not in the training data are unseen by all members. NaN where every member saw
        the account (account_fraction = 1). Needs a model fitted with groups in this process.
        """
        encoded = self._encoded(X)
        margins = self.base_ + self.bag_.margins(encoded)
        if self._accounts is None:
            raise ValueError("fit with groups first: without them nothing says which account a row is of.")
        position = self._accounts.get_indexer(pd.Index(np.asarray(groups)))
        unseen = np.ones(margins.shape, dtype=bool)
        known = position >= 0
        unseen[:, known] = self._left_out[:, position[known]]
        count = unseen.sum(axis=0)
        total = np.where(unseen, margins, 0.0).sum(axis=0)
        return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan), dtype=np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _gather(self, encoded: Floats) -> Floats:
        base = encoded[..., -1:] + self.base_
        return np.concatenate([self.encoding_.gather(encoded[..., :-1]), base], axis=-1)

    def _encoded(self, X: Any) -> Floats:
        check_is_fitted(self)
        return self.encoding_.transform(self._frame(X, fitting=False))

    def _frame(self, X: Any, *, fitting: bool) -> pd.DataFrame:
        """Return X as a frame; scikit-learn's own checks name what is wrong with an array."""
        if isinstance(X, pd.DataFrame):
            if fitting and X.columns.duplicated().any():
                raise ValueError(f"column {X.columns[X.columns.duplicated()][0]!r} occurs twice.")
            if len(X) == 0:
                raise ValueError(
                    f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required."
                )
            validate_data(self, X, reset=fitting, skip_check_array=True)
            return X if all(isinstance(name, str) for name in X.columns) else X.rename(columns=str)
        values = validate_data(
            self, X, reset=fitting, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=1
        )
        return pd.DataFrame(values, columns=[f"x{position}" for position in range(values.shape[1])])

    def _drawn(self, rows: npt.NDArray[np.int64], random: np.random.RandomState) -> npt.NDArray[np.int64]:
        if self.row_share >= 1:
            return rows
        return np.asarray(rows[random.random_sample(len(rows)) < self.row_share], dtype=np.int64)

    def _choose(
        self,
        table: Table,
        folds: Iterable[tuple[Any, Any]] | None,
        monotone: list[int],
        seed: int,
        num_threads: int,
    ) -> Chosen:
        """Choose what is left open, by the folds given or by folds over the accounts."""
        if isinstance(self.capacity, Chosen):
            return self.capacity
        if isinstance(self.capacity, str) and self.capacity != "auto":
            raise ValueError(f"capacity is {self.capacity!r}; give 'auto' or a Capacity.")
        fixed = None if isinstance(self.capacity, str) else self.capacity
        if fixed is not None and not self.linear:
            return Chosen(fixed)
        random = np.random.RandomState(seed)
        if folds is None:
            out = leave_accounts_out(table.account, table.y > 0, FOLDS, 1 - 1 / FOLDS, random)
            held = [
                (np.flatnonzero(~hand[table.account]), np.flatnonzero(hand[table.account])) for hand in out
            ]
        else:
            held = [(np.asarray(train), np.asarray(test)) for train, test in folds]
        # a fold that knows one class only, or has nobody to judge by, tells nothing
        held = [
            (self._drawn(train, random), test)
            for train, test in held
            if 0 < table.y[train].sum() < len(train) and 0 < table.y[test].sum() < len(test)
        ]
        if not held:
            return Chosen(fixed or Capacity())
        return choose(
            table,
            held,
            monotone=monotone,
            ladder=LADDER if fixed is None else (fixed,),
            any_number=fixed is None,
            linear=self.linear,
            seed=seed,
            num_threads=num_threads,
        )

    def _directions(self) -> list[int]:
        wanted = {
            f"x{key}" if isinstance(key, int | np.integer) else str(key): int(direction)
            for key, direction in (self.monotone or {}).items()
        }
        unknown = sorted(set(wanted) - set(self.encoding_.names))
        if unknown:
            raise ValueError(f"monotone names columns X does not have: {', '.join(unknown)}.")
        wrong = sorted(name for name, direction in wanted.items() if direction not in (-1, 0, 1))
        if wrong:
            raise ValueError(f"monotone takes -1, 0 or +1; see {', '.join(wrong)}.")
        # a direction means nothing for the levels of a category
        return [
            wanted.get(column.name, 0) if column.levels is None else 0
            for column in self.encoding_.columns
            for _ in range(column.width)
        ]


def _codes(groups: Any, rows: int) -> npt.NDArray[np.int64]:
    """Number the accounts in order of appearance."""
    values = pd.Series(np.asarray(groups))
    if len(values) != rows:
        raise ValueError(f"groups has {len(values)} entries for {rows} rows.")
    if values.isna().any():
        raise ValueError(f"groups has {int(values.isna().sum())} gaps; every row needs an account.")
    return np.asarray(pd.factorize(values)[0], dtype=np.int64)


def _threads(wanted: int | None) -> int:
    return wanted if wanted is not None else min(4, os.cpu_count() or 1)
