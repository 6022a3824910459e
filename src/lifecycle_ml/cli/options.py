"""What several commands have in common: their options, and how a workspace is opened."""

from __future__ import annotations

from getpass import getuser
from pathlib import Path
from typing import Annotated

import typer

from lifecycle_ml.settings import Settings
from lifecycle_ml.workspace import Workspace, load_workspace

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", help="Folder with features/, training/ or serving/.")
]
ByOption = Annotated[str | None, typer.Option("--by", help="Who does it; default who is logged in here.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def open_workspace(path: Path) -> tuple[Workspace, Settings]:
    """Return the workspace at `path` and the settings of the environment for it."""
    workspace = load_workspace(path)
    return workspace, Settings.read(workspace.root)


def who_says(by: str | None) -> str:
    """Return whom the audit log and the ledger name: who was given, else who is logged in, if anybody is."""
    try:
        return by or getuser()
    except (OSError, KeyError):  # a container may run as a number nobody has
        return "command line"
