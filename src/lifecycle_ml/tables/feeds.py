"""Is the data still arriving? Each feed against its own rhythm, each column against its own past."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any

from lifecycle_ml.errors import counted
from lifecycle_ml.tables.findings import Finding
from lifecycle_ml.tables.rules import found
from lifecycle_ml.tables.schema import SCHEMAS, TableSchema
from lifecycle_ml.tables.source import Tables

FEEDS = ("usage_events", "touchpoints", "tickets", "invoices", "signals")
"""Tables into which something keeps arriving; the others may rest for as long as nothing changes."""

FEED_RULES = frozenset({"feed_late", "feed_thin", "table_empty", "column_empties"})
"""What `examine_feeds` finds; each says that data stopped arriving, which makes scores provisional."""

_MIN_DAYS = 8  # days with rows below which a feed has no rhythm to speak of
_MIN_ROWS = 50  # recent rows below which an empty column may be chance
_THIN = 0.25  # share of the usual week below which last week was thin
_MIN_WEEK = 200  # usual rows a week below which a thin week may be chance


def examine_feeds(tables: Tables, as_of: date) -> list[Finding]:
    """Say which feeds are late or thin at `as_of`, and which columns stopped being filled."""
    findings: list[Finding] = []
    for name in tables.names:
        days = _days(tables, name, as_of)
        if not days:
            findings.append(
                found(
                    "table_empty",
                    name,
                    advice=f"`{name}` has no row known on {as_of}; what rests on it reads as nothing there. "
                    f"Check features/sources/{name}.sql and --as-of.",
                )
            )
        elif name in FEEDS:
            findings += _late(name, days, as_of) + _thin(name, days, as_of)
        findings += _empties(tables, SCHEMAS[name], as_of)
    return findings


def _days(tables: Tables, name: str, as_of: date) -> list[tuple[date, int]]:
    """Days on which rows became known, up to as_of, oldest first, with their number.

    What is known at midnight belongs to the day just over.
    """
    rows: list[Any] = (
        tables.backend.con.cursor()
        .execute(
            "SELECT CAST(known_at - INTERVAL 1 MICROSECOND AS DATE) AS day, count(*) "
            f"FROM {name} WHERE known_at <= CAST(? AS TIMESTAMP) GROUP BY 1 ORDER BY 1",
            [as_of],
        )
        .fetchall()
    )
    return [(day, count) for day, count in rows]


def _late(name: str, days: list[tuple[date, int]], as_of: date) -> list[Finding]:
    newest = days[-1][0]
    recent = [day for day, _ in days if (newest - day).days <= 182]
    if len(recent) < _MIN_DAYS:
        return []
    gaps = sorted((b - a).days for a, b in pairwise(recent))
    # The longest of 50 usual gaps, half as much again and two days of grace: weekends and holidays pass.
    usual = gaps[min(len(gaps) - 1, int(0.98 * len(gaps)))]
    silent = (as_of - newest).days - 1
    if silent + 1 <= 1.5 * usual + 2:
        return []
    return [
        found(
            "feed_late",
            name,
            "known_at",
            examples=[newest],
            advice=f"`{name}` brought nothing in the {silent} days before {as_of}; the last row came on "
            f"{newest}, "
            f"and it usually rests {counted(usual, 'day')} at most. See that the feed runs; "
            "until "
            "then scores rest on old data.",
        )
    ]


def _thin(name: str, days: list[tuple[date, int]], as_of: date) -> list[Finding]:
    weeks = [0] * 9
    for day, count in days:
        ago = ((as_of - day).days - 1) // 7
        if 0 <= ago < len(weeks):
            weeks[ago] += count
    usual = sorted(weeks[1:])[4]
    if usual < _MIN_WEEK or weeks[0] == 0 or weeks[0] >= _THIN * usual:
        return []
    return [
        found(
            "feed_thin",
            name,
            "known_at",
            rows=weeks[0],
            advice=f"`{name}` brought {weeks[0]:,} rows in the week before {as_of}; a usual week brings "
            f"{usual:,}. "
            "Part of the feed may be missing; see that it runs whole.",
        )
    ]


def _empties(tables: Tables, schema: TableSchema, as_of: date) -> list[Finding]:
    """Columns filled in the year before, and empty in every row of the last 28 days."""
    columns = [
        column.name
        for column in schema.columns
        if column.clock in {"row", "today"}
        and not column.required
        and column.default is None
        and column.name in tables.provided(schema.name)
    ]
    if not columns:
        return []
    counts = ", ".join(
        f"count({name}) FILTER (WHERE recent), count({name}) FILTER (WHERE NOT recent)" for name in columns
    )
    answer = (
        tables.backend.con.cursor()
        .execute(
            "SELECT count(*) FILTER (WHERE recent), count(*) FILTER (WHERE NOT recent), "
            f"{counts} FROM (SELECT *, known_at > CAST(? AS TIMESTAMP) - INTERVAL 28 DAY AS recent "
            f"FROM {schema.name} WHERE known_at <= CAST(? AS TIMESTAMP) "
            "AND known_at > CAST(? AS TIMESTAMP) - INTERVAL 393 DAY)",
            [as_of, as_of, as_of],
        )
        .fetchall()[0]
    )
    recent, before = answer[:2]
    if recent < _MIN_ROWS or before < _MIN_ROWS:
        return []
    return [
        found(
            "column_empties",
            schema.name,
            column,
            rows=recent,
            advice=f"`{schema.name}.{column}` is empty in all {recent:,} rows of the 28 days before "
            f"{as_of}; in the "
            f"year before, {filled_before / before:.0%} were filled. See what the source writes there now.",
        )
        for column, filled, filled_before in zip(columns, answer[2::2], answer[3::2], strict=True)
        if filled == 0 and filled_before >= 0.2 * before
    ]
