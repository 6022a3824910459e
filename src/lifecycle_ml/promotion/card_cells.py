"""How the model card writes names, figures with their intervals, and tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lifecycle_ml.models.evaluation import Interval
from lifecycle_ml.promotion.backtest import LOGISTIC

_THOUSANDS_FROM = 10_000


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table: text in the first column, figures in the others."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def in_words(name: str) -> str:
    """Return the name of a rule, a model or a category as people say it."""
    return "logistic regression" if name == LOGISTIC else name.replace("_", " ")


def rounded(value: float, decimals: int = 3, *, signed: bool = False) -> str:
    """Return a number with so many decimals, never a zero with a minus."""
    near = round(value, decimals) + 0.0  # a zero without its minus
    return f"{near:{'+' if signed else ''},.{decimals}f}"


def figure(interval: Interval | None, *, decimals: int = 3, signed: bool = False) -> str:
    """Return a figure with its interval in brackets; a dash, and why, where it was not measured."""
    if interval is None or math.isnan(interval.value):
        return "–" if interval is None or not interval.reason else f"– ({interval.reason})"
    value = rounded(interval.value, decimals, signed=signed)
    if math.isnan(interval.low):
        return value
    low, high = (rounded(end, decimals, signed=signed) for end in (interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def cash(row: Mapping[Any, Any], names: Sequence[str]) -> str:
    """Return a sum and its interval (three columns) in thousands, or in full where all of it is small."""
    value, low, high = (float(row[name]) for name in names)
    if max(abs(low), abs(high)) < _THOUSANDS_FROM:
        return f"{value:,.0f} [{low:,.0f}, {high:,.0f}]"
    said = (f"{number / 1000:,.0f}k" if abs(number) >= 500 else "0" for number in (value, low, high))
    return "{} [{}, {}]".format(*said)


def percent(interval: Interval, *, signed: bool = False) -> str:
    """Return a share with its interval in percent; a dash, and why, where it was not measured."""
    if math.isnan(interval.value):
        return "–" if not interval.reason else f"– ({interval.reason})"
    sign = "+" if signed else ""
    return f"{interval.value:{sign}.0%} [{interval.low:{sign}.0%}, {interval.high:{sign}.0%}]"


def with_ends(
    row: Mapping[Any, Any], name: str, *, decimals: int = 1, percent: bool = False, signed: bool = False
) -> str:
    """Return a figure of a row with its interval, the columns `name_low` and `name_high`; a dash for null."""
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if math.isnan(value):
        return "–"
    if percent:
        said = [f"{rounded(100 * number, 0, signed=signed)}%" for number in (value, low, high)]
    else:
        said = [rounded(number, decimals, signed=signed) for number in (value, low, high)]
    return "{} [{}, {}]".format(*said)
