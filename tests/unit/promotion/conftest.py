"""What the promotion tests share."""

import pytest

from lifecycle_ml.outcomes.recipe import Recipe, TreeCapacity, load_recipe
from lifecycle_ml.workspace import Workspace, standard_root

CAPACITY = TreeCapacity(trees=60, learning_rate=0.08, leaves=6, min_child=60, l2=10.0, feature_fraction=0.4)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """The standard churn recipe with a smaller bag, so that a test takes a second."""
    standard = load_recipe(Workspace(root=standard_root(), standard=standard_root()), "churn")
    small = standard.estimator.model_copy(update={"members": 5, "capacity": CAPACITY, "linear": False})
    return standard.model_copy(update={"estimator": small})
