"""Feast's point-in-time join: run inside an environment that has feast.

What is timed is `get_historical_features(...).to_df()` on a file offline store: for every account and as_of
the latest ready-made row at most a day old is looked up. Feast calculates none of the windows; they are in
the file already. Late events would need new versions of the rows they touch; there are none here.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import pandas as pd  # noqa: E402 (warnings are silenced first)
import pyarrow.parquet as pq  # noqa: E402
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType  # noqa: E402
from feast.types import Float64  # noqa: E402


def store_of(asked: dict[str, Any], folder: str) -> FeatureStore:
    """Register the file of daily features."""
    columns = [name for name in pq.read_schema(asked["daily"]).names if name in asked["features"]]
    account = Entity(name="account", join_keys=["account_id"], value_type=ValueType.STRING)
    view = FeatureView(
        name="daily",
        entities=[account],
        ttl=timedelta(days=1),
        schema=[Field(name=name, dtype=Float64) for name in columns],
        source=FileSource(path=asked["daily"], timestamp_field="event_timestamp"),
        online=False,
    )
    store = FeatureStore(
        config=RepoConfig(
            project="one_scan",
            provider="local",
            registry=f"{folder}/registry.db",
            offline_store={"type": asked["store"]},
            online_store=None,
            entity_key_serialization_version=3,
        )
    )
    store.apply([account, view])
    return store


def main() -> None:
    """Time the join; print the seconds, write the values."""
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(asked, folder)
        spine = pd.read_parquet(asked["spine"]).rename(columns={"as_of": "event_timestamp"})
        spine["event_timestamp"] = spine["event_timestamp"].dt.tz_localize("UTC")
        began, used = time.perf_counter(), time.process_time()
        found = store.get_historical_features(
            entity_df=spine, features=[f"daily:{name}" for name in asked["features"]]
        ).to_df()
        said = {"seconds": time.perf_counter() - began, "processor": time.process_time() - used}
    found["as_of"] = pd.to_datetime(found["event_timestamp"], utc=True).dt.tz_localize(None)
    found.drop(columns="event_timestamp").to_parquet(asked["answer"], index=False)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
