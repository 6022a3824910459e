"""The page of health inputs is what the standard workspace says, and no input or fact is missing."""

import re

from lifecycle_ml.health.config import INPUTS, load_health
from lifecycle_ml.health.reference import describe_health
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.workspace import Workspace, standard_root

WORKSPACE = Workspace(standard_root(), standard_root())
FEATURES = load_features(WORKSPACE)
HEALTH = load_health(WORKSPACE, FEATURES.names)


def test_the_page_is_what_the_workspace_says():
    """Nobody reads about an input that has changed since."""
    written = (standard_root() / "docs" / "reference" / "health-inputs.md").read_text(encoding="utf-8")

    assert written == describe_health(HEALTH, FEATURES), "run python -m lifecycle_ml.health.reference"


def test_nothing_is_missing_from_the_page():
    """Ten inputs in their order, then every fact, then the limits."""
    names = re.findall(r"^\| `(\w+)` \|", describe_health(HEALTH, FEATURES), flags=re.MULTILINE)

    assert names == [*INPUTS, *HEALTH.facts]
    assert len(INPUTS) == 10
