"""Which rows are admitted: the rules that hold whatever the as_of, applied to the tables once on load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lifecycle_ml.tables.findings import Finding
from lifecycle_ml.tables.raw import Source
from lifecycle_ml.tables.rules import RULES, found
from lifecycle_ml.tables.schema import SCHEMAS, TableSchema


def admit(
    connection: Any, names: tuple[str, ...], sources: Mapping[str, Source]
) -> tuple[frozenset[str], list[Finding]]:
    """Leave out rows that break a rule, mark superseded versions, and say both.

    Returns the names of the tables with several versions of a key, and the findings.
    """
    findings: list[Finding] = []
    versioned = set()
    for name in names:
        findings += _leave_out(connection, SCHEMAS[name], sources[name], has_accounts="accounts" in names)
        several, said = _versions(connection, SCHEMAS[name], sources[name])
        findings += said
        if several:
            versioned.add(name)
    return frozenset(versioned), findings


def _breaks(schema: TableSchema, *, has_accounts: bool) -> list[tuple[str, str, str, str]]:
    """Rules that leave rows out, as (rule, column, condition, what to do); the first that holds counts."""
    broken = [
        ("required_empty", c.name, f"{c.name} IS NULL", f"fill {c.name} or leave such rows out in the SELECT")
        for c in schema.columns
        if c.required
    ]
    if schema.known == ("known_at",):
        broken.append(("unknown_account", "account_id", "known_at IS NULL", "add the account, or its id"))
    if has_accounts and "account_id" in schema.by_name and schema.name != "accounts":
        broken.append(
            (
                "unknown_account",
                "account_id",
                "account_id NOT IN (SELECT account_id FROM main.accounts WHERE account_id IS NOT NULL)",
                "add the account to accounts, or map the id to the account that holds the contract",
            )
        )
    if schema.name == "contracts":
        broken += [
            (
                "negative_arr",
                "arr",
                "arr < 0",
                "give credit notes as a lower ARR of the contract they belong to",
            ),
            ("ends_before_start", "ends_on", "ends_on < starts_on", "mend one of the two dates"),
        ]
    if schema.name == "fx_rates":
        broken.append(("rate_not_positive", "rate", "rate <= 0", "give the value of one unit, above zero"))
    return broken


def _leave_out(connection: Any, schema: TableSchema, source: Source, *, has_accounts: bool) -> list[Finding]:
    broken = _breaks(schema, has_accounts=has_accounts)
    which = " ".join(f"WHEN {condition} THEN {i}" for i, (_, _, condition, _) in enumerate(broken))
    label = " || ' ' || ".join(f"coalesce({name}::VARCHAR, '?')" for name in _label(schema))
    counts = connection.execute(
        f"SELECT CASE {which} END AS broken, count(*), min_by({label}, rowid, 3) "
        f"FROM main.{schema.name} GROUP BY 1"
    ).fetchall()
    findings = []
    for position, rows, examples in counts:
        if position is None:
            continue
        rule, column, _, remedy = broken[position]
        findings.append(
            found(
                rule,
                schema.name,
                column,
                rows=rows,
                examples=examples,
                advice=f"{rows:,} rows of `{schema.name}` are left out: {RULES[rule].says[:1].lower()}"
                f"{RULES[rule].says[1:-1]} (`{column}`). To keep them, {remedy} ({source.line_of(column)}).",
            )
        )
    if findings:
        connection.execute(f"DELETE FROM main.{schema.name} WHERE CASE {which} END IS NOT NULL")
    return findings


def _label(schema: TableSchema) -> tuple[str, ...]:
    """Columns by which a person finds a row again."""
    own = schema.key or ("account_id", schema.happened or "known_at")
    return own if schema.name != "usage_events" else ("event_id", "account_id", "happened_at")


def _versions(connection: Any, schema: TableSchema, source: Source) -> tuple[bool, list[Finding]]:
    """Drop exact repeats, refuse contradictions, and write into each version when the next became known."""
    if not schema.key:
        return False, []
    table, key = f"main.{schema.name}", ", ".join(schema.key)
    whole = " AND ".join(f"{name} IS NOT NULL" for name in schema.key)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE repeated AS SELECT {key} FROM {table} WHERE {whole} "
        f"GROUP BY {key} HAVING count(*) > 1"
    )
    if not connection.execute("SELECT count(*) FROM repeated").fetchall()[0][0]:
        return False, []
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE versions AS "
        f"SELECT t.rowid AS row, {', '.join(f't.{name}' for name in schema.key)}, t.known_at, "
        f"hash({', '.join(f't.{name}' for name in schema.by_name)}) AS content, "
        f"row_number() OVER (PARTITION BY {_owned(schema)}, t.known_at ORDER BY t.rowid) AS copy "
        f"FROM {table} AS t JOIN repeated AS r ON {' AND '.join(f't.{n} = r.{n}' for n in schema.key)}"
    )
    findings = _contradictions(connection, schema, source, key)
    if findings:
        return False, findings
    copies = connection.execute(
        f"SELECT count(*), list_slice(list(DISTINCT {_joined(schema)}), 1, 3) FROM versions WHERE copy > 1"
    ).fetchall()[0]
    if copies[0]:
        findings.append(
            found(
                "repeated_row",
                schema.name,
                schema.key[0],
                rows=copies[0],
                examples=copies[1],
                advice=f"{copies[0]:,} rows of `{schema.name}` repeat another row's {key} with the same "
                f"content; one of each is kept. Select DISTINCT rows in {source.label}.",
            )
        )
        connection.execute(f"DELETE FROM {table} WHERE rowid IN (SELECT row FROM versions WHERE copy > 1)")
    connection.execute(
        f"UPDATE {table} AS t SET superseded_at = v.next FROM "
        f"(SELECT row, lead(known_at) OVER (PARTITION BY {key} ORDER BY known_at) AS next "
        "FROM versions WHERE copy = 1) AS v WHERE t.rowid = v.row AND v.next IS NOT NULL"
    )
    several = connection.execute(f"SELECT count(superseded_at) FROM {table}").fetchall()[0][0]
    return several > 0, findings


def _owned(schema: TableSchema) -> str:
    return ", ".join(f"t.{name}" for name in schema.key)


def _joined(schema: TableSchema) -> str:
    return " || ' ' || ".join(f"{name}::VARCHAR" for name in schema.key)


def _contradictions(connection: Any, schema: TableSchema, source: Source, key: str) -> list[Finding]:
    rows, examples = connection.execute(
        f"SELECT coalesce(sum(n), 0)::BIGINT, list_slice(list(label), 1, 3) FROM "
        f"(SELECT count(*) AS n, min({_joined(schema)}) AS label FROM versions GROUP BY {key}, known_at "
        "HAVING count(DISTINCT content) > 1)"
    ).fetchall()[0]
    if not rows:
        return []
    return [
        found(
            "contradicting_rows",
            schema.name,
            schema.key[0],
            rows=rows,
            examples=sorted(examples),
            advice=f"{source.line_of(schema.key[0])}: {rows:,} rows of `{schema.name}` share {key} and "
            f"known_at but differ, e.g. {', '.join(map(repr, sorted(examples)))}; give each its own key, or "
            "select a known_at that says when each version was written.",
        )
    ]
