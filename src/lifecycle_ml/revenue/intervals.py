"""Intervals of shares, counts and survival: 95%, two-sided, none of them empty where nothing was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Z = 1.959963984540054
"""Two-sided 95%."""


def wilson(share: ArrayLike, count: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's interval of shares; it is never empty, also where nobody or everybody counts (Wilson 1927)."""
    share, count = np.asarray(share, dtype=np.float64), np.asarray(count, dtype=np.float64)
    squared = Z**2 / count
    middle = (share + squared / 2) / (1 + squared)
    half = Z * np.sqrt(share * (1 - share) / count + squared / (4 * count)) / (1 + squared)
    return np.where(share > 0, middle - half, 0.0), np.where(share < 1, middle + half, 1.0)


def garwood(events: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact interval of the mean of a Poisson count (Garwood 1936)."""
    events = np.asarray(events, dtype=np.float64)
    low = stats.chi2.ppf(0.025, 2 * np.maximum(events, 0.5)) / 2
    return np.where(events > 0, low, 0.0), stats.chi2.ppf(0.975, 2 * events + 2) / 2


class Survival(NamedTuple):
    """A Kaplan-Meier curve: by day on which some ended, the share that goes on, and its spread."""

    day: NDArray[np.float64]
    share: NDArray[np.float64]
    greenwood: NDArray[np.float64]
    """Sum of d / (n (n - d)) up to each day: the variance of log(share)."""

    def at(self, day: float) -> tuple[float, float, float]:
        """Return share, low and high on a day: 95% on the scale of log(-log) (Kalbfleisch and Prentice)."""
        before = int(np.searchsorted(self.day, day, side="right")) - 1
        if before < 0:
            return 1.0, 1.0, 1.0
        share, spread = float(self.share[before]), float(self.greenwood[before])
        if not 0 < share < 1:
            return share, share, share
        half = Z * np.sqrt(spread) / abs(np.log(share))
        return share, float(share ** np.exp(half)), float(share ** np.exp(-half))

    def median(self) -> float:
        """Return the first day on which at most half goes on; NaN where more than half still does."""
        below = np.flatnonzero(self.share <= 0.5)
        return float(self.day[below[0]]) if len(below) else np.nan


def kaplan_meier(entry: ArrayLike, leave: ArrayLike, ended: ArrayLike) -> Survival:
    """Share that goes on, by days since the start (Kaplan and Meier 1958), also of those seen only later.

    entry: first day on which it is watched; leave: day it ended or was last seen; ended: whether it ended.
    """
    entry, leave = np.asarray(entry, dtype=np.float64), np.asarray(leave, dtype=np.float64)
    ended = np.asarray(ended, dtype=bool)
    day, events = np.unique(leave[ended], return_counts=True)
    at_risk = np.searchsorted(np.sort(entry), day, side="left") - np.searchsorted(
        np.sort(leave), day, side="left"
    )
    with np.errstate(divide="ignore"):
        spread = np.cumsum(events / (at_risk * np.maximum(at_risk - events, 1e-12)))
    return Survival(day, np.cumprod(1 - events / at_risk), spread)
