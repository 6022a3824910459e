"""Different values in windows: bits say in which segments a value occurred; windows are masks of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import pyarrow as pa

from lifecycle_ml.matrix.facts import WORD, Array, Cuts
from lifecycle_ml.matrix.nodes import Rows
from lifecycle_ml.matrix.positions import pair_key, positions_between, run_starts, running_sum
from lifecycle_ml.matrix.snapshots import Seen, Snapshots
from lifecycle_ml.matrix.tile_columns import column_of, identities, whole_numbers
from lifecycle_ml.matrix.windows import Taken

AT_ONCE = 4_000_000
"""Pairs of snapshot and value looked at in one go: some 100 MB."""


class Values:
    """Every different value of one column by account, and in which segments it occurred: bits."""

    def __init__(
        self, values: pa.Table, conditions: Mapping[str | None, str], cuts: Cuts, snapshots: Snapshots
    ) -> None:
        self._cuts, self._snapshots, self._conditions = cuts, snapshots, conditions
        seen, asked = Seen.read(values)
        account, word = (whole_numbers(values[name])[0] for name in ("account", "word"))
        whose = pair_key(account, identities(values["counted"]))
        order = np.argsort(whose, kind="stable")
        slot_of = np.empty(len(order), dtype="int64")
        starts = run_starts(whose[order])
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
            bits = column_of(values[name], "bits").value
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
        windows, which = np.unique(pair_key(low, high), return_inverse=True)
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
            running = running_sum(hit)
            asked = np.flatnonzero(which == number)
            total[asked] = running[last[asked]] - running[first[asked]]
        return total

    def _by_snapshot(self, bits: Array, low: Array, high: Array) -> Array:
        """Test the values of each account against the windows of its own snapshots."""
        total = np.zeros(len(low), dtype="int64")
        first, last = self._slots
        for part in _chunks(last - first):
            snapshot, slot = positions_between(first[part], last[part])
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
        pairs = np.unique(pair_key(seer[found], slot[fact[found]]))
        seer, slot = pairs >> 32, pairs & 0xFFFFFFFF
        new = np.ones(len(seer), dtype=bool)
        for further in range(len(bits)):
            new &= (bits[further, slot] & _mask(low[seer], high[seer], np.full(len(seer), further))) == 0
        np.add.at(total, seer[new], 1)


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
