"""What a measure is: frozen values that say what to compute, checked when built.

The functions that build them are in `measures.py`; `build.py` computes them. What rests on several windows is
in `series.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from lifecycle_ml.conditions.grammar import Kind
from lifecycle_ml.errors import did_you_mean
from lifecycle_ml.matrix.definition import (
    AS_OF,
    EVENTS,
    KINDS,
    NOT_FOR_FEATURES,
    check_values,
    columns_of,
    is_whole,
    outside_coalesce,
    parsed,
    wrong,
)
from lifecycle_ml.tables.schema import SCHEMAS

Verb = Literal["count", "total", "distinct", "largest", "smallest", "latest", "first"]
ORDERED = ("latest", "first")
"""Verbs that take one row's value and need a date to tell which."""


class Measure:
    """Base of all measures; knows arithmetic, its leaves and how to move into the past."""

    kind: Kind = "number"

    @property
    def children(self) -> tuple[Measure, ...]:
        """The measures this one is computed from."""
        return ()

    def before(self, days: int) -> Measure:
        """Return the same measure as of `days` earlier, from what is known now."""
        raise AssertionError(f"{type(self).__name__} does not say how it moves {days} days back")

    def __add__(self, other: Measure | float) -> Measure:
        return Arithmetic("+", self, as_measure(other))

    def __sub__(self, other: Measure | float) -> Measure:
        return Arithmetic("-", self, as_measure(other))

    def __mul__(self, other: Measure | float) -> Measure:
        return Arithmetic("*", self, as_measure(other))

    def __truediv__(self, other: Measure | float) -> Measure:
        """Ratio; null where the denominator is zero or null."""
        return Arithmetic("/", self, as_measure(other))

    def __radd__(self, other: float) -> Measure:
        return Arithmetic("+", as_measure(other), self)

    def __rsub__(self, other: float) -> Measure:
        return Arithmetic("-", as_measure(other), self)

    def __rmul__(self, other: float) -> Measure:
        return Arithmetic("*", as_measure(other), self)

    def __rtruediv__(self, other: float) -> Measure:
        return Arithmetic("/", as_measure(other), self)

    def __neg__(self) -> Measure:
        return Arithmetic("-", Constant(0), self)

    def __bool__(self) -> bool:
        """Refuse `a and b`, `if a`: Python would take one of them and forget the other."""
        raise wrong("measures are not joined with and, or, not; say it in where=, or use only_if(a, b).")

    def _compare(self, other: object) -> bool:
        raise wrong(f"a measure is not compared with {other!r} here; say it in where=, or in a rule.")

    __lt__ = __le__ = __gt__ = __ge__ = _compare


@dataclass(frozen=True)
class Rows(Measure):
    """One aggregate over the rows of one table; the leaf every measure rests on."""

    verb: Verb
    table: str
    column: str | None = None
    where: str | None = None
    on: str | None = None
    days: int | None = None
    ago: int = 0

    def __post_init__(self) -> None:
        place = f"{self.verb}({self.table!r})"
        readable = [name for name in SCHEMAS if name not in NOT_FOR_FEATURES]
        if self.table not in readable:
            raise wrong(f"{place}: no table {self.table!r} for features.{did_you_mean(self.table, readable)}")
        if self.verb == "count" and self.column is not None:
            raise wrong(f"{place}: counting rows takes no column; use where=.")
        if self.verb != "count" and self.column is None:
            raise wrong(f"{place}: which column? Name one.")
        for name, value, least in (("days", self.days, 1), ("ago", self.ago, 0)):
            if value is not None and (not is_whole(value) or value < least):
                raise wrong(f"{place}: {name} is {value!r}; give a whole number of days from {least}.")
        for name, text in (("where", self.where), ("the column", self.column), ("on", self.on)):
            if text is not None and not isinstance(text, str):
                raise wrong(f"{place}: {name} is {text!r}; write it as a text, in quotes.")
        self._check_expressions(place)

    def _check_expressions(self, place: str) -> None:
        happened = SCHEMAS[self.table].happened
        for text in (self.where, self.column):
            if text is not None:
                check_values(self.table, text, place)
        if self.where is not None and parsed(self.table, self.where, place).kind not in {"yes_no", None}:
            raise wrong(
                f"{place}: where={self.where!r} is a value, not a condition; compare it with something."
            )
        if self.column is not None:
            kind = parsed(self.table, self.column, place).kind
            if self.verb == "total" and kind in {"text", "date"}:
                raise wrong(f"{place}: {self.column!r} holds {kind}, which does not add up.")
            if self.verb in {"largest", "smallest"} and kind == "text":
                raise wrong(f"{place}: {self.column!r} holds text; use latest() or first().")
        if (self.days is not None or self.verb in ORDERED) and self.dated_by is None:
            dates = [c.name for c in SCHEMAS[self.table].columns if KINDS[c.type] == "date"]
            raise wrong(f"{place}: rows of {self.table} have no date of their own; say on={dates[0]!r}.")
        if self.on is not None:
            known = SCHEMAS[self.table].by_name
            if self.on not in known or KINDS[known[self.on].type] != "date":
                dates = [name for name, c in known.items() if KINDS[c.type] == "date"]
                raise wrong(
                    f"{place}: on={self.on!r} is no date of {self.table}.{did_you_mean(self.on, dates)}"
                )
        if self.table == EVENTS:
            # Events are read once for all as_of dates, before any of them is known.
            if self.days is None:
                raise wrong(f"{place}: usage events need a window; say days=.")
            if self.on not in {None, happened}:
                raise wrong(f"{place}: usage events are dated by {happened}; leave out on=.")
            if any(AS_OF in columns_of(self.table, text) for text in (self.where, self.column) if text):
                raise wrong(f"{place}: conditions on usage events cannot use as_of; use days= and ago=.")

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        """What kind of value the measure has."""
        if self.verb in {"count", "total", "distinct"} or self.column is None:
            return "number"
        return parsed(self.table, self.column, self.verb).kind or "number"

    @property
    def dated_by(self) -> str | None:
        """The date column a window looks at."""
        return self.on or SCHEMAS[self.table].happened

    @property
    def counts_days(self) -> bool:
        """Whether it counts the different days on which its rows are dated."""
        return self.verb == "distinct" and self.column == self.dated_by

    @property
    def columns(self) -> frozenset[str]:
        """The columns it reads."""
        named = {name for text in (self.where, self.column) if text for name in columns_of(self.table, text)}
        if self.on or self.days is not None or self.verb in ORDERED:
            named.add(str(self.dated_by))
        return frozenset(named - {AS_OF})

    @property
    def needed(self) -> frozenset[str]:
        """The columns a source must provide: those named outside coalesce(), which says how to do without."""
        texts = [text for text in (self.where, self.column) if text]
        named = {name for text in texts for name in outside_coalesce(self.table, text)}
        if self.on or self.days is not None:
            named.add(str(self.dated_by))
        return frozenset(named - {AS_OF})

    def before(self, days: int) -> Rows:
        """Return the same measure as of `days` earlier."""
        if not is_whole(days) or days < 0:
            raise wrong(f"before({days!r}): give a whole number of days from 0.")
        return replace(self, ago=self.ago + days)


@dataclass(frozen=True)
class DaysSince(Measure):
    """Calendar days from a date to as_of: 1 for yesterday, negative for the future."""

    date: Rows

    def __post_init__(self) -> None:
        if self.date.kind != "date":
            raise wrong(f"days since {self.date.column!r}: that is no date of {self.date.table}.")

    @property
    def children(self) -> tuple[Measure, ...]:
        """The date."""
        return (self.date,)

    def before(self, days: int) -> DaysSince:
        """Return the same measure as of `days` earlier."""
        return DaysSince(self.date.before(days))


@dataclass(frozen=True)
class YesNo(Measure):
    """1 where the measure is above zero, 0 where it is zero, null where it is null."""

    of: Measure
    kind: Kind = "yes_no"

    @property
    def children(self) -> tuple[Measure, ...]:
        """The measure asked about."""
        return (self.of,)

    def before(self, days: int) -> YesNo:
        """Return the same measure as of `days` earlier."""
        return YesNo(self.of.before(days))


@dataclass(frozen=True)
class Constant(Measure):
    """A number."""

    value: float

    def before(self, days: int) -> Constant:  # noqa: ARG002 (a number does not age)
        """Return itself."""
        return self


@dataclass(frozen=True)
class Arithmetic(Measure):
    """Two measures joined by +, -, * or /."""

    operator: Literal["+", "-", "*", "/"]
    left: Measure
    right: Measure

    def __post_init__(self) -> None:
        for side in self.children:
            if side.kind in {"text", "date"}:
                raise wrong(f"{self.operator}: a measure holding {side.kind} cannot be calculated with.")
        if self.operator == "/" and self.right == Constant(0):
            raise wrong("/: nothing is divided by 0.")

    @property
    def children(self) -> tuple[Measure, ...]:
        """Both sides."""
        return (self.left, self.right)

    def before(self, days: int) -> Arithmetic:
        """Return the same measure as of `days` earlier."""
        return Arithmetic(self.operator, self.left.before(days), self.right.before(days))


@dataclass(frozen=True)
class Choice(Measure):
    """The first measure that is not null, or the largest of them; sources may lack all but one."""

    how: Literal["first", "greatest"]
    of: tuple[Measure, ...]

    def __post_init__(self) -> None:
        name = "first_of" if self.how == "first" else "greatest"
        if not self.of:
            raise wrong(f"{name}(): of which measures? Name at least one.")
        kinds = dict.fromkeys("number" if m.kind == "yes_no" else m.kind for m in self.of)
        if len(kinds) > 1:
            raise wrong(f"{name}(): one measure holds {', another '.join(kinds)}; they must be of one kind.")

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        """The kind of the first."""
        return self.of[0].kind

    @property
    def children(self) -> tuple[Measure, ...]:
        """The measures to choose from."""
        return self.of

    def before(self, days: int) -> Choice:
        """Return the same measure as of `days` earlier."""
        return Choice(self.how, tuple(measure.before(days) for measure in self.of))


@dataclass(frozen=True)
class OnlyIf(Measure):
    """A measure where a condition holds (is above zero), else null."""

    of: Measure
    condition: Measure

    def __post_init__(self) -> None:
        if self.condition.kind in {"text", "date"}:
            raise wrong(
                f"only_if(): a condition is a number, above zero or not; this one is {self.condition.kind}."
            )

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        """The kind of the measure."""
        return self.of.kind

    @property
    def children(self) -> tuple[Measure, ...]:
        """The measure and its condition."""
        return (self.of, self.condition)

    def before(self, days: int) -> OnlyIf:
        """Return the same measure as of `days` earlier."""
        return OnlyIf(self.of.before(days), self.condition.before(days))


@dataclass(frozen=True)
class Root(Measure):
    """Square root; of what is below zero by rounding, zero."""

    of: Measure

    @property
    def children(self) -> tuple[Measure, ...]:
        """The measure under the root."""
        return (self.of,)

    def before(self, days: int) -> Root:
        """Return the same measure as of `days` earlier."""
        return Root(self.of.before(days))


Part = Literal["month", "quarter", "weekday", "day_of_year"]


@dataclass(frozen=True)
class Calendar(Measure):
    """A part of as_of itself: month 1 to 12, quarter 1 to 4, ISO weekday 1 to 7, day of the year 1 to 366."""

    part: Part

    def __post_init__(self) -> None:
        parts = get_args(Part)
        if self.part not in parts:
            raise wrong(f"calendar({self.part!r}): no such part of a date.{did_you_mean(self.part, parts)}")

    def before(self, days: int) -> Measure:
        """Return the same measure as of `days` earlier."""
        raise wrong(f"calendar(): today's date is not moved {days} days back.")


@dataclass(frozen=True)
class Peers(Measure):
    """Where the measure stands among the accounts of the same group and size on the same date, 0 to 1."""

    of: Measure
    group: Measure
    size: Measure

    def __post_init__(self) -> None:
        if self.of.kind in {"text", "date"}:
            raise wrong(f"among_peers(): a measure holding {self.of.kind} has no higher or lower.")

    @property
    def children(self) -> tuple[Measure, ...]:
        """What is compared, and what makes accounts comparable."""
        return (self.of, self.group, self.size)

    def before(self, days: int) -> Peers:
        """Return the same measure as of `days` earlier."""
        raise wrong(f"among_peers(): peers are those of today; compare a measure moved {days} days back.")


def leaves(measure: Measure) -> Iterator[Rows]:
    """Walk the aggregates a measure rests on."""
    if isinstance(measure, Rows):
        yield measure
    for child in measure.children:
        yield from leaves(child)


def holds_peers(measure: Measure) -> bool:
    """Whether a position among peers is anywhere in a measure."""
    return isinstance(measure, Peers) or any(holds_peers(child) for child in measure.children)


def as_measure(value: Measure | float) -> Measure:
    """Return a measure, or a number as one. Raises: DefinitionError for anything else."""
    if isinstance(value, Measure):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(f"{value!r} is neither a measure nor a number.")
    return Constant(value)
