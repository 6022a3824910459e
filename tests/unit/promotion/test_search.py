"""The search: on earlier dates only, the standard capacity first, the same answer for the same seed."""

import numpy as np
import pytest
from promotion_world import simulate

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.models.capacity import Capacity
from lifecycle_ml.outcomes.recipe import Search
from lifecycle_ml.outcomes.splits import rolling_origins
from lifecycle_ml.promotion.search import search
from lifecycle_ml.promotion.training import with_capacity

SMALL = Search(trials=3, trees=(20, 60), leaves=(3, 8), learning_rate=(0.05, 0.15))


@pytest.fixture(scope="module")
def world():
    """Thirty-two dates, enough to hold some back before those that are reported."""
    return simulate(accounts=300, dates=32)


def searched(world, recipe, **changes):
    asked = recipe.model_copy(update={"search": SMALL.model_copy(update=changes)})
    return search(world.matrix, world.labels, world.inputs, asked, world.data_through)


def test_tries_the_standard_capacity_first_and_repeats_itself(world, recipe):
    """Same seed and data: the same trials; the best of them, or nothing where the standard one is best."""
    found = searched(world, recipe)
    assert len(found.trials) == SMALL.trials
    assert found.trials["n_trees"].iloc[0] == Capacity().n_trees
    assert found.trials["n_trees"].iloc[1:].between(20, 60).all()
    best = int(np.nanargmin(found.trials["loss"]))
    assert (found.capacity is None) == (best == 0)
    if best:
        assert found.capacity.n_trees == found.trials["n_trees"].iloc[best]
    again = searched(world, recipe)
    assert again.capacity == found.capacity
    np.testing.assert_array_equal(again.trials["loss"], found.trials["loss"])
    assert found.stopped_by == "trials"


def test_looks_at_no_outcome_that_is_reported(world, recipe):
    """Turning round every label known only after the first reported date changes nothing."""
    dates = [stamp.date() for stamp in sorted(world.matrix["as_of"].unique().tolist())]
    reported = rolling_origins(dates, recipe, world.data_through)[0].cutoff
    found = searched(world, recipe)
    assert found.cutoffs
    assert max(found.cutoffs) < reported
    labels = world.labels.copy()
    for horizon in recipe.label.horizons_days:
        ends = labels["as_of"] + np.timedelta64(horizon, "D")
        late = (ends > np.datetime64(reported)).to_numpy()
        labels.loc[late, f"outcome_{horizon}d"] = 1 - labels.loc[late, f"outcome_{horizon}d"]
    turned = search(
        world.matrix,
        labels,
        world.inputs,
        recipe.model_copy(update={"search": SMALL}),
        world.data_through,
    )
    np.testing.assert_array_equal(turned.trials["loss"], found.trials["loss"])


def test_short_history_is_searched_by_nobody(recipe):
    """Where no date can be held back the standard capacity stays, and the sentence says why."""
    short = simulate(accounts=60, dates=8)
    found = searched(short, recipe)
    assert found.capacity is None
    assert "history is too short" in found.says


def test_a_found_capacity_takes_its_place_in_the_recipe(recipe):
    """The numbers travel under the recipe's words; without one the recipe is what it was."""
    own = with_capacity(recipe, Capacity(n_trees=70, n_leaves=9))
    assert (own.estimator.capacity.trees, own.estimator.capacity.leaves) == (70, 9)
    assert with_capacity(recipe, None) is recipe


def test_says_how_to_install_what_is_missing(world, recipe, monkeypatch):
    """Optuna is an extra."""
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"lifecycle_ml\[search\]"):
        searched(world, recipe)


def test_ranges_are_written_from_low_to_high():
    """A range the wrong way round is refused where it is written."""
    with pytest.raises(ValueError, match=r"lower end first \(\[4, 64\]\)"):
        Search(leaves=(64, 4))
