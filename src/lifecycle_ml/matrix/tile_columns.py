"""Columns of tiles from Arrow: whole numbers kept exact, floats, bits, and texts by their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lifecycle_ml.matrix.facts import Array
from lifecycle_ml.matrix.nodes import ORDERED


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


def column_of(column: pa.ChunkedArray, what: str) -> Column:
    """Return a column of tiles that holds `what`, as a partial names it: total, bits, latest, largest, …"""
    if what in ORDERED:
        return _stamped(column)
    if what in {"total", "rows", "values"}:
        value, there = whole_numbers(column)
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
        return Column(whole_numbers(column)[0] / float(10**column.type.scale), there)
    return Column(np.asarray(pc.cast(column, pa.float64()).fill_null(0.0)), there)


def _stamped(column: pa.ChunkedArray) -> Column:
    """Number stamped texts in their order, so that the latest is the largest."""
    there = np.asarray(pc.is_valid(column))
    codes, texts = pd.factorize(column.to_pandas(), sort=True)
    return Column(codes.astype("float64"), there, texts=tuple(texts))


def whole_numbers(column: pa.ChunkedArray) -> tuple[Array, Array]:
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


def instants(column: pa.ChunkedArray) -> tuple[Array, Array]:
    """Return microseconds from 1970-01-01 and where they are; nulls are 0."""
    there = np.asarray(pc.is_valid(column))
    if pa.types.is_null(column.type):
        return np.zeros(len(column), dtype="int64"), there
    micros = pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64())
    return np.asarray(pc.fill_null(micros, 0)), there


def identities(column: pa.ChunkedArray) -> Array:
    """Number different values; the numbers mean nothing else."""
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices).astype("int64")
