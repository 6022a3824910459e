"""Arithmetic on measures as Ibis expressions, for engines that hold the whole matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis

from lifecycle_ml.matrix.aggregates import unstamped
from lifecycle_ml.matrix.nodes import (
    ORDERED,
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


def feed_column(table: str) -> str:
    """Return the column that holds how far back a table's feed reaches."""
    return f"feed_{table}"


class Evaluator:
    """Turns measures into Ibis expressions over the table that holds every aggregate beside the spine."""

    def __init__(self, wide: ibis.Table, keys: Mapping[Rows, str]) -> None:
        self._wide = wide
        self._keys = keys

    def value(self, measure: Measure) -> Any:
        """Return the expression of a measure: float64, or text or date for a leaf of that kind."""
        match measure:
            case Rows():
                return self._leaf(measure)
            case Constant():
                return ibis.literal(float(measure.value))
            case DaysSince():
                today = self._wide.as_of.date()
                return (today.delta(self._leaf(measure.date), unit="day") - measure.date.ago).cast("float64")
            case YesNo():
                return (self.value(measure.of) > 0).cast("int32").cast("float64")
            case Arithmetic():
                return self._arithmetic(measure)
            case Choice():
                choose = ibis.coalesce if measure.how == "first" else ibis.greatest
                return choose(*(self.value(child) for child in measure.of))
            case OnlyIf():
                value = self.value(measure.of)
                return ibis.ifelse(self.value(measure.condition) > 0, value, ibis.null(value.type()))
            case FeedAge():
                return self._wide[feed_column(measure.table)].cast("float64")
            case Root():
                value = self.value(measure.of)
                return ibis.ifelse(value < 0, 0.0, value).sqrt()
            case Calendar():
                return self._calendar(measure)
            case OwnPast():
                return self._own_past(measure)
            case Slope():
                return self._slope(measure)
            case Streak():
                return self._streak(measure)
            case Spread():
                return self._spread(measure)
            case _:
                raise AssertionError(f"no engine for {type(measure).__name__}")

    def _leaf(self, leaf: Rows) -> Any:
        key = self._keys.get(leaf)
        if key is None:
            # Only one of several measures to choose from; the source has not this one.
            return ibis.null({"text": "string", "date": "date"}.get(leaf.kind, "float64"))
        value = self._wide[key]
        if leaf.verb in {"count", "distinct"}:
            return value.fill_null(0).cast("float64")
        if leaf.verb == "total":
            none = self._wide[f"{key}_n"].fill_null(0) == 0
            return ibis.ifelse(none, 0.0, value.cast("float64"))
        if leaf.verb in ORDERED:
            value = unstamped(value, leaf)
        return value if leaf.kind in {"text", "date"} else value.cast("float64")

    def _arithmetic(self, measure: Arithmetic) -> Any:
        left, right = self.value(measure.left), self.value(measure.right)
        if measure.operator == "+":
            return left + right
        if measure.operator == "-":
            return left - right
        if measure.operator == "*":
            return left * right
        return left / right.nullif(0.0)

    def _own_past(self, measure: OwnPast) -> Any:
        total, windows = ibis.literal(0.0), ibis.literal(0.0)
        for value, lived in self._windows(measure):
            total += ibis.ifelse(lived, value, 0.0)
            windows += ibis.ifelse(lived, 1.0, 0.0)
        return total / windows.nullif(0.0)

    def _slope(self, measure: Slope) -> Any:
        total, whole = ibis.literal(0.0), ibis.literal(True)
        for weight, (value, lived) in zip(measure.weights, self._windows(measure), strict=True):
            total += ibis.literal(weight) * value
            whole &= lived
        return ibis.ifelse(whole, total, ibis.null("float64"))

    def _spread(self, measure: Spread) -> Any:
        found = self._windows(measure)
        mean, whole = ibis.literal(0.0), ibis.literal(True)
        for value, lived in found:
            mean += value
            whole &= lived
        mean /= float(measure.windows)
        squares = ibis.literal(0.0)
        for value, _ in found:
            squares += (value - mean) * (value - mean)
        return ibis.ifelse(whole, (squares / float(measure.windows)).sqrt(), ibis.null("float64"))

    def _calendar(self, measure: Calendar) -> Any:
        today = self._wide.as_of.date()
        part = {
            "month": today.month,
            "quarter": today.quarter,
            "weekday": lambda: today.day_of_week.index() + 1,
            "day_of_year": today.day_of_year,
        }[measure.part]
        return part().cast("float64")

    def _streak(self, measure: Streak) -> Any:
        found = self._windows(measure)
        length, unbroken = ibis.literal(0.0), ibis.literal(True)
        for value, lived in found:
            unbroken &= lived & (value > 0).fill_null(False)
            length += ibis.ifelse(unbroken, 1.0, 0.0)
        return ibis.ifelse(found[0][1], length, ibis.null("float64"))

    def _windows(self, series: Series) -> list[tuple[Any, Any]]:
        """Return the value of each window, and whether account and feeds lived through it."""
        # A feed that is not there is one of several to choose from; it holds nothing back.
        ages = [
            self.value(age)
            for age in series.ages
            if not isinstance(age, FeedAge) or feed_column(age.table) in self._wide.columns
        ]
        found = []
        for taken, days in zip(series.taken, series.lived_days, strict=True):
            value = self.value(taken)
            lived = ~value.isnull()
            for age in ages:
                lived &= (age >= float(days)).fill_null(False)
            found.append((value, lived))
        return found
