"""What lies on an engine for each canonical table: a table of that name, or what a SELECT says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.datatypes as dt
from ibis.common.exceptions import TableNotFound

from lifecycle_ml.errors import TableError, did_you_mean
from lifecycle_ml.tables.findings import Finding
from lifecycle_ml.tables.raw import Raw, Source, missing_raw, plain
from lifecycle_ml.tables.rules import found
from lifecycle_ml.tables.schema import KNOWN_AT, SCHEMAS, TableSchema, Type
from lifecycle_ml.tables.source import REQUIRED_TABLES
from lifecycle_ml.workspace import Workspace

_MISSED_BY_RULE = ("fx_rates",)
"""Tables missed only where a rule says so: rates, where currencies differ."""


@dataclass(frozen=True)
class Given:
    """What is there for one canonical table, and what to call it in messages."""

    schema: TableSchema
    table: ibis.Table
    label: str

    @property
    def columns(self) -> dict[str, str]:
        """Canonical name to the name it has there; columns that are NULL throughout are left out."""
        types = self.table.schema()
        known = {*self.schema.by_name, "known_at"}
        # Some warehouses write names in capitals.
        return {
            name.lower(): name for name, kind in types.items() if name.lower() in known and not kind.is_null()
        }

    def misfits(self) -> list[Finding]:
        """Required columns that are missing, columns of a wrong type, and columns nobody reads."""
        name, here = self.schema.name, self.columns
        extra = [
            column for column in self.table.columns if column.lower() not in {*here, *self.schema.by_name}
        ]
        findings = [
            found(
                "column_missing",
                name,
                column.name,
                advice=f"{self.label} lacks the required column {column.name!r} of `{name}`."
                f"{did_you_mean(column.name, extra) if extra else ''}",
            )
            for column in self.schema.columns
            if column.required and column.name not in here
        ]
        for column in (*self.schema.columns, KNOWN_AT):
            kind = self.table.schema()[here[column.name]] if column.name in here else None
            if kind is not None and not _fits(kind, column.type):
                findings.append(
                    found(
                        "wrong_type",
                        name,
                        column.name,
                        advice=f"{self.label}: {column.name!r} is {kind}, which is not read as "
                        f"{column.type}; cast it there.",
                    )
                )
        findings += [
            found("column_unused", name, column, advice=f"{self.label}: {column!r} is no column of `{name}`.")
            for column in extra
        ]
        return findings


def named(backend: Any, names: tuple[str, ...]) -> tuple[list[Given], list[Finding]]:
    """Return the tables that have a canonical name (of `names`, where some are given), and what is absent.

    Raises: TableError for a name that is no canonical table's, or a table that is not there.
    """
    for name in names:
        if name not in SCHEMAS:
            raise TableError(f"{name!r} is no canonical table.{did_you_mean(name, SCHEMAS)}")
    there = {name.lower(): name for name in names or backend.list_tables()}
    given = []
    for name in SCHEMAS:
        if name in there:
            try:
                table = backend.table(there[name])
            except TableNotFound as error:
                raise TableError(f"There is no table {name!r} on {backend.name}.") from error
            given.append(Given(SCHEMAS[name], table, f"table {there[name]} on {backend.name}"))
    return given, [
        _absent(name, f"there is no table {name!r} on {backend.name}")
        for name in SCHEMAS
        if name not in there and name not in _MISSED_BY_RULE
    ]


def selected(backend: Any, workspace: Workspace, names: tuple[str, ...]) -> tuple[list[Given], list[Finding]]:
    """Return what the SELECTs of a workspace give on this engine, and what is absent or fails."""
    given, findings = [], []
    sources = {name: Source.read(name, path) for name, path in workspace.sources().items()}
    raw = Raw(None, frozenset(backend.list_tables()), backend.name, backend)
    for name, schema in SCHEMAS.items():
        if names and name not in names:
            continue
        source = sources.get(name)
        missing = f"features/sources/{name}.sql does not exist"
        if source is not None:
            missing = missing_raw(source, raw) or ""
        if source is None or missing:
            findings += [] if name in _MISSED_BY_RULE else [_absent(name, missing)]
            continue
        try:
            table = backend.sql(source.query, dialect="duckdb")
        except Exception as error:  # noqa: BLE001 (each engine has its own)
            findings.append(found("source_fails", name, advice=f"{source.line_of(None)}: {plain(error)}"))
            continue
        given.append(Given(schema, table, source.label))
    return given, findings


def _absent(name: str, why: str) -> Finding:
    if name in REQUIRED_TABLES:
        return found("table_missing", name, advice=f"{why}; `{name}` is required.")
    return found("table_absent", name, advice=f"{why}; what rests on `{name}` cannot be built.")


def _fits(kind: dt.DataType, wanted: Type) -> bool:
    """Whether values of an engine's type are read as the schema's without a loss."""
    fits: bool
    match wanted:
        case Type.TEXT:
            fits = kind.is_string() or kind.is_integer() or kind.is_uuid() or kind.is_json()
        case Type.TEXTS:
            fits = isinstance(kind, dt.Array) and kind.value_type.is_string()
        case Type.WHOLE:
            fits = kind.is_integer() or (isinstance(kind, dt.Decimal) and kind.scale == 0)
        case Type.NUMBER:
            fits = kind.is_numeric() and not kind.is_boolean()
        case Type.YES_NO:
            fits = kind.is_boolean()
        case _:
            fits = kind.is_date() or kind.is_timestamp()
    return fits
