"""Time and chance: the weeks a company is simulated over, and one stream of random numbers per topic."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[Any]
Ints = npt.NDArray[Any]
Flags = npt.NDArray[Any]
Instants = npt.NDArray[Any]

WARM_UP = 52
"""Weeks of episodes before the first day, so that the first day finds accounts in every state."""

AHEAD = 26
"""Weeks after the data ends for which contracts are planned: probabilities look as far as 180 days."""

NEVER = 10**6
"""A day after every day: not created, not closed, never left."""


@dataclass(frozen=True)
class Grid:
    """Days count from `first` (day 0); week w covers days 7w to 7w+6; columns start WARM_UP weeks earlier."""

    first: date
    days: int

    @property
    def weeks(self) -> int:
        return -(-self.days // 7)

    @property
    def columns(self) -> int:
        return WARM_UP + self.weeks

    def instants(self, days: Floats | Ints) -> Instants:
        """Days since `first` as datetime64[us], to the second; NEVER and later days are NaT."""
        whole = np.asarray(days, dtype=np.float64)
        seconds = np.round(whole * 86400).astype(np.int64)
        stamps = np.datetime64(self.first, "us") + seconds.astype("timedelta64[s]")
        return np.where(whole >= NEVER, np.datetime64("NaT", "us"), stamps)

    def dates(self, days: Floats | Ints) -> Instants:
        """Days since `first` as midnights; NEVER and later days are NaT."""
        return self.instants(np.floor(np.asarray(days, dtype=np.float64)))

    def seen(self, days: Floats | Ints) -> Floats:
        """The same days, with NEVER for what had not happened when the data was taken."""
        values = np.asarray(days, dtype=np.float64)
        return np.where(values < self.days, values, float(NEVER))


def stream(seed: int, topic: str) -> np.random.Generator:
    """Random numbers for one topic: a later topic cannot move the bytes of an earlier one."""
    return np.random.default_rng([seed, zlib.crc32(topic.encode())])


def texts(values: list[str] | npt.NDArray[Any], codes: Ints, missing: Flags | None = None) -> pd.Series[str]:
    """values[codes] as a text column; fast for millions of rows; None where `missing`."""
    picked = pa.array(list(values), pa.string()).take(pa.array(codes, mask=missing))
    return pd.Series(picked, dtype="str")


def labels(prefix: list[str] | str, codes: Ints | None, numbers: Ints) -> pd.Series[str]:
    """Texts such as `A-0001-u7`: a prefix (one, or one per code) followed by a number."""
    digits = pa.array(numbers).cast(pa.string())
    head = (
        pa.scalar(prefix) if isinstance(prefix, str) else pa.array(prefix, pa.string()).take(pa.array(codes))
    )
    return pd.Series(pc.binary_join_element_wise(head, digits, ""), dtype="str")


def scatter(
    rng: np.random.Generator, weekly: Floats, starts: Ints, ends: Ints, days: int, most: int = NEVER
) -> tuple[Ints, Floats, Ints]:
    """Events at a rate per account and week (columns from week 0): their account, day and week, in order.

    Days carry the time of day, in working hours; only events from the account's start to its end, and
    before the data ends, are kept; no more than `most` a week.
    """
    counts = np.minimum(rng.poisson(weekly), most)
    account, week = np.nonzero(counts)
    repeats = counts[account, week]
    account, week = np.repeat(account, repeats), np.repeat(week, repeats)
    day = week * 7 + rng.choice(7, len(week), p=(0.19, 0.2, 0.2, 0.19, 0.16, 0.03, 0.03))
    keep = (day >= starts[account]) & (day < ends[account]) & (day < days)
    account, week, day = account[keep], week[keep], day[keep]
    return account, day + rng.uniform(7 / 24, 19 / 24, len(day)), week
