"""Families of features: what the benchmark tells apart, and how it adds up what it saw."""

from __future__ import annotations

import pytest
from benchmarks.company_matrix import STANDARD
from benchmarks.families import ALL, ENTITY_ALONE, families_of, kind_of, summarise

from lifecycle_ml.matrix.load import load_features

FEATURES = load_features(STANDARD)
FIGURES = {"average_precision": 0.10, "auroc": 0.70, "log_loss": 0.20}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("active_users_28d", "level"),
        ("active_users_per_seat", "level"),
        ("active_users_change", "own past"),
        ("arr_change_364d", "own past"),
        ("active_users_per_seat_peers", "peers"),
        ("usage_change_peers", "peers"),
        ("active_users_trend_168d", "series"),
        ("weeks_without_use", "series"),
        ("usage_unsteadiness_84d", "series"),
        ("days_since_last_use", "recency"),
        ("days_to_renewal", "recency"),
        ("active_users_per_seat_7d", "lag bucket"),
        ("events_per_seat_28d_ago_56d", "lag bucket"),
    ],
)
def test_the_kind_of_a_feature_is_read_off_its_measure(name, kind):
    """What a feature compares decides, not its name."""
    assert kind_of(FEATURES[name]) == kind


def test_every_feature_belongs_to_one_family():
    """A feature without a family would never be left out."""
    families = families_of(STANDARD, FEATURES)

    assert set(families) == set(FEATURES.names)
    assert families["usage_change_28d"] == "usage: own past"


def test_the_summary_says_what_a_family_adds_and_which_features_contribute_nothing():
    """More is better in every column: a log loss that rises without a family counts for it."""
    lines = [
        {
            "company": f"simulated {seed}",
            "recipe": "churn",
            "features": 2,
            "rows": 100,
            "events": 9,
            ALL: FIGURES,
            ENTITY_ALONE: FIGURES | {"auroc": 0.60},
            "without": {"usage: level": FIGURES | {"log_loss": 0.20 + loss}},
            "added": {"usage: level": FIGURES | {"auroc": 0.65}},
            "families": {"active_users_28d": "usage: level", "invites_84d": "usage: level"},
            "shares": {"active_users_28d": 1.0, "invites_84d": 0.0},
        }
        for seed, loss in ((1, 0.01), (2, 0.03))
    ]
    said = summarise([*lines, {"company": "simulated 3", "recipe": "churn", "skipped": "no cut-off"}])

    assert "+0.0200 ± 0.0100" in said
    assert "+0.0500 ± 0.0000" in said
    assert "contribute nothing anywhere: invites_84d" in said
