"""Comparisons as people say them: "days to renewal is at most 120"."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from lifecycle_ml.conditions.grammar import DENIED, MIRRORED, is_days_between

Label = Callable[[str], str]
"""From a column to its name in words."""
Write = Callable[[str | None, float | str], str]
"""From a value to words; the column it is compared with decides how numbers are written."""

_IS: dict[type[exp.Expr], str] = {
    exp.EQ: "is",
    exp.NEQ: "is not",
    exp.GT: "is more than",
    exp.GTE: "is at least",
    exp.LT: "is less than",
    exp.LTE: "is at most",
}
_BETWEEN: dict[type[exp.Expr], str] = {
    exp.Add: "plus",
    exp.Sub: "minus",
    exp.Mul: "times",
    exp.Div: "divided by",
}


def in_words(node: exp.Expr, label: Label, write: Write) -> str:
    """Say a comparison in words, without a full stop."""
    return _Sayer(label, write).say(node, denied=False)


class _Sayer:
    def __init__(self, label: Label, write: Write) -> None:
        self._label = label
        self._write = write

    def say(self, node: exp.Expr, *, denied: bool) -> str:
        if isinstance(node, exp.Paren):
            return self.say(node.this, denied=denied)
        if isinstance(node, exp.Not):
            return self.say(node.this, denied=not denied)
        no = " not" if denied else ""
        match node:
            case exp.Between():
                low, high = node.args["low"], node.args["high"]
                value, column = self._value(node.this, None), _column(node.this)
                return f"{value} is{no} between {self._value(low, column)} and {self._value(high, column)}"
            case exp.In():
                column = _column(node.this)
                listed = ", ".join(self._value(item, column) for item in node.expressions)
                one = "one of " if len(node.expressions) > 1 else ""
                return f"{self._value(node.this, None)} is{no} {one}{listed}"
            case exp.Is():
                value = self._value(node.this, None)
                if isinstance(node.expression, exp.Null):
                    return f"{value} is {'' if denied else 'not '}known"
                return f"{value} is {'yes' if node.expression.this != denied else 'no'}"
            case exp.Like():
                return f"{self._value(node.this, None)} is{no} like {node.expression.name!r}"
            case exp.And() | exp.Or():
                word = " and " if isinstance(node, exp.And) != denied else " or "
                return word.join(self.say(side, denied=denied) for side in (node.left, node.right))
        if type(node) in _IS:
            return self._comparison(node, denied=denied)
        return f"{self._value(node, None)} is {'no' if denied else 'yes'}"

    def _comparison(self, node: exp.Expr, *, denied: bool) -> str:
        left, right, kind = node.this, node.expression, type(node)
        if left.find(exp.Column) is None and right.find(exp.Column) is not None:
            left, right, kind = right, left, MIRRORED[kind]
        kind = DENIED[kind] if denied else kind
        return f"{self._value(left, _column(right))} {_IS[kind]} {self._value(right, _column(left))}"

    def _value(self, node: exp.Expr, against: str | None) -> str:
        def value(inner: exp.Expr) -> str:
            return self._value(inner, against)

        match node:
            case exp.Paren() | exp.Lower() | exp.Upper():
                return value(node.this)
            case exp.Column():
                return self._label(node.name)
            case exp.Literal():
                return self._write(against, node.name if node.is_string else float(node.name))
            case exp.Neg() if isinstance(node.this, exp.Literal):
                return self._write(against, -float(node.this.name))
            case exp.Boolean():
                return "yes" if node.this else "no"
            case exp.Cast():
                return str(node.this.name)
            case exp.Coalesce():
                other = " or ".join(self._value(each, _column(node.this)) for each in node.expressions)
                return f"{value(node.this)} ({other} where it is not known)"
            case exp.Least() | exp.Greatest():
                word = "smallest" if isinstance(node, exp.Least) else "largest"
                return f"the {word} of {', '.join(map(value, (node.this, *node.expressions)))}"
            case exp.Abs():
                return f"the size of {value(node.this)}"
            case exp.Round():
                return f"{value(node.this)}, rounded"
            case exp.Length():
                return f"the length of {value(node.this)}"
            case exp.Neg():
                return f"minus {value(node.this)}"
            case exp.Anonymous() if is_days_between(node):
                start, end = map(value, node.expressions)
                return f"the days from {start} to {end}"
        if type(node) in _BETWEEN:
            return f"{value(node.this)} {_BETWEEN[type(node)]} {value(node.expression)}"
        return self.say(node, denied=False)


def _column(node: exp.Expr) -> str | None:
    """Return the one column an expression is about, which decides how a number beside it is written."""
    if isinstance(node, exp.Coalesce | exp.Paren | exp.Neg | exp.Round):
        return _column(node.this)
    return node.name if isinstance(node, exp.Column) else None
