"""A challenger: fitted, tried on the past, judged, and bundled; and the rule that serves if it is refused."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.models.baselines import PointTable, fit_rules
from lifecycle_ml.models.bundle import Bundle, ranges_of
from lifecycle_ml.models.calibration import AffineCalibration
from lifecycle_ml.models.changes import changes_of
from lifecycle_ml.models.encoding import Floats
from lifecycle_ml.models.horizons import outcome_matrix
from lifecycle_ml.models.references import References
from lifecycle_ml.models.rules import BANDS, RuleModel
from lifecycle_ml.models.tiers import Tier, sufficiency
from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.outcomes.treatment import learnable
from lifecycle_ml.promotion.backtest import (
    LOGISTIC,
    MODEL,
    Backtest,
    Model,
    Progress,
    backtest,
    bounded,
    chosen_by,
    empty_predictions,
    fit_model,
)
from lifecycle_ml.promotion.colours import BASE_RATE, best_rule, colour_bar
from lifecycle_ml.promotion.evaluation import CAPACITY, UNKNOWN, Evaluation
from lifecycle_ml.promotion.gate import Refusal, Shown, judge
from lifecycle_ml.promotion.grounds import Grounds, learn_causes
from lifecycle_ml.promotion.measurement import measure
from lifecycle_ml.promotion.outlook import Outlook, arr_outlook
from lifecycle_ml.promotion.recorded import recorded_reasons
from lifecycle_ml.promotion.stability import explainable, reason_stability
from lifecycle_ml.promotion.suspects import find_suspects

BEST_GUESS_ACCOUNTS = 20
"""A band's own rate of the outcome is believed from so many accounts on; below, the recipe's prior."""


@dataclass(frozen=True)
class Challenger:
    """What a training made: `bundle` is the fitted model (None below the advisory tier), `rules` the rule.

    `serves` is what may be served: the model where nothing refuses it, else the rule. `outlook`: ARR expected
    to be lost (or gained) by the accounts of the newest snapshots; None where no probability is served.
    """

    bundle: Bundle | None
    rules: Bundle
    tier: Tier
    evaluation: Evaluation
    refusals: tuple[Refusal, ...]
    predictions: pd.DataFrame
    backtest: Backtest | None
    outlook: Outlook | None = None
    shown: Shown | None = None
    """What the gate was shown: reasons under refit and colours of the past among it."""

    @property
    def serves(self) -> Bundle:
        """The bundle that may be served."""
        return self.bundle if self.bundle is not None and not self.refusals else self.rules


def _quiet(_step: str, _done: int, _total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Trial:
    """How a recipe did on past dates and what the gate says of it, before anything is fitted to serve."""

    matrix: pd.DataFrame
    labels: pd.DataFrame
    tier: Tier
    backtest: Backtest | None
    evaluation: Evaluation
    refusals: tuple[Refusal, ...]
    shown: Shown
    """What the gate was shown."""


def try_challenger(
    matrix: pd.DataFrame,
    labels: pd.DataFrame,
    inputs: Mapping[str, int],
    recipe: Recipe,
    data_through: date,
    *,
    seed: int = 0,
    segments: Mapping[str, str] | None = None,
    as_of_today: Iterable[str] = (),
    capacity: float = CAPACITY,
    grounds: Grounds | None = None,
    num_threads: int = 2,
    draws: int = 1000,
    progress: Progress = _quiet,
) -> Trial:
    """Try a recipe on past dates and judge it; arguments as in `build_challenger`."""
    kept = ~labels["too_late"].to_numpy(dtype=bool) if "too_late" in labels else np.ones(len(labels), bool)
    matrix = matrix[kept].reset_index(drop=True)
    labels = labels[kept].reset_index(drop=True)
    if not (
        (matrix["account_id"].to_numpy() == labels["account_id"].to_numpy()).all()
        and (matrix["as_of"].to_numpy() == labels["as_of"].to_numpy()).all()
    ):
        raise ValueError("try_challenger: matrix and labels are not the same snapshots in the same order.")
    y = labels[label_column(recipe.label.headline_days)].to_numpy(dtype=np.float64)
    known = ~np.isnan(y)
    accounts = matrix["account_id"].to_numpy()
    tier = _tier(matrix, y, accounts, recipe, data_through)
    tried = (
        None
        if not known.any()
        else backtest(
            matrix,
            labels,
            inputs,
            recipe,
            data_through,
            tier,
            seed=seed,
            num_threads=num_threads,
            progress=progress,
        )
    )
    progress("measuring", 0, 1)
    evaluation = measure(tried, recipe, seed=seed, draws=draws, segments=segments, capacity=capacity)
    progress("measuring", 1, 1)
    restricted = () if recipe.allow_as_of_today else tuple(sorted(set(as_of_today) & set(inputs)))
    shown = Shown(
        tier=tier,
        cutoffs=0 if tried is None else len(tried.cutoffs),
        events=evaluation.counts["accounts_with_outcome"],
        gains={name: gain for name, gain in evaluation.gains.items() if name != LOGISTIC},
        slope=evaluation.metrics.get("calibration_slope", UNKNOWN),
        observed_expected=evaluation.metrics.get("observed_expected", UNKNOWN),
        suspects=find_suspects(
            matrix,
            labels,
            inputs,
            recipe,
            grounds.features if grounds is not None else None,
            grounds.tables if grounds is not None else None,
        ),
        as_of_today=restricted,
    )
    if (
        grounds is not None
        and tried is not None
        and tier.name == "full"
        and recipe.label.outcome == "churned"
    ):
        progress("fitting again and colouring the past", 0, 1)
        shown = _with_reasons_and_colours(
            shown, tried, labels, inputs, recipe, evaluation, grounds, seed, num_threads, draws
        )
        progress("fitting again and colouring the past", 1, 1)
    return Trial(matrix, labels, tier, tried, evaluation, judge(shown, recipe.gate), shown)


def _with_reasons_and_colours(
    shown: Shown,
    tried: Backtest,
    labels: pd.DataFrame,
    inputs: Mapping[str, int],
    recipe: Recipe,
    evaluation: Evaluation,
    grounds: Grounds,
    seed: int,
    num_threads: int,
    draws: int,
) -> Shown:
    """Add what a workspace makes of a model's scores: reasons, and colours beside the best rule."""
    stability = recorded = None
    if tried.last is not None:
        learned = explainable(tried.last, inputs, recipe, grounds)
        stability = reason_stability(
            tried.last, learned, inputs, recipe, grounds, seed=seed, num_threads=num_threads, draws=draws
        )
        recorded = recorded_reasons(tried.last, learned, labels, recipe, grounds, seed=seed, draws=draws)
    rule = best_rule(
        {
            name: figures["average_precision"].value
            for name, figures in evaluation.baselines.items()
            if name != LOGISTIC
        }
    )
    colours = colour_bar(
        tried,
        _base_rates(labels, recipe)[recipe.label.headline_days],
        rule or BASE_RATE,
        recipe.gate,
        grounds,
        seed=seed,
        draws=draws,
    )
    return replace(shown, stability=stability, colours=colours, recorded=recorded)


def build_challenger(
    matrix: pd.DataFrame,
    labels: pd.DataFrame,
    inputs: Mapping[str, int],
    recipe: Recipe,
    data_through: date,
    *,
    seed: int = 0,
    segments: Mapping[str, str] | None = None,
    as_of_today: Iterable[str] = (),
    data: Mapping[str, Any] | None = None,
    capacity: float = CAPACITY,
    grounds: Grounds | None = None,
    num_threads: int = 2,
    draws: int = 1000,
    progress: Progress = _quiet,
) -> Challenger:
    """Fit, try on past dates, judge and bundle; touches neither disk nor registry.

    matrix: account_id, as_of and the inputs, one row per snapshot. labels: the same rows in the same order,
    as `outcomes.snapshots.label` makes them. inputs: feature name to the direction in which more of it moves
    the probability (+1, -1, 0). Snapshots where notice was already given (`too_late`) are left out of fit and
    evaluation.
    segments: account to segment, for the reference contributions and to group figures by. as_of_today: which
    inputs rest on columns overwritten in place. data: what the bundle says it was trained on. capacity: share
    of each date's accounts on the team's list. grounds: the workspace's definitions, tables and colours, for
    the leaks, reasons and colours that only they show. Same arguments, same digest.
    """
    trial = try_challenger(
        matrix,
        labels,
        inputs,
        recipe,
        data_through,
        seed=seed,
        segments=segments,
        as_of_today=as_of_today,
        capacity=capacity,
        grounds=grounds,
        num_threads=num_threads,
        draws=draws,
        progress=progress,
    )
    matrix, tier, tried = trial.matrix, trial.tier, trial.backtest
    labels = learnable(trial.labels, recipe)
    y = labels[label_column(recipe.label.headline_days)].to_numpy(dtype=np.float64)
    known = ~np.isnan(y)
    common: dict[str, Any] = {
        "name": recipe.name,
        "horizons": tuple(recipe.label.horizons_days),
        "headline": recipe.label.headline_days,
        "base_rates": _base_rates(trial.labels, recipe),
        "medium_from": recipe.bands.medium_from,
        "high_from": recipe.bands.high_from,
        "metrics": trial.evaluation.to_json(),
        "refusals": tuple(refusal.to_json() for refusal in trial.refusals),
        "data": dict(data or {}) | {"accounts_with_outcome": tier.accounts, "snapshots": len(matrix)},
    }
    bundle = None
    if tier.name != "insufficient":
        progress("fitting on everything known", 0, 1)
        bundle = _fit_bundle(
            matrix,
            labels,
            inputs,
            recipe,
            tier,
            tried,
            segments,
            common,
            grounds,
            seed=seed,
            num_threads=num_threads,
        )
        progress("fitting on everything known", 1, 1)
    return Challenger(
        bundle=bundle,
        rules=_rules_bundle(matrix[known], y[known], recipe, tried, trial.evaluation, common),
        tier=tier,
        evaluation=trial.evaluation,
        refusals=trial.refusals,
        predictions=empty_predictions() if tried is None else tried.predictions(),
        backtest=tried,
        outlook=arr_outlook(None if trial.refusals else bundle, trial.evaluation, matrix, trial.labels, seed),
        shown=trial.shown,
    )


def _tier(
    matrix: pd.DataFrame, y: Floats, accounts: npt.NDArray[Any], recipe: Recipe, data_through: date
) -> Tier:
    seen = len(pd.unique(accounts[y > 0]))
    history = (pd.Timestamp(data_through) - matrix["as_of"].min()).days if len(matrix) else 0
    return sufficiency(seen, history, recipe)


def _base_rates(labels: pd.DataFrame, recipe: Recipe) -> dict[int, float]:
    """Return the rate of the outcome by horizon, kept off 0; the prior where there are no labels."""
    rates = {}
    for position, horizon in enumerate(recipe.label.horizons_days):
        outcome = outcome_matrix(labels, recipe.label.horizons_days)[:, position]
        seen = outcome[~np.isnan(outcome)]
        if len(seen):
            rates[horizon] = float((seen.sum() + 0.5) / (len(seen) + 1))
        else:
            rates[horizon] = recipe.rules.prior_rate_medium
    return rates


def _fit_bundle(
    matrix: pd.DataFrame,
    labels: pd.DataFrame,
    inputs: Mapping[str, int],
    recipe: Recipe,
    tier: Tier,
    tried: Backtest | None,
    segments: Mapping[str, str] | None,
    common: Mapping[str, Any],
    grounds: Grounds | None,
    *,
    seed: int,
    num_threads: int,
) -> Bundle:
    outcomes = outcome_matrix(labels, recipe.label.horizons_days)
    usable = np.asarray(~np.isnan(outcomes).all(axis=1), dtype=bool)
    model = fit_model(
        matrix.loc[usable].reset_index(drop=True),
        labels.loc[usable].reset_index(drop=True),
        inputs,
        recipe,
        trees=tier.name == "full",
        chosen=None if tried is None or tried.last is None else chosen_by(tried.last.model),
        seed=seed,
        num_threads=num_threads,
    )
    calibration = AffineCalibration() if tried is None else bounded(tried.calibration, model)
    rates = recipe.rules.prior_rates
    if tried is not None:
        base = common["base_rates"][tried.headline]
        bands = np.array([recipe.bands.band(p / base) for p in tried.at_headline(MODEL)])
        rates = _band_rates(bands, tried.y, tried.rows["account_id"].to_numpy(), rates)
    return Bundle(
        **common,
        tier=tier.name,
        model=model,
        band_rates=rates,
        calibration=calibration,
        references=_references(model, calibration, matrix, labels, recipe, segments, seed),
        causes=None
        if grounds is None or recipe.label.outcome != "churned"
        else learn_causes(matrix, labels, inputs, recipe, grounds, seed),
        ranges=ranges_of(matrix, model.features),
        changes=changes_of(matrix, model.features),
    )


def _references(
    model: Model,
    calibration: AffineCalibration,
    matrix: pd.DataFrame,
    labels: pd.DataFrame,
    recipe: Recipe,
    segments: Mapping[str, str] | None,
    seed: int,
) -> References | None:
    """Return what reasons are compared with: contributions of retained accounts. Expansion has no reasons."""
    if recipe.label.mode == "expansion":
        return None
    retained = labels[label_column(recipe.label.headline_days)] == 0
    return References.fit(model, calibration, matrix, retained, segments, seed)


def _rules_bundle(
    matrix: pd.DataFrame,
    y: Floats,
    recipe: Recipe,
    tried: Backtest | None,
    evaluation: Evaluation,
    common: Mapping[str, Any],
) -> Bundle:
    """Bundle the rule with the best average precision out of time, else the recipe's point table.

    The base rate alone orders nothing, so it never serves.
    """
    ranked = {
        name: figures["average_precision"].value
        for name, figures in evaluation.baselines.items()
        if name not in ("base_rate", LOGISTIC) and not math.isnan(figures["average_precision"].value)
    }
    accounts = matrix["account_id"].to_numpy()
    prior = recipe.rules.prior_rates
    base = common["base_rates"][recipe.label.headline_days]
    if tried is not None and ranked:
        name = max(sorted(ranked), key=lambda rule: ranked[rule])
        fitted = fit_rules(matrix, y, accounts, recipe)
        model = RuleModel(
            name, fitted.rules[name], recipe.bands.medium_from * base, recipe.bands.high_from * base
        )
        # A cut-off's own fit may put a whole bucket on the other side of a limit, so what is counted is what
        # happened in the bands of the rule that serves.
        keys = ["account_id", "as_of"]
        tested = matrix.merge(tried.rows[keys].assign(left=tried.y), on=keys, validate="one_to_one")
        left = tested["left"].to_numpy(dtype=np.float64)
        rates = _band_rates(np.array(model.bands(tested)), left, tested["account_id"].to_numpy(), prior)
        # Limits of colours are multiples of the base rate: of the rows the rates come from, for churn drifts.
        drift = (left.sum() + 0.5) / (len(left) + 1) / base
        lately = {days: min(rate * drift, 1.0) for days, rate in common["base_rates"].items()}
        common = {**common, "base_rates": lately}
    else:
        table = PointTable.of(recipe)
        model = RuleModel("point_table", table, 0.0, 0.0)
        rates = _band_rates(np.asarray(table.band(matrix)), y, accounts, prior) if len(matrix) else prior
    return Bundle(**dict(common), tier="insufficient", model=model, band_rates=rates)


def _band_rates(
    bands: npt.NDArray[Any], y: Floats, accounts: npt.NDArray[Any], prior: Mapping[str, float]
) -> dict[str, float]:
    """Return the rate each band had, the prior where too few accounts were in it; never falling."""
    rates: dict[str, float] = {}
    highest = 0.0
    for band in BANDS:
        inside = bands == band
        known = len(pd.unique(accounts[inside])) >= BEST_GUESS_ACCOUNTS
        highest = max(highest, float(y[inside].mean()) if known else prior[band])
        rates[band] = highest
    return rates
