"""The shrunken logistic regression: few columns, directions kept, exact terms."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from lifecycle_ml.models.logistic import LogisticModel, fit_logistic, log_odds, sigmoid


def company(rows=4000, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(rows, 8)), columns=[f"f{number}" for number in range(8)])
    margin = -2.5 + 1.0 * frame["f0"] - 0.7 * frame["f1"]
    y = (rng.random(rows) < sigmoid(margin.to_numpy())).astype(float)
    frame["copy"] = frame["f0"] + rng.normal(0, 0.01, rows)
    frame["plan"] = pd.Series(rng.choice(["basic", "plus"], rows), dtype="str")
    frame.loc[rng.random(rows) < 0.1, "f0"] = np.nan
    return frame, y, np.arange(rows) // 4


def fit(frame, y, accounts, directions=None, **changes):
    starts = {30: log_odds(0.03), 90: log_odds(float(y.mean())), 180: log_odds(0.2)}
    settings = {"starts": starts, "headline": 90, "directions": directions or {}, **changes}
    return LogisticModel.fit(frame, y, accounts, **settings)


def test_newton_agrees_with_scikit_learn():
    """The same penalised likelihood has the same maximum."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3))
    y = (rng.random(500) < sigmoid(X @ np.array([1.0, -0.5, 0.0]))).astype(float)
    ours = fit_logistic(X, y, penalty=2.0)
    theirs = LogisticRegression(C=0.5, fit_intercept=False, tol=1e-10).fit(X, y).coef_[0]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_finds_what_drives_the_outcome():
    """The two driving columns carry the largest weights, with the right signs."""
    frame, y, accounts = company()
    model = fit(frame, y, accounts)
    weights = dict(zip(model.encoding.encoded_names, model.weights, strict=True))
    f0 = weights["f0"] or weights["copy"]
    assert f0 > 0.5
    assert weights["f1"] < -0.3


def test_near_copies_are_not_both_used():
    """Of two columns that say the same only one is chosen."""
    frame, y, accounts = company()
    model = fit(frame, y, accounts)
    weights = dict(zip(model.encoding.encoded_names, model.weights, strict=True))
    assert (weights["f0"] == 0) != (weights["copy"] == 0)


def test_uses_one_column_per_twelve_churned_accounts():
    """Thirty churned accounts pay for two columns."""
    frame, y, accounts = company()
    few = np.zeros_like(y)
    few[np.flatnonzero(y)[:30]] = 1.0
    events = len(np.unique(accounts[few > 0]))
    model = fit(frame, few, accounts)
    assert 0 < np.count_nonzero(model.weights) <= events // 12


def test_a_weight_against_the_claimed_direction_is_left_out():
    """If more of f0 is claimed to lower the risk, it may not raise it."""
    frame, y, accounts = company()
    model = fit(frame.drop(columns=["copy"]), y, accounts, directions={"f0": -1})
    assert dict(zip(model.encoding.encoded_names, model.weights, strict=True))["f0"] == 0


def test_contributions_add_up_and_a_gap_adds_nothing():
    """Terms are exact; a null stands for the mean."""
    frame, y, accounts = company()
    model = fit(frame.drop(columns=["copy"]), y, accounts)
    values = model.contributions(frame, 90)
    np.testing.assert_allclose(values.sum(axis=1), model.raw(frame)[:, 1], atol=1e-9)
    gap = frame["f0"].isna().to_numpy()
    assert (values[gap, 0] == 0).all()
    assert (values[~gap, 0] != 0).all()


def test_survives_json():
    """Rebuilt from plain values it scores the same."""
    frame, y, accounts = company(1000)
    model = fit(frame, y, accounts)
    rebuilt = LogisticModel.from_json(model.to_json())
    assert (rebuilt.raw(frame) == model.raw(frame)).all()


def test_an_outcome_without_relation_gets_small_weights():
    """Cross-validation shrinks noise towards nothing."""
    frame, _, accounts = company()
    y = (np.random.default_rng(5).random(len(frame)) < 0.1).astype(float)
    model = fit(frame, y, accounts)
    assert np.abs(model.raw(frame)).max() < 1.0


def test_log_odds_never_leave_the_finite():
    """A rate of 0 or 1 has large but finite log-odds."""
    assert log_odds(0.0) == pytest.approx(-log_odds(1.0))
