"""Conditions over plain columns, three-valued, without a query: for a few rows and many rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sqlglot import exp

from lifecycle_ml.conditions.calculate import KNOWN, Numbers, value_of
from lifecycle_ml.conditions.parse import Condition

Flags = npt.NDArray[np.bool_]
Column = npt.NDArray[Any]
"""Numbers with NaN for null, or texts as objects with None for null."""
Holds = Literal["number", "text"]
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
    return bool(condition.columns) and _understood(condition.tree, None)


@lru_cache(maxsize=4096)
def is_plain(condition: Condition, kinds: tuple[Holds | None, ...]) -> bool:
    """Tell whether `answer` understands a condition, given what each of its columns holds (None: neither).

    Beyond numbers it understands texts that are compared with texts in quotes, and lists of either.
    """
    if not condition.columns or None in kinds:
        return False
    return _understood(condition.tree, dict(zip(condition.columns, kinds, strict=True)))


def answer(condition: Condition, values: Mapping[str, Column]) -> Answer:
    """Judge every row as `evaluate` does; `values` holds every column, NaN (of texts None) is null.

    The condition must be one that `is_numeric` or `is_plain`.
    """
    with np.errstate(all="ignore"):
        return _answer(condition.tree, values)


def _understood(node: exp.Expr, kinds: Mapping[str, Holds | None] | None) -> bool:
    """`kinds` tells what columns hold; None: numbers all of them, and no list is asked about."""
    if isinstance(node, exp.And | exp.Or):
        return _understood(node.left, kinds) and _understood(node.right, kinds)
    if isinstance(node, exp.Paren | exp.Not):
        return _understood(node.this, kinds)
    if isinstance(node, exp.Is):
        return isinstance(node.expression, exp.Null) and (
            _is_value(node.this, kinds) or _is_text(node.this, kinds)
        )
    if isinstance(node, exp.In):
        return kinds is not None and any(
            all(of_kind(part, kinds) for part in (node.this, *node.expressions))
            for of_kind in (_is_value, _is_text)
        )
    if isinstance(node, exp.Between):
        parts = (node.this, node.args["low"], node.args["high"])
        return all(_is_value(part, kinds) for part in parts)
    if type(node) not in (*_COMPARED, exp.NEQ):
        return False
    sides = (node.this, node.expression)
    if type(node) in (exp.EQ, exp.NEQ) and all(_is_text(side, kinds) for side in sides):
        return True
    return all(_is_value(side, kinds) for side in sides)


def _is_text(node: exp.Expr, kinds: Mapping[str, Holds | None] | None) -> bool:
    if kinds is None:
        return False
    if isinstance(node, exp.Coalesce):
        return all(_is_text(part, kinds) for part in (node.this, *node.expressions))
    if isinstance(node, exp.Column):
        return kinds.get(node.name) == "text"
    return isinstance(node, exp.Literal) and bool(node.is_string)


def _is_value(node: exp.Expr, kinds: Mapping[str, Holds | None] | None) -> bool:
    return all(
        (isinstance(part, KNOWN) and not (isinstance(part, exp.Column) and _is_text(part, kinds)))
        or (isinstance(part, exp.Literal) and not part.is_string)
        for part in node.walk()
    ) and not any(part.args.get("decimals") is not None for part in node.find_all(exp.Round))


def _answer(node: exp.Expr, values: Mapping[str, Column]) -> Answer:
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
    if _holds_text(node.this, values):
        return _compare_texts(node, values)
    left = value_of(node.this, values)
    if isinstance(node, exp.In):
        true = np.logical_or.reduce([left == value_of(item, values) for item in node.expressions])
        return true, ~true & ~np.isnan(left)
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


def _holds_text(node: exp.Expr, values: Mapping[str, Column]) -> bool:
    if isinstance(node, exp.Coalesce):
        return _holds_text(node.this, values)
    if isinstance(node, exp.Column):
        return values[node.name].dtype == object
    return isinstance(node, exp.Literal) and bool(node.is_string)


def _compare_texts(node: exp.Expr, values: Mapping[str, Column]) -> Answer:
    left = _text_of(node.this, values)
    gone = _gone(left)
    if isinstance(node, exp.Is):
        return gone, ~gone
    others = [_text_of(each, values) for each in node.expressions or [node.expression]]
    for other in others:
        gone = gone | _gone(other)
    alike = np.logical_or.reduce([np.equal(left, other).astype(bool) for other in others]) & ~gone
    unlike = ~alike & ~gone
    return (unlike, alike) if isinstance(node, exp.NEQ) else (alike, unlike)


def _text_of(node: exp.Expr, values: Mapping[str, Column]) -> Column:
    if isinstance(node, exp.Column):
        return values[node.name]
    if isinstance(node, exp.Literal):
        return np.array(node.name, dtype=object)
    found = _text_of(node.this, values)
    for other in node.expressions:
        found = np.where(_gone(found), _text_of(other, values), found)
    return found


def _gone(texts: Column) -> Flags:
    return np.asarray(texts == np.array(None), dtype=bool)
