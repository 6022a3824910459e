"""A measure in words: a short formula over lettered parts, and what each part counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from string import ascii_uppercase

from lifecycle_ml.matrix.measures import IN_FORCE
from lifecycle_ml.matrix.nodes import (
    Arithmetic,
    Calendar,
    Choice,
    Constant,
    DaysSince,
    Measure,
    OnlyIf,
    Peers,
    Root,
    Rows,
    YesNo,
)
from lifecycle_ml.matrix.series import OwnPast, Series, Slope, Spread, Streak
from lifecycle_ml.tables.schema import SCHEMAS

_VERBS = {
    "total": "the sum of {column} over",
    "distinct": "how many different {column} among",
    "largest": "the largest {column} of",
    "smallest": "the smallest {column} of",
    "latest": "{column} of the latest of",
    "first": "{column} of the first of",
}
_CLOCKS = {
    "row": "known with the row",
    "dated": "empty until its own date has passed",
    "effective": "empty until its own day has come",
    "today": "overwritten without a date: as of today",
}


@dataclass
class Formula:
    """What a measure is computed from: `text` over the letters of `parts`, in the order of mention."""

    text: str = ""
    parts: dict[str, str] = field(default_factory=dict)


def describe(measure: Measure) -> Formula:
    """Return a measure in words, for people; the definition itself stays the truth."""
    formula = Formula()
    text = _say(measure, formula.parts)
    if text in formula.parts:  # one part alone needs no letter
        return Formula(formula.parts[text])
    formula.text = text
    return formula


def describe_clocks(columns: Mapping[str, frozenset[str]] | frozenset[tuple[str, str]]) -> dict[str, str]:
    """Return from when each column (`tickets.csat`) is known, in words, sorted by name."""
    pairs = columns if isinstance(columns, frozenset) else {(t, c) for t, cs in columns.items() for c in cs}
    return {f"{table}.{column}": _clock(table, column) for table, column in sorted(pairs)}


def _clock(table: str, column: str) -> str:
    clock = SCHEMAS[table].by_name[column].clock
    return _CLOCKS.get(clock) or f"known once {clock} is"


def _say(measure: Measure, parts: dict[str, str]) -> str:
    averaged = _averaged(measure)
    if averaged is not None:
        column, rows = averaged
        return _part(f"the mean of {column} over {_rows(rows, valued=column)}", parts)
    match measure:
        case Rows():
            return _part(_leaf(measure), parts)
        case DaysSince():
            return _part(f"days since {_leaf(measure.date)}", parts)
        case Constant():
            return f"{measure.value:g}"
        case YesNo(of=Rows(verb="count") as counted):
            return _part(f"1 if there are {_rows(counted)}, else 0", parts)
        case YesNo():
            return f"1 if {_say(measure.of, parts)} > 0, else 0"
        case Calendar():
            return f"the {measure.part.replace('_', ' ')} of as_of"
        case Root():
            return _root(measure, parts)
        case Arithmetic():
            return _arithmetic(measure, parts)
        case Choice():
            how = "the first known of" if measure.how == "first" else "the largest of"
            return f"{how} ({', '.join(_say(child, parts) for child in measure.of)})"
        case OnlyIf():
            return (
                f"{_bracketed(measure.of, parts)} where {_bracketed(measure.condition, parts)} > 0, else null"
            )
        case Series():
            return _series(measure, parts)
        case Peers():
            of, group, size = (_say(child, parts) for child in measure.children)
            return f"position (0 to 1) of {of} among customers with the same {group} and a similar {size}"
        case _:
            return repr(measure)


def _part(text: str, parts: dict[str, str]) -> str:
    for letter, known in parts.items():
        if known == text:
            return letter
    n = len(parts)
    letter = ascii_uppercase[n % 26] * (n // 26 + 1)
    parts[letter] = text
    return letter


def _arithmetic(measure: Arithmetic, parts: dict[str, str]) -> str:
    if measure.operator == "-" and measure.left == Constant(0) and isinstance(measure.right, DaysSince):
        return _part(f"days until {_leaf(measure.right.date)}", parts)
    return f"{_bracketed(measure.left, parts)} {measure.operator} {_bracketed(measure.right, parts)}"


def _bracketed(measure: Measure, parts: dict[str, str]) -> str:
    text = _say(measure, parts)
    return text if text in parts or " " not in text else f"({text})"


def _root(measure: Root, parts: dict[str, str]) -> str:
    inside = measure.of
    if isinstance(inside, Arithmetic) and isinstance(inside.right, Arithmetic):
        averaged = _averaged(inside.right.left)
        if inside.operator == "-" and averaged is not None:
            column, rows = averaged
            return _part(f"the standard deviation of {column} over {_rows(rows, valued=column)}", parts)
    return f"the square root of {_bracketed(inside, parts)}"


def _series(measure: Series, parts: dict[str, str]) -> str:
    of = _bracketed(measure.of, parts)
    days = measure.length
    match measure:
        case OwnPast():
            before = "the window" if measure.windows == 1 else f"the {measure.windows} windows"
            return f"{'' if measure.windows == 1 else 'average '}{of} in {before} of {days} days before"
        case Slope():
            return f"growth of {of} per window, over the last {measure.windows} windows of {days} days"
        case Streak():
            row = f"how many windows of {days} days in a row, from the latest back"
            return f"{row}, {of} was above zero; at most {measure.windows}"
        case Spread():
            return f"standard deviation of {of} over the last {measure.windows} windows of {days} days"
        case _:
            return f"{type(measure).__name__} of {of} over {measure.windows} windows of {days} days"


def _averaged(measure: Measure) -> tuple[str, Rows] | None:
    """Recognise what `mean` builds: the sum of a column by the number of rows that have it."""
    if not isinstance(measure, Arithmetic) or measure.operator != "/":
        return None
    total, rows = measure.left, measure.right
    if not isinstance(total, Rows) or not isinstance(rows, Rows) or total.verb != "total":
        return None
    valued = f"({total.column}) IS NOT NULL"
    same = (total.table, total.where, total.on, total.days, total.ago)
    if rows.verb != "count" or same != (rows.table, rows.where, rows.on, rows.days, rows.ago):
        return None
    if not (rows.where or "").endswith(valued):
        return None
    return str(total.column), rows


def _leaf(leaf: Rows) -> str:
    rows = _rows(leaf)
    if leaf.verb == "count":
        return f"how many {rows}"
    return f"{_VERBS[leaf.verb].format(column=leaf.column)} {rows}"


def _rows(leaf: Rows, valued: str | None = None) -> str:
    where = leaf.where or ""
    if valued is not None:
        where = where.removesuffix(f"({valued}) IS NOT NULL").removesuffix(" AND ")
        where = where[1:-1] if where.startswith("(") and where.endswith(")") else where
    in_force = IN_FORCE in where
    where = where.replace(f"({IN_FORCE}) AND ", "").replace(f"{IN_FORCE} AND ", "").replace(IN_FORCE, "")
    said = f"{leaf.table}{' in force' if in_force else ''}"
    if where:
        said += f" where {' '.join(where.split())}"
    return f"{said}{_window(leaf)}"


def _window(leaf: Rows) -> str:
    happened = SCHEMAS[leaf.table].happened
    by = f", by {leaf.on}" if leaf.on is not None and leaf.on != happened else ""
    if leaf.days is None:
        return f"{by}, as of {leaf.ago} days earlier" if leaf.ago else by
    if leaf.ago:
        return f", {leaf.ago + leaf.days} to {leaf.ago} days ago{by}"
    return f", last {leaf.days} days{by}"
