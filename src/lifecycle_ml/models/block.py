"""The columns of a matrix, taken out of pandas once for all that scores, explains and words its rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.extensions import ExtensionDtype

Floats = npt.NDArray[np.float64]

_FLOAT = np.dtype(np.float64)


@dataclass(frozen=True, eq=False)
class Block:
    """A matrix whose values are read when first asked for, and then at hand.

    Grain: the rows of `frame`, in its order. Taking columns out of a table costs one row more than scoring
    it does, so whoever asks several questions about the same rows makes one block and asks with that.
    Nothing may write into `frame` or into what is read.
    """

    frame: pd.DataFrame

    @classmethod
    def of(cls, matrix: Matrix) -> Block:
        """Return the block of a table; a block is its own."""
        return matrix if isinstance(matrix, Block) else cls(matrix)

    def __len__(self) -> int:
        return len(self.frame)

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def lacking(self, names: Sequence[str]) -> list[str]:
        """Return those of the names that are no columns."""
        columns = self._columns
        return [name for name in names if name not in columns]

    def rows(self, start: int, stop: int) -> Block:
        """Return some of the rows."""
        return self if start <= 0 and stop >= len(self) else Block(self.frame.iloc[start:stop])

    @property
    def numeric(self) -> Collection[str]:
        """Columns that hold numbers or yes/no (nullable or not)."""
        return self._numbers[0].keys()

    def numbers(self, names: Sequence[str]) -> Floats:
        """Return columns: (names, rows); NaN for null, and throughout for one that holds no numbers."""
        place, values = self._numbers
        places = np.array([place.get(name, -1) for name in names], dtype=np.intp)
        found = values[places] if len(values) else np.empty((len(names), len(self)))
        found[places < 0] = np.nan
        return found

    def missing(self, names: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Say where columns are null: (names, rows); nothing is missing of a column that is not there."""
        found, numeric = np.isnan(self.numbers(names)), self.numeric
        for at, name in enumerate(names):
            if name not in numeric:
                found[at] = [text is None for text in self.texts(name)] if name in self else False
        return found

    def texts(self, name: str) -> list[str | None]:
        """Return any column as texts, None for null."""
        if name not in self._texts:
            self._texts[name] = texts_of(self.frame[name])
        return self._texts[name]

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {str(name): at for at, name in enumerate(self.frame.columns)}

    @cached_property
    def _numbers(self) -> tuple[dict[str, int], Floats]:
        names, kinds = list(self._columns), list(self.frame.dtypes)
        plain = [at for at, kind in enumerate(kinds) if isinstance(kind, np.dtype) and kind == _FLOAT]
        # all floats at once: column by column costs one row more than its score
        values = self.frame.take(plain, axis=1).to_numpy(dtype=np.float64).T
        known = set(plain)
        others = [at for at, kind in enumerate(kinds) if at not in known and is_number_type(kind)]
        if others:
            columns = [self.frame.iloc[:, at].to_numpy(dtype=np.float64, na_value=np.nan) for at in others]
            values = np.concatenate([values, np.stack(columns)])
        return {names[at]: place for place, at in enumerate([*plain, *others])}, values

    @cached_property
    def _texts(self) -> dict[str, list[str | None]]:
        return {}


Matrix = pd.DataFrame | Block
"""What is asked with: a table of snapshots and features, or its block."""


def is_number_type(kind: np.dtype[Any] | ExtensionDtype) -> bool:
    """Whether columns of a type hold numbers or yes/no (nullable or not)."""
    return bool(
        (pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind))
        and not pd.api.types.is_complex_dtype(kind)
    )


def texts_of(values: pd.Series) -> list[str | None]:
    """Return a column as texts, None for null."""
    return [text if isinstance(text, str) else None for text in as_texts(values).tolist()]


def as_texts(values: pd.Series) -> pd.Series:
    """Return a category column as text, nulls kept."""
    if isinstance(values.dtype, pd.StringDtype):
        return values
    plain = values.astype(object)
    return plain.where(plain.isna(), plain.map(str)).astype("str")
