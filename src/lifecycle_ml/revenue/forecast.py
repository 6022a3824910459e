"""NRR and GRR of the next four quarters from what is expected of every account, with intervals.

NRR and GRR are those of `retention`: over the accounts that had ARR twelve months before. Of the four
quarters ahead the first compares with a month nine months back, so three quarters of it are known already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lifecycle_ml.revenue.retention import MIN_ACCOUNTS, TRAILING_MONTHS
from lifecycle_ml.revenue.terms import (
    ANY_TIME,
    AWAITING,
    CLASSES,
    NOTICE,
    RENEWS,
    STEP_MONTHS,
    classes_ahead,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifecycle_ml.revenue.books import Books
    from lifecycle_ml.revenue.outlook import Outlook
    from lifecycle_ml.revenue.rates import Rates

    Floats = NDArray[np.float64]

QUARTERS = 4
MODELLED = 2
"""Account models speak for so many quarters (180 days); beyond, the rates of the past do."""
YOUNG_MONTHS = 12
_Z = 1.959963984540054  # two-sided 95%


@dataclass(frozen=True)
class Forecast:
    """A forecast made from the books of one day.

    quarters: one row per quarter ahead: quarter (1 to 4), month (`2026-09`, its last), accounts and arr_then
    (those with ARR twelve months before that month), and for nrr and grr: the figure, and the variances
    <name>_chance (accounts decide one by one), <name>_model (rates learned from few accounts, chances of the
    model off together); no_interval (why there is none) or None.
    flows: one row per quarter ahead, over the accounts with ARR now: month, arr_renewing (ARR whose term ends
    in it), arr_noticed (of it, notice given), lost and gained (ARR expected), lost_chance (standard error).
    accounts: one row per account with ARR now: account_id, arr, calendar (its class in the first quarter),
    lost and gained (expected over four quarters), both in cents like arr.
    """

    says: str
    quarters: pd.DataFrame
    flows: pd.DataFrame
    accounts: pd.DataFrame


@dataclass(frozen=True)
class _Paths:
    """Per account: chances by quarter of losing, growing, shrinking, (accounts, QUARTERS), if still there."""

    arr: Floats
    begins: Floats
    lost: Floats
    grew: Floats
    shrank: Floats
    modelled: NDArray[np.bool_]
    kind: NDArray[np.int8]
    young: NDArray[np.int64]


def forecast(
    books: Books,
    terms: pd.DataFrame,
    rates: Rates,
    outlook: Outlook | None = None,
    awaited: tuple[int, int] = (0, 0),
) -> Forecast:
    """Forecast NRR and GRR at the end of the next four quarters, counted from the last month of the books.

    Losses: in the first two quarters the chance the account models give; without a score, and beyond, the
    rate of the past in the account's class of the contract calendar, in or after its first year, shrunk to
    the class and to all. An account with notice given, or whose contract has ended, has the rate of those.
    Changes of those who stay: the past rate of the class; where the expansion model speaks, who grows in the
    first two quarters is taken from it, and how much in all from the past.
    awaited: of accounts carried because they might yet renew, at past dates: (came back, were carried).
    Not held: accounts won from now on (NRR has none), losses that are won back within the year, and anything
    that moves all accounts together and never did before.
    """
    paths = _paths(books, terms, rates, outlook, awaited)
    exposure = _exposure(paths, rates)
    rows = []
    month = len(books.months) - 1
    for quarter in range(1, QUARTERS + 1):
        base = month + quarter * STEP_MONTHS - TRAILING_MONTHS
        name = (books.months[-1] + quarter * STEP_MONTHS).strftime("%Y-%m")
        if base < 0 or not (books.arr[:, 1 + base] > 0).any():
            continue
        then = books.arr[:, 1 + base].astype(float)
        rows.append({"quarter": quarter, "month": name} | _figures(paths, rates, outlook, then, quarter))
    return Forecast(
        says="rates of the past alone" if outlook is None else outlook.says,
        quarters=pd.DataFrame(rows),
        flows=_flows(books, paths, exposure, rates),
        accounts=_by_account(books, paths, exposure, rates),
    )


def _paths(
    books: Books,
    terms: pd.DataFrame,
    rates: Rates,
    outlook: Outlook | None,
    awaited: tuple[int, int],
) -> _Paths:
    month = len(books.months) - 1
    arr = books.arr[:, -1].astype(float)
    kind = classes_ahead(terms, books, month, QUARTERS)
    # carried accounts have no contract; if they come back it is by a contract of the usual kind
    kind[books.awaiting] = ANY_TIME
    age = month - books.first_months[:, None] + STEP_MONTHS * np.arange(QUARTERS)
    young = (age < YOUNG_MONTHS).astype(np.int64)
    lost = rates.lost[kind, young]
    grew, shrank = rates.grew[kind], rates.shrank[kind]
    modelled = np.zeros(lost.shape, dtype=bool)
    if outlook is not None:
        said = outlook.lost.reindex(books.accounts).to_numpy(dtype=float)
        known = ~np.isnan(said) & (kind[:, :MODELLED] != NOTICE) & ~books.awaiting[:, None]
        lost[:, :MODELLED] = np.where(known, said, lost[:, :MODELLED])
        modelled[:, :MODELLED] = known
        if outlook.grows is not None:
            grew[:, :MODELLED] = _tilted(
                grew[:, :MODELLED], outlook.grows.reindex(books.accounts).to_numpy(dtype=float), arr
            )
    back, carried = awaited
    begins = np.where(books.awaiting, _came_back(back, carried), 1.0)
    return _Paths(arr, begins, lost, grew, np.minimum(shrank, 1 - grew), modelled, kind, young)


def _came_back(back: int, carried: int) -> float:
    from lifecycle_ml.revenue.rates import AWAITED_BACK, AWAITED_WEIGHT

    return (back + AWAITED_BACK * AWAITED_WEIGHT) / (carried + AWAITED_WEIGHT)


def _tilted(grew: Floats, said: Floats, arr: Floats) -> Floats:
    """Spread the growth of the past over accounts as the expansion model ranks them; its sum stays."""
    known = ~np.isnan(said) & (arr > 0)
    if not known.any() or not said[known].sum():
        return grew
    usual = (said * arr)[known].sum() / arr[known].sum()
    tilt = np.where(known, said / usual, 1.0)
    found: Floats = np.minimum(grew * tilt[:, None], 0.95)
    return found


def _exposure(paths: _Paths, rates: Rates) -> Floats:
    """ARR expected to be there at the start of each quarter, (accounts, QUARTERS)."""
    keeps = (1 - paths.lost) * (1 + _net(paths, rates))
    there = np.cumprod(np.column_stack([paths.begins, keeps[:, :-1]]), axis=1)
    found: Floats = paths.arr[:, None] * there
    return found


def _net(paths: _Paths, rates: Rates) -> Floats:
    return paths.grew * rates.rise - paths.shrank * rates.fall


def _figures(
    paths: _Paths, rates: Rates, outlook: Outlook | None, then: Floats, quarter: int
) -> dict[str, object]:
    """Mean and variances of NRR and GRR for one base, exact for the chances given.

    NRR: first and second moment of what an account pays, multiplied up quarter by quarter. GRR: its ARR is
    min(then, now), so all combinations of rises and falls are gone through, at their mean sizes.
    """
    base = then > 0
    total = then.sum()
    arr, lost = paths.arr, paths.lost[:, :quarter]
    grew, shrank = paths.grew[:, :quarter], paths.shrank[:, :quarter]
    net = _net(paths, rates)[:, :quarter]
    squared = 1 + 2 * net + grew * rates.rise_squared + shrank * rates.fall_squared
    mean = arr * paths.begins * np.prod((1 - lost) * (1 + net), axis=1)
    second = arr**2 * paths.begins * np.prod((1 - lost) * squared, axis=1)
    back = min(1.0, rates.back * quarter)
    away = (arr == 0) & base
    mean = np.where(away, then * back, mean)
    second = np.where(away, then**2 * back, second)
    kept, kept_second = _kept(paths, rates, then, quarter)
    kept, kept_second = np.where(away, then * back, kept), np.where(away, then**2 * back, kept_second)

    exposure = np.where(base[:, None], _exposure(paths, rates)[:, :quarter], 0.0)
    model = _model_variance(paths, rates, outlook, exposure) / total**2
    changing = (exposure.sum() * rates.change_doubt / total) ** 2
    small = shrank.sum() * rates.fall / max(1e-12, grew.sum() * rates.rise + shrank.sum() * rates.fall)
    spread = float(total**2 / (then**2).sum())
    return {
        "accounts": int(base.sum()),
        "arr_then": int(total),
        "nrr": float(mean[base].sum() / total),
        "nrr_chance": float((second - mean**2)[base].sum() / total**2),
        "nrr_model": float(model + changing),
        "grr": float(kept[base].sum() / total),
        "grr_chance": float((kept_second - kept**2)[base].sum() / total**2),
        "grr_model": float(model + changing * small**2),
        "no_interval": None
        if spread >= MIN_ACCOUNTS
        else f"ARR lies with too few accounts (as if {int(spread)} of one size; {MIN_ACCOUNTS} are needed)",
    }


def _kept(paths: _Paths, rates: Rates, then: Floats, quarter: int) -> tuple[Floats, Floats]:
    """First and second moment of min(then, now) per account."""
    states = np.zeros((len(then), quarter + 1, quarter + 1))  # falls x rises so far, while still there
    states[:, 0, 0] = paths.begins
    for step in range(quarter):
        stays = (1 - paths.lost[:, step])[:, None, None] * states
        up, down = paths.grew[:, step, None, None], paths.shrank[:, step, None, None]
        states = stays * (1 - up - down)
        states[:, :, 1:] += (stays * up)[:, :, :-1]
        states[:, 1:, :] += (stays * down)[:, :-1, :]
    count = np.arange(quarter + 1)
    ratio = ((1 - rates.fall) ** count)[:, None] * ((1 + rates.rise) ** count)[None, :]
    amount = np.minimum(then[:, None, None], paths.arr[:, None, None] * ratio)
    first: Floats = (states * amount).sum(axis=(1, 2))
    second: Floats = (states * amount**2).sum(axis=(1, 2))
    return first, second


def _model_variance(paths: _Paths, rates: Rates, outlook: Outlook | None, exposure: Floats) -> float:
    """Variance of the ARR lost from doubt about the rates, and about the level of the model's chances."""
    quarter = exposure.shape[1]
    cells = paths.kind[:, :quarter] * 2 + paths.young[:, :quarter]
    own = ~paths.modelled[:, :quarter]
    ridden = np.bincount(cells[own], exposure[own], 2 * len(CLASSES))
    variance = float(((ridden * rates.lost_doubt.ravel()) ** 2).sum())
    if outlook is not None:
        told = (exposure * paths.lost[:, :quarter])[paths.modelled[:, :quarter]].sum()
        variance += float((outlook.doubt * told) ** 2)
    return variance


def _flows(books: Books, paths: _Paths, exposure: Floats, rates: Rates) -> pd.DataFrame:
    gone = np.column_stack([paths.arr * (1 - paths.begins), np.zeros((len(paths.arr), QUARTERS - 1))])
    expected = exposure * paths.lost + gone
    leaves = np.divide(
        expected, paths.arr[:, None], out=np.zeros_like(expected), where=paths.arr[:, None] > 0
    )
    leaves = np.clip(leaves, 0, 1)
    stays = exposure * (1 - paths.lost)
    ends = np.isin(paths.kind, (RENEWS, NOTICE))
    months = [(books.months[-1] + STEP_MONTHS * step).strftime("%Y-%m") for step in range(1, QUARTERS + 1)]
    return pd.DataFrame(
        {
            "month": months,
            "arr_renewing": (paths.arr[:, None] * ends).sum(axis=0),
            "arr_noticed": (paths.arr[:, None] * (paths.kind == NOTICE)).sum(axis=0),
            "lost": expected.sum(axis=0),
            "lost_chance": np.sqrt((paths.arr[:, None] ** 2 * leaves * (1 - leaves)).sum(axis=0)),
            "shrunk": (stays * paths.shrank * rates.fall).sum(axis=0),
            "gained": (stays * paths.grew * rates.rise).sum(axis=0),
        }
    )


def _by_account(books: Books, paths: _Paths, exposure: Floats, rates: Rates) -> pd.DataFrame:
    at = np.flatnonzero(paths.arr > 0)
    calendar = np.where(books.awaiting, CLASSES[AWAITING], np.array(CLASSES)[paths.kind[:, 0]])
    stays = exposure * (1 - paths.lost)
    return pd.DataFrame(
        {
            "account_id": books.accounts[at],
            "arr": paths.arr[at],
            "calendar": calendar[at],
            "lost": ((exposure * paths.lost).sum(axis=1) + paths.arr * (1 - paths.begins))[at],
            "gained": (stays * paths.grew * rates.rise).sum(axis=1)[at],
        }
    )


def with_interval(quarters: pd.DataFrame, level: dict[str, float]) -> pd.DataFrame:
    """Add nrr_low, nrr_high, grr_low and grr_high (95%); GRR stays within 0 and 1.

    level: by figure, the variance a quarter ahead by which past levels were off beyond chance and model; it
    grows with the quarters ahead. NaN where no_interval says why.
    """
    found = quarters.copy()
    if found.empty:  # nobody had ARR
        return found
    for name in ("nrr", "grr"):
        found[f"{name}_level"] = level[name] * found["quarter"]
        variance = found[f"{name}_chance"] + found[f"{name}_model"] + found[f"{name}_level"]
        spread = (_Z * variance**0.5).where(found["no_interval"].isna())
        highest = 1.0 if name == "grr" else np.inf
        found[f"{name}_low"] = (found[name] - spread).clip(0.0)
        found[f"{name}_high"] = (found[name] + spread).clip(upper=highest)
    return found
