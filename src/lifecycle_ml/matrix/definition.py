"""What a definition may say of the rows of a table, checked where it is written.

Unknown tables and columns, or a condition outside the grammar, fail there, with the nearest right name.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sqlglot import exp

from lifecycle_ml.conditions.grammar import Kind, read_expression
from lifecycle_ml.errors import ConditionError, DefinitionError, did_you_mean
from lifecycle_ml.tables.schema import SCHEMAS, Type

AS_OF = "as_of"
EVENTS = "usage_events"
NOT_FOR_FEATURES = ("outcomes", "fx_rates")
"""Tables no feature may read: outcomes are what is predicted, rates belong to reports."""

KINDS: dict[Type, Kind] = {
    Type.TEXT: "text",
    Type.TEXTS: "text",
    Type.WHOLE: "number",
    Type.NUMBER: "number",
    Type.YES_NO: "yes_no",
    Type.DATE: "date",
    Type.INSTANT: "date",
}


def wrong(message: str) -> DefinitionError:
    """Return a DefinitionError that starts with the file and line of the definition, where there is one."""
    frame = sys._getframe(1)  # noqa: SLF001 (the only way to say where a definition was written)
    room = Path(__file__).parent
    while frame.f_back is not None and (
        Path(frame.f_code.co_filename).parent == room
        or frame.f_code.co_filename.startswith("<")
        or frame.f_globals.get("__name__") == "dataclasses"
    ):
        frame = frame.f_back
    path = Path(frame.f_code.co_filename)
    return DefinitionError(f"{path.parent.name}/{path.name}:{frame.f_lineno}: {message}")


@dataclass(frozen=True)
class Parsed:
    """A checked expression over one table, and the kind of its value."""

    tree: exp.Expr
    kind: Kind | None


def parsed(table: str, text: str, place: str) -> Parsed:
    """Parse an expression over a table's columns and as_of. Raises: DefinitionError."""
    try:
        return _parse(table, text)
    except ConditionError as error:
        raise wrong(f"{place}: {error}") from error


@lru_cache(maxsize=4096)
def _parse(table: str, text: str) -> Parsed:
    columns: dict[str, Kind] = {c.name: KINDS[c.type] for c in SCHEMAS[table].columns}
    tree, kind = read_expression(text, columns | {AS_OF: "date"}, table)
    return Parsed(tree, kind)


@lru_cache(maxsize=4096)
def columns_of(table: str, text: str) -> frozenset[str]:
    """Return the columns (and `as_of`) an expression names."""
    return frozenset(node.name for node in _parse(table, text).tree.find_all(exp.Column))


def outside_coalesce(table: str, text: str) -> frozenset[str]:
    """Return the columns an expression names outside coalesce(), which says how to do without."""
    tree = _parse(table, text).tree
    return frozenset(
        node.name for node in tree.find_all(exp.Column) if node.find_ancestor(exp.Coalesce) is None
    )


def is_whole(value: object) -> bool:
    """Tell whether a value is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_values(table: str, text: str, place: str) -> None:
    """Refuse a comparison with a value its column can never have: it would be silently false."""
    lists = {column.name: column.values for column in SCHEMAS[table].columns if column.values}
    for node in parsed(table, text, place).tree.find_all(exp.EQ, exp.NEQ, exp.In):
        named = [column.name for column in node.find_all(exp.Column) if column.name in lists]
        for literal in node.find_all(exp.Literal) if named else ():
            if literal.is_string and literal.name not in lists[named[0]]:
                raise wrong(
                    f"{place}: {table}.{named[0]} is never {literal.name!r}."
                    f"{did_you_mean(literal.name, lists[named[0]])}"
                )
