"""What was known when: the one place where rows and columns become visible."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import ibis

from lifecycle_ml.tables.fetch import fetch_arrow
from lifecycle_ml.tables.schema import SCHEMAS, TableSchema, Type

if TYPE_CHECKING:
    from lifecycle_ml.tables.source import Tables


def as_known(rows: ibis.Table, schema: TableSchema) -> ibis.Table:
    """Keep what was known of `rows` at each row's own `as_of` and `known_until`.

    Grain:  as `rows`: a canonical table joined with a spine, i.e. the schema's columns, `known_at`,
            `superseded_at`, and the timestamps `as_of` and `known_until` (when we look, at or after as_of).
    Time:   a row is seen when `known_at <= known_until`, no later version of its key was known by then, and
            its fact happened before as_of. A dated column reads NULL until its date lies before as_of, an
            effective one until as_of has reached it; what hangs on a column is NULL while that one is.
    Returns the same columns, fewer rows.
    """
    seen = (rows.known_at <= rows.known_until) & (
        rows.superseded_at.isnull() | (rows.superseded_at > rows.known_until)
    )
    if schema.happened:
        seen &= _instant(rows, schema, schema.happened) < rows.as_of
    return rows.filter(seen).mutate(**_masked(rows, schema))


def _masked(rows: ibis.Table, schema: TableSchema) -> dict[str, Any]:
    masked: dict[str, Any] = {}
    for column in schema.columns:
        if column.clock in {"row", "today"}:
            continue
        # What hangs on another column is known exactly when that column is.
        dated = schema[column.clock] if column.clock in schema.by_name else column
        at = _instant(rows, schema, dated.name)
        reached = (at <= rows.as_of) if dated.clock == "effective" else (at < rows.as_of)
        value = rows[column.name]
        masked[column.name] = ibis.ifelse(reached, value, ibis.null(value.type()))
    return masked


def _instant(rows: ibis.Table, schema: TableSchema, name: str) -> Any:
    value = rows[name]
    return value.cast("timestamp") if schema[name].type is Type.DATE else value


def cut(tables: Tables, as_of: date, known_at: datetime | None = None) -> Tables:
    """Return new tables holding only what was known at `as_of`: later rows are gone, later columns NULL.

    Time:   `known_at` (naive UTC, default as_of 00:00) says when we look; it must not lie before as_of.
    Which columns the source provides stays as it is, so the same features can be built; only one version of
    every key is left, so no table is versioned and `superseded_at` is NULL.
    Raises: ValueError if known_at lies before as_of.
    """
    from lifecycle_ml.tables.source import Tables

    midnight = datetime(as_of.year, as_of.month, as_of.day)
    until = midnight if known_at is None else known_at
    if until < midnight:
        raise ValueError(f"known_at {until} lies before as_of {as_of}; look at the earliest at its 00:00.")
    kept: dict[str, ibis.Table] = {}
    for name in tables.names:
        table, schema = tables[name], SCHEMAS[name]
        spined = table.mutate(as_of=ibis.timestamp(midnight), known_until=ibis.timestamp(until))
        kept[name] = as_known(spined, schema).select(*table.columns).mutate(superseded_at=_no_instant())
    return Tables.of(
        _materialised(tables.backend, kept),
        provided={name: tables.provided(name) for name in tables.names},
        versioned=frozenset(),
        findings=tables.findings,
    )


def _no_instant() -> Any:
    return ibis.null("timestamp(6)")


def _materialised(engine: Any, tables: Mapping[str, ibis.Table]) -> ibis.BaseBackend:
    """Copy the tables into a DuckDB of their own, so that nothing cut away can be reached from there."""
    backend = ibis.duckdb.connect()
    for name, table in tables.items():
        backend.con.register("arriving", fetch_arrow(engine, table))
        backend.con.execute(f'CREATE TABLE "{name}" AS SELECT * FROM arriving')
        backend.con.unregister("arriving")
    return backend
