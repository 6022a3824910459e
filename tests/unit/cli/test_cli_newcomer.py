"""What a newcomer types first: the SELECTs of `init`, and a simulated company behind them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lifecycle_ml.cli.app import app
from lifecycle_ml.cli.newcomer import init, simulate
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.schema import SCHEMAS
from lifecycle_ml.tables.source import read_tables
from lifecycle_ml.workspace import Workspace, load_workspace, standard_root


def test_the_selects_of_a_new_workspace_fit_a_simulated_company(tmp_path: Path) -> None:
    """A newcomer's first minutes: every table is read whole, with the instants it was known at."""
    init(tmp_path)
    simulate(tmp_path / "data", accounts=12, seed=3)
    settings = Settings.read(tmp_path, environ={})

    made = read_tables(load_workspace(tmp_path), settings)
    standard = read_tables(Workspace(root=standard_root(), standard=standard_root()), settings)

    assert "usage_events" in made.names
    assert made.names == standard.names
    for name in made.names:
        order = list(made[name].columns)
        assert made[name].order_by(order).execute().equals(standard[name].order_by(order).execute()), name


def test_each_select_lists_the_columns_its_table_may_have(tmp_path: Path) -> None:
    """Whoever writes a SELECT sees name, type, need and values without opening the reference."""
    done = CliRunner().invoke(app, ["init", str(tmp_path)])

    assert done.exit_code == 0
    for name, schema in SCHEMAS.items():
        text = (tmp_path / "features" / "sources" / f"{name}.sql").read_text(encoding="utf-8")
        assert text.endswith(f"SELECT * FROM {name}\n")
        for column in schema.columns:
            line = next(line for line in text.splitlines() if line.startswith(f"--   {column.name} "))
            assert ("required" in line) == column.required
            assert all(value in line for value in column.values)


def test_a_workspace_with_sources_is_left_alone(tmp_path: Path) -> None:
    """SELECTs somebody wrote are never overwritten."""
    init(tmp_path)

    with pytest.raises(ConfigError, match="exists already; choose a new folder"):
        init(tmp_path)


def test_tables_that_nobody_simulated_are_not_written_over(tmp_path: Path) -> None:
    """A folder of exports stays as it is; a simulated company is made anew."""
    exports, ours = tmp_path / "exports", tmp_path / "ours"
    exports.mkdir()
    (exports / "accounts.parquet").write_bytes(b"theirs")

    with pytest.raises(ConfigError, match=r"exports holds 1 table that no simulation wrote.*: accounts\."):
        simulate(exports, accounts=2, seed=3)
    for _ in range(2):
        simulate(ours, accounts=2, seed=3)

    assert (exports / "accounts.parquet").read_bytes() == b"theirs"
    assert [path.name for path in exports.iterdir()] == ["accounts.parquet"]
    assert (ours / "accounts.parquet").exists()
