"""`lifecycle keys log` has what commands changed, under whoever did it."""

from __future__ import annotations

import copy
import json
from contextlib import closing
from datetime import date, datetime, timedelta

import pytest
from typer.testing import CliRunner

from lifecycle_ml.cli.app import app
from lifecycle_ml.service.api import examples
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.rows import StoredReading
from lifecycle_ml.store.store import Store

NOW = datetime(2026, 6, 30, 2)


@pytest.fixture
def lifecycle(tmp_path, monkeypatch):
    """Run commands in a workspace whose store has one account in an old and a new publication."""
    (tmp_path / "serving").mkdir()
    monkeypatch.delenv("LIFECYCLE_STORE_URL", raising=False)
    document = copy.deepcopy(examples.ACCOUNT) | {"account_id": "A-1042"}
    with closing(Store.open(Settings.read(tmp_path, {}).store_url)) as store:
        for days in (200, 0):
            at = NOW - timedelta(days=days)
            publication = store.begin(date(2026, 6, 30) - timedelta(days=days), at, at)
            store.write_readings(publication, [StoredReading.of(document, state="", risk=0.4)])
            store.publish(publication)

    def run(*words):
        done = CliRunner().invoke(app, [*words, "--workspace", str(tmp_path)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return run


def log(lifecycle, *words):
    """The log's lines, the oldest first, without their instants."""
    lines = json.loads(lifecycle("keys", "log", "--json", *words))
    return [(each["who"], each["did"], each["target"], each["request_id"]) for each in reversed(lines)]


def test_what_commands_change_is_logged_with_who_and_without_a_request(lifecycle):
    """Nothing is logged that did not happen, and one person's lines can be asked for."""
    lifecycle("tell", "sentiment", "A-1042", "--value", "happy", "--by", "Zoë")
    lifecycle("store", "prune", "--keep-days", "100", "--by", "Maya")
    lifecycle("store", "prune", "--keep-days", "100", "--by", "Maya")
    assert log(lifecycle) == [
        ("Zoë", "sentiment", "A-1042", ""),
        ("Maya", "publication pruned", "publication 1, as of 2025-12-12", ""),
    ]

    lifecycle("forget", "A-1042", "--by", "Ada")
    lifecycle("forget", "A-1042", "--by", "Ada", "--yes")
    ((_, _, told, _), (_, did, mark, _)) = log(lifecycle, "--name", "Zoë") + log(lifecycle, "--name", "Ada")
    assert did == "account forgotten"
    assert told == mark
    assert "A-1042" not in lifecycle("keys", "log")


def test_where_nobody_is_logged_in_it_was_the_command_line(lifecycle, monkeypatch):
    """As in a container that runs as a number without a name."""
    monkeypatch.setattr(
        "lifecycle_ml.cli.options.getuser", lambda: (_ for _ in ()).throw(OSError("No username set"))
    )
    lifecycle("store", "prune", "--keep-days", "100")
    assert [who for who, *_ in log(lifecycle)] == ["command line"]


def test_a_day_without_a_publication_is_told_the_last_one_and_what_makes_one(tmp_path, lifecycle):
    """`lifecycle explain --as-of` of a day before anything was published."""
    words = ["explain", "A-1042", "--as-of", "2020-01-01", "--workspace", str(tmp_path)]

    refused = CliRunner().invoke(app, words).exception

    assert str(refused) == (
        "nothing is published as of 2020-01-01; the last publication is of 2026-06-30. "
        "`lifecycle run --as-of 2020-01-01` makes one of that day."
    )
