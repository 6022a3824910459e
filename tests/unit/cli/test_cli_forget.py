"""`lifecycle forget`: says first what goes and what cannot be reached, and erases only when told to."""

from __future__ import annotations

import copy
import json
import os
from contextlib import closing
from datetime import date, datetime
from getpass import getuser

import pytest
from typer.testing import CliRunner

from lifecycle_ml.cli.app import app
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.service.api import examples
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.rows import StoredReading
from lifecycle_ml.store.said import NoSuchAccountError
from lifecycle_ml.store.store import Store

NOW = datetime(2026, 6, 30, 2)
GONE, STAYS = "GONE-0001", "STAYS-0002"


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace with two accounts in its store, in its source, and in a file of predictions."""
    for name in list(os.environ):
        if name.startswith("LIFECYCLE_"):
            monkeypatch.delenv(name)
    for folder in ("serving", "data", "out", "mlruns/artifacts"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("data/accounts.csv", "mlruns/artifacts/predictions.csv"):
        (tmp_path / name).write_text(f"account_id\n{GONE}\n{STAYS}\nLEFT-0003\n")
    with closing(Store.open(Settings.read(tmp_path, {}).store_url)) as store:
        publication = store.begin(date(2026, 6, 30), NOW, NOW)
        for account in (GONE, STAYS):
            document = copy.deepcopy(examples.ACCOUNT) | {"account_id": account}
            reading = StoredReading.of(document, state="", risk=0.4, name=f"Name of {account}")
            store.write_readings(publication, [reading])
        store.publish(publication)
    return tmp_path


def forget(workspace, *words):
    """Run the command; return what it printed."""
    done = CliRunner().invoke(app, ["forget", *words, "--workspace", str(workspace)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def log(workspace):
    """What `lifecycle keys log` says."""
    words = ["keys", "log", "--json", "--days", "9999", "--workspace", str(workspace)]
    return [(each["who"], each["did"]) for each in json.loads(CliRunner().invoke(app, words).output)]


def test_it_shows_first_and_erases_when_told_to(workspace):
    """Without --yes nothing changes; with it store and files are without the account, the source is not."""
    before = {path: path.read_bytes() for path in workspace.rglob("*.csv")}
    shown = forget(workspace, GONE)
    assert "Would erase: GONE-0001 (Name of GONE-0001)" in shown
    assert "mlruns/artifacts/predictions.csv" in shown
    assert "Repeat the command with --yes" in shown
    assert {path: path.read_bytes() for path in workspace.rglob("*.csv")} == before
    assert log(workspace) == []

    done = json.loads(forget(workspace, GONE, "--yes", "--by", "Maya", "--json"))
    assert done["erased"]
    assert done["room_given_back"]
    assert {(each["place"], each["what"], each["count"]) for each in done["places"]} == {
        ("store", "readings", 1),
        ("store", "listings", 1),
        ("mlruns/artifacts/predictions.csv", "rows and words", 1),
    }
    assert log(workspace) == [("Maya", "account forgotten")]
    database = (workspace / "out" / "lifecycle.db").read_bytes()
    assert GONE.encode() not in database
    assert STAYS.encode() in database
    left = (workspace / "mlruns" / "artifacts" / "predictions.csv").read_text()
    assert left == f"account_id\n{STAYS}\nLEFT-0003\n"
    assert GONE in (workspace / "data" / "accounts.csv").read_text()


def test_a_second_time_it_says_when_it_was_forgotten(workspace):
    """And --yes gives the room back once more, for a database that was in use the first time."""
    forget(workspace, GONE, "--yes")

    again = forget(workspace, GONE, "--yes")
    assert f"by {getuser()}." in again
    assert "Nothing of it has come back" in again
    assert "gave back the room" in again
    assert len(log(workspace)) == 1


def test_what_was_killed_half_way_is_repeated(workspace, monkeypatch):
    """Files are done and the store is not: the account is known, with its name, and goes the second time."""
    report = workspace / "out" / "report.md"
    with monkeypatch.context() as patch:
        patch.setattr("lifecycle_ml.store.forgetting.forget", lambda *_: (_ for _ in ()).throw(OSError))
        with pytest.raises(OSError, match=r"^$"):
            forget(workspace, GONE, "--yes")
    report.write_text(f"Name of {GONE} was late")

    assert "out/report.md" in forget(workspace, GONE, "--yes")
    assert report.read_text() == "[forgotten] was late"
    assert log(workspace) == [(getuser(), "account forgotten")]


def test_an_account_that_only_a_file_knows_goes_too(workspace):
    """Predictions are of accounts that left before anything was published."""
    assert "predictions.csv" in forget(workspace, "LEFT-0003", "--yes")
    assert "LEFT" not in (workspace / "mlruns" / "artifacts" / "predictions.csv").read_text()


def test_what_cannot_be_reached_is_said(workspace, monkeypatch):
    """The source, the other server without its password, copies of the database, texts with a short id."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:secret@mlflow.example")
    monkeypatch.setenv("LIFECYCLE_SOURCE_URL", "postgres://reader:secret@db.example/crm")
    (workspace / "out" / "copy.db").write_bytes(GONE.encode())

    told = json.loads(forget(workspace, GONE, "--json"))
    assert not told["erased"]
    assert not told["room_given_back"]
    said = "\n".join(told["out_of_reach"])
    assert "the source tables (postgres://db.example/crm): as long as GONE-0001 is in them" in said
    assert "out/copy.db: no file we can write anew" in said
    assert "MLflow at https://mlflow.example" in said
    assert "secret" not in said
    assert "sentences with" not in said
    (workspace / "out" / "a.csv").write_text("account_id\n7\n")
    assert "sentences with '7'" in forget(workspace, "7")


def test_a_file_that_cannot_be_written_is_not_called_erased(workspace, monkeypatch):
    """It was found and read; that its folder is read-only shows on writing."""

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lifecycle_ml.store.outputs.shutil.copymode", refuse)
    done = json.loads(forget(workspace, GONE, "--yes", "--json"))

    assert {each["place"] for each in done["places"]} == {"store"}
    assert (
        "mlruns/artifacts/predictions.csv: it cannot be read or written: Permission denied"
        in done["out_of_reach"]
    )
    assert GONE in (workspace / "mlruns" / "artifacts" / "predictions.csv").read_text()


def test_an_unknown_account_is_refused_with_the_nearest(workspace, tmp_path_factory):
    """A slip of the finger erases nothing; nor is a store made to forget somebody in."""
    with pytest.raises(NoSuchAccountError, match=r"account 'GONE-0010'\. The nearest: GONE-0001"):
        forget(workspace, "GONE-0010", "--yes")
    empty = tmp_path_factory.mktemp("empty")
    (empty / "serving").mkdir()
    with pytest.raises(ConfigError, match="there is no store yet"):
        forget(empty, GONE)
    assert not (empty / "out").exists()
