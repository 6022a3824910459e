"""Canonical tables where they lie: on Spark or in a warehouse, typed, dated and checked without a copy."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import pandas as pd
import pyarrow as pa
from ibis.common.exceptions import TableNotFound

from lifecycle_ml.errors import TableError, did_you_mean
from lifecycle_ml.tables.findings import Finding, in_order
from lifecycle_ml.tables.raw import Raw, Source, missing_raw, plain
from lifecycle_ml.tables.rules import RULES, found, rows_of
from lifecycle_ml.tables.schema import KNOWN_AT, SCHEMAS, Column, TableSchema, Type
from lifecycle_ml.tables.source import REQUIRED_TABLES, Tables, may_be_empty
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

_MISSED_BY_RULE = ("fx_rates",)
"""Tables missed only where a rule says so: rates, where currencies differ."""


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
    given, findings = _named(backend, names) if workspace is None else _selected(backend, workspace, names)
    for one in given:
        findings += one.misfits()
    _raise_errors(findings)
    laid: dict[str, _Laid] = {}
    # Milestones are known with their account, and every other table is held against the accounts.
    for one in sorted(given, key=lambda one: one.schema.name != "accounts"):
        laid[one.schema.name] = _lay(backend, one, laid.get("accounts"), checked=checked)
    findings += [finding for table in laid.values() for finding in table.findings]
    if checked and "contracts" in laid:
        findings += _rates_missing(backend, laid)
    _raise_errors(findings)
    in_schema_order = [name for name in SCHEMAS if name in laid]
    return Tables.of(
        backend,
        provided={name: laid[name].filled for name in in_schema_order},
        versioned=frozenset(name for name in in_schema_order if laid[name].versioned),
        findings=in_order(findings),
        tables={name: laid[name].table for name in in_schema_order},
    )


def fetch(backend: Any, question: ibis.Table | str) -> pd.DataFrame:
    """Return the rows of a question (or, on Spark, of its text); instants are naive UTC."""
    spark = backend.name == "pyspark"
    rows: pd.DataFrame = fetch_arrow(backend, question).to_pandas() if spark else backend.to_pandas(question)
    return rows


def fetch_arrow(backend: Any, question: ibis.Table | str) -> pa.Table:
    """Return the rows of a question as Arrow; on Spark without a way by pandas, whose clock is local."""
    if backend.name != "pyspark":
        return backend.to_pyarrow(question)
    rows = backend.raw_sql(question if isinstance(question, str) else backend.compile(question)).toArrow()
    for position, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            naive = rows.column(position).cast(pa.timestamp("us"))
            rows = rows.set_column(position, field.name, naive)
    return rows


@dataclass(frozen=True)
class _Given:
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


@dataclass(frozen=True)
class _Laid:
    """One canonical table, ready to be asked, and what was found on the way."""

    table: ibis.Table
    filled: frozenset[str]
    versioned: bool
    findings: list[Finding]


def _named(backend: Any, names: tuple[str, ...]) -> tuple[list[_Given], list[Finding]]:
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
            given.append(_Given(SCHEMAS[name], table, f"table {there[name]} on {backend.name}"))
    return given, [
        _absent(name, f"there is no table {name!r} on {backend.name}")
        for name in SCHEMAS
        if name not in there and name not in _MISSED_BY_RULE
    ]


def _selected(
    backend: Any, workspace: Workspace, names: tuple[str, ...]
) -> tuple[list[_Given], list[Finding]]:
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
        given.append(_Given(schema, table, source.label))
    return given, findings


def _absent(name: str, why: str) -> Finding:
    if name in REQUIRED_TABLES:
        return found("table_missing", name, advice=f"{why}; `{name}` is required.")
    return found("table_absent", name, advice=f"{why}; what rests on `{name}` cannot be built.")


def _raise_errors(findings: Iterable[Finding]) -> None:
    errors = [finding.advice for finding in findings if finding.severity == "error"]
    if errors:
        raise TableError("\n".join(errors))


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


def _lay(backend: Any, given: _Given, accounts: _Laid | None, *, checked: bool) -> _Laid:
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
    rules = _rules(rows, schema, against_accounts=accounts is not None)
    findings: list[Finding] = []
    filled = frozenset(here)
    if checked:
        findings, filled = _surveyed(backend, given, rows, rules)
    admitted = rows
    for _, _, broken, _ in rules:
        admitted = admitted.filter(~ibis.coalesce(broken, ibis.literal(value=False)))
    admitted = admitted.select(*schema.by_name, "known_at")
    replaced = bool(schema.key) and schema.name != "usage_events"
    if replaced and checked:
        replaced, said = _versions(backend, given, admitted)
        findings += said
    superseded = ibis.null("timestamp")
    if replaced:
        # Of rows that repeat each other all but one are replaced at once, and so never seen.
        superseded = admitted.known_at.lead().over(group_by=list(schema.key), order_by="known_at")
    admitted = admitted.mutate(superseded_at=superseded)
    return _Laid(_kept(backend, schema.name, admitted), filled, replaced, findings)


def _known(given: _Given) -> Any:
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


_Rule = tuple[str, str, Any, str]
"""Name, column, condition on a broken row, and what to do about it."""


def _rules(rows: ibis.Table, schema: TableSchema, *, against_accounts: bool) -> list[_Rule]:
    """Rules that leave rows out; the first that holds counts."""
    rules: list[_Rule] = [
        ("required_empty", c.name, rows[c.name].isnull(), f"fill {c.name}")
        for c in schema.columns
        if c.required
    ]
    if against_accounts and "account_id" in schema.by_name and schema.name != "accounts":
        advice = "add the account to accounts, or map the id to the account that holds the contract"
        rules.append(("unknown_account", "account_id", rows.of_account.isnull(), advice))
    if schema.name == "contracts":
        advice = "give credit notes as a lower ARR of the contract they belong to"
        rules.append(("negative_arr", "arr", rows.arr < 0, advice))
        ended = rows.ends_on < rows.starts_on
        rules.append(("ends_before_start", "ends_on", ended, "mend one of the two dates"))
    if schema.name == "fx_rates":
        advice = "give the value of one unit, above zero"
        rules.append(("rate_not_positive", "rate", rows.rate <= 0, advice))
    return rules


def _surveyed(
    backend: Any, given: _Given, rows: ibis.Table, rules: list[_Rule]
) -> tuple[list[Finding], frozenset[str]]:
    """Read the table once: which columns are filled, and how many rows each rule leaves out."""
    name, here = given.schema.name, given.columns
    broken, earlier = {}, ibis.literal(value=False)
    for i, (_, _, condition, _) in enumerate(rules):
        held = ibis.coalesce(condition, ibis.literal(value=False))
        broken[f"broken_{i}"] = (held & ~earlier).cast("int32").sum()
        earlier |= held
    given_columns = [column for column in (*given.schema.columns, KNOWN_AT) if column.name in here]
    counted = {f"filled_{column.name}": rows[column.name].count() for column in given_columns}
    answer = fetch(backend, rows.aggregate(rows=rows.count(), **broken, **counted)).iloc[0]
    findings = [
        found(
            rule,
            name,
            column,
            rows=int(answer[f"broken_{i}"]),
            advice=f"{rows_of(int(answer[f'broken_{i}']), name)} left out: {RULES[rule].says[:1].lower()}"
            f"{RULES[rule].says[1:-1]} (`{column}`). To keep them, {remedy} ({given.label}).",
        )
        for i, (rule, column, _, remedy) in enumerate(rules)
        if not pd.isna(answer[f"broken_{i}"]) and answer[f"broken_{i}"] > 0
    ]
    empty = [
        column
        for column in given_columns
        if answer["rows"] and not answer[f"filled_{column.name}"] and not may_be_empty(column)
    ]
    findings += [
        found(
            "column_empty",
            name,
            column.name,
            advice=f"{given.label}: `{name}.{column.name}` is empty in every row; fill it, or leave it out.",
        )
        for column in empty
    ]
    return findings, frozenset(here) - {column.name for column in empty}


def _versions(backend: Any, given: _Given, rows: ibis.Table) -> tuple[bool, list[Finding]]:
    """Whether some row is replaced by another of its key; refuse rows that share key and time but differ."""
    schema, key = given.schema, list(given.schema.key)
    times = rows.group_by([*key, "known_at"]).aggregate(copies=rows.count())
    keys = times.group_by(key).aggregate(versions=times.count(), copies=times.copies.sum())
    answer = fetch(
        backend,
        keys.aggregate(
            later=(keys.versions - 1).sum(), repeats=(keys.copies - keys.versions).sum(), keys=keys.count()
        ),
    ).iloc[0]
    if not answer["keys"]:
        return False, []
    later, repeats = int(answer["later"]), int(answer["repeats"])
    findings, label = [], ", ".join(key)
    if repeats:
        findings += _contradictions(backend, given, rows)
        findings.append(
            found(
                "repeated_row",
                schema.name,
                key[0],
                rows=repeats,
                advice=f"{rows_of(repeats, schema.name)} left out: the same {label} and the same content "
                f"came before ({given.label}).",
            )
        )
    if later and "known_at" not in given.columns:
        findings.append(
            found(
                "repeated_key",
                schema.name,
                key[0],
                rows=later,
                advice=f"{rows_of(later, schema.name)} share {label} with an earlier one and differ from it; "
                "the latest wins. If they are different things, give each its own key; if they are versions "
                f"of one, select a known_at ({given.label}).",
            )
        )
    return later + repeats > 0, findings


def _contradictions(backend: Any, given: _Given, rows: ibis.Table) -> list[Finding]:
    schema, key = given.schema, list(given.schema.key)
    different = rows.distinct()
    several = different.group_by([*key, "known_at"]).aggregate(n=different.count()).filter(ibis._.n > 1)
    shown = fetch(backend, several.order_by(key).limit(3))
    if shown.empty:
        return []
    examples = [" ".join(map(str, row)) for row in shown[key].itertuples(index=False)]
    count = int(fetch(backend, several.aggregate(n=several.n.sum()))["n"].iloc[0])
    return [
        found(
            "contradicting_rows",
            schema.name,
            key[0],
            rows=count,
            examples=examples,
            advice=f"{given.label}: {rows_of(count, schema.name)} share {', '.join(key)} and known_at but "
            f"differ, e.g. {', '.join(map(repr, examples))}; give each its own key, or a known_at that says "
            "when each version was written.",
        )
    ]


def _rates_missing(backend: Any, laid: Mapping[str, _Laid]) -> list[Finding]:
    """Several currencies need rates for all but one of them, the one the rates are quoted in."""
    contracts = laid["contracts"].table
    asked = contracts.filter(~contracts.currency.isnull())
    if "fx_rates" in laid:
        asked = asked.anti_join(laid["fx_rates"].table, "currency")
    counts = fetch(backend, asked.group_by("currency").aggregate(n=asked.count()))
    if len(counts) < 2:
        return []
    counts = counts.sort_values(["n", "currency"], ascending=[False, True])
    names, rows = list(counts["currency"]), int(counts["n"].iloc[1:].sum())
    return [
        found(
            "rates_missing",
            "contracts",
            "currency",
            rows=rows,
            examples=names,
            advice=f"Contracts are in {', '.join(names)} without rates between them, so ARR cannot be added "
            "up. Fill `fx_rates` for all but the reporting currency, or convert arr.",
        )
    ]


def _kept(backend: Any, name: str, table: ibis.Table) -> ibis.Table:
    """Give a table a name of its own on Spark, so that questions stay short and are translated once."""
    if backend.name != "pyspark":
        return table
    view = f"lifecycle_{name}_{uuid.uuid4().hex[:12]}"
    backend.raw_sql(backend.compile(table)).createOrReplaceTempView(view)
    named: ibis.Table = backend.table(view)
    return named
