"""The closed grammar as Ibis expressions: the same text filters rows and computes columns on every engine."""

from __future__ import annotations

import operator
from datetime import date
from functools import reduce
from typing import Any

import ibis
from sqlglot import exp

from lifecycle_ml.conditions.grammar import Kind, is_days_between, read_expression

_BINARY: dict[type[exp.Expr], Any] = {
    exp.EQ: operator.eq,
    exp.NEQ: operator.ne,
    exp.GT: operator.gt,
    exp.GTE: operator.ge,
    exp.LT: operator.lt,
    exp.LTE: operator.le,
    exp.And: operator.and_,
    exp.Or: operator.or_,
    exp.Add: operator.add,
    exp.Sub: operator.sub,
    exp.Mul: operator.mul,
}


def to_ibis(text: str | exp.Expr, table: Any, where: str = "expression") -> Any:
    """Return `text`, an expression of the closed grammar, over the columns of an Ibis table.

    Boolean conditions and plain values (`quantity * 2`, `coalesce(users, 1)`) alike. Null propagates as in
    SQL, and division by zero gives null. `where` names the place for messages.
    Raises: ConditionError for what the grammar does not know, with the nearest right name.
    """
    sql = text if isinstance(text, str) else text.sql(dialect="duckdb", comments=False)
    tree, _ = read_expression(sql, kinds_of(table), where)
    return _build(tree, table)


def kinds_of(table: Any) -> dict[str, Kind]:
    """Return the kind of each column of an Ibis table; columns of other types (lists) count as text."""
    kinds: dict[str, Kind] = {}
    for name, dtype in table.schema().items():
        if dtype.is_boolean():
            kinds[name] = "yes_no"
        elif dtype.is_numeric():
            kinds[name] = "number"
        elif dtype.is_date() or dtype.is_timestamp():
            kinds[name] = "date"
        else:
            kinds[name] = "text"
    return kinds


def _build(node: exp.Expr, table: Any) -> Any:
    def build(child: exp.Expr) -> Any:
        return _build(child, table)

    match node:
        case exp.Paren():
            return build(node.this)
        case exp.Column():
            return table[node.name]
        case exp.Literal():
            return ibis.literal(node.name if node.is_string else _number(node.name))
        case exp.Boolean():
            return ibis.literal(bool(node.this))
        case exp.Null():
            return ibis.null()
        case exp.Not():
            return ~build(node.this)
        case exp.Neg():
            return -build(node.this)
        case exp.Div():
            # Engines differ on x / 0 (error, infinity, null): here it is always null, "cannot tell".
            return build(node.this) / build(node.expression).nullif(0)
        case exp.In():
            left = build(node.this)
            return reduce(operator.or_, (_compare(operator.eq, left, build(v)) for v in node.expressions))
        case exp.Between():
            value = build(node.this)
            return _compare(operator.ge, value, build(node.args["low"])) & _compare(
                operator.le, value, build(node.args["high"])
            )
        case exp.Is():
            value = build(node.this)
            if isinstance(node.expression, exp.Null):
                return value.isnull()
            return value.fill_null(not node.expression.this) == bool(node.expression.this)
        case exp.Like():
            return build(node.this).like(node.expression.name)
        case exp.Cast():
            return ibis.literal(date.fromisoformat(node.this.name))
        case exp.Abs():
            return build(node.this).abs()
        case exp.Round():
            digits = node.args.get("decimals")
            return build(node.this).round(int(digits.name) if digits is not None else 0)
        case exp.Lower():
            return build(node.this).lower()
        case exp.Upper():
            return build(node.this).upper()
        case exp.Length():
            return build(node.this).length()
        case exp.Coalesce():
            return ibis.coalesce(*map(build, (node.this, *node.expressions)))
        case exp.Least():
            return ibis.least(*map(build, (node.this, *node.expressions)))
        case exp.Greatest():
            return ibis.greatest(*map(build, (node.this, *node.expressions)))
        case exp.Anonymous() if is_days_between(node):
            start, end = (build(side).cast("date") for side in node.expressions)
            return end.delta(start, unit="day")
        case _:
            return _compare(_BINARY[type(node)], build(node.this), build(node.expression))


def _compare(operation: Any, left: Any, right: Any) -> Any:
    """Apply a binary operation; a yes/no value met by a number counts as 1 or 0."""
    if left.type().is_boolean() and right.type().is_numeric():
        left = left.cast("int32")
    elif right.type().is_boolean() and left.type().is_numeric():
        right = right.cast("int32")
    return operation(left, right)


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)
