"""The whole matrix as one question to an engine: every aggregate once, then arithmetic, all in Ibis.

This is how the definitions run where the data is: Spark, a warehouse. On one machine it answers what looks at
states (a contract in force, an open ticket), while facts go through `facts.py` and `windows.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import pandas as pd

from lifecycle_ml.errors import LifecycleError
from lifecycle_ml.matrix.aggregates import aggregate_rows, feed_ages
from lifecycle_ml.matrix.compiled import ask, place
from lifecycle_ml.matrix.definition import EVENTS
from lifecycle_ml.matrix.events import aggregate_events, cut_into_segments
from lifecycle_ml.matrix.expressions import Evaluator, feed_column
from lifecycle_ml.matrix.nodes import Measure, Rows, leaves
from lifecycle_ml.matrix.series import feeds
from lifecycle_ml.matrix.spine import own_rows, rolled_up
from lifecycle_ml.tables.source import Tables

OWN = ("accounts", "contracts")
"""Tables that belong to the account itself; rows of the others roll up from child accounts."""


def answer_question(tables: Tables, spine: pd.DataFrame, measures: Mapping[str, Measure]) -> pd.DataFrame:
    """Return one column per measure, rows as the spine (account_id, as_of, known_at, in any order)."""
    found = dict.fromkeys(leaf for measure in measures.values() for leaf in leaves(measure))
    keys = {leaf: f"m{i}" for i, leaf in enumerate(found) if leaf.table in tables}
    # as small as the spine and joined to every table: found out once
    members = place(tables, "matrix_members", rolled_up(tables, own_rows(spine)))
    own = place(tables, "matrix_spine", own_rows(spine))
    events = {leaf for leaf in keys if leaf.table == EVENTS}
    segments = place(tables, "matrix_segments", cut_into_segments(spine, events)) if events else None
    midnights = bool((spine["known_at"] == spine["known_at"].dt.normalize()).all())
    answer = ask(
        tables,
        ("matrix", tuple(measures.items()), midnights),
        lambda: _question(tables, measures, keys, own, members, segments, midnights=midnights),
    )
    frame = answer.sort_values("row", ignore_index=True)
    if len(frame) != len(spine) or (frame["row"] != spine.index).any():
        raise LifecycleError(
            f"matrix: {len(frame)} rows came back for {len(spine)} of the spine; this is a fault of ours."
        )
    return frame.drop(columns="row")


def _question(
    tables: Tables,
    measures: Mapping[str, Measure],
    keys: Mapping[Rows, str],
    own: ibis.Table,
    members: ibis.Table,
    segments: ibis.Table | None,
    *,
    midnights: bool,
) -> ibis.Table:
    blocks: list[ibis.Table] = []
    for name in dict.fromkeys(leaf.table for leaf in keys):
        wanted = {key: leaf for leaf, key in keys.items() if leaf.table == name}
        if name == EVENTS:
            assert segments is not None, "events are wanted, so they were cut into segments"
            blocks += aggregate_events(tables[name], segments, members, wanted, midnights=midnights)
        else:
            blocks.append(aggregate_rows(tables[name], name, own if name in OWN else members, wanted))
    for name in dict.fromkeys(table for measure in measures.values() for table in feeds(measure)):
        if name in tables:
            blocks.append(feed_ages(tables[name], name, own, feed_column(name), midnights=midnights))
    wide = own.select("row", "as_of")
    for block in blocks:
        wide = wide.left_join(block, "row").drop("row_right")
    evaluator = Evaluator(wide, keys)
    columns = {name: evaluator.value(measure) for name, measure in measures.items()}
    return wide.select("row", **columns)
