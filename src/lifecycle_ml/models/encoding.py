"""Columns of a table as numbers a tree can split: gaps stay gaps, categories become yes/no columns.

LightGBM's own categories are not used: contributions must stay exact for every mode of SHAP, and a level of
three accounts must not get a split of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.models.block import Block, Matrix, as_texts, is_number_type

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class EncodedColumn:
    """One source column: a number (levels is None), or a category with its frequent levels."""

    name: str
    levels: tuple[str, ...] | None = None

    @property
    def width(self) -> int:
        """Number of encoded columns: one for a number, one per level and one for every other level."""
        return 1 if self.levels is None else len(self.levels) + 1


@dataclass(frozen=True)
class Encoding:
    """How a frame becomes a matrix of floats; fitted once, then the same for every later frame."""

    columns: tuple[EncodedColumn, ...]

    @classmethod
    def fit(
        cls,
        frame: pd.DataFrame,
        groups: npt.NDArray[np.int64] | None = None,
        *,
        min_level: int = 20,
        max_levels: int = 50,
    ) -> Encoding:
        """Learn names, kinds and levels of `frame`.

        A level is kept when at least `min_level` rows (different groups, where groups are given) have it; the
        `max_levels` most frequent are kept, the rest share one column.
        Raises: TypeError for a column that is neither numbers, yes/no nor categories (dates, for instance).
        """
        return cls(
            tuple(
                _fit_column(str(name), frame[name], groups, min_level, max_levels) for name in frame.columns
            )
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Source columns in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def sources(self) -> npt.NDArray[np.int64]:
        """For each encoded column the position of its source column."""
        widths = [column.width for column in self.columns]
        return np.repeat(np.arange(len(widths)), widths)

    @cached_property
    def _starts(self) -> list[int]:
        """Of each source column its first encoded column."""
        return np.flatnonzero(np.diff(self.sources, prepend=-1)).tolist()

    @cached_property
    def _numbers(self) -> tuple[list[str], Places]:
        """Return the columns of numbers, and the encoded column of each."""
        found = [
            (column.name, start)
            for column, start in zip(self.columns, self._starts, strict=True)
            if column.levels is None
        ]
        return [name for name, _ in found], np.array([start for _, start in found], dtype=np.intp)

    @cached_property
    def _categories(self) -> list[tuple[int, EncodedColumn]]:
        """Return the categories, each with its first encoded column."""
        return [
            (start, column)
            for column, start in zip(self.columns, self._starts, strict=True)
            if column.levels is not None
        ]

    def start(self, name: str) -> int:
        """Return the first encoded column of a source column."""
        return self._starts[self.names.index(name)]

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """Encoded columns in order: a category's read `plan=basic`; the last one gathers the other levels."""
        names: list[str] = []
        for column in self.columns:
            if column.levels is None:
                names.append(column.name)
            else:
                names += [f"{column.name}={level}" for level in column.levels] + [f"{column.name}=(other)"]
        return tuple(names)

    def transform(self, matrix: Matrix) -> Floats:
        """Encode a table with (at least) the fitted columns, in any order. Nulls are NaN.

        Raises: ValueError naming missing columns; TypeError for text where numbers are expected.
        """
        block = Block.of(matrix)
        if missing := block.lacking(self.names):
            shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
            raise ValueError(f"{len(missing)} of {len(self.columns)} fitted columns are missing: {shown}.")
        out = np.empty((len(block), len(self.sources)))
        names, starts = self._numbers
        numeric = block.numeric
        out[:, starts] = block.numbers(names).T
        for name, start in zip(names, starts.tolist(), strict=True):
            if name not in numeric:
                out[:, start] = _as_numbers(name, block.frame[name])
        for start, column in self._categories:
            out[:, start : start + column.width] = _one_hot(block.texts(column.name), column.levels or ())
        return out

    def gather(self, values: Floats) -> Floats:
        """Sum encoded columns (last axis) back onto their source columns."""
        if len(self.columns) == values.shape[-1]:
            return values
        return np.add.reduceat(values, self._starts, axis=-1)

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain values for a manifest."""
        return [
            {"name": c.name, "levels": None if c.levels is None else list(c.levels)} for c in self.columns
        ]

    @classmethod
    def from_json(cls, columns: Sequence[Mapping[str, Any]]) -> Encoding:
        """Rebuild from `to_json`."""
        return cls(
            tuple(
                EncodedColumn(c["name"], None if c["levels"] is None else tuple(c["levels"])) for c in columns
            )
        )


def _fit_column(
    name: str,
    values: pd.Series,
    groups: npt.NDArray[np.int64] | None,
    min_level: int,
    max_levels: int,
) -> EncodedColumn:
    if is_number_type(values.dtype):
        return EncodedColumn(name)
    if not (
        isinstance(values.dtype, (pd.CategoricalDtype, pd.StringDtype))
        or pd.api.types.is_object_dtype(values.dtype)
    ):
        raise TypeError(
            f"column {name!r} is {values.dtype}; give numbers, yes/no or categories "
            "(a date says something only as a distance in days)."
        )
    texts = as_texts(values)
    kept = texts.notna().to_numpy()
    if groups is None:
        counts = texts[kept].value_counts()
    else:
        pairs = pd.DataFrame({"level": texts[kept], "group": groups[kept]}).drop_duplicates()
        counts = pairs["level"].value_counts()
    frequent = counts[counts >= min_level]
    # value_counts breaks ties by order of appearance: order by count, then name, to be the same for any order
    order = sorted(frequent.items(), key=lambda item: (-int(item[1]), str(item[0])))
    return EncodedColumn(name, tuple(sorted(str(level) for level, _ in order[:max_levels])))


def _as_numbers(name: str, values: pd.Series) -> Floats:
    """Return what is not stored as numbers, and was when fitted, as numbers."""
    try:
        numbers = pd.to_numeric(values.astype(object))
    except (TypeError, ValueError) as error:
        raise TypeError(f"column {name!r} held numbers when fitted and is {values.dtype} now.") from error
    return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def _one_hot(texts: Sequence[str | None], levels: tuple[str, ...]) -> Floats:
    place: dict[str | None, int] = {level: at for at, level in enumerate(levels)}
    encoded = np.zeros((len(texts), len(levels) + 1))
    encoded[np.arange(len(texts)), [place.get(text, len(levels)) for text in texts]] = 1.0
    encoded[[text is None for text in texts]] = np.nan
    return encoded


def steps_of(groups: Sequence[npt.NDArray[np.intp]]) -> tuple[int, list[tuple[Places, Places]]]:
    """Return how many groups there are, and in which steps `sum_groups` adds up their columns.

    Step n takes the nth column of each group that has so many: the places of these groups, and the columns.
    """
    steps = []
    for step in range(max((len(group) for group in groups), default=0)):
        at = [number for number, group in enumerate(groups) if len(group) > step]
        steps.append((np.array(at), np.array([groups[number][step] for number in at])))
    return len(groups), steps


def sum_groups(values: Floats, grouped: tuple[int, list[tuple[Places, Places]]]) -> Floats:
    """Add up columns, group by group (`steps_of`): (..., columns, rows) to (..., groups, rows).

    The columns of a group are added in their order for every row, so that a row has the same bits alone as in
    a batch; an empty group is 0.
    """
    count, steps = grouped
    found = np.zeros((*values.shape[:-2], count, values.shape[-1]))
    for number, (at, columns) in enumerate(steps):
        if number:
            found[..., at, :] += values[..., columns, :]
        else:
            found[..., at, :] = values[..., columns, :]
    return found
