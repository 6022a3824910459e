"""Which of the ten parts a workspace defines: the standard one all; others leave out or contradict."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lifecycle_ml.actions.agreed import TITLES
from lifecycle_ml.cli.app import app
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.motion.examine import lifecycle_motion
from lifecycle_ml.motion.page import render
from lifecycle_ml.workspace import Workspace, standard_root


def own(tmp_path: Path, edits: dict[str, tuple[str, str]] | None = None) -> Workspace:
    """Return a workspace whose own files of serving/ differ from the standard ones by these replacements."""
    (tmp_path / "serving").mkdir()
    for name, (old, new) in (edits or {}).items():
        text = (standard_root() / "serving" / name).read_text(encoding="utf-8")
        assert re.search(old, text, re.DOTALL)
        changed = re.sub(old, new, text, flags=re.DOTALL)
        (tmp_path / "serving" / name).write_text(changed, encoding="utf-8")
    return Workspace(root=tmp_path, standard=standard_root())


def parts_of(workspace):
    return {part.name: part for part in lifecycle_motion(workspace).parts}


@pytest.fixture(scope="module")
def standard():
    return lifecycle_motion(Workspace(root=standard_root(), standard=standard_root()))


def test_the_standard_workspace_defines_all_ten(standard):
    assert [part.title for part in standard.parts] == list(TITLES.values())
    assert standard.ok
    assert standard.counts == {"defined": 10, "incomplete": 0, "missing": 0, "contradictory": 0}
    assert all(part.standard and part.owner and part.where for part in standard.parts)


def test_criteria_are_said_in_words(standard):
    lines = standard.parts[0].defined

    assert lines[0] == "before onboarding starts: signed contract known (contract signed is yes)"
    assert any(
        line.startswith("the onboarding stage begins when tenure days is at most 365 and activated is no")
        for line in lines
    )
    assert not any(sign in line for line in lines for sign in ("<=", "COALESCE", "_"))


def test_what_motion_toml_leaves_out_is_missing_and_nobody_owns_it(tmp_path):
    found = parts_of(own(tmp_path, {"motion.toml": (r"\[owners\].*", "")}))

    for name in ("hand_off", "activation", "feedback_loops"):
        assert found[name].state == "missing"
        assert found[name].owner is None
    assert found["health_inputs"].state == "incomplete"
    assert found["health_inputs"].missing == (
        "nobody owns it: name a role under owners.health_inputs in serving/motion.toml",
    )
    assert (
        "nobody hears it for sales: [[feedback_loops]] in serving/motion.toml"
        in found["feedback_loops"].missing
    )


def test_without_criteria_nobody_agreed_when_onboarding_starts(tmp_path):
    found = parts_of(own(tmp_path, {"stages.toml": (r"\[onboarding_start.*?(?=\[stages\.hand_off\])", "")}))

    assert found["onboarding_start"].state == "missing"
    assert found["onboarding_start"].missing == (
        "what must be true before onboarding starts: [onboarding_start] in serving/stages.toml",
    )


def test_criteria_that_forget_the_agreed_hand_off_fields_are_incomplete(tmp_path):
    found = parts_of(own(tmp_path, {"stages.toml": ('handoff_gaps = 0"\nlacks', 'tenure_days > 3"\nlacks')}))

    assert found["onboarding_start"].state == "incomplete"
    assert found["onboarding_start"].missing == (
        "required hand-off fields are agreed on and no criterion under onboarding_start asks for them",
    )


def test_a_part_written_for_this_company_is_no_longer_standard(tmp_path):
    found = parts_of(own(tmp_path, {"triggers.toml": ("adds = 0.10", "adds = 0.12")}))

    assert not found["expansion_triggers"].standard
    assert found["health_inputs"].standard


def test_a_table_without_a_select_leaves_parts_incomplete(tmp_path):
    """Only accounts and contracts are there: what rests on milestones and use is said to wait for them."""
    workspace = own(tmp_path)
    sources = tmp_path / "features" / "sources"
    sources.mkdir(parents=True)
    for name in ("accounts", "contracts"):
        shutil.copy(standard_root() / "features" / "sources" / f"{name}.sql", sources)
    found = parts_of(workspace)

    assert found["activation"].state == "incomplete"
    assert (
        "features/sources/milestones.sql does not exist, so nothing of it is seen"
        in found["activation"].missing
    )
    assert "onboarding milestones waits for milestones" in found["health_inputs"].missing
    assert any("onboarding.enters" in line for line in found["onboarding_start"].missing)
    assert "A competitor is replacing us can never be named with the tables there are" in (
        found["churn_categories"].missing
    )
    assert found["renewal_ownership"].state == "defined"


def test_rules_that_disagree_are_contradictory(tmp_path):
    """Two owners from one ARR on, and an onboarding that ends without asking for a milestone."""
    edits = {
        "renewals.toml": ("arr_from = 50_000\nrole", "arr_from = 0\nrole"),
        "stages.toml": (
            'exits = "activated = 1 OR tenure_days > 365[^\n]*',
            'exits = "tenure_days > 365"',
        ),
    }
    found = parts_of(own(tmp_path, edits))

    assert found["renewal_ownership"].state == "contradictory"
    assert "two roles own renewals from 0 of ARR" in found["renewal_ownership"].contradicts
    assert found["activation"].contradicts == (
        "onboarding ends (serving/stages.toml) whether or not a milestone was reached",
    )


def test_a_role_nobody_knows_is_refused(tmp_path):
    workspace = own(tmp_path, {"motion.toml": ('activation = "cs_lead"', 'activation = "cs_leed"')})

    with pytest.raises(ConfigError, match=r"motion.toml owners.activation: no role 'cs_leed'.*cs_lead"):
        lifecycle_motion(workspace)


def test_the_page_holds_every_part_and_fetches_nothing(standard):
    page = render(standard)

    assert [title for title in TITLES.values() if title not in page] == []
    assert not re.search(r"(src|href)=|url\(|@import", page)
    assert "10 defined" in page


def test_the_command_prints_and_writes_the_page(tmp_path):
    (tmp_path / "serving").mkdir()
    words = ["check", "motion", "--workspace", str(tmp_path)]
    done = CliRunner().invoke(app, [*words, "--html", str(tmp_path / "motion.html")])

    assert done.exception is None, done.output
    assert "10 of 10 parts are defined, 0 incomplete, 0 missing, 0 contradictory." in done.output
    assert "<h1>The lifecycle motion</h1>" in (tmp_path / "motion.html").read_text(encoding="utf-8")
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert told["ok"]
    assert [part["state"] for part in told["parts"]] == ["defined"] * 10
    refused = CliRunner().invoke(app, ["check", "serving", "--html", "x.html", "--workspace", str(tmp_path)])
    assert isinstance(refused.exception, ConfigError)


def test_limits_of_inputs_are_said_in_the_unit_of_their_feature(tmp_path):
    """A limit of 30 says nothing before one knows of what, and a share of 0.9 is 90%."""
    found = parts_of(own(tmp_path))["health_inputs"]
    said = " | ".join(found.defined)

    assert "onboarding milestones: milestones overdue good up to 0 milestones, poor from 2 milestones" in said
    assert "usage against own pattern: " in said
    assert "good from 90%, poor up to 60%" in said
