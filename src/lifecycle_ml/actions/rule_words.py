"""Conditions and an account's values in the words people read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pandas as pd

from lifecycle_ml.conditions.parse import Condition
from lifecycle_ml.conditions.words import in_words
from lifecycle_ml.matrix.feature import USUAL, FeatureSet
from lifecycle_ml.reasons.sentences import write_number, write_sentence

_UNITS: Final = {"risk": "share", "expansion_probability": "share", "arr": "currency"}
"""Units of the scored columns that are not plain numbers."""


@dataclass(frozen=True)
class RuleWords:
    """Says conditions and values; `features` are those this company has the tables for."""

    features: FeatureSet

    def needs(self, condition: Condition) -> str:
        """Say what a comparison asks for."""
        return in_words(condition.tree, label, self._write)

    def now(self, column: str, row: Mapping[str, Any]) -> str:
        """Say an account's value of a column; a feature in the sentence that is its evidence elsewhere."""
        if column not in row:
            return f"{label(column)}: not known, for no source delivers what it is made of"
        value = plain_value(row.get(column))
        if column in self.features.names and not isinstance(value, bool):
            sentence = write_sentence(self.features[column], value)
            if sentence is not None:
                return sentence
        return f"{label(column)}: {'not known' if value is None else self._write(column, value)}"

    def _write(self, column: str | None, value: float | str) -> str:
        if isinstance(value, str):
            return value.replace("_", " ")
        name = (column or "").removesuffix(USUAL)
        unit = self.features[name].unit if name in self.features.names else _UNITS.get(name, "")
        if unit == "yes/no" and value not in (0, 1):
            unit = ""
        return write_number(float(value), unit)


def label(column: str) -> str:
    """Return a column's name as people say it: `active_users_28d` is "active users (28 days)"."""
    name, usual = column.removesuffix(USUAL), column.endswith(USUAL)
    words = re.sub(r"_(\d+)d(?=_|$)", r" (\1 days)", name).replace("_", " ").strip()
    words = {"arr": "ARR", "risk": "risk of churn"}.get(words, words)
    return f"the usual {words}" if usual else words


def plain_value(value: Any) -> float | str | None:
    """Return a cell of the scored table as JSON knows it; every kind of null is None, a date its text."""
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, date):
        return f"{value:%Y-%m-%d}"
    number = float(value)
    return None if math.isnan(number) else number
