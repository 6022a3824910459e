"""What the champion's training said of dates it had not learned from, beside the best rule."""

from __future__ import annotations

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


def served_history(settings: Settings, recipe: Recipe, tables: Tables, grounds: Grounds) -> Record:
    """Return the out-of-time readings of the champion's run, with what the best rule said of each.

    At each cut-off every rule is fitted again on what was known then, and the one with the best average
    precision over all dates stands beside the model.
    Raises: ConfigError where no model of the full tier serves, or its run kept no predictions.
    """
    serving = champion(settings, recipe.name)
    if serving is None or serving.source != "model" or serving.tier != "full":
        what = _what_serves(serving)
        raise ConfigError(
            f"limits are tuned to what the model that serves said out of time, and {what} for "
            f"{recipe.name!r}. Train with `lifecycle train {recipe.name}`; until "
            "a model passes the gate, leave the limits as they are."
        )
    kept = _predictions(settings, recipe, serving)
    headline = kept[kept["horizon_days"] == serving.headline].reset_index(drop=True)
    if headline.empty:
        raise ConfigError(f"the run of version {serving.version} predicted nothing out of time.")
    rules = _rules(headline, recipe, tables, grounds, serving)
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
    return Record(rows=rows, base_rate=serving.base_rates[serving.headline], rule=name)


def _what_serves(serving: Bundle | None) -> str:
    if serving is None:
        return "nothing serves yet"
    return "rules serve" if serving.source == "rules" else f"a model of tier {serving.tier} serves"


def _predictions(settings: Settings, recipe: Recipe, serving: Bundle) -> pd.DataFrame:
    from lifecycle_ml.promotion.registry import Registry, answering

    with answering(settings.mlflow_tracking_uri):
        registry = Registry.open(settings.mlflow_tracking_uri, make=False)
        held = [each for each in registry.versions(recipe.name) if each.digest == serving.digest]
        content = registry.artefact(held[-1], PREDICTIONS) if held else None
    if content is None:
        raise ConfigError(
            f"the registry has no predictions of version {serving.version} of {recipe.name!r}, which serves. "
            f"Train again with `lifecycle train {recipe.name}`."
        )
    return read_predictions(content)


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
