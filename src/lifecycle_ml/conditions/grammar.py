"""The closed grammar of conditions: which SQL is understood, and why the rest is refused.

Everything a rule may say is listed here. What is not listed is refused by name, so that a rule can neither
read a file nor depend on an engine's own functions, and so that the same text means the same on every engine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import Final, Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lifecycle_ml.errors import ConditionError, did_you_mean

Kind = Literal["number", "text", "yes_no", "date"]
Columns = Collection[str] | Mapping[str, Kind | None]
"""Column names, or names with the kind of value each holds; only with kinds are mix-ups of kinds refused."""

FUNCTIONS = ("abs", "coalesce", "days_between", "greatest", "least", "length", "lower", "round", "upper")
DAYS_BETWEEN = "days_between"

COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
DENIED: Final[dict[type[exp.Expr], type[exp.Expr]]] = {
    exp.EQ: exp.NEQ,
    exp.NEQ: exp.EQ,
    exp.GT: exp.LTE,
    exp.GTE: exp.LT,
    exp.LT: exp.GTE,
    exp.LTE: exp.GT,
}
"""What says the same of a comparison that is denied."""
MIRRORED: Final[dict[type[exp.Expr], type[exp.Expr]]] = {
    exp.EQ: exp.EQ,
    exp.NEQ: exp.NEQ,
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
}
"""What says the same with both sides exchanged."""
_SIGNS: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_REFUSED = {
    exp.Query: "a subquery",
    exp.Subquery: "a subquery",
    exp.Exists: "a subquery",
    exp.Case: "CASE",
    exp.If: "CASE",
    exp.Mod: "the operator %",
    exp.DPipe: "the operator ||",
    exp.ILike: "ILIKE (write lower(column) LIKE '...')",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
    exp.Placeholder: "a placeholder",
    exp.Parameter: "a parameter",
    exp.Star: "the star *",
    exp.Tuple: "a list outside IN",
    exp.Alias: "AS",
    exp.Cast: "a cast (DATE 'YYYY-MM-DD' excepted)",
    exp.Bracket: "an index in square brackets",
    exp.Window: "a window function",
    exp.Interval: "INTERVAL (use days_between)",
    exp.Escape: "ESCAPE",
}


def read_expression(text: str, columns: Columns, where: str) -> tuple[exp.Expr, Kind | None]:
    """Parse `text` and check it; return the tree and the kind of value it gives (None: cannot be told).

    `where` names file and rule for the messages. Raises: ConditionError.
    """
    try:
        return _read(text, columns, where)
    except RecursionError as error:
        raise ConditionError(f"{where}: the expression is nested too deeply to be read.") from error


def _read(text: str, columns: Columns, where: str) -> tuple[exp.Expr, Kind | None]:
    try:
        statements = sqlglot.parse(text, dialect="duckdb")
    except SqlglotError as error:
        raise ConditionError(f"{where}: {text!r} is not an SQL expression{_near(error)}.") from error
    if len(statements) != 1 or statements[0] is None:
        raise ConditionError(
            f"{where}: {text!r} is {'empty' if statements == [None] else 'more than one statement'}; "
            "write one SQL expression."
        )
    tree = statements[0]
    assert isinstance(tree, exp.Expr)
    return tree, _Checker(columns, where, text).kind(tree)


def is_days_between(node: exp.Expr) -> bool:
    """Tell whether `node` is a call of days_between."""
    return isinstance(node, exp.Anonymous) and str(node.this).lower() == DAYS_BETWEEN


class _Checker:
    """Walks a tree once: every node is either on the list and of the right kind, or a ConditionError."""

    def __init__(self, columns: Columns, where: str, text: str) -> None:
        self._names = frozenset(columns)
        self._kinds = columns if isinstance(columns, Mapping) else {}
        self._where = where
        self._text = text
        self._rules: dict[type[exp.Expr], Callable[[exp.Expr], Kind | None]] = {
            exp.Paren: lambda node: self.kind(node.this),
            exp.Column: self._column,
            exp.Literal: lambda node: "text" if node.is_string else "number",
            exp.Boolean: lambda _: "yes_no",
            exp.Null: lambda _: None,
            exp.Not: lambda node: self._expect(node.this, "yes_no", "NOT", gives="yes_no"),
            exp.And: self._logic,
            exp.Or: self._logic,
            exp.In: self._in,
            exp.Between: lambda node: self._comparable(node.this, node.args["low"], node.args["high"]),
            exp.Is: self._is,
            exp.Like: self._like,
            exp.Neg: lambda node: self._expect(node.this, "number", "-", gives="number"),
            exp.Cast: self._date,
            exp.Coalesce: self._alike,
            exp.Least: self._alike,
            exp.Greatest: self._alike,
            exp.Abs: lambda node: self._expect(node.this, "number", "abs", gives="number"),
            exp.Round: self._round,
            exp.Lower: lambda node: self._expect(node.this, "text", "lower", gives="text"),
            exp.Upper: lambda node: self._expect(node.this, "text", "upper", gives="text"),
            exp.Length: lambda node: self._expect(node.this, "text", "length", gives="number"),
            exp.Anonymous: self._days_between,
        }
        for comparison in COMPARISONS:
            self._rules[comparison] = lambda node: self._comparable(node.this, node.expression)
        for operation in _SIGNS:
            self._rules[operation] = self._arithmetic

    def kind(self, node: exp.Expr) -> Kind | None:
        rule = self._rules.get(type(node))
        if rule is None:
            raise self._refusal(node)
        return rule(node)

    def _error(self, message: str) -> ConditionError:
        return ConditionError(f"{self._where}: {message} In {self._text!r}.")

    def _refusal(self, node: exp.Expr) -> ConditionError:
        for refused, name in _REFUSED.items():
            if isinstance(node, refused):
                return self._error(f"{name} is not understood in a condition.")
        if isinstance(node, exp.Func):
            name = (str(node.this) if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
            # A listed function can still arrive here under one of its other spellings; name what was meant.
            return self._error(f"function {name!r} is not on the list.{did_you_mean(name, FUNCTIONS)}")
        return self._error(f"{node.sql(dialect='duckdb')!r} is not understood in a condition.")

    def _column(self, node: exp.Expr) -> Kind | None:
        if not isinstance(node.this, exp.Identifier):
            raise self._refusal(node.this)
        if node.args.get("table"):
            raise self._error(f"{node.sql(dialect='duckdb')!r}: write the column alone, without a table.")
        if node.name not in self._names:
            raise self._error(f"no column {node.name!r}.{did_you_mean(node.name, self._names)}")
        return self._kinds.get(node.name)

    def _expect(self, node: exp.Expr, wanted: Kind, operator: str, gives: Kind = "yes_no") -> Kind:
        found = self.kind(node)
        if found is not None and found != wanted:
            shown = node.sql(dialect="duckdb")
            hint = f" (write {shown} = 1)" if wanted == "yes_no" and found == "number" else ""
            raise self._error(f"{operator} needs {_NAMES[wanted]}, but {shown} is {_NAMES[found]}{hint}.")
        return gives

    def _logic(self, node: exp.Expr) -> Kind:
        name = type(node).__name__.upper()
        self._expect(node.this, "yes_no", name)
        self._expect(node.expression, "yes_no", name)
        return "yes_no"

    def _comparable(self, *nodes: exp.Expr) -> Kind:
        if any(isinstance(node, COMPARISONS) for node in nodes):
            raise self._error("comparisons are not chained; join two of them with AND.")
        if any(isinstance(node, exp.Null) for node in nodes):
            raise self._error("nothing compares with NULL; write IS NULL or IS NOT NULL.")
        self._same(nodes)
        return "yes_no"

    def _same(self, nodes: Collection[exp.Expr]) -> Kind | None:
        first: tuple[exp.Expr, Kind] | None = None
        for node in nodes:
            kind = self.kind(node)
            if kind is None:
                continue
            if first is None:
                first = (node, kind)
            elif first[1] != kind and {first[1], kind} != {"number", "yes_no"}:
                left, right = first[0].sql(dialect="duckdb"), node.sql(dialect="duckdb")
                hint = " Write DATE 'YYYY-MM-DD'." if {first[1], kind} == {"date", "text"} else ""
                raise self._error(
                    f"{left} is {_NAMES[first[1]]}, {right} is {_NAMES[kind]}; they do not compare.{hint}"
                )
        return first[1] if first else None

    def _in(self, node: exp.Expr) -> Kind:
        if any(node.args.get(part) for part in ("query", "unnest", "field")):
            raise self._error("a subquery or column in IN is not understood; list the values.")
        if not node.expressions:
            raise self._error("IN () lists no value.")
        for value in node.expressions:
            literal = value.this if isinstance(value, exp.Neg) else value
            if not (isinstance(literal, exp.Literal | exp.Boolean) or _is_date(literal)):
                raise self._error(f"IN lists plain values; {value.sql(dialect='duckdb')!r} is not one.")
        return self._comparable(node.this, *node.expressions)

    def _is(self, node: exp.Expr) -> Kind:
        if not isinstance(node.expression, exp.Null | exp.Boolean):
            raise self._error("IS is followed by NULL, TRUE or FALSE.")
        if isinstance(node.expression, exp.Boolean):
            self._expect(node.this, "yes_no", "IS TRUE")
        else:
            self.kind(node.this)
        return "yes_no"

    def _like(self, node: exp.Expr) -> Kind:
        self._expect(node.this, "text", "LIKE")
        if not (isinstance(node.expression, exp.Literal) and node.expression.is_string):
            raise self._error("LIKE is followed by a pattern in single quotes.")
        return "yes_no"

    def _arithmetic(self, node: exp.Expr) -> Kind:
        operator = _SIGNS[type(node)]
        for side in (node.this, node.expression):
            if self._kinds and self.kind(side) == "date":
                raise self._error("dates are not added or subtracted; use days_between(a, b).")
            self._expect(side, "number", operator)
        return "number"

    def _alike(self, node: exp.Expr) -> Kind | None:
        return self._same([node.this, *node.expressions])

    def _round(self, node: exp.Expr) -> Kind:
        self._expect(node.this, "number", "round")
        digits = node.args.get("decimals")
        if digits is not None and not (isinstance(digits, exp.Literal) and digits.name.isdigit()):
            raise self._error("round(value, digits) takes a whole number of digits.")
        return "number"

    def _date(self, node: exp.Expr) -> Kind:
        if not _is_date(node):
            raise self._refusal(node)
        try:
            date.fromisoformat(node.this.name)
        except ValueError as error:
            raise self._error(f"{node.this.name!r} is not a date; write DATE 'YYYY-MM-DD'.") from error
        return "date"

    def _days_between(self, node: exp.Expr) -> Kind:
        if not is_days_between(node):
            raise self._refusal(node)
        if len(node.expressions) != 2:
            raise self._error("days_between(a, b) takes two dates.")
        for side in node.expressions:
            self._expect(side, "date", DAYS_BETWEEN)
        return "number"


def _near(error: SqlglotError) -> str:
    places = getattr(error, "errors", None) or [{}]
    column = places[0].get("col")
    return f" (near character {column})" if column else ""


_NAMES = {"number": "a number", "text": "text", "yes_no": "a yes/no value", "date": "a date"}


def _is_date(node: exp.Expr) -> bool:
    return (
        isinstance(node, exp.Cast)
        and node.to.this == exp.DataType.Type.DATE
        and isinstance(node.this, exp.Literal)
        and node.this.is_string
    )
