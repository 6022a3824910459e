"""What `lifecycle actions --scoreboard` says, and what it needs before it can."""

import json
from contextlib import closing
from datetime import date

import pandas as pd
import pytest

from lifecycle_ml.cli.scoreboard import scoreboard
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.service.api.scoreboard import TriggerScoreboard
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.store import Store
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root

WORKSPACE = Workspace(standard_root(), standard_root())
DAY = date(2026, 1, 1)
ACCOUNTS = pd.DataFrame([{"account_id": "A", "created_at": date(2025, 1, 1), "segment": "mid"}])
CONTRACTS = pd.DataFrame(
    [
        {
            "contract_id": "A",
            "account_id": "A",
            "starts_on": date(2025, 1, 1),
            "ends_on": date(2027, 1, 1),
            "arr": 10_000.0,
            "currency": "EUR",
        }
    ]
)


def test_every_trigger_comes_with_a_verdict_in_words(tmp_path, monkeypatch, capsys):
    """One young account is no history; for machines the same."""
    tables = tables_from_frames({"accounts": ACCOUNTS, "contracts": CONTRACTS})
    monkeypatch.setattr("lifecycle_ml.tables.source.read_tables", lambda *_: tables)
    settings = Settings.read(tmp_path, {})

    scoreboard(WORKSPACE, settings, DAY, as_json=True)
    document = json.loads(capsys.readouterr().out)
    scoreboard(WORKSPACE, settings, DAY, as_json=False)
    said = " ".join(capsys.readouterr().out.split())

    with closing(Store.open(settings.store_url)) as store:
        assert store.scoreboard() == document
    TriggerScoreboard.model_validate_json(json.dumps(document | {"request_id": "r", "budget": None}))
    assert document["as_of"] == "2026-01-01"
    assert len(document["triggers"]) == 8
    assert {each["verdict"] for each in document["triggers"]} == {"not_enough_history"}
    assert document["triggers"][0]["tasks"]["opened"] == 0
    assert "What followed is no effect" in said
    assert "new_department: Its signs cannot be told from the tables there are." in said


def test_without_contracts_nothing_can_be_said(tmp_path, monkeypatch):
    """Growth is told from contracts."""
    tables = tables_from_frames({"accounts": ACCOUNTS})
    monkeypatch.setattr("lifecycle_ml.tables.source.read_tables", lambda *_: tables)
    with pytest.raises(ConfigError, match="cannot be told without contracts"):
        scoreboard(WORKSPACE, Settings.read(tmp_path, {}), DAY, as_json=False)
