"""The smallest changes in things a team can move that would bring a model's risk under the limit.

Each lever (`health/levers.py`) moves one feature and, with it, those that rest on the same fact, so that an
account with the changed row could exist. Features that only look back further or compare with other accounts
stay where they are: since the model is monotone in what features claim, that can overstate the risk, hardly
hide it.

What may be offered is narrow on purpose. A lever's feature moves no further than it was seen to, from where
the account stands, in the weeks between two training snapshots (`Bundle.changes`); what follows it follows by
arithmetic, and never beyond what is possible. One lever is tried before two, two before three; levers that
touch the same feature are never joined. Each set that is offered was scored, changed row by changed row, by
the bundle that serves, and the probability is that score. It says what the model would answer, not what the
customer will do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.conditions.calculate import Numbers
from lifecycle_ml.health.levers import Counts, Lever
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.changes import change_at
from lifecycle_ml.models.horizons import HorizonModel

MOST_OFFERS = 3
MOST_LEVERS = 3
JOINED = 8
"""Levers are joined from so many that bring the risk down most."""
ROWS_AT_ONCE = 20_000
"""Rows scored together: some 30 MB."""


@dataclass(frozen=True)
class Move:
    """One lever moved: its feature's value now and after."""

    lever: str
    feature: str
    now: float
    target: float


@dataclass(frozen=True)
class Offer:
    """A set of moves that brings the risk under the limit.

    `values` are all features that differ in the changed row (NaN: none left), `probability` is its score.
    """

    moves: tuple[Move, ...]
    values: Mapping[str, float]
    probability: float


@dataclass(frozen=True)
class WhatIf:
    """What was found for one account: up to three offers, smallest first; none where nothing is in reach.

    `under`: the risk is under the limit as it is, so that no change is looked for.
    """

    offers: tuple[Offer, ...] = ()
    under: bool = False


def what_would_help(
    bundle: Bundle, matrix: pd.DataFrame, limits: Mapping[str, float], levers: Sequence[Lever]
) -> dict[str, WhatIf]:
    """Look for the smallest changes that bring accounts under their limits.

    matrix: one row per account, with the model's features and the columns levers read. limits: by account the
    probability at the headline horizon to get under; other accounts are not looked at. Empty where no
    probability is served (rules, or an advisory model). An account gets the same answer alone as in a batch.
    """
    if bundle.source != "model" or bundle.tier != "full" or not limits:
        return {}
    wanted = matrix["account_id"].isin(list(limits)).to_numpy()
    rows = matrix[wanted].reset_index(drop=True)
    accounts = rows["account_id"].tolist()
    search = _Search(bundle, rows, np.array([limits[account] for account in accounts]), levers)
    return dict(zip(accounts, search.run(), strict=True))


@dataclass(frozen=True)
class _Set:
    """Some levers pulled for one account, each by a number of steps between `least` and `most`."""

    row: int
    levers: tuple[int, ...]
    least: tuple[int, ...]
    most: tuple[int, ...]


class _Search:
    """The search over all accounts at once: batches of rows, but each account decided by its own rows."""

    def __init__(self, bundle: Bundle, rows: pd.DataFrame, limits: Numbers, levers: Sequence[Lever]) -> None:
        self._bundle = bundle
        self._quick = _at_headline(bundle)
        self._rows = rows
        self._limits = limits
        # a feature the company has no table for, or that never moved, is nothing to offer
        self._levers = [
            lever
            for lever in levers
            if lever.reads.issubset(rows.columns) and lever.feature in bundle.changes
        ]
        names = {name for lever in self._levers for name in lever.reads}
        self._now = {name: rows[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in names}
        self._least, self._most = self._reach()

    def run(self) -> list[WhatIf]:
        found: list[list[Offer]] = [[] for _ in range(len(self._rows))]
        under = self._under_already()
        waiting = np.flatnonzero(~under & (self._most > 0).any(axis=1))
        waiting = waiting[self._all_pulled(waiting)]
        single = self._singles(waiting)
        risks = self._risks(single, [each.most for each in single])
        order = self._best_levers(single, risks)
        sets: list[_Set] = single
        for count in range(1, MOST_LEVERS + 1):
            if count > 1:
                sets = [each for row in waiting for each in self._joined(int(row), order[int(row)], count)]
                risks = self._risks(sets, [each.most for each in sets])
            kept = self._smallest_few(
                [s for s, risk in zip(sets, risks, strict=True) if self._holds(s, risk)]
            )
            for each, offer in zip(kept, self._offers(kept), strict=True):
                if offer is not None:
                    found[each.row].append(offer)
            waiting = np.array([row for row in waiting if not found[row]], dtype=np.int64)
        return [WhatIf(self._smallest(offers), bool(under[row])) for row, offers in enumerate(found)]

    def _smallest(self, offers: Sequence[Offer]) -> tuple[Offer, ...]:
        kept: dict[float, Offer] = {}
        for offer in sorted(offers, key=lambda one: self._size(one.moves)):
            # the same score is the same change in other words: the last ticket is also the severe one
            kept.setdefault(offer.probability, offer)
        return tuple(kept.values())[:MOST_OFFERS]

    def _under_already(self) -> npt.NDArray[np.bool_]:
        # in pieces, as all is: no more rows than that are ever held twice
        risks = [
            self._score(self._quick, self._rows.iloc[start : start + ROWS_AT_ONCE])
            for start in range(0, len(self._rows), ROWS_AT_ONCE)
        ]
        return np.asarray(np.concatenate(risks) < self._limits, dtype=bool) if risks else np.zeros(0, bool)

    def _all_pulled(self, waiting: Counts) -> npt.NDArray[np.bool_]:
        """Tell for which accounts all levers together would do; where they do not, no few of them can."""
        everything = []
        for row in waiting:
            usable = tuple(int(lever) for lever in np.flatnonzero(self._most[row] > 0))
            most = tuple(int(self._most[row, lever]) for lever in usable)
            everything.append(_Set(int(row), usable, most, most))
        risks = self._risks(everything, [each.most for each in everything])
        return np.array([self._holds(s, r) for s, r in zip(everything, risks, strict=True)], dtype=bool)

    def _singles(self, waiting: Counts) -> list[_Set]:
        return [
            self._set(int(row), (int(lever),))
            for row in waiting
            for lever in np.flatnonzero(self._most[row] > 0)
        ]

    def _set(self, row: int, levers: tuple[int, ...]) -> _Set:
        return _Set(
            row,
            levers,
            tuple(int(self._least[row, lever]) for lever in levers),
            tuple(int(self._most[row, lever]) for lever in levers),
        )

    def _best_levers(self, single: Sequence[_Set], risks: Numbers) -> dict[int, list[int]]:
        """By account: the levers that, pulled alone, bring the risk down most."""
        by_row: dict[int, list[tuple[float, int]]] = {}
        for each, risk in zip(single, risks, strict=True):
            by_row.setdefault(each.row, []).append((float(risk), each.levers[0]))
        return {row: [lever for _, lever in sorted(pairs)[:JOINED]] for row, pairs in by_row.items()}

    def _joined(self, row: int, levers: Sequence[int], count: int) -> Iterator[_Set]:
        for some in combinations(levers, count):
            touched = [self._levers[lever].touches for lever in some]
            if len(frozenset().union(*touched)) == sum(len(each) for each in touched):
                yield self._set(row, some)

    def _holds(self, each: _Set, risk: float) -> bool:
        return bool(risk < self._limits[each.row])

    def _smallest_few(self, sets: Sequence[_Set]) -> list[_Set]:
        """Of each account's sets only a few are worth being made smaller: those of the smallest reach."""
        by_row: dict[int, list[_Set]] = {}
        for each in sets:
            by_row.setdefault(each.row, []).append(each)
        few = 2 * MOST_OFFERS
        return [
            each
            for row in by_row.values()
            for each in sorted(row, key=lambda one: self._size(self._moves(one, one.most)))[:few]
        ]

    def _offers(self, sets: Sequence[_Set]) -> list[Offer | None]:
        """Make each set as small as it can be, score what is left with the bundle, and keep what holds."""
        pulled = self._shrunk(sets)
        changed = self._changed(sets, pulled)
        risks = self._risks(sets, pulled, self._bundle)
        possible = self._all_possible(sets, pulled)
        offers: list[Offer | None] = []
        for at, (each, steps, risk) in enumerate(zip(sets, pulled, risks, strict=True)):
            values = {
                name: float(column[at])
                for name, column in changed.items()
                if not _same(column[at], self._now[name][each.row])
            }
            holds = possible[at] and self._holds(each, risk)
            offers.append(Offer(self._moves(each, steps), values, float(risk)) if holds else None)
        return offers

    def _all_possible(self, sets: Sequence[_Set], pulled: Sequence[tuple[int, ...]]) -> npt.NDArray[np.bool_]:
        possible = np.ones(len(sets), dtype=bool)
        for position, lever in enumerate(self._levers):
            users = [at for at, each in enumerate(sets) if position in each.levers]
            steps = np.array([pulled[at][sets[at].levers.index(position)] for at in users], dtype=np.int64)
            rows = [sets[at].row for at in users]
            possible[users] &= lever.possible({n: self._now[n][rows] for n in lever.reads}, steps)
        return possible

    def _moves(self, each: _Set, steps: Sequence[int]) -> tuple[Move, ...]:
        moves = []
        for position, count in zip(each.levers, steps, strict=True):
            lever = self._levers[position]
            now = self._now[lever.feature][each.row : each.row + 1]
            target = lever.target(now, np.array([count]))
            moves.append(Move(lever.name, lever.feature, float(now[0]), float(target[0])))
        return tuple(moves)

    def _shrunk(self, sets: Sequence[_Set]) -> list[tuple[int, ...]]:
        """Halve what is pulled, first of all levers of a set alike, then of one after the other."""
        most = [each.most for each in sets]
        least = [each.least for each in sets]
        sixteenths = self._bisect(
            sets,
            [16 if len(each.levers) == 1 else 1 for each in sets],
            [16] * len(sets),
            lambda at, n: _between(least[at], most[at], n),
        )
        pulled = [_between(least[at], most[at], n) for at, n in enumerate(sixteenths)]
        for place in range(max((len(each.levers) for each in sets), default=0)):
            held = list(pulled)

            def only(
                at: int, n: int, held: list[tuple[int, ...]] = held, place: int = place
            ) -> tuple[int, ...]:
                if place >= len(held[at]):
                    return held[at]
                return (*held[at][:place], n, *held[at][place + 1 :])

            low = [each.least[place] if place < len(each.levers) else 0 for each in sets]
            high = [held[at][place] if place < len(each.levers) else 0 for at, each in enumerate(sets)]
            pulled = [only(at, n) for at, n in enumerate(self._bisect(sets, low, high, only))]
        return pulled

    def _bisect(
        self,
        sets: Sequence[_Set],
        low: Sequence[int],
        high: Sequence[int],
        pulled: Callable[[int, int], tuple[int, ...]],
    ) -> list[int]:
        """Return for each set the smallest n in low..high that holds; `high` is known to."""
        lows, highs = list(low), list(high)
        while open_sets := [at for at in range(len(sets)) if lows[at] < highs[at]]:
            tried = [(lows[at] + highs[at]) // 2 for at in open_sets]
            some = [sets[at] for at in open_sets]
            risks = self._risks(some, [pulled(at, n) for at, n in zip(open_sets, tried, strict=True)])
            for at, n, risk in zip(open_sets, tried, risks, strict=True):
                if self._holds(sets[at], risk):
                    highs[at] = n
                else:
                    lows[at] = n + 1
        return highs

    def _risks(
        self, sets: Sequence[_Set], pulled: Sequence[tuple[int, ...]], bundle: Bundle | None = None
    ) -> Numbers:
        """Score the changed rows, so many at once."""
        parts = [np.empty(0)]
        for start in range(0, len(sets), ROWS_AT_ONCE):
            some, steps = sets[start : start + ROWS_AT_ONCE], pulled[start : start + ROWS_AT_ONCE]
            frame = (
                self._rows[list(self._bundle.features)]
                .iloc[[each.row for each in some]]
                .reset_index(drop=True)
            )
            changed = self._changed(some, steps)
            frame = frame.assign(**{name: column for name, column in changed.items() if name in frame})
            parts.append(self._score(bundle or self._quick, frame))
        return np.concatenate(parts)

    def _score(self, bundle: Bundle, frame: pd.DataFrame) -> Numbers:
        scores = bundle.probabilities(frame)
        return np.asarray(scores[:, bundle.horizons.index(bundle.headline)], dtype=np.float64)

    def _changed(self, sets: Sequence[_Set], pulled: Sequence[tuple[int, ...]]) -> dict[str, Numbers]:
        """Return the columns levers touch, as they are after each set was pulled."""
        rows = np.array([each.row for each in sets], dtype=np.int64)
        values = {name: column[rows] for name, column in self._now.items()}
        steps = np.zeros((len(sets), len(self._levers)))
        for at, (each, counts) in enumerate(zip(sets, pulled, strict=True)):
            steps[at, list(each.levers)] = counts
        touched: set[str] = set()
        for position, lever in enumerate(self._levers):
            moved = steps[:, position] > 0
            if not moved.any():
                continue
            touched |= lever.touches
            part = {name: values[name][moved] for name in lever.reads}
            for name, column in lever.pull(part, steps[moved, position]).items():
                values[name] = values[name].copy()
                values[name][moved] = column
        return {name: values[name] for name in touched}

    def _reach(self) -> tuple[Counts, Counts]:
        """Return the fewest and most steps each lever can be pulled for each account: (rows, levers)."""
        shape = (len(self._rows), len(self._levers))
        least, most = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for position, lever in enumerate(self._levers):
            row = {name: self._now[name] for name in lever.reads}
            seen = self._bundle.changes[lever.feature]
            least[:, position], most[:, position] = lever.reach(row, seen)
        return least, most

    def _size(self, moves: Sequence[Move]) -> float:
        """How much is moved, in units of the spread of the changes seen."""
        size = 0.0
        for move in moves:
            down, up = change_at(self._bundle.changes[move.feature], np.array([move.now]))
            size += abs(move.target - move.now) / float(up[0] - down[0])
        return size


def _at_headline(bundle: Bundle) -> Bundle:
    """Return the same bundle answering for the headline alone, which is all the search asks."""
    if not isinstance(bundle.model, HorizonModel):
        return bundle
    one = (bundle.headline,)
    return replace(bundle, horizons=one, model=replace(bundle.model, horizons=one))


def _between(least: Sequence[int], most: Sequence[int], sixteenths: int) -> tuple[int, ...]:
    return tuple(max(low, -(-sixteenths * high // 16)) for low, high in zip(least, most, strict=True))


def _same(one: float, other: float) -> bool:
    return bool(one == other or (np.isnan(one) and np.isnan(other)))
