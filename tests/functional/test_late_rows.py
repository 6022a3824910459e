"""Two clocks on the command line: a past matrix replayed, and what late rows change in it."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from lifecycle_ml.cli.app import app
from lifecycle_ml.settings import Settings
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.clock import cut
from lifecycle_ml.tables.source import read_tables
from lifecycle_ml.workspace import load_workspace

pytestmark = pytest.mark.slow

AS_OF = date(2026, 3, 2)
LATER = datetime(2026, 3, 9)


def lifecycle(*words: str) -> str:
    """Run a command of `lifecycle features` and return what it printed."""
    done = CliRunner().invoke(app, ["features", *words], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty accounts, with some rows that reached us days after AS_OF."""
    folder = tmp_path_factory.mktemp("late") / "company"
    (folder / "serving").mkdir(parents=True)
    simulate_company(5, 30).write(folder / "data", folder.parent / "truth")

    events = pd.read_parquet(folder / "data" / "usage_events.parquet")
    busiest = events[events["happened_at"] < pd.Timestamp(AS_OF)]["account_id"].value_counts().index[0]
    one = events[events["account_id"] == busiest].iloc[[0]]
    dates = {"happened_at": pd.Timestamp("2026-03-01 12:00"), "known_at": pd.Timestamp("2026-03-05 03:00")}
    late = one.assign(event_id="late-1", user_id="late-user", kind="use", quantity=1, **dates)
    write(folder, "usage_events", pd.concat([events, late.astype(events.dtypes)], ignore_index=True))

    accounts = pd.read_parquet(folder / "data" / "accounts.parquet")
    new = accounts.iloc[[0]].assign(account_id="LATE", name="Late", created_at=pd.Timestamp("2026-01-10"))
    write(folder, "accounts", pd.concat([accounts, new.astype(accounts.dtypes)], ignore_index=True))
    contracts = pd.read_parquet(folder / "data" / "contracts.parquet")
    signed = contracts.iloc[[0]].assign(contract_id="late-c", account_id="LATE", renews_contract_id=None)
    signed["signed_at"], signed["starts_on"] = pd.NaT, pd.Timestamp("2026-02-01")
    signed["ends_on"] = signed["cancelled_on"] = signed["notice_given_on"] = pd.NaT
    contracts["known_at"], signed["known_at"] = pd.NaT, pd.Timestamp("2026-03-06")
    write(folder, "contracts", pd.concat([contracts, signed.astype(contracts.dtypes)], ignore_index=True))
    return folder


def write(folder: Path, table: str, frame: pd.DataFrame) -> None:
    """Write one raw table."""
    frame.to_parquet(folder / "data" / f"{table}.parquet", index=False)


@pytest.fixture(scope="module", params=[None, LATER], ids=["known then", "known a week later"])
def known(request: pytest.FixtureRequest, company: Path) -> tuple[Path, datetime | None]:
    """The same company, its tables cut to what was known at a time."""
    folder = company.parent / f"cut-{request.param is None}"
    (folder / "serving").mkdir(parents=True)
    tables = read_tables(load_workspace(company), Settings.read(company, environ={}))
    (folder / "data").mkdir()
    then = cut(tables, AS_OF, request.param)
    for name in then.names:
        then[name].drop("superseded_at").to_parquet(folder / "data" / f"{name}.parquet")
    return folder, request.param


def built(folder: Path, *more: str) -> pd.DataFrame:
    """Build the matrix of AS_OF in a folder."""
    out = folder / "matrix.parquet"
    lifecycle("build", "--workspace", str(folder), "--as-of", str(AS_OF), "--out", str(out), *more)
    return pd.read_parquet(out)


def test_a_replay_is_what_was_built_then(company: Path, known: tuple[Path, datetime | None]) -> None:
    """From all tables with --known-at, and from tables that hold nothing newer: the same matrix."""
    folder, look = known
    more = [] if look is None else ["--known-at", look.isoformat()]
    replayed, then = built(company, *more), built(folder, *more)

    pd.testing.assert_frame_equal(replayed, then[list(replayed.columns)], check_exact=True)
    assert ("LATE" in set(replayed["account_id"])) == (look is not None)
    assert len(replayed) > 10


def test_dates_together_are_dates_alone(company: Path) -> None:
    """Several dates in one pass give what each gives, and accounts can be picked."""
    out = company / "many.csv"
    words = ("--as-of", str(AS_OF), "--from", "2026-01-01", "--out", str(out))
    said = lifecycle("build", "--workspace", str(company), *words)
    many = pd.read_csv(out, parse_dates=["as_of"])
    alone = built(company)

    assert "3 dates from 2026-01-05 to 2026-03-02" in said
    last = many[many["as_of"] == pd.Timestamp(AS_OF)].reset_index(drop=True)
    assert list(last["account_id"]) == list(alone["account_id"])
    for column in ("active_users_28d", "usage_change_28d", "days_to_renewal"):
        assert list(last[column].fillna(-1)) == pytest.approx(list(alone[column].fillna(-1)))
    picked = built(company, "--account", "LATE", "--account", str(alone["account_id"][0]))
    assert sorted(picked["account_id"]) == sorted(["LATE", alone["account_id"][0]])


def test_late_rows_are_measured(company: Path) -> None:
    """The event that came late adds a user; the contract that came late adds a customer."""
    words = ("--workspace", str(company), "--as-of", str(AS_OF), "--known-at", LATER.isoformat())
    found = json.loads(lifecycle("late", *words, "--json"))

    assert found["entered"] == ["LATE"]
    assert found["left"] == []
    assert found["accounts_now"] == found["accounts_then"] + 1
    late = {item["table"]: item for item in found["late_rows"]}
    assert late["usage_events"]["rows"] >= 1
    assert late["contracts"]["rows"] == 1
    users = next(item for item in found["features"] if item["feature"] == "active_users_28d")
    changes = {value["account_id"]: value["now"] - value["then"] for value in users["largest"]}
    assert users["accounts_changed"] >= 1
    assert 1 in changes.values()
    shown = lifecycle("late", *words)
    assert "1 entered (LATE)" in shown
    assert "active_users_28d" in shown
