"""One demo company, run once for all tests of a worker that read it."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from lifecycle_ml.cli import app
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


def lifecycle_here(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command by the same door in this process: starting one takes longer than most commands do."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", [PROGRAM, *words])
        for name, value in {"COLUMNS": "200", **environ}.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            app.main()
    status = int(ended.value.code or 0)
    return subprocess.CompletedProcess([PROGRAM, *words], status, out.getvalue(), err.getvalue())


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
