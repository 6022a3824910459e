"""Values of the closed grammar (`target / seats`) over plain columns of numbers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from sqlglot import exp

from lifecycle_ml.conditions.grammar import read_expression
from lifecycle_ml.errors import ConditionError

Numbers = npt.NDArray[np.float64]

_OF_TWO: dict[type[exp.Expr], Callable[[Numbers, Numbers], Numbers]] = {
    exp.Add: np.add,
    exp.Sub: np.subtract,
    exp.Mul: np.multiply,
    exp.Div: lambda left, right: np.divide(left, np.where(right == 0, np.nan, right)),
    exp.Least: np.fmin,
    exp.Greatest: np.fmax,
    exp.Coalesce: lambda left, right: np.where(np.isnan(left), right, left),
}
_OF_ONE: dict[type[exp.Expr], Callable[[Numbers], Numbers]] = {
    exp.Paren: lambda value: value,
    exp.Neg: np.negative,
    exp.Abs: np.abs,
    exp.Round: lambda value: np.copysign(np.floor(np.abs(value) + 0.5), value),
}
KNOWN: tuple[type[exp.Expr], ...] = (exp.Column, exp.Identifier, *_OF_ONE, *_OF_TWO)
"""Nodes that are calculated, beside plain numbers."""


@dataclass(frozen=True)
class Calculation:
    """A checked expression of numbers. Build it with `parse_calculation`; `columns` are those it reads."""

    text: str
    columns: tuple[str, ...]
    tree: exp.Expr = field(repr=False, compare=False)

    def of(self, values: Mapping[str, Numbers]) -> Numbers:
        """Return the value of each row; `values` holds every column, all of one length.

        NaN is null: it propagates through + - * /, x / 0 is null, least and greatest pass it over.
        """
        return value_of(self.tree, values)


def parse_calculation(text: str, columns: Collection[str], where: str) -> Calculation:
    """Parse an expression of numbers: + - * /, least, greatest, coalesce, abs and round over `columns`.

    `where` names file and key. Raises: ConditionError with the nearest right name.
    """
    tree, kind = read_expression(text, dict.fromkeys(columns, "number"), where)
    if kind != "number":
        raise ConditionError(f"{where}: {text!r} is no number.")
    for node in tree.walk():
        plain = isinstance(node, exp.Literal) and not node.is_string
        digits = isinstance(node, exp.Round) and node.args.get("decimals") is not None
        if digits or not (plain or isinstance(node, KNOWN)):
            shown = node.sql(dialect="duckdb")
            raise ConditionError(
                f"{where}: {shown!r} in {text!r} is not calculated; use + - * /, least, greatest, coalesce, "
                "abs and round (to whole numbers)."
            )
    return Calculation(text, tuple(sorted({node.name for node in tree.find_all(exp.Column)})), tree)


def value_of(node: exp.Expr, values: Mapping[str, Numbers]) -> Numbers:
    """Return the value of a tree made of `KNOWN` and plain numbers, as `Calculation.of` does."""
    if isinstance(node, exp.Column):
        return values[node.name]
    if isinstance(node, exp.Literal):
        return np.asarray(float(node.name))
    if (single := _OF_ONE.get(type(node))) is not None:
        return single(value_of(node.this, values))
    others = node.expressions or [node.expression]
    found = value_of(node.this, values)
    for other in others:
        found = _OF_TWO[type(node)](found, value_of(other, values))
    return found
