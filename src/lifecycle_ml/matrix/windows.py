"""Windows over tiles in NumPy: tiles sorted once, every window a difference of positions.

Additive measures are differences of running sums, kept as whole numbers so that they are exact in any order.
The largest, smallest, latest and first are taken over the tiles between two positions. Different values are
counted by testing bits. What was late or replaced is laid beside the snapshots that could see it, one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lifecycle_ml.matrix.facts import SEEN, WORD, Array, Cuts, FactSet, needs_of
from lifecycle_ml.matrix.nodes import ORDERED, Rows

NEVER = np.iinfo("int64").max
ALWAYS = np.iinfo("int64").min
AT_ONCE = 4_000_000
"""Pairs of snapshot and value looked at in one go: some 100 MB."""


@dataclass(frozen=True)
class Snapshots:
    """Who looks, from when, and until when they look: sorted by account and day.

    row       position on the spine; several where child accounts roll up to one row
    account   number of the account looked at
    day       as_of, days from 1970-01-01
    known     until when we look, microseconds from 1970-01-01
    """

    row: Array
    account: Array
    day: Array
    known: Array
    rows: int
    """Rows of the spine."""

    @classmethod
    def of(cls, members: pd.DataFrame, accounts: Mapping[str, int], rows: int) -> Snapshots:
        """Sort the members of a spine (row, member, as_of, known_until)."""
        account = members["member"].map(accounts).to_numpy(dtype="int64")
        day = members["as_of"].to_numpy().astype("datetime64[D]").astype("int64")
        known = members["known_until"].to_numpy().astype("datetime64[us]").astype("int64")
        order = np.lexsort((day, account))
        row = members["row"].to_numpy(dtype="int64")
        return cls(row[order], account[order], day[order], known[order], rows)

    @cached_property
    def families(self) -> Array:
        """Rows of the spine to which several accounts roll up."""
        return np.flatnonzero(np.bincount(self.row, minlength=self.rows) > 1)

    def added(self, value: Array) -> Array:
        """Add up what the accounts of each row of the spine have; whole numbers."""
        total = np.zeros(self.rows, dtype=value.dtype)
        np.add.at(total, self.row, value)
        return total

    def best(self, value: Array, better: Any, none: float) -> Array:
        """Return the largest or smallest of what the accounts of each row of the spine have."""
        found = np.full(self.rows, none)
        better.at(found, self.row, value)
        return found

    @cached_property
    def key(self) -> Array:
        """Account and day as one number that sorts as they do."""
        return _key(self.account, self.day)

    def of_accounts(self, low: int, high: int) -> Snapshots:
        """Return those of the accounts from low to just before high."""
        which = slice(*(int(edge) for edge in np.searchsorted(self.account, [low, high])))
        return Snapshots(self.row[which], self.account[which], self.day[which], self.known[which], self.rows)

    def may_see(self, account: Array, begins: Array, until: Array) -> tuple[Array, Array]:
        """Pair facts with the snapshots of their account from a day (`begins`) through another.

        Returns positions among the facts and among the snapshots.
        """
        low = np.searchsorted(self.key, _key(account, begins))
        high = np.searchsorted(self.key, _key(account, until), side="right")
        return _expand(low, high)


@dataclass(frozen=True)
class Seen:
    """Facts that can be seen from some instant on, or until one: what was late or replaced."""

    known: Array
    superseded: Array
    appears: Array

    @classmethod
    def read(cls, tiles: pa.Table) -> tuple[Seen, Array]:
        """Return when each tile can be seen, and which tiles need to be asked."""
        asked = np.zeros(len(tiles), dtype=bool)
        seen = []
        for name, default in zip(SEEN, (ALWAYS, NEVER, ALWAYS), strict=True):
            if name in tiles.column_names:
                value, there = _instants(tiles[name])
                asked |= there
                seen.append(np.where(there, value, default))
            else:
                seen.append(np.full(len(tiles), default))
        known, superseded, appears = seen
        return cls(known, superseded, appears), asked

    def __getitem__(self, which: Array) -> Seen:
        return Seen(self.known[which], self.superseded[which], self.appears[which])

    def by(self, snapshots: Snapshots, seer: Array) -> Array:
        """Whether each fact is seen by the snapshot beside it."""
        looks, day = snapshots.known[seer], snapshots.day[seer] * 86_400_000_000
        return (self.known <= looks) & (looks < self.superseded) & (self.appears <= day)


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
        account, segment = (_whole(tiles[name])[0] for name in ("account", "segment"))
        columns = {name: _column(tiles[name], what) for (what, *_), name in facts.partials.items()}
        on_time = np.flatnonzero(~asked)
        key = _key(account[on_time], segment[on_time])
        order = on_time[np.argsort(key, kind="stable")]
        self._key = _key(account[order], segment[order])
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
        self._late_key = _key(seer, age)
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
            self._positions[shift] = np.searchsorted(self._key, _key(self._snapshots.account, segment))
        return self._positions[shift]

    def _between(self, leaf: Rows) -> tuple[Array, Array]:
        return self._at(None if leaf.days is None else leaf.ago + leaf.days), self._at(leaf.ago)

    def _late_at(self, shift: int | None) -> Array:
        """Return how many tiles lie beside earlier snapshots, or here and are no older than `shift`."""
        if shift not in self._late_positions:
            seer = np.arange(len(self._snapshots.day))
            age = np.full(len(seer), shift if shift is not None else 2**32 - 1)
            self._late_positions[shift] = np.searchsorted(self._late_key, _key(seer, age), side="right")
        return self._late_positions[shift]

    def _late_between(self, leaf: Rows) -> tuple[Array, Array]:
        return self._late_at(leaf.ago), self._late_at(None if leaf.days is None else leaf.ago + leaf.days)

    def _late(self, leaf: Rows) -> Array:
        """Return which of the tiles laid beside their seers lie in the window."""
        inside = self._age > leaf.ago
        return np.flatnonzero(inside if leaf.days is None else inside & (self._age <= leaf.ago + leaf.days))

    def _sum(self, leaf: Rows, name: str) -> Array:
        if name not in self._sums:
            self._late_sums[name] = _running(self._others[name].value)
            self._sums[name] = _running(self._columns[name].value)
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
        running = _running(np.bitwise_count(bits))
        low, high = self._between(leaf)
        total = running[high] - running[low]
        late = self._late(leaf)
        seer, segment, day = self._seer[late], self._segment[late], self._others[name].value[late]
        order = np.lexsort((segment, seer))
        seer, segment, day = seer[order], segment[order], day[order]
        starts = _starts(_key(seer, segment))
        if len(starts):
            day = np.bitwise_or.reduceat(day, starts)
            seer, segment = seer[starts], segment[starts]
            there = _key(self._snapshots.account[seer], segment)
            at = np.searchsorted(self._key, there)
            known = np.append(self._key, NEVER)[at] == there
            day &= ~np.where(known, np.append(bits, np.uint64(0))[at], np.uint64(0))
            np.add.at(total, seer, np.bitwise_count(day))
        return total


class Values:
    """Every different value of one column by account, and in which segments it occurred: bits."""

    def __init__(
        self, values: pa.Table, conditions: Mapping[str | None, str], cuts: Cuts, snapshots: Snapshots
    ) -> None:
        self._cuts, self._snapshots, self._conditions = cuts, snapshots, conditions
        seen, asked = Seen.read(values)
        account, word = (_whole(values[name])[0] for name in ("account", "word"))
        whose = _key(account, _identities(values["counted"]))
        order = np.argsort(whose, kind="stable")
        slot_of = np.empty(len(order), dtype="int64")
        starts = _starts(whose[order])
        slot_of[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
        self._account = account[order][starts]
        first = np.searchsorted(self._account, snapshots.account)
        self._slots = first, np.searchsorted(self._account, snapshots.account, side="right")
        self._bits: dict[str, Array] = {}
        self._others: dict[str, Array] = {}
        rest = np.flatnonzero(asked)
        self._rest = slot_of[rest], word[rest], account[rest], seen[rest]
        on_time = np.flatnonzero(~asked)
        for name in conditions.values():
            bits = _column(values[name], "bits").value
            dense = np.zeros((cuts.words, len(starts)), dtype="uint64")
            # One row for each account, value and word: nothing is written twice.
            dense[word[on_time], slot_of[on_time]] = bits[on_time]
            self._bits[name], self._others[name] = dense, bits[rest]

    def taken(self, leaf: Rows) -> Taken:
        """Return how many different values lie in the window of every snapshot."""
        name = self._conditions[leaf.where]
        bits = self._bits[name]
        day = self._snapshots.day
        high = self._cuts.index(day - leaf.ago)
        low = np.zeros_like(high) if leaf.days is None else self._cuts.index(day - leaf.ago - leaf.days)
        windows, which = np.unique(_key(low, high), return_inverse=True)
        spans = [(int(key >> 32), int(key & 0xFFFFFFFF)) for key in windows]
        first, last = self._slots
        if len(spans) * bits.shape[1] <= 2 * int((last - first).sum()):
            total = self._by_window(bits, spans, which)
        else:
            total = self._by_snapshot(bits, low, high)
        self._add_others(total, leaf, bits, self._others[name], low, high)
        return Taken((total,))

    def _by_window(self, bits: Array, spans: list[tuple[int, int]], which: Array) -> Array:
        """Test all values against each different window: what snapshots on shared dates ask."""
        total = np.zeros(len(which), dtype="int64")
        first, last = self._slots
        for number, (low, high) in enumerate(spans):
            hit = np.zeros(bits.shape[1], dtype=bool)
            for word, mask in _masks(low, high):
                hit |= (bits[word] & mask) != 0
            running = _running(hit)
            asked = np.flatnonzero(which == number)
            total[asked] = running[last[asked]] - running[first[asked]]
        return total

    def _by_snapshot(self, bits: Array, low: Array, high: Array) -> Array:
        """Test the values of each account against the windows of its own snapshots."""
        total = np.zeros(len(low), dtype="int64")
        first, last = self._slots
        for part in _chunks(last - first):
            snapshot, slot = _expand(first[part], last[part])
            begin, end = low[part], high[part]
            hit = np.zeros(len(slot), dtype=bool)
            for further in range(int(((end - 1) // WORD - begin // WORD).max(initial=-1)) + 1):
                word = np.minimum(begin // WORD + further, len(bits) - 1)
                # Beyond the last word of a window nothing is left of it.
                mask = np.where(begin // WORD + further < len(bits), _mask(begin, end, word), np.uint64(0))
                hit |= (bits[word[snapshot], slot] & mask[snapshot]) != 0
            total[part] = np.bincount(snapshot[hit], minlength=part.stop - part.start)
        return total

    def _add_others(
        self, total: Array, leaf: Rows, bits: Array, others: Array, low: Array, high: Array
    ) -> None:
        """Count the values a snapshot saw only in facts that were late or replaced later."""
        slot, word, account, seen = self._rest
        until = np.full(len(slot), self._cuts.days[-1])
        if leaf.days is not None:
            until = self._cuts.days[word * WORD + _highest(others)] + leaf.ago + leaf.days
        begins = self._cuts.days[word * WORD + _lowest(others)]
        fact, seer = self._snapshots.may_see(account, begins, until)
        mask = _mask(low[seer], high[seer], word[fact])
        found = ((others[fact] & mask) != 0) & seen[fact].by(self._snapshots, seer)
        pairs = np.unique(_key(seer[found], slot[fact[found]]))
        seer, slot = pairs >> 32, pairs & 0xFFFFFFFF
        new = np.ones(len(seer), dtype=bool)
        for further in range(len(bits)):
            new &= (bits[further, slot] & _mask(low[seer], high[seer], np.full(len(seer), further))) == 0
        np.add.at(total, seer[new], 1)


@dataclass(frozen=True)
class Column:
    """A column of tiles: whole numbers (times 10^scale), floats or bits; where it is not null; its texts."""

    value: Array
    there: Array
    scale: int = 0
    texts: tuple[str, ...] = ()

    def take(self, which: Array) -> Column:
        """Return the column at these positions."""
        return Column(self.value[which], self.there[which], self.scale, self.texts)


def _column(column: pa.ChunkedArray, what: str) -> Column:
    if what in ORDERED:
        return _stamped(column)
    if what in {"total", "rows", "values"}:
        value, there = _whole(column)
        scale = column.type.scale if pa.types.is_decimal(column.type) else 0
        return Column(value, there, scale)
    if what in {"bits", "days"}:
        there = np.asarray(pc.is_valid(column))
        return Column(np.asarray(pc.fill_null(column, 0)).astype("uint64"), there)
    there = np.asarray(pc.is_valid(column))
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        days = np.asarray(pc.cast(pc.cast(column, pa.date32()), pa.int32()).fill_null(0))
        return Column(days.astype("float64"), there)
    if pa.types.is_decimal(column.type):
        # Arrow's own cast rounds twice.
        return Column(_whole(column)[0] / float(10**column.type.scale), there)
    return Column(np.asarray(pc.cast(column, pa.float64()).fill_null(0.0)), there)


def _stamped(column: pa.ChunkedArray) -> Column:
    """Number stamped texts in their order, so that the latest is the largest."""
    there = np.asarray(pc.is_valid(column))
    codes, texts = pd.factorize(column.to_pandas(), sort=True)
    return Column(codes.astype("float64"), there, texts=tuple(texts))


def _whole(column: pa.ChunkedArray) -> tuple[Array, Array]:
    """Return whole numbers (unscaled, for decimals) and where they are; nulls are 0."""
    there = np.asarray(pc.is_valid(column))
    if not pa.types.is_decimal(column.type):
        return np.asarray(pc.fill_null(column, 0)).astype("int64"), there
    parts = [np.zeros(0, dtype="int64")]
    for chunk in column.chunks:
        words = np.frombuffer(chunk.buffers()[1], dtype="int64")
        words = words[2 * chunk.offset : 2 * (chunk.offset + len(chunk))].reshape(-1, 2)
        valid = np.asarray(chunk.is_valid())
        low, high = np.where(valid, words[:, 0], 0), np.where(valid, words[:, 1], 0)
        if not np.array_equal(high, low >> 63):
            raise OverflowError("a total of one account in one segment is beyond 9.2e18.")
        parts.append(low)
    return np.concatenate(parts), there


def _instants(column: pa.ChunkedArray) -> tuple[Array, Array]:
    there = np.asarray(pc.is_valid(column))
    if pa.types.is_null(column.type):
        return np.zeros(len(column), dtype="int64"), there
    micros = pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64())
    return np.asarray(pc.fill_null(micros, 0)), there


def _identities(column: pa.ChunkedArray) -> Array:
    """Number different values; the numbers mean nothing else."""
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices).astype("int64")


def _key(major: Array, minor: Array) -> Array:
    """Return two numbers, the second below 2^32, as one that sorts as they do."""
    key: Array = (major.astype("int64") << 32) | minor.astype("int64")
    return key


def _running(value: Array) -> Array:
    """Return what lies before each position, and before the end; whole numbers."""
    running = np.zeros(len(value) + 1, dtype="int64")
    np.cumsum(value, out=running[1:])
    return running


def _starts(sorted_keys: Array) -> Array:
    """Return where runs of equal keys begin."""
    if not len(sorted_keys):
        return np.zeros(0, dtype="int64")
    return np.concatenate([[0], np.flatnonzero(sorted_keys[1:] != sorted_keys[:-1]) + 1])


def _expand(low: Array, high: Array) -> tuple[Array, Array]:
    """Return every position between low and high, and the number of the pair it belongs to."""
    length = np.maximum(high - low, 0)
    owner = np.repeat(np.arange(len(low)), length)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(length) - length, length)
    return owner, low[owner] + within


def _chunks(lengths: Array) -> Iterator[slice]:
    """Cut rows into parts whose lengths add up to about AT_ONCE."""
    part = np.cumsum(lengths) // AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(part)) + 1), len(lengths)]
    for begin, end in pairwise(edges):
        yield slice(int(begin), int(end))


def _lowest(bits: Array) -> Array:
    """Return the place of the lowest bit set; 0 where none is."""
    lowest = bits & (~bits + np.uint64(1))
    return np.where(bits == 0, 0, np.bitwise_count(lowest - np.uint64(1)))


def _highest(bits: Array) -> Array:
    """Return the place of the highest bit set; 0 where none is."""
    filled = bits.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        filled |= filled >> np.uint64(shift)
    highest: Array = np.maximum(np.bitwise_count(filled).astype("int64") - 1, 0)
    return highest


def _masks(low: int, high: int) -> Iterator[tuple[int, np.uint64]]:
    """Return the words and bits of the segments from low to just before high."""
    for word in range(low // WORD, (high - 1) // WORD + 1):
        edges = np.array([low]), np.array([high]), np.array([word])
        yield word, _mask(*edges)[0]


def _mask(low: Array, high: Array, word: Array) -> Array:
    """Return the bits in a word of the segments from low to just before high."""
    full = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
    begin = np.clip(low - word * WORD, 0, WORD).astype("uint64")
    end = np.clip(high - word * WORD, 0, WORD).astype("uint64")
    upper = np.where(end == WORD, full, (np.uint64(1) << (end % np.uint64(WORD))) - np.uint64(1))
    lower = np.where(begin == WORD, full, (np.uint64(1) << (begin % np.uint64(WORD))) - np.uint64(1))
    return upper & ~lower
