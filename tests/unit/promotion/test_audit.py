"""The audit: group Shapley values by their definition, additive, and in agreement where groups are clear."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.calibration import AffineCalibration
from lifecycle_ml.models.capacity import Capacity
from lifecycle_ml.models.classifier import RiskClassifier
from lifecycle_ml.models.horizons import HorizonModel
from lifecycle_ml.models.references import References
from lifecycle_ml.models.rules import RuleModel
from lifecycle_ml.promotion.audit import GROUPS, audit_reasons, group_shapley
from lifecycle_ml.reasons.taxonomy import load_taxonomy
from lifecycle_ml.workspace import Workspace, standard_root

ROOT = standard_root()
STANDARD = Workspace(ROOT, ROOT)
FEATURES = load_features(STANDARD)
TAXONOMY = load_taxonomy(STANDARD, FEATURES.names)
USED = ("champions_left_180d", "open_severe_tickets", "active_users_28d", "tenure_days")
HORIZONS = (30, 90, 180)


def _margin(X):
    """Three groups that work together: columns 0 and 1, column 2, column 3; column 4 says nothing."""
    return X[:, 0] * X[:, 2] + np.maximum(X[:, 1], X[:, 3]) - 2 * (X[:, 0] > 0) * X[:, 3]


def test_values_are_those_of_the_definition():
    """The mean, over all orders of the groups, of what each adds when it comes in."""
    random = np.random.default_rng(0)
    row, background = random.normal(size=5), random.normal(size=(6, 5))
    groups = np.array([0, 0, 1, 2, 3])

    expected = np.zeros(4)
    orders = list(permutations(range(4)))
    for order in orders:
        stand = background.copy()
        before = _margin(stand).mean()
        for group in order:
            stand[:, groups == group] = row[groups == group]
            after = _margin(stand).mean()
            expected[group] += (after - before) / len(orders)
            before = after

    found = group_shapley(_margin, row, background, groups, 4)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found[3] == 0
    assert (np.abs(found[:3]) > 0.05).all()


def _matrix(rows, seed):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "account_id": [f"A-{seed}-{at}" for at in range(rows)],
            "as_of": pd.Timestamp("2026-06-30").as_unit("us"),
            "champions_left_180d": random.poisson(0.6, rows).astype(float),
            "open_severe_tickets": random.poisson(0.8, rows).astype(float),
            "active_users_28d": np.where(random.random(rows) < 0.1, np.nan, random.gamma(4, 5, rows)),
            "tenure_days": random.integers(30, 900, rows).astype(float),
        }
    )


@pytest.fixture(scope="module")
def fitted():
    matrix = _matrix(900, 1)
    random = np.random.default_rng(2)
    score = (
        1.0 * matrix["champions_left_180d"]
        + 0.7 * matrix["open_severe_tickets"]
        - 0.05 * matrix["active_users_28d"].fillna(20)
        - 1.5
    )
    labels = pd.DataFrame(
        {
            f"outcome_{h}d": (random.random(900) < 1 / (1 + np.exp(-score - h / 120))).astype(float)
            for h in HORIZONS
        }
    )
    model = HorizonModel.fit(
        matrix,
        labels,
        features=USED,
        horizons=HORIZONS,
        classifier=RiskClassifier(Capacity(n_trees=40), n_members=2),
    )
    calibration = AffineCalibration(1.3, 0.1, 60)
    stayed = labels["outcome_90d"] == 0
    bundle = Bundle(
        name="churn",
        tier="full",
        horizons=HORIZONS,
        headline=90,
        model=model,
        base_rates=dict.fromkeys(HORIZONS, 0.2),
        band_rates={},
        calibration=calibration,
        references=References.fit(model, calibration, matrix, stayed, None),
    )
    return bundle, matrix[stayed].reset_index(drop=True)


def test_the_audit_of_a_model(fitted):
    """Values add up to the change of the calibrated margin, unused categories are 0, and ranks agree."""
    bundle, retained = fitted
    few = retained.head(15)
    red = _matrix(200, 3).nlargest(8, "champions_left_180d")
    segments = pd.Series(dtype="str")
    found = audit_reasons(bundle, red, few, FEATURES, TAXONOMY, segments, background=15)

    def margin(rows):
        chance = bundle.probabilities(rows)[:, HORIZONS.index(90)]
        return np.log(chance / (1 - chance))

    np.testing.assert_allclose(found.exact.sum(axis=1), margin(red) - margin(few).mean(), atol=1e-9)
    used = {FEATURES[name].category for name in USED}
    for at, group in enumerate(GROUPS):
        if group not in used:
            np.testing.assert_allclose(found.exact[:, at], 0, atol=1e-12)
    assert found.accounts == tuple(red["account_id"])
    assert np.mean(found.correlations) > 0.8
    assert found.same_first >= 0.75
    np.testing.assert_array_equal(
        audit_reasons(bundle, red, few, FEATURES, TAXONOMY, segments, background=15).exact, found.exact
    )


def test_rules_cannot_be_audited(fitted):
    """There is no margin to take apart."""
    bundle, retained = fitted
    rules = Bundle(
        name="churn",
        tier="insufficient",
        horizons=HORIZONS,
        headline=90,
        model=RuleModel("base_rate", None, 0.0, 0.0),
        base_rates=bundle.base_rates,
        band_rates={},
    )
    with pytest.raises(ValueError, match="needs trees"):
        audit_reasons(rules, retained, retained, FEATURES, TAXONOMY, pd.Series(dtype="str"))
