"""A company's year, one run a week: red accounts are worked on at once, nothing twice, renewals on time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from benchmarks.year_of_weeks import run_year

from lifecycle_ml.settings import Settings
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import read_tables
from lifecycle_ml.workspace import Workspace, standard_root

pytestmark = pytest.mark.slow

ACCOUNTS = 200
WEEKS = 52


def test_a_year_of_weekly_runs_keeps_its_promises(tmp_path: Path) -> None:
    """Every red reading has work with owner and date; no action opens twice; every checkpoint on its day."""
    company = simulate_company(7101, ACCOUNTS)
    company.write(tmp_path / "data", tmp_path / "truth")
    settings = Settings.read(tmp_path, environ={})
    workspace = Workspace(root=standard_root(), standard=standard_root())
    tables = read_tables(workspace, settings)
    last = company.first + timedelta(days=company.days)

    year = run_year(workspace, settings, tables, last, WEEKS, say=lambda _line: None)

    assert year.red_turns > 0
    assert year.red_without_work == 0
    assert year.opened_twice == 0
    assert year.checkpoints > 0
    assert year.checkpoints_late == 0
    assert year.flips_per_account_quarter < 1.0
