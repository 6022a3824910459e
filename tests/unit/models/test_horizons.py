"""One model for all horizons: probabilities never fall with the horizon, contributions stay exact."""

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.models.capacity import Capacity
from lifecycle_ml.models.classifier import RiskClassifier
from lifecycle_ml.models.horizons import HorizonModel, horizon_starts, outcome_matrix
from lifecycle_ml.models.logistic import sigmoid

HORIZONS = (30, 90, 180)
FEATURES = ("usage", "tickets", "plan")


def company(accounts=300, dates=8, seed=0):
    """A matrix and labels in the product's shapes: usage drives a hazard, tickets say nothing."""
    rng = np.random.default_rng(seed)
    rows = accounts * dates
    usage = rng.normal(size=rows)
    hazard = 0.06 * np.exp(-0.8 * usage)
    months = np.maximum(rng.exponential(1 / np.maximum(hazard, 1e-9)), 0.01)
    matrix = pd.DataFrame(
        {
            "account_id": np.repeat([f"A-{number}" for number in range(accounts)], dates),
            "as_of": np.tile(pd.date_range("2025-01-01", periods=dates, freq="28D"), accounts),
            "usage": np.where(rng.random(rows) < 0.05, np.nan, usage),
            "tickets": rng.poisson(1.0, rows).astype(float),
            "plan": pd.Series(rng.choice(["basic", "plus"], rows), dtype="str"),
        }
    )
    labels = matrix[["account_id", "as_of"]].copy()
    for horizon in HORIZONS:
        labels[f"outcome_{horizon}d"] = (months * 30 < horizon).astype(float)
    labels.loc[matrix["as_of"] == matrix["as_of"].max(), "outcome_180d"] = np.nan
    return matrix, labels


def template(**changes):
    return RiskClassifier(
        **{
            "n_members": 4,
            "capacity": Capacity(n_trees=40, learning_rate=0.1),
            "num_threads": 1,
            "monotone": {"usage": -1},
            **changes,
        }
    )


@pytest.fixture(scope="module")
def world():
    """A company and its fitted model."""
    matrix, labels = company()
    model = HorizonModel.fit(matrix, labels, features=FEATURES, horizons=HORIZONS, classifier=template())
    return matrix, labels, model


def probabilities(model, matrix):
    raw = model.raw(matrix)
    return np.column_stack([sigmoid(raw[:, i] + model.starts[h]) for i, h in enumerate(model.horizons)])


def test_probabilities_never_fall_with_the_horizon(world):
    """Not for one account, and not for inputs the model never saw."""
    matrix, _, model = world
    rng = np.random.default_rng(1)
    strange = matrix.assign(usage=rng.normal(0, 20, len(matrix)), tickets=np.nan, plan="never seen")
    for frame in (matrix, strange):
        assert (np.diff(probabilities(model, frame), axis=1) >= 0).all()


def test_each_horizon_has_its_own_level(world):
    """Expected churn at each horizon is near what was observed there."""
    matrix, labels, model = world
    for position, horizon in enumerate(HORIZONS):
        outcome = labels[f"outcome_{horizon}d"]
        known = outcome.notna()
        expected = probabilities(model, matrix[known])[:, position].mean()
        assert expected == pytest.approx(outcome[known].mean(), rel=0.1)


def test_contributions_are_exact_at_every_horizon(world):
    """Features, horizon and base add up to the margin of that horizon."""
    matrix, _, model = world
    raw = model.raw(matrix)
    for position, horizon in enumerate(HORIZONS):
        values = model.contributions(matrix, horizon)
        assert values.shape == (len(matrix), len(FEATURES) + 2)
        np.testing.assert_allclose(values.sum(axis=1), raw[:, position], atol=1e-6)


def test_censored_rows_are_left_out(world):
    """A row whose label is unknown at one horizon still teaches the others, and is never a 0."""
    _, labels, _ = world
    outcomes = outcome_matrix(labels, HORIZONS)
    assert np.isnan(outcomes[:, 2]).any()
    assert not np.isnan(outcomes[:, :2]).any()
    everything = labels.assign(outcome_180d=labels["outcome_180d"].fillna(0.0))
    assert (
        horizon_starts(outcomes, HORIZONS)[180]
        > horizon_starts(outcome_matrix(everything, HORIZONS), HORIZONS)[180]
    )


def test_starts_rise_even_where_censoring_turns_them_over():
    """A longer horizon with a lower observed rate starts no lower."""
    outcomes = np.array([[1.0, np.nan], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    starts = horizon_starts(outcomes, (30, 90))
    assert starts[90] >= starts[30]


def test_survives_saving_as_text(world):
    """Rebuilt from JSON and text it scores the same to the last bit."""
    matrix, _, model = world
    rebuilt = HorizonModel.from_json(model.to_json(), model.bag.texts())
    assert (rebuilt.raw(matrix) == model.raw(matrix)).all()


def test_unseen_margins_come_from_other_accounts(world):
    """What a member learned from an account itself is not in its unseen margin."""
    matrix, _, model = world
    unseen = model.unseen_raw(matrix.head(40))
    assert unseen.shape == (40, 3)
    assert not np.allclose(unseen, model.raw(matrix.head(40)))


def test_a_single_horizon_claims_nothing_of_the_renewal():
    """With one horizon a model is free to find growth rarer near the renewal, and loads as it was fitted."""
    matrix, labels = company(accounts=400)
    rng = np.random.default_rng(1)
    matrix["days_to_renewal"] = rng.integers(1, 365, len(matrix)).astype(float)
    late = matrix["days_to_renewal"] > 180
    labels["outcome_180d"] = (rng.random(len(matrix)) < np.where(late, 0.5, 0.05)).astype(float)
    one = HorizonModel.fit(
        matrix,
        labels,
        features=(*FEATURES, "days_to_renewal"),
        horizons=(180,),
        classifier=template(monotone={}),
    )
    rows = matrix.head(2).assign(days_to_renewal=[20.0, 340.0])
    near, far = one.raw(rows)[:, 0]
    assert far > near + 1
    loaded = HorizonModel.from_json(one.to_json(), one.bag.texts())
    assert (loaded.raw(rows) == one.raw(rows)).all()
    assert one.contributions(rows, 180).shape == (2, len(FEATURES) + 3)
