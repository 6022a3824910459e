"""What `lifecycle revenue --loops` prints: a company small enough to be worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lifecycle_ml.cli.app import app

MANY = 40


@pytest.fixture
def shown(tmp_path: Path):
    """Call the command on forty customers; of the twenty that partners brought ten do not fit."""
    tables = tmp_path / "tables"
    tables.mkdir()
    accounts = ["account_id,created_at,acquisition_channel,icp_fit"]
    contracts = ["contract_id,account_id,starts_on,arr"]
    for number in range(MANY):
        channel, fit = ("web", 0.8) if number < MANY // 2 else ("partner", 0.2 if number % 2 else 0.8)
        accounts.append(f"A{number},2024-01-01,{channel},{fit}")
        contracts.append(f"C{number},A{number},2024-01-01,1200")
    (tables / "accounts.csv").write_text("\n".join(accounts) + "\n", encoding="utf-8")
    (tables / "contracts.csv").write_text("\n".join(contracts) + "\n", encoding="utf-8")
    sources = tmp_path / "workspace" / "features" / "sources"
    sources.mkdir(parents=True)
    for name in ("accounts", "contracts"):
        (sources / f"{name}.sql").write_text(f"SELECT * FROM {name}", encoding="utf-8")

    def call(*words: str):
        return CliRunner().invoke(
            app,
            [
                "revenue",
                "--loops",
                "--workspace",
                str(tmp_path / "workspace"),
                "--as-of",
                "2025-01-01",
                *words,
            ],
            env={"LIFECYCLE_SOURCE_URL": str(tables)},
        )

    return call


def test_questions_findings_and_what_is_lacking_are_printed(shown):
    done = shown()
    lines = [" ".join(line.replace("│", " ").split()) for line in done.stdout.splitlines()]

    assert done.exception is None, done.output
    assert "For sales: Where do customers who do not fit come from?" in lines
    assert "acquisition channel partner: 50 of 100 customers do not fit, elsewhere 0 of 100." in lines
    assert "acquisition channel partner 20 10 50.0% (29.9 to 70.1) 0.0% yes" in lines
    assert "For marketing: Which channels bring the customers of highest lifetime value?" in lines
    assert "Nothing stands out." in lines
    assert "Needs `usage_events`: add features/sources/usage_events.sql." in lines


def test_json_holds_every_row(shown):
    told = json.loads(shown("--json").stdout)
    fit = told["loops"][0]

    assert fit["findings"] == [
        "acquisition channel partner: 50 of 100 customers do not fit, elsewhere 0 of 100."
    ]
    assert [(row["group"], row["stands_out"]) for row in fit["rows"]] == [("partner", True), ("web", False)]
    assert fit["false_share"] == 0.01
    assert [loop["lacks"] is None for loop in told["loops"]] == [True, False, True, *[False] * 5]


def test_one_report_at_a_time(shown):
    assert "--leakage and --loops are reports of their own" in str(shown("--leakage").exception)
