"""Bins a feature is compared in: quantiles of the reference, wide enough for the number of accounts today."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

LEAST_EXPECTED = 5.0
"""Accounts a bin must be expected to hold, the usual rule for tests on counts; narrower ones are merged."""
MOST_CATEGORIES = 10
"""Categories told apart; the rarer ones are one bin."""


@dataclass(frozen=True)
class Binned:
    """One feature in bins: the bin of every reference row and of every current row, and the bins' names.

    The last bin holds what is empty. `edges`: printed edges between the bins before it, none of categories.
    """

    reference: Ints
    current: Ints
    names: tuple[str, ...]
    edges: tuple[str, ...] = ()

    def clearest(self, weights: Floats) -> tuple[str, float, float]:
        """Return the plainest statement of what moved, and for what share it holds today and held before.

        Numbers: "9 or less", "more than 9" or "empty", whichever gained most; categories: the one that did.
        """
        bins = len(self.names)
        now = np.bincount(self.current, minlength=bins) / max(1, len(self.current))
        then = np.bincount(self.reference, weights, bins) / weights.sum()
        said = list(zip(self.names, now.tolist(), then.tolist(), strict=True))
        if self.edges:
            said = said[:1] + said[-1:]  # what lies between two edges says little about the way it moved
            below_now, below_then = np.cumsum(now), np.cumsum(then)
            for at, edge in enumerate(self.edges):
                if at > 0:
                    said.append((f"{edge} or less", float(below_now[at]), float(below_then[at])))
                above = (float(below_now[-2] - below_now[at]), float(below_then[-2] - below_then[at]))
                said.append((f"more than {edge}", *above))
        return max(said, key=lambda item: item[1] - item[2])


def bin_feature(reference: pd.Series, current: pd.Series, weights: Floats, bins: int) -> Binned:
    """Put a feature's values into at most `bins` bins made from the weighted reference, and one for empty.

    weights: one per reference row; they say how much of today's book each row stands for. A bin in which
    fewer than five of today's accounts are expected is merged with its neighbour.
    """
    least = LEAST_EXPECTED / max(1, min(len(reference), len(current)))
    if pd.api.types.is_numeric_dtype(reference.dtype):
        return _numbers(_floats(reference), _floats(current), weights, bins, least)
    return _texts(reference, current, weights, least)


def shares(codes: Ints, weights: Floats | None, bins: int) -> Floats:
    """Return the share of each bin, half a row added to each so that none is empty."""
    counts = np.bincount(codes, weights, bins).astype(np.float64)
    return np.asarray((counts + 0.5) / (counts.sum() + 0.5 * bins))


def _floats(values: pd.Series) -> Floats:
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _numbers(reference: Floats, current: Floats, weights: Floats, bins: int, least: float) -> Binned:
    known = reference[~np.isnan(reference)]
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    # An observed value as edge: what lies in one heap (often 0) stays in one bin.
    edges = np.unique(np.quantile(known, inner, method="lower")) if len(known) else np.empty(0)
    edges = edges[edges < known.max()] if len(known) else edges
    edges = _merged(edges, reference, weights, least)
    figures = tuple(f"{edge:,.0f}" if abs(edge) >= 1000 else f"{edge:.3g}" for edge in edges)
    lowest = len(edges) > 0 and edges[0] == known.min()
    names = (*_named(figures, lowest=lowest), "empty")
    return Binned(_place(reference, edges), _place(current, edges), names, figures)


def _place(values: Floats, edges: Floats) -> Ints:
    codes = np.searchsorted(edges, values, side="left")
    return np.where(np.isnan(values), len(edges) + 1, codes).astype(np.intp)


def _merged(edges: Floats, reference: Floats, weights: Floats, least: float) -> Floats:
    """Take edges away until every bin is expected to hold enough."""
    while len(edges):
        codes = _place(reference, edges)
        held = np.bincount(codes, weights, len(edges) + 2)[:-1] / weights.sum()
        thin = int(held.argmin())
        if held[thin] >= least:
            break
        # Merge the thinnest with the thinner of its neighbours.
        left = held[thin - 1] if thin > 0 else np.inf
        right = held[thin + 1] if thin < len(edges) else np.inf
        edges = np.delete(edges, thin - 1 if left <= right else thin)
    return edges


def _named(figures: Sequence[str], *, lowest: bool) -> list[str]:
    if not figures:
        return ["any number"]
    first = figures[0] if lowest else f"{figures[0]} or less"
    between = [f"more than {low} and at most {high}" for low, high in pairwise(figures)]
    return [first, *between, f"more than {figures[-1]}"]


def _texts(reference: pd.Series, current: pd.Series, weights: Floats, least: float) -> Binned:
    totals = pd.Series(weights, index=reference.index).groupby(reference).sum().sort_values(ascending=False)
    named: list[Any] = [
        value for value, total in totals.head(MOST_CATEGORIES).items() if total >= least * weights.sum()
    ]
    return Binned(
        _categories(reference, named), _categories(current, named), (*map(str, named), "any other", "empty")
    )


def _categories(values: pd.Series, named: Sequence[Any]) -> Ints:
    codes = pd.Index(named, dtype=object).get_indexer_for(values.to_numpy(dtype=object))
    codes = np.where(codes < 0, len(named), codes)
    return np.where(values.isna().to_numpy(), len(named) + 1, codes).astype(np.intp)
