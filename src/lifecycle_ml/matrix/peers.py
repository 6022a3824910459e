"""Where accounts stand among their peers: the one measure that looks at other accounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.matrix.nodes import Measure, Peers
from lifecycle_ml.matrix.spine import COLUMNS, customers, known_accounts
from lifecycle_ml.tables.source import Tables

LEAST = 10
"""Peers below which a position says nothing."""
SIZES = 3
"""Bands of size: the smaller, the middle and the larger third of a group."""

_Array = npt.NDArray[Any]
Compute = Callable[[Tables, pd.DataFrame, Mapping[str, Measure]], pd.DataFrame]


def positions(
    tables: Tables, spine: pd.DataFrame, compared: Mapping[str, Peers], compute: Compute
) -> pd.DataFrame:
    """Return one column of positions (0 to 1, NaN for null) per compared measure, rows as the checked spine.

    `compute` is the engine: a checked spine and measures in, a frame of their values out. The accounts that
    are compared with are all customers of the date, whoever is on the spine, so that one account asked for
    gets the position it has among all.
    """
    whole = _with_peers(tables, spine)
    inner: dict[str, Measure] = {}
    for name, measure in compared.items():
        inner |= {f"{name}.value": measure.of, f"{name}.group": measure.group, f"{name}.size": measure.size}
    values = compute(tables, whole, inner)
    looks = whole.groupby(["as_of", "known_at"], sort=False).ngroup().to_numpy()
    counted = whole["is_peer"].to_numpy()
    wanted = whole["row"].to_numpy()
    answer = {}
    for name in compared:
        group = pd.factorize(values[f"{name}.group"])[0]
        place = _group(looks, group)
        band = _bands(place, values[f"{name}.size"].to_numpy(dtype="float64"), counted)
        found = _position(_group(place, band), values[f"{name}.value"].to_numpy(dtype="float64"), counted)
        asked = wanted >= 0
        column = np.full(len(spine), np.nan)
        column[wanted[asked]] = found[asked]
        answer[name] = column
    return pd.DataFrame(answer, index=spine.index)


def _with_peers(tables: Tables, spine: pd.DataFrame) -> pd.DataFrame:
    """Return the spine and everybody it is compared with: is_peer, and row (-1: not asked for)."""
    everybody = []
    on_date = customers if "contracts" in tables else known_accounts
    for known_at, looked in spine.groupby("known_at"):
        days = [day.date() for day in looked["as_of"].unique()]
        everybody.append(on_date(tables, days, pd.Timestamp(str(known_at)).to_pydatetime()))
    peers = pd.concat(everybody, ignore_index=True).assign(is_peer=True)
    asked = spine[list(COLUMNS)].assign(row=np.arange(len(spine)))
    whole = asked.merge(peers, how="outer", on=list(COLUMNS))
    whole["is_peer"] = whole["is_peer"].eq(True)
    whole["row"] = whole["row"].fillna(-1).astype("int64")
    return whole.sort_values(["account_id", "as_of", "known_at"], ignore_index=True)


def _group(*keys: _Array) -> _Array:
    """Return one number for every combination of keys."""
    return pd.MultiIndex.from_arrays(keys).factorize()[0] if len(keys[0]) else keys[0]


def _bands(group: _Array, size: _Array, counted: _Array) -> _Array:
    """Return the third of its group an account's size lies in; -1 where it has none."""
    lower, _, others = _ranked(group, size, counted)
    with np.errstate(invalid="ignore", divide="ignore"):
        band = np.minimum(np.floor(SIZES * lower / others), SIZES - 1)
    return np.where(np.isnan(size), -1, np.where(others > 0, band, 0)).astype("int64")


def _position(group: _Array, value: _Array, counted: _Array) -> _Array:
    lower, equal, others = _ranked(group, value, counted)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (lower + 0.5 * equal) / others
    return np.where(np.isnan(value) | (others < LEAST), np.nan, found)


def _ranked(group: _Array, value: _Array, counted: _Array) -> tuple[_Array, _Array, _Array]:
    """Return how many others of the group are lower, equal, and how many there are; only `counted` count.

    Accounts without a value are nobody's peers.
    """
    order = np.lexsort((value, group))  # NaN comes last in its group
    g, v = group[order], value[order]
    n = counted[order] & ~np.isnan(v)
    before = np.concatenate([[0], np.cumsum(n)])
    rows = np.arange(len(g))
    new_group = np.concatenate([[True], g[1:] != g[:-1]]) if len(g) else np.zeros(0, bool)
    new_value = new_group | np.concatenate([[True], v[1:] != v[:-1]]) if len(g) else new_group
    starts = np.flatnonzero(new_group)
    ends = np.append(starts[1:], len(g))
    first = starts[np.cumsum(new_group) - 1]
    last = ends[np.cumsum(new_group) - 1]
    run_starts = np.flatnonzero(new_value)
    run_first = run_starts[np.cumsum(new_value) - 1]
    run_last = np.append(run_starts[1:], len(g))[np.cumsum(new_value) - 1]
    itself = n.astype("int64")
    lower, equal, others = (np.empty(len(rows), dtype="float64") for _ in range(3))
    lower[order] = before[run_first] - before[first]
    equal[order] = before[run_last] - before[run_first] - itself
    others[order] = before[last] - before[first] - itself
    return lower, equal, others
