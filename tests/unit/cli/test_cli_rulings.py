"""What `lifecycle actions --explain` says, and what it needs before it can."""

import json
from datetime import date

import pytest

from lifecycle_ml import rulings as asked
from lifecycle_ml.actions.rulings import Ruling, Said
from lifecycle_ml.cli.rulings import explain_rules
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.settings import Settings
from lifecycle_ml.workspace import Workspace, standard_root

WORKSPACE = Workspace(standard_root(), standard_root())
FOUND = [
    Ruling(
        "fact",
        "facts.champion_left",
        "serving/health.toml",
        "Turns the account yellow: the champion left",
        None,
        (Said("champions present is 0", None, "champions present: not known", "champions_present = 0"),),
    ),
    Ruling(
        "trigger",
        "triggers.new_department",
        "serving/triggers.toml",
        "A new department was invited",
        True,
        (Said("new departments (84 days) is at least 1", True, "1 new department"),),
        ("it was opened on 2026-05-01 and cools down until 2026-07-30",),
    ),
]


def test_rules_are_said_by_kind_with_what_decides_them(tmp_path, monkeypatch, capsys):
    """Fired or not, the comparison with the value, and what holds it back; for machines, too."""
    monkeypatch.setattr(asked, "rulings_on", lambda *_: FOUND)
    settings, day = Settings.read(tmp_path, {}), date(2026, 7, 1)

    explain_rules(WORKSPACE, settings, "A-1", day, as_json=False)
    said = capsys.readouterr().out
    explain_rules(WORKSPACE, settings, "A-1", day, as_json=True)
    document = json.loads(capsys.readouterr().out)

    assert "Facts that turn the colour\n  cannot tell facts.champion_left" in said
    assert "cannot be told: champions present is 0 (champions present: not known)" in said
    assert "fired       triggers.new_department: A new department was invited" in said
    assert "held back: it was opened on 2026-05-01 and cools down until 2026-07-30" in said
    assert "Checkpoints" not in said
    assert [(each["rule"], each["fired"]) for each in document["rules"]] == [
        ("facts.champion_left", None),
        ("triggers.new_department", True),
    ]
    assert document["rules"][0]["parts"][0]["text"] == "champions_present = 0"


def test_without_a_publication_there_is_no_today(tmp_path):
    """The command says what to run first."""
    (tmp_path / "out").mkdir()

    with pytest.raises(ConfigError, match="lifecycle run"):
        explain_rules(WORKSPACE, Settings.read(tmp_path, {}), "A-1", None, as_json=False)
