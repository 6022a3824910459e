"""Feature definitions in, matrix out.

On one machine (DuckDB) facts are grouped into tiles once and windows are taken over them in NumPy; other
engines are asked one question in Ibis. Both read the same definitions and give the same matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pandas as pd

from lifecycle_ml.errors import DefinitionError
from lifecycle_ml.matrix.feature import USUAL, FeatureSet
from lifecycle_ml.matrix.kept import KeptTiles
from lifecycle_ml.matrix.nodes import Measure, Peers
from lifecycle_ml.matrix.one_machine import compute_here
from lifecycle_ml.matrix.peers import inner_measures, positions, with_peers
from lifecycle_ml.matrix.question import answer_question
from lifecycle_ml.matrix.spine import active_accounts, checked, customers
from lifecycle_ml.tables.source import Tables

__all__ = ["active_accounts", "build_matrix", "customers"]

ONCE = 8
"""Up to so many times the rows asked for everybody is answered: putting the questions twice costs more."""


def build_matrix(
    tables: Tables, features: FeatureSet, spine: pd.DataFrame, kept: KeptTiles | None = None
) -> pd.DataFrame:
    """Build the matrix: what was known about each account as of each date.

    Grain:  one row per spine row, sorted by (account_id, as_of), RangeIndex.
    Shape:  account_id, as_of; one column per feature (float64, yes/no as 1.0 and 0.0; `str` for categories;
            NaN is null); then `<feature>__usual` (float64) for features with a usual value.
    Time:   only rows with known_at <= the spine's known_at and facts before as_of are seen; a column is seen
            from its own date on (tables/schema.py).
    Cost:   with `kept` tiles (`matrix/kept.py`, DuckDB only) no event is read; the matrix is the same.
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
        computed = _computed(tables, spine, alone, compared, kept)[list(measures)]
    typed = computed.astype({name: "str" if name in texts else "float64" for name in measures})
    # In one piece: a frame of more than a hundred pieces warns whoever adds a column.
    return pd.concat([spine[["account_id", "as_of"]], typed], axis=1).copy()


def _computed(
    tables: Tables,
    spine: pd.DataFrame,
    alone: Mapping[str, Measure],
    compared: Mapping[str, Peers],
    kept: KeptTiles | None,
) -> pd.DataFrame:
    """Return measures that need one account only and those that compare it, rows as the spine."""
    here = tables.backend.name == "duckdb"
    compute = partial(compute_here, kept=kept) if here else answer_question
    if not compared:
        return compute(tables, spine, alone)
    whole, inner = with_peers(tables, spine), inner_measures(compared)
    if len(whole) < ONCE * len(spine):
        values = compute(tables, whole, {**alone, **inner})
        rows = whole.loc[whole["row"] >= 0, "row"]
        own = values.loc[rows.index, list(alone)].set_index(rows.to_numpy()).sort_index()
    else:
        # Few of many are asked for: of all the others only what is compared has to be known.
        values, own = compute(tables, whole, inner), compute(tables, spine, alone)
    return pd.concat([own, positions(whole, values, compared)], axis=1)
