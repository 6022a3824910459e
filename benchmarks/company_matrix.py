"""A simulated company as a labelled matrix, on the dates of which the truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.outcomes.labels import known_through
from lifecycle_ml.outcomes.recipe import Recipe, load_recipe
from lifecycle_ml.outcomes.snapshots import snapshots
from lifecycle_ml.promotion.training import inputs_of, segments_of
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root

STANDARD = Workspace(root=standard_root(), standard=standard_root())


@dataclass(frozen=True)
class CompanyMatrix:
    """All a challenger is built from, and the true probabilities to compare it with."""

    seed: int
    recipe: Recipe
    matrix: pd.DataFrame
    labels: pd.DataFrame
    inputs: dict[str, int]
    segments: dict[str, str]
    data_through: date
    truth: pd.DataFrame
    """account_id, as_of, probability_{h}d: churn given the true state at as_of."""


def build_company(seed: int, accounts: int, *, causes: bool = True) -> CompanyMatrix:
    """Simulate a company with the standard features and recipe.

    The data is cut so that snapshots fall on the weekly dates of the truth.
    """
    recipe = load_recipe(STANDARD, "churn")
    company = simulate_company(seed, accounts, causes=causes)
    newest = known_through(recipe.label, recipe.label.horizons_days[0]).days
    weeks = (company.days - newest) // 7
    data_through = company.first + timedelta(days=7 * weeks + newest)
    tables = tables_from_frames(company.tables)
    labels = snapshots(tables, recipe, data_through)
    features = load_features(STANDARD).available(tables)
    matrix = build_matrix(tables, features, labels[["account_id", "as_of", "known_at"]])
    truth = company.truth["probabilities"]
    return CompanyMatrix(
        seed=seed,
        recipe=recipe,
        matrix=matrix,
        labels=labels,
        inputs=inputs_of(features, recipe),
        segments=segments_of(tables),
        data_through=data_through,
        truth=truth.assign(as_of=truth["as_of"].astype("datetime64[us]")),
    )
