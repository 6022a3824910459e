"""The pages about conditions, health and playbooks name what exists."""

from __future__ import annotations

import re
import tomllib

import pytest

from lifecycle_ml.actions.playbooks import Playbook, PlaybooksFile, Step
from lifecycle_ml.conditions.grammar import FUNCTIONS
from lifecycle_ml.conditions.parse import parse_condition
from lifecycle_ml.health.config import INPUTS
from lifecycle_ml.health.scored import SCORED_COLUMNS
from lifecycle_ml.workspace import standard_root

DOCS = standard_root() / "docs"
CONDITIONS = (DOCS / "reference" / "conditions.md").read_text(encoding="utf-8")
HEALTH = (DOCS / "explanation" / "health.md").read_text(encoding="utf-8")
PLAYBOOK = (DOCS / "how-to" / "write-a-playbook.md").read_text(encoding="utf-8")


def test_the_reference_lists_exactly_the_functions_there_are():
    """A function added to the grammar is added to its page."""
    listed = re.findall(r"^\| `(\w+)\(", CONDITIONS, flags=re.MULTILINE)

    assert tuple(sorted(listed)) == FUNCTIONS


def test_the_reference_lists_exactly_the_scored_columns():
    """What scoring adds is named in its order."""
    section = CONDITIONS.split("the columns scoring adds:")[1].split(". Yes/no")[0]

    assert re.findall(r"`(\w+)`", section) == list(SCORED_COLUMNS)


@pytest.mark.parametrize(
    "example",
    ["reason IN ('champion_left', 'unknown')", "coalesce(open_severe_tickets, 0) = 0", "notice_given = 1"],
)
def test_examples_on_the_page_are_understood(example):
    """Nobody copies an example that is refused."""
    assert example in CONDITIONS
    parse_condition(example, ["reason", "open_severe_tickets", "notice_given"], "docs")


def test_the_health_page_lists_exactly_the_ten_inputs():
    """A health input added to the code is explained."""
    assert tuple(re.findall(r"^\| `(\w+)` \|", HEALTH, flags=re.MULTILINE)) == INPUTS


def test_the_playbook_page_explains_every_key():
    """Each key of a playbook and of a step is in the table, and the example has the form it shows."""
    explained = set(re.findall(r"^\| `(\w+)` \|", PLAYBOOK, flags=re.MULTILINE))
    keys = {*Playbook.model_fields, *Step.model_fields, *PlaybooksFile.model_fields}

    assert explained == keys - {"playbooks", "title"}
    example = tomllib.loads(PLAYBOOK.split("```toml\n")[1].split("```")[0])
    Playbook.model_validate(example["playbooks"]["champion_left"]["red"])
