"""Measures of several windows of one length, and how far back account and feeds reach.

A window counts where the account existed and the tables it looks at were recorded from its first day on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lifecycle_ml.matrix.definition import wrong
from lifecycle_ml.matrix.nodes import DaysSince, Measure, Rows, leaves
from lifecycle_ml.tables.schema import SCHEMAS

TENURE = DaysSince(Rows("largest", "accounts", "created_at"))
"""Days since the account exists."""


@dataclass(frozen=True)
class FeedAge(Measure):
    """Days since a table's first row, of whichever account, as known: how far back its feed reaches."""

    table: str

    def before(self, days: int) -> FeedAge:
        """Return itself: the feed is as old as it is."""
        raise AssertionError(f"the age of a feed is not moved {days} days back")


@dataclass(frozen=True)
class Series(Measure):
    """A measure in several windows of one length, and which of them account and feeds lived through."""

    of: Measure
    windows: int
    length: int

    def __post_init__(self) -> None:
        if self.of.kind in {"text", "date"}:
            raise wrong(f"a series of windows is taken of numbers; this measure holds {self.of.kind}.")

    @property
    def taken(self) -> tuple[Measure, ...]:
        """The measure in each window, the latest first."""
        return tuple(self.of.before(self.length * k) for k in range(self.windows))

    @property
    def lived_days(self) -> tuple[int, ...]:
        """Days that account and feeds must reach back for each window to count, the latest first."""
        return tuple(self.length * (k + 1) for k in range(self.windows))

    @property
    def ages(self) -> tuple[Measure, ...]:
        """How long the account exists, and how far back the tables reach that windows look at."""
        windowed = dict.fromkeys(leaf.table for leaf in leaves(self.of) if leaf.days is not None)
        return (TENURE, *(FeedAge(table) for table in windowed if SCHEMAS[table].happened))

    @property
    def children(self) -> tuple[Measure, ...]:
        """The windows, and what says which of them count."""
        return (*self.taken, *self.ages)

    def before(self, days: int) -> Measure:
        """Return the same measure as of `days` earlier."""
        raise wrong(f"a series of windows cannot itself be moved {days} days back; move what it is made of.")


class OwnPast(Series):
    """The average of the measure's previous windows that account and feeds both lived through."""

    @property
    def taken(self) -> tuple[Measure, ...]:
        """The measure in each previous window, the latest first."""
        return tuple(self.of.before(self.length * k) for k in range(1, self.windows + 1))

    @property
    def lived_days(self) -> tuple[int, ...]:
        """Days that account and feeds must reach back for each window to count, the latest first."""
        return tuple(self.length * (k + 1) for k in range(1, self.windows + 1))


class Slope(Series):
    """Least-squares slope of the measure over its windows, a window; null unless all were lived through."""

    @property
    def weights(self) -> tuple[float, ...]:
        """What each window is multiplied with, the latest first; they add up to nothing."""
        middle = (self.windows - 1) / 2
        spread = sum((k - middle) ** 2 for k in range(self.windows))
        return tuple((middle - k) / spread for k in range(self.windows))


class Streak(Series):
    """How many windows in a row, from the latest back, the measure was above zero and was lived through."""


class Spread(Series):
    """Standard deviation of the measure over its windows; null unless all were lived through."""


def feeds(measure: Measure) -> Iterator[str]:
    """Walk the tables whose age a measure depends on."""
    if isinstance(measure, FeedAge):
        yield measure.table
    for child in measure.children:
        yield from feeds(child)
