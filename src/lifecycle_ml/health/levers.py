"""Levers: what a team can move, what moves with it, and how far that is seen to go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lifecycle_ml.conditions.calculate import Calculation, Numbers
from lifecycle_ml.models.changes import Bands, change_at

TARGET = "target"
"""In a lever's calculations: the value its feature moves to."""

Counts = npt.NDArray[np.int64]
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Lever:
    """One thing a team can move.

    `feature` moves along the whole multiples of `step`, in the direction of `sign` (+1 up, -1 down), to at
    most `most`, and never below zero. `along` are the features that move with it, each with its new value
    calculated from the row as it is and `target`. What it `needs` is above zero as it is. `ends` are those it
    touches whose null means that there is none; `shares` those that cannot exceed 1.
    """

    name: str
    feature: str
    sign: int
    step: float = 1.0
    most: float = np.inf
    along: Mapping[str, Calculation] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    ends: frozenset[str] = frozenset()
    shares: frozenset[str] = frozenset()

    @cached_property
    def touches(self) -> frozenset[str]:
        """Every feature it changes."""
        return frozenset({self.feature, *self.along})

    @cached_property
    def reads(self) -> frozenset[str]:
        """Every column it needs."""
        read = {column for calculation in self.along.values() for column in calculation.columns}
        return self.touches | self.needs | (read - {TARGET})

    def target(self, now: Numbers, steps: npt.NDArray[np.generic]) -> Numbers:
        """Return the value its feature has after so many steps from `now`: a round number."""
        # rounded, so that what is said is what was scored
        return np.round((self._start(now) + self.sign * steps.astype(np.float64)) * self.step, 6)

    def pull(self, row: Mapping[str, Numbers], steps: npt.NDArray[np.generic]) -> dict[str, Numbers]:
        """Return the new values of all it touches; `row` holds what it reads, one value per row."""
        target = self.target(row[self.feature], steps)
        values = {**row, TARGET: target}
        with np.errstate(invalid="ignore", divide="ignore"):
            moved = {
                name: np.broadcast_to(calculation.of(values), target.shape)
                for name, calculation in self.along.items()
            }
        return {**moved, self.feature: target}

    def possible(self, row: Mapping[str, Numbers], steps: Counts) -> npt.NDArray[np.bool_]:
        """Tell for each row whether an account with the moved values could exist.

        No value falls below zero or, as a share, passes 1, unless it lies there now; none comes from
        nowhere, and none goes, unless its null means that there is none left.
        """
        possible = np.ones(len(steps), dtype=bool)
        for name in self.needs:
            possible &= np.nan_to_num(row[name]) > 0
        for name, new in self.pull(row, steps).items():
            old = row[name]
            there = ~np.isnan(old) & ~np.isnan(new)
            ended = np.isnan(new) & (name in self.ends)
            possible &= there | ended | (np.isnan(old) & np.isnan(new))
            possible &= ~there | (np.nan_to_num(new) >= np.minimum(np.nan_to_num(old), 0) - _ROUNDING)
            if name in self.shares:
                possible &= ~there | (np.nan_to_num(new) <= np.maximum(np.nan_to_num(old), 1) + _ROUNDING)
        return possible

    def reach(self, row: Mapping[str, Numbers], seen: Bands) -> tuple[Counts, Counts]:
        """Return the fewest and the most steps it can be pulled from each row; both 0 where it cannot.

        `seen`: how far its feature is seen to move, by where it started.
        """
        now = row[self.feature]
        down, up = change_at(seen, now)
        start = np.nan_to_num(self._start(now))
        bound = self.most / self.step
        low = np.ones(len(now))
        if self.sign > 0:
            end = np.minimum(np.floor(np.nan_to_num(now + up) / self.step + _ROUNDING), bound)
            high = np.floor(end - start)
        else:
            end = np.maximum(np.ceil(np.nan_to_num(now + down) / self.step - _ROUNDING), 0)
            high = start - end
            low = np.maximum(start - np.floor(min(bound, 1e15) + _ROUNDING), 1)
        high = np.where(np.isnan(now), 0, np.maximum(high, 0))
        steps = self._furthest(row, low.astype(np.int64), high.astype(np.int64))
        usable = steps >= low
        return np.where(usable, low, 0).astype(np.int64), np.where(usable, steps, 0).astype(np.int64)

    def _start(self, now: Numbers) -> Numbers:
        # the multiple of a step from which on a whole step moves in the right direction
        if self.sign > 0:
            return np.asarray(np.floor(now / self.step + _ROUNDING))
        return np.asarray(np.ceil(now / self.step - _ROUNDING))

    def _furthest(self, row: Mapping[str, Numbers], low: Counts, high: Counts) -> Counts:
        """Return the most steps in low..high that are possible, low - 1 where none is."""
        bottom, top = low - 1, np.maximum(high, low - 1)
        while (bottom < top).any():
            middle = (bottom + top + 1) // 2
            possible = self.possible(row, middle)
            bottom, top = np.where(possible, middle, bottom), np.where(possible, top, middle - 1)
            top = np.maximum(top, bottom)
        return bottom
