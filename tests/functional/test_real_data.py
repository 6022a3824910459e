"""The two third-party workspaces run end to end, and neither gets a model it has not earned."""

from __future__ import annotations

import os
from datetime import date, datetime, time
from pathlib import Path

import pytest

from lifecycle_ml.nightly import run_nightly
from lifecycle_ml.settings import Settings
from lifecycle_ml.workspace import Workspace, standard_root

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("THIRD_PARTY_DATA") or ROOT.parent / "shared" / "data")

pytestmark = [pytest.mark.slow, pytest.mark.real_data]


@pytest.mark.parametrize(
    ("name", "as_of", "rule"),
    [
        ("churnsim_crm5", date(2024, 1, 1), "no_skill"),
        ("ravenstack", date(2025, 1, 1), "too_few_events"),
    ],
)
def test_the_path_runs_and_rules_serve(name: str, as_of: date, rule: str, tmp_path: Path) -> None:
    """The calendar beats the model on one, and the other has hardly any churned accounts: both refused."""
    if not (DATA / name).is_dir():
        pytest.skip(f"the third-party tables of {name} are not here; set THIRD_PARTY_DATA to their folder")
    workspace = Workspace(root=ROOT / "examples" / name, standard=standard_root())
    settings = Settings.read(tmp_path, environ={"LIFECYCLE_SOURCE_URL": str(DATA / name)})

    summary = run_nightly(workspace, settings, as_of, datetime.combine(as_of, time(2)))

    assert summary.bundle.source == "rules"
    assert rule in {refusal["rule"] for refusal in summary.bundle.refusals}
    assert summary.accounts >= 400
