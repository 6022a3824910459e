"""The rows of a question, from whichever engine holds the tables."""

from __future__ import annotations

from typing import Any

import ibis
import pandas as pd
import pyarrow as pa


def fetch(backend: Any, question: ibis.Table | str) -> pd.DataFrame:
    """Return the rows of a question (or, on Spark, of its text); instants are naive UTC."""
    spark = backend.name == "pyspark"
    rows: pd.DataFrame = fetch_arrow(backend, question).to_pandas() if spark else backend.to_pandas(question)
    return rows


def fetch_arrow(backend: Any, question: ibis.Table | str) -> pa.Table:
    """Return the rows of a question as Arrow; on Spark without a way by pandas, whose clock is local."""
    if backend.name != "pyspark":
        return backend.to_pyarrow(question)
    rows = backend.raw_sql(question if isinstance(question, str) else backend.compile(question)).toArrow()
    for position, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            naive = rows.column(position).cast(pa.timestamp("us"))
            rows = rows.set_column(position, field.name, naive)
    return rows
