"""What bad input gets on the whole path: a message, a refusal or a warning, never a half-written result."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from demo_company import lifecycle_here
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.store.store import Store

pytestmark = pytest.mark.slow

AS_OF = "2026-07-01"


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """A workspace folder with twelve accounts' tables; everything it lacks is the standard's."""
    folder = tmp_path / "small"
    (folder / "serving").mkdir(parents=True)
    simulate_company(3, 12).write(folder / "data", tmp_path / "truth")
    return folder


def run(folder: Path, *more: str) -> tuple[int, str, str]:
    """Run the nightly chain on a folder and return exit status, output and errors."""
    done = lifecycle_here("run", "--workspace", str(folder), "--as-of", AS_OF, *more)
    return done.returncode, done.stdout, done.stderr


def test_twelve_accounts_are_refused_a_model_and_served_by_rules(company: Path) -> None:
    """Refusal is an answer: exit status 0, the number needed, bands instead of probabilities."""
    status, out, _ = run(company, "--json")

    assert status == 0
    assert json.loads(out)["accounts"] <= 12
    with closing(Store.open(f"sqlite:///{company}/out/lifecycle.db")) as store:
        page = store.list_accounts(limit=12)
    documents = [json.loads(row.body) for row in page.rows]
    assert documents
    for document in documents:
        assert document["churn"]["source"] == "rules"
        assert document["churn"]["probability"] is None
        assert document["churn"]["lift"] is None
        assert document["churn"]["band"] in {"low", "medium", "high"}
        assert all(reason["share"] is None for reason in document["reasons"])

    status, out, _ = run(company)

    assert status == 0
    assert "too_few_events" in out
    assert "more churned accounts" in out


def test_a_missing_required_column_stops_the_run_and_nothing_is_written(company: Path) -> None:
    """The message names table, column and the SELECT to change; no store, no bundle."""
    path = company / "data" / "contracts.parquet"
    pd.read_parquet(path).drop(columns="arr").to_parquet(path, index=False)

    status, _, err = run(company)

    assert status == 2
    assert "contracts" in err
    assert "arr" in err
    assert "contracts.sql" in err
    assert "Traceback" not in err
    assert not (company / "out").exists()


def test_a_misspelt_key_stops_the_run_with_file_and_nearest_key(company: Path) -> None:
    """A wrong TOML file fails before anything is published."""
    standard = Path(__file__).parents[2] / "serving" / "health.toml"
    text = standard.read_text(encoding="utf-8").replace("\nmin_days", "\nmin_dayz")
    (company / "serving" / "health.toml").write_text(text, encoding="utf-8")

    status, _, err = run(company)

    assert status == 2
    assert "serving/health.toml" in err
    assert "min_dayz" in err
    assert "min_days" in err
    assert not (company / "out" / "lifecycle.db").exists()


def test_rows_left_out_are_said_and_counted(company: Path) -> None:
    """Negative ARR is left out of the run, with a count, and the run goes on."""
    path = company / "data" / "contracts.parquet"
    contracts = pd.read_parquet(path)
    contracts.loc[contracts.index[:3], "arr"] = -1.0
    contracts.to_parquet(path, index=False)

    done = lifecycle_here("check", "--workspace", str(company), "--as-of", AS_OF, "--json")

    findings = {finding["rule"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 0
    assert any(
        finding["severity"] == "warning" and finding["rows"] == 3 and finding["column"] == "arr"
        for finding in findings.values()
    )
