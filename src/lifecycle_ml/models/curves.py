"""What scores look like: how often the outcome followed, and how much of it a list of any length finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle_ml.models.evaluation import bootstrap_counts
from lifecycle_ml.models.metrics import Curves, Draws, Ordered, Sample, rank_within_date

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.floating[Any]]

SHARES = np.linspace(0.01, 1.0, 100)
"""Lengths of a list as shares of all rows: where `gain_curve` is measured."""
LISTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
"""Lengths of a team's list as shares of each date's accounts: where `capacity_table` is measured."""
DECILES = np.linspace(0.1, 1.0, 10)


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
    found = _found(Draws(sample, np.ones((1, len(accounts)))), SHARES)[0]
    drawn = [
        _found(Draws(sample, counts), SHARES)
        for counts in bootstrap_counts(len(accounts), len(outcome), draws, seed)
    ]
    low, high = _ends(drawn, level, len(SHARES))
    return pd.DataFrame({"share": SHARES, "found": found, "low": low, "high": high, "lift": found / SHARES})


def decile_table(
    y: ArrayLike,
    p: ArrayLike,
    groups: ArrayLike,
    *,
    level: float = 0.95,
    seed: int = 0,
    draws: int = 300,
) -> pd.DataFrame:
    """Measure each tenth of the rows, from the highest `p` down.

    Shapes: as `gain_curve`.
    Grain:  one row per tenth: decile (1 holds the highest), rows, expected (mean of p), rate (part with the
            outcome), lift (rate over that of all), lift_low, lift_high, found (part of all rows with the
            outcome in this tenth and those above), found_low, found_high. Rows with equal p count evenly.
    Nulls:  lift, found and their ends are NaN where no row has the outcome.
    Raises: ValueError as `gain_curve`.
    """
    score, outcome, account = _rows(p, y, groups)
    codes, accounts = pd.factorize(account)
    parts = np.array_split(np.sort(score)[::-1], len(DECILES))
    table = pd.DataFrame(
        {
            "decile": np.arange(1, len(DECILES) + 1),
            "rows": [len(part) for part in parts],
            "expected": [float(part.mean()) if len(part) else np.nan for part in parts],
        }
    )
    sample = Sample(outcome, score, codes, len(accounts))

    def measured(counts: Floats) -> Floats:
        found = _found(Draws(sample, counts), DECILES)
        lift = np.diff(found, axis=1, prepend=0.0) * len(DECILES)
        return np.concatenate([lift, found], axis=1)

    value, low, high = _drawn(measured, outcome, len(accounts), 2 * len(DECILES), level, seed, draws)
    tens = slice(0, len(DECILES)), slice(len(DECILES), None)
    table["rate"] = value[tens[0]] * (outcome.mean() if len(outcome) else np.nan)
    for name, part in zip(("lift", "found"), tens, strict=True):
        table[name], table[f"{name}_low"], table[f"{name}_high"] = value[part], low[part], high[part]
    return table


def capacity_table(
    y: ArrayLike,
    p: ArrayLike,
    groups: ArrayLike,
    as_of: ArrayLike,
    *,
    arr: ArrayLike | None = None,
    against: Mapping[str, ArrayLike] | None = None,
    lists: Sequence[float] = LISTS,
    level: float = 0.95,
    seed: int = 0,
    draws: int = 300,
) -> pd.DataFrame:
    """Measure what a team finds that can look at a share of each date's accounts.

    Shapes: one entry per row, as in `evaluate`: y 0/1, p probability, account, date, ARR. `against` holds
            other probabilities by name (a constant: ranking by ARR alone).
    Grain:  one row per share in `lists`: share, accounts (mean length of a date's list); of the list ordered
            by p: precision (part of it with the outcome), recall (part of all with the outcome on it), lift
            (precision over the rate of all); of the list ordered by p x ARR: arr_caught (part of the ARR of
            all with the outcome on it); the same of each name in `against` as arr_caught_<name>, and
            gain_over_<name> = arr_caught less it, paired. Each with <column>_low and <column>_high.
    Nulls:  NaN where no row has the outcome; columns of ARR are absent without `arr`.
    Raises: ValueError for lengths that differ or outcomes but 0 and 1.
    """
    score, outcome, account = _rows(p, y, groups)
    if len(outcome) != len(np.asarray(y)) or len(np.asarray(as_of)) != len(outcome):
        raise ValueError(
            f"capacity_table: {len(outcome)} rows with an outcome and {len(np.asarray(as_of))} dates; leave "
            "out censored rows and give a date per row."
        )
    codes, accounts = pd.factorize(account)
    dates = np.asarray(as_of)
    sample = Sample(outcome, score, codes, len(accounts))
    rivals = {} if arr is None else dict(against or {})
    value = None if arr is None else np.nan_to_num(np.asarray(arr, dtype="float64"))
    orders = [Ordered(sample, rank_within_date(score, dates))]
    if value is not None:
        keys = [score, *(np.asarray(other, dtype="float64") for other in rivals.values())]
        orders += [Ordered(sample, rank_within_date(key * value, dates)) for key in keys]
    names = ["precision", "recall", "lift"]
    if value is not None:
        names += ["arr_caught", *(f"arr_caught_{name}" for name in rivals)]
        names += [f"gain_over_{name}" for name in rivals]

    def measured(counts: Floats) -> Floats:
        first, *money = (Curves(order, counts) for order in orders)
        rate = _rates(first.events[:, -1], first.rows[:, -1])
        found = []
        for share in lists:
            recall = first.captured(share, np.ones(len(first.ordered.events)))
            caught = [
                curves.captured(share, value[curves.ordered.order][curves.ordered.events])
                for curves in money
                if value is not None
            ]
            gains = [caught[0] - other for other in caught[1:]]
            found.append(np.stack([recall * rate / share, recall, recall / share, *caught, *gains], axis=1))
        return np.concatenate(found, axis=1)

    width = len(lists) * len(names)
    ends = _drawn(measured, outcome, len(accounts), width, level, seed, draws)
    held = pd.Series(dates).value_counts().mean() if len(dates) else np.nan
    table = pd.DataFrame({"share": lists, "accounts": [share * held for share in lists]})
    for position, name in enumerate(names):
        for end, numbers in zip(("", "_low", "_high"), ends, strict=True):
            table[name + end] = numbers[position :: len(names)]
    return table


def _drawn(
    measured: Callable[[Floats], Floats],
    outcome: Floats,
    n_accounts: int,
    width: int,
    level: float,
    seed: int,
    draws: int,
) -> tuple[Floats, Floats, Floats]:
    """Return the figures of the rows themselves and the ends of their intervals; NaN without any outcome."""
    if not outcome.any():
        nothing = np.full(width, np.nan)
        return nothing, nothing, nothing
    value = measured(np.ones((1, n_accounts)))[0]
    drawn = [measured(counts) for counts in bootstrap_counts(n_accounts, len(outcome), draws, seed)]
    low, high = _ends(drawn, level, width)
    return value, low, high


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


def _found(draws: Draws, shares: Floats) -> Floats:
    """Return the part of the outcome found at each share. (draws, shares)."""
    curves = draws.by_probability
    ones = np.ones(len(curves.ordered.events))
    return np.column_stack([curves.captured(float(share), ones) for share in shares])


def _rates(events: Floats, rows: Floats) -> Floats:
    rates: Floats = np.divide(events, rows, out=np.full(np.shape(events), np.nan), where=rows > 0)
    return rates


def _ends(drawn: list[Floats], level: float, width: int) -> tuple[Floats, Floats]:
    draws = np.concatenate(drawn) if drawn else np.full((1, width), np.nan)
    ends = np.full((2, width), np.nan)
    told = ~np.isnan(draws).all(axis=0)
    ends[:, told] = np.nanquantile(draws[:, told], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return ends[0], ends[1]
