"""Stable reasons: does a red account keep its first reason when the model is fitted again?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.calibration import AffineCalibration
from lifecycle_ml.models.evaluation import Interval, bootstrap_counts
from lifecycle_ml.models.references import MOST_ROWS, References
from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.promotion.backtest import Origin, chosen_by, fit_model
from lifecycle_ml.promotion.grounds import learn_causes
from lifecycle_ml.reasons.explain import explain

if TYPE_CHECKING:
    from lifecycle_ml.outcomes.recipe import Recipe
    from lifecycle_ml.promotion.grounds import Grounds

REDRAWN = 0.5
"""Share of the accounts that a refit draws anew, with replacement: a fifth of all accounts is not seen."""
NONE = -1
"""First category of a row for which none is clear."""


@dataclass(frozen=True)
class Stability:
    """Share of red readings whose first reason stays under refit, and how many accounts these were."""

    unchanged: Interval
    accounts: int


def reason_stability(
    origin: Origin,
    learned: Bundle,
    inputs: Mapping[str, int],
    recipe: Recipe,
    grounds: Grounds,
    *,
    seed: int,
    num_threads: int,
    draws: int,
) -> Stability:
    """Fit the last cut-off again, half of its accounts drawn anew, and compare first reasons.

    Between two trainings of a company about as much changes: many accounts are the same, many are not.
    Red are the `red_capacity` of each test date with the highest risk by the first fit. The first reason is
    the likeliest category by contributions (compared with retained accounts, all segments together) and by
    weight of evidence, both fitted again, as `reasons.explain` adds them up; required evidence and outright
    facts, which a refit cannot change, are left out, so the figure is harder than what readers see. learned:
    the cut-off as `explainable`. One fit and two explanations.
    """
    redrawn = redraw(origin.seen, seed, REDRAWN)
    seen = origin.seen.iloc[redrawn.rows].assign(account_id=redrawn.accounts).reset_index(drop=True)
    told = origin.told.iloc[redrawn.rows].assign(account_id=redrawn.accounts).reset_index(drop=True)
    again = fit_model(
        seen,
        told,
        inputs,
        recipe,
        trees=True,
        chosen=chosen_by(origin.model),
        seed=seed + 1,
        num_threads=num_threads,
    )
    ahead = origin.ahead
    at = recipe.label.horizons_days.index(recipe.label.headline_days)
    risk = pd.Series(origin.model.raw(ahead)[:, at])
    place = risk.groupby(ahead["as_of"].to_numpy()).rank(ascending=False, method="first")
    size = risk.groupby(ahead["as_of"].to_numpy()).transform("size")
    red = ahead[(place <= np.ceil(recipe.gate.red_capacity * size)).to_numpy()].reset_index(drop=True)
    refitted = explainable(Origin(again, seen, told, ahead), inputs, recipe, grounds)
    first, second = (first_categories(bundle, red, grounds) for bundle in (learned, refitted))
    same = (first == second).astype(np.float64)
    codes, accounts = pd.factorize(red["account_id"])
    return Stability(share_of(same, codes, len(accounts), seed, draws), len(accounts))


@dataclass(frozen=True)
class Redrawn:
    """Row numbers of accounts drawn with replacement; an account drawn twice has two ids."""

    rows: npt.NDArray[np.int64]
    accounts: npt.NDArray[np.str_]


def redraw(matrix: pd.DataFrame, seed: int, share: float = 1.0) -> Redrawn:
    """Draw a random `share` of the accounts anew among themselves, with all their rows; the others stay."""
    codes, accounts = pd.factorize(matrix["account_id"])
    random = np.random.default_rng([seed, 1])
    mixed = random.permutation(len(accounts))
    count = round(share * len(accounts))
    chosen = np.concatenate([mixed[count:], mixed[random.integers(0, max(count, 1), count)]])
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(accounts) + 1))
    parts = [order[starts[account] : starts[account + 1]] for account in chosen]
    number = np.repeat(np.arange(len(chosen)), [len(part) for part in parts])
    names = np.array([f"draw-{n}" for n in range(len(chosen))])
    return Redrawn(np.concatenate(parts), names[number])


def first_categories(bundle: Bundle, rows: pd.DataFrame, grounds: Grounds) -> npt.NDArray[np.int64]:
    """Return the place (in CATEGORIES) of each row's likeliest category; -1: none is clear enough to name."""
    explained = explain(bundle, rows, grounds.features, grounds.taxonomy, sentences_for=())
    clear = explained.shares.max(axis=1) >= grounds.taxonomy.unknown.clear_from
    return np.where(clear, explained.shares.argmax(axis=1), NONE).astype(np.int64)


def explainable(origin: Origin, inputs: Mapping[str, int], recipe: Recipe, grounds: Grounds) -> Bundle:
    """Return a bundle of what a cut-off learned, with all that reasons need, uncalibrated.

    Compared with retained accounts of all segments together.
    """
    headline = recipe.label.headline_days
    stayed = origin.told[label_column(headline)].to_numpy(dtype=np.float64) == 0
    retained = origin.seen[stayed].sample(frac=1.0, random_state=0).head(MOST_ROWS)
    mean = origin.model.contributions(retained, headline)[:, :-1].mean(axis=0)
    return Bundle(
        name=recipe.name,
        tier="full",
        horizons=tuple(recipe.label.horizons_days),
        headline=headline,
        model=origin.model,
        base_rates=dict.fromkeys(recipe.label.horizons_days, 1.0),
        band_rates={},
        calibration=AffineCalibration(),
        references=References((headline,), (), np.asarray([[mean]])),
        causes=learn_causes(origin.seen, origin.told, inputs, recipe, grounds, 0),
    )


def share_of(
    same: npt.NDArray[np.float64], codes: npt.NDArray[np.intp], accounts: int, seed: int, draws: int
) -> Interval:
    """Return a share of readings with its 95% interval over accounts; NaN where there are none."""
    if not len(same):
        return Interval(math.nan, math.nan, math.nan, "no such accounts")
    kept, rows = np.bincount(codes, same, accounts), np.bincount(codes, minlength=accounts)
    drawn = np.concatenate(
        [counts @ kept / (counts @ rows) for counts in bootstrap_counts(accounts, accounts, draws, seed)]
    )
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(same.mean()), float(low), float(high))
