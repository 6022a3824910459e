"""Keys from the command line: made, shown once, listed without them, exchanged and ended."""

from __future__ import annotations

import json
from getpass import getuser

import pytest
from typer.testing import CliRunner

from lifecycle_ml.cli.app import app
from lifecycle_ml.cli.keys import count_keys
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.keys import PREFIX, KeyChangeError


@pytest.fixture
def keys(tmp_path, monkeypatch):
    """Run `lifecycle keys` in an empty workspace; return what was printed."""
    (tmp_path / "serving").mkdir()
    monkeypatch.delenv("LIFECYCLE_API_KEYS", raising=False)

    def run(*words):
        done = CliRunner().invoke(app, ["keys", *words, "--workspace", str(tmp_path)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    run.settings = lambda: Settings.read(tmp_path)
    return run


def test_a_key_is_printed_when_it_is_made_and_never_again(keys):
    """The first line is the key alone, so that it can be piped; `--json` for machines."""
    key = keys("create", "crm", "--role", "act", "--days", "30").splitlines()[0]
    assert key.startswith(PREFIX)
    other = json.loads(keys("create", "erp", "--role", "read", "--per-minute", "0", "--json"))["key"]

    for shown in (keys("list"), keys("list", "--json")):
        assert key not in shown
        assert other not in shown
        assert "crm" in shown
    listed = json.loads(keys("list", "--json"))["keys"]
    assert [(each["name"], each["state"], each["per_minute"]) for each in listed] == [
        ("crm", "works", 1_000),
        ("erp", "works", None),
    ]
    assert count_keys(keys.settings()) == 2


def test_rotating_and_revoking_say_what_happens_to_the_one_before(keys):
    """How long it works on; how many ended."""
    keys("create", "crm", "--role", "act")
    assert "works for 168 more hours" in keys("rotate", "crm")
    assert "2 keys named crm revoked; workers refuse them" in keys("revoke", "crm")
    assert count_keys(keys.settings()) == 0
    with pytest.raises(KeyChangeError, match="no working key"):
        keys("revoke", "crm")


def test_changes_to_keys_are_logged_with_who_made_them(keys):
    """A name, never a key."""
    key = keys("create", "crm", "--role", "act").splitlines()[0]
    keys("rotate", "crm", "--overlap-hours", "0")
    keys("revoke", "crm")

    logged = json.loads(keys("log", "--json"))
    assert [each["did"] for each in logged] == ["key revoked", "key rotated", "key created"]
    assert {each["who"] for each in logged} == {getuser()}
    assert key not in str(logged)
    assert "key rotated" in keys("log")
    assert keys("log", "--name", "Zoë", "--days", "1") == "Nothing was changed by 'Zoë' in the last 1 day.\n"


def test_the_keys_of_the_environment_are_counted_too(keys, monkeypatch):
    """They are not in the list, and the list says so."""
    monkeypatch.setenv("LIFECYCLE_API_KEYS", "read:0123456789abcdef")
    shown = keys("list")

    assert "no keys" in shown
    assert "LIFECYCLE_API_KEYS has 1 more" in shown
    assert "0123456789abcdef" not in shown
    assert count_keys(keys.settings()) == 1
