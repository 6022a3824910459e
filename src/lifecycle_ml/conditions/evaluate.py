"""All conditions of a file over one table in one DuckDB query, three-valued."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from sqlglot import exp

from lifecycle_ml.conditions.grammar import is_days_between
from lifecycle_ml.conditions.logic import Column, Holds, answer, is_plain
from lifecycle_ml.conditions.parse import Condition
from lifecycle_ml.errors import ConditionError, did_you_mean

_TABLE = "rows_to_judge"
FEW = 32
"""Rows up to which conditions are judged without a query, where `logic` understands them."""


def evaluate(conditions: Mapping[str, Condition], table: pd.DataFrame | pa.Table) -> pd.DataFrame:
    """Judge every row of `table` by every condition.

    Grain:  one row per row of `table`, in its order and, for pandas, with its index; one column per key.
    Nulls:  dtype "boolean"; <NA> means "cannot tell". NaN in number columns counts as null, x / 0 is null.
    Cost:   one DuckDB query for all conditions, reading only the columns they name. A query costs as much as
            judging thousands of rows: up to `FEW` rows of pandas are judged without it, where that can be.
    Raises: ConditionError if a column is missing, or a value cannot be compared as the condition asks.
    """
    index = table.index if isinstance(table, pd.DataFrame) else pd.RangeIndex(table.num_rows)
    known = frozenset(table.columns if isinstance(table, pd.DataFrame) else table.column_names)
    for condition in conditions.values():
        for missing in set(condition.columns).difference(known):
            raise ConditionError(
                f"{condition.where}: the table has no column {missing!r}.{did_you_mean(missing, known)}"
            )
    answers: dict[str, pd.arrays.BooleanArray] = {}
    if isinstance(table, pd.DataFrame) and 0 < len(table) <= FEW:
        answers = _judge_few(conditions, table)
    asked = {key: condition for key, condition in conditions.items() if key not in answers}
    if asked:
        answers |= _ask(asked, table)
    return pd.DataFrame({key: answers[key] for key in conditions}, index=index)


def _judge_few(conditions: Mapping[str, Condition], table: pd.DataFrame) -> dict[str, pd.arrays.BooleanArray]:
    """Return what the conditions say that need no query; the others are left out."""
    names = {column for condition in conditions.values() for column in condition.columns}
    values = {name: _plain_column(table[name]) for name in names}
    # A column without any value is whatever the condition takes it for.
    empty = [name for name in names if table[name].dtype == object and table[name].isna().all()]
    answers = {}
    for blank in (np.full(len(table), np.nan), np.full(len(table), None, dtype=object)):
        columns = values | dict.fromkeys(empty, blank)
        kinds = {name: _kind(column) for name, column in columns.items()}
        known = {name: column for name, column in columns.items() if column is not None}
        for key, condition in conditions.items():
            if key in answers or not is_plain(condition, tuple(kinds[name] for name in condition.columns)):
                continue
            true, false = answer(condition, known)
            answers[key] = pd.arrays.BooleanArray(true, ~(true | false))
        if not empty:
            break
    return answers


def _plain_column(column: pd.Series) -> Column | None:
    """Return a column as `logic.answer` takes it, None for what it does not know."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "fiu":
        return column.to_numpy(dtype="float64")
    if isinstance(dtype, pd.StringDtype):
        texts: Column = column.astype(object).where(column.notna(), None).to_numpy()
        return texts
    return None


def _kind(column: Column | None) -> Holds | None:
    if column is None:
        return None
    return "text" if column.dtype == object else "number"


def _ask(
    conditions: Mapping[str, Condition], table: pd.DataFrame | pa.Table
) -> dict[str, pd.arrays.BooleanArray]:
    names = sorted({column for condition in conditions.values() for column in condition.columns})
    arrow = _arrow(table, names)
    empty = frozenset(field.name for field in arrow.schema if pa.types.is_null(field.type))
    selected = {key: render(condition, empty) for key, condition in conditions.items()}
    # Arrow made from numpy has nulls where there was NaN; elsewhere NaN may have survived.
    checked = frozenset(
        name
        for name in names
        if not (isinstance(table, pd.DataFrame) and isinstance(table[name].dtype, np.dtype))
    )
    try:
        found = _run(list(selected.values()), arrow, checked)
    except duckdb.Error as error:
        raise _blame(conditions, selected, arrow, checked) from error
    return {key: _flags(found.column(at)) for at, key in enumerate(conditions)}


def _flags(column: pa.ChunkedArray) -> pd.arrays.BooleanArray:
    gone = column.is_null().to_numpy()
    true = column.fill_null(fill_value=False).to_numpy()
    return pd.arrays.BooleanArray(true, gone)


def _arrow(table: pd.DataFrame | pa.Table, names: list[str]) -> pa.Table:
    if not names:
        # A condition without columns still answers once per row.
        return pa.table({"row": pa.array(np.arange(len(table)))})
    if isinstance(table, pd.DataFrame):
        return pa.Table.from_pandas(table[names], preserve_index=False)
    return table.select(names)


@lru_cache(maxsize=4096)
def render(condition: Condition, empty: frozenset[str] = frozenset()) -> str:
    """Return a condition as DuckDB judges it; `empty` are columns that hold no value at all."""
    # Rendering costs more than judging one account does, and rules seldom change: hence the cache.
    tree = condition.tree.transform(lambda node: _engine_node(node, empty))
    return f"CAST(({tree.sql(dialect='duckdb', comments=False)}) AS BOOLEAN)"


def _engine_node(node: exp.Expr, empty: frozenset[str]) -> exp.Expr:
    """Spell out for DuckDB what the grammar promises: no type without values, x / 0 is null, whole days."""
    if isinstance(node, exp.Column):
        if node.name in empty:
            return exp.Null()
        return exp.column(exp.to_identifier(node.name, quoted=True))
    if isinstance(node, exp.Div):
        return exp.Div(
            this=node.this,
            expression=exp.Nullif(this=node.expression, expression=exp.Literal.number(0)),
        )
    if is_days_between(node):
        start, end = (exp.Cast(this=side, to=exp.DataType.build("DATE")) for side in node.expressions)
        return exp.Anonymous(this="date_diff", expressions=[exp.Literal.string("day"), start, end])
    return node


def _run(selected: list[str], arrow: pa.Table, checked: frozenset[str]) -> pa.Table:
    shown = ", ".join(f"{sql} AS c{position}" for position, sql in enumerate(selected))
    plain = ", ".join(_plain(field, checked) for field in arrow.schema)
    with _engine().cursor() as cursor:
        cursor.register(_TABLE, arrow)
        return cursor.sql(f"SELECT {shown} FROM (SELECT {plain} FROM {_TABLE})").to_arrow_table()


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    # One private database for all calls; each call works on its own cursor. It can reach no file.
    engine = duckdb.connect(":memory:")
    engine.execute("SET enable_external_access = false")
    engine.execute("SET lock_configuration = true")
    return engine


def _blame(
    conditions: Mapping[str, Condition], selected: dict[str, str], arrow: pa.Table, checked: frozenset[str]
) -> ConditionError:
    """Find the condition that the engine refused, to name its file and rule."""
    for key, condition in conditions.items():
        try:
            _run([selected[key]], arrow, checked)
        except duckdb.Error as error:
            reason = str(error).splitlines()[0].rstrip(".")
            return ConditionError(f"{condition.where}: {condition.text!r} cannot be evaluated: {reason}.")
    raise AssertionError("conditions fail together but not one by one")


def _plain(field: pa.Field, checked: frozenset[str]) -> str:
    name = exp.to_identifier(field.name, quoted=True).sql(dialect="duckdb")
    if field.name in checked and pa.types.is_floating(field.type):
        return f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END AS {name}"
    return str(name)
