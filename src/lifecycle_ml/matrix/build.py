"""Feature definitions in, matrix out: every aggregate once, then arithmetic, then pandas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis
import pandas as pd

from lifecycle_ml.errors import DefinitionError, LifecycleError
from lifecycle_ml.matrix.aggregates import aggregate_rows, feed_ages, unstamped
from lifecycle_ml.matrix.compiled import ask, place
from lifecycle_ml.matrix.events import aggregate_events, cut_into_segments
from lifecycle_ml.matrix.feature import USUAL, FeatureSet
from lifecycle_ml.matrix.nodes import (
    EVENTS,
    Arithmetic,
    Choice,
    Constant,
    DaysSince,
    FeedAge,
    Measure,
    OnlyIf,
    OwnPast,
    Rows,
    YesNo,
    feeds,
    leaves,
)
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
        computed = _compute(tables, spine, measures)
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
            blocks.append(feed_ages(tables[name], name, own, _feed(name), midnights=midnights))
    wide = own.select("row", "as_of")
    for block in blocks:
        wide = wide.left_join(block, "row").drop("row_right")
    evaluator = _Evaluator(wide, keys)
    columns = {name: evaluator.value(measure) for name, measure in measures.items()}
    return wide.select("row", **columns)


def _feed(table: str) -> str:
    return f"feed_{table}"


class _Evaluator:
    """Turns measures into Ibis expressions over the table that holds every aggregate beside the spine."""

    def __init__(self, wide: ibis.Table, keys: Mapping[Rows, str]) -> None:
        self._wide = wide
        self._keys = keys

    def value(self, measure: Measure) -> Any:
        """Return the expression of a measure: float64, or text or date for a leaf of that kind."""
        match measure:
            case Rows():
                return self._leaf(measure)
            case Constant():
                return ibis.literal(float(measure.value))
            case DaysSince():
                today = self._wide.as_of.date()
                return (today.delta(self._leaf(measure.date), unit="day") - measure.date.ago).cast("float64")
            case YesNo():
                return (self.value(measure.of) > 0).cast("int8").cast("float64")
            case Arithmetic():
                return self._arithmetic(measure)
            case Choice():
                choose = ibis.coalesce if measure.how == "first" else ibis.greatest
                return choose(*(self.value(child) for child in measure.of))
            case OnlyIf():
                value = self.value(measure.of)
                return ibis.ifelse(self.value(measure.condition) > 0, value, ibis.null(value.type()))
            case FeedAge():
                return self._wide[_feed(measure.table)].cast("float64")
            case OwnPast():
                return self._own_past(measure)
            case _:
                raise AssertionError(f"no engine for {type(measure).__name__}")

    def _leaf(self, leaf: Rows) -> Any:
        key = self._keys.get(leaf)
        if key is None:
            # Only one of several measures to choose from; the source has not this one.
            return ibis.null({"text": "string", "date": "date"}.get(leaf.kind, "float64"))
        value = self._wide[key]
        if leaf.verb in {"count", "distinct"}:
            return value.fill_null(0).cast("float64")
        if leaf.verb == "total":
            none = self._wide[f"{key}_n"].fill_null(0) == 0
            return ibis.ifelse(none, 0.0, value.cast("float64"))
        if leaf.verb == "latest":
            value = unstamped(value, leaf)
        return value if leaf.kind in {"text", "date"} else value.cast("float64")

    def _arithmetic(self, measure: Arithmetic) -> Any:
        left, right = self.value(measure.left), self.value(measure.right)
        if measure.operator == "+":
            return left + right
        if measure.operator == "-":
            return left - right
        if measure.operator == "*":
            return left * right
        return left / right.nullif(0.0)

    def _own_past(self, measure: OwnPast) -> Any:
        # A feed that is not there is one of several to choose from; it holds nothing back.
        ages = [
            self.value(age)
            for age in measure.ages
            if not isinstance(age, FeedAge) or _feed(age.table) in self._wide.columns
        ]
        total, windows = ibis.literal(0.0), ibis.literal(0.0)
        for position, previous in enumerate(measure.previous, start=1):
            value = self.value(previous)
            lived = ~value.isnull()
            for age in ages:
                lived &= (age >= float((position + 1) * measure.length)).fill_null(False)
            total += ibis.ifelse(lived, value, 0.0)
            windows += ibis.ifelse(lived, 1.0, 0.0)
        return total / windows.nullif(0.0)
