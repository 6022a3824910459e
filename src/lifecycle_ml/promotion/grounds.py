"""What the gate judges a model by beside its predictions: definitions, tables, and the rules of health."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lifecycle_ml.actions.playbooks import load_playbooks
from lifecycle_ml.actions.team import load_team
from lifecycle_ml.health.config import HealthConfig, load_health
from lifecycle_ml.health.state import Color
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.models.causes import Causes
from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.reasons.taxonomy import Taxonomy, load_taxonomy
from lifecycle_ml.tables.schema import CATEGORIES
from lifecycle_ml.tables.source import Tables
from lifecycle_ml.workspace import Workspace


@dataclass(frozen=True)
class Grounds:
    """A workspace's features, categories and colours, and a company's tables.

    Without grounds a model is judged by its predictions alone: reasons and colours belong to a workspace.
    """

    features: FeatureSet
    taxonomy: Taxonomy
    health: HealthConfig
    choose_playbook: Callable[[Color, str], str]
    tables: Tables | None = None


def load_grounds(workspace: Workspace, tables: Tables) -> Grounds:
    """Load what the gate needs of a workspace. Raises: UserError for the first rule that cannot be."""
    every = load_features(workspace)
    playbooks = load_playbooks(workspace, every.names, load_team(workspace))
    return Grounds(
        features=every.available(tables),
        taxonomy=load_taxonomy(workspace, every.names),
        health=load_health(workspace, every.names),
        choose_playbook=playbooks.choose,
        tables=tables,
    )


def learn_causes(
    matrix: pd.DataFrame,
    labels: pd.DataFrame,
    inputs: Mapping[str, int],
    recipe: Recipe,
    grounds: Grounds,
    seed: int,
) -> Causes:
    """Learn which facts speak for which category, from snapshots and what was recorded of those that left.

    matrix, labels: the same snapshots in the same order, as known when the training is. Only what the model
    may use is compared; directions are those the definitions claim, also where the recipe holds none.
    """
    left = labels[label_column(recipe.label.headline_days)].to_numpy(dtype=np.float64)
    used = [feature for feature in grounds.features if feature.name in inputs and not feature.is_text]
    return Causes.fit(
        matrix,
        stayed=left == 0,
        cause=labels["cause"].where(left == 1),
        categories=CATEGORIES,
        category_of={feature.name: feature.category for feature in used},
        directions={feature.name: feature.sign for feature in used},
        seed=seed,
    )
