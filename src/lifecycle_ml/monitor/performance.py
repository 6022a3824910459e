"""How good the scores are: seen where outcomes are known, estimated from the probabilities where not yet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from lifecycle_ml.models.evaluation import Interval, evaluate
from lifecycle_ml.monitor.bins import Floats
from lifecycle_ml.monitor.config import Performance
from lifecycle_ml.outcomes.labels import known_through, label_column
from lifecycle_ml.outcomes.recipe import Recipe

DRAWS = 400
_FIGURES = ("auroc", "observed_expected", "calibration_slope", "brier")


@dataclass(frozen=True)
class Realised:
    """What came true of scores at one horizon, over snapshot dates after the training.

    rows, accounts and events (accounts with the outcome); observed and expected: shares of the rows. rate:
    observed over the bundle's base rate. Intervals by account, at the configured level.
    known_through: the newest date whose outcome is final.
    """

    horizon_days: int
    cohorts: tuple[date, ...]
    known_through: date
    rows: int
    accounts: int
    events: int
    observed: float
    expected: float
    rate: Interval
    auroc: Interval
    observed_expected: Interval
    calibration_slope: Interval
    brier: Interval

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "horizon_days": self.horizon_days,
            "cohorts": [day.isoformat() for day in self.cohorts],
            "known_through": self.known_through.isoformat(),
            "rows": self.rows,
            "accounts": self.accounts,
            "events": self.events,
            "observed": round(self.observed, 4),
            "expected": round(self.expected, 4),
            "observed_over_base_rate": self.rate.to_json(),
            **{name: getattr(self, name).to_json() for name in _FIGURES},
        }


@dataclass(frozen=True)
class Estimated:
    """What the probabilities themselves say will come true of today's scores, if they are calibrated.

    events: accounts expected to have the outcome; each Interval is the estimate with what chance alone leaves
    95% likely. known_on: the day the outcome is final.
    """

    horizon_days: int
    known_on: date
    accounts: int
    events: Interval
    rate: float
    auroc: Interval
    brier: Interval

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "horizon_days": self.horizon_days,
            "known_on": self.known_on.isoformat(),
            "accounts": self.accounts,
            "events": self.events.to_json(),
            "rate": round(self.rate, 4),
            "auroc": self.auroc.to_json(),
            "brier": self.brier.to_json(),
        }


def truth_known_through(recipe: Recipe, as_of: date, horizon_days: int) -> date:
    """Return the newest snapshot date whose outcome at this horizon is final on `as_of`."""
    return as_of - timedelta(days=known_through(recipe.label, horizon_days).days)


def mature_dates(recipe: Recipe, trained_through: date, as_of: date, config: Performance) -> list[date]:
    """Return snapshot dates whose outcomes are known at the shortest horizon, oldest first.

    None lies before `trained_through`: the model had seen nothing of what followed. They lie a recipe's step
    apart, counted back from the newest whose outcome at the headline horizon is known and, where only shorter
    horizons can tell, on to the newest of the shortest; each is moved back to the weekday of `as_of`.
    """
    label, step = recipe.label, recipe.snapshots.step_days
    headline = truth_known_through(recipe, as_of, label.headline_days)
    newest = truth_known_through(recipe, as_of, label.horizons_days[0])
    ahead = max(0, (newest - headline).days // step)
    dates = [headline + timedelta(days=step * at) for at in range(1 - config.cohorts, ahead + 1)]
    moved = sorted({same_weekday(day, as_of) for day in dates})
    return [day for day in moved if day >= trained_through]


def same_weekday(day: date, as_of: date) -> date:
    """Return the newest date up to `day` on the weekday of `as_of`."""
    return day - timedelta(days=(day - as_of).days % 7)


def realise(
    scores: pd.DataFrame,
    labels: pd.DataFrame,
    base_rate: float,
    horizon_days: int,
    recipe: Recipe,
    as_of: date,
    config: Performance,
) -> Realised | None:
    """Measure scores against what came of them; None where no outcome at this horizon is known.

    scores: account_id, as_of, probability. labels: account_id, as_of and the label columns as known at
    `as_of`; those where notice was already given (`too_late`) are left out, as in training. The newest
    `config.cohorts` dates count.
    """
    outcome = label_column(horizon_days)
    kept = labels[labels[outcome].notna() & ~labels["too_late"].astype(bool)]
    rows = scores.dropna(subset="probability").merge(
        kept[["account_id", "as_of", outcome]], on=["account_id", "as_of"]
    )
    cohorts = sorted(rows["as_of"].unique())[-config.cohorts :]
    rows = rows[rows["as_of"].isin(cohorts)]
    if rows.empty:
        return None
    y, p = rows[outcome].to_numpy(dtype=np.float64), rows["probability"].to_numpy(dtype=np.float64)
    groups = rows["account_id"].to_numpy()
    figures = evaluate(y, p, groups, draws=DRAWS, level=config.level, metrics=_FIGURES)
    constant = np.full(len(y), base_rate)
    rate = evaluate(y, constant, groups, draws=DRAWS, level=config.level, metrics=["observed_expected"])
    return Realised(
        horizon_days=horizon_days,
        cohorts=tuple(pd.Timestamp(day).date() for day in cohorts),
        known_through=truth_known_through(recipe, as_of, horizon_days),
        rows=len(rows),
        accounts=int(rows["account_id"].nunique()),
        events=int(rows.loc[rows[outcome] > 0, "account_id"].nunique()),
        observed=float(y.mean()),
        expected=float(p.mean()),
        rate=rate["observed_expected"],
        **figures,
    )


def estimate(
    probability: Floats, horizon_days: int, recipe: Recipe, as_of: date, *, seed: int = 0
) -> Estimated | None:
    """Estimate figures before outcomes are known, by drawing outcomes from the probabilities themselves.

    Right only as far as the probabilities are calibrated: it sees customers who differ, not a world in which
    the same customers behave otherwise. None without probabilities.
    """
    p = probability[~np.isnan(probability)]
    if not len(p):
        return None
    y = np.random.default_rng(seed).random((DRAWS, len(p))) < p
    events = y.sum(axis=1)
    ranks = pd.Series(p).rank().to_numpy()
    pairs = events * (len(p) - events)
    wins = y @ ranks - events * (events + 1) / 2
    auroc = np.divide(wins, pairs, out=np.full(DRAWS, math.nan), where=pairs > 0)
    brier = ((y - p) ** 2).mean(axis=1)
    return Estimated(
        horizon_days=horizon_days,
        known_on=as_of + timedelta(days=known_through(recipe.label, horizon_days).days),
        accounts=len(p),
        events=_range(events.astype(np.float64), float(p.sum())),
        rate=float(p.mean()),
        auroc=_range(auroc),
        brier=_range(brier, float((p * (1 - p)).mean())),
    )


def _range(drawn: Floats, value: float | None = None) -> Interval:
    known = drawn[~np.isnan(drawn)]
    if len(known) < DRAWS / 2:
        return Interval(math.nan, math.nan, math.nan, "too few accounts with the outcome are expected")
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(float(known.mean()) if value is None else value, float(low), float(high))
