"""Sufficiency: how much may be claimed, in churned accounts and days of history."""

import pytest

from lifecycle_ml.models.tiers import sufficiency
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.workspace import Workspace, standard_root


@pytest.fixture(scope="module")
def recipe():
    """The standard recipe: 30, 100, two headline horizons of 90 days."""
    return load_recipe(Workspace(root=standard_root(), standard=standard_root()), "churn")


@pytest.mark.parametrize(
    ("churned", "days", "name", "more"),
    [
        (0, 900, "insufficient", 30),
        (29, 900, "insufficient", 1),
        (30, 900, "advisory", 70),
        (99, 900, "advisory", 1),
        (100, 900, "full", 0),
        (500, 180, "full", 0),
    ],
)
def test_tier_by_churned_accounts(recipe, churned, days, name, more):
    """Each border belongs to the higher tier, and the number still needed is said."""
    tier = sufficiency(churned, days, recipe)
    assert (tier.name, tier.more_needed) == (name, more)


def test_short_history_is_insufficient_whatever_churned(recipe):
    """Under two horizons of history no model is tried, and the missing days are said."""
    tier = sufficiency(500, 179, recipe)
    assert (tier.name, tier.more_needed, tier.days_needed) == ("insufficient", 0, 1)
    assert "1 more days of history" in tier.says


def test_says_what_serves_and_what_lifts_it(recipe):
    """The sentence names the count, what serves and what is missing."""
    assert sufficiency(40, 900, recipe).says == "40 churned accounts: bands only; 60 more lift it"
    assert sufficiency(12, 900, recipe).says == "12 churned accounts: rules serve; 18 more lift it"
    assert "enough" in sufficiency(100, 900, recipe).says


def test_expansion_counts_expanded_accounts():
    """The words are those of the recipe's outcome."""
    expansion = load_recipe(Workspace(root=standard_root(), standard=standard_root()), "expansion")
    assert sufficiency(40, 900, expansion).says == "40 expanded accounts: bands only; 60 more lift it"
