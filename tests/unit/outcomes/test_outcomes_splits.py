"""Splits: nothing a test window shows may have been known in training."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.outcomes.splits import (
    PurgedTimeSplit,
    account_folds,
    known_at_cutoff,
    rolling_origins,
)
from lifecycle_ml.workspace import load_workspace, standard_root

RECIPE = load_recipe(load_workspace(standard_root()), "churn")


def monthly(count, start=date(2022, 1, 1)):
    return [start + timedelta(days=28 * step) for step in range(count)]


@settings(max_examples=40, deadline=None)
@given(
    n_dates=st.integers(12, 40),
    step=st.integers(7, 40),
    horizon=st.integers(1, 200),
    gap=st.integers(0, 40),
    n_splits=st.integers(1, 4),
    per_split=st.integers(1, 3),
    unseen=st.booleans(),
)
def test_no_training_window_reaches_a_test_window(n_dates, step, horizon, gap, n_splits, per_split, unseen):
    """In every fold each label window of training ends, gap included, before the first test date."""
    days = pd.to_datetime("2022-01-01") + pd.to_timedelta(np.arange(n_dates) * step, unit="D")
    X = pd.DataFrame({"as_of": np.repeat(days, 30)})
    groups = np.tile([f"A{i}" for i in range(30)], n_dates)
    splitter = PurgedTimeSplit(
        n_splits,
        horizon_days=horizon,
        gap_days=gap,
        dates_per_split=per_split,
        unseen_accounts=unseen,
    )
    if (n_dates - n_splits * per_split) * step < horizon + gap:
        with pytest.raises(ValueError, match="Ask for fewer"):
            list(splitter.split(X, groups=groups))
        return
    folds = list(splitter.split(X, groups=groups))
    assert len(folds) == splitter.get_n_splits() == n_splits
    tested = np.concatenate([test for _, test in folds])
    assert len(np.unique(tested)) == len(tested)
    for train, test in folds:
        latest_end = X["as_of"].iloc[train].max() + pd.Timedelta(days=horizon + gap)
        assert latest_end <= X["as_of"].iloc[test].min()
        if unseen:
            assert not set(groups[train]) & set(groups[test])


def test_training_keeps_every_row_that_may_stay():
    """Purging drops no more than it must: the row whose window ends on the first test date stays."""
    as_of = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-31"])
    ((train, test),) = PurgedTimeSplit(1, horizon_days=30, as_of=as_of).split(np.zeros((4, 1)))
    assert train.tolist() == [0]
    assert test.tolist() == [3]


def test_dates_may_come_in_any_form():
    """Column, index level, list of dates and instants with a time zone give the same folds."""
    days = pd.to_datetime(np.repeat(monthly(10), 2))
    X = pd.DataFrame({"as_of": days, "x": 0.0})
    zoned = days.tz_localize("UTC").tz_convert("America/New_York")
    ways = [
        PurgedTimeSplit(2).split(X),
        PurgedTimeSplit(2).split(X.set_index("as_of", append=True)),
        PurgedTimeSplit(2, as_of=[day.date() for day in days]).split(X[["x"]]),
        PurgedTimeSplit(2, as_of=zoned).split(X[["x"]]),
    ]
    expected, *others = [[(train.tolist(), test.tolist()) for train, test in way] for way in ways]
    assert expected[0][1] == [16, 17]
    assert all(other == expected for other in others)


def test_it_serves_as_cv_of_scikit_learn():
    """A scikit-learn function that takes `cv` takes it as it is."""
    rng = np.random.default_rng(0)
    as_of = np.repeat(pd.to_datetime(monthly(16)), 20)
    X, y = rng.normal(size=(320, 2)), rng.integers(0, 2, 320)
    cv = PurgedTimeSplit(3, horizon_days=90, as_of=as_of)
    scores = cross_val_score(LogisticRegression(), X, y, cv=cv, scoring="neg_log_loss")
    assert np.isfinite(scores).all()
    assert len(scores) == 3


@pytest.mark.parametrize(
    ("arguments", "X", "message"),
    [
        ({"n_splits": 0}, None, "n_splits is 0; give a whole number from 1"),
        ({}, np.zeros((3, 1)), "no dates. Give as_of="),
        ({"as_of": monthly(2)}, np.zeros((3, 1)), "as_of has 2 dates for 3 rows"),
        ({"as_of": [None, *monthly(2)]}, np.zeros((3, 1)), "1 rows have no date"),
        ({"as_of": monthly(9), "unseen_accounts": True}, np.zeros((9, 1)), "needs groups"),
        ({"as_of": monthly(4)}, np.zeros((4, 1)), "4 dates over 84 days"),
    ],
)
def test_a_wrong_split_says_what_is_missing(arguments, X, message):
    """Missing dates, groups or history are refused in words."""
    with pytest.raises(ValueError, match=message):
        list(PurgedTimeSplit(**arguments).split(X))


def test_rolling_origins_test_the_newest_known_dates_once():
    """Four cut-offs of three dates each, the newest whose headline label is known, none twice."""
    dates = monthly(40)
    through = dates[-1]
    folds = rolling_origins(dates, RECIPE, through)
    assert len(folds) == 4
    tested = [day for fold in folds for day in fold.test_dates]
    assert tested == sorted(set(tested))
    assert len(tested) == 12
    # 90 days of window, 30 of grace and 2 of lag: 122 days, so five of the 28-day steps are censored.
    assert tested[-1] == dates[-6]
    for fold in folds:
        assert fold.cutoff == fold.test_dates[0]
        assert fold.train_until + timedelta(days=122) <= fold.cutoff < fold.train_until + timedelta(days=150)


def test_rolling_origins_give_up_dates_before_cutoffs():
    """A shorter history still gets four cut-offs while it can, then fewer, then none."""
    sizes = []
    for count in (40, 20, 16, 15, 13, 12):
        folds = rolling_origins(monthly(count), RECIPE, monthly(count)[-1])
        sizes.append((len(folds), max((len(fold.test_dates) for fold in folds), default=0)))
        for fold in folds:
            earlier = [day for day in monthly(count) if day <= fold.train_until]
            assert len(earlier) >= RECIPE.splits.min_training_dates
    assert sizes == [(4, 3), (4, 2), (4, 1), (3, 1), (1, 1), (0, 0)]


def test_a_stacked_row_is_known_at_the_cutoff_by_its_own_horizon():
    """30-day rows may lie closer to the cut-off than 180-day rows; the edge itself is allowed."""
    as_of = np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[D]")
    known = known_at_cutoff(as_of[:, None], [30, 90], date(2024, 3, 3), RECIPE)  # 01-01 + 30 + 30 + 2
    assert known.tolist() == [[True, False], [False, False]]


def test_an_account_keeps_its_fold_whatever_the_company():
    """Folds depend on id and seed alone, whoever else is there, and are about equally large."""
    accounts = np.array([f"A{i}" for i in range(4000)])
    folds = account_folds(np.repeat(accounts, 2), 5)
    assert (folds[::2] == folds[1::2]).all()
    assert (account_folds(accounts[::-1][:100], 5) == folds[::2][::-1][:100]).all()
    assert (account_folds(accounts, 5, seed=4) != folds[::2]).any()
    assert set(folds) == set(range(5))
    assert np.bincount(folds[::2]).min() > 700
