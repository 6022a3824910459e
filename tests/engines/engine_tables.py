"""The same company for every engine: laid as files, in Postgres, and on Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import ibis
import pandas as pd
import pyarrow as pa
from companies import companies
from hypothesis import strategies as st

from lifecycle_ml.tables.fetch import fetch_arrow
from lifecycle_ml.tables.schema import KNOWN_AT, SCHEMAS, Type
from lifecycle_ml.tables.source import Tables

POSTGRES = {
    Type.TEXT: "text",
    Type.TEXTS: "text[]",
    Type.WHOLE: "bigint",
    Type.NUMBER: "numeric",
    Type.YES_NO: "boolean",
    Type.DATE: "date",
    Type.INSTANT: "timestamptz",
}


def rich_companies() -> st.SearchStrategy[dict[str, pd.DataFrame]]:
    """Companies that have most tables; those without would ask an engine for little."""
    return companies().filter(lambda frames: {"contracts", "usage_events"} <= set(frames) and len(frames) > 6)


def columns_of(name: str) -> dict[str, Type]:
    """Return the columns of a canonical table as a source gives them, with their types."""
    columns = (*SCHEMAS[name].columns, KNOWN_AT)
    return {column.name: column.type for column in columns}


def write_database(frames: dict[str, pd.DataFrame], path: Path) -> None:
    """Write the frames as typed tables of a DuckDB file."""
    with duckdb.connect(path) as database:
        for name, frame in frames.items():
            database.register("arriving", frame)
            typed = ", ".join(
                f"CAST({column} AS {kind}) AS {column}" for column, kind in columns_of(name).items()
            )
            database.execute(f"CREATE TABLE {name} AS SELECT {typed} FROM arriving")
            database.unregister("arriving")


def export(database: Path, folder: Path, suffix: str) -> None:
    """Write each table of a DuckDB file to a file of its own."""
    folder.mkdir()
    with duckdb.connect(database, read_only=True) as connection:
        for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            connection.execute(f"COPY {name} TO '{folder / name}{suffix}'")


def copy_to_postgres(database: Path, url: str) -> None:
    """Create the tables of a DuckDB file in Postgres, with the types a Postgres user would choose."""
    import psycopg

    with duckdb.connect(database, read_only=True) as here, psycopg.connect(url) as there:
        there.execute("SET TIME ZONE 'UTC'")
        for (name,) in here.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            kinds = columns_of(name)
            described = ", ".join(f"{column} {POSTGRES[kind]}" for column, kind in kinds.items())
            there.execute(f"CREATE TABLE {name} ({described})")
            rows = here.execute(f"SELECT {', '.join(kinds)} FROM {name}").fetchall()
            with there.cursor() as cursor:
                cursor.executemany(f"INSERT INTO {name} VALUES ({', '.join(['%s'] * len(kinds))})", rows)


def lay_on_spark(spark: Any, tables: Tables) -> Tables:
    """Lay canonical tables on Spark as they are, so that the matrix alone is compared."""
    backend = ibis.pyspark.connect(spark)
    drop_views(spark)
    for name in tables.names:
        spark.createDataFrame(tables[name].to_pyarrow()).createOrReplaceTempView(name)
    return Tables.of(
        backend,
        provided={name: tables.provided(name) for name in tables.names},
        versioned=frozenset(name for name in tables.names if tables.versioned(name)),
        findings=(),
    )


def lay_raw_on_spark(spark: Any, frames: dict[str, pd.DataFrame]) -> None:
    """Lay frames on Spark under their names, typed as the schema says but for dates with a time of day."""
    drop_views(spark)
    for name, frame in frames.items():
        connection = duckdb.connect()
        connection.register("arriving", frame)
        typed = ", ".join(
            f"CAST({column} AS {kind}) AS {column}" for column, kind in columns_of(name).items()
        )
        arrow: pa.Table = connection.sql(f"SELECT {typed} FROM arriving").to_arrow_table()
        spark.createDataFrame(arrow).createOrReplaceTempView(name)


def drop_views(spark: Any) -> None:
    """Forget every view of the session."""
    for row in spark.sql("SHOW VIEWS").collect():
        spark.catalog.dropTempView(row.viewName)


def rows_of(tables: Tables, name: str) -> list[str]:
    """Return the rows of a table as texts, in one order whatever the engine."""
    table = tables[name]
    typed = fetch_arrow(tables.backend, table.select(*sorted(table.columns))).to_pylist()
    return sorted(str(row) for row in typed)
