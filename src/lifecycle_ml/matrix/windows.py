"""Windows over tiles in NumPy: tiles sorted once, every window a difference of positions.

Additive measures are differences of running sums, kept as whole numbers so that they are exact in any order.
The largest, smallest, latest and first are taken over the tiles between two positions; different values are
counted in `distinct.py`. What was late or replaced is laid beside the snapshots that could see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lifecycle_ml.matrix.facts import Array, Cuts, FactSet, needs_of
from lifecycle_ml.matrix.nodes import ORDERED, Rows
from lifecycle_ml.matrix.positions import pair_key, run_starts, running_sum
from lifecycle_ml.matrix.snapshots import NEVER, Seen, Snapshots
from lifecycle_ml.matrix.tile_columns import column_of, whole_numbers


@dataclass(frozen=True)
class Taken:
    """What a leaf found for each snapshot: the parts of a total, an extreme (infinite for none), a count."""

    parts: tuple[Array, ...]
    scale: int = 0
    """Digits behind the point of the first part."""
    texts: tuple[str, ...] = ()
    """What the numbers of a latest() or first() stand for, in their order."""

    @staticmethod
    def joined(several: Sequence[Taken]) -> Taken:
        """Return what consecutive snapshots found as one."""
        if len(several) == 1:
            return several[0]
        parts = tuple(np.concatenate(same) for same in zip(*(one.parts for one in several), strict=True))
        if not any(one.texts for one in several):
            return Taken(parts, several[0].scale)
        texts = tuple(sorted(set().union(*(one.texts for one in several))))
        places = [np.searchsorted(texts, one.texts).astype("float64") for one in several]
        numbers = []
        for one, place in zip(several, places, strict=True):
            number = one.parts[0].copy()
            found = np.isfinite(number)
            number[found] = place[number[found].astype("int64")]
            numbers.append(number)
        return Taken((np.concatenate(numbers),), texts=texts)

    def by_row(self, leaf: Rows, snapshots: Snapshots) -> Array:
        """Return the leaf for every row of the spine: numbers, NaN for null.

        Dates are days from 1970-01-01; a latest() or first() is its place among `texts`. Where several
        accounts roll up to a row, a value or day that two of them have counts twice.
        """
        if leaf.verb in {"largest", "smallest", *ORDERED}:
            most = leaf.verb in {"largest", "latest"}
            better, none = (np.maximum, -np.inf) if most else (np.minimum, np.inf)
            found = snapshots.best(self.parts[0], better, none)
            found[np.isinf(found)] = np.nan
            return found
        total, *counts = (snapshots.added(part) for part in self.parts)
        number = total.astype("float64") if self.scale == 0 else total / float(10**self.scale)
        if len(counts) == 2:
            # Rows without any value are not the same as no rows.
            number = np.where((counts[0] > 0) & (counts[1] == 0), np.nan, number)
        return number


class Tiles:
    """The tiles of one fact set, and its windows as seen by snapshots."""

    def __init__(self, tiles: pa.Table, facts: FactSet, cuts: Cuts, snapshots: Snapshots) -> None:
        self._facts, self._cuts, self._snapshots = facts, cuts, snapshots
        seen, asked = Seen.read(tiles)
        account, segment = (whole_numbers(tiles[name])[0] for name in ("account", "segment"))
        columns = {name: column_of(tiles[name], what) for (what, *_), name in facts.partials.items()}
        on_time = np.flatnonzero(~asked)
        key = pair_key(account[on_time], segment[on_time])
        order = on_time[np.argsort(key, kind="stable")]
        self._key = pair_key(account[order], segment[order])
        self._columns = {name: column.take(order) for name, column in columns.items()}
        self._sums: dict[str, Array] = {}
        self._late_sums: dict[str, Array] = {}
        rest = np.flatnonzero(asked)
        reach = max((leaf.ago + leaf.days for leaf in facts.additive if leaf.days is not None), default=0)
        endless = any(leaf.days is None for leaf in facts.additive)
        begins = cuts.days[segment[rest]]
        until = np.full(len(rest), cuts.days[-1]) if endless else begins + reach
        tile, seer = snapshots.may_see(account[rest], cuts.days[segment[rest] + 1], until)
        visible = seen[rest[tile]].by(snapshots, seer)
        tile, seer = tile[visible], seer[visible]
        age = snapshots.day[seer] - begins[tile]
        self._late_key = pair_key(seer, age)
        by_age = np.argsort(self._late_key, kind="stable")
        self._late_key = self._late_key[by_age]
        tile, self._seer, self._age = tile[by_age], seer[by_age], age[by_age]
        self._segment = segment[rest[tile]]
        self._others = {name: column.take(rest[tile]) for name, column in columns.items()}
        self._positions: dict[int | None, Array] = {}
        self._late_positions: dict[int | None, Array] = {}

    def taken(self, leaf: Rows) -> Taken:
        """Return what the leaf found in the window of every snapshot."""
        partial = [self._facts.partials[need] for need in needs_of(leaf)]
        first = self._columns[partial[0]]
        if leaf.counts_days:
            return Taken((self._days(leaf, partial[0]),))
        if leaf.verb in {"count", "total"}:
            return Taken(tuple(self._sum(leaf, name) for name in partial), first.scale)
        return Taken((self._extreme(leaf, partial[0]),), texts=first.texts)

    def _at(self, shift: int | None) -> Array:
        """Return how many tiles lie before the snapshots' date, moved back; before everything for None."""
        if shift not in self._positions:
            days = self._snapshots.day - shift if shift is not None else None
            segment = self._cuts.index(days) if days is not None else np.zeros_like(self._snapshots.day)
            self._positions[shift] = np.searchsorted(self._key, pair_key(self._snapshots.account, segment))
        return self._positions[shift]

    def _between(self, leaf: Rows) -> tuple[Array, Array]:
        return self._at(None if leaf.days is None else leaf.ago + leaf.days), self._at(leaf.ago)

    def _late_at(self, shift: int | None) -> Array:
        """Return how many tiles lie beside earlier snapshots, or here and are no older than `shift`."""
        if shift not in self._late_positions:
            seer = np.arange(len(self._snapshots.day))
            age = np.full(len(seer), shift if shift is not None else 2**32 - 1)
            self._late_positions[shift] = np.searchsorted(self._late_key, pair_key(seer, age), side="right")
        return self._late_positions[shift]

    def _late_between(self, leaf: Rows) -> tuple[Array, Array]:
        return self._late_at(leaf.ago), self._late_at(None if leaf.days is None else leaf.ago + leaf.days)

    def _late(self, leaf: Rows) -> Array:
        """Return which of the tiles laid beside their seers lie in the window."""
        inside = self._age > leaf.ago
        return np.flatnonzero(inside if leaf.days is None else inside & (self._age <= leaf.ago + leaf.days))

    def _sum(self, leaf: Rows, name: str) -> Array:
        if name not in self._sums:
            self._late_sums[name] = running_sum(self._others[name].value)
            self._sums[name] = running_sum(self._columns[name].value)
        low, high = self._between(leaf)
        total = self._sums[name][high] - self._sums[name][low]
        if len(self._late_key):
            newer, older = self._late_between(leaf)
            total += self._late_sums[name][older] - self._late_sums[name][newer]
        return total

    def _extreme(self, leaf: Rows, name: str) -> Array:
        column, others = self._columns[name], self._others[name]
        most = leaf.verb in {"largest", "latest"}
        better, none = (np.maximum, -np.inf) if most else (np.minimum, np.inf)
        low, high = self._between(leaf)
        value = np.append(np.where(column.there, column.value, none), none)
        found = np.full(len(low), none)
        some = np.flatnonzero(high > low)
        if len(some):
            spans = np.column_stack([low[some], high[some]]).ravel()
            found[some] = better.reduceat(value, spans)[::2]
        late = self._late(leaf)
        late = late[others.there[late]]
        better.at(found, self._seer[late], others.value[late])
        return found

    def _days(self, leaf: Rows, name: str) -> Array:
        """Count the days in a window: those on time by running sums, the others where they add a day."""
        bits = self._columns[name].value
        running = running_sum(np.bitwise_count(bits))
        low, high = self._between(leaf)
        total = running[high] - running[low]
        late = self._late(leaf)
        seer, segment, day = self._seer[late], self._segment[late], self._others[name].value[late]
        order = np.lexsort((segment, seer))
        seer, segment, day = seer[order], segment[order], day[order]
        starts = run_starts(pair_key(seer, segment))
        if len(starts):
            day = np.bitwise_or.reduceat(day, starts)
            seer, segment = seer[starts], segment[starts]
            there = pair_key(self._snapshots.account[seer], segment)
            at = np.searchsorted(self._key, there)
            known = np.append(self._key, NEVER)[at] == there
            day &= ~np.where(known, np.append(bits, np.uint64(0))[at], np.uint64(0))
            np.add.at(total, seer, np.bitwise_count(day))
        return total
