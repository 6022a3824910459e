"""What a model's training said of dates it had not learned from, beside the best rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.models.baselines import fit_rules
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.outcomes.snapshots import snapshots
from lifecycle_ml.outcomes.splits import known_at_cutoff
from lifecycle_ml.promotion.colours import best_rule
from lifecycle_ml.promotion.comparison import read_predictions
from lifecycle_ml.promotion.grounds import Grounds
from lifecycle_ml.promotion.training import PREDICTIONS, champion, segments_of
from lifecycle_ml.promotion.tuning import Record
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.source import Tables

if TYPE_CHECKING:
    from lifecycle_ml.promotion.registry import Registry, Version


def spoken_history(settings: Settings, recipe: Recipe, tables: Tables, grounds: Grounds) -> Record:
    """Return the out-of-time readings of the champion's run, with what the best rule said of each.

    Where no model of the full tier serves, those of the newest registered version that is one: the gate
    refused it, and may have for its colours. At each cut-off every rule is fitted again on what was known
    then, and the one with the best average precision over all dates stands beside the model.
    Raises: ConfigError where there is no such model, or its run kept no predictions.
    """
    from lifecycle_ml.promotion.registry import Registry, answering

    serving = champion(settings, recipe.name)
    with answering(settings.mlflow_tracking_uri):
        registry = Registry.open(settings.mlflow_tracking_uri, make=False)
        spoke = _of_champion(registry, recipe, serving) or _newest_refused(registry, recipe)
        if spoke is None:
            raise ConfigError(
                f"limits are tuned to what a model said out of time, and {_what_serves(serving)} for "
                f"{recipe.name!r} while the registry holds no other. Train with `lifecycle train "
                f"{recipe.name}`; until a model comes of it, leave the limits as they are."
            )
        version, bundle = spoke
        content = registry.artefact(version, PREDICTIONS)
    if content is None:
        raise ConfigError(
            f"the registry has no predictions of version {version.number} of {recipe.name!r}. "
            f"Train again with `lifecycle train {recipe.name}`."
        )
    kept = read_predictions(content)
    headline = kept[kept["horizon_days"] == bundle.headline].reset_index(drop=True)
    if headline.empty:
        raise ConfigError(f"the run of version {version.number} predicted nothing out of time.")
    rules = _rules(headline, recipe, tables, grounds, bundle)
    outcome = headline["outcome"].to_numpy(dtype=np.int64)
    ranked = {name: float(average_precision_score(outcome, rules[name])) for name in rules}
    name = best_rule(ranked) or next(iter(ranked))
    segments = segments_of(tables)
    rows = pd.DataFrame(
        {
            "account_id": headline["account_id"],
            "as_of": headline["as_of"],
            "segment": headline["account_id"].map(segments).astype("object"),
            "risk": headline["probability"],
            "outcome": headline["outcome"],
            "rule": rules[name],
        }
    )
    serves = serving is not None and serving.digest == bundle.digest
    return Record(
        rows=rows,
        base_rate=bundle.base_rates[bundle.headline],
        rule=name,
        refused=None if serves else version.number,
    )


def _of_champion(registry: Registry, recipe: Recipe, serving: Bundle | None) -> tuple[Version, Bundle] | None:
    if serving is None or serving.source != "model" or serving.tier != "full":
        return None
    held = [each for each in registry.versions(recipe.name) if each.digest == serving.digest]
    if not held:
        raise ConfigError(
            f"the registry does not hold version {serving.version} of {recipe.name!r}, which serves. "
            f"Train again with `lifecycle train {recipe.name}`."
        )
    return held[-1], serving


def _newest_refused(registry: Registry, recipe: Recipe) -> tuple[Version, Bundle] | None:
    for version in reversed(registry.versions(recipe.name)):
        bundle = registry.bundle(version)
        if bundle.source == "model" and bundle.tier == "full":
            return version, bundle
    return None


def _what_serves(serving: Bundle | None) -> str:
    if serving is None:
        return "nothing serves yet"
    return "rules serve" if serving.source == "rules" else f"a model of tier {serving.tier} serves"


def _rules(
    headline: pd.DataFrame, recipe: Recipe, tables: Tables, grounds: Grounds, serving: Bundle
) -> dict[str, np.ndarray]:
    """Return what each rule said of each row, fitted at its cut-off: the first date of its fold."""
    column, last = label_column(serving.headline), headline["as_of"].max().date()
    labels = snapshots(tables, recipe, last)
    told = labels[labels[column].notna()]
    keys = ["account_id", "as_of"]
    spine = pd.concat([told[keys], headline[keys]]).drop_duplicates(ignore_index=True)
    spine = spine.assign(known_at=spine["as_of"])
    matrix = build_matrix(tables, grounds.features, spine)
    seen = matrix.merge(told[[*keys, column]], on=keys)
    found: dict[str, np.ndarray] = {}
    for _, fold in headline.groupby("fold"):
        cutoff = fold["as_of"].min().date()
        train = seen[known_at_cutoff(seen["as_of"].to_numpy(), serving.headline, cutoff, recipe)]
        ahead = fold[keys].merge(matrix, on=keys, how="left")
        y = train[column].to_numpy(dtype=np.float64)
        if y.any():
            for name, said in fit_rules(train, y, train["account_id"], recipe).score(ahead).items():
                found.setdefault(name, np.full(len(headline), np.nan))[fold.index] = said
    whole = {name: said for name, said in found.items() if not np.isnan(said).any()}
    return whole or {"base_rate": np.full(len(headline), 0.0)}
