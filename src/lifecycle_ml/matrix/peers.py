"""Where accounts stand among their peers: the one measure that looks at other accounts."""

from __future__ import annotations

from collections.abc import Mapping
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


def inner_measures(compared: Mapping[str, Peers]) -> dict[str, Measure]:
    """Return what has to be known of every account before any can be placed."""
    inner: dict[str, Measure] = {}
    for name, measure in compared.items():
        inner |= {f"{name}.value": measure.of, f"{name}.group": measure.group, f"{name}.size": measure.size}
    return inner


def with_peers(tables: Tables, spine: pd.DataFrame) -> pd.DataFrame:
    """Return the checked spine and everybody its accounts are compared with.

    Columns: account_id, as_of, known_at; is_peer, whether others are compared with it; row, its place on the
    spine (-1: not asked for). Peers are all customers of the date, whoever is on the spine, so that one
    account asked for has the position it has among all.
    """
    on_date = customers if "contracts" in tables else known_accounts
    looked = spine[["as_of", "known_at"]].drop_duplicates()
    usual = looked["as_of"] == looked["known_at"]
    everybody = []
    if usual.any():
        everybody.append(on_date(tables, [day.date() for day in looked.loc[usual, "as_of"]]))
    for known_at, dates in looked[~usual].groupby("known_at")["as_of"]:
        days = [day.date() for day in dates]
        everybody.append(on_date(tables, days, pd.Timestamp(str(known_at)).to_pydatetime()))
    peers = pd.concat(everybody, ignore_index=True).assign(is_peer=True)
    asked = spine[list(COLUMNS)].assign(row=np.arange(len(spine)))
    whole = asked.merge(peers, how="outer", on=list(COLUMNS))
    whole["is_peer"] = whole["is_peer"].eq(True)
    whole["row"] = whole["row"].fillna(-1).astype("int64")
    return whole.sort_values(list(COLUMNS), ignore_index=True)


def positions(whole: pd.DataFrame, values: pd.DataFrame, compared: Mapping[str, Peers]) -> pd.DataFrame:
    """Return one column of positions (0 to 1, NaN for null) per compared measure, rows as the spine.

    `whole` comes from `with_peers`, `values` are the `inner_measures` of its rows.
    """
    looks = whole.groupby(["as_of", "known_at"], sort=False).ngroup().to_numpy()
    counted = whole["is_peer"].to_numpy()
    asked = whole.index[whole["row"] >= 0]
    answer = {}
    for name in compared:
        group = pd.factorize(values[f"{name}.group"])[0]
        place = _group(looks, group)
        size, value = (_rounded(values[f"{name}.{part}"]) for part in ("size", "value"))
        band = _bands(place, size, counted)
        found = _position(_group(place, band), value, counted)
        answer[name] = found[asked]
    return pd.DataFrame(answer, index=whole.loc[asked, "row"].to_numpy()).sort_index()


def _rounded(values: pd.Series) -> _Array:
    """Keep some twelve digits, so that what is equal but for the last bit of a ratio counts as equal."""
    mantissa, exponent = np.frexp(values.to_numpy(dtype="float64"))
    rounded: _Array = np.ldexp(np.round(mantissa * 2.0**40) / 2.0**40, exponent)
    return rounded


def _group(major: _Array, minor: _Array) -> _Array:
    """Return one small number for every combination of two small numbers from -1."""
    number: _Array = pd.factorize((major.astype("int64") << 32) | (minor.astype("int64") + 1))[0]
    return number


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
