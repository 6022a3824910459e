"""Raw tables in, canonical tables out: read, cast, checked and held in DuckDB."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pandas as pd

from lifecycle_ml.errors import TableError, counted, did_you_mean
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.admit import admit
from lifecycle_ml.tables.casts import cast, family, is_risky, quoted
from lifecycle_ml.tables.findings import Finding, in_order
from lifecycle_ml.tables.raw import Raw, Source, missing_raw, open_raw, plain, raw_from_frames
from lifecycle_ml.tables.rules import found
from lifecycle_ml.tables.schema import KNOWN_AT, SCHEMAS, Column, TableSchema, Type
from lifecycle_ml.workspace import Workspace

REQUIRED_TABLES = ("accounts",)
"""What nothing can do without; what a recipe cannot do without (mostly contracts) it says itself."""


class Tables:
    """The canonical tables of one company on an Ibis backend: DuckDB, or what `tables_on` wraps.

    `tables["tickets"]` is an Ibis table with every column of the schema (optional ones the source lacks are
    NULL, or their default), `known_at` (timestamp, never NULL) and `superseded_at` (timestamp at which a
    later version of the same key became known, else NULL). Instants are naive UTC.
    """

    def __init__(
        self,
        backend: Any,
        *,
        provided: Mapping[str, frozenset[str]],
        versioned: frozenset[str],
        findings: tuple[Finding, ...],
        tables: Mapping[str, ibis.Table] | None = None,
    ) -> None:
        self.backend = backend
        self.findings = findings
        self._provided = dict(provided)
        self._versioned = versioned
        if tables is not None:
            self._tables = dict(tables)
            return
        with warnings.catch_warnings():
            # ibis 12 still calls DuckDB's older name for this.
            warnings.filterwarnings("ignore", "fetch_arrow_table", DeprecationWarning)
            self._tables = {name: backend.table(name) for name in SCHEMAS if name in provided}

    @classmethod
    def of(
        cls,
        backend: Any,
        *,
        provided: Mapping[str, frozenset[str]],
        versioned: frozenset[str],
        findings: tuple[Finding, ...],
        tables: Mapping[str, ibis.Table] | None = None,
    ) -> Tables:
        """Wrap canonical tables that already lie on `backend`: those named so, or the expressions given."""
        return cls(backend, provided=provided, versioned=versioned, findings=findings, tables=tables)

    def __repr__(self) -> str:
        return f"Tables({', '.join(self.names)})"

    def __contains__(self, name: object) -> bool:
        return name in self._tables

    def __getitem__(self, name: str) -> ibis.Table:
        """Return a canonical table. Raises: TableError if this company has none of that name."""
        try:
            return self._tables[name]
        except KeyError:
            raise TableError(f"There is no table {name!r} here.{did_you_mean(name, self.names)}") from None

    @property
    def names(self) -> tuple[str, ...]:
        """The tables present, in the order of the data contract."""
        return tuple(self._tables)

    def provided(self, name: str) -> frozenset[str]:
        """Return the columns the source really filled: selected, and not empty in every row.

        A dated column counts as filled although nothing has happened yet: no ticket closed is an answer.
        """
        self[name]
        return self._provided[name]

    def versioned(self, name: str) -> bool:
        """Whether some key occurs more than once, known at different times."""
        self[name]
        return name in self._versioned

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the content, independent of row order and of where the raw tables lay.

        Raises: TableError for tables that lie on another engine than DuckDB.
        """
        if self.backend.name != "duckdb":
            raise TableError(f"tables on {self.backend.name} have no fingerprint; read_tables() gives one.")
        digest = hashlib.sha256()
        for name in sorted(self._tables):
            columns = ", ".join(quoted(column) for column in self._tables[name].columns)
            rows = self.backend.con.execute(
                f"SELECT count(*), sum(h), bit_xor(h) FROM (SELECT hash({columns}) AS h FROM {quoted(name)})"
            ).fetchall()[0]
            digest.update(f"{name}|{rows}\n".encode())
        return f"sha256:{digest.hexdigest()}"


def read_tables(workspace: Workspace, settings: Settings) -> Tables:
    """Read the workspace's canonical tables from the source the settings name.

    Raises: TableError naming every error found, if there is one: a required table or column is missing, a
    value cannot be cast, rows contradict each other. Everything else is in `.findings`.
    """
    tables = survey_tables(workspace, settings)
    _raise_errors(tables.findings)
    return tables


def survey_tables(workspace: Workspace, settings: Settings) -> Tables:
    """Read what can be read; errors are among the findings, and a table with an error is absent.

    Raises: TableError only if the source itself cannot be opened.
    """
    backend = _duckdb(settings.threads, settings.memory)
    raw = open_raw(settings.source_url, backend.con)
    sources = {name: Source.read(name, path) for name, path in workspace.sources().items()}
    return _load(backend, raw, sources)


def tables_from_frames(frames: Mapping[str, pd.DataFrame]) -> Tables:
    """Make canonical tables from pandas frames with canonical column names, one per table.

    The same casts, rules and clocks apply as to files; a table not given is absent, whichever it is.
    Raises: TableError as `read_tables` does, but for absent tables.
    """
    for name in frames:
        if name not in SCHEMAS:
            raise TableError(f"{name!r} is no canonical table.{did_you_mean(name, SCHEMAS)}")
    backend = _duckdb(threads=None)
    raw = raw_from_frames(frames, backend.con)
    sources = {name: Source(name, f"frame {name}", f"SELECT * FROM {name}") for name in frames}
    tables = _load(backend, raw, sources)
    _raise_errors([finding for finding in tables.findings if finding.rule != "table_missing"])
    return tables


def _duckdb(threads: int | None, memory: str = "") -> Any:
    backend = ibis.duckdb.connect()
    backend.con.execute("SET TimeZone = 'UTC'")
    if threads is not None:
        backend.con.execute(f"SET threads = {int(threads)}")
    if memory:
        backend.con.execute(f"SET memory_limit = '{memory}'")
        # Not into the folder somebody happens to stand in.
        spilled = Path(tempfile.gettempdir()) / f"lifecycle_ml_{os.getpid()}"
        backend.con.execute(f"SET temp_directory = '{spilled}'")
    return backend


def _raise_errors(findings: Iterable[Finding]) -> None:
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise TableError("\n".join(finding.advice for finding in errors))


def _load(backend: Any, raw: Raw, sources: Mapping[str, Source]) -> Tables:
    findings: list[Finding] = [
        found(
            "source_unknown",
            source.table,
            advice=f"{source.label}: {name!r} is no canonical table.{did_you_mean(name, SCHEMAS)}",
        )
        for name, source in sources.items()
        if name not in SCHEMAS
    ]
    provided: dict[str, frozenset[str]] = {}
    connection = backend.con
    # Names in a source mean raw tables; canonical ones are always written with their schema, main.
    connection.execute("SET schema = 'raw'")
    for name, schema in SCHEMAS.items():
        columns, said = _fill(connection, raw, schema, sources.get(name))
        # Rates are missed only where currencies differ, and then by a rule of their own.
        findings += [finding for finding in said if name != "fx_rates" or finding.rule != "table_absent"]
        if columns is not None:
            provided[name] = columns
    versioned, said = admit(connection, provided, sources)
    findings += said
    connection.execute("SET schema = 'main'")
    raw.close()
    broken = {finding.table for finding in findings if finding.severity == "error"}
    return Tables(
        backend,
        provided={name: columns for name, columns in provided.items() if name not in broken},
        versioned=versioned,
        findings=in_order(findings),
    )


def _fill(
    connection: Any, raw: Raw, schema: TableSchema, source: Source | None
) -> tuple[frozenset[str] | None, list[Finding]]:
    """Create main.<table> and say which columns the source filled; None where there is no such table."""
    name = schema.name
    if source is None:
        return None, [_absent(name, f"features/sources/{name}.sql does not exist")]
    try:
        missing = missing_raw(source, raw)
        if missing:
            return None, [_absent(name, f"{source.label} reads a raw table that is not there: {missing}")]
        staged = raw.stage(source)
        found_columns = connection.execute(f"DESCRIBE SELECT * FROM {staged}").fetchall()
    except TableError as error:
        return None, [found("source_fails", name, advice=str(error))]
    types = {row[0].lower(): (row[0], row[1]) for row in found_columns}
    findings = _misfits(schema, source, types)
    if any(finding.severity == "error" for finding in findings):
        return None, findings
    try:
        findings += _uncastable(connection, schema, source, staged, types)
        if any(finding.severity == "error" for finding in findings):
            return None, findings
        _create(connection, schema, staged, types)
        filled, empty = _filled(connection, schema, types)
    except duckdb.Error as error:
        return None, [*findings, found("source_fails", name, advice=f"{source.label}: {plain(error)}")]
    findings += [
        found(
            "column_empty",
            name,
            column,
            advice=f"`{name}.{column}` is selected but empty in every row ({source.line_of(column)}); fill "
            "it, or "
            "leave it out of the SELECT.",
        )
        for column in empty
    ]
    return filled, findings


def _absent(table: str, why: str) -> Finding:
    if table in REQUIRED_TABLES:
        return found("table_missing", table, advice=f"{why}; `{table}` is required.")
    return found("table_absent", table, advice=f"{why}; what rests on `{table}` cannot be built.")


def _misfits(schema: TableSchema, source: Source, types: Mapping[str, tuple[str, str]]) -> list[Finding]:
    """Required columns the SELECT lacks, and columns it returns that nobody reads."""
    known = {*schema.by_name, "known_at"}
    extra = [given for lowered, (given, _) in types.items() if lowered not in known]
    missing = [c.name for c in schema.columns if c.required and c.name not in types]
    findings = [
        found(
            "column_missing",
            schema.name,
            column,
            advice=f"{source.line_of(None)}: `{schema.name}` lacks the required column {column!r}; "
            f"select one AS {column}.{did_you_mean(column, extra) if extra else ''}",
        )
        for column in missing
    ]
    unread = [c for c in schema.by_name if c not in types]
    findings += [
        found(
            "column_unused",
            schema.name,
            column,
            advice=f"{source.line_of(column)}: {column!r} is no column of `{schema.name}` and is not read."
            + (did_you_mean(column, unread) if "Did you" in did_you_mean(column, unread) else ""),
        )
        for column in extra
    ]
    return findings


def _uncastable(
    connection: Any,
    schema: TableSchema,
    source: Source,
    staged: str,
    types: Mapping[str, tuple[str, str]],
) -> list[Finding]:
    risky = [c for c in (*schema.columns, KNOWN_AT) if c.name in types and is_risky(c, types[c.name][1])]
    if not risky:
        return []
    picked = []
    for column in risky:
        given, sql_type = types[column.name]
        lost = f"{_present(given, sql_type)} AND {cast(column, given, sql_type)} IS NULL"
        picked += [
            f"count(*) FILTER (WHERE {lost})",
            f"list_slice(list(DISTINCT CAST({quoted(given)} AS VARCHAR)) FILTER (WHERE {lost}), 1, 3)",
        ]
    answer = connection.execute(f"SELECT {', '.join(picked)} FROM {staged}").fetchall()[0]
    findings = []
    for column, lost, values in zip(risky, answer[::2], answer[1::2], strict=True):
        if not lost:
            continue
        examples = sorted(values)
        findings.append(
            found(
                "wrong_type",
                schema.name,
                column.name,
                rows=lost,
                examples=examples,
                advice=f"{source.line_of(column.name)}: {counted(lost, 'value')} of "
                f"`{schema.name}.{column.name}` "
                f"({types[column.name][1]}) cannot be read as {column.type}, e.g. "
                f"{', '.join(map(repr, examples))}; convert them in the SELECT.",
            )
        )
    return findings


def _present(name: str, sql_type: str) -> str:
    kind = family(sql_type)
    if kind == "text":
        return f"nullif(trim({quoted(name)}::VARCHAR), '') IS NOT NULL"
    if kind == "float":
        return f"({quoted(name)} IS NOT NULL AND NOT isnan({quoted(name)}))"
    return f"{quoted(name)} IS NOT NULL"


def _create(connection: Any, schema: TableSchema, staged: str, types: Mapping[str, tuple[str, str]]) -> None:
    """Create main.<table> in one scan of the source."""
    picked = []
    for column in schema.columns:
        value = f"CAST(NULL AS {column.type})"
        if column.name in types:
            value = cast(column, *types[column.name])
        if column.default is not None:
            value = f"coalesce({value}, CAST({column.default} AS {column.type}))"
        picked.append(f"{value} AS {column.name}")
    given = cast(KNOWN_AT, *types["known_at"]) if "known_at" in types else "CAST(NULL AS TIMESTAMP)"
    connection.execute(
        f"CREATE TABLE main.{schema.name} AS "
        f"SELECT {', '.join(picked)}, coalesce({given}, {_known(schema, types)}) AS known_at, "
        f"CAST(NULL AS TIMESTAMP) AS superseded_at FROM {staged}"
    )
    _know_with_account(connection, schema)


def _known(schema: TableSchema, types: Mapping[str, tuple[str, str]]) -> str:
    """Return when a row was first known, for a source that does not say so."""
    instants = []
    for name in schema.known:
        if name not in types or name == "known_at":
            continue
        given, sql_type = types[name]
        value = f"CAST({cast(schema[name], given, sql_type)} AS TIMESTAMP)"
        bare = schema[name].type is Type.DATE or family(sql_type) == "date"
        # A bare date says "some time that day": known when the day is over.
        instants.append(f"{value} + INTERVAL 1 DAY" if bare and name not in schema.known_at_start else value)
    return f"coalesce({', '.join([*instants, 'CAST(NULL AS TIMESTAMP)'])})"


def _know_with_account(connection: Any, schema: TableSchema) -> None:
    """Rows whose table has no date of its own (milestones) are known with their account."""
    if schema.known != ("known_at",):
        return
    tables = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'"
    ).fetchall()
    if ("accounts",) in tables:
        connection.execute(
            f"UPDATE main.{schema.name} AS t SET known_at = a.known_at FROM "
            "(SELECT account_id, min(known_at) AS known_at FROM main.accounts GROUP BY ALL) AS a "
            "WHERE t.known_at IS NULL AND t.account_id = a.account_id"
        )


def _filled(
    connection: Any, schema: TableSchema, types: Mapping[str, tuple[str, str]]
) -> tuple[frozenset[str], list[str]]:
    """Return the columns the source fills, and those it selects although every row of them is empty."""
    here = [column for column in (*schema.columns, KNOWN_AT) if column.name in types]
    if not here:
        return frozenset(), []
    rows, *counts = connection.execute(
        f"SELECT count(*), {', '.join(f'count({column.name})' for column in here)} FROM main.{schema.name}"
    ).fetchall()[0]
    filled, empty = set(), []
    for column, count in zip(here, counts, strict=True):
        # `NULL AS team` says on purpose that there is none.
        if family(types[column.name][1]) == "null":
            continue
        if count or not rows or may_be_empty(column):
            filled.add(column.name)
        else:
            empty.append(column.name)
    return frozenset(filled), empty


def may_be_empty(column: Column) -> bool:
    """Whether a column counts as filled although it is empty in every row: nothing has happened yet."""
    return column.required or column.clock not in {"row", "today"}
