"""With a workspace behind it a trial is also judged by its reasons and colours; without one it is not."""

from dataclasses import replace

import pandas as pd
import pytest
from promotion_world import simulate

from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.promotion.challenger import try_challenger
from lifecycle_ml.promotion.grounds import load_grounds
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root


@pytest.fixture(scope="module")
def grounds():
    """The standard definitions, categories and colours, without tables."""
    accounts = pd.DataFrame({"account_id": ["A"], "created_at": [pd.Timestamp("2024-01-01")]})
    workspace = Workspace(root=standard_root(), standard=standard_root())
    loaded = load_grounds(workspace, tables_from_frames({"accounts": accounts}))
    return replace(loaded, tables=None, features=load_features(workspace))


def tried(world, recipe, **changes):
    return try_challenger(
        world.matrix,
        world.labels,
        world.inputs,
        recipe,
        world.data_through,
        **{"num_threads": 1, "draws": 50, **changes},
    )


def test_reasons_and_colours_are_shown_to_the_gate(recipe, grounds):
    """The bar is judged beside the rule that would serve instead, on every test date."""
    world = simulate(accounts=400)
    trial = tried(world, recipe, grounds=grounds)
    shown = trial.shown
    assert shown.stability is not None
    assert shown.colours is not None
    assert 0 <= shown.stability.unchanged.value <= 1
    assert shown.colours.rule in ("renewal_calendar", "usage_drop", "recency_frequency")
    assert shown.colours.dates == trial.backtest.rows["as_of"].nunique()
    strict = recipe.gate.model_copy(
        update={"min_stability": 1.0, "min_colour_gain": 1.0, "min_red_odds": 100.0}
    )
    refused = tried(world, recipe.model_copy(update={"gate": strict}), grounds=grounds).refusals
    assert [refusal.rule for refusal in refused].count("colour_bar") == len(("red", "flagged", "odds"))
    assert "unstable_reasons" in {refusal.rule for refusal in refused}


def test_without_grounds_predictions_alone_are_judged(recipe):
    """Reasons and colours belong to a workspace."""
    shown = tried(simulate(accounts=400), recipe).shown
    assert shown.stability is None
    assert shown.colours is None


def test_an_advisory_model_has_bands_and_no_reasons_to_test(recipe, grounds):
    """Below the full tier reasons come from facts, which no refit can change."""
    many = recipe.tiers.model_copy(update={"full_from_accounts": 10_000})
    trial = tried(simulate(accounts=400), recipe.model_copy(update={"tiers": many}), grounds=grounds)
    assert trial.tier.name == "advisory"
    assert trial.shown.stability is None
    assert trial.shown.colours is None
