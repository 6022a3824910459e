"""Raw tables, where a company keeps them: a folder of files, or any engine Ibis can reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import duckdb
import ibis
import pandas as pd
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lifecycle_ml.errors import TableError, did_you_mean
from lifecycle_ml.tables.postgres import copy_rows, is_there

SUFFIXES = (".parquet", ".csv", ".csv.gz")


@dataclass(frozen=True)
class Source:
    """The SELECT that fills one canonical table: its text and the name it has in messages."""

    table: str
    label: str
    text: str

    @classmethod
    def read(cls, table: str, path: Path) -> Source:
        """Read `features/sources/<table>.sql`."""
        return cls(table, f"features/sources/{path.name}", path.read_text(encoding="utf-8"))

    @property
    def query(self) -> str:
        """The one SELECT of the file. Raises: TableError if it holds another kind or number of statements."""
        try:
            tokens = sqlglot.tokenize(self.text, read="duckdb")
            parsed = [one for one in sqlglot.parse(self.text, read="duckdb") if one is not None]
        except SqlglotError as error:
            raise TableError(f"{self.label}: not valid SQL: {str(error).splitlines()[0]}") from error
        if len(parsed) != 1 or not isinstance(parsed[0], exp.Query):
            raise TableError(f"{self.label}: holds {len(parsed)} statements; write exactly one SELECT.")
        last = tokens[-1]
        return self.text[: last.start] if last.text == ";" else self.text

    def reads(self) -> tuple[exp.Table, ...]:
        """Return the raw tables the SELECT reads, sorted by name, with the schema they are written with."""
        query = sqlglot.parse_one(self.query, read="duckdb")
        inner = {cte.alias for cte in query.find_all(exp.CTE)}
        found = {
            exp.Table(**{part: table.args.get(part) for part in ("this", "db", "catalog")})
            for table in query.find_all(exp.Table)
            if table.name and (table.db or table.name not in inner)
        }
        return tuple(sorted(found, key=lambda table: table.sql(dialect="duckdb")))

    def line_of(self, column: str | None) -> str:
        """Say where to change `column`: the line that names it last, else the line of the SELECT."""
        lines = self.text.splitlines()
        found = None
        if column is not None:
            tokens = [token for token in sqlglot.tokenize(self.text, read="duckdb") if token.text == column]
            found = tokens[-1].line if tokens else None
        if found is None:
            tops = [n for n, line in enumerate(lines, 1) if line.lstrip().lower().startswith("select")]
            found = tops[-1] if tops else 1
        return f"{self.label} line {found}"


@dataclass(frozen=True)
class Raw:
    """Raw tables within reach of a DuckDB connection: its own (schema `raw`), or an engine's behind Ibis."""

    connection: Any
    names: frozenset[str]
    where: str
    engine: Any = None

    def holds(self, table: exp.Table) -> bool:
        """Whether there is such a raw table; of those in another schema only Postgres can tell beforehand."""
        listed = table.name.lower() in {name.lower() for name in self.names}
        if self.engine is None or (listed and not table.db):
            return listed
        if self.engine.name == "postgres":
            return is_there(self.engine.con, table)
        return bool(table.db)

    def stage(self, source: Source) -> str:
        """Make the source's rows available on the DuckDB connection and return what to select from.

        Raises: TableError if the engine refuses the SELECT.
        """
        staged = f'raw."staged {source.table}"'
        try:
            if self.engine is None:
                self.connection.execute(f"CREATE VIEW {staged} AS {source.query}")
            elif self.engine.name == "postgres":
                copy_rows(self.engine.con, source.query, self.connection, staged)
            else:
                answer = self.engine.sql(source.query, dialect="duckdb").to_pyarrow()
                self.connection.register("arriving", answer)
                self.connection.execute(f"CREATE TABLE {staged} AS SELECT * FROM arriving")
                self.connection.unregister("arriving")
        except Exception as error:
            if isinstance(error, TableError):
                raise
            raise TableError(f"{source.line_of(None)}: {plain(error)}") from error
        return staged

    def close(self) -> None:
        """Let go of the raw tables; the canonical ones hold all that is needed."""
        self.connection.execute("DROP SCHEMA raw CASCADE")
        if "source" in {row[0] for row in self.connection.execute("SHOW DATABASES").fetchall()}:
            self.connection.execute("DETACH source")
        if self.engine is not None:
            self.engine.disconnect()


def plain(error: Exception) -> str:
    """Return an engine's message without its stack of repeated SQL."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("LINE ", "^", "SELECT"))]
    return " ".join(kept[:3])


def open_raw(url: str, connection: Any) -> Raw:
    """Open the raw tables at `url`, a folder or an Ibis URL, for a DuckDB connection.

    Raises: TableError if the folder does not exist or holds no table, if two files would be the same table,
    or if the engine cannot be reached.
    """
    connection.execute("CREATE SCHEMA IF NOT EXISTS raw")
    if "://" in url and not url.startswith("file://"):
        return _open_engine(url, connection)
    return _open_folder(Path(url.removeprefix("file://")), connection)


def _open_engine(url: str, connection: Any) -> Raw:
    scheme, _, address = url.partition("://")
    where = f"the {scheme} source"
    if scheme == "sqlite" and (path := urlparse(url).path) and not Path(path).is_file():
        # SQLite would make an empty file, and every table would seem to be missing.
        raise TableError(
            f"LIFECYCLE_SOURCE_URL: there is no file {path}; after sqlite:// write its whole path, from /."
        )
    try:
        if scheme == "duckdb":
            return Raw(connection, _attach(address, connection), where)
        engine = ibis.connect(url)
        return Raw(connection, frozenset(engine.list_tables()), where, engine)
    except ImportError as error:
        extra = {"postgres": "lifecycle_ml[postgres]", "postgresql": "lifecycle_ml[postgres]"}
        raise TableError(
            f"LIFECYCLE_SOURCE_URL: {where} needs a driver that is not installed: {error}. "
            f"pip install '{extra.get(scheme, f'ibis-framework[{scheme}]')}'"
        ) from error
    except Exception as error:
        # Addresses hold passwords; messages end up in logs.
        said = plain(error).replace(url, f"{scheme}://…").replace(address, "…")
        raise TableError(
            f"LIFECYCLE_SOURCE_URL: {where} cannot be opened: {said.rstrip('.?')}. "
            "Check the address, or give a folder of Parquet or CSV files."
        ) from error


def _attach(address: str, connection: Any) -> frozenset[str]:
    """Read a DuckDB file where it lies, without a copy by way of Ibis."""
    path = address.partition("?")[0].replace("'", "''")
    connection.execute(f"ATTACH '{path}' AS source (READ_ONLY)")
    rows = connection.execute(
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = 'source'"
    ).fetchall()
    for schema, name in rows:
        connection.execute(f'CREATE VIEW raw."{name}" AS SELECT * FROM source."{schema}"."{name}"')
    return frozenset(name for _, name in rows)


def _open_folder(folder: Path, connection: Any) -> Raw:
    if not folder.is_dir():
        raise TableError(
            f"LIFECYCLE_SOURCE_URL: the folder {folder} does not exist. Point it at a folder of Parquet, "
            "CSV or CSV.GZ files, one per table, or at an Ibis URL."
        )
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        suffix = next((end for end in SUFFIXES if path.name.lower().endswith(end)), None)
        if suffix is None or path.name.startswith("."):
            continue
        stem = path.name[: -len(suffix)]
        if stem in found:
            raise TableError(
                f"{folder}: {found[stem].name} and {path.name} are both the table {stem!r}; keep one of them."
            )
        found[stem] = path
    if not found:
        raise TableError(
            f"LIFECYCLE_SOURCE_URL: the folder {folder} holds no Parquet, CSV or CSV.GZ file; "
            "each file there is one raw table named after its stem."
        )
    for stem, path in found.items():
        try:
            connection.execute(f'CREATE VIEW raw."{stem}" AS SELECT * FROM {_scan(path, connection)}')
        except duckdb.Error as error:
            raise TableError(f"{path}: cannot be read as a table: {plain(error)}") from error
    return Raw(connection, frozenset(found), str(folder))


def _scan(path: Path, connection: Any) -> str:
    name = str(path).replace("'", "''")
    if path.name.lower().endswith(".parquet"):
        return f"read_parquet('{name}')"
    # Every line is looked at before a type is chosen, and ids stay text: a sniffer would read '007' as 7.
    options = f"'{name}', header = true, sample_size = -1"
    columns = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM read_csv({options})").fetchall()]
    ids = [column for column in columns if column.lower() == "id" or column.lower().endswith("_id")]
    if ids:
        types = ", ".join("'{}': 'VARCHAR'".format(column.replace("'", "''")) for column in ids)
        options += f", types = {{{types}}}"
    return f"read_csv({options})"


def raw_from_frames(frames: Mapping[str, pd.DataFrame], connection: Any) -> Raw:
    """Offer pandas frames as raw tables of the same names."""
    connection.execute("CREATE SCHEMA IF NOT EXISTS raw")
    for name, frame in frames.items():
        connection.register("arriving", frame)
        connection.execute(f'CREATE TABLE raw."{name}" AS SELECT * FROM arriving')
        connection.unregister("arriving")
    return Raw(connection, frozenset(frames), "the frames given")


def missing_raw(source: Source, raw: Raw) -> str | None:
    """Say which raw table a source reads and the raw side lacks, or None when all are there."""
    missing = [table for table in source.reads() if not raw.holds(table)]
    if not missing:
        return None
    name = missing[0].sql(dialect="duckdb")
    hint = did_you_mean(name, raw.names).strip().rstrip(".")
    return f"{raw.where} has no table {name!r}" + (f" ({hint})" if hint else "")
