"""`lifecycle --help`: what one finds there, and that nothing is cut off."""

import pytest
import typer.main
from typer.testing import CliRunner

from lifecycle_ml.cli.app import app
from lifecycle_ml.cli.sections import SECTIONS

COMMANDS = typer.main.get_command(app).commands


def test_every_command_stands_under_one_heading():
    """A new command gets a place; one that is gone leaves none."""
    placed = [name for names in SECTIONS.values() for name in names]

    assert sorted(placed) == sorted(COMMANDS)


def test_the_help_says_whole_sentences_under_headings():
    """Nothing ends in dots, and the commands of a group are named."""
    said = CliRunner().invoke(app, ["--help"]).output

    assert [line[:-1] for line in said.splitlines() if line.rstrip(":") in SECTIONS] == list(SECTIONS)
    assert "..." not in said.split("Begin:")[1]
    assert "Commands:" not in said
    assert "(create, list, rotate, revoke, log)" in " ".join(said.split())


@pytest.mark.parametrize("group", [name for name, each in COMMANDS.items() if hasattr(each, "commands")])
def test_the_help_of_a_group_says_whole_sentences(group):
    """Each command of the group with all it says."""
    said = " ".join(CliRunner().invoke(app, [group, "--help"]).output.split())

    assert "Commands:" in said
    for command in COMMANDS[group].commands.values():
        assert command.help in said
