"""What docs/how-to/scale-out.md tells readers to type, typed."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from engine_measures import assert_same
from engine_tables import columns_of, copy_to_postgres, lay_on_spark, write_database
from test_spark import interpreted, no_socket_left_for_other_tests, pytestmark

from lifecycle_ml.matrix import load
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.outcomes.labels import label_rolling
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.settings import Settings
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import read_tables
from lifecycle_ml.workspace import load_workspace

__all__ = ["no_socket_left_for_other_tests", "pytestmark"]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def company(tmp_path, monkeypatch):
    """Write a simulated company with a workspace, stand in its folder, and build few features."""
    simulate_company(3, 12).write(tmp_path / "data", tmp_path / "truth")
    (tmp_path / "features").mkdir()
    monkeypatch.chdir(tmp_path)
    frames = {path.stem: pd.read_parquet(path) for path in (tmp_path / "data").glob("*.parquet")}
    frames = {name: frame.reindex(columns=list(columns_of(name))) for name, frame in frames.items()}
    write_database(frames, tmp_path / "raw.db")
    whole = load.load_features(load_workspace(tmp_path))
    few = FeatureSet(tuple(list(whole)[::12]))
    monkeypatch.setattr(load, "load_features", lambda _: few)
    return read_tables(load_workspace(tmp_path), Settings.read(tmp_path, {}))


def snippets():
    """Return the Python blocks of the page, in order."""
    page = (ROOT / "docs" / "how-to" / "scale-out.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


@pytest.mark.filterwarnings("ignore:The copy keyword is deprecated")  # pyspark's, where labels are fetched
def test_the_page_can_be_followed(spark, database, company, monkeypatch, tmp_path):
    """On tables that lie on Spark, through the workspace's SELECTs, and in a warehouse: the same matrix."""
    named, selected, warehouse = snippets()
    lay_on_spark(spark, company)
    typed = {}
    with interpreted(spark):
        exec(named, typed)
        assert len(typed["matrix"]) > 5
        features, rows = typed["features"], typed["rows"]
        assert_same(typed["matrix"], build_matrix(company, features, rows), features)
        recipe = load_recipe(typed["workspace"], "churn")
        there, here = (
            label_rolling(tables, rows, recipe, date(2026, 10, 1)).astype({"churned_on": "datetime64[us]"})
            for tables in (typed["tables"], company)
        )
        pd.testing.assert_frame_equal(there, here, check_dtype=False)
        exec(selected, typed)
        assert typed["tables"].names == company.names
    copy_to_postgres(tmp_path / "raw.db", database)
    monkeypatch.setenv("WAREHOUSE_URL", database)
    exec(warehouse, typed)
    typed["warehouse"].disconnect()
    built = set(typed["matrix"].columns)
    features = features.select(name for name in features.names if name in built)
    expected = build_matrix(
        company, features, typed["matrix"][["account_id", "as_of"]].assign(known_at=lambda m: m.as_of)
    )
    assert_same(typed["matrix"], expected, features)
