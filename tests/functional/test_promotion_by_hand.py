"""Train, train again on later data, promote and roll back: the commands as a user types them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from demo_company import lifecycle_here
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.workspace import standard_root

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("promote")]

FEW_TREES = "trees = 20, learning_rate = 0.1, leaves = 6, min_child = 60, l2 = 10.0, feature_fraction = 0.4"
SMALL = {
    "members = 10": "members = 2",
    'capacity = "auto"': f"capacity = {{ {FEW_TREES} }}",
    "linear = true": "linear = false",
    "\ncutoffs = 4": "\ncutoffs = 2",
}
FEW = {
    # a small company and its small model: what the gate says is not what this is about
    "advisory_from_accounts = 30": "advisory_from_accounts = 5",
    "full_from_accounts = 100": "full_from_accounts = 5000",
    "min_gain = 0.0": "min_gain = -1.0",
    "min_events = 20": "min_events = 5",
    "slope_low = 0.7": "slope_low = 0.0",
    "slope_high = 1.4": "slope_high = 10.0",
    "observed_expected_low = 0.8": "observed_expected_low = 0.0",
    "observed_expected_high = 1.25": "observed_expected_high = 10.0",
}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A workspace with a small model and a gate that lets it through; two days, half a year apart."""
    folder = tmp_path_factory.mktemp("company")
    made = simulate_company(11, 220, days=800)
    made.write(folder / "data", folder / "truth")
    text = (standard_root() / "training" / "churn.toml").read_text(encoding="utf-8")
    for standard, small in (SMALL | FEW).items():
        assert standard in text
        text = text.replace(standard, small)
    (folder / "training").mkdir()
    (folder / "training" / "churn.toml").write_text(text, encoding="utf-8")
    last = made.first + timedelta(days=800)
    return folder, str(last - timedelta(days=252)), str(last)


def answered(*words: str) -> dict[str, object]:
    """Run a command with --json and return its document."""
    done = lifecycle_here(*words, "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


def test_a_later_training_is_promoted_and_rolled_back(company: tuple[Path, str, str]) -> None:
    """First champion by the gate alone, then a refresh, then back and forth; mistakes end with status 2."""
    folder, early, late = company
    here = ("--workspace", str(folder))

    nothing = lifecycle_here("promote", "churn", *here)
    assert nothing.returncode == 2
    assert "lifecycle train" in nothing.stderr
    assert "Traceback" not in nothing.stderr

    first = answered("train", "churn", *here, "--as-of", early)
    assert first["promoted"] is True, first["refusals"]
    newest = lifecycle_here("promote", "churn", *here)
    assert newest.returncode == 2
    assert "version 1, the newest, serves already" in newest.stderr

    second = answered("train", "churn", *here, "--as-of", late)
    assert (second["promoted"], second["version"], second["refusals"]) == (False, "2", [])
    decided = answered("promote", "churn", *here)
    assert decided["champion"]["version"] == "1"
    assert decided["challenger"]["version"] == "2"
    assert decided["decided_by"] == "refresh"
    serves = "2" if decided["promoted"] else "1"
    assert decided["serves"]["version"] == serves
    assert json.loads((folder / "out" / "bundles" / "churn.json").read_text())["version"] == serves
    digest = str(decided["serves"]["digest"])
    assert Bundle.load(folder / "out" / "bundles" / digest.removeprefix("sha256:"), digest).source == "model"
    if not decided["promoted"]:
        assert [refusal["rule"] for refusal in decided["refusals"]] == ["shown_worse"]
        return
    back = lifecycle_here("promote", "churn", *here, "--rollback")
    assert back.returncode == 0, back.stderr
    assert "Rolled back from version 2 to version 1." in back.stdout
    assert "serves from the next publication on" in back.stdout
    assert answered("promote", "churn", *here, "--rollback")["serves"]["version"] == "2"

    for words in (["--version", "9"], ["--rollback", "--version", "1"]):
        wrong = lifecycle_here("promote", "churn", *here, *words)
        assert wrong.returncode == 2
        assert "Traceback" not in wrong.stderr
