"""Deep feature synthesis with cutoff times: run inside an environment that has featuretools.

featuretools knows one training window per calculation and no lag, so there is one calculation per window, its
cutoffs moved back where the window ended earlier. Only the features wanted are calculated.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import featuretools as ft  # noqa: E402 (its warnings are silenced first)
import pandas as pd  # noqa: E402


def calculate(asked: dict[str, Any]) -> pd.DataFrame:
    """Return account_id, as_of and one column per sum."""
    events = pd.read_parquet(asked["events"]).sort_values("happened_at", ignore_index=True)
    events["event"] = events.index
    accounts = pd.DataFrame({"account_id": asked["accounts"]})
    entities = ft.EntitySet("company")
    entities.add_dataframe(dataframe_name="accounts", dataframe=accounts, index="account_id")
    entities.add_dataframe(
        dataframe_name="events",
        dataframe=events,
        index="event",
        time_index="happened_at",
        logical_types={"account_id": "Categorical"} | dict.fromkeys(asked["conditions"], "Boolean"),
    )
    entities.add_relationship("accounts", "account_id", "events", "account_id")
    entities.add_interesting_values(
        dataframe_name="events", values={name: [True] for name in asked["conditions"]}
    )
    known = {
        feature.get_name(): feature
        for feature in ft.dfs(
            entityset=entities,
            target_dataframe_name="accounts",
            agg_primitives=["count", "sum"],
            trans_primitives=[],
            where_primitives=["count", "sum"],
            features_only=True,
        )
    }
    as_of = pd.to_datetime(asked["dates"])
    cutoffs = pd.DataFrame(
        [(name, day) for name in asked["accounts"] for day in as_of], columns=["account_id", "time"]
    )
    found = []
    for window in asked["windows"]:
        names = {one["name"]: _feature(one) for one in window["sums"]}
        shift = pd.Timedelta(days=window["ago"])
        matrix = ft.calculate_feature_matrix(
            [known[name] for name in names.values()],
            entityset=entities,
            cutoff_time=cutoffs.assign(time=cutoffs["time"] - shift),
            training_window=f"{window['days']} days",
            include_cutoff_time=False,
            cutoff_time_in_index=True,
        ).reset_index()
        matrix["as_of"] = matrix["time"] + shift
        renamed = matrix.rename(columns={theirs: ours for ours, theirs in names.items()})
        found.append(renamed.set_index(["account_id", "as_of"])[list(names)].astype("float64"))
    return pd.concat(found, axis=1).reset_index()


def _feature(one: dict[str, Any]) -> str:
    inner = "events.quantity" if one["adds"] else "events"
    where = "" if one["condition"] == "all" else f" WHERE {one['condition']} = True"
    return f"{'SUM' if one['adds'] else 'COUNT'}({inner}{where})"


def main() -> None:
    """Time reading and calculating; print the seconds, write the values."""
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    began, used = time.perf_counter(), time.process_time()
    found = calculate(asked)
    said = {"seconds": time.perf_counter() - began, "processor": time.process_time() - used}
    found.astype({"account_id": "str"}).to_parquet(asked["answer"], index=False)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
