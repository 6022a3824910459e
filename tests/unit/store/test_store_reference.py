"""The page of the scorecard names every field a scored account has, and says what the code does."""

import re
from datetime import date, datetime

from lifecycle_ml.service.api.models import Scorecard
from lifecycle_ml.store.reading import Served, compose
from lifecycle_ml.store.reference import SCORECARD, describe_scorecard
from lifecycle_ml.workspace import standard_root

SERVED = Served(
    as_of=date(2026, 6, 1),
    known_at=datetime(2026, 6, 1),
    scored_at=datetime(2026, 6, 1, 2),
    horizons={"churn": (90,)},
    headlines={"churn": 90},
    models={"churn": None, "expansion": None},
    workspace_digest="w",
    package_version="0",
)


def test_the_page_is_what_the_code_says():
    """Nobody maps a field that is not there."""
    written = (standard_root() / "docs" / "reference" / "scorecard.md").read_text(encoding="utf-8")

    assert written == describe_scorecard(), "run python -m lifecycle_ml.store.reference"


def test_every_field_that_is_served_is_on_the_page():
    """In the order of the document, of the API and of the page."""
    row = {"account_id": "A", "probability_90d": 0.1, "lift": 1.0, "band": "low", "source": "model"}
    row |= {"tier": "full", "expansion_lift": None, "expansion_band": None}
    row |= {"expansion_source": None, "expansion_tier": None}
    composed = compose(SERVED, row, {"inputs": []}, [], [], [], "sha256:x")

    page = re.findall(r"^\| `(\w+)` \|", describe_scorecard(), flags=re.MULTILINE)
    assert page == list(SCORECARD) == list(composed["scorecard"]) == list(Scorecard.model_fields)
