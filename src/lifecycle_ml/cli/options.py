"""What several commands have in common: their options, and how a workspace is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lifecycle_ml.settings import Settings
from lifecycle_ml.workspace import Workspace, load_workspace

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", help="Folder with features/, training/ or serving/.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def open_workspace(path: Path) -> tuple[Workspace, Settings]:
    """Return the workspace at `path` and the settings of the environment for it."""
    workspace = load_workspace(path)
    return workspace, Settings.read(workspace.root)
