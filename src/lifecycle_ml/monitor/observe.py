"""What the monitor sees: today's accounts beside the training snapshots, and what came of earlier scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pandas as pd

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.monitor.bins import Floats
from lifecycle_ml.monitor.config import MonitoringConfig
from lifecycle_ml.monitor.drift import FeatureDrift, Snapshots, measure_drift
from lifecycle_ml.monitor.performance import (
    Estimated,
    Realised,
    estimate,
    mature_dates,
    realise,
    same_weekday,
)
from lifecycle_ml.monitor.quality import (
    Fault,
    absent_fault,
    customers_fault,
    feed_faults,
    value_faults,
)
from lifecycle_ml.outcomes.labels import arr_steps
from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.outcomes.snapshots import label, population
from lifecycle_ml.tables.examine import examine
from lifecycle_ml.tables.source import Tables

RISK = "risk"
LEAN_ROWS = 1_000
"""Reference rows explained for the lean; its order hardly changes with more."""
GONE_WITHIN = 28
"""Days over which customers are counted for those who vanish at once."""


@dataclass(frozen=True)
class Observation:
    """All that a verdict is made of, at one as_of; nothing in it is decided yet.

    reference and current: the snapshots compared. leans: what part of the model's mean absolute contribution
    each feature makes up (0 each where rules serve). sources: the tables each feature reads. realised: by
    horizon, those with known outcomes only. proven: by horizon, the drifted features that had drifted by the
    middle date of those outcomes too. scored: today's accounts with `risk` and `band`. arr: recurring revenue
    by account; empty where the company has no contracts.
    """

    as_of: date
    bundle: Bundle
    recipe: Recipe
    reference: Snapshots
    current: Snapshots
    leans: Mapping[str, float]
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    drifts: tuple[FeatureDrift, ...] = ()
    proven: Mapping[int, frozenset[str]] = field(default_factory=dict)
    score_drift: FeatureDrift | None = None
    realised: Mapping[int, Realised] = field(default_factory=dict)
    estimated: Estimated | None = None
    scored: pd.DataFrame = field(default_factory=pd.DataFrame)
    arr: Mapping[str, float] = field(default_factory=dict)

    @property
    def reference_dates(self) -> list[date]:
        """Snapshot dates of the reference, oldest first."""
        return [pd.Timestamp(day).date() for day in sorted(self.reference.matrix["as_of"].unique())]

    def arr_of(self, accounts: Sequence[str]) -> float | None:
        """Return the recurring revenue of accounts; None where the company has no contracts."""
        if not self.arr:
            return None
        return float(sum(self.arr.get(account, 0.0) for account in accounts))


def observe(
    tables: Tables,
    features: FeatureSet,
    bundle: Bundle,
    recipe: Recipe,
    config: MonitoringConfig,
    as_of: date,
    store_scores: pd.DataFrame | None = None,
) -> Observation:
    """Look at the tables as known at `as_of`, with the eyes of `bundle`.

    The reference is rebuilt from the tables at the newest snapshot dates the bundle was trained on, each as
    known then. `store_scores` (account_id, as_of, probability at the headline horizon) are scores that this
    bundle published; without them earlier snapshots are scored again, which gives the same numbers.
    """
    features = features.available(tables)
    needed = bundle.features or features.for_model.names
    findings = examine(tables, as_of)
    nothing = _empty(needed)
    missing = [name for name in needed if name not in features]
    if missing:
        fault = absent_fault(missing)
        spine = population(tables, recipe, [as_of])
        arr = _arr(tables, sorted(set(spine["account_id"])), as_of)
        return Observation(as_of, bundle, recipe, nothing, nothing, {}, faults=(fault,), arr=arr)

    trained_through = bundle.data.get("data_through")
    earlier = reference_dates(bundle, recipe, config, as_of)
    mature = (
        mature_dates(recipe, date.fromisoformat(trained_through), as_of, config.performance)
        if trained_through
        else []
    )
    before = as_of - timedelta(days=GONE_WITHIN)
    spine = population(tables, recipe, sorted({*earlier, *mature, before, as_of}))
    wanted = spine[spine["as_of"].isin(pd.to_datetime([*earlier, *mature, as_of]))]
    matrix = build_matrix(tables, features.select(needed), wanted.reset_index(drop=True))
    every = Snapshots(matrix, _ages(tables, matrix))
    reference, current = _on(every, earlier), every.at(pd.Timestamp(as_of))

    leans = lean_of(bundle, reference.matrix)
    resting = leans if any(leans.values()) else dict.fromkeys(needed, 1 / len(needed))
    arr = _arr(tables, sorted(set(spine["account_id"])), as_of, before)
    faults = feed_faults(findings, features, resting, config)
    vanished = customers_fault(
        spine[spine["as_of"] == pd.Timestamp(as_of)],
        spine[spine["as_of"] == pd.Timestamp(before)],
        GONE_WITHIN,
        config,
    )
    faults += [vanished] if vanished else []
    scored = bundle.score(current.matrix) if len(current) else pd.DataFrame({RISK: [], "band": []})
    drifts: list[FeatureDrift] = []
    score_drift = None
    if len(reference) and len(current):
        faults += value_faults(reference, current, features, resting, config)
        drifts = measure_drift(reference, current, leans, config.drift)
        then = bundle.score(reference.matrix)
        (score_drift,) = measure_drift(
            _risks(reference, then), _risks(current, scored), {RISK: 1.0}, config.drift
        )
    realised = _realised(tables, bundle, recipe, config, as_of, _on(every, mature), store_scores)
    moved = {item.feature: item.lean for item in drifts if item.drifted}
    return Observation(
        as_of=as_of,
        bundle=bundle,
        recipe=recipe,
        reference=reference,
        current=current,
        leans=leans,
        sources={name: features[name].tables for name in needed},
        faults=tuple(faults),
        drifts=tuple(drifts),
        proven={
            horizon: _drifted_then(every, reference, truth, moved, config)
            for horizon, truth in realised.items()
            if moved
        },
        score_drift=score_drift,
        realised=realised,
        estimated=estimate(scored[RISK].to_numpy(dtype=np.float64), bundle.headline, recipe, as_of),
        scored=scored,
        arr=arr,
    )


def reference_dates(bundle: Bundle, recipe: Recipe, config: MonitoringConfig, as_of: date) -> list[date]:
    """Return the newest snapshot dates the bundle was trained on, oldest first; none where it saw none.

    Each is moved back to the weekday of `as_of`: on a Monday the last meeting lies farther back than on a
    Friday.
    """
    first, last = bundle.data.get("first"), bundle.data.get("last")
    if not first or not last:
        return []
    step = timedelta(days=recipe.snapshots.step_days)
    newest, oldest = date.fromisoformat(last), date.fromisoformat(first)
    dates = [newest - step * back for back in range(config.reference.dates)]
    return sorted({same_weekday(day, as_of) for day in dates if day >= oldest})


def lean_of(bundle: Bundle, matrix: pd.DataFrame) -> dict[str, float]:
    """Return what part of the mean absolute contribution at the headline horizon each feature makes up.

    All 0 where rules serve, or where there is no snapshot to explain.
    """
    if bundle.source == "rules":
        return dict.fromkeys((name for name in matrix.columns if _is_feature(name)), 0.0)
    if matrix.empty:
        return dict.fromkeys(bundle.features, 0.0)
    rows = matrix.sample(min(len(matrix), LEAN_ROWS), random_state=0)
    sizes = np.abs(bundle.contributions(rows, bundle.headline).values).mean(axis=0)[: len(bundle.features)]
    total = sizes.sum()
    return {
        name: float(size / total) if total > 0 else 0.0
        for name, size in zip(bundle.features, sizes, strict=True)
    }


def _is_feature(column: str) -> bool:
    return column not in ("account_id", "as_of") and "__" not in column


def _realised(
    tables: Tables,
    bundle: Bundle,
    recipe: Recipe,
    config: MonitoringConfig,
    as_of: date,
    mature: Snapshots,
    store_scores: pd.DataFrame | None,
) -> dict[int, Realised]:
    """Measure each horizon with known outcomes; only the headline one where no probability is served."""
    if mature.matrix.empty and store_scores is None:
        return {}
    keys = ["account_id", "as_of"]
    scored = bundle.score(mature.matrix)
    horizons = bundle.horizons if bundle.tier == "full" else (bundle.headline,)
    published = None if store_scores is None else store_scores.astype({"as_of": "datetime64[us]"})
    spine = scored[keys] if published is None else pd.concat([scored[keys], published[keys]])
    spine = spine.drop_duplicates().assign(known_at=lambda rows: rows["as_of"])
    labels = label(tables, spine, recipe, as_of)
    found = {}
    for horizon in horizons:
        column = RISK if horizon == bundle.headline else f"probability_{horizon}d"
        scores = scored[keys].assign(probability=scored[column])
        if published is not None and horizon == bundle.headline:
            scores = published[[*keys, "probability"]]
        seen = realise(scores, labels, bundle.base_rates[horizon], horizon, recipe, as_of, config.performance)
        if seen is not None:
            found[horizon] = seen
    return found


def _drifted_then(
    every: Snapshots,
    reference: Snapshots,
    truth: Realised,
    moved: Mapping[str, float],
    config: MonitoringConfig,
) -> frozenset[str]:
    """Return the features that had drifted by the middle one of the dates with known outcomes."""
    then = every.at(pd.Timestamp(truth.cohorts[(len(truth.cohorts) - 1) // 2]))
    if not len(then):
        return frozenset()
    found = measure_drift(reference, then, moved, config.drift)
    return frozenset(item.feature for item in found if item.drifted)


def _ages(tables: Tables, matrix: pd.DataFrame) -> Floats:
    """Days since each row's account was created, at its as_of; 0 for one created later."""
    accounts = tables["accounts"]
    first = accounts.group_by("account_id").aggregate(born=accounts.created_at.cast("timestamp").min())
    born = tables.backend.to_pandas(first).set_index("account_id")["born"]
    days = (matrix["as_of"] - matrix["account_id"].map(born)).dt.days
    return np.asarray(days.clip(lower=0).fillna(0), dtype=np.float64)


def _arr(
    tables: Tables, accounts: Sequence[str], as_of: date, before: date | None = None
) -> dict[str, float]:
    """Recurring revenue by account at as_of, or else at `before`; empty where there are no contracts."""
    if "contracts" not in tables:
        return {}
    steps = arr_steps(tables, as_of)
    found: dict[str, float] = {}
    for day in (before, as_of):
        if day is not None:
            standing = steps[steps["from_on"] <= pd.Timestamp(day)].groupby("account_id")["arr"].last()
            found |= {str(account): float(arr) for account, arr in standing.items() if arr > 0}
    return {str(account): found.get(str(account), 0.0) for account in accounts}


def _on(snapshots: Snapshots, days: Sequence[date]) -> Snapshots:
    chosen = snapshots.matrix["as_of"].isin(pd.to_datetime(list(days))).to_numpy()
    return Snapshots(snapshots.matrix[chosen].reset_index(drop=True), snapshots.age_days[chosen])


def _risks(snapshots: Snapshots, scored: pd.DataFrame) -> Snapshots:
    keys = snapshots.matrix[["account_id", "as_of"]]
    return Snapshots(keys.assign(**{RISK: scored[RISK].to_numpy()}), snapshots.age_days)


def _empty(names: Sequence[str]) -> Snapshots:
    columns = {"account_id": "str", "as_of": "datetime64[us]"} | dict.fromkeys(names, "float64")
    return Snapshots(
        pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()}), np.empty(0)
    )
