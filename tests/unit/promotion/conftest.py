"""What the promotion tests share."""

import pytest

from lifecycle_ml.outcomes.recipe import Recipe, load_recipe
from lifecycle_ml.workspace import Workspace, standard_root


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """The standard churn recipe with a smaller bag, so that a test takes a second."""
    standard = load_recipe(Workspace(root=standard_root(), standard=standard_root()), "churn")
    small = standard.estimator.model_copy(update={"members": 5, "trees": 60, "learning_rate": 0.08})
    return standard.model_copy(update={"estimator": small})
