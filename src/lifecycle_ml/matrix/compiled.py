"""Questions as SQL, translated once: for some 90 features Ibis needs seconds, DuckDB a fraction of one.

A question is an Ibis expression over the canonical tables and over tables of fixed names that hold what
changes from call to call (the spine). Its text depends on nothing else, so it is kept and asked again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import ibis
import ibis.expr.operations as ops
import pandas as pd
import pyarrow as pa

from lifecycle_ml.tables.fetch import fetch
from lifecycle_ml.tables.source import Tables

MOST = 256
"""Questions kept; the standard features put some 25 for one set of tables."""

_kept: OrderedDict[Hashable, str] = OrderedDict()


def place(tables: Tables, name: str, rows: pd.DataFrame) -> ibis.Table:
    """Put rows into a table of this name beside the canonical ones, in place of earlier rows.

    Instants are naive UTC there as here, whatever the time zone of this process.
    """
    backend, arriving = tables.backend, pa.Table.from_pandas(rows, preserve_index=False)
    if backend.name == "pyspark":
        # By way of pandas, Ibis reads instants as local time, and one hour of the year twice.
        backend._session.createDataFrame(arriving).createOrReplaceTempView(name)  # noqa: SLF001
    elif backend.name == "duckdb":
        backend.con.register("rows_handed_over", arriving)
        try:
            backend.con.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM rows_handed_over")
        finally:
            backend.con.unregister("rows_handed_over")
    else:
        return ibis.memtable(arriving)
    placed: ibis.Table = backend.table(name)
    return placed


def ask(tables: Tables, key: Hashable, question: Callable[[], ibis.Table]) -> pd.DataFrame:
    """Return the answer to a question.

    `key` says all that the question rests on beside the tables' names, columns and types: the same key and
    tables of the same shape are the same text. Rows come in no particular order.
    """
    backend = tables.backend
    if backend.name == "duckdb":
        frame: pd.DataFrame = backend.con.execute(text_of(tables, key, question)).df()
        return frame
    # Rows put beside the tables of a warehouse have no name that could be kept.
    return fetch(backend, text_of(tables, key, question) if backend.name == "pyspark" else question())


def text_of(tables: Tables, key: Hashable, question: Callable[[], ibis.Table]) -> str:
    """Return a question as SQL."""
    shape = _shape(tables)
    whole = (key, shape)
    if shape is not None and whole in _kept:
        _kept.move_to_end(whole)
        return _kept[whole]
    text: str = tables.backend.compile(question())
    if shape is not None:
        _kept[whole] = text
        if len(_kept) > MOST:
            _kept.popitem(last=False)
    return text


def forget() -> None:
    """Translate every question anew: for tests that change how questions are put."""
    _kept.clear()


def _shape(tables: Tables) -> Hashable | None:
    """Return what the text knows of the tables; None where one of them is itself a question."""
    found: list[Any] = []
    for name in tables.names:
        operation = tables[name].op()
        if not isinstance(operation, ops.DatabaseTable):
            return None
        found.append((operation.name, str(operation.namespace), tuple(tables[name].schema().items())))
        found.append(tables.provided(name))
    return tuple(found)
