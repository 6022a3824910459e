"""What scores look like: how often the outcome followed, and how much of it a list of any length finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle_ml.models.evaluation import bootstrap_counts
from lifecycle_ml.models.metrics import Draws, Sample

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.floating[Any]]

SHARES = np.linspace(0.01, 1.0, 100)
"""Lengths of a list as shares of all rows: where `gain_curve` is measured."""


def rate_curve(
    value: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike,
    *,
    bins: int = 10,
    level: float = 0.95,
    seed: int = 0,
    draws: int = 1000,
) -> pd.DataFrame:
    """Measure how often the outcome followed along a value; of a probability this is its calibration.

    Shapes: one entry per row: `value` any number, `y` 0/1 (NaN: censored, left out), `groups` account.
    Grain:  one row per bin, lowest values first: value (mean of the bin), rate, low, high, rows, accounts.
            Bins hold about equally many rows; equal values are never parted, so there may be fewer; where
            there are at most `bins` values, each is a bin. Rows without a value come last (NaN).
    Time:   none; intervals are from a bootstrap over accounts, as in `evaluate`.
    Raises: ValueError for lengths that differ or outcomes but 0, 1 and NaN.
    """
    number, outcome, account = _rows(value, y, groups)
    codes, accounts = pd.factorize(account)
    there = ~np.isnan(number)
    place = pd.Series(-1, index=range(len(number)))
    if len(np.unique(number[there])) <= bins:
        place[there] = pd.factorize(number[there], sort=True)[0]
    else:
        place[there] = pd.qcut(number[there], bins, labels=False, duplicates="drop")
    # what has no value stands last
    shelf, _ = pd.factorize(place.where(place >= 0, place.max() + 1), sort=True)
    shelves = int(shelf.max()) + 1 if len(shelf) else 0
    cells = (len(accounts), shelves)
    rows, events = np.zeros(cells), np.zeros(cells)
    np.add.at(rows, (codes, shelf), 1.0)
    np.add.at(events, (codes, shelf), outcome)
    drawn = [
        _rates(counts @ events, counts @ rows)
        for counts in bootstrap_counts(len(accounts), max(1, len(outcome)), draws, seed)
    ]
    low, high = _ends(drawn, level, shelves)
    table = pd.DataFrame({"value": number, "shelf": shelf, "account": codes})
    grouped = table.groupby("shelf")
    return pd.DataFrame(
        {
            "value": grouped["value"].mean(),
            "rate": _rates(events.sum(axis=0), rows.sum(axis=0)),
            "low": low,
            "high": high,
            "rows": rows.sum(axis=0).astype("int64"),
            "accounts": grouped["account"].nunique(),
        }
    ).reset_index(drop=True)


def gain_curve(
    y: ArrayLike,
    p: ArrayLike,
    groups: ArrayLike,
    *,
    level: float = 0.95,
    seed: int = 0,
    draws: int = 400,
) -> pd.DataFrame:
    """Measure how much of the outcome is found in the first part of a list ordered by `p`.

    Shapes: one entry per row, as in `evaluate`; rows with an outcome of NaN are left out.
    Grain:  one row per share of the list, 1% to 100%: share, found (part of all rows with the outcome), low,
            high, lift (found / share: 1 is what a list in random order finds).
    Nulls:  found and what follows are NaN where no row has the outcome.
    Raises: ValueError for lengths that differ or outcomes but 0, 1 and NaN.
    """
    score, outcome, account = _rows(p, y, groups)
    codes, accounts = pd.factorize(account)
    sample = Sample(outcome, score, codes, len(accounts))
    if not outcome.any():
        nothing = np.full(len(SHARES), np.nan)
        return pd.DataFrame(
            {"share": SHARES, "found": nothing, "low": nothing, "high": nothing, "lift": nothing}
        )
    found = _found(Draws(sample, np.ones((1, len(accounts)))))[0]
    drawn = [
        _found(Draws(sample, counts)) for counts in bootstrap_counts(len(accounts), len(outcome), draws, seed)
    ]
    low, high = _ends(drawn, level, len(SHARES))
    return pd.DataFrame({"share": SHARES, "found": found, "low": low, "high": high, "lift": found / SHARES})


def _rows(value: ArrayLike, y: ArrayLike, groups: ArrayLike) -> tuple[Floats, Floats, NDArray[Any]]:
    number, outcome = np.asarray(value, dtype="float64"), np.asarray(y, dtype="float64")
    account = np.asarray(groups, dtype=object)
    if not len(number) == len(outcome) == len(account):
        raise ValueError(
            f"curve: {len(number)} values, {len(outcome)} outcomes and {len(account)} groups; give one of "
            "each per row."
        )
    known = ~np.isnan(outcome)
    odd = ~np.isin(outcome[known], (0.0, 1.0))
    if odd.any():
        raise ValueError(f"curve: {int(odd.sum())} outcomes are neither 0 nor 1 nor empty.")
    return number[known], outcome[known], account[known]


def _found(draws: Draws) -> Floats:
    """Return the part of the outcome found at each share. (draws, shares)."""
    curves = draws.by_probability
    ones = np.ones(len(curves.ordered.events))
    return np.column_stack([curves.captured(float(share), ones) for share in SHARES])


def _rates(events: Floats, rows: Floats) -> Floats:
    rates: Floats = np.divide(events, rows, out=np.full(np.shape(events), np.nan), where=rows > 0)
    return rates


def _ends(drawn: list[Floats], level: float, width: int) -> tuple[Floats, Floats]:
    draws = np.concatenate(drawn) if drawn else np.full((1, width), np.nan)
    low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
