"""Revenue expected to be lost or gained: by account and month, and against what was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle_ml.models.evaluation import Interval, bootstrap_counts
from lifecycle_ml.models.logistic import sigmoid
from lifecycle_ml.models.metrics import Sample

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.floating[Any]]

AS_FITTED = np.zeros((1, 2))
"""No doubt about the calibration."""
_EDGE = 1e-9
_LEAST_SLOPE = 0.05
_ACCOUNTS_AT_ONCE = 2_000


def expected_arr(
    account_ids: ArrayLike,
    as_of: pd.Timestamp,
    arr: ArrayLike,
    probabilities: ArrayLike,
    horizons: Sequence[int],
    *,
    rise: float = 1.0,
    shifts: ArrayLike = AS_FITTED,
    level: float = 0.95,
) -> pd.DataFrame:
    """Spread the ARR each account is expected to lose (or gain) over the calendar months ahead.

    Shapes: one entry per account: its id, ARR at `as_of`, probabilities (accounts, horizons) of the outcome
            within each of `horizons` (days, ascending). `shifts`: (draws, 2), each an intercept and a slope
            that calibrated log-odds may be off by (`calibration_shifts`).
    Formula: what the probability rises by from one horizon to the next (never below 0) is spread evenly over
            the days between them; probability = its part in the month; expected = probability x ARR x rise.
            `rise`: what is lost or gained as a part of ARR: 1 where an account leaves, the mean relative rise
            of accounts that grew for an expansion.
    Grain:  one row per account and calendar month the longest horizon touches, the first and last in part:
            account_id, month (its first day), probability, expected, expected_low, expected_high (doubt about
            the calibration only), arr_low, arr_high. The last two bound what will be seen: an account loses
            all or nothing, so the ends are 0 or ARR x rise; exact for probabilities averaged over `shifts`.
    Nulls:  an ARR of NaN gives NaN.
    Raises: ValueError for lengths that differ or horizons that do not ascend.
    """
    value, chances = _checked(account_ids, arr, probabilities, horizons)
    months, weights = _months(as_of, horizons)
    amount = value * rise
    tail = (1 - level) / 2
    drawn = np.asarray(shifts, dtype="float64")
    point = _by_month(chances, weights)
    low, high, mean = (np.empty_like(point) for _ in range(3))
    for start in range(0, len(chances), _ACCOUNTS_AT_ONCE):
        part = slice(start, start + _ACCOUNTS_AT_ONCE)
        spread = np.stack([_by_month(_shifted(chances[part], shift), weights) for shift in drawn])
        low[part], high[part] = np.quantile(spread, [tail, 1 - tail], axis=0)
        mean[part] = spread.mean(axis=0)
    wide = len(months)
    each = np.repeat(amount, wide)
    return pd.DataFrame(
        {
            "account_id": np.repeat(np.asarray(account_ids, dtype=object), wide),
            "month": np.tile(months, len(value)),
            "probability": point.ravel(),
            "expected": point.ravel() * each,
            "expected_low": low.ravel() * each,
            "expected_high": high.ravel() * each,
            "arr_low": (mean.ravel() > 1 - tail) * each,
            "arr_high": (mean.ravel() > tail) * each,
        }
    )


def expected_arr_of_all(
    account_ids: ArrayLike,
    as_of: pd.Timestamp,
    arr: ArrayLike,
    probabilities: ArrayLike,
    horizons: Sequence[int],
    *,
    rise: float = 1.0,
    shifts: ArrayLike = AS_FITTED,
    level: float = 0.95,
    seed: int = 0,
    draws: int = 1000,
) -> pd.DataFrame:
    """Sum `expected_arr` over all accounts, with an interval for what will be seen.

    Arguments as there; accounts whose ARR is NaN count for nothing. Each draw takes one of `shifts` and then
    lets every account leave or stay on its own, so the interval holds both doubt about the calibration and
    chance; it holds nothing that moves all accounts together, such as a recession.
    Grain: one row per month, and a last one without month (NaT) for all of them: month, expected, low, high.
    """
    value, chances = _checked(account_ids, arr, probabilities, horizons)
    months, weights = _months(as_of, horizons)
    amount = np.nan_to_num(value) * rise
    point = amount @ _by_month(chances, weights)
    drawn = np.asarray(shifts, dtype="float64")
    rng = np.random.default_rng(seed)
    sums = np.empty((draws, len(months)))
    for draw in range(draws):
        edges = np.cumsum(_by_month(_shifted(chances, drawn[draw % len(drawn)]), weights), axis=1)
        left_in = (rng.random(len(amount))[:, None] > edges).sum(axis=1)
        sums[draw] = np.bincount(left_in, amount, len(months) + 1)[:-1]
    whole = np.column_stack([sums, sums.sum(axis=1)])
    low, high = np.quantile(whole, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return pd.DataFrame(
        {
            "month": pd.to_datetime([*months, pd.NaT]),
            "expected": [*point, point.sum()],
            "low": low,
            "high": high,
        }
    )


def mean_rise(arr: ArrayLike, arr_after: ArrayLike, y: ArrayLike) -> float:
    """Return by what part ARR rose where the outcome (expanded, 1) came about, weighted by ARR.

    Weighted, so that the rises of a portfolio add up to its money. NaN where nobody grew or no ARR is known.
    """
    before, after = (np.asarray(part, dtype="float64") for part in (arr, arr_after))
    grew = (np.asarray(y, dtype="float64") > 0) & (before > 0) & ~np.isnan(after)
    return float((after - before)[grew].sum() / before[grew].sum()) if grew.any() else math.nan


def calibration_shifts(
    y: ArrayLike, p: ArrayLike, groups: ArrayLike, *, seed: int = 0, draws: int = 200
) -> NDArray[np.float64]:
    """Return what calibrated log-odds may be off by: (draws, 2), intercept and slope, around 0.

    One refit of y on the log-odds of p per bootstrap draw of the accounts, less that of all rows: sampling
    doubt alone. One row of zeros where the rows determine no fit.
    """
    codes, accounts = pd.factorize(np.asarray(groups, dtype=object))
    outcome, score = np.asarray(y, dtype="float64"), np.asarray(p, dtype="float64")
    if len(outcome) == 0 or outcome.min() == outcome.max() or np.ptp(score) == 0:
        return AS_FITTED
    refit = Sample(outcome, score, codes, len(accounts)).refit
    if not np.isfinite(refit.whole).all():
        return AS_FITTED
    blocks = bootstrap_counts(len(accounts), len(outcome), draws, seed)
    fits = np.concatenate([refit.draw(counts) for counts in blocks])
    fits = fits[np.isfinite(fits).all(axis=1)]
    return np.asarray(fits - refit.whole, dtype=np.float64) if len(fits) else AS_FITTED


def money_by_date(
    expected: ArrayLike,
    observed: ArrayLike,
    groups: ArrayLike,
    as_of: ArrayLike,
    *,
    level: float = 0.95,
    seed: int = 0,
    draws: int = 300,
) -> tuple[pd.DataFrame, Interval]:
    """Compare the ARR expected to be lost (or gained) with what was, per date and over all.

    Shapes: one entry per row: money expected, money seen, account, date. Rows without money (NaN) count 0.
    Grain:  one row per date: as_of, accounts, expected, observed, ratio (observed / expected), each of the
            three with <column>_low and <column>_high from a bootstrap over accounts. Beside it the ratio of
            all dates together; NaN, with the reason, where nothing was expected.
    """
    hoped, seen = (np.nan_to_num(np.asarray(part, dtype="float64")) for part in (expected, observed))
    codes, accounts = pd.factorize(np.asarray(groups, dtype=object))
    place, dates = pd.factorize(pd.to_datetime(pd.Series(np.asarray(as_of))), sort=True)
    sums = []
    for money in (hoped, seen):
        cells = np.zeros((len(accounts), len(dates) + 1))
        np.add.at(cells, (codes, place), money)
        cells[:, -1] = cells[:, :-1].sum(axis=1)
        sums.append(cells)
    blocks = bootstrap_counts(len(accounts), max(1, len(hoped)), draws, seed)
    drawn = [(counts @ sums[0], counts @ sums[1]) for counts in blocks]
    total = [part.sum(axis=0) for part in sums]
    draws_of = [np.concatenate([block[side] for block in drawn]) for side in (0, 1)]
    columns = {"expected": draws_of[0], "observed": draws_of[1], "ratio": _ratio(draws_of[1], draws_of[0])}
    values = {"expected": total[0], "observed": total[1], "ratio": _ratio(total[1], total[0])}
    tail = (1 - level) / 2
    table = pd.DataFrame({"as_of": dates, "accounts": np.bincount(place, minlength=len(dates))})
    whole = Interval(math.nan, math.nan, math.nan, "no money was expected to be lost or gained")
    for name, numbers in columns.items():
        usable = np.where(np.isfinite(numbers).any(axis=0), numbers, 0.0)
        low, high = np.nanquantile(usable, [tail, 1 - tail], axis=0)
        table[name], table[f"{name}_low"], table[f"{name}_high"] = values[name][:-1], low[:-1], high[:-1]
        if name == "ratio" and np.isfinite(values[name][-1]):
            whole = Interval(float(values[name][-1]), float(low[-1]), float(high[-1]))
    unknown = table["ratio"].isna()
    table.loc[unknown, ["ratio_low", "ratio_high"]] = np.nan
    return table, whole


def _ratio(above: Floats, below: Floats) -> Floats:
    found: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return found


def _checked(
    account_ids: ArrayLike, arr: ArrayLike, probabilities: ArrayLike, horizons: Sequence[int]
) -> tuple[Floats, Floats]:
    value = np.asarray(arr, dtype="float64")
    chances = np.asarray(probabilities, dtype="float64").reshape(-1, len(horizons))
    if not len(np.asarray(account_ids)) == len(value) == len(chances):
        raise ValueError(
            f"expected_arr: {len(np.asarray(account_ids))} accounts, {len(value)} values of ARR and "
            f"{len(chances)} rows of probabilities; give one of each per account."
        )
    if list(horizons) != sorted(set(horizons)) or min(horizons) < 1:
        raise ValueError(f"expected_arr: horizons are {list(horizons)}; give days, ascending, from 1.")
    return value, chances


def _months(as_of: pd.Timestamp, horizons: Sequence[int]) -> tuple[NDArray[Any], Floats]:
    """Return the calendar months ahead, and what part of each stretch between horizons lies in each month."""
    days = np.arange(horizons[-1])
    stretch = np.searchsorted(np.asarray(horizons), days, side="right")
    months = (np.datetime64(pd.Timestamp(as_of), "D") + days).astype("datetime64[M]")
    listed, place = np.unique(months, return_inverse=True)
    weights = np.zeros((len(horizons), len(listed)))
    np.add.at(weights, (stretch, place), 1 / np.diff([0, *horizons])[stretch])
    return listed.astype("datetime64[us]"), weights


def _by_month(chances: Floats, weights: Floats) -> Floats:
    """Return the probability of the outcome in each month: (accounts, months)."""
    rising = np.maximum.accumulate(chances, axis=1)
    found: Floats = np.diff(rising, axis=1, prepend=0.0) @ weights
    return found


def _shifted(chances: Floats, shift: Floats) -> Floats:
    """Return probabilities whose log-odds are moved by an intercept and a slope."""
    held = np.clip(chances, _EDGE, 1 - _EDGE)
    logit = np.log(held) - np.log1p(-held)
    return np.asarray(sigmoid(shift[0] + max(1 + shift[1], _LEAST_SLOPE) * logit))
