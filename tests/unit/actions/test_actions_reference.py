"""The reference pages are what the standard workspace says, and nothing the design asks for is missing."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from planned_company import RULES

from lifecycle_ml.actions.checkpoints import CHECKPOINTS
from lifecycle_ml.actions.playbooks import COLORS, REASONS
from lifecycle_ml.actions.reference import PAGES
from lifecycle_ml.actions.stages import STAGES
from lifecycle_ml.actions.team import ROLES
from lifecycle_ml.actions.triggers import TRIGGERS
from lifecycle_ml.workspace import standard_root

DOCS = standard_root() / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_workspace_says(name):
    """Nobody reads about a rule that has changed since."""
    written = (DOCS / "reference" / f"{name}.md").read_text(encoding="utf-8")

    assert written == PAGES[name](RULES), f"run python -m lifecycle_ml.actions.reference {name}"


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("triggers", TRIGGERS),
        ("checkpoints", [f"{days} days" for days in CHECKPOINTS]),
        ("stages", STAGES),
    ],
)
def test_nothing_of_the_design_is_missing_from_its_page(page, names):
    """Eight triggers, five checkpoints, five stages, each with a heading of its own."""
    found = re.findall(r"^## (.+)$", PAGES[page](RULES), flags=re.MULTILINE)

    assert [name for name in found if name not in ("Renewal data", "Onboarding start")] == list(names)


def test_every_part_of_a_working_motion_is_defined():
    """Playbooks for every reason and colour, checkpoints, stages, triggers, roles with people above them."""
    assert set(RULES.playbooks.by_id) == {f"{reason}_{color}" for reason in REASONS for color in COLORS}
    assert len(TRIGGERS) == 8
    assert CHECKPOINTS == (180, 120, 90, 60, 30)
    assert {"hand_off", "onboarding", "adoption", "renewal", "growth"} == set(RULES.stages.file.stages)
    assert set(RULES.team.roles) == set(ROLES)
    for trigger in RULES.triggers.by_id.values():
        assert trigger.owner_role in ROLES
    for stage in RULES.stages.file.stages.values():
        assert stage.enters
        assert stage.exits


def test_an_unknown_page_names_the_known_ones():
    """A typing error is answered in words."""
    run = subprocess.run(
        [sys.executable, "-m", "lifecycle_ml.actions.reference", "stage"],
        cwd=standard_root(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 1
    assert "Did you mean 'stages'?" in run.stderr
