"""Facts: rows that happen on a day and do not change afterwards, grouped once into tiles.

Most measures look at facts through windows: events, meetings, tickets by the day they were opened, contacts
by the day they left. What such a measure sees depends on as_of by the window and by what was known, and by
nothing else. Measures that are not of that kind (a ticket open as of a date, a contract in force) look at
states; `aggregates.py` has those.

The ends of all windows of all as_of dates cut the time line into segments; no window ever needs part of one.
A tile is what one account did in one segment. Facts known by the end of their segment are on time: every
window they lie in ends later, so they need no second look. The others are late, or versions that were later
replaced; their tiles say when they can be seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from operator import or_
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pandas as pd
from sqlglot import exp

from lifecycle_ml.conditions.translate import to_ibis
from lifecycle_ml.matrix.aggregates import combine, countable, stamp, visible_from
from lifecycle_ml.matrix.definition import AS_OF, columns_of, parsed
from lifecycle_ml.matrix.nodes import ORDERED, Rows
from lifecycle_ml.tables.schema import SCHEMAS

WORD = 64
"""Segments in one word of bits."""
_DAY = np.timedelta64(1, "D")
_EPOCH = np.datetime64("1970-01-01", "D")

SEEN = ("known", "superseded", "appears")
"""When a tile can be seen: from an instant on, until one, and from an as_of on."""

Partial = tuple[str, str | None, str | None]
"""What a tile holds: what (rows, values, days, total, largest, …), of which column, under which condition."""
Array = npt.NDArray[Any]


@lru_cache(maxsize=4096)
def is_fact(leaf: Rows) -> bool:
    """Whether a leaf looks at facts: rows dated by one column, whose other columns stay as they appear."""
    schema = SCHEMAS[leaf.table]
    dated = leaf.dated_by
    if dated is None or (leaf.days is None and dated != schema.happened):
        return False
    if leaf.days is None and leaf.counts_days:
        return False
    named = {name for text in (leaf.where, leaf.column) if text for name in columns_of(leaf.table, text)}
    if AS_OF in named:
        return False
    return all(name == dated or schema[name].clock in {"row", "today", dated} for name in named)


@dataclass(frozen=True)
class Cuts:
    """The days at which segments begin, sorted; the last one ends the last segment."""

    days: Array
    everything: bool
    """Whether the first segment holds all that happened before it ends."""

    @classmethod
    def of(cls, dates: Array, leaves: Iterable[Rows]) -> Cuts:
        """Cut where the windows of these leaves begin and end, as of days counted from 1970-01-01."""
        shifts: set[int] = set()
        everything = False
        fine = False
        for leaf in leaves:
            shifts.add(leaf.ago)
            if leaf.days is None:
                everything = True
            else:
                shifts.add(leaf.ago + leaf.days)
            fine |= leaf.counts_days
        cuts = np.unique(np.concatenate([dates - shift for shift in sorted(shifts)]))
        if everything:
            cuts = np.concatenate([[cuts[0] - 1], cuts])
        if fine:
            # Days of a segment are counted in a word of bits.
            steps = [np.arange(a, b, WORD) for a, b in itertools.pairwise(cuts)]
            cuts = np.concatenate([*steps, cuts[-1:]])
        return cls(cuts, everything)

    def frame(self) -> pd.DataFrame:
        """Return the days the segments hold, one row a day, under names no table has.

        cut_day, its segment (cut), the midnight at which that ends (cut_ends), where the segment has its bit
        (cut_word, cut_bit), and the bit of the day within the segment (cut_day_bit).
        """
        day = np.arange(self.days[0], self.days[-1])
        segment = np.searchsorted(self.days, day, side="right") - 1
        ends = (_EPOCH + self.days[segment + 1] * _DAY).astype("datetime64[us]")
        return pd.DataFrame(
            {
                "cut_day": day,
                "cut": segment.astype("int32"),
                "cut_ends": ends,
                "cut_word": (segment // WORD).astype("int32"),
                "cut_bit": np.uint64(1) << (segment % WORD).astype("uint64"),
                "cut_day_bit": np.uint64(1) << ((day - self.days[segment]) % WORD).astype("uint64"),
            }
        )

    @property
    def words(self) -> int:
        """Words of bits that hold one bit for every segment."""
        return (len(self.days) - 2) // WORD + 1

    def index(self, days: Array) -> Array:
        """Return which segment begins on each day, all of which are cuts."""
        return np.searchsorted(self.days, days)


@dataclass(frozen=True)
class Look:
    """What the shape of a question rests on beside the facts asked for."""

    everything: bool
    """Whether some window has no beginning."""
    midnights: bool
    """Whether everybody looks at midnights, so that days are fine enough for what was late."""
    versioned: bool
    """Whether rows of the table were replaced by later versions."""
    everybody: bool
    """Whether most accounts look: rows are grouped by id then, and only tiles are given numbers."""


@dataclass(frozen=True)
class FactSet:
    """The leaves over one table dated by one column, and what each needs of a tile."""

    table: str
    dated_by: str
    leaves: tuple[Rows, ...]

    @cached_property
    def additive(self) -> tuple[Rows, ...]:
        """Those whose tiles are counted, added up or compared."""
        return tuple(leaf for leaf in self.leaves if leaf.verb != "distinct" or leaf.counts_days)

    @cached_property
    def distinct(self) -> Mapping[str, tuple[Rows, ...]]:
        """Those that count different values, by the column counted."""
        found: dict[str, list[Rows]] = {}
        for leaf in self.leaves:
            if leaf.verb == "distinct" and not leaf.counts_days:
                found.setdefault(str(leaf.column), []).append(leaf)
        return {column: tuple(leaves) for column, leaves in found.items()}

    def question(self, placed: ibis.Table) -> ibis.Table:
        """Return the tiles of what `placed` gives: whose they are, segment, when seen, and each partial.

        When seen: known, superseded and appears, instants that are null for what was on time; those that
        cannot be anything else are left out.
        """
        columns = {name: self.partial(placed, *one) for one, name in self.partials.items()}
        return placed.group_by(**_keys(placed), segment=placed.cut).aggregate(**columns)

    def values(self, placed: ibis.Table, column: str) -> ibis.Table:
        """Return every value of a column, its tiles as bits.

        Whose it is, counted (the value), when seen, word; and for each condition of `conditions(column)` the
        segments of that word (bits) in which a fact with that value fulfils it.
        """
        valued = placed.mutate(counted=countable(self.expression(placed, column)))
        valued = valued.filter(~valued.counted.isnull())
        named = self.conditions(column)
        if None not in named:
            fulfilled = [self.expression(valued, str(where)) for where in named]
            valued = valued.filter(reduce(or_, fulfilled))
        bits = {
            # what is left fulfils the only condition there is
            name: valued.cut_bit.bit_or(
                where=self.expression(valued, where) if where and len(named) > 1 else None
            )
            for where, name in named.items()
        }
        keys = _keys(valued) | {"word": valued.cut_word, "counted": valued.counted}
        return valued.group_by(**keys).aggregate(**bits)

    def conditions(self, column: str) -> dict[str | None, str]:
        """Return the conditions under which values of a column are counted, and a name for each."""
        return {
            where: f"c{i}"
            for i, where in enumerate(dict.fromkeys(leaf.where for leaf in self.distinct[column]))
        }

    @cached_property
    def partials(self) -> dict[Partial, str]:
        """What every tile holds, and the name of its column."""
        wanted: dict[Partial, None] = {}
        for leaf in self.additive:
            for partial in needs_of(leaf):
                wanted[partial] = None
        return {partial: f"p{i}" for i, partial in enumerate(wanted)}

    def expression(self, rows: ibis.Table, text: str) -> Any:
        """Return an expression of the definitions over rows of the table."""
        return to_ibis(parsed(self.table, text, self.table).tree, rows, self.table)

    def partial(self, placed: ibis.Table, what: str, column: str | None, where: str | None) -> Any:
        """Return what the rows of one tile come to."""
        condition = self.expression(placed, where) if where else None
        if what == "rows":
            return placed.count(where=condition)
        if what == "days":
            return placed.cut_day_bit.bit_or(where=condition)
        value = self.expression(placed, str(column))
        if what == "values":
            return value.count(where=condition)
        dated = stamp(placed[self.dated_by]) if what in ORDERED else None
        return combine(what, value, condition, dated)

    def placed(self, table: ibis.Table, accounts: ibis.Table, segments: ibis.Table, look: Look) -> ibis.Table:
        """Give facts that lie in any window their segment, and when they can be seen.

        Where not `everybody` looks, the others' facts are left out and accounts have their numbers already.
        """
        day = table[self.dated_by].cast("date").delta(ibis.date("1970-01-01"), unit="day")
        days = table.mutate(fact_day=day)
        if look.everything:
            first = segments.cut_day.min().as_scalar()
            days = days.mutate(fact_day=ibis.greatest(days.fact_day, first))
        looked_at = days if look.everybody else days.inner_join(accounts, "account_id")
        placed = looked_at.inner_join(segments, looked_at.fact_day == segments.cut_day)
        seen = {
            "known": ibis.ifelse(
                placed.known_at <= placed.cut_ends,
                ibis.null("timestamp"),
                visible_from(placed.known_at, midnights=look.midnights),
            )
        }
        if look.versioned:
            # A version replaced before its segment was over is never seen.
            placed = placed.filter(placed.superseded_at.isnull() | (placed.superseded_at > placed.cut_ends))
            seen["superseded"] = visible_from(placed.superseded_at, midnights=look.midnights)
        happened = SCHEMAS[self.table].happened
        if happened not in {None, self.dated_by}:
            # Rows that happened later than the date they are looked at by.
            appears = placed[happened].cast("timestamp").truncate("D") + ibis.interval(days=1)
            seen["appears"] = ibis.ifelse(appears > placed.cut_ends, appears, ibis.null("timestamp"))
        return placed.mutate(**seen)


def numbered(tiles: ibis.Table, accounts: ibis.Table) -> ibis.Table:
    """Return tiles with the number of their account instead of its id, without those nobody looks at."""
    if "account_id" not in tiles.columns:
        return tiles
    return tiles.inner_join(accounts, "account_id").drop("account_id").rename(account="account_number")


def fact_sets(leaves: Iterable[Rows]) -> tuple[FactSet, ...]:
    """Group the leaves that look at facts by table and date."""
    found: dict[tuple[str, str], list[Rows]] = {}
    for leaf in leaves:
        if is_fact(leaf):
            found.setdefault((leaf.table, str(leaf.dated_by)), []).append(leaf)
    return tuple(FactSet(table, dated_by, tuple(several)) for (table, dated_by), several in found.items())


def needs_of(leaf: Rows) -> Sequence[Partial]:
    """Return what a leaf needs of every tile."""
    if leaf.verb == "count":
        return [("rows", None, leaf.where)]
    if leaf.counts_days:
        return [("days", None, leaf.where)]
    if leaf.verb == "total":
        needed = [("total", leaf.column, leaf.where), ("rows", None, leaf.where)]
        return needed if _never_null(leaf) else [*needed, ("values", leaf.column, leaf.where)]
    return [(leaf.verb, leaf.column, leaf.where)]


def _never_null(leaf: Rows) -> bool:
    """Whether what is added up has a value in every row: coalesce(…, 1), or a column with a default."""
    tree = parsed(leaf.table, str(leaf.column), leaf.verb).tree
    if isinstance(tree, exp.Column):
        return SCHEMAS[leaf.table][tree.name].default is not None
    return isinstance(tree, exp.Coalesce) and isinstance(tree.expressions[-1], exp.Literal)


def _keys(placed: ibis.Table) -> dict[str, Any]:
    """Return what tiles are grouped by beside their place: whose they are, and when they can be seen."""
    seen = {name: placed[name] for name in SEEN if name in placed.columns}
    if "account_number" in placed.columns:
        return {"account": placed.account_number, **seen}
    return {"account_id": placed.account_id, **seen}
