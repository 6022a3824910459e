"""What a reading rests on beside the tables: features, models, reasons, health and actions, loaded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lifecycle_ml.actions.levers import Levers, check_levers
from lifecycle_ml.actions.rulebook import ActionRules, load_action_rules
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.health.config import HealthConfig, load_health
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.outcomes.recipe import Recipe, load_recipe
from lifecycle_ml.promotion.training import champion, folder_of
from lifecycle_ml.reasons.taxonomy import Taxonomy, load_taxonomy
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.source import Tables
from lifecycle_ml.workspace import Workspace

CHURN, EXPANSION = "churn", "expansion"


@dataclass(frozen=True)
class Rulebook:
    """All that turns tables into readings, loaded once and checked against one another.

    `bundles` holds what serves, by recipe; expansion is missing where its recipe lacks a table it needs.
    """

    workspace: Workspace
    features: FeatureSet
    recipe: Recipe
    bundles: Mapping[str, Bundle]
    taxonomy: Taxonomy
    health: HealthConfig
    actions: ActionRules
    levers: Levers

    @property
    def churn(self) -> Bundle:
        """What answers for churn."""
        return self.bundles[CHURN]

    @property
    def models(self) -> dict[str, dict[str, str] | None]:
        """Name, version and digest of what serves, None where nothing does."""
        return {name: _named(self.bundles.get(name)) for name in (CHURN, EXPANSION)}


def load_rulebook(
    workspace: Workspace,
    settings: Settings,
    tables: Tables,
    served: Mapping[str, Bundle] | None = None,
    loaded: Rulebook | None = None,
) -> Rulebook:
    """Load the rooms' configuration and what serves: `served`, or the champions.

    loaded: the configuration, where `load_rules` gave it for the same tables already.
    Raises: UserError for the first rule that cannot be, ConfigError where nothing serves for churn.
    """
    bundles = served
    if bundles is None:
        champions = {recipe.name: champion(settings, recipe.name) for recipe in _trained(workspace, tables)}
        bundles = {name: bundle for name, bundle in champions.items() if bundle is not None}
    if CHURN not in bundles:
        raise ConfigError(
            f"nothing serves for recipe {CHURN!r}; run `lifecycle train {CHURN}` or `lifecycle run`."
        )
    return load_rules(workspace, tables, bundles) if loaded is None else replace(loaded, bundles=bundles)


def load_rules(workspace: Workspace, tables: Tables, bundles: Mapping[str, Bundle]) -> Rulebook:
    """Load all rooms' configuration beside what serves. Raises: UserError for the first that is wrong."""
    every = load_features(workspace)
    actions = load_action_rules(workspace, every.names, {each.name: each.unit for each in every})
    return Rulebook(
        workspace=workspace,
        features=every.available(tables),
        recipe=load_recipe(workspace, CHURN),
        bundles=bundles,
        taxonomy=load_taxonomy(workspace, every.names),
        health=load_health(workspace, every.names),
        actions=actions,
        levers=check_levers(actions.playbooks, every),
    )


def _trained(workspace: Workspace, tables: Tables) -> list[Recipe]:
    """Return the recipes that readings need and whose tables are there."""
    recipes = [load_recipe(workspace, name) for name in (CHURN, EXPANSION)]
    return [recipe for recipe in recipes if recipe.needs.issubset(tables.names)]


def untrained(workspace: Workspace, settings: Settings, tables: Tables) -> list[str]:
    """Return the recipes to train: nothing serves, or rules do, but never twice on the same data."""
    found = []
    for recipe in _trained(workspace, tables):
        serving = champion(settings, recipe.name)
        seen = serving is not None and serving.data.get("fingerprint") == tables.fingerprint
        if serving is None or (serving.source == "rules" and not seen):
            found.append(recipe.name)
    return found


def served_by(settings: Settings, models: Mapping[str, Mapping[str, str] | None]) -> dict[str, Bundle]:
    """Return the bundles a publication pinned, by recipe."""
    return {
        name: replace(
            Bundle.load(folder_of(settings, model["digest"]), model["digest"]), version=model["version"]
        )
        for name, model in models.items()
        if model is not None
    }


def _named(bundle: Bundle | None) -> dict[str, str] | None:
    if bundle is None:
        return None
    return {"name": bundle.name, "version": bundle.version or "unregistered", "digest": bundle.digest}
