"""Arithmetic on measures in NumPy: the same steps as `expressions.py`, over arrays.

Numbers are float64 with NaN for null (dates as days from 1970-01-01), texts are objects with None.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lifecycle_ml.matrix.facts import Array
from lifecycle_ml.matrix.nodes import (
    Arithmetic,
    Calendar,
    Choice,
    Constant,
    DaysSince,
    Measure,
    OnlyIf,
    Root,
    Rows,
    YesNo,
)
from lifecycle_ml.matrix.series import FeedAge, OwnPast, Series, Slope, Spread, Streak


class Calculator:
    """Turns measures into arrays over the rows of a spine, given the values of their leaves."""

    def __init__(self, as_of: pd.Series, found: Mapping[Measure, Array]) -> None:
        self._as_of = as_of
        self._today = as_of.to_numpy().astype("datetime64[D]").astype("float64")
        self._found = dict(found)

    def value(self, measure: Measure) -> Array:
        """Return a measure; what was calculated once is kept."""
        if measure not in self._found:
            with np.errstate(divide="ignore", invalid="ignore"):
                self._found[measure] = self._calculate(measure)
        return self._found[measure]

    def _calculate(self, measure: Measure) -> Array:
        match measure:
            case Rows():
                # Only one of several measures to choose from; the source has not this one.
                if measure.kind == "text":
                    return np.full(len(self._today), None, dtype="object")
                return np.full(len(self._today), np.nan)
            case Constant():
                return np.full(len(self._today), float(measure.value))
            case DaysSince():
                return self._today - self.value(measure.date) - measure.date.ago
            case YesNo():
                value = self.value(measure.of)
                return np.where(np.isnan(value), np.nan, value > 0)
            case Arithmetic():
                return self._arithmetic(measure)
            case Choice():
                return self._choice(measure)
            case OnlyIf():
                value = self.value(measure.of)
                empty = np.full_like(value, None if value.dtype == object else np.nan)
                return np.where(self.value(measure.condition) > 0, value, empty)
            case Root():
                return np.sqrt(np.maximum(self.value(measure.of), 0.0))
            case Calendar():
                return self._calendar(measure)
            case OwnPast():
                return self._own_past(measure)
            case Slope():
                return self._slope(measure)
            case Spread():
                return self._spread(measure)
            case Streak():
                return self._streak(measure)
            case _:
                raise AssertionError(f"no engine for {type(measure).__name__}")

    def _arithmetic(self, measure: Arithmetic) -> Array:
        left, right = self.value(measure.left), self.value(measure.right)
        if measure.operator == "+":
            return left + right
        if measure.operator == "-":
            return left - right
        if measure.operator == "*":
            return left * right
        return np.where(right == 0, np.nan, left / right)

    def _choice(self, measure: Choice) -> Array:
        chosen = self.value(measure.of[0])
        for other in measure.of[1:]:
            if measure.how == "greatest":
                chosen = np.fmax(chosen, self.value(other))
            else:
                chosen = np.where(pd.isna(chosen), self.value(other), chosen)
        return chosen

    def _calendar(self, measure: Calendar) -> Array:
        dates = self._as_of.dt
        part = {
            "month": dates.month,
            "quarter": dates.quarter,
            "weekday": dates.dayofweek + 1,
            "day_of_year": dates.dayofyear,
        }[measure.part]
        number: Array = part.to_numpy(dtype="float64")
        return number

    def _own_past(self, measure: OwnPast) -> Array:
        total, windows = np.zeros(len(self._today)), np.zeros(len(self._today))
        for value, lived in self._windows(measure):
            total += np.where(lived, value, 0.0)
            windows += lived
        return np.where(windows == 0, np.nan, total / windows)

    def _slope(self, measure: Slope) -> Array:
        total, whole = np.zeros(len(self._today)), np.ones(len(self._today), dtype=bool)
        for weight, (value, lived) in zip(measure.weights, self._windows(measure), strict=True):
            total += weight * value
            whole &= lived
        return np.where(whole, total, np.nan)

    def _spread(self, measure: Spread) -> Array:
        found = self._windows(measure)
        mean, whole = np.zeros(len(self._today)), np.ones(len(self._today), dtype=bool)
        for value, lived in found:
            mean += value
            whole &= lived
        mean /= float(measure.windows)
        squares = np.zeros(len(self._today))
        for value, _ in found:
            squares += (value - mean) * (value - mean)
        return np.where(whole, np.sqrt(squares / float(measure.windows)), np.nan)

    def _streak(self, measure: Streak) -> Array:
        found = self._windows(measure)
        length, unbroken = np.zeros(len(self._today)), np.ones(len(self._today), dtype=bool)
        for value, lived in found:
            unbroken &= lived & (value > 0)
            length += unbroken
        return np.where(found[0][1], length, np.nan)

    def _windows(self, series: Series) -> list[tuple[Array, Array]]:
        """Return the value of each window, and whether account and feeds lived through it."""
        # A feed that is not there is one of several to choose from; it holds nothing back.
        ages = [self.value(age) for age in series.ages if not isinstance(age, FeedAge) or age in self._found]
        found = []
        for taken, days in zip(series.taken, series.lived_days, strict=True):
            value = self.value(taken)
            lived = ~np.isnan(value)
            for age in ages:
                lived &= age >= days
            found.append((value, lived))
        return found
