"""Aggregates over one small table: joined to the spine, cut to what was known, grouped once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import ibis
from sqlglot import exp

from lifecycle_ml.conditions.translate import to_ibis
from lifecycle_ml.matrix.definition import AS_OF, parsed
from lifecycle_ml.matrix.nodes import ORDERED, Rows
from lifecycle_ml.tables.clock import as_known
from lifecycle_ml.tables.schema import SCHEMAS

DIGITS = 6
NUMBER = f"decimal(28, {DIGITS})"
"""What fractions are rounded to before they are summed: sums of floats depend on the order of rows."""

_SECONDS = len("2024-01-01 00:00:00")
"""Length of an instant written as text, to the second."""
_STAMP = _SECONDS + 6
"""Length of a stamp: the seconds, then six digits of microseconds."""


def aggregate_rows(table: ibis.Table, name: str, spine: ibis.Table, wanted: Mapping[str, Rows]) -> ibis.Table:
    """Return one row per spine row that has any, with one column per wanted aggregate.

    `spine` has row, member, as_of, known_until. A total comes with a second column `<name>_n`, the number of
    rows behind it. All aggregates of the table are computed in one pass over the join.
    """
    schema = SCHEMAS[name]
    tests = [spine.member == table.account_id, table.known_at <= spine.known_until]
    if schema.happened is not None:
        happened = _instant(table[schema.happened])
        tests.append(happened < spine.as_of)
        reach = _reach(wanted.values(), schema.happened)
        if reach is not None:
            tests.append(happened >= spine.as_of - ibis.interval(days=reach))
    known = as_known(spine.inner_join(table, tests), schema)
    today = known.as_of.date()
    known = known.mutate(
        **{_past(ago): today - ibis.interval(days=ago) for ago in sorted({w.ago for w in wanted.values()})},
        **{
            _age(at): today.delta(known[at].cast("date"), unit="day")
            for at in sorted({leaf.dated_by for leaf in wanted.values() if leaf.dated_by})
        },
    )
    columns: dict[str, Any] = {}
    for key, leaf in wanted.items():
        columns |= _aggregate(known, key, leaf)
    return known.group_by("row").aggregate(**columns)


def feed_ages(table: ibis.Table, name: str, spine: ibis.Table, key: str, *, midnights: bool) -> ibis.Table:
    """Return how many days before as_of the table's first row happened, as known, for every spine row.

    The table is read once, into the earliest rows by when they were known; few are left to compare.
    """
    happened = str(SCHEMAS[name].happened)
    firsts = table.group_by(
        known=visible_from(table.known_at, midnights=midnights),
        superseded=visible_from(table.superseded_at, midnights=midnights),
    ).aggregate(began=_instant(table[happened]).date().min())
    dates = spine.select("as_of", "known_until").distinct()
    seen = dates.inner_join(
        firsts,
        [
            firsts.known <= dates.known_until,
            firsts.superseded.isnull() | (firsts.superseded > dates.known_until),
        ],
    )
    began = seen.group_by(["as_of", "known_until"]).aggregate(began=seen.began.min())
    dated = spine.inner_join(began, ["as_of", "known_until"])
    return dated.select("row", **{key: dated.as_of.date().delta(dated.began, unit="day")})


def visible_from(instant: Any, *, midnights: bool) -> Any:
    """Round an instant up to the midnight from which it counts, where we only look at midnights."""
    if not midnights:
        return instant
    midnight = instant.truncate("D")
    return ibis.ifelse(instant > midnight, midnight + ibis.interval(days=1), midnight)


def _reach(wanted: Iterable[Rows], happened: str) -> int | None:
    """How many days back any of them looks, where all look through a window on the row's own date."""
    reach = 0
    for leaf in wanted:
        if leaf.days is None or leaf.dated_by != happened:
            return None
        reach = max(reach, leaf.ago + leaf.days)
    return reach


def _aggregate(known: ibis.Table, key: str, leaf: Rows) -> dict[str, Any]:
    condition = _all_of(
        [*_window(known, leaf), *([_expression(known, leaf, leaf.where)] if leaf.where else [])]
    )
    if leaf.verb == "count":
        return {key: known.count(where=condition)}
    value = _expression(known, leaf, str(leaf.column))
    dated = stamp(known[leaf.dated_by]) if leaf.verb in ORDERED else None
    combined = combine(leaf.verb, value, condition, dated)
    if leaf.verb == "total":
        return {key: combined, f"{key}_n": known.count(where=condition)}
    return {key: combined}


def combine(verb: str, value: Any, condition: Any, dated: Any = None) -> Any:
    """Return the aggregate expression of a verb over a column where the condition holds."""
    if verb == "total":
        return summable(value).sum(where=condition)
    if verb == "distinct":
        return countable(value).nunique(where=condition)
    if verb in ORDERED:
        stamped = dated + value.cast("string")
        return stamped.max(where=condition) if verb == "latest" else stamped.min(where=condition)
    value = comparable(value)
    return value.max(where=condition) if verb == "largest" else value.min(where=condition)


def summable(value: Any) -> Any:
    """Return a value whose sum is exact in any order."""
    kind = value.type()
    if kind.is_boolean():
        return value.cast("int32")
    exact = kind.is_integer() or (kind.is_decimal() and kind.scale is not None and kind.scale <= DIGITS)
    return value if exact else value.cast(NUMBER)


def countable(value: Any) -> Any:
    """Return what is told apart when values are counted: instants by their UTC day."""
    return value.date() if value.type().is_timestamp() else value


def comparable(value: Any) -> Any:
    """Return a value with a largest and a smallest: yes as 1, instants as their UTC day."""
    if value.type().is_boolean():
        return value.cast("int32")
    return countable(value)


def stamp(value: Any) -> Any:
    """Return an instant as text of fixed length that sorts as the instant does."""
    # All engines write it the same, if by default: what is left of the seconds without zeros at the end.
    written = value.cast("timestamp").cast("string")
    return written.substr(0, _SECONDS) + written.substr(_SECONDS + 1).rpad(6, "0")


def unstamped(text: Any, leaf: Rows) -> Any:
    """Return the value that a latest() carried behind its instant."""
    value = text.substr(_STAMP)
    if leaf.kind == "yes_no":
        return ibis.cases((text.isnull(), ibis.null("int8")), (value == "true", 1), else_=0)
    return value if leaf.kind == "text" else value.cast("date" if leaf.kind == "date" else "float64")


def unstamp(text: str, leaf: Rows) -> str | float:
    """Return the value of one stamped text: a text, or a number (dates as days from 1970-01-01)."""
    value = text[_STAMP:]
    match leaf.kind:
        case "text":
            return value
        case "yes_no":
            return float(value == "true")
        case "date":
            return float((date.fromisoformat(value[:10]) - date(1970, 1, 1)).days)
        case _:
            return float(value)


def _window(known: ibis.Table, leaf: Rows) -> list[Any]:
    # Windows begin and end at midnights, so whole days tell which side of them an instant lies.
    if leaf.dated_by is None:
        return []
    age = known[_age(leaf.dated_by)]
    tests = []
    if leaf.days is not None:
        tests.append(age <= leaf.ago + leaf.days)
    if leaf.days is not None or (leaf.ago and leaf.dated_by == SCHEMAS[leaf.table].happened):
        tests.append(age > leaf.ago)
    return tests


def _expression(known: ibis.Table, leaf: Rows, text: str) -> Any:
    tree = parsed(leaf.table, text, leaf.verb).tree.copy()
    for column in list(tree.find_all(exp.Column)):
        if column.name == AS_OF:
            column.set("this", exp.to_identifier(_past(leaf.ago)))
    return to_ibis(tree, known, leaf.table)


def _all_of(tests: list[Any]) -> Any:
    if not tests:
        return None
    met = tests[0]
    for test in tests[1:]:
        met &= test
    return met


def _age(dated_by: str) -> str:
    return f"age_{dated_by}"


def _past(ago: int) -> str:
    return f"as_of_{ago}"


def _instant(value: Any) -> Any:
    return value.cast("timestamp") if value.type().is_date() else value
