"""The vocabulary of feature definitions: measures over rows, and arithmetic on measures.

A measure is a frozen value that says what to compute; `matrix/build.py` computes it. Every measure is taken
for one account as of one date, over the rows known then. A wrong measure cannot be built: unknown tables and
columns, or a condition outside the grammar, fail where they are written, with the nearest right name.

Windows: `days=28` looks at `[as_of - 28 days, as_of)`; `ago=28` moves that window 28 days into the past.
Without `days` all rows known so far count. `on` names the date a window looks at (default: when the row's
fact happened). In a condition, `as_of` is the date we stand on, moved back by `ago`.

Nulls: counting and totalling no rows gives 0; every other measure of no rows is null. A total whose column is
null in all rows is null. Arithmetic with null is null, and so is division by zero.
"""

from __future__ import annotations

from lifecycle_ml.matrix.definition import AS_OF, is_whole, wrong
from lifecycle_ml.matrix.nodes import (
    Calendar,
    Choice,
    Constant,
    DaysSince,
    Measure,
    OnlyIf,
    Part,
    Peers,
    Root,
    Rows,
    YesNo,
    as_measure,
    leaves,
)
from lifecycle_ml.matrix.series import OwnPast, Series, Slope, Spread, Streak
from lifecycle_ml.tables.schema import SCHEMAS, Type

__all__ = [
    "IN_FORCE",
    "Measure",
    "among_peers",
    "calendar",
    "change",
    "count",
    "days_since",
    "days_since_first",
    "days_until",
    "deviation",
    "distinct",
    "first",
    "first_of",
    "greatest",
    "largest",
    "latest",
    "leaves",
    "mean",
    "only_if",
    "own_past",
    "present",
    "share",
    "slope",
    "smallest",
    "spread",
    "streak",
    "total",
]

IN_FORCE = (
    "starts_on <= as_of AND coalesce(ends_on > as_of, TRUE) AND coalesce(cancelled_on > as_of, TRUE) "
    "AND coalesce(is_recurring, TRUE)"
)
"""A recurring contract that is active on as_of (or, with `ago`, was active then, as known now)."""


def count(
    table: str, *, where: str | None = None, days: int | None = None, ago: int = 0, on: str | None = None
) -> Measure:
    """Number of rows; 0 where there are none."""
    return Rows("count", table, None, where, on, days, ago)


def total(
    table: str,
    column: str,
    *,
    where: str | None = None,
    days: int | None = None,
    ago: int = 0,
    on: str | None = None,
) -> Measure:
    """Sum of a column or expression; 0 of no rows, null where every value is null."""
    return Rows("total", table, column, where, on, days, ago)


def distinct(
    table: str,
    column: str,
    *,
    where: str | None = None,
    days: int | None = None,
    ago: int = 0,
    on: str | None = None,
) -> Measure:
    """Number of different values; nulls are not counted, instants count by UTC day."""
    return Rows("distinct", table, column, where, on, days, ago)


def largest(
    table: str,
    column: str,
    *,
    where: str | None = None,
    days: int | None = None,
    ago: int = 0,
    on: str | None = None,
) -> Measure:
    """Largest value of a column or expression (a yes/no column: yes if any is); null of no rows."""
    return Rows("largest", table, column, where, on, days, ago)


def smallest(
    table: str,
    column: str,
    *,
    where: str | None = None,
    days: int | None = None,
    ago: int = 0,
    on: str | None = None,
) -> Measure:
    """Smallest value of a column or expression (a yes/no column: yes if all are); null of no rows."""
    return Rows("smallest", table, column, where, on, days, ago)


def mean(
    table: str,
    column: str,
    *,
    where: str | None = None,
    days: int | None = None,
    ago: int = 0,
    on: str | None = None,
) -> Measure:
    """Mean of the non-null values of a column or expression; null where there are none."""
    valued = f"({where}) AND ({column}) IS NOT NULL" if where else f"({column}) IS NOT NULL"
    return Rows("total", table, column, valued, on, days, ago) / Rows(
        "count", table, None, valued, on, days, ago
    )


def deviation(
    table: str,
    column: str,
    *,
    where: str | None = None,
    days: int | None = None,
    ago: int = 0,
    on: str | None = None,
) -> Measure:
    """Standard deviation of the non-null values of a column or expression; null where there are none."""
    average = mean(table, column, where=where, days=days, ago=ago, on=on)
    squares = mean(table, f"({column}) * ({column})", where=where, days=days, ago=ago, on=on)
    return Root(squares - average * average)


def latest(
    table: str,
    column: str,
    *,
    where: str | None = None,
    days: int | None = None,
    ago: int = 0,
    on: str | None = None,
) -> Measure:
    """Value of the latest row that has one; of several at the same instant, the last in text order."""
    return Rows("latest", table, column, where, on, days, ago)


def first(
    table: str,
    column: str,
    *,
    where: str | None = None,
    days: int | None = None,
    ago: int = 0,
    on: str | None = None,
) -> Measure:
    """Value of the earliest row that has one; of several at the same instant, the first in text order."""
    return Rows("first", table, column, where, on, days, ago)


def present(
    table: str, *, where: str | None = None, days: int | None = None, ago: int = 0, on: str | None = None
) -> Measure:
    """Yes where at least one row is there, else no."""
    return YesNo(Rows("count", table, None, where, on, days, ago))


def share(
    table: str,
    *,
    where: str,
    of: str | None = None,
    days: int | None = None,
    ago: int = 0,
    on: str | None = None,
) -> Measure:
    """Part (0 to 1) of the rows (of those where `of` holds) that fulfil `where`; null of no rows."""
    both = f"({of}) AND ({where})" if of else where
    return Rows("count", table, None, both, on, days, ago) / Rows("count", table, None, of, on, days, ago)


def days_since(
    table: str, on: str | None = None, *, where: str | None = None, days: int | None = None, ago: int = 0
) -> Measure:
    """Calendar days from the latest row to as_of: 1 for yesterday; null where there is none."""
    return DaysSince(Rows("largest", table, on or _dated("days_since", table), where, on, days, ago))


def days_since_first(
    table: str, on: str | None = None, *, where: str | None = None, days: int | None = None, ago: int = 0
) -> Measure:
    """Calendar days from the earliest row to as_of: 1 for yesterday; null where there is none."""
    return DaysSince(Rows("smallest", table, on or _dated("days_since_first", table), where, on, days, ago))


def days_until(table: str, column: str, *, where: str | None = None, ago: int = 0) -> Measure:
    """Calendar days from as_of to the furthest date of a column; null where there is none."""
    return Constant(0) - DaysSince(Rows("largest", table, column, where, None, None, ago))


def greatest(*measures: Measure | float) -> Measure:
    """Largest of several measures, nulls aside; available where a source has at least one of them."""
    return Choice("greatest", tuple(map(as_measure, measures)))


def first_of(*measures: Measure | float) -> Measure:
    """First of several measures that is not null; `first_of(measure, 0)` fills gaps with 0."""
    return Choice("first", tuple(map(as_measure, measures)))


def only_if(measure: Measure, condition: Measure) -> Measure:
    """Return the measure where the condition is above zero, else null."""
    return OnlyIf(as_measure(measure), as_measure(condition))


def _dated(name: str, table: str) -> str:
    """Return the date column of a table's rows. Raises: DefinitionError where they have none of their own."""
    schema = SCHEMAS.get(table)
    if schema is None:
        return AS_OF  # Rows says that there is no such table
    if schema.happened is None:
        dates = [column.name for column in schema.columns if column.type is Type.DATE]
        raise wrong(f"{name}({table!r}): rows of {table} have no date of their own; say on={dates[0]!r}.")
    return schema.happened


def own_past(measure: Measure, windows: int = 3) -> Measure:
    """Average of the same measure over its previous windows of the same length.

    Windows that began before the account existed, or before the first row of the table they look at, are
    left out: what nobody recorded is not zero. Null where none is left.
    """
    return OwnPast(measure, *_series("own_past", measure, windows, 1))


def change(measure: Measure, windows: int = 3) -> Measure:
    """Ratio of a measure to its own past: 1 as usual, 0.5 half of usual; null where the past is 0 or null."""
    return measure / own_past(measure, windows)


def slope(measure: Measure, windows: int = 6) -> Measure:
    """Least-squares slope of a measure over its last windows of the same length: its growth a window.

    Null where a window began before the account or the table's first row, or has no value. Divide by
    `own_past(measure, windows - 1)` to compare big and small accounts.
    """
    return Slope(measure, *_series("slope", measure, windows, 2))


def streak(measure: Measure, windows: int = 12) -> Measure:
    """How many windows in a row, from the latest back, the measure was above zero; at most `windows`.

    `streak(1 - present(table, days=7))` counts weeks without a row. Windows that began before the account or
    the table's first row, or have no value, end it; null where the latest is of that kind.
    """
    return Streak(measure, *_series("streak", measure, windows, 2))


def spread(measure: Measure, windows: int = 6) -> Measure:
    """Standard deviation of a measure over its last windows of the same length: how unsteady it is.

    Null where a window began before the account or the table's first row, or has no value.
    """
    return Spread(measure, *_series("spread", measure, windows, 2))


def calendar(part: Part) -> Measure:
    """Return a part of as_of: "month" 1 to 12, "quarter" 1 to 4, "weekday" 1 (Monday) to 7, "day_of_year"."""
    return Calendar(part)


def _series(name: str, measure: Measure, windows: int, least: int) -> tuple[int, int]:
    """Check what a series of windows is taken of, and return their number and length."""
    if not isinstance(measure, Measure):
        raise wrong(f"{name}(): {measure!r} is no measure; start from count(), total(), …")
    if isinstance(measure, Series) or any(isinstance(child, Series) for child in measure.children):
        raise wrong(
            f"{name}(): a series of windows cannot be taken of another; take it of what that is made of."
        )
    lengths = {leaf.days for leaf in leaves(measure) if leaf.days is not None}
    if len(lengths) != 1:
        raise wrong(f"{name}(): all windows must have one length, these have {sorted(lengths) or 'none'}.")
    if not is_whole(windows) or windows < least:
        raise wrong(f"{name}(): windows is {windows!r}; give a whole number from {least}.")
    return windows, lengths.pop()


def among_peers(measure: Measure, group: Measure | None = None, size: Measure | None = None) -> Measure:
    """Return where an account stands among its peers on the same date: 0 lowest, 0.5 middle, 1 highest.

    Peers are the customers (accounts, where the company has no contracts) of the same `group` (default:
    their segment) and the same third by `size` (default: recurring ARR), as known then, the account itself
    aside. Equals count half. Null where the measure is null or fewer than ten peers have it. Only a whole
    feature can be a position: calculate first, then compare.
    """
    for given in (measure, group, size):
        if given is not None and not isinstance(given, Measure):
            raise wrong(f"among_peers(): {given!r} is no measure; start from count(), total(), …")
    group = latest("accounts", "segment") if group is None else group
    size = total("contracts", "arr", where=IN_FORCE) if size is None else size
    return Peers(measure, group, size)
