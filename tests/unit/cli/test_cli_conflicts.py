"""Options that ask for different things: refused by name, never one of them left unheard."""

import pytest
from typer.testing import CliRunner

from lifecycle_ml.cli.app import app
from lifecycle_ml.cli.options import only_one
from lifecycle_ml.errors import ConfigError


def test_one_option_of_several_is_told_and_none_is_none():
    """What was given, else nothing."""
    assert only_one({"--a": False, "--b": True}) == "--b"
    assert only_one({"--a": False, "--b": False}) is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("actions --effects --scoreboard", "--effects and --scoreboard ask for different things"),
        ("actions --explain A-1 --format csv", "--explain and --format ask for different things"),
        ("actions --explain A-1 --owner Dana", "--owner narrows the list of actions; --explain is of all"),
        ("check motion --as-of 2026-06-30", "what is agreed has no date"),
        ("actions --format csv --json", "leave out --json, or --format"),
        ("actions --scoreboard --effect 0.1", "--effect goes with --effects"),
        ("revenue --forecast --gross-margin 0.8", "--forecast has neither"),
    ],
)
def test_options_that_exclude_one_another_are_refused(words, says):
    """Before anything is read, and by name."""
    refused = CliRunner().invoke(app, words.split()).exception

    assert isinstance(refused, ConfigError)
    assert says in str(refused)
