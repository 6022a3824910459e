"""How far features move in some weeks: what a what-if may ask for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.models.encoding import Floats

WEEKS_APART = 8
"""Weeks between the two snapshots a change is taken between, at least; the next date there is."""
MOST_WEEKS_APART = 13
FEWEST_CHANGES = 20
"""Of fewer changes, what is usually achieved is anybody's guess."""

Bands = tuple[tuple[float, float, float], ...]
"""By starting value, rising: from which on, and the 10th and 90th percentile of the changes from there."""


def changes_of(matrix: pd.DataFrame, features: tuple[str, ...]) -> dict[str, Bands]:
    """Return how far each numeric feature moved, by the quarter of the values it started from.

    matrix: account_id, as_of and the features, one row per snapshot. A change is taken between a snapshot and
    the account's next one at least eight, at most thirteen weeks later. Only changes count: how many accounts
    stayed where they were says nothing of how far those came that moved. They are kept by starting value,
    since three users more are much for an account with two and nothing for one with fifty. A quarter with
    fewer than twenty changes goes with the one below it; a feature that moved less often is left out.
    """
    before, after = _pairs(matrix)
    found = {}
    for name in features:
        if not pd.api.types.is_numeric_dtype(matrix[name].dtype):
            continue
        values = matrix[name].to_numpy(dtype=np.float64, na_value=np.nan)
        start, moved = values[before], values[after] - values[before]
        kept = np.isfinite(moved) & (moved != 0)
        if kept.sum() >= FEWEST_CHANGES:
            found[name] = _bands(start[kept], moved[kept])
    return found


def change_at(bands: Bands, start: Floats) -> tuple[Floats, Floats]:
    """Return how far down and up a feature is seen to move from each starting value; 0 for null."""
    edges = np.array([edge for edge, _, _ in bands])
    band = np.maximum(np.searchsorted(edges, start, side="right") - 1, 0)
    known = ~np.isnan(start)
    down, up = (np.array([each[side] for each in bands]) for side in (1, 2))
    return (
        np.where(known, np.minimum(down[band], 0.0), 0.0),
        np.where(known, np.maximum(up[band], 0.0), 0.0),
    )


def _bands(start: Floats, moved: Floats) -> Bands:
    edges = np.unique([start.min(), *np.quantile(start, [0.25, 0.5, 0.75], method="higher")])
    quarter = np.searchsorted(edges, start, side="right") - 1
    kept = [0]
    for at in range(1, len(edges)):
        # enough from here up, and enough left for the band below
        if (quarter >= at).sum() >= FEWEST_CHANGES <= ((quarter >= kept[-1]) & (quarter < at)).sum():
            kept.append(at)
    bands = []
    for at, upper in zip(kept, [*kept[1:], len(edges)], strict=True):
        low, high = np.quantile(moved[(quarter >= at) & (quarter < upper)], [0.1, 0.9])
        bands.append((float(edges[at]), float(low), float(high)))
    return tuple(bands)


def _pairs(matrix: pd.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the row numbers of each snapshot that has a later one, and of that."""
    days = matrix["as_of"].to_numpy().astype("datetime64[D]").astype("int64")
    rows = pd.DataFrame(
        {"account": matrix["account_id"].to_numpy(), "day": days, "row": np.arange(len(days))}
    )
    rows = rows.sort_values(["day", "account"], kind="stable")
    paired = pd.merge_asof(
        rows.assign(wanted=rows["day"] + 7 * WEEKS_APART),
        rows,
        left_on="wanted",
        right_on="day",
        by="account",
        direction="forward",
        tolerance=7 * (MOST_WEEKS_APART - WEEKS_APART),
        suffixes=("", "_later"),
    ).dropna(subset="row_later")
    return paired["row"].to_numpy(np.int64), paired["row_later"].to_numpy(np.int64)
