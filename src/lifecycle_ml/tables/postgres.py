"""Rows out of Postgres: copied as text, typed on arrival, never all in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp

from lifecycle_ml.tables.casts import quoted

_TYPES = {
    "bool": "BOOLEAN",
    "int2": "SMALLINT",
    "int4": "INTEGER",
    "int8": "BIGINT",
    "float4": "FLOAT",
    "float8": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
}
"""DuckDB's types for those of Postgres that both know alike; all others, numeric too, come as text."""

_LONGEST_LINE = 64 * 2**20


def is_there(server: Any, table: exp.Table) -> bool:
    """Whether the server knows a table, view or materialised view by the name a SELECT gives it."""
    import psycopg

    with server.cursor() as cursor:
        try:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (table.sql(dialect="postgres"),))
        except psycopg.Error:
            return False  # a name with too many parts, or of another database
        return bool(cursor.fetchone()[0])


def copy_rows(server: Any, query: str, connection: Any, target: str) -> None:
    """Copy what a SELECT in DuckDB's dialect returns from Postgres into a new table of a DuckDB connection.

    Rows:  streamed through a temporary file as large as they are; nothing is written on the server, so that a
           read-only replica will do.
    Types: arrays become lists of texts, `infinity` becomes empty, what Postgres alone has (enum, uuid, json,
           money) becomes text as Postgres writes it.
    Raises: psycopg.Error where Postgres refuses the SELECT, duckdb.Error where a value is beyond the type.
    """
    (translated,) = sqlglot.transpile(query, read="duckdb", write="postgres")
    with server.transaction(), server.cursor() as cursor:
        # Whatever the server's own habits: text that any reader understands, instants in UTC.
        cursor.execute("SET LOCAL DateStyle = 'ISO'; SET LOCAL TimeZone = 'UTC'")
        columns = _columns(cursor, translated)
        # Names may occur twice, as in SELECT * over a join.
        renamed = ", ".join(f"c{i}" for i in range(len(columns)))
        picked = ", ".join(
            f"array_to_json(c{i})" if kind is None else f"c{i}" for i, (_, kind) in enumerate(columns)
        )
        with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
            path = Path(folder, "rows.csv")
            asked = (
                f"COPY (SELECT {picked} FROM ({translated}) AS q ({renamed})) "
                "TO STDOUT (FORMAT csv, ENCODING 'UTF8')"
            )
            with path.open("wb") as file, cursor.copy(asked) as rows:
                for block in rows:
                    file.write(block)
            connection.execute(f"CREATE TABLE {target} AS {_reading(path, columns)}")


def _columns(cursor: Any, query: str) -> list[tuple[str, str | None]]:
    """Return name and DuckDB type of each column the query returns; None for an array."""
    cursor.execute(f"SELECT * FROM ({query}) AS q LIMIT 0")
    described = [(column.name, column.type_code) for column in cursor.description]
    cursor.execute(
        "SELECT oid::bigint, typname, typcategory FROM pg_type WHERE oid = ANY(%s)",
        ([code for _, code in described],),
    )
    kinds = {oid: None if category == "A" else _TYPES.get(name, "VARCHAR") for oid, name, category in cursor}
    return [(name, kinds[code]) for name, code in described]


def _reading(path: Path, columns: list[tuple[str, str | None]]) -> str:
    """Return the SELECT that reads the copied file."""
    typed = ", ".join(f"'c{i}': '{kind or 'VARCHAR'}'" for i, (_, kind) in enumerate(columns))
    picked, seen = [], set[str]()
    for i, (name, kind) in enumerate(columns):
        # As DuckDB does: the first column of a name keeps it.
        unique = name if name not in seen else f"{name}_{i}"
        seen.add(unique)
        picked.append(f"{_value(f'c{i}', kind)} AS {quoted(unique)}")
    return (
        f"SELECT {', '.join(picked)} FROM read_csv('{path}', columns = {{{typed}}}, auto_detect = false, "
        "header = false, delim = ',', quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false, "
        f"max_line_size = {_LONGEST_LINE})"
    )


def _value(column: str, kind: str | None) -> str:
    if kind is None:
        return f"from_json({column}, '[\"VARCHAR\"]')"
    if kind in {"DATE", "TIMESTAMP", "TIMESTAMPTZ"}:
        # What ends in infinity has no end.
        return f"CASE WHEN isfinite({column}) THEN {column} END"
    return column
