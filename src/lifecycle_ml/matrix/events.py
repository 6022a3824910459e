"""Aggregates over the usage events: read once, grouped into tiles, windows as sums of tiles.

The ends of all windows of all as_of dates cut the time line into segments; no window ever needs part of one.
A tile is (account, segment, known): what one account did in one segment. Events known by the end of their
segment are on time: every window they lie in ends later, so `known` is empty and they need no second look.
Late ones keep the day from whose midnight they were known, and are seen only from there on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import ibis
import numpy as np
import pandas as pd

from lifecycle_ml.conditions.translate import to_ibis
from lifecycle_ml.matrix.aggregates import combine, countable, stamp, visible_from
from lifecycle_ml.matrix.definition import EVENTS, parsed
from lifecycle_ml.matrix.nodes import ORDERED, Rows

_DAY = np.timedelta64(1, "D")
_EPOCH = np.datetime64("1970-01-01", "D")
_TILE = ["account_id", "segment", "known", "superseded"]


def aggregate_events(
    events: ibis.Table,
    segments: ibis.Table,
    members: ibis.Table,
    wanted: Mapping[str, Rows],
    *,
    midnights: bool,
) -> list[ibis.Table]:
    """Return tables keyed by spine row with one column per wanted aggregate.

    `segments` are those of `cut_into_segments`. `midnights` says that the spine looks at midnights only, so
    that days are fine enough for late events.

    A total comes with a second column `<name>_n`, the number of rows behind it. Distinct counts do not add
    up over tiles, so each distinct column has tiles of its own, one for each of its values.
    """
    # One account is asked for as often as all are: events of the others are left out before anything else.
    events = events.semi_join(members.select(account_id="member").distinct(), "account_id")
    placed = _placed(events, segments, midnights=midnights)
    members = members.mutate(day=members.as_of.date().delta(ibis.date("1970-01-01"), unit="day"))
    additive = {key: leaf for key, leaf in wanted.items() if leaf.verb != "distinct"}
    answers = [_sums(placed, members, additive)] if additive else []
    for column in sorted({str(leaf.column) for leaf in wanted.values() if leaf.verb == "distinct"}):
        counted = {k: leaf for k, leaf in wanted.items() if leaf.verb == "distinct" and leaf.column == column}
        answers.append(_distinct(placed, members, column, counted))
    return answers


def _placed(events: ibis.Table, segments: ibis.Table, *, midnights: bool) -> ibis.Table:
    """Give each event that lies in any window its segment, and the day it was known where that is late."""
    days = events.mutate(day=events.happened_at.date().delta(ibis.date("1970-01-01"), unit="day"))
    placed = days.inner_join(segments, "day")
    on_time = placed.known_at <= placed.segment_end
    placed = placed.mutate(
        known=ibis.ifelse(
            on_time, ibis.null("timestamp"), visible_from(placed.known_at, midnights=midnights)
        ),
        superseded=visible_from(placed.superseded_at, midnights=midnights),
    )
    # A version replaced before its segment was over is never seen.
    return placed.filter(placed.superseded_at.isnull() | (placed.superseded_at > placed.segment_end))


def cut_into_segments(spine: pd.DataFrame, wanted: Iterable[Rows]) -> pd.DataFrame:
    """Return the days the wanted aggregates need: day, segment (its first day), segment_end (a midnight)."""
    dates = np.unique(spine["as_of"].to_numpy()).astype("datetime64[D]").astype(np.int64)
    shifts = {shift for leaf in wanted for shift in (leaf.ago, leaf.ago + int(leaf.days or 0))}
    cuts = np.unique(np.concatenate([dates - shift for shift in sorted(shifts)]))
    day = np.arange(cuts[0], cuts[-1])
    after = np.searchsorted(cuts, day, side="right")
    ends = (_EPOCH + cuts[after] * _DAY).astype("datetime64[us]")
    return pd.DataFrame({"day": day, "segment": cuts[after - 1], "segment_end": ends})


def _sums(placed: ibis.Table, members: ibis.Table, wanted: Mapping[str, Rows]) -> ibis.Table:
    bases = {(leaf.verb, leaf.column, leaf.where): f"b{i}" for i, leaf in enumerate(wanted.values())}
    partial: dict[str, Any] = {}
    for (verb, column, where), base in bases.items():
        condition = _expression(placed, where) if where else None
        if verb != "count":
            dated = stamp(placed.happened_at) if verb in ORDERED else None
            partial[base] = combine(verb, _expression(placed, str(column)), condition, dated)
        if verb in {"count", "total"}:
            partial[f"{base}_n"] = placed.count(where=condition)
    seen = _joined(placed.group_by(_TILE).aggregate(**partial), members, wanted.values())
    columns: dict[str, Any] = {}
    for key, leaf in wanted.items():
        base, window = bases[leaf.verb, leaf.column, leaf.where], _window(seen, leaf)
        if leaf.verb == "count":
            columns[key] = seen[f"{base}_n"].sum(where=window)
        elif leaf.verb == "total":
            columns[key] = seen[base].sum(where=window)
            columns[f"{key}_n"] = seen[f"{base}_n"].sum(where=window)
        elif leaf.verb in {"smallest", "first"}:
            columns[key] = seen[base].min(where=window)
        else:
            columns[key] = seen[base].max(where=window)
    return seen.group_by("row").aggregate(**columns)


def _distinct(placed: ibis.Table, members: ibis.Table, column: str, wanted: Mapping[str, Rows]) -> ibis.Table:
    value = countable(_expression(placed, column))
    valued = placed.mutate(value=value).filter(~value.isnull())
    bases = {where: f"b{i}" for i, where in enumerate(dict.fromkeys(leaf.where for leaf in wanted.values()))}
    hits = {
        base: _expression(valued, where).cast("int32").max() if where else (valued.count() > 0).cast("int32")
        for where, base in bases.items()
    }
    seen = _joined(valued.group_by([*_TILE, "value"]).aggregate(**hits), members, wanted.values())
    each = seen.group_by(["row", "value"]).aggregate(
        **{key: seen[bases[leaf.where]].max(where=_window(seen, leaf)) for key, leaf in wanted.items()}
    )
    return each.group_by("row").aggregate(**{key: each[key].sum() for key in wanted})


def _joined(tiles: ibis.Table, members: ibis.Table, wanted: Iterable[Rows]) -> ibis.Table:
    """Lay the tiles beside every spine row that may see them; `age` is days from their start to as_of."""
    reach = max(leaf.ago + int(leaf.days or 0) for leaf in wanted)
    joined = members.inner_join(
        tiles,
        [
            members.member == tiles.account_id,
            members.day > tiles.segment,
            members.day <= tiles.segment + reach,
            tiles.known.isnull() | (tiles.known <= members.known_until),
            tiles.superseded.isnull() | (tiles.superseded > members.known_until),
        ],
    )
    return joined.mutate(age=joined.day - joined.segment)


def _window(seen: ibis.Table, leaf: Rows) -> Any:
    return (seen.age > leaf.ago) & (seen.age <= leaf.ago + int(leaf.days or 0))


def _expression(events: ibis.Table, text: str) -> Any:
    return to_ibis(parsed(EVENTS, text, EVENTS).tree, events, EVENTS)
