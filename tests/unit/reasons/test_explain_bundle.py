"""Reasons from a real bundle: additive, the same alone as in a batch, sentences without gaps."""

import re

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
from lifecycle_ml.reasons.explain import explain
from lifecycle_ml.reasons.taxonomy import load_taxonomy
from lifecycle_ml.tables.schema import CATEGORIES
from lifecycle_ml.workspace import Workspace, standard_root

ROOT = standard_root()
STANDARD = Workspace(ROOT, ROOT)
FEATURES = load_features(STANDARD)
TAXONOMY = load_taxonomy(STANDARD, FEATURES.names)
HORIZONS = (30, 90, 180)


def _matrix(rows, seed):
    """Every standard feature with plausible values, one in eight of them null."""
    rng = np.random.default_rng(seed)
    columns = {"account_id": [f"A-{n:04d}" for n in range(rows)]}
    columns["as_of"] = pd.Timestamp("2026-06-30").as_unit("us")
    for feature in FEATURES:
        if feature.is_text:
            columns[feature.name] = rng.choice(["one", "two_words", "three"], rows)
            continue
        if feature.is_yes_no:
            values = rng.integers(0, 2, rows).astype(float)
        elif feature.unit in {"share", "ratio"}:
            values = rng.gamma(4.0, 0.25, rows)
        else:
            values = rng.poisson(60 if feature.unit == "days" else 2, rows).astype(float)
        columns[feature.name] = np.where(rng.random(rows) < 0.125, np.nan, values)
        if feature.usual is not None:
            columns[f"{feature.name}__usual"] = np.where(rng.random(rows) < 0.125, np.nan, values + 0.75)
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def bundle():
    matrix = _matrix(600, seed=1)
    rng = np.random.default_rng(2)
    score = 0.9 * matrix["champions_left_180d"].fillna(0) + 0.5 * matrix["open_severe_tickets"].fillna(0) - 4
    labels = pd.DataFrame(
        {
            f"outcome_{h}d": (rng.random(600) < 1 / (1 + np.exp(-score - h / 90))).astype(float)
            for h in HORIZONS
        }
    )
    names = [feature.name for feature in FEATURES.for_model]
    model = HorizonModel.fit(
        matrix,
        labels,
        features=names,
        horizons=HORIZONS,
        classifier=RiskClassifier(Capacity(n_trees=25), n_members=3),
    )
    segments = dict(zip(matrix["account_id"], matrix["segment"], strict=True))
    references = References.fit(
        model, AffineCalibration(1.2, 0.1, 60), matrix, labels["outcome_90d"] == 0, segments
    )
    return Bundle(
        name="churn",
        tier="full",
        horizons=HORIZONS,
        headline=90,
        model=model,
        base_rates={30: 0.05, 90: 0.1, 180: 0.15},
        band_rates={},
        calibration=AffineCalibration(1.2, 0.1, 60),
        references=references,
    )


@pytest.mark.parametrize("horizon", HORIZONS)
def test_contributions_and_reference_add_up_to_the_served_margin(bundle, horizon):
    """Nothing is lost between the served probability and the categories, nulls and texts included."""
    matrix = _matrix(200, seed=3)
    found = explain(bundle, matrix, FEATURES, TAXONOMY, horizon=horizon)

    served = bundle.probabilities(matrix)[:, HORIZONS.index(horizon)]
    total = found.reference_margin + found.sums.sum(axis=1) + found.context + found.gap
    np.testing.assert_allclose(total, np.log(served / (1 - served)), atol=1e-5)


def test_a_real_bundle_reads_the_same_alone_as_in_a_batch(bundle):
    """Batch and service give one answer."""
    matrix = _matrix(16, seed=4)
    whole = explain(bundle, matrix, FEATURES, TAXONOMY)
    single = explain(bundle, matrix, FEATURES, TAXONOMY, chunk=1)

    assert single.reasons == whole.reasons
    assert single.in_favour == whole.in_favour
    np.testing.assert_array_equal(single.sums, whole.sums)


def test_every_sentence_is_whole(bundle):
    """No null, no placeholder, no feature name, no double number, a capital first and no stop last."""
    matrix = _matrix(400, seed=5)
    found = explain(bundle, matrix, FEATURES, TAXONOMY)
    sentences = {piece["says"] for row in found.reasons for reason in row for piece in reason["evidence"]} | {
        piece["says"] for row in found.in_favour for piece in row
    }

    assert len(sentences) > 100
    wrong = re.compile(r"nan|None|[{}_]|\b1 \w+s are\b|\b0 (users|tickets|meetings)\b|  |\.$", re.IGNORECASE)
    assert [
        text for text in sentences if wrong.search(text) or not text[0].isupper() | text[0].isdigit()
    ] == []


def test_every_reason_has_the_shape_of_the_contract(bundle):
    """Keys as served, shares that never exceed one, evidence for every named category."""
    found = explain(bundle, _matrix(200, seed=6), FEATURES, TAXONOMY)

    for row, first in zip(found.reasons, found.first, strict=True):
        assert 1 <= len(row) <= 3
        assert row[0]["category"] == first
        for reason in row:
            assert list(reason) == ["category", "label", "share", "stability", "owner_role", "evidence"]
            assert 1 <= len(reason["evidence"]) <= 3 or reason["category"] == "unknown"
            assert all(
                FEATURES[piece["feature"]].category == reason["category"] for piece in reason["evidence"]
            )
        assert sum(reason["share"] or 0 for reason in row) <= 1.0001
    assert set(found.first) <= {*CATEGORIES, "unknown"}
