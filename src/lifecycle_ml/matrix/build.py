"""Feature definitions in, matrix out: every aggregate once, then arithmetic, then pandas."""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import pandas as pd

from lifecycle_ml.errors import DefinitionError, LifecycleError
from lifecycle_ml.matrix.aggregates import aggregate_rows, feed_ages
from lifecycle_ml.matrix.compiled import ask, place
from lifecycle_ml.matrix.events import aggregate_events, cut_into_segments
from lifecycle_ml.matrix.expressions import Evaluator, feed_column
from lifecycle_ml.matrix.feature import USUAL, FeatureSet
from lifecycle_ml.matrix.nodes import EVENTS, Measure, Peers, Rows, feeds, leaves
from lifecycle_ml.matrix.peers import positions
from lifecycle_ml.matrix.spine import active_accounts, checked, customers, own_rows, rolled_up
from lifecycle_ml.tables.source import Tables

__all__ = ["active_accounts", "build_matrix", "customers"]

_OWN = ("accounts", "contracts")
"""Tables that belong to the account itself; rows of the others roll up from child accounts."""


def build_matrix(tables: Tables, features: FeatureSet, spine: pd.DataFrame) -> pd.DataFrame:
    """Build the matrix: what was known about each account as of each date.

    Grain:  one row per spine row, sorted by (account_id, as_of), RangeIndex.
    Shape:  account_id, as_of; one column per feature (float64, yes/no as 1.0 and 0.0; `str` for categories;
            NaN is null); then `<feature>__usual` (float64) for features with a usual value.
    Time:   only rows with known_at <= the spine's known_at and facts before as_of are seen; a column is seen
            from its own date on (tables/schema.py).
    Raises: ValueError for a spine that is not one row per account and date; DefinitionError if a feature
            needs a table or column the source has not (use `features.available(tables)`).
    """
    spine = checked(spine)
    for feature in features:
        lacking = sorted(feature.lacks(tables))
        if lacking:
            raise DefinitionError(
                f"feature {feature.name!r} needs {', '.join(lacking)}, which the source has not; "
                "build with features.available(tables)."
            )
    measures: dict[str, Measure] = {feature.name: feature.value for feature in features}
    measures |= {f"{f.name}{USUAL}": f.usual for f in features if f.usual is not None}
    texts = {feature.name for feature in features if feature.is_text}
    if spine.empty or not measures:
        computed = pd.DataFrame({name: pd.Series(dtype="float64") for name in measures}, index=spine.index)
    else:
        compared = {name: measure for name, measure in measures.items() if isinstance(measure, Peers)}
        alone = {name: measure for name, measure in measures.items() if name not in compared}
        computed = _compute(tables, spine, alone)
        if compared:
            computed = pd.concat([computed, positions(tables, spine, compared, _compute)], axis=1)
        computed = computed[list(measures)]
    typed = computed.astype({name: "str" if name in texts else "float64" for name in measures})
    return pd.concat([spine[["account_id", "as_of"]], typed], axis=1)


def _compute(tables: Tables, spine: pd.DataFrame, measures: Mapping[str, Measure]) -> pd.DataFrame:
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
            blocks.append(aggregate_rows(tables[name], name, own if name in _OWN else members, wanted))
    for name in dict.fromkeys(table for measure in measures.values() for table in feeds(measure)):
        if name in tables:
            blocks.append(feed_ages(tables[name], name, own, feed_column(name), midnights=midnights))
    wide = own.select("row", "as_of")
    for block in blocks:
        wide = wide.left_join(block, "row").drop("row_right")
    evaluator = Evaluator(wide, keys)
    columns = {name: evaluator.value(measure) for name, measure in measures.items()}
    return wide.select("row", **columns)
