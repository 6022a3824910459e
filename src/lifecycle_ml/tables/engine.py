"""Canonical tables where they lie: on Spark or in a warehouse, typed, dated and checked without a copy."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import ibis
import ibis.expr.datatypes as dt

from lifecycle_ml.errors import TableError
from lifecycle_ml.tables.findings import Finding, in_order
from lifecycle_ml.tables.given import Given, named, selected
from lifecycle_ml.tables.rules import rates_missing
from lifecycle_ml.tables.schema import KNOWN_AT, SCHEMAS, Column, Type
from lifecycle_ml.tables.source import Tables
from lifecycle_ml.tables.survey import rules_of, surveyed, unrated, versions_of
from lifecycle_ml.workspace import Workspace

_TYPES = {
    Type.TEXT: "string",
    Type.TEXTS: "array<string>",
    Type.WHOLE: "int64",
    Type.NUMBER: "decimal(18, 4)",
    Type.YES_NO: "boolean",
    Type.DATE: "date",
    Type.INSTANT: "timestamp",
}
"""What each type of the schema is for Ibis."""


def tables_on(backend: Any, *names: str, workspace: Workspace | None = None, checked: bool = True) -> Tables:
    """Return the canonical tables that lie on an Ibis backend; features are then computed there.

    names:     tables or views that have a canonical table's name and columns (default: all there are).
    workspace: run its `features/sources/*.sql` there instead, translated from DuckDB's dialect.
    checked:   read the tables (events once) to count the rows that rules leave out, and to find columns that
               are empty everywhere and versions of one key; False reads nothing, takes every column as filled
               and looks for versions in every table but usage_events.
    Types:  columns are cast to the schema's types where nothing is lost (numbers to numbers, instants to
            UTC); text that should be a date or a number is an error. Columns that are not there are NULL or
            their default, `known_at` is derived where it is not given. Texts are taken as written.
    Rows:   those a rule leaves out (an empty required column, an unknown account, negative ARR, an end before
            the start, a rate that is not positive) are not seen. Repeated usage events are not looked for.
    Spark:  the session's time zone becomes UTC, and rows travel by way of Arrow.
    Raises: TableError naming every table and column that is missing or has another type, rows that share key
            and known_at but differ, and currencies without rates; and for DuckDB, which read_tables() reads.
    """
    if backend.name == "duckdb":
        raise TableError(
            "DuckDB tables are read from their address: LIFECYCLE_SOURCE_URL=duckdb:///path/to/file, "
            "read_tables(workspace, settings)."
        )
    if backend.name == "pyspark":
        # Without Arrow, instants go through this process's local time, where an hour a year occurs twice.
        backend._session.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")  # noqa: SLF001
    given, findings = named(backend, names) if workspace is None else selected(backend, workspace, names)
    for one in given:
        findings += one.misfits()
    _raise_errors(findings)
    laid: dict[str, _Laid] = {}
    # Milestones are known with their account, and every other table is held against the accounts.
    for one in sorted(given, key=lambda one: one.schema.name != "accounts"):
        laid[one.schema.name] = _lay(backend, one, laid.get("accounts"), checked=checked)
    findings += [finding for table in laid.values() for finding in table.findings]
    if checked and "contracts" in laid:
        rates = laid["fx_rates"].table if "fx_rates" in laid else None
        label = next(one.label for one in given if one.schema.name == "contracts")
        findings += rates_missing(unrated(backend, laid["contracts"].table, rates), label)
    _raise_errors(findings)
    in_schema_order = [name for name in SCHEMAS if name in laid]
    return Tables.of(
        backend,
        provided={name: laid[name].filled for name in in_schema_order},
        versioned=frozenset(name for name in in_schema_order if laid[name].versioned),
        findings=in_order(findings),
        tables={name: laid[name].table for name in in_schema_order},
    )


@dataclass(frozen=True)
class _Laid:
    """One canonical table, ready to be asked, and what was found on the way."""

    table: ibis.Table
    filled: frozenset[str]
    versioned: bool
    findings: list[Finding]


def _raise_errors(findings: Iterable[Finding]) -> None:
    errors = [finding.advice for finding in findings if finding.severity == "error"]
    if errors:
        raise TableError("\n".join(errors))


def _cast(value: Any, column: Column) -> Any:
    kind, wanted = value.type(), _TYPES[column.type]
    if kind.is_floating():
        # Not a number is no value.
        value = ibis.ifelse(value.isnan(), ibis.null(kind), value)
    if column.type is Type.INSTANT and kind.is_timestamp() and kind.timezone is None:
        return value
    return value if kind == dt.dtype(wanted) else value.cast(wanted)


def _default(column: Column) -> Any:
    text = str(column.default)
    if column.type is Type.YES_NO:
        return ibis.literal(text == "TRUE")
    if column.type is Type.TEXT:
        return ibis.literal(text.strip("'"))
    return ibis.literal(Decimal(text)).cast(_TYPES[column.type])


def _lay(backend: Any, given: Given, accounts: _Laid | None, *, checked: bool) -> _Laid:
    """Turn what is there into the canonical table."""
    schema, here = given.schema, given.columns
    columns: dict[str, Any] = {}
    for column in schema.columns:
        value = ibis.null(_TYPES[column.type])
        if column.name in here:
            value = _cast(given.table[here[column.name]], column)
        columns[column.name] = value if column.default is None else ibis.coalesce(value, _default(column))
    rows = given.table.select(**columns, known_at=_known(given))
    if accounts is not None and "account_id" in schema.by_name:
        rows = _beside_accounts(rows, accounts)
    rules = rules_of(rows, schema, against_accounts=accounts is not None)
    findings: list[Finding] = []
    filled = frozenset(here)
    if checked:
        findings, filled = surveyed(backend, given, rows, rules)
    admitted = rows
    for _, _, broken, _ in rules:
        admitted = admitted.filter(~ibis.coalesce(broken, ibis.literal(value=False)))
    admitted = admitted.select(*schema.by_name, "known_at")
    replaced = bool(schema.key) and schema.name != "usage_events"
    if replaced and checked:
        replaced, said = versions_of(backend, given, admitted)
        findings += said
    superseded = ibis.null("timestamp")
    if replaced:
        # Of rows that repeat each other all but one are replaced at once, and so never seen.
        superseded = admitted.known_at.lead().over(group_by=list(schema.key), order_by="known_at")
    admitted = admitted.mutate(superseded_at=superseded)
    return _Laid(_kept(backend, schema.name, admitted), filled, replaced, findings)


def _known(given: Given) -> Any:
    """Return when a row was first known, where the source does not say so."""
    schema, here = given.schema, given.columns
    instants = []
    for name in ("known_at", *schema.known):
        if name not in here:
            continue
        column = KNOWN_AT if name == "known_at" else schema[name]
        value = given.table[here[name]]
        instant = _cast(value, column).cast("timestamp") if column.type is Type.DATE else _cast(value, column)
        # A bare date says "some time that day": known when the day is over.
        bare = column.type is Type.DATE or value.type().is_date()
        over = bare and name != "known_at" and name not in schema.known_at_start
        instants.append(instant + ibis.interval(days=1) if over else instant)
    return ibis.coalesce(*instants) if instants else ibis.null("timestamp")


def _beside_accounts(rows: ibis.Table, accounts: _Laid) -> ibis.Table:
    """Add `of_account`, NULL for rows of unknown accounts; rows without a date are known with theirs."""
    known = accounts.table.group_by(of_account="account_id").aggregate(since=accounts.table.known_at.min())
    joined = rows.left_join(known, rows.account_id == known.of_account)
    return joined.mutate(known_at=ibis.coalesce(joined.known_at, joined.since)).drop("since")


def _kept(backend: Any, name: str, table: ibis.Table) -> ibis.Table:
    """Give a table a name of its own on Spark, so that questions stay short and are translated once."""
    if backend.name != "pyspark":
        return table
    view = f"lifecycle_{name}_{uuid.uuid4().hex[:12]}"
    backend.raw_sql(backend.compile(table)).createOrReplaceTempView(view)
    named: ibis.Table = backend.table(view)
    return named
