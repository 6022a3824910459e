"""Whether a condition can be true at all, and whether one can only be true where another is.

Sound, not complete: "cannot be true" is proved, "can be true" only means that no proof was found. A condition
is written as alternatives, each a range for every column or expression it compares with a constant; an
alternative in which a range is empty is none. What compares two columns is taken as it stands, as a yes or no
of its own. A column may be null, and a comparison with null is neither true nor false.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise, product
from typing import Final, Literal

from sqlglot import exp

from lifecycle_ml.conditions.grammar import DENIED, MIRRORED
from lifecycle_ml.conditions.parse import Condition

MOST: Final = 20_000
"""Alternatives looked at; a condition with more is taken to be possible."""

Truth = Literal["true", "false", "not_true", "not_false"]
_OPPOSITE: Final[dict[Truth, Truth]] = {
    "true": "false",
    "false": "true",
    "not_true": "not_false",
    "not_false": "not_true",
}


@dataclass(frozen=True)
class Range:
    """What one column or expression may be: null, or a number between two, or a text (not) among some."""

    null: bool = True
    value: bool = True
    low: float = -math.inf
    high: float = math.inf
    without_low: bool = False
    without_high: bool = False
    among: frozenset[str] | None = None
    besides: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        """Whether nothing is left."""
        return not self.null and not self._has_value

    @property
    def _has_value(self) -> bool:
        if not self.value or (self.among is not None and not self.among - self.besides):
            return False
        return self.low < self.high or (
            self.low == self.high and not self.without_low and not self.without_high
        )

    def __and__(self, other: Range) -> Range:
        low, without_low = max((self.low, self.without_low), (other.low, other.without_low))
        high, kept = min((self.high, not self.without_high), (other.high, not other.without_high))
        both = self.among if other.among is None else other.among
        if self.among is not None and other.among is not None:
            both = self.among & other.among
        return Range(
            null=self.null and other.null,
            value=self.value and other.value,
            low=low,
            high=high,
            without_low=without_low,
            without_high=not kept,
            among=both,
            besides=self.besides | other.besides,
        )


Ranges = Mapping[str, Range]
_NULL, _KNOWN = Range(value=False), Range(null=False)


def closed(texts: Mapping[str, Collection[str]], numbers: Mapping[str, tuple[float, float]]) -> Ranges:
    """Return the ranges of columns that hold one of some texts, or a number between two."""
    return {
        **{name: Range(among=frozenset(values)) for name, values in texts.items()},
        **{name: Range(low=low, high=high) for name, (low, high) in numbers.items()},
    }


def can_be_true(condition: Condition, known: Ranges) -> bool:
    """Tell whether a row may exist for which the condition is true; `known` are what columns may hold."""
    return _possible([(condition.tree, "true")], known)


def can_be_untrue(condition: Condition, known: Ranges) -> bool:
    """Tell whether a row may exist for which the condition is false or cannot be told."""
    return _possible([(condition.tree, "not_true")], known)


def can_be_both(one: Condition, other: Condition, known: Ranges) -> bool:
    """Tell whether a row may exist for which both conditions are true."""
    return _possible([(one.tree, "true"), (other.tree, "true")], known)


def implies(narrow: Condition, wide: Condition, known: Ranges) -> bool:
    """Tell whether `wide` is proved to be true wherever `narrow` is."""
    return not _possible([(narrow.tree, "true"), (wide.tree, "not_true")], known)


class _TooManyError(Exception):
    pass


def _possible(wanted: list[tuple[exp.Expr, Truth]], known: Ranges) -> bool:
    try:
        found = _all([list(_alternatives(tree, truth)) for tree, truth in wanted])
    except _TooManyError:
        return True
    return any(not _empty(ranges, known) for ranges in found)


def _empty(ranges: Ranges, known: Ranges) -> bool:
    return any((range_ & known.get(name, Range())).empty for name, range_ in ranges.items())


def _all(parts: list[list[Ranges]]) -> list[Ranges]:
    if math.prod(len(part) for part in parts) > MOST:
        raise _TooManyError
    joined: list[Ranges] = []
    for choice in product(*parts):
        ranges: dict[str, Range] = {}
        for one in choice:
            for name, range_ in one.items():
                ranges[name] = ranges.get(name, Range()) & range_
        if not any(range_.empty for range_ in ranges.values()):
            joined.append(ranges)
    return joined


def _alternatives(node: exp.Expr, truth: Truth) -> Iterator[Ranges]:
    if isinstance(node, exp.Paren):
        yield from _alternatives(node.this, truth)
    elif isinstance(node, exp.Not):
        yield from _alternatives(node.this, _OPPOSITE[truth])
    elif isinstance(node, exp.And | exp.Or):
        sides = [list(_alternatives(side, truth)) for side in (node.left, node.right)]
        if isinstance(node, exp.And) == (truth in ("true", "not_false")):
            yield from _all(sides)
        else:
            yield from sides[0] + sides[1]
    elif isinstance(node, exp.Between):
        low = exp.GTE(this=node.this, expression=node.args["low"])
        high = exp.LTE(this=node.this, expression=node.args["high"])
        yield from _alternatives(exp.And(this=low, expression=high), truth)
    elif isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        yield {_name(node.this): _NULL if truth in ("true", "not_false") else _KNOWN}
    else:
        yield from _leaf(node, truth)


def _leaf(node: exp.Expr, truth: Truth) -> Iterator[Ranges]:
    said = _said(node)
    if said is None:
        name, true, false = _name(node), [Range(False, low=1, high=1)], [Range(False, low=0, high=0)]
        otherwise = None
    else:
        name, true, false, otherwise = said
    wanted = true if truth in ("true", "not_false") else false
    yield from ({name: range_} for range_ in wanted)
    # coalesce(): where the column is null, the other value decides.
    if otherwise is None:
        if truth in ("not_true", "not_false"):
            yield {name: _NULL}
    elif otherwise == (truth in ("true", "not_false")):
        yield {name: _NULL}


_Said = tuple[str, list[Range], list[Range], bool | None]


def _said(node: exp.Expr) -> _Said | None:
    """Return what a comparison with constants says: of what, true ranges, false ranges, and if it is null."""
    if isinstance(node, exp.In):
        values = [_constant(value) for value in node.expressions]
        return _compared(node.this, exp.EQ, values)
    if type(node) not in DENIED:
        return None
    left, right, kind = node.this, node.expression, type(node)
    if _constant(left) is not None:
        left, right, kind = right, left, MIRRORED[kind]
    return _compared(left, kind, [_constant(right)])


def _compared(of: exp.Expr, kind: type[exp.Expr], values: list[float | str | None]) -> _Said | None:
    if any(value is None for value in values) or _constant(of) is not None:
        return None
    constants = [value for value in values if value is not None]
    texts = [value for value in constants if isinstance(value, str)]
    if texts and (len(texts) < len(constants) or kind not in (exp.EQ, exp.NEQ)):
        return None
    true, false = _ranges(kind, constants), _ranges(DENIED[kind], constants)
    column, otherwise = of, None
    if isinstance(of, exp.Coalesce) and len(of.expressions) == 1:
        value = _constant(of.expressions[0])
        if value is None:
            return None
        column, otherwise = of.this, any(_holds(value, range_) for range_ in true)
    return _name(column), true, false, otherwise


def _ranges(kind: type[exp.Expr], values: list[float | str]) -> list[Range]:
    if isinstance(values[0], str):
        named = frozenset(str(value) for value in values)
        return [replace(_KNOWN, among=named) if kind is exp.EQ else replace(_KNOWN, besides=named)]
    numbers = sorted(float(value) for value in values)
    first = numbers[0]
    if kind is exp.EQ:
        return [Range(False, low=number, high=number) for number in numbers]
    if kind is exp.NEQ:
        edges = [-math.inf, *numbers, math.inf]
        return [
            Range(False, low=low, high=high, without_low=True, without_high=True)
            for low, high in pairwise(edges)
        ]
    if kind in (exp.GT, exp.GTE):
        return [Range(False, low=first, without_low=kind is exp.GT)]
    return [Range(False, high=first, without_high=kind is exp.LT)]


def _holds(value: float | str, range_: Range) -> bool:
    if isinstance(value, str):
        point = Range(False, among=frozenset({value}))
    else:
        point = Range(False, low=value, high=value)
    return not (point & range_).empty


def _constant(node: exp.Expr) -> float | str | None:
    if isinstance(node, exp.Paren):
        return _constant(node.this)
    if isinstance(node, exp.Neg):
        value = _constant(node.this)
        return -value if isinstance(value, float) else None
    if isinstance(node, exp.Boolean):
        return float(bool(node.this))
    if isinstance(node, exp.Cast):
        return float(date.fromisoformat(node.this.name).toordinal())
    if isinstance(node, exp.Literal):
        return node.name if node.is_string else float(node.name)
    return None


def _name(node: exp.Expr) -> str:
    return node.name if isinstance(node, exp.Column) else node.sql(dialect="duckdb")
