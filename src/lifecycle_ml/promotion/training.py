"""Train a recipe: from tables to a challenger, its record, and the bundle that serves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle_ml.errors import BundleError, ConfigError, did_you_mean
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.capacity import Capacity
from lifecycle_ml.outcomes.recipe import Recipe, TreeCapacity, load_recipe
from lifecycle_ml.outcomes.snapshots import snapshots
from lifecycle_ml.outcomes.treatment import with_treatment
from lifecycle_ml.promotion.card import write_card
from lifecycle_ml.promotion.challenger import Challenger, build_challenger
from lifecycle_ml.promotion.evaluation import plain, say_worked_on
from lifecycle_ml.promotion.grounds import load_grounds
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.source import Tables
from lifecycle_ml.workspace import Workspace

if TYPE_CHECKING:
    from lifecycle_ml.promotion.registry import Registry

Progress = Callable[[str, int, int], None]

SHOWN = (
    "auroc",
    "average_precision",
    "log_loss",
    "brier",
    "top_decile_lift",
    "calibration_slope",
    "observed_expected",
)
RULES_VERSION = "rules"
"""Version of what serves where no registered model does."""
PREDICTIONS, RECIPE, INPUTS, SEARCH = "predictions.parquet", "recipe.json", "features.json", "search.csv"
"""Artefacts of a run: its out-of-time predictions, its recipe whole, and what it learned from."""


def _quiet(_step: str, _done: int, _total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class TrainingResult:
    """What came of a training. `version` is the registry's, None where no model was fitted."""

    recipe: str
    version: str | None
    promoted: bool
    run_id: str
    challenger: Challenger
    searched: str | None = None
    """What a search for the capacity found, in a sentence; None where none was asked for."""
    worked_on: str | None = None
    """How many snapshots were worked on and what that changes, in words; None where none was."""

    def to_json(self) -> dict[str, Any]:
        """Return the document of `train --json`: figures at the headline horizon, each with its interval."""
        evaluation = self.challenger.evaluation
        return {
            "recipe": self.recipe,
            "version": self.version,
            "promoted": self.promoted,
            "refusals": [refusal.to_json() for refusal in self.challenger.refusals],
            "metrics": _shown(plain(evaluation.metrics)),
            "baselines": {name: _shown(plain(figures)) for name, figures in evaluation.baselines.items()},
        } | {
            name: text
            for name, text in (("searched", self.searched), ("worked_on", self.worked_on))
            if text is not None
        }


def train(
    workspace: Workspace,
    settings: Settings,
    recipe_name: str,
    tables: Tables,
    as_of: date,
    *,
    seed: int = 0,
    searching: bool = False,
    interventions: pd.DataFrame | None = None,
    predictions: Path | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a challenger on everything known at `as_of`, log it, and let it serve if it may.

    It becomes champion only where no model serves and the gate refuses nothing (where one does, `promote`
    decides); where none serves and it is refused, the best rule serves. `searching`: try other capacities
    first (`promotion.search`). `interventions`: who was worked on for what the recipe predicts, and who was
    left alone, as `outcomes.treatment.mark_treated` reads it; what happened from `as_of` on is not looked at.
    `predictions` names a Parquet file for every out-of-time prediction.
    Training again, or going on after being killed, registers the same bundle once.
    Raises: ConfigError for an unknown recipe, one whose tables are absent, or one that leaves no feature.
    """
    from lifecycle_ml.promotion.plots import draw_plots
    from lifecycle_ml.promotion.registry import Record, Registry

    tell = progress or _quiet
    recipe = load_recipe(workspace, recipe_name)
    require_tables(recipe, tables.names)
    features = load_features(workspace).available(tables)
    inputs = inputs_of(features, recipe)
    tell("labelling snapshots", 0, 1)
    labels = snapshots(tables, recipe, as_of)
    tell("labelling snapshots", 1, 1)
    tell("building the training matrix", 0, 1)
    matrix = build_matrix(tables, features, labels[["account_id", "as_of", "known_at"]])
    tell("building the training matrix", 1, 1)
    labels = with_treatment(labels, interventions, recipe, as_of)
    data = describe(labels, tables.fingerprint, as_of)
    searched = None
    if searching:
        from lifecycle_ml.promotion.search import search

        searched = search(
            matrix, labels, inputs, recipe, as_of, seed=seed, num_threads=settings.threads, progress=tell
        )
        recipe = with_capacity(recipe, searched.capacity)
    challenger = build_challenger(
        matrix,
        labels,
        inputs,
        recipe,
        as_of,
        seed=seed,
        segments=segments_of(tables),
        as_of_today=features.as_of_today,
        data=data,
        grounds=load_grounds(workspace, tables),
        num_threads=settings.threads,
        progress=tell,
    )
    if predictions is not None:
        predictions.parent.mkdir(parents=True, exist_ok=True)
        challenger.predictions.to_parquet(predictions, index=False)
    tell("drawing the plots", 0, 1)
    plots = draw_plots(challenger.backtest, challenger.bundle, matrix, recipe.label.outcome)
    tell("drawing the plots", 1, 1)
    tell("recording the run", 0, 1)
    registry = Registry.open(settings.mlflow_tracking_uri)
    try:
        serving = champion(settings, recipe_name)
    except BundleError:
        serving = None  # both copies are damaged: training again is the way out
    # A training that was interrupted after its bundle began to serve comes to the same answer again.
    promoted = challenger.serves.source == "model" and (
        serving is None or serving.source == "rules" or serving.digest == challenger.serves.digest
    )
    run_id, version = registry.log(
        Record(
            recipe=recipe_name,
            params={"seed": seed, "as_of": as_of, **_flat(recipe.model_dump())},
            metrics=_metrics(challenger),
            tags={
                "gate": "refused" if challenger.refusals else "passed",
                "tier": challenger.tier.name,
                "data": str(data["fingerprint"]),
            },
            texts={
                "model_card.md": write_card(challenger, recipe, inputs, data),
                RECIPE: json.dumps(recipe.model_dump(mode="json"), indent=1),
                INPUTS: json.dumps(recorded_inputs(inputs, features), indent=1),
                "figures.json": json.dumps(
                    challenger.evaluation.to_json()
                    | ({} if challenger.shown is None else challenger.shown.to_json())
                    | {"refusals": [refusal.to_json() for refusal in challenger.refusals]},
                    indent=1,
                ),
            },
            bundle=challenger.bundle,
            rules=challenger.rules,
            files={PREDICTIONS: _parquet(challenger.predictions)}
            | _outlook(challenger)
            | ({} if searched is None else {SEARCH: searched.trials.to_csv(index=False).encode()})
            | {f"plots/{name}": content for name, content in plots.items()},
            data=data,
        )
    )
    if promoted and version is not None:
        export(settings, recipe_name, challenger.serves, version)
    elif serving is None or serving.source == "rules":
        export(settings, recipe_name, challenger.rules, RULES_VERSION)
    name_champion(registry, settings, recipe_name, None if promoted else challenger.bundle)
    tell("recording the run", 1, 1)
    return TrainingResult(
        recipe_name,
        version,
        promoted,
        run_id,
        challenger,
        None if searched is None else searched.says,
        say_worked_on(data["treatment"], challenger.evaluation, recipe) if "treatment" in data else None,
    )


def with_capacity(recipe: Recipe, capacity: Capacity | None) -> Recipe:
    """Return the recipe with a capacity of its own instead of the one it names; as it is for None."""
    if capacity is None:
        return recipe
    numbers = TreeCapacity(
        trees=capacity.n_trees,
        learning_rate=capacity.learning_rate,
        leaves=capacity.n_leaves,
        min_child=capacity.min_leaf,
        l2=capacity.l2,
        feature_fraction=capacity.feature_fraction,
    )
    return recipe.model_copy(update={"estimator": recipe.estimator.model_copy(update={"capacity": numbers})})


def require_tables(recipe: Recipe, names: Collection[str]) -> None:
    """Check that the tables a recipe cannot do without are there. Raises: ConfigError naming what is not."""
    missing = sorted(recipe.needs - set(names))
    if missing:
        raise ConfigError(
            f"training/{recipe.name}.toml: label.mode = {recipe.label.mode!r} needs the table "
            f"{', '.join(missing)}; write features/sources/{missing[0]}.sql, or choose another mode."
        )


def inputs_of(features: FeatureSet, recipe: Recipe) -> dict[str, int]:
    """Return what the recipe learns from: feature name to direction (+1 raises the risk, -1 lowers it, or 0).

    Features claim their direction for churn; for expansion nothing is claimed.
    Features that are not for models, that rest on columns overwritten in place (unless the recipe allows
    them), or that the recipe leaves out, are not among them. Raises: ConfigError for an unknown name in
    leave_out, or if nothing is left.
    """
    for name in recipe.leave_out:
        if name not in features.names:
            raise ConfigError(
                f"training/{recipe.name}.toml: leave_out names {name!r}, which is no available feature."
                f"{did_you_mean(name, features.names)}"
            )
    without = set(recipe.leave_out)
    if not recipe.allow_as_of_today:
        without |= set(features.as_of_today)
    inputs = {
        feature.name: feature.sign if recipe.label.outcome == "churned" else 0
        for feature in features.for_model
        if feature.name not in without
    }
    if not inputs:
        raise ConfigError(
            f"training/{recipe.name}.toml: no feature is left to learn from; see `lifecycle check features`."
        )
    return inputs


def recorded_inputs(inputs: Mapping[str, int], features: FeatureSet) -> dict[str, dict[str, Any]]:
    """Return what a run keeps of its inputs: each one's direction, and a hash of its definition."""
    return {
        name: {
            "direction": sign,
            "definition": hashlib.sha256(repr(features[name].value).encode()).hexdigest()[:16],
        }
        for name, sign in inputs.items()
    }


def segments_of(tables: Tables) -> dict[str, str]:
    """Return each account's segment as of today: references are grouped by it, nothing learns from it."""
    accounts = tables["accounts"]
    latest = accounts.filter(accounts.superseded_at.isnull() & accounts.segment.notnull())  # noqa: PD004 (ibis)
    frame = latest.select("account_id", "segment").execute()
    return dict(zip(frame["account_id"].astype(str), frame["segment"].astype(str), strict=True))


def describe(labels: pd.DataFrame, fingerprint: str, as_of: date) -> dict[str, Any]:
    """Return what a bundle says of its data."""
    return {
        "fingerprint": fingerprint,
        "data_through": as_of.isoformat(),
        "snapshots": len(labels),
        "accounts": int(labels["account_id"].nunique()),
        "first": str(labels["as_of"].min().date()) if len(labels) else None,
        "last": str(labels["as_of"].max().date()) if len(labels) else None,
    } | _treatment(labels)


def _treatment(labels: pd.DataFrame) -> dict[str, Any]:
    if "treatment" not in labels:
        return {}
    marks = labels["treatment"].value_counts()
    counts = {name: int(marks.get(name, 0)) for name in ("treated", "held_out")}
    return {"treatment": {"snapshots": len(labels), **counts}}


def export(settings: Settings, recipe_name: str, bundle: Bundle, version: str) -> None:
    """Write the bundle under its digest and point the recipe at it; the one before stays for rollback.

    The pointer is replaced in one step: whoever reads it sees the old champion or the new one.
    """
    bundle.save(folder_of(settings, bundle.digest))
    try:
        before = pointer_of(settings, recipe_name)
    except BundleError:
        before = None  # unreadable, so it names nothing to go back to
    if before is not None and before["digest"] == bundle.digest:
        before = before.get("previous")
    write_pointer(settings, recipe_name, {"digest": bundle.digest, "version": version}, before)


def write_pointer(
    settings: Settings, recipe_name: str, serves: Mapping[str, Any], previous: Mapping[str, Any] | None
) -> None:
    """Point a recipe at an exported bundle (digest and version), keeping the one to go back to."""
    kept = None if previous is None else {key: previous.get(key) for key in ("digest", "version")}
    pointer = settings.bundles / f"{recipe_name}.json"
    draft = pointer.with_suffix(".json.draft")
    document = {"digest": serves["digest"], "version": serves["version"], "previous": kept}
    draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    draft.replace(pointer)


def name_champion(
    registry: Registry, settings: Settings, recipe_name: str, beside: Bundle | None = None
) -> None:
    """Let the registry's aliases say what the pointer says; what a kill left behind is mended here.

    `beside` is a model just trained beside the champion: the challenger. A champion is no challenger.
    """
    from lifecycle_ml.promotion.registry import CHALLENGER, CHAMPION

    serves = pointer_of(settings, recipe_name)
    digest = None if serves is None else str(serves["digest"])
    champion = registry.point(recipe_name, CHAMPION, digest)
    if beside is not None and beside.digest != digest:
        registry.point(recipe_name, CHALLENGER, beside.digest)
    elif champion is not None and registry.alias(recipe_name, CHALLENGER) == champion:
        registry.point(recipe_name, CHALLENGER, None)


def champion(settings: Settings, recipe_name: str) -> Bundle | None:
    """Return the bundle that serves a recipe, with its version; None where nothing was exported yet.

    A bundle that was tampered with or half written is never returned: the previous one goes on serving.
    Raises: BundleError where that one is damaged too, or there is none.
    """
    pointer = pointer_of(settings, recipe_name)
    if pointer is None:
        return None
    first: BundleError | None = None
    for entry in (pointer, pointer.get("previous")):
        if not entry:
            continue
        digest, version = str(entry.get("digest")), str(entry.get("version"))
        try:
            bundle = Bundle.load(folder_of(settings, digest), digest, num_threads=settings.threads)
        except BundleError as error:
            first = first or error
        else:
            return replace(bundle, version=version)
    assert first is not None
    raise first


def folder_of(settings: Settings, digest: str) -> Path:
    """Return the folder of an exported bundle."""
    return settings.bundles / digest.removeprefix("sha256:")


def pointer_of(settings: Settings, recipe_name: str) -> dict[str, Any] | None:
    """Return the pointer of a recipe: digest, version and `previous` (the same two, or None).

    None where nothing was exported yet. Raises: BundleError where the file says something else.
    """
    path = settings.bundles / f"{recipe_name}.json"
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path.name} in the bundles folder is not valid JSON: {error}.") from error
    if not isinstance(found, dict) or not isinstance(found.get("digest"), str):
        raise BundleError(f"{path.name} in the bundles folder names no digest.")
    return found


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _shown(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figures[name] for name in SHOWN if name in figures}


def _outlook(challenger: Challenger) -> dict[str, bytes]:
    """Return the ARR expected to be lost (or gained) by account and month, and in all, as Parquet files."""
    if challenger.outlook is None:
        return {}
    return {
        "expected_arr.parquet": _parquet(challenger.outlook.accounts),
        "expected_arr_of_all.parquet": _parquet(challenger.outlook.total),
    }


def _metrics(challenger: Challenger) -> dict[str, float]:
    evaluation = challenger.evaluation
    found = dict(evaluation.metrics)
    found |= {f"gain_over_{name}": interval for name, interval in evaluation.gains.items()}
    found |= {f"unseen_accounts_{name}": interval for name, interval in evaluation.unseen.items()}
    shown = challenger.shown
    if shown is not None and shown.stability is not None:
        found["first_reason_unchanged"] = shown.stability.unchanged
    if shown is not None and shown.colours is not None:
        found |= {"red_odds": shown.colours.odds, "red_gain_over_rule": shown.colours.gain}
    metrics = {}
    for name, interval in found.items():
        for end in ("value", "low", "high"):
            number = getattr(interval, end)
            if np.isfinite(number):
                metrics[name if end == "value" else f"{name}_{end}"] = float(number)
    return metrics | {name: float(count) for name, count in evaluation.counts.items()}


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
