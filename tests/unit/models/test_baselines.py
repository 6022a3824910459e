"""The four rules and the point table."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.errors import BundleError
from lifecycle_ml.models.baselines import CHURN_RULES, PointTable, fit_rules, rule_from_json, rules_for
from lifecycle_ml.models.evaluation import evaluate
from lifecycle_ml.outcomes.recipe import Recipe, load_recipe
from lifecycle_ml.workspace import load_workspace, standard_root

RECIPE = load_recipe(load_workspace(standard_root()), "churn")
EXPANSION = load_recipe(load_workspace(standard_root()), "expansion")
BY_NAME = {rule.name: rule for rule in CHURN_RULES}


def company(n=1200, seed=0):
    """A matrix in which renewals, lost use and silence all matter."""
    rng = np.random.default_rng(seed)
    matrix = pd.DataFrame(
        {
            "days_to_renewal": np.where(rng.random(n) < 0.1, np.nan, rng.integers(1, 365, n)),
            "usage_change_28d": np.where(rng.random(n) < 0.1, np.nan, rng.lognormal(0, 0.4, n)),
            "days_since_last_use": rng.geometric(0.1, n).astype(float),
            "active_days_28d": rng.integers(0, 28, n).astype(float),
            "arr": rng.lognormal(9, 1, n),
        }
    )
    margin = (
        -3.2
        + 2.5 * (matrix["days_to_renewal"] < 90)
        + 2.0 * (1 - matrix["usage_change_28d"].fillna(1.0)).clip(-1, 1)
        + 0.08 * matrix["days_since_last_use"]
    )
    y = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(float)
    return matrix, y.to_numpy(), np.array([f"A{i // 2}" for i in range(n)])


def test_every_rule_gives_probabilities_with_skill():
    """On rows it has not seen each rule beats the base rate, which itself is right on average."""
    matrix, y, groups = company()
    fitted = fit_rules(matrix, y, groups, RECIPE)
    assert list(fitted.rules) == ["base_rate", "renewal_calendar", "usage_drop", "recency_frequency"]
    assert fitted.skipped == {}
    later, truth, accounts = company(seed=1)
    for name, p in fitted.score(later).items():
        found = evaluate(truth, p, accounts, draws=50)
        assert found["observed_expected"].value == pytest.approx(1, abs=0.25)
        if name == "base_rate":
            assert found["auroc"].value == 0.5
        else:
            assert found["auroc"].value > 0.58


def test_calendar_learns_the_rate_at_each_distance_shrunk_by_accounts():
    """A bucket of 50 accounts lies halfway between its own rate and the base rate."""
    days = np.r_[np.full(50, 10.0), np.full(150, 200.0), np.nan]
    y = np.r_[np.ones(50), np.zeros(151)]
    rule = BY_NAME["renewal_calendar"].fit(
        pd.DataFrame({"days_to_renewal": days}), y, np.arange(201), prior_accounts=50
    )
    base = 50.5 / 202
    near, far, evergreen, overdue = rule.score(pd.DataFrame({"days_to_renewal": [29.0, 200.0, np.nan, -5.0]}))
    assert near == pytest.approx((1 + base) / 2)
    assert far == pytest.approx(50 * base / 200)
    assert evergreen == pytest.approx(50 * base / 51)
    assert overdue == pytest.approx(base)


def test_calendar_edges_belong_to_the_later_bucket():
    """Day 30 is counted with 30-59, day 29 before it."""
    days = np.r_[np.full(40, 29.0), np.full(40, 30.0)]
    rule = BY_NAME["renewal_calendar"].fit(
        pd.DataFrame({"days_to_renewal": days}), np.r_[np.ones(40), np.zeros(40)], np.arange(80)
    )
    before, after = rule.score(pd.DataFrame({"days_to_renewal": [29.0, 30.0]}))
    assert before > 0.6
    assert after < 0.4


def test_usage_drop_ranks_by_the_share_lost_even_where_data_disagree():
    """The rule keeps its meaning: less use never lowers risk, and doubling is as good as it gets."""
    matrix, y, groups = company()
    probe = pd.DataFrame({"usage_change_28d": [0.0, 0.5, 1.0, 2.0, 9.0]})
    for outcome in (y, 1 - y):
        p = BY_NAME["usage_drop"].fit(matrix, outcome, groups).score(probe)
        assert (np.diff(p[:4]) < 0).all()
        assert p[3] == p[4]


def test_a_rule_without_its_features_is_skipped_with_the_reason():
    """Without usage two rules remain and the others say what they miss; an empty column is missing."""
    matrix, y, groups = company()
    bare = matrix[["days_to_renewal", "arr"]].assign(usage_change_28d=np.nan)
    fitted = fit_rules(bare, y, groups, RECIPE)
    assert list(fitted.rules) == ["base_rate", "renewal_calendar"]
    assert fitted.skipped["usage_drop"] == "none of its features has a value here: usage_change_28d"
    assert "days_since_last_use" in fitted.skipped["recency_frequency"]
    with pytest.raises(ValueError, match="rule usage_drop: none of its features has a value here"):
        BY_NAME["usage_drop"].fit(bare, y, groups)


def test_a_column_gone_at_scoring_reads_as_null():
    """A feed that fails after training does not stop a rule: its feature is unknown."""
    matrix, y, groups = company()
    for rule in fit_rules(matrix, y, groups, RECIPE).rules.values():
        gone = rule.score(pd.DataFrame(index=range(3)))
        nulls = rule.score(pd.DataFrame({name: [np.nan] * 3 for name in matrix}))
        assert np.isfinite(gone).all()
        assert (gone == nulls).all()


def test_one_outcome_gives_a_constant_strictly_between_zero_and_one():
    """Without churn the rules still answer, with a small rate and not with 0."""
    matrix, y, groups = company(n=200)
    for p in fit_rules(matrix, y * 0, groups, RECIPE).score(matrix).values():
        assert (p > 0).all()
        assert (p < 0.05).all()


@pytest.mark.parametrize("y", [[0.0, np.nan], [0.0], []])
def test_outcomes_that_do_not_fit_the_rows_are_refused(y):
    """Censored rows, other lengths and nothing at all are mistakes."""
    rows = pd.DataFrame({"days_to_renewal": [1.0, 2.0][: 2 if y else 0]})
    with pytest.raises(ValueError, match="leave out censored rows"):
        BY_NAME["base_rate"].fit(rows, y, ["A"] * len(rows))


def test_points_add_up_and_nulls_add_none():
    """Two points make medium, four make high; a null or an absent feature proves nothing."""
    table = PointTable.of(RECIPE)
    matrix = pd.DataFrame(
        {
            "days_since_last_use": [1.0, 28.0, 40.0, np.nan],
            "usage_change_28d": [1.0, 1.0, 0.4, np.nan],
            "closures_364d": [0.0, 0.0, 0.0, np.nan],
        }
    )
    assert table.points(matrix).tolist() == [0, 2, 4, 0]
    assert table.band(matrix).tolist() == ["low", "medium", "high", "low"]
    rates = RECIPE.rules.prior_rates
    assert table.score(matrix).tolist() == [rates["low"], rates["medium"], rates["high"], rates["low"]]
    assert "champions_left_180d" in table.absent(matrix)
    assert "usage_change_28d" not in table.absent(matrix)


def test_fitted_rules_survive_json_unchanged():
    """A rule read back from JSON scores every row the same, to the last bit."""
    matrix, y, groups = company()
    for rule in [*fit_rules(matrix, y, groups, RECIPE).rules.values(), PointTable.of(RECIPE)]:
        again = rule_from_json(json.loads(json.dumps(rule.to_json())))
        assert again == rule
        assert (again.score(matrix) == rule.score(matrix)).all()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"kind": "bucket"}, "kind 'bucket' is unknown. Did you mean 'buckets'?"),
        ({"kind": "constant"}, "the saved constant rule is damaged"),
        ({"kind": "logistic", "intercept": 0.0}, "the saved logistic rule is damaged"),
    ],
)
def test_a_damaged_rule_is_not_loaded(document, message):
    """An unknown kind or a missing number is a bundle that must not be served."""
    with pytest.raises(BundleError, match=message.replace("?", r"\?")):
        rule_from_json(document)


def growing(n=1500, seed=0):
    """A matrix in which full seats and growing use come before buying more."""
    rng = np.random.default_rng(seed)
    matrix = pd.DataFrame(
        {
            "active_users_per_seat": rng.uniform(0, 1.2, n),
            "usage_change_28d": rng.lognormal(0, 0.4, n),
            "days_since_last_use": rng.geometric(0.1, n).astype(float),
        }
    )
    margin = -3.5 + 2.0 * matrix["active_users_per_seat"] + 1.0 * matrix["usage_change_28d"]
    y = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(float)
    return matrix, y.to_numpy(), np.array([f"A{i // 2}" for i in range(n)])


def test_expansion_is_compared_with_rules_of_growth():
    """Utilisation and growth of use order later rows, from the features a company has."""
    fitted = fit_rules(*growing(), EXPANSION)
    assert list(fitted.rules) == ["base_rate", "utilisation", "usage_growth", "recency_frequency"]
    later, truth, accounts = growing(seed=1)
    for name in ("utilisation", "usage_growth"):
        found = evaluate(truth, fitted.rules[name].score(later), accounts, draws=50)
        assert found["auroc"].value > 0.58, name
    bare = later.drop(columns="active_users_per_seat")
    assert list(fit_rules(bare, truth, accounts, EXPANSION).skipped) == ["utilisation"]


def test_rules_of_growth_keep_claiming_what_they_say():
    """Where full seats and growing use come before standing still, the rules go on saying the opposite."""
    matrix, y, groups = growing()
    fitted = fit_rules(matrix, 1 - y, groups, EXPANSION)
    full = matrix.head(2).assign(active_users_per_seat=[0.1, 1.1], usage_change_28d=[0.5, 2.0])
    for name in ("utilisation", "usage_growth"):
        low, high = fitted.rules[name].score(full)
        assert low < high, name


def test_silence_is_compared_with_recency():
    """Without contracts there is no renewal calendar; the time since the last use takes its place."""
    label = {"mode": "inactivity", "horizon_days": 90, "active_within_days": 60, "arrival_lag_days": 2}
    silent = Recipe.model_validate(RECIPE.model_dump() | {"label": label})
    assert [rule.name for rule in rules_for(silent)] == [
        "base_rate",
        "recency",
        "usage_drop",
        "recency_frequency",
    ]
    matrix, y, groups = company()
    rule = fit_rules(matrix, y, groups, silent).rules["recency"]
    low, high = rule.score(matrix.head(2).assign(days_since_last_use=[1.0, 80.0]))
    assert low < high
    assert rule_from_json(json.loads(json.dumps(rule.to_json()))) == rule
