"""Training on renewals end to end, on a small simulated company."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.outcomes.snapshots import population
from lifecycle_ml.promotion.training import champion, train
from lifecycle_ml.settings import Settings
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root

pytestmark = pytest.mark.slow


def test_renewals_train_to_figures_and_the_gates_answer(tmp_path):
    """The recipe of the how-to page with a small bag: figures, refusals in words, scores for all."""
    page = (standard_root() / "docs" / "how-to" / "predict-renewals.md").read_text(encoding="utf-8")
    text = page.partition("```toml\n")[2].partition("```")[0]
    shape = "trees = 30, learning_rate = 0.1, leaves = 6, min_child = 20, l2 = 10.0, feature_fraction = 0.4"
    for old, new in (
        ("members = 10 ", "members = 4 "),
        ('capacity = "auto"', f"capacity = {{ {shape} }}"),
        ("advisory_from_accounts = 30", "advisory_from_accounts = 5"),
        ("full_from_accounts = 100", "full_from_accounts = 10"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "renewal.toml").write_text(text, encoding="utf-8")
    small = Workspace(root=tmp_path, standard=standard_root())
    settings = replace(Settings.read(tmp_path, environ={}), threads=1)
    made = simulate_company(11, 300, days=900)
    tables, as_of = tables_from_frames(made.tables), made.first + timedelta(days=900)
    result = train(small, settings, "renewal", tables, as_of)
    document = result.to_json()
    assert set(document["baselines"]) == {
        "base_rate",
        "renewal_calendar",
        "usage_drop",
        "recency_frequency",
        "logistic",
    }
    assert 0 < document["metrics"]["auroc"]["low"] < document["metrics"]["auroc"]["high"] <= 1
    assert all(refusal["saw"] and refusal["needs"] for refusal in document["refusals"])
    assert result.promoted == (not document["refusals"])
    tried = result.challenger.backtest
    assert (tried.horizons, tried.headline) == ((180,), 180)
    assert tried.rows["days_to_renewal"].between(1, 179).all()
    assert result.challenger.tier.name == "full"
    recipe = load_recipe(small, "renewal")
    everybody = population(tables, recipe, [as_of])
    matrix = build_matrix(tables, load_features(small).available(tables), everybody)
    assert matrix["days_to_renewal"].isna().any()
    assert (matrix["days_to_renewal"] > 180).any()
    for bundle in (result.challenger.bundle, champion(settings, "renewal")):
        scored = bundle.score(matrix)
        assert len(scored) == len(everybody)
        assert np.isfinite(scored["risk"]).all()
    assert champion(settings, "churn") is None
