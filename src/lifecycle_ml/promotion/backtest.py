"""Predictions for dates the model had not seen: rolling origins, calibrated only with what lay before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.models.baselines import fit_rules
from lifecycle_ml.models.calibration import AffineCalibration
from lifecycle_ml.models.capacity import Capacity, Chosen
from lifecycle_ml.models.classifier import RiskClassifier
from lifecycle_ml.models.encoding import Floats
from lifecycle_ml.models.expected_arr import mean_rise
from lifecycle_ml.models.horizons import HorizonModel, horizon_starts, outcome_matrix
from lifecycle_ml.models.logistic import LogisticModel, sigmoid
from lifecycle_ml.models.tiers import Tier
from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.outcomes.recipe import Estimator, Recipe
from lifecycle_ml.outcomes.splits import account_folds, known_at_cutoff, rolling_origins
from lifecycle_ml.outcomes.treatment import learnable

Progress = Callable[[str, int, int], None]
Model = HorizonModel | LogisticModel

MODEL, LOGISTIC, UNSEEN = "model", "logistic", "unseen_accounts"
ACCOUNT_FOLDS = 5
"""Parts of a cut-off's accounts, each calibrated by the others where no earlier cut-off can."""


@dataclass(frozen=True)
class Margins:
    """Raw margins of one fitted family over all test rows: (rows, horizons), and where each row started."""

    raw: Floats
    starts: Floats


@dataclass(frozen=True)
class Origin:
    """One cut-off's model, what it learned from, and the rows after it.

    seen and told: training snapshots and their labels as known at the cut-off, in the same order (causes as
    known today: they are recorded late, and no figure of skill rests on them). ahead: the test rows.
    """

    model: Model
    seen: pd.DataFrame
    told: pd.DataFrame
    ahead: pd.DataFrame


@dataclass(frozen=True)
class Backtest:
    """Every out-of-time row with what each candidate said of it.

    rows: account_id, as_of, fold, arr, days_to_renewal and notice_days (NaN: no end, no period of notice, or
    no such feature), churned_on, arr_after (NaN unless expansion is predicted), rise (mean relative rise of
    those who grew among the rows its cut-off learned from, likewise), and treatment where work is marked.
    outcomes: (rows, horizons), NaN where
    not yet known. probabilities: per trained candidate (rows, horizons), calibrated with earlier cut-offs
    only. rules: per rule (rows,) at the headline horizon. calibration: fitted on all cut-offs pooled, for the
    final model. uncalibrated: the model's probabilities (rows,) at the headline horizon before calibration;
    calibrated_from: which rows (first mask) the calibration learned of which rows (second).
    """

    horizons: tuple[int, ...]
    headline: int
    rows: pd.DataFrame
    outcomes: Floats
    probabilities: Mapping[str, Floats]
    rules: Mapping[str, Floats]
    skipped: Mapping[str, str]
    calibration: AffineCalibration
    cutoffs: tuple[date, ...]
    uncalibrated: Floats | None = None
    calibrated_from: tuple[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]], ...] = ()
    last: Origin | None = None
    """The model of the last cut-off, to be fitted again; None where none was tried."""

    @property
    def y(self) -> Floats:
        """Outcomes at the headline horizon."""
        return np.asarray(self.outcomes[:, self.horizons.index(self.headline)], dtype=np.float64)

    def at_headline(self, name: str) -> Floats:
        """Return a candidate's or a rule's probabilities at the headline horizon."""
        if name in self.rules:
            return self.rules[name]
        return np.asarray(self.probabilities[name][:, self.horizons.index(self.headline)], dtype=np.float64)

    def predictions(self) -> pd.DataFrame:
        """Return the model's predictions as a table.

        Grain: one row per account, as_of and horizon whose outcome is known: account_id, as_of, horizon_days,
        probability, outcome (0/1), fold (number of the cut-off, from 0).
        """
        if MODEL not in self.probabilities:
            return empty_predictions()
        parts = []
        for position, horizon in enumerate(self.horizons):
            known = ~np.isnan(self.outcomes[:, position])
            part = self.rows.loc[known, ["account_id", "as_of"]].assign(
                horizon_days=horizon,
                probability=self.probabilities[MODEL][known, position],
                outcome=self.outcomes[known, position].astype("int8"),
                fold=self.rows.loc[known, "fold"],
            )
            parts.append(part)
        return pd.concat(parts, ignore_index=True)


def empty_predictions() -> pd.DataFrame:
    """Return a table of predictions without rows."""
    kinds = {"account_id": "str", "as_of": "datetime64[us]", "horizon_days": "int64"}
    kinds |= {"probability": "float64", "outcome": "int8", "fold": "int64"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def capacity_of(estimator: Estimator) -> Literal["auto"] | Capacity:
    """Return how much the recipe lets trees bend, as the classifier takes it."""
    fixed = estimator.capacity
    if isinstance(fixed, str):
        return fixed
    return Capacity(
        n_trees=fixed.trees,
        learning_rate=fixed.learning_rate,
        n_leaves=fixed.leaves,
        min_leaf=fixed.min_child,
        l2=fixed.l2,
        feature_fraction=fixed.feature_fraction,
    )


def chosen_by(model: Model) -> Chosen | None:
    """Return the capacity a fit chose; None where nothing was to be chosen, or the model was loaded."""
    classifier = model.classifier if isinstance(model, HorizonModel) else None
    return None if classifier is None else classifier.chosen_


def fit_model(
    matrix: pd.DataFrame,
    labels: pd.DataFrame,
    inputs: Mapping[str, int],
    recipe: Recipe,
    *,
    trees: bool,
    chosen: Chosen | None = None,
    seed: int,
    num_threads: int,
) -> Model:
    """Fit the bag of trees, or the shrunken logistic regression, as the recipe says.

    matrix and labels: the same snapshots in the same order. inputs: feature to direction (+1, -1, 0).
    chosen: the capacity an earlier fit of the same training chose, kept instead of choosing again.
    """
    estimator, horizons = recipe.estimator, recipe.label.horizons_days
    directions = dict(inputs) if estimator.monotone else {}
    if trees:
        classifier = RiskClassifier(
            capacity=chosen or capacity_of(estimator),
            linear=estimator.linear,
            n_members=estimator.members,
            account_fraction=estimator.account_fraction,
            # a snapshot at three horizons is hardly three rows; each member draws about one of them
            row_share=1 / len(horizons),
            monotone={name: sign for name, sign in directions.items() if sign},
            random_state=seed,
            num_threads=num_threads,
        )
        return HorizonModel.fit(
            matrix,
            labels,
            features=list(inputs),
            horizons=horizons,
            classifier=classifier,
            settled_days=recipe.label.grace_days + recipe.label.arrival_lag_days,
        )
    y = labels[label_column(recipe.label.headline_days)].to_numpy(dtype=np.float64)
    known = ~np.isnan(y)
    return LogisticModel.fit(
        matrix.loc[known, list(inputs)],
        y[known],
        matrix.loc[known, "account_id"].to_numpy(),
        starts=horizon_starts(outcome_matrix(labels, horizons), horizons),
        headline=recipe.label.headline_days,
        directions=directions,
        events_per_feature=estimator.logistic_events_per_feature,
        seed=seed,
    )


def backtest(
    matrix: pd.DataFrame,
    labels: pd.DataFrame,
    inputs: Mapping[str, int],
    recipe: Recipe,
    data_through: date,
    tier: Tier,
    *,
    seed: int,
    num_threads: int,
    progress: Progress,
) -> Backtest | None:
    """Train at each cut-off on what was known then, and predict the dates after it; None where none fits.

    matrix and labels: the same snapshots in the same order, without those where notice was already given.
    Every row is tested; what a recipe leaves out because it was worked on is not learned or calibrated from.
    A training row counts at a horizon only if that label was known at the cut-off. A cut-off whose training
    rows never show the outcome (or show nothing else) is left out.
    """
    label = recipe.label
    horizons, headline = tuple(label.horizons_days), label.headline_days
    dates = [stamp.date() for stamp in sorted(matrix["as_of"].unique().tolist())]
    as_of = matrix["as_of"].to_numpy()
    outcomes = outcome_matrix(labels, horizons)
    taught = outcome_matrix(learnable(labels, recipe), horizons)
    at = horizons.index(headline)
    candidates = {"insufficient": (), "advisory": (MODEL,), "full": (MODEL, LOGISTIC)}[tier.name]
    margins: dict[str, list[Margins]] = {name: [] for name in candidates}
    if tier.name == "full":
        margins[UNSEEN] = []
    models: dict[str, list[Model]] = {name: [] for name in candidates}
    scores: list[dict[str, Floats]] = []
    skipped: dict[str, str] = {}
    tested, cutoffs, rises = [], [], []
    last: Origin | None = None
    folds = rolling_origins(dates, recipe, data_through)
    progress("training at past dates", 0, len(folds))
    for number, fold in enumerate(folds):
        known = np.column_stack([known_at_cutoff(as_of, h, fold.cutoff, recipe) for h in horizons])
        past = np.where(known, taught, np.nan)
        train = ~np.isnan(past[:, at])
        events = past[train, at]
        if not events.any() or events.all():
            continue
        test = np.isin(as_of, np.asarray(fold.test_dates, dtype=as_of.dtype)) & ~np.isnan(outcomes[:, at])
        usable = np.asarray(~np.isnan(past).all(axis=1), dtype=bool)
        seen, told = _take(matrix, usable), _labels(labels, past, usable, horizons)
        ahead = _take(matrix, test)
        rules = fit_rules(_take(matrix, train), events, matrix.loc[train, "account_id"], recipe)
        scores.append(rules.score(ahead))
        skipped |= rules.skipped
        for name in candidates:
            trees = name == MODEL and tier.name == "full"
            # chosen once, at the first cut-off: margins of one size, which one calibration can fit
            kept = chosen_by(models[name][0]) if models[name] else None
            model = fit_model(
                seen, told, inputs, recipe, trees=trees, chosen=kept, seed=seed, num_threads=num_threads
            )
            models[name].append(model)
            if name == MODEL:
                last = Origin(model, seen, told, ahead)
            starts = np.array([model.starts[h] for h in horizons])
            margins[name].append(
                Margins(model.raw(ahead), np.broadcast_to(starts, (int(test.sum()), len(horizons))))
            )
            if isinstance(model, HorizonModel):
                margins[UNSEEN].append(replace(margins[name][-1], raw=model.unseen_raw(ahead)))
        tested.append(test)
        rises.append(_rise(labels[train], events))
        cutoffs.append(fold.cutoff)
        progress("training at past dates", number + 1, len(folds))
    if not tested:
        return None
    if any(np.isnan(part.raw).any() for part in margins.get(UNSEEN, [])):
        del margins[UNSEEN]  # too few members: some accounts were seen by all of them
    rows, known_outcomes, fold_of = _tested_rows(matrix, labels, outcomes, tested)
    rows["rise"] = np.asarray(rises)[fold_of]
    calibrators = {
        name: _Calibrator(
            margins=_pool(parts),
            outcomes=np.concatenate([taught[test] for test in tested]),
            accounts=rows["account_id"].to_numpy(),
            as_of=rows["as_of"].to_numpy(),
            fold_of=fold_of,
            recipe=recipe,
        )
        for name, parts in margins.items()
    }
    probabilities = {
        name: calibrator.cross_fitted(cutoffs, models[MODEL if name == UNSEEN else name], seed)
        for name, calibrator in calibrators.items()
    }
    final = calibrators[MODEL].fit() if MODEL in calibrators else AffineCalibration()
    shared = set.intersection(*(set(score) for score in scores))
    return Backtest(
        horizons=horizons,
        headline=headline,
        rows=rows,
        outcomes=known_outcomes,
        probabilities=probabilities,
        rules={
            name: np.concatenate([score[name] for score in scores]) for name in scores[0] if name in shared
        },
        skipped=skipped,
        calibration=final,
        cutoffs=tuple(cutoffs),
        uncalibrated=calibrators[MODEL].uncalibrated(at) if MODEL in calibrators else None,
        calibrated_from=tuple(
            (apply, learn[:, at]) for _, apply, learn in calibrators[MODEL].parts(cutoffs, seed)
        )
        if MODEL in calibrators
        else (),
        last=last,
    )


def _take(frame: pd.DataFrame, rows: npt.NDArray[np.bool_]) -> pd.DataFrame:
    return frame[rows].reset_index(drop=True)


def _labels(
    labels: pd.DataFrame, past: Floats, rows: npt.NDArray[np.bool_], horizons: Sequence[int]
) -> pd.DataFrame:
    told = labels.loc[rows, ["account_id", "as_of", "cause"]].reset_index(drop=True)
    return told.assign(**{label_column(h): past[rows, position] for position, h in enumerate(horizons)})


def _tested_rows(
    matrix: pd.DataFrame, labels: pd.DataFrame, outcomes: Floats, tested: Sequence[npt.NDArray[np.bool_]]
) -> tuple[pd.DataFrame, Floats, npt.NDArray[np.int64]]:
    known = {
        "arr": _column(labels, "arr"),
        "days_to_renewal": _column(matrix, "days_to_renewal"),
        "notice_days": _notice_days(matrix),
        "churned_on": labels.get("churned_on", pd.Series(pd.NaT, labels.index)).to_numpy("datetime64[us]"),
        "arr_after": _column(labels, "arr_after"),
    }
    if "treatment" in labels:
        known["treatment"] = labels["treatment"].to_numpy(dtype=object)
    parts = [
        matrix.loc[test, ["account_id", "as_of"]].assign(
            fold=number, **{name: values[test] for name, values in known.items()}
        )
        for number, test in enumerate(tested)
    ]
    rows = pd.concat(parts, ignore_index=True)
    return rows, np.concatenate([outcomes[test] for test in tested]), rows["fold"].to_numpy(dtype=np.int64)


def _column(frame: pd.DataFrame, name: str) -> Floats:
    if name not in frame:
        return np.full(len(frame), np.nan)
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _notice_days(matrix: pd.DataFrame) -> Floats:
    """Return the period of notice of each row's contract; one as long as the term is a mistake, and none."""
    notice, term = _column(matrix, "notice_days"), _column(matrix, "term_days")
    return np.where((notice >= 0) & ~(notice >= term), notice, np.nan)


def _rise(labels: pd.DataFrame, y: Floats) -> float:
    return mean_rise(_column(labels, "arr"), _column(labels, "arr_after"), y)


def _pool(parts: Sequence[Margins]) -> Margins:
    return Margins(
        np.concatenate([part.raw for part in parts]), np.concatenate([part.starts for part in parts])
    )


def bounded(calibration: AffineCalibration, model: Model) -> AffineCalibration:
    """Return the calibration as this model may use it: probabilities never fall as the horizon grows."""
    if isinstance(model, HorizonModel):
        return calibration.within(model.starts, *model.bag.bounds)
    return replace(calibration, tilt=0.0)  # its margin is the same at every horizon


@dataclass(frozen=True)
class _Calibrator:
    """What the calibration of one family's margins is learned from: all out-of-time rows, by cut-off."""

    margins: Margins
    outcomes: Floats
    accounts: npt.NDArray[Any]
    as_of: npt.NDArray[Any]
    fold_of: npt.NDArray[np.int64]
    recipe: Recipe

    def cross_fitted(self, cutoffs: Sequence[date], models: Sequence[Model], seed: int) -> Floats:
        """Calibrate cut-off k with what was known at k of the cut-offs before it: (rows, horizons).

        Where too little of them was known to fit a slope, the accounts tested at k are calibrated by each
        other: those of a part by the outcomes of the other parts, never by their own.
        """
        found = np.full(self.margins.raw.shape, np.nan)
        for fold, apply, learn in self.parts(cutoffs, seed):
            calibration = bounded(self.fit(learn), models[fold])
            for position, horizon in enumerate(self.recipe.label.horizons_days):
                found[apply, position] = calibration.probability(
                    self.margins.raw[apply, position], horizon, self.margins.starts[apply, position]
                )
        return found

    def parts(
        self, cutoffs: Sequence[date], seed: int
    ) -> Iterator[tuple[int, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
        """Yield cut-off, rows to calibrate, and (rows, horizons) to learn that from; as `cross_fitted`."""
        part_of = account_folds(self.accounts, ACCOUNT_FOLDS, seed)
        known = ~np.isnan(self.outcomes)
        for fold, cutoff in enumerate(cutoffs):
            here = self.fold_of == fold
            past = known & (self.fold_of < fold)[:, None] & self._known_at(cutoff)
            if self._events(past) >= self.recipe.calibration.platt_from_events:
                yield fold, here, past
                continue
            for part in range(ACCOUNT_FOLDS):
                yield fold, here & (part_of == part), known & (here & (part_of != part))[:, None]

    def uncalibrated(self, position: int) -> Floats:
        """Return the probabilities before calibration at one horizon: (rows,)."""
        return sigmoid(self.margins.starts[:, position] + self.margins.raw[:, position])

    def fit(self, learn: npt.NDArray[np.bool_] | None = None) -> AffineCalibration:
        """Fit one calibration for all horizons on (rows, horizons) marked; default all that is known."""
        chosen = ~np.isnan(self.outcomes) if learn is None else learn
        label = self.recipe.label
        return AffineCalibration.fit(
            self.margins.raw[chosen],
            self.outcomes[chosen],
            self._spread(self.accounts[:, None])[chosen],
            offset=self.margins.starts[chosen],
            horizon=self._spread(np.asarray(label.horizons_days))[chosen],
            headline=label.headline_days,
            platt_from=self.recipe.calibration.platt_from_events,
        )

    def _known_at(self, cutoff: date) -> npt.NDArray[np.bool_]:
        horizons = np.asarray(self.recipe.label.horizons_days)
        return known_at_cutoff(self.as_of[:, None], horizons[None, :], cutoff, self.recipe)

    def _events(self, chosen: npt.NDArray[np.bool_]) -> int:
        return len(pd.unique(self._spread(self.accounts[:, None])[chosen & (self.outcomes > 0)]))

    def _spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.broadcast_to(values, self.outcomes.shape)
