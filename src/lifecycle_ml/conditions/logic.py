"""Conditions over plain columns of numbers, three-valued, without a query: for a few rows and many rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from sqlglot import exp

from lifecycle_ml.conditions.calculate import KNOWN, Numbers, value_of
from lifecycle_ml.conditions.parse import Condition

Flags = npt.NDArray[np.bool_]
Answer = tuple[Flags, Flags]
"""True, and false, of each row; neither where it cannot be told."""

_COMPARED: dict[type[exp.Expr], Callable[[Numbers, Numbers], Flags]] = {
    exp.GT: np.greater,
    exp.GTE: np.greater_equal,
    exp.LT: np.less,
    exp.LTE: np.less_equal,
    exp.EQ: np.equal,
}
_OPPOSITE: dict[type[exp.Expr], Callable[[Numbers, Numbers], Flags]] = {
    exp.GT: np.less_equal,
    exp.GTE: np.less,
    exp.LT: np.greater_equal,
    exp.LTE: np.greater,
    exp.EQ: lambda left, right: (left < right) | (left > right),
}


@lru_cache(maxsize=4096)
def is_numeric(condition: Condition) -> bool:
    """Tell whether `answer` understands a condition, given that its columns hold numbers."""
    return bool(condition.columns) and _understood(condition.tree)


def answer(condition: Condition, values: Mapping[str, Numbers]) -> Answer:
    """Judge every row as `evaluate` does; `values` holds every column, NaN is null.

    The condition must be one that `is_numeric`.
    """
    return _answer(condition.tree, values)


def _understood(node: exp.Expr) -> bool:
    if isinstance(node, exp.And | exp.Or):
        return _understood(node.left) and _understood(node.right)
    if isinstance(node, exp.Paren | exp.Not):
        return _understood(node.this)
    if isinstance(node, exp.Is):
        return isinstance(node.expression, exp.Null) and _is_value(node.this)
    if isinstance(node, exp.Between):
        return all(_is_value(part) for part in (node.this, node.args["low"], node.args["high"]))
    return type(node) in (*_COMPARED, exp.NEQ) and _is_value(node.this) and _is_value(node.expression)


def _is_value(node: exp.Expr) -> bool:
    return all(
        isinstance(part, KNOWN) or (isinstance(part, exp.Literal) and not part.is_string)
        for part in node.walk()
    ) and not any(part.args.get("decimals") is not None for part in node.find_all(exp.Round))


def _answer(node: exp.Expr, values: Mapping[str, Numbers]) -> Answer:
    if isinstance(node, exp.Paren):
        return _answer(node.this, values)
    if isinstance(node, exp.Not):
        true, false = _answer(node.this, values)
        return false, true
    if isinstance(node, exp.And | exp.Or):
        (true, false), (also_true, also_false) = _answer(node.left, values), _answer(node.right, values)
        if isinstance(node, exp.And):
            return true & also_true, false | also_false
        return true | also_true, false & also_false
    left = value_of(node.this, values)
    if isinstance(node, exp.Is):
        gone = np.isnan(left)
        return gone, ~gone
    if isinstance(node, exp.Between):
        low, high = value_of(node.args["low"], values), value_of(node.args["high"], values)
        return (left >= low) & (left <= high), (left < low) | (left > high)
    right = value_of(node.expression, values)
    if isinstance(node, exp.NEQ):
        return _OPPOSITE[exp.EQ](left, right), left == right
    kind = type(node)
    return _COMPARED[kind](left, right), _OPPOSITE[kind](left, right)
