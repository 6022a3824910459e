"""A workspace over accounts and contracts alone, and `lifecycle revenue` called in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from lifecycle_ml.cli.app import app


def revenue_of(folder: Path, accounts: str, contracts: str, *options: str) -> Callable[..., Result]:
    """Return what calls `lifecycle revenue` with these and further options on two tables in CSV.

    The tables lie in `folder`/tables, the SELECTs in `folder`/workspace/features/sources.
    """
    tables, root = folder / "tables", folder / "workspace"
    sources = root / "features" / "sources"
    tables.mkdir()
    sources.mkdir(parents=True)
    for name, text in {"accounts": accounts, "contracts": contracts}.items():
        (tables / f"{name}.csv").write_text(text, encoding="utf-8")
        (sources / f"{name}.sql").write_text(f"SELECT * FROM {name}", encoding="utf-8")

    def call(*words: str) -> Result:
        return CliRunner().invoke(
            app,
            ["revenue", "--workspace", str(root), *options, *words],
            env={"LIFECYCLE_SOURCE_URL": str(tables)},
        )

    return call


def lines_of(done: Result) -> list[str]:
    """Return the lines printed, without the rules of tables and with single blanks."""
    return [" ".join(line.replace("│", " ").split()) for line in done.stdout.splitlines()]
