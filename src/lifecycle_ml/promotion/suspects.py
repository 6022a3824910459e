"""Every search for leaks in one answer: in the matrix, and in the tables behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lifecycle_ml.models.horizons import RENEWAL
from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.promotion.leaks import Suspect, suspect_edges, suspect_hindsight, suspect_leaks
from lifecycle_ml.promotion.table_leaks import suspect_columns

if TYPE_CHECKING:
    from lifecycle_ml.matrix.feature import FeatureSet
    from lifecycle_ml.outcomes.recipe import Recipe
    from lifecycle_ml.tables.source import Tables


def find_suspects(
    matrix: pd.DataFrame,
    labels: pd.DataFrame,
    inputs: Iterable[str],
    recipe: Recipe,
    definitions: FeatureSet | None = None,
    tables: Tables | None = None,
) -> tuple[Suspect, ...]:
    """Name what knows too much, each feature once: in the matrix, and in the tables where they are given.

    matrix and labels: the same snapshots in the same order. definitions: of the features, for the columns
    behind them. Only churn has a day on which it came about; other outcomes are looked at by labels alone.
    """
    names = tuple(inputs)
    y = labels[label_column(recipe.label.headline_days)].to_numpy(dtype=np.float64, na_value=np.nan)
    known = ~np.isnan(y)
    found: list[Suspect] = []
    by_day = recipe.label.outcome == "churned" and "churned_on" in labels and len(matrix) > 0
    if by_day and tables is not None and definitions is not None:
        placed = labels.assign(**{RENEWAL: matrix[RENEWAL].to_numpy()}) if RENEWAL in matrix else labels
        mine = definitions.select(name for name in names if name in definitions)
        found += suspect_columns(tables, mine, placed, recipe.needs)
    # What a column explains is said once, of the column.
    explained = {feature for suspect in found for feature in (suspect.feature, *suspect.others)}
    names = tuple(name for name in names if name not in explained)
    found += suspect_leaks(
        matrix[known],
        y[known],
        matrix.loc[known, "account_id"],
        names,
        recipe.gate.leak_auroc,
        recipe.label.outcome,
    )
    if by_day:
        found += suspect_hindsight(matrix, labels, names, recipe.label.headline_days)
        found += suspect_edges(matrix, labels, names, recipe.label.horizons_days)
    seen: dict[tuple[str, tuple[str, ...]], Suspect] = {}
    for suspect in found:
        seen.setdefault((suspect.feature, suspect.columns), suspect)
    return tuple(_with_columns(suspect, definitions) for suspect in seen.values())


def _with_columns(suspect: Suspect, features: FeatureSet | None) -> Suspect:
    if suspect.columns or features is None or suspect.feature not in features:
        return suspect
    read = sorted(f"{table}.{column}" for table, column in features[suspect.feature].columns)
    return replace(suspect, columns=tuple(read))
