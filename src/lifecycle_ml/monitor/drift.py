"""Drift, measured with the sizes at hand: PSI against its own null, and against what dates differ by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from lifecycle_ml.monitor.bins import Binned, Floats, bin_feature, shares
from lifecycle_ml.monitor.config import Drift

AGES = (90, 180, 365, 730, 1095, 1825)
"""Days since an account was created at which it counts as older: a growing book is younger, not drifted."""
LEAST_AGE_ROWS = 30
"""Reference rows an age band needs before today's book is compared with them."""


@dataclass(frozen=True)
class Snapshots:
    """Snapshots of some dates: the matrix (account_id, as_of and features) and each row's age in days."""

    matrix: pd.DataFrame
    age_days: Floats

    def __post_init__(self) -> None:
        if len(self.matrix) != len(self.age_days):
            raise ValueError(f"{len(self.matrix)} snapshots, but {len(self.age_days)} ages.")

    def __len__(self) -> int:
        return len(self.matrix)

    def at(self, date: pd.Timestamp) -> Snapshots:
        """Return the snapshots of one date."""
        chosen = (self.matrix["as_of"] == date).to_numpy()
        return Snapshots(self.matrix[chosen].reset_index(drop=True), self.age_days[chosen])


@dataclass(frozen=True)
class FeatureDrift:
    """How one feature differs between the training snapshots and today.

    lean: its part of what the model leans on (0 to 1; 0 where rules serve). psi: the difference. chance: what
    chance alone stays below at these sizes, at the level shared by all features tested. usual: the largest
    difference of a single reference date from the others, chance taken off (NaN with one date). tested:
    whether it may be called drifted. grown: names of the bins with clearly more accounts than expected.
    clearest, share_now, share_then: the plainest statement of what moved, and of how many it holds.
    """

    feature: str
    lean: float
    psi: float
    chance: float
    usual: float
    tested: bool
    drifted: bool
    clearest: str
    share_now: float
    share_then: float
    grown: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values, rounded for reading."""
        figures = {name: getattr(self, name) for name in ("lean", "psi", "chance", "usual")}
        figures |= {"share_now": self.share_now, "share_then": self.share_then}
        plain = {name: round(value, 4) if np.isfinite(value) else None for name, value in figures.items()}
        flags = {"tested": self.tested, "drifted": self.drifted, "clearest": self.clearest}
        return {"feature": self.feature, **plain, **flags}


def measure_drift(
    reference: Snapshots, current: Snapshots, leans: Mapping[str, float], config: Drift
) -> list[FeatureDrift]:
    """Measure every feature of `leans` (feature to lean), those leaned on most first.

    Grain:  `reference` holds the same accounts on several dates, so it counts as so many accounts, not rows,
            fewer where the weights below are uneven; `current` holds each account once.
    Ages:   reference rows are weighted to the ages of today's accounts, and likewise for each reference date:
            growth alone is no drift.
    Drifted is a tested feature whose PSI is at least `least_psi`, above chance, and beyond `usual_factor`
    times what single reference dates differ by (season). Fewer than `least_accounts` accounts today: none is.
    """
    ordered = sorted(leans, key=lambda name: (-leans[name], name))
    tested = _tested(ordered, leans, config.cover) if len(current) >= config.least_accounts else set()
    weights = age_weights(reference.age_days, current.age_days)
    others = _each_date(reference)
    found = []
    for name in ordered:
        bins = config.few_bins if len(current) < config.few_accounts else config.bins
        binned = bin_feature(reference.matrix[name], current.matrix[name], weights, bins)
        found.append(
            _compare(
                name,
                binned,
                weights,
                effective_accounts(reference, weights),
                others,
                lean=leans[name],
                tested=name in tested,
                level=config.level / max(1, len(tested)),
                config=config,
            )
        )
    return found


def grown_accounts(reference: Snapshots, current: Snapshots, drift: FeatureDrift, config: Drift) -> list[str]:
    """Return today's accounts that lie in the bins of a drifted feature that grew."""
    weights = age_weights(reference.age_days, current.age_days)
    bins = config.few_bins if len(current) < config.few_accounts else config.bins
    binned = bin_feature(reference.matrix[drift.feature], current.matrix[drift.feature], weights, bins)
    there = [position for position, name in enumerate(binned.names) if name in drift.grown]
    chosen = np.isin(binned.current, there)
    return current.matrix.loc[chosen, "account_id"].astype(str).tolist()


def psi(now: Floats, then: Floats) -> float:
    """Return the population stability index of two sets of shares, none of them 0."""
    return float(((now - then) * np.log(now / then)).sum())


def chance_psi(bins: int, accounts: float, reference_accounts: float, level: float) -> float:
    """Return what PSI exceeds with probability `level` where there is no drift.

    Its null is chi-squared with bins - 1 degrees of freedom, times 1/accounts + 1/reference_accounts
    (Yurdakul and Naranjo 2020); the quantile by Wilson and Hilferty's cube.
    """
    if bins < 2:
        return float("inf")
    freedom = bins - 1
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + NormalDist().inv_cdf(1 - level) * spread**0.5) ** 3
    return float(quantile * (1 / accounts + 1 / reference_accounts))


def age_weights(reference: Floats, current: Floats) -> Floats:
    """Return weights that give the reference rows the age bands of the current ones; they add up to the rows.

    Bands with fewer than 30 reference rows are merged with the one above.
    """
    edges = list(AGES)
    while edges:
        held = np.bincount(np.searchsorted(edges, reference, side="right"), minlength=len(edges) + 1)
        thin = int(held.argmin())
        if held[thin] >= LEAST_AGE_ROWS:
            break
        edges.pop(min(thin, len(edges) - 1))
    bands = len(edges) + 1
    then = np.searchsorted(edges, reference, side="right")
    now = np.searchsorted(edges, current, side="right")
    share_then = np.bincount(then, minlength=bands) / max(1, len(reference))
    share_now = np.bincount(now, minlength=bands) / max(1, len(current))
    ratio = np.divide(share_now, share_then, out=np.zeros(bands), where=share_then > 0)
    weights = ratio[then]
    total = weights.sum()
    return np.asarray(weights * (len(reference) / total)) if total > 0 else np.ones(len(reference))


def effective_accounts(snapshots: Snapshots, weights: Floats) -> float:
    """Return how many independent accounts weighted rows are worth: an account's rows are worth one."""
    totals = pd.Series(weights).groupby(snapshots.matrix["account_id"].to_numpy()).sum().to_numpy()
    return float(totals.sum() ** 2 / (totals**2).sum())


def _tested(ordered: list[str], leans: Mapping[str, float], cover: float) -> set[str]:
    """Features that together make up `cover` of the lean; one nobody leans on is never among them."""
    chosen, covered = set(), 0.0
    total = sum(leans.values())
    for name in ordered:
        if leans[name] <= 0 or covered >= cover * total:
            break
        chosen.add(name)
        covered += leans[name]
    return chosen


@dataclass(frozen=True)
class _Date:
    """One reference date against the other ones, weighted to its ages."""

    rows: Any
    weights: Floats
    accounts: float
    other_accounts: float


def _each_date(reference: Snapshots) -> list[_Date]:
    dates = reference.matrix["as_of"].to_numpy()
    found = []
    for date in np.unique(dates):
        rows = dates == date
        if rows.all():
            continue
        weights = age_weights(reference.age_days[~rows], reference.age_days[rows])
        rest = Snapshots(reference.matrix[["account_id"]][~rows], reference.age_days[~rows])
        found.append(_Date(rows, weights, float(rows.sum()), effective_accounts(rest, weights)))
    return found


def _compare(
    name: str,
    binned: Binned,
    weights: Floats,
    reference_accounts: float,
    dates: list[_Date],
    *,
    lean: float,
    tested: bool,
    level: float,
    config: Drift,
) -> FeatureDrift:
    bins = len(binned.names)
    used = np.bincount(binned.reference, minlength=bins) + np.bincount(binned.current, minlength=bins) > 0
    # Bins nobody is in are no degrees of freedom.
    place = np.cumsum(used) - 1
    then_codes, now_codes, bins = place[binned.reference], place[binned.current], int(used.sum())
    names = [bin_name for bin_name, there in zip(binned.names, used, strict=True) if there]
    now, then = shares(now_codes, None, bins), shares(then_codes, weights, bins)
    accounts = max(1, len(now_codes))
    found = psi(now, then)
    expected = (bins - 1) * (1 / accounts + 1 / reference_accounts)
    usual = max(
        (
            psi(
                shares(then_codes[date.rows], None, bins),
                shares(then_codes[~date.rows], date.weights, bins),
            )
            - (bins - 1) * (1 / date.accounts + 1 / date.other_accounts)
            for date in dates
        ),
        default=float("nan"),
    )
    chance = chance_psi(bins, accounts, reference_accounts, level)
    beyond = np.isnan(usual) or found - expected > config.usual_factor * max(usual, 0.0)
    clearest, share_now, share_then = binned.clearest(weights)
    return FeatureDrift(
        feature=name,
        lean=lean,
        psi=found,
        chance=chance,
        usual=usual if np.isnan(usual) else max(usual, 0.0),
        tested=tested,
        drifted=bool(tested and found >= config.least_psi and found > chance and beyond),
        clearest=clearest,
        share_now=share_now,
        share_then=share_then,
        grown=tuple(names[at] for at in np.flatnonzero(now > 1.25 * then)),
    )
