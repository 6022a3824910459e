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
from lifecycle_ml.conditions.parse import Condition
from lifecycle_ml.errors import ConditionError, did_you_mean

_TABLE = "rows_to_judge"


def evaluate(conditions: Mapping[str, Condition], table: pd.DataFrame | pa.Table) -> pd.DataFrame:
    """Judge every row of `table` by every condition.

    Grain:  one row per row of `table`, in its order and, for pandas, with its index; one column per key.
    Nulls:  dtype "boolean"; <NA> means "cannot tell". NaN in number columns counts as null, x / 0 is null.
    Cost:   one DuckDB query for all conditions, reading only the columns they name.
    Raises: ConditionError if a column is missing, or a value cannot be compared as the condition asks.
    """
    index = table.index if isinstance(table, pd.DataFrame) else pd.RangeIndex(table.num_rows)
    names = sorted({column for condition in conditions.values() for column in condition.columns})
    known = table.columns if isinstance(table, pd.DataFrame) else table.column_names
    for condition in conditions.values():
        for missing in set(condition.columns).difference(known):
            raise ConditionError(
                f"{condition.where}: the table has no column {missing!r}.{did_you_mean(missing, known)}"
            )
    arrow = _arrow(table, names)
    if not conditions:
        return pd.DataFrame(index=index)
    empty = frozenset(field.name for field in arrow.schema if pa.types.is_null(field.type))
    selected = {key: _sql(condition, empty) for key, condition in conditions.items()}
    try:
        answer = _run(list(selected.values()), arrow)
    except duckdb.Error as error:
        raise _blame(conditions, selected, arrow) from error
    return pd.DataFrame(
        {
            key: answer.column(position).to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get).array
            for position, key in enumerate(conditions)
        },
        index=index,
    )


def _arrow(table: pd.DataFrame | pa.Table, names: list[str]) -> pa.Table:
    if not names:
        # A condition without columns still answers once per row.
        return pa.table({"row": pa.array(np.arange(len(table)))})
    if isinstance(table, pd.DataFrame):
        return pa.Table.from_pandas(table[names], preserve_index=False)
    return table.select(names)


@lru_cache(maxsize=4096)
def _sql(condition: Condition, empty: frozenset[str]) -> str:
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


def _run(selected: list[str], arrow: pa.Table) -> pa.Table:
    shown = ", ".join(f"{sql} AS c{position}" for position, sql in enumerate(selected))
    plain = ", ".join(_plain(field) for field in arrow.schema)
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


def _blame(conditions: Mapping[str, Condition], selected: dict[str, str], arrow: pa.Table) -> ConditionError:
    """Find the condition that the engine refused, to name its file and rule."""
    for key, condition in conditions.items():
        try:
            _run([selected[key]], arrow)
        except duckdb.Error as error:
            reason = str(error).splitlines()[0].rstrip(".")
            return ConditionError(f"{condition.where}: {condition.text!r} cannot be evaluated: {reason}.")
    raise AssertionError("conditions fail together but not one by one")


def _plain(field: pa.Field) -> str:
    name = exp.to_identifier(field.name, quoted=True).sql(dialect="duckdb")
    if pa.types.is_floating(field.type):
        return f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END AS {name}"
    return str(name)
