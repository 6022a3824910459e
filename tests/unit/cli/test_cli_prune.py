"""Old readings from the command line: gone, counted, and never by mistake."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import date, datetime, timedelta

from typer.testing import CliRunner

from lifecycle_ml.cli.app import app
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.store import Store

NOW = datetime(2026, 6, 30, 2)
AS_OF = date(2026, 6, 30)


def run(tmp_path, *words):
    """Run `lifecycle store prune` in a workspace."""
    return CliRunner().invoke(app, ["store", "prune", "--workspace", str(tmp_path), *words])


def test_pruning_says_how_much_went(tmp_path, monkeypatch):
    """And that a file does not get smaller by itself; a second time there is nothing."""
    (tmp_path / "serving").mkdir()
    monkeypatch.delenv("LIFECYCLE_STORE_URL", raising=False)
    with closing(Store.open(Settings.read(tmp_path, {}).store_url)) as store:
        for days in (200, 100, 0):
            at = NOW - timedelta(days=days)
            store.publish(store.begin(AS_OF - timedelta(days=days), at, at))

    assert "0 readings in 1 publications from before 2026-03-12 are gone" in run(
        tmp_path, "--keep-days", "110"
    ).output.replace("\n", " ")
    again = json.loads(run(tmp_path, "--keep-days", "110", "--json").output)
    assert again == {"publications": 0, "readings": 0, "before": "2026-03-12"}
    assert "Nothing is that old" in run(tmp_path, "--keep-days", "110").output
    assert run(tmp_path, "--keep-days", "7").exit_code == 2
