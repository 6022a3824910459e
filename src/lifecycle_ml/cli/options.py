"""What several commands have in common: their options, and how a workspace is opened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from getpass import getuser
from pathlib import Path
from typing import Annotated

import typer

from lifecycle_ml.cli import clock
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.settings import Settings
from lifecycle_ml.workspace import Workspace, load_workspace

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", help="Folder with features/, training/ or serving/.")
]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="Date to stand on, YYYY-MM-DD; default today (UTC).")
]
ByOption = Annotated[str | None, typer.Option("--by", help="Who does it; default who is logged in here.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def open_workspace(path: Path) -> tuple[Workspace, Settings]:
    """Return the workspace at `path` and the settings of the environment for it."""
    workspace = load_workspace(path)
    return workspace, Settings.read(workspace.root)


def only_one(options: Mapping[str, bool]) -> str | None:
    """Return the option that was given, None where none was.

    Raises: ConfigError where several of those that exclude one another were.
    """
    given = [name for name, wanted in options.items() if wanted]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} ask for different things; give one of them.")
    return given[0] if given else None


def who_says(by: str | None) -> str:
    """Return whom the audit log and the ledger name: who was given, else who is logged in, if anybody is."""
    try:
        return by or getuser()
    except (OSError, KeyError):  # a container may run as a number nobody has
        return "command line"


def parse_day(text: str | None, option: str = "--as-of") -> date:
    """Return the date of an option, today in UTC where it was not given."""
    if text is None:
        return clock.today()
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{option} {text!r} is not a date; write YYYY-MM-DD.") from error
