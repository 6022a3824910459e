"""A search for the capacity of trees, on dates before any that is reported; alone imports Optuna."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.models.capacity import Capacity
from lifecycle_ml.models.classifier import RiskClassifier
from lifecycle_ml.models.encoding import Floats
from lifecycle_ml.models.horizons import HorizonModel, outcome_matrix
from lifecycle_ml.models.logistic import fit_logistic
from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.outcomes.splits import known_at_cutoff, rolling_origins

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import optuna

    from lifecycle_ml.outcomes.recipe import Recipe, Search
    from lifecycle_ml.outcomes.splits import Fold

    Progress = Callable[[str, int, int], None]

MEMBERS = 3
"""Members of the bags that are tried: enough to rank capacities."""
ORIGINS = 2
STEP = "searching the capacity"


@dataclass(frozen=True)
class Searched:
    """What a search found.

    capacity: the best one, or None where none was better than the standard one, or history is too short to
    hold dates back. trials: one row per trial in order: number, loss (mean log loss at the headline horizon
    over the origins, after the best shift; NaN: cut short), seconds, and the numbers tried; the first is the
    standard capacity. cutoffs: the origins; none of their test dates is among those the evaluation reports.
    stopped_by: trials or max_seconds.
    """

    capacity: Capacity | None
    trials: pd.DataFrame
    cutoffs: tuple[date, ...]
    stopped_by: str

    @property
    def says(self) -> str:
        """The outcome in a sentence."""
        if not len(self.trials):
            return "nothing was searched: history is too short to hold dates back"
        best, standard = self.trials["loss"].min(), self.trials["loss"].iloc[0]
        if self.capacity is None:
            return f"none of {len(self.trials)} trials was better than the standard capacity ({standard:.4f})"
        return f"log loss {best:.4f} instead of {standard:.4f} after {len(self.trials)} trials"


def search(
    matrix: pd.DataFrame,
    labels: pd.DataFrame,
    inputs: Mapping[str, int],
    recipe: Recipe,
    data_through: date,
    *,
    seed: int = 0,
    num_threads: int = 1,
    progress: Progress = lambda _step, _done, _total: None,
) -> Searched:
    """Search the space of the recipe's [search] over rolling origins; arguments as in `build_challenger`.

    What counts is log loss at origins that lie before the first date the evaluation will report, with what
    was known there; so nothing that is reported was chosen by its own outcome. Tree-structured Parzen
    estimator (Bergstra et al. 2011), trials worse than the median at an origin are cut short. Same seed and
    data, same answer, unless `max_seconds` ended it first.
    Raises: ConfigError where Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError("train --search needs Optuna: pip install 'lifecycle_ml[search]'.") from error
    optuna.logging.set_verbosity(logging.WARNING)
    held = _origins(matrix, labels, recipe, data_through)
    if not held:
        return Searched(None, pd.DataFrame(), (), "no origins")
    asked = recipe.search
    rows: list[dict[str, Any]] = []
    tried: list[Capacity] = []
    began = time.monotonic()

    def objective(trial: optuna.Trial) -> float:
        started = time.monotonic()
        capacity = _suggest(trial, asked) if trial.number else Capacity()
        losses: list[float] = []
        tried.append(capacity)
        row = {"number": trial.number, "loss": np.nan} | {
            name: getattr(capacity, name) for name in _NAMES.values()
        }
        rows.append(row)
        try:
            for step, (fold, past, test) in enumerate(held):
                del fold
                losses.append(_loss(matrix, labels, past, test, inputs, recipe, capacity, seed, num_threads))
                trial.report(float(np.mean(losses)), step)
                if step + 1 < len(held) and trial.should_prune():
                    raise optuna.TrialPruned
            row["loss"] = float(np.mean(losses))
            return float(np.mean(losses))
        finally:
            row["seconds"] = round(time.monotonic() - started, 1)
            progress(STEP, trial.number + 1, asked.trials)

    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
    )
    # the standard capacity is the first trial; it draws nothing from the space
    progress(STEP, 0, asked.trials)
    study.optimize(objective, n_trials=asked.trials, timeout=asked.max_seconds)
    table = pd.DataFrame(rows)
    by_time = len(table) < asked.trials and time.monotonic() - began >= asked.max_seconds
    best = int(np.nanargmin(table["loss"].to_numpy()))
    return Searched(
        tried[best] if best else None,
        table,
        tuple(fold.cutoff for fold, _, _ in held),
        "max_seconds" if by_time else "trials",
    )


_NAMES = {
    "trees": "n_trees",
    "learning_rate": "learning_rate",
    "leaves": "n_leaves",
    "min_child": "min_leaf",
    "l2": "l2",
    "feature_fraction": "feature_fraction",
}
"""The recipe's word for each number, and the classifier's."""


def _suggest(trial: optuna.Trial, asked: Search) -> Capacity:
    def whole(name: str) -> int:
        low, high = getattr(asked, name)
        return int(trial.suggest_int(name, low, high, log=True))

    def number(name: str) -> float:
        low, high = getattr(asked, name)
        return float(trial.suggest_float(name, low, high, log=True))

    return Capacity(
        n_trees=whole("trees"),
        learning_rate=number("learning_rate"),
        n_leaves=whole("leaves"),
        min_leaf=whole("min_child"),
        l2=number("l2"),
        feature_fraction=number("feature_fraction"),
    )


Origin = tuple["Fold", Floats, "np.ndarray[Any, np.dtype[np.bool_]]"]


def _origins(
    matrix: pd.DataFrame, labels: pd.DataFrame, recipe: Recipe, data_through: date
) -> Sequence[Origin]:
    """Return origins before the reported ones: fold, outcomes known at its cut-off, rows to be judged on."""
    dates = [stamp.date() for stamp in sorted(matrix["as_of"].unique().tolist())]
    reported = rolling_origins(dates, recipe, data_through)
    if not reported:
        return []
    through = reported[0].cutoff
    splits = recipe.splits.model_copy(update={"cutoffs": ORIGINS})
    earlier = rolling_origins(
        [day for day in dates if day < through], recipe.model_copy(update={"splits": splits}), through
    )
    horizons = recipe.label.horizons_days
    outcomes = outcome_matrix(labels, horizons)
    as_of = matrix["as_of"].to_numpy()
    told = outcomes[:, horizons.index(recipe.label.headline_days)]
    held = []
    for fold in earlier:
        known = np.column_stack([known_at_cutoff(as_of, h, fold.cutoff, recipe) for h in horizons])
        past = np.where(known, outcomes, np.nan)
        test = np.isin(as_of, np.asarray(fold.test_dates, dtype=as_of.dtype)) & ~np.isnan(told)
        seen = past[~np.isnan(past)]
        if seen.any() and not seen.all() and 0 < told[test].sum() < test.sum():
            held.append((fold, past, test))
    return held


def _loss(
    matrix: pd.DataFrame,
    labels: pd.DataFrame,
    past: Floats,
    test: np.ndarray[Any, np.dtype[np.bool_]],
    inputs: Mapping[str, int],
    recipe: Recipe,
    capacity: Capacity,
    seed: int,
    num_threads: int,
) -> float:
    horizons, headline = recipe.label.horizons_days, recipe.label.headline_days
    use = np.asarray(~np.isnan(past).all(axis=1), dtype=bool)
    told = labels.loc[use, ["account_id", "as_of"]].reset_index(drop=True)
    told = told.assign(**{label_column(h): past[use, position] for position, h in enumerate(horizons)})
    directions = dict(inputs) if recipe.estimator.monotone else {}
    model = HorizonModel.fit(
        matrix[use].reset_index(drop=True),
        told,
        features=list(inputs),
        horizons=horizons,
        classifier=RiskClassifier(
            capacity=capacity,
            linear=False,
            n_members=MEMBERS,
            account_fraction=recipe.estimator.account_fraction,
            row_share=1 / len(horizons),
            monotone={name: sign for name, sign in directions.items() if sign},
            random_state=seed,
            num_threads=num_threads,
        ),
    )
    at = horizons.index(headline)
    margin = model.raw(matrix[test].reset_index(drop=True))[:, at] + model.starts[headline]
    y = labels.loc[test, label_column(headline)].to_numpy(dtype=np.float64)
    (level,) = fit_logistic(np.ones((len(y), 1)), y, margin)
    return float((np.logaddexp(0, margin + level) - y * (margin + level)).mean())
