"""What `lifecycle revenue --loops` prints: a company small enough to be worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from two_tables import lines_of, revenue_of

MANY = 40


@pytest.fixture
def shown(tmp_path: Path):
    """Call the command on forty customers; of the twenty that partners brought ten do not fit."""
    accounts = ["account_id,created_at,acquisition_channel,icp_fit"]
    contracts = ["contract_id,account_id,starts_on,arr"]
    for number in range(MANY):
        channel, fit = ("web", 0.8) if number < MANY // 2 else ("partner", 0.2 if number % 2 else 0.8)
        accounts.append(f"A{number},2024-01-01,{channel},{fit}")
        contracts.append(f"C{number},A{number},2024-01-01,1200")
    tables = ("\n".join(lines) + "\n" for lines in (accounts, contracts))
    return revenue_of(tmp_path, *tables, "--loops", "--as-of", "2025-01-01")


def test_questions_findings_and_what_is_lacking_are_printed(shown):
    done = shown()
    lines = lines_of(done)

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
    assert "--leakage and --loops ask for different things" in str(shown("--leakage").exception)
