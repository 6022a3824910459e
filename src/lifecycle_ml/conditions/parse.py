"""A rule's text becomes a checked condition; see grammar.py for what it may say."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from lifecycle_ml.conditions.grammar import Columns, Kind, read_expression
from lifecycle_ml.conditions.translate import to_ibis
from lifecycle_ml.errors import ConditionError

__all__ = ["Columns", "Condition", "Kind", "parse_condition", "to_ibis"]


@dataclass(frozen=True)
class Condition:
    """A checked SQL boolean expression. Build it with `parse_condition`.

    `columns` are the columns it reads, sorted; `where` names file and rule, for messages.
    """

    text: str
    columns: tuple[str, ...]
    where: str
    tree: exp.Expr = field(repr=False, compare=False)


def parse_condition(text: str, columns: Columns, where: str) -> Condition:
    """Parse and check a condition over a table with `columns`.

    `columns` may be names, or a mapping of names to kinds (number, text, yes_no, date); only with kinds are
    comparisons of text with numbers refused. `where` says file and rule ("serving/health.toml facts.x").
    Raises: ConditionError with file, rule and the nearest right name.
    """
    tree, kind = read_expression(text, columns, where)
    if kind not in {None, "yes_no"}:
        raise ConditionError(f"{where}: {text!r} is a value, not a condition; compare it with something.")
    if isinstance(tree, exp.Literal | exp.Null):
        raise ConditionError(f"{where}: {text!r} is a value, not a condition.")
    names = tuple(sorted({column.name for column in tree.find_all(exp.Column)}))
    return Condition(text=text, columns=names, where=where, tree=tree)
