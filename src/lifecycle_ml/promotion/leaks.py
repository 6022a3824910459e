"""Features that know too much: what gives away that a column was written after the outcome it predicts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.models.encoding import Encoding, Floats
from lifecycle_ml.models.horizons import RENEWAL

Flags = npt.NDArray[np.bool_]

FEWEST_EVENTS = 10
"""With fewer accounts with the outcome behind it a perfect feature may be chance."""
PRECISE, COMPLETE = 0.9, 0.25
"""A value nearly always followed by the outcome, and standing before a quarter of it, is suspected too."""
FORESEES = 0.85
"""Area under the ROC curve with which no honest feature tells, a horizon ahead, who will ever leave."""
MOVES, BEYOND, SURE = 0.7, 0.18, 5.0
"""Share of churned accounts whose value moves one way at an edge of the label, how far that lies beyond what
is usual, and beyond it in standard errors."""
CONTROLS = 4_000
"""Pairs of snapshots of accounts that stayed which moves are compared with."""
OUTCOME_WORDS = re.compile(
    r"churn|cancel|terminat|off-?_?board|deactivat|\blost\b|\bclosed\b|\bformer\b|win-?_?back"
    r"|non-?_?renew|data[-_ ]?export|\bexpired\b|\bex[-_ ]customer",
    re.IGNORECASE,
)
"""Words that name the end of a contract."""


@dataclass(frozen=True)
class Suspect:
    """A feature, in words why it is suspected, the columns behind it, and what would clear it."""

    feature: str
    says: str
    columns: tuple[str, ...] = ()
    """`table.column` of what the feature reads, or of the very column that gives it away."""
    needs: str = ""
    others: tuple[str, ...] = ()
    """Further features that rest on the same column."""


def suspect_leaks(
    matrix: pd.DataFrame,
    y: Floats,
    accounts: npt.ArrayLike,
    features: Iterable[str],
    auroc_above: float,
    outcome: str = "churned",
) -> tuple[Suspect, ...]:
    """Name features that alone nearly decide the outcome.

    Looks at each feature by itself, in both directions, its nulls and each level of a category apart: an
    area under the ROC curve above `auroc_above`, or one end of its values nearly always followed by the
    outcome and standing before a quarter of it. y: 0/1 per row of `matrix`; `outcome` is the word for 1.
    """
    codes = np.asarray(pd.factorize(np.asarray(accounts))[0], dtype=np.int64)
    events = y > 0
    if len(np.unique(codes[events])) < FEWEST_EVENTS or events.all():
        return ()
    found = []
    for name in features:
        for column, label in _columns_of(matrix, name, codes):
            says = _too_good(column, events, codes, label, auroc_above, outcome)
            if says is not None:
                found.append(Suspect(name, says))
                break
    return tuple(found)


def suspect_hindsight(
    matrix: pd.DataFrame, labels: pd.DataFrame, features: Iterable[str], headline: int
) -> tuple[Suspect, ...]:
    """Name features that on an account's first snapshot already tell whether it will ever leave.

    What is overwritten when an account leaves reads so in all of its past. First snapshots less than a
    horizon before the end are left out: there an honest feature may know. A category's level that names the
    outcome ("churned", "cancelled") is suspected where half of the accounts with it left.
    """
    churned_on = labels["churned_on"].to_numpy(dtype="datetime64[us]")
    as_of = matrix["as_of"].to_numpy(dtype="datetime64[us]")
    codes = pd.factorize(matrix["account_id"])[0]
    left = np.zeros(codes.max() + 1, dtype=bool)
    left[codes[~np.isnat(churned_on)]] = True
    order = np.lexsort((as_of, codes))
    first = order[np.r_[True, codes[order][1:] != codes[order][:-1]]]
    near = churned_on[first] < as_of[first] + np.timedelta64(headline, "D")
    first = first[~near]
    events = left[codes[first]]
    if events.sum() < FEWEST_EVENTS or events.all():
        return ()
    rows = matrix.iloc[first]
    ahead = f"on their first snapshot, {headline} days or more ahead"
    found = []
    for name in features:
        says = _named_outcome(rows[name], events)
        for column, label in () if says else _columns_of(rows, name, codes[first]):
            says = _too_good(column, events, codes[first], label, FORESEES, f"churned later ({ahead})")
            if says is not None:
                break
        if says is not None:
            found.append(Suspect(name, says, needs=_versions(name)))
    return tuple(found)


def _versions(name: str) -> str:
    return (
        f"versions of what {name} reads, each with the day it became known (known_at), or {name} in the "
        "recipe's leave_out"
    )


def _named_outcome(values: pd.Series, events: Flags) -> str | None:
    if pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype):
        return None
    for level, rows in values.groupby(values, observed=True).groups.items():
        if not OUTCOME_WORDS.search(str(level)):
            continue
        inside = values.index.isin(rows)
        if inside.sum() >= FEWEST_EVENTS / 2 and events[inside].mean() >= 0.5:
            return (
                f"{values.name} = {level!r} names the outcome: {events[inside].mean():.0%} of "
                f"{int(inside.sum())} accounts with it left later"
            )
    return None


def suspect_edges(
    matrix: pd.DataFrame, labels: pd.DataFrame, features: Iterable[str], horizons: Iterable[int]
) -> tuple[Suspect, ...]:
    """Name features that move just when the end comes inside a label's window, or inside the next snapshot.

    Of each account that left the two snapshots are compared between which the end came nearer than a
    horizon. Honest features drift towards the end over weeks; what counts the future, or copies the label,
    jumps there. What is usual is seen a step before, and in accounts that stayed, those at the same distance
    from their renewal apart: so much the calendar alone does.
    """
    pairs = _Pairs.of(matrix, labels)
    if pairs is None:
        return ()
    names = list(features)
    renewal = (
        np.where(pairs.stays, matrix[RENEWAL].to_numpy(dtype=np.float64), np.nan)
        if RENEWAL in matrix
        else None
    )
    edges = [_Edge.of(pairs, days, renewal) for days in sorted({*horizons, pairs.step})]
    edges = [edge for edge in edges if len(edge.crossing) >= 2 * FEWEST_EVENTS]
    stayed = pairs.sample(pairs.stayed)
    found = []
    for name in names if edges else ():
        moves = list(_moves(matrix, name, pairs, edges, stayed))
        if moves:
            found.append(
                Suspect(
                    name,
                    max(moves, key=lambda move: move[1])[0],
                    needs=f"a window of {name} that ends at as_of (it must count nothing later), a known_at "
                    f"for what it reads, or {name} in the recipe's leave_out",
                )
            )
    return tuple(found)


def _moves(
    matrix: pd.DataFrame,
    name: str,
    pairs: _Pairs,
    edges: Sequence[_Edge],
    stayed: npt.NDArray[np.int64],
) -> Iterator[tuple[str, float]]:
    for column, label in _columns_of(matrix, name, pairs.codes):
        usual = pairs.rising(column, stayed)[0]
        for edge in edges:
            share, told = pairs.rising(column, edge.crossing)
            if max(share, 1 - share) < MOVES:
                continue
            others = [usual, *(pairs.rising(column, rows)[0] for rows in (edge.before, edge.renewing))]
            drift = max(share, 1 - share)
            expected = max(other if share > 0.5 else 1 - other for other in others)
            # the standard error of a share is at most half of one over the root of its number
            if drift - expected >= max(BEYOND, SURE / (2 * np.sqrt(told))):
                way = "rises" if share > 0.5 else "falls"
                says = (
                    f"{label} {way} in {drift:.0%} of {told} churned accounts just when their end comes "
                    f"nearer than {edge.days} days; a step before, and in accounts that stay, in at most "
                    f"{expected:.0%} (ties count half)"
                )
                yield says, drift - expected


@dataclass(frozen=True)
class _Edge:
    """Pairs of snapshots at one distance from the end, and those they are compared with."""

    days: int
    crossing: npt.NDArray[np.int64]
    before: npt.NDArray[np.int64]
    """The same accounts a step earlier."""
    renewing: npt.NDArray[np.int64]
    """Accounts that stay, at the same distance from their renewal."""

    @classmethod
    def of(cls, pairs: _Pairs, days: int, renewal: Floats | None) -> _Edge:
        none = np.empty(0, dtype=np.int64)
        return cls(
            days,
            pairs.crossing(pairs.days_left, days),
            pairs.crossing(pairs.days_left, days + pairs.step),
            none if renewal is None else pairs.sample(pairs.crossing(renewal, days)),
        )


@dataclass(frozen=True)
class _Pairs:
    """Consecutive snapshots of the same account: rows `earlier` and `later` of the matrix."""

    earlier: npt.NDArray[np.int64]
    later: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64]
    days_left: Floats
    """Per row of the matrix: days to the end, NaN where the account stayed."""
    stays: Flags
    """Per row of the matrix: the account never left."""
    step: int

    @classmethod
    def of(cls, matrix: pd.DataFrame, labels: pd.DataFrame) -> _Pairs | None:
        as_of = matrix["as_of"].to_numpy(dtype="datetime64[us]")
        codes = np.asarray(pd.factorize(matrix["account_id"])[0], dtype=np.int64)
        order = np.lexsort((as_of, codes))
        same = codes[order][1:] == codes[order][:-1]
        earlier, later = order[:-1][same], order[1:][same]
        if not len(earlier):
            return None
        gaps = (as_of[later] - as_of[earlier]) / np.timedelta64(1, "D")
        step = int(np.median(gaps))
        whole = gaps == step
        left = (labels["churned_on"].to_numpy(dtype="datetime64[us]") - as_of) / np.timedelta64(1, "D")
        ever = np.zeros(codes.max() + 1, dtype=bool)
        ever[codes[~np.isnan(left)]] = True
        return cls(earlier[whole], later[whole], codes, left, ~ever[codes], step)

    @property
    def stayed(self) -> npt.NDArray[np.int64]:
        return np.flatnonzero(self.stays[self.earlier])

    def crossing(self, days: Floats, edge: int) -> npt.NDArray[np.int64]:
        """Return the pairs between which `days` came to lie below `edge`."""
        with np.errstate(invalid="ignore"):
            return np.flatnonzero((days[self.earlier] >= edge) & (days[self.later] < edge))

    def sample(self, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        if len(pairs) <= CONTROLS:
            return pairs
        return np.sort(np.random.default_rng(0).choice(pairs, CONTROLS, replace=False))

    def rising(self, values: Floats, pairs: npt.NDArray[np.int64]) -> tuple[float, int]:
        """Return the share of pairs whose value rises, ties counting half, and of how many; 0.5 for few."""
        before, after = values[self.earlier[pairs]], values[self.later[pairs]]
        told = ~(np.isnan(before) | np.isnan(after))
        count = int(told.sum())
        if count < 2 * FEWEST_EVENTS:
            return 0.5, count
        return float(np.mean((after[told] > before[told]) + 0.5 * (after[told] == before[told]))), count


def _columns_of(
    matrix: pd.DataFrame, name: str, codes: npt.NDArray[np.int64]
) -> Iterator[tuple[Floats, str]]:
    """Give a feature's values, each level of a category and its being null, with words for each."""
    encoding = Encoding.fit(matrix[[name]], codes)
    encoded = encoding.transform(matrix[[name]])
    yield from zip(encoded.T, encoding.encoded_names, strict=True)
    null = np.isnan(encoded[:, 0])
    if null.any():
        yield null.astype(np.float64), f"{name} being null"


def _too_good(
    values: Floats,
    all_events: Flags,
    codes: npt.NDArray[np.int64],
    label: str,
    auroc_above: float,
    outcome: str,
) -> str | None:
    known = ~np.isnan(values)
    values, events, codes = values[known], all_events[known], codes[known]
    if len(np.unique(codes[events])) < FEWEST_EVENTS or events.all() or np.ptp(values) == 0:
        return None
    area = _auroc(values, events)
    if max(area, 1 - area) > auroc_above:
        return f"{label} alone tells {outcome} accounts from others (AUROC {max(area, 1 - area):.3f})"
    for end in (values, -values):
        level, inverse = np.unique(-end, return_inverse=True)
        hits = np.cumsum(np.bincount(inverse, weights=events, minlength=len(level)))
        rows = np.cumsum(np.bincount(inverse, minlength=len(level)))
        # of all events, those of rows where the feature is null included
        enough = hits >= COMPLETE * all_events.sum()
        if enough.any():
            first = int(np.argmax(enough))
            precision = hits[first] / rows[first]
            if precision >= PRECISE and precision > 2 * all_events.mean():
                side, border = ("from", -level[first]) if end is values else ("up to", level[first])
                return (
                    f"{label} {side} {border:g}: {precision:.0%} of such snapshots {outcome}, "
                    f"{hits[first] / all_events.sum():.0%} of all that {outcome}"
                )
    return None


def _auroc(values: Floats, events: npt.NDArray[Any]) -> float:
    ranks = pd.Series(values).rank().to_numpy()
    n = int(events.sum())
    return float((ranks[events].sum() - n * (n + 1) / 2) / (n * (len(values) - n)))
