"""The memory DuckDB may take is the setting's."""

from __future__ import annotations

from pathlib import Path

from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.source import read_tables
from lifecycle_ml.workspace import load_workspace


def test_the_limit_reaches_duckdb_and_what_is_beyond_stays_out_of_the_folder(tmp_path: Path) -> None:
    """A tiny workspace read with a limit; nothing is left where somebody stood."""
    (tmp_path / "features" / "sources").mkdir(parents=True)
    (tmp_path / "features" / "sources" / "accounts.sql").write_text("SELECT * FROM accounts")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "accounts.csv").write_text("account_id,created_at\nA,2024-01-01\n")
    settings = Settings.read(tmp_path, environ={"LIFECYCLE_MEMORY": "512MB"})
    tables = read_tables(load_workspace(tmp_path), settings)
    limit, spilled = tables.backend.con.execute(
        "SELECT current_setting('memory_limit'), current_setting('temp_directory')"
    ).fetchall()[0]
    assert limit == "488.2 MiB"
    assert not Path(spilled).is_relative_to(Path.cwd())
