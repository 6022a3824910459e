"""Sixteen weeks of a company, run by run: red accounts are worked on at once, nothing twice, all on time."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.year_of_days.run import company_in, run_year

pytestmark = pytest.mark.slow

ACCOUNTS, RUNS, STEP_DAYS = 150, 16, 7


def test_sixteen_weeks_of_runs_keep_their_promises(tmp_path: Path) -> None:
    """Every red account has work with owner and date, every escalation and checkpoint comes on its day."""
    company = company_in(tmp_path, 7101, ACCOUNTS, years=3)

    year = run_year(company, company.days(RUNS, STEP_DAYS), STEP_DAYS, say=lambda _line: None)

    found = year.promises
    assert found.runs == RUNS
    assert min(found.red_turns, found.checkpoints, found.escalations) > 0
    assert min(found.done, found.dismissed, found.snoozed, found.closed) > 0
    assert min(found.red_with_work, found.red_watched) > 0
    assert found.red_with_work + found.red_watched == found.red
    assert found.broken == {}
    assert found.flips_per_account_quarter < 1.0
