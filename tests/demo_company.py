"""One demo company, run once for all tests of a worker that read it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lifecycle_ml.settings import Settings
from lifecycle_ml.workspace import Workspace, standard_root

PROGRAM = str(Path(sys.executable).with_name("lifecycle"))


@dataclass(frozen=True)
class Demo:
    """What `lifecycle demo` left behind."""

    folder: Path
    output: str
    settings: Settings
    workspace: Workspace


def lifecycle(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, in a process of its own."""
    return subprocess.run(
        [PROGRAM, *words],
        env={**os.environ, "COLUMNS": "200", **environ},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )


def run_demo(folder: Path) -> Demo:
    """Take the demo company from raw tables to a publication in `folder`."""
    done = lifecycle("demo", "--no-serve", "--as-of", "2026-07-01", "--folder", str(folder))
    assert done.returncode == 0, done.stderr
    key = "admin:" + "k" * 24
    return Demo(
        folder=folder,
        output=re.sub(r"\x1b\[[0-9;]*m", "", done.stdout),
        settings=Settings.read(folder, environ={"LIFECYCLE_API_KEYS": key}),
        workspace=Workspace(root=standard_root(), standard=standard_root()),
    )
