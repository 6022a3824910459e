"""`lifecycle doctor`: a line for each thing, what to do, and an exit status a script can go by."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta

import pytest
from typer.testing import CliRunner

from lifecycle_ml.cli import doctor as checks
from lifecycle_ml.cli.app import app
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.store.rows import Publication

NOW = datetime(2026, 6, 30, 8)


def published(now):
    """A publication made at some time."""
    return Publication(1, date(2026, 6, 30), now, now, "nightly", {})


def ask(folder, *words):
    """Run the command in a workspace."""
    (folder / "serving").mkdir(exist_ok=True)
    return CliRunner().invoke(app, ["doctor", "--workspace", str(folder), *words], catch_exceptions=False)


def test_an_empty_workspace_is_told_what_to_do_about_each_thing(tmp_path, monkeypatch):
    """Exit status 2: a person can mend it."""
    monkeypatch.delenv("LIFECYCLE_API_KEYS", raising=False)
    done = ask(tmp_path, "--json")
    found = {each["name"]: each for each in json.loads(done.stdout)["checks"]}

    assert done.exit_code == 2
    assert list(found) == ["source", "rules", "model", "store", "publication", "keys", "disk"]
    assert [name for name, each in found.items() if each["exit_code"]] == [
        "source",
        "model",
        "publication",
        "keys",
    ]
    assert "lifecycle keys create" in found["keys"]["says"]
    assert "lifecycle run" in found["publication"]["says"]
    assert "4 of 7 things are not in order" in ask(tmp_path).stdout


def test_a_store_that_does_not_answer_is_a_fault(tmp_path, monkeypatch):
    """Exit status 1, whatever else is wrong."""
    (tmp_path / "no").write_text("this is no database, and it is long enough to be taken for one" * 20)
    monkeypatch.setenv("LIFECYCLE_STORE_URL", f"sqlite:///{tmp_path}/no")

    assert ask(tmp_path).exit_code == 1


def test_all_in_order_is_status_0(tmp_path, monkeypatch):
    """And every line begins with ok."""
    monkeypatch.setattr(checks, "_checks", lambda *_: {"store": lambda: "answers"})
    done = ask(tmp_path)

    assert (done.exit_code, done.stdout.split()) == (0, ["ok", "store", "answers"])


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (NOW - timedelta(hours=27), "made 27 hours ago"),
        (NOW - timedelta(hours=3476), "made 145 days ago"),
        (NOW + timedelta(hours=1), "set the clock"),
    ],
)
def test_a_publication_that_is_old_or_from_the_future_is_wrong(made, says):
    """Older than a day and two hours, or later than the clock."""
    with pytest.raises(ConfigError, match=says):
        checks._publication(published(made), NOW)


def test_last_nights_publication_is_in_order():
    """With its age."""
    assert (
        checks._publication(published(NOW - timedelta(hours=6)), NOW) == "as of 2026-06-30, made 6 hours ago"
    )


def test_a_full_disk_is_told_before_the_run_finds_out(tmp_path, monkeypatch):
    """With what makes room."""
    from lifecycle_ml.settings import Settings

    monkeypatch.setattr(checks, "LEAST_ROOM", 10**18)
    with pytest.raises(ConfigError, match="store prune"):
        checks._disk(Settings.read(tmp_path, environ={}))
