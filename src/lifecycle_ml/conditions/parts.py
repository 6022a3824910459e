"""A condition taken apart: what each of its comparisons says of one row, and which of them decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd
from sqlglot import exp

from lifecycle_ml.conditions.evaluate import evaluate
from lifecycle_ml.conditions.parse import Condition

Truth = bool | None
"""Three-valued: None cannot be told."""


@dataclass(frozen=True)
class Part:
    """One comparison of a condition, what it denies included, and what it says of a row."""

    condition: Condition
    holds: Truth


@dataclass(frozen=True)
class Judged:
    """What a whole condition says of a row, and the comparisons that decide it."""

    holds: Truth
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Joined:
    """Conditions that must all be true, or of which one is enough."""

    by: Literal["all", "any"]
    of: tuple[Joined | Condition, ...]


def take_apart(condition: Condition) -> Joined | Condition:
    """Split at AND, OR, brackets and NOT; what is left are comparisons, each a condition of its own."""
    return _split(condition.tree, condition.where, denied=False)


def comparisons(tree: Joined | Condition) -> Iterator[Condition]:
    """Yield the comparisons of a condition taken apart, in the order of its text."""
    if isinstance(tree, Condition):
        yield tree
    else:
        for inner in tree.of:
            yield from comparisons(inner)


def judge_parts(conditions: Mapping[str, Condition], row: pd.DataFrame) -> dict[str, Judged]:
    """Judge each condition for the one row of `row`, and return the comparisons that decide it.

    Of a condition that is true those that make it so; of any other those that keep it from being true: false
    ones and ones that cannot be told. Columns the table lacks count as empty.
    """
    taken = {name: take_apart(condition) for name, condition in conditions.items()}
    each = {part: None for tree in taken.values() for part in comparisons(tree)}
    lacking = {column for part in each for column in part.columns}.difference(row)
    table = row.assign(**dict.fromkeys(sorted(lacking))) if lacking else row
    numbered = {str(at): part for at, part in enumerate(each)}
    answers = evaluate(numbered, table).iloc[0]
    truth: dict[Condition, Truth] = {
        part: None if pd.isna(answers[key]) else bool(answers[key]) for key, part in numbered.items()
    }
    return {
        name: Judged(_value(tree, truth), tuple(Part(part, truth[part]) for part in _deciding(tree, truth)))
        for name, tree in taken.items()
    }


def _split(node: exp.Expr, where: str, *, denied: bool) -> Joined | Condition:
    if isinstance(node, exp.Paren):
        return _split(node.this, where, denied=denied)
    if isinstance(node, exp.Not):
        return _split(node.this, where, denied=not denied)
    if isinstance(node, exp.And | exp.Or):
        by: Literal["all", "any"] = "all" if isinstance(node, exp.And) != denied else "any"
        inner = (_split(side, where, denied=denied) for side in (node.left, node.right))
        parts: list[Joined | Condition] = []
        for one in inner:
            parts += one.of if isinstance(one, Joined) and one.by == by else [one]
        return Joined(by, tuple(parts))
    tree = exp.Not(this=exp.Paren(this=node.copy())) if denied else node
    names = tuple(sorted({column.name for column in node.find_all(exp.Column)}))
    return Condition(tree.sql(dialect="duckdb"), names, where, tree)


def _value(tree: Joined | Condition, truth: Mapping[Condition, Truth]) -> Truth:
    if isinstance(tree, Condition):
        return truth[tree]
    values = [_value(inner, truth) for inner in tree.of]
    decisive = tree.by == "any"
    if decisive in values:
        return decisive
    return None if None in values else not decisive


def _deciding(tree: Joined | Condition, truth: Mapping[Condition, Truth]) -> list[Condition]:
    if isinstance(tree, Condition):
        return [tree]
    whole = _value(tree, truth)
    kept = []
    for inner in tree.of:
        holds = _value(inner, truth) is True
        # One true alternative is enough, and one part that is not true spoils all the others.
        if holds == (whole is True):
            kept += _deciding(inner, truth)
    return kept
