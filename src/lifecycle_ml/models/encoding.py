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

    def transform(self, frame: pd.DataFrame) -> Floats:
        """Encode a frame with (at least) the fitted columns, in any order. Nulls are NaN.

        Raises: ValueError naming missing columns; TypeError for text where numbers are expected.
        """
        missing = [name for name in self.names if name not in frame.columns]
        if missing:
            shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
            raise ValueError(f"{len(missing)} of {len(self.columns)} fitted columns are missing: {shown}.")
        numbers = [column.name for column in self.columns if column.levels is None]
        block = frame[numbers]
        # all at once where they are plain floats: column by column costs more than one account's score
        plain = all(kind == np.float64 for kind in block.dtypes)
        values = block.to_numpy() if plain else np.column_stack([_numbers(n, frame[n]) for n in numbers])
        out = np.empty((len(frame), sum(column.width for column in self.columns)))
        is_number = np.array([column.levels is None for column in self.columns], dtype=bool)
        widths = np.array([column.width for column in self.columns], dtype=np.intp)
        starts = np.cumsum(widths) - widths
        out[:, starts[is_number]] = values
        for start, column in zip(starts.tolist(), self.columns, strict=True):
            if column.levels is not None:
                out[:, start : start + column.width] = _one_hot(frame[column.name], column.levels)
        return out

    def gather(self, values: Floats) -> Floats:
        """Sum encoded columns (last axis) back onto their source columns."""
        starts = np.flatnonzero(np.diff(self.sources, prepend=-1))
        if len(starts) == values.shape[-1]:
            return values
        return np.add.reduceat(values, starts, axis=-1)

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


def is_number(values: pd.Series) -> bool:
    """Whether a column holds numbers or yes/no (nullable or not)."""
    return bool(pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype))


def _fit_column(
    name: str,
    values: pd.Series,
    groups: npt.NDArray[np.int64] | None,
    min_level: int,
    max_levels: int,
) -> EncodedColumn:
    if is_number(values) and not pd.api.types.is_complex_dtype(values.dtype):
        return EncodedColumn(name)
    if not (
        isinstance(values.dtype, (pd.CategoricalDtype, pd.StringDtype))
        or pd.api.types.is_object_dtype(values.dtype)
    ):
        raise TypeError(
            f"column {name!r} is {values.dtype}; give numbers, yes/no or categories "
            "(a date says something only as a distance in days)."
        )
    texts = _texts(values)
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


def _texts(values: pd.Series) -> pd.Series:
    """Return a category column as text, nulls kept."""
    if isinstance(values.dtype, pd.StringDtype):
        return values
    plain = values.astype(object)
    return plain.where(plain.isna(), plain.map(str)).astype("str")


def _numbers(name: str, values: pd.Series) -> Floats:
    if not is_number(values):
        try:
            values = pd.to_numeric(values.astype(object))
        except (TypeError, ValueError) as error:
            raise TypeError(f"column {name!r} held numbers when fitted and is {values.dtype} now.") from error
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def _one_hot(values: pd.Series, levels: tuple[str, ...]) -> Floats:
    texts = _texts(values).tolist()
    place = {level: at for at, level in enumerate(levels)}
    encoded = np.zeros((len(texts), len(levels) + 1))
    encoded[np.arange(len(texts)), [place.get(text, len(levels)) for text in texts]] = 1.0
    encoded[[not isinstance(text, str) for text in texts]] = np.nan
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
