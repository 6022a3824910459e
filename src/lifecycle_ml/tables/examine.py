"""All there is to say about the tables at one as_of: what was found on reading, and what is odd now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from lifecycle_ml.tables.feeds import examine_feeds
from lifecycle_ml.tables.findings import Finding, in_order
from lifecycle_ml.tables.rules import found, rows_of
from lifecycle_ml.tables.schema import SCHEMAS, TableSchema, Type
from lifecycle_ml.tables.source import Tables

_ORDERED = {
    "tickets": (
        ("opened_at", "closed_at"),
        ("opened_at", "first_response_at"),
        ("opened_at", "escalated_at"),
    ),
    "contacts": (("joined_on", "left_on"),),
    "invoices": (("issued_on", "due_on"),),
    "contracts": (("starts_on", "cancelled_on"),),
}
"""Pairs of columns of which the second may not lie before the first."""

_RANGES = {
    "accounts": (("icp_fit", 0, 1), ("employees", 0, None), ("acquisition_cost", 0, None)),
    "contracts": (("seats", 0, None), ("discount", 0, 1), ("notice_days", 0, None)),
    "usage_events": (("quantity", 0, None), ("users", 0, None)),
    "tickets": (("severity", 1, 4),),
}

_REFERENCES = {
    "accounts": ("unknown_parent", "parent_account_id", "account_id"),
    "contracts": ("unknown_contract", "renews_contract_id", "contract_id"),
}

_BORN_LATER = ("contacts", "outcomes")
"""Tables whose rows may well be older than the account: people, and what was recorded about them."""


@dataclass(frozen=True)
class _Odd:
    """One condition on the rows of a table, and the sentence that follows the number of rows."""

    rule: str
    column: str
    condition: str
    says: str


def examine(tables: Tables, as_of: date) -> tuple[Finding, ...]:
    """Return every finding about `tables` as they stand at `as_of`, errors first.

    Time:  `as_of` decides what is late, what lies in the future and which rows are seen; no clock is read.
    Rows:  findings of `tables.findings` say what was left out on reading; everything found here is kept, or
           merely unseen at this as_of.
    """
    findings = list(tables.findings)
    for name in tables.names:
        findings += _odd_rows(tables, SCHEMAS[name], as_of)
        findings += _as_of_today(tables, SCHEMAS[name])
    if "accounts" in tables and "contracts" in tables:
        findings += _contracts(tables)
        findings += _before_contract(tables)
    findings += examine_feeds(tables, as_of)
    return in_order(findings)


def ask(tables: Tables, query: str) -> list[Any]:
    """Run one query on the tables' DuckDB and return all its rows."""
    rows: list[Any] = tables.backend.con.cursor().execute(query).fetchall()
    return rows


def _odd_rows(tables: Tables, schema: TableSchema, as_of: date) -> list[Finding]:
    """Ask for all conditions of a table in one scan."""
    odd = [*_own_rules(schema, tables.provided(schema.name)), *_clock_rules(schema, as_of)]
    joined = ""
    if "accounts" in tables and _has_account_clock(schema):
        joined = (
            "LEFT JOIN (SELECT account_id AS born_id, min(created_at) AS born_at FROM accounts GROUP BY ALL) "
            "ON born_id = account_id"
        )
        began = schema.happened or "starts_on"
        odd.append(
            _Odd(
                "before_account",
                began,
                f"CAST({began} AS DATE) < CAST(born_at AS DATE)",
                f"with a `{began}` before their account's created_at; kept as they are. If the account is "
                "older, "
                "give accounts.created_at its true date",
            )
        )
    label = " || ' ' || ".join(f"coalesce({name}::VARCHAR, '?')" for name in _label(schema))
    picked = ", ".join(
        f"count(*) FILTER (WHERE {o.condition}), min({label}) FILTER (WHERE {o.condition}), "
        f"max({label}) FILTER (WHERE {o.condition})"
        for o in odd
    )
    if not odd:
        return []
    answer = ask(tables, f"SELECT count(*), {picked} FROM {schema.name} {joined}")[0]
    total, findings = answer[0], []
    for position, o in enumerate(odd):
        rows, first, last = answer[1 + 3 * position : 4 + 3 * position]
        if rows:
            share = f" ({rows / total:.0%})" if rows > 0.01 * total else ""
            findings.append(
                found(
                    o.rule,
                    schema.name,
                    o.column,
                    rows=rows,
                    examples=dict.fromkeys((first, last)),
                    advice=f"{rows_of(rows, schema.name)}{share} {o.says}.",
                )
            )
    return findings


def _has_account_clock(schema: TableSchema) -> bool:
    dated = schema.happened is not None or schema.name == "contracts"
    return dated and schema.name not in {"accounts", *_BORN_LATER} and "account_id" in schema.by_name


def _label(schema: TableSchema) -> tuple[str, ...]:
    return (
        schema.key if schema.key and schema.name != "usage_events" else ("account_id", schema.happened or "")
    )


def _own_rules(schema: TableSchema, provided: frozenset[str]) -> list[_Odd]:
    """Rules that look at one row and no date but its own."""
    odd = []
    for earlier, later in _ORDERED.get(schema.name, ()):
        odd.append(
            _Odd(
                "dates_out_of_order",
                later,
                f"CAST({later} AS DATE) < CAST({earlier} AS DATE)",
                f"whose `{later}` lies before `{earlier}`; kept as they are. Mend one of the two in the "
                "source",
            )
        )
    for ranged, low, high in _RANGES.get(schema.name, ()):
        outside = f"{ranged} < {low}" + (f" OR {ranged} > {high}" if high is not None else "")
        span = f"{low} to {high}" if high is not None else f"{low} or more"
        odd.append(
            _Odd(
                "out_of_range",
                ranged,
                outside,
                f"whose `{ranged}` is not {span}; kept as they are. Rescale it",
            )
        )
    for column in schema.columns:
        if column.values and column.name in provided:
            listed = ", ".join(f"'{value}'" for value in column.values)
            odd.append(
                _Odd(
                    "unknown_value",
                    column.name,
                    f"{column.name} NOT IN ({listed})",
                    f"whose `{column.name}` is none of {', '.join(column.values)}; kept, but no feature "
                    "counts "
                    "them by it. Map the values in the SELECT",
                )
            )
        if column.type in {Type.DATE, Type.INSTANT} and column.name in provided:
            odd.append(
                _Odd(
                    "implausible_date",
                    column.name,
                    f"{column.name} < DATE '1990-01-01'",
                    f"whose `{column.name}` lies before 1990; kept as they are. An empty date is NULL, not 0",
                )
            )
    if schema.name in _REFERENCES:
        rule, reference, target = _REFERENCES[schema.name]
        odd.append(
            _Odd(
                rule,
                reference,
                f"{reference} NOT IN (SELECT {target} FROM {schema.name})",
                f"whose `{reference}` is not in `{schema.name}`; kept, the reference leads nowhere. Add the "
                "missing row",
            )
        )
    return odd


def _clock_rules(schema: TableSchema, as_of: date) -> list[_Odd]:
    midnight = f"TIMESTAMP '{as_of.isoformat()} 00:00:00'"
    later = f"known_at > {midnight}"
    if schema.happened:
        later += f" OR {schema.happened} >= {midnight}"
    odd = [
        _Odd(
            "after_as_of",
            schema.happened or "known_at",
            later,
            f"happened or became known after {as_of}; not seen at this as_of. Fine when you look back; if "
            "not, "
            "mend the dates or move --as-of",
        )
    ]
    # An effective date (a cancellation) may well be set ahead; the others are records of what happened.
    odd += [
        _Odd(
            "after_as_of",
            column.name,
            f"{column.name} >= {midnight} AND NOT ({later})",
            f"have a `{column.name}` after {as_of}; it reads as empty at this as_of",
        )
        for column in schema.columns
        if column.clock == "dated"
    ]
    return odd


def _as_of_today(tables: Tables, schema: TableSchema) -> list[Finding]:
    if tables.versioned(schema.name):
        return []
    return [
        found(
            "as_of_today",
            schema.name,
            column.name,
            advice=f"`{schema.name}.{column.name}` is overwritten in place: what it was in the past is "
            "unknown, so "
            "training leaves it out. Keep its versions (one row per change, with known_at) to have it "
            "learned.",
        )
        for column in schema.columns
        if column.clock == "today" and column.name in tables.provided(schema.name)
    ]


def _contracts(tables: Tables) -> list[Finding]:
    findings = []
    rows, first, last = ask(
        tables,
        "SELECT count(*), min(contract_id), max(contract_id) FROM (SELECT contract_id, starts_on < max("
        "coalesce(least(ends_on, cancelled_on), DATE '9999-12-31')) OVER (PARTITION BY account_id, product "
        "ORDER BY starts_on, contract_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS clashes "
        "FROM contracts WHERE superseded_at IS NULL) WHERE clashes",
    )[0]
    if rows:
        findings.append(
            found(
                "overlapping_contracts",
                "contracts",
                "starts_on",
                rows=rows,
                examples=dict.fromkeys((first, last)),
                advice=f"{rows_of(rows, 'contracts')} start while another of the same account and product "
                "is in "
                "force; their ARR adds up. Where one replaces the other, give the older one cancelled_on.",
            )
        )
    rows, first, last = ask(
        tables,
        "SELECT count(DISTINCT account_id), min(account_id), max(account_id) FROM accounts "
        "WHERE account_id NOT IN (SELECT account_id FROM contracts)",
    )[0]
    if rows:
        findings.append(
            found(
                "no_contract",
                "accounts",
                "account_id",
                rows=rows,
                examples=dict.fromkeys((first, last)),
                advice=f"{rows:,} accounts have no contract, so they are never scored. Fine for prospects; "
                "if they "
                "pay, map their contracts.",
            )
        )
    return findings


def _before_contract(tables: Tables) -> list[Finding]:
    """Use before the first contract is a trial, or a wrong date; only the owner of the data can say which."""
    if "usage_events" not in tables:
        return []
    rows, total, first, last = ask(
        tables,
        "SELECT count(*) FILTER (WHERE early), count(*), min(account_id) FILTER (WHERE early), "
        "max(account_id) FILTER (WHERE early) FROM (SELECT account_id, happened_at < first_on AS early "
        "FROM usage_events JOIN (SELECT account_id, min(starts_on) AS first_on FROM contracts GROUP BY ALL) "
        "USING (account_id))",
    )[0]
    if not rows:
        return []
    return [
        found(
            "before_contract",
            "usage_events",
            "happened_at",
            rows=rows,
            examples=dict.fromkeys((first, last)),
            advice=f"{rows_of(rows, 'usage_events')} ({rows / total:.0%}) happened before the account's "
            "first "
            "contract started; kept as they are. Fine for trials; if there were none, one of the dates is "
            "wrong.",
        )
    ]
