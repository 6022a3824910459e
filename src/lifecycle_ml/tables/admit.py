"""Which rows are admitted: the rules that hold whatever the as_of, applied to the tables once on load."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lifecycle_ml.tables.findings import Finding
from lifecycle_ml.tables.raw import Source
from lifecycle_ml.tables.rules import RULES, found, rates_missing, rows_of
from lifecycle_ml.tables.schema import SCHEMAS, TableSchema


def admit(
    connection: Any, provided: Mapping[str, frozenset[str]], sources: Mapping[str, Source]
) -> tuple[frozenset[str], list[Finding]]:
    """Leave out rows that break a rule, mark superseded versions, and say both.

    `provided` names the tables on the connection and the columns their sources filled.
    Returns the names of the tables with several versions of a key, and the findings.
    """
    findings: list[Finding] = []
    versioned = set()
    for name in provided:
        findings += _leave_out(connection, SCHEMAS[name], sources[name], has_accounts="accounts" in provided)
        schema, source, dated = SCHEMAS[name], sources[name], "known_at" in provided[name]
        several, said = _versions(connection, schema, source)
        findings += said
        # Events are appended, never changed: two that share an id and differ are two events.
        appended = name == "usage_events"
        if several and (appended or not dated):
            findings.append(_repeated_key(connection, schema, source))
        if several and not appended:
            _supersede(connection, schema)
            versioned.add(name)
    if "contracts" in provided:
        unrated = _unrated(connection, has_rates="fx_rates" in provided)
        findings += rates_missing(unrated, sources["contracts"].line_of("currency"))
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
                advice=f"{rows_of(rows, schema.name)} left out: {RULES[rule].says[:1].lower()}"
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
    """Leave out exact repeats and refuse contradictions.

    Returns whether some key still occurs more than once; the temporary table `repeated` holds those that did.
    """
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
    # An event delivered twice is one event, known when it first came; elsewhere a repeat is an equal version.
    same = "content" if schema.name == "usage_events" else "known_at"
    # Row ids hold within a transaction only.
    connection.execute("BEGIN")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE versions AS SELECT *, row_number() OVER "
        f"(PARTITION BY {key}, {same} ORDER BY known_at, row) AS copy FROM ("
        f"SELECT t.rowid AS row, {_owned(schema.key)}, t.known_at, "
        f"hash({_owned(schema.by_name)}) AS content FROM {table} AS t "
        f"JOIN repeated AS r ON {' AND '.join(f't.{n} = r.{n}' for n in schema.key)})"
    )
    findings = _contradictions(connection, schema, source, key)
    several = False
    if not findings:
        findings = _repeats(connection, schema, source, key)
        connection.execute(f"DELETE FROM {table} WHERE rowid IN (SELECT row FROM versions WHERE copy > 1)")
        several = _repeating(connection, key) > 0
    connection.execute("COMMIT")
    return several, findings


def _repeating(connection: Any, key: str) -> int:
    """How many rows, repeats left out, share their key with an earlier one."""
    rows: int = connection.execute(
        f"SELECT coalesce(sum(n - 1), 0)::BIGINT FROM "
        f"(SELECT count(*) AS n FROM versions WHERE copy = 1 GROUP BY {key})"
    ).fetchall()[0][0]
    return rows


def _supersede(connection: Any, schema: TableSchema) -> None:
    """Write into each version when the next one of its key became known."""
    key = ", ".join(schema.key)
    same = " AND ".join(f"t.{name} = v.{name}" for name in schema.key)
    connection.execute(
        f"UPDATE main.{schema.name} AS t SET superseded_at = v.next FROM (SELECT {key}, known_at, "
        f"lead(known_at) OVER (PARTITION BY {key} ORDER BY known_at) AS next FROM versions WHERE copy = 1) "
        "AS v "
        f"WHERE {same} AND t.known_at = v.known_at AND v.next IS NOT NULL"
    )


def _repeats(connection: Any, schema: TableSchema, source: Source, key: str) -> list[Finding]:
    rows, examples = connection.execute(
        f"SELECT count(*), list_slice(list_sort(list(DISTINCT {_joined(schema)})), 1, 3) "
        "FROM versions WHERE copy > 1"
    ).fetchall()[0]
    if not rows:
        return []
    return [
        found(
            "repeated_row",
            schema.name,
            schema.key[0],
            rows=rows,
            examples=examples,
            advice=f"{rows_of(rows, schema.name)} left out: the same {key} and the same content came before. "
            f"Nothing is lost; to be rid of this line, SELECT DISTINCT in {source.label}.",
        )
    ]


def _repeated_key(connection: Any, schema: TableSchema, source: Source) -> Finding:
    key = ", ".join(schema.key)
    rows = _repeating(connection, key)
    examples = connection.execute(
        f"SELECT {_joined(schema)} AS label FROM versions WHERE copy = 1 GROUP BY ALL HAVING count(*) > 1 "
        "ORDER BY label LIMIT 3"
    ).fetchall()
    becomes = "the latest wins"
    remedy = (
        "If they are different things, give each its own key; if they are versions of one, select a known_at"
    )
    if schema.name == "usage_events":
        becomes = "each counts as an event of its own"
        remedy = "Give each event its own id, or keep one row per id in the SELECT"
    return found(
        "repeated_key",
        schema.name,
        schema.key[0],
        rows=rows,
        examples=[example for (example,) in examples],
        advice=f"{rows_of(rows, schema.name)} share {key} with an earlier one and differ from it; {becomes}. "
        f"{remedy} ({source.line_of(schema.key[0])}).",
    )


def _unrated(connection: Any, *, has_rates: bool) -> list[tuple[str, int]]:
    """Return the currencies of contracts that have no rate, and the contracts in each."""
    unrated = "AND currency NOT IN (SELECT currency FROM main.fx_rates)" if has_rates else ""
    counts: list[tuple[str, int]] = connection.execute(
        f"SELECT currency, count(*) FROM main.contracts WHERE currency IS NOT NULL {unrated} GROUP BY 1"
    ).fetchall()
    return counts


def _owned(columns: Iterable[str]) -> str:
    return ", ".join(f"t.{name}" for name in columns)


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
            advice=f"{source.line_of(schema.key[0])}: {rows_of(rows, schema.name)} share {key} and "
            f"known_at but differ, e.g. {', '.join(map(repr, sorted(examples)))}; give each its own key, or "
            "select a known_at that says when each version was written.",
        )
    ]
