"""Champion against challenger on the same accounts and dates, neither of which either had learned from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.evaluation import Interval, bootstrap_counts, evaluate, paired_difference
from lifecycle_ml.models.metrics import METRICS, Draws, Sample
from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.outcomes.snapshots import snapshots
from lifecycle_ml.promotion.backtest import Progress
from lifecycle_ml.promotion.challenger import try_challenger
from lifecycle_ml.promotion.training import recorded_inputs
from lifecycle_ml.tables.source import Tables

DECIDES = "average_precision"
BESIDE = ("auroc", "log_loss")
_KEYS = ["account_id", "as_of"]
_NOT_THE_PROCEDURE = {"name", "says", "gate"}
"""Keys of a recipe that change neither what is learned nor from what."""


@dataclass(frozen=True)
class Recorded:
    """What a run kept beside its bundle: its out-of-time predictions, and how to repeat it.

    inputs: by feature its direction and a hash of its definition.
    """

    predictions: pd.DataFrame
    recipe: Recipe
    inputs: Mapping[str, Mapping[str, Any]]
    seed: int

    @property
    def procedure(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Everything but the data that decides what is learned."""
        document = self.recipe.model_dump(mode="json", exclude=_NOT_THE_PROCEDURE)
        return document, {name: dict(kept) for name, kept in self.inputs.items()}

    def at(self, horizon_days: int) -> pd.DataFrame:
        """Return the predictions at one horizon: account_id, as_of, probability, outcome, cutoff.

        cutoff: the date through which the model that made the prediction had learned, the first of its fold.
        """
        rows = self.predictions[self.predictions["horizon_days"] == horizon_days]
        cutoff = rows.groupby("fold")["as_of"].transform("min")
        return rows[[*_KEYS, "probability", "outcome"]].assign(cutoff=cutoff).reset_index(drop=True)


@dataclass(frozen=True)
class Comparison:
    """Both on the same rows at the challenger's headline horizon; intervals by account.

    kind: `same_rows` where the models themselves, or what they said out of time, were compared; `procedures`
    where the champion's recipe was trained again on the challenger's dates.
    scored, recorded, repeated: rows on which the champion's bundle was scored, for which both runs had kept
    predictions, on which the champion's recipe was trained again. outcomes: accounts with the outcome.
    difference: challenger above champion (log loss: below 0 is in its favour). chance_better: part of the
    bootstrap draws in which the challenger has the higher average precision, NaN where no draw can tell.
    """

    kind: Literal["same_rows", "procedures"]
    horizon_days: int
    dates: tuple[date, ...]
    rows: int
    accounts: int
    outcomes: int
    scored: int
    recorded: int
    repeated: int
    champion: Mapping[str, Interval]
    challenger: Mapping[str, Interval]
    difference: Mapping[str, Interval]
    chance_better: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "kind": self.kind,
            "horizon_days": self.horizon_days,
            "dates": [day.isoformat() for day in self.dates],
            "rows": self.rows,
            "accounts": self.accounts,
            "accounts_with_outcome": self.outcomes,
            "rows_scored_by_champion": self.scored,
            "rows_recorded_by_both": self.recorded,
            "rows_of_champions_recipe_trained_again": self.repeated,
            "champion": _plain(self.champion),
            "challenger": _plain(self.challenger),
            "difference": _plain(self.difference),
            "chance_better": None if np.isnan(self.chance_better) else round(self.chance_better, 4),
        }


def read_predictions(content: bytes) -> pd.DataFrame:
    """Read a run's predictions as it kept them."""
    return pd.read_parquet(BytesIO(content)).astype({"account_id": "str", "as_of": "datetime64[us]"})


def same_rows(
    tables: Tables,
    features: FeatureSet,
    champion: Bundle,
    kept: Recorded | None,
    challenger: Recorded,
    horizon_days: int,
) -> pd.DataFrame:
    """Return rows on which both have honest predictions, the champion as it is or as it was tried.

    Grain:  one row per account_id and as_of: champion, challenger (probabilities), outcome (0/1), part.
    Time:   `scored`: rows predicted at cut-offs from the champion's data_through on. Its labels were all
            known before, so its own bundle predicts them, on a matrix as known then. Rows after that date but
            of an earlier cut-off do not count: there the challenger was tried with less than the champion
            learned from, and would look worse for it. `recorded`: rows for which both runs kept a prediction
            by a model that had not seen them.
    Empty where the champion has no such horizon.
    """
    rows = challenger.at(horizon_days).rename(columns={"probability": "challenger"})
    parts = []
    through = champion.data.get("data_through")
    if through is not None and horizon_days in champion.horizons:
        later = rows[rows["cutoff"] >= pd.Timestamp(through)]
        if len(later):
            spine = later[_KEYS].assign(known_at=later["as_of"])
            matrix = build_matrix(tables, features.select(champion.features), spine)
            at = champion.horizons.index(horizon_days)
            said = matrix[_KEYS].assign(champion=champion.probabilities(matrix)[:, at])
            parts.append(later.merge(said, on=_KEYS).assign(part="scored"))
    if kept is not None:
        said = kept.at(horizon_days).rename(columns={"probability": "champion"})[[*_KEYS, "champion"]]
        parts.append(rows.merge(said, on=_KEYS).assign(part="recorded"))
    columns = [*_KEYS, "champion", "challenger", "outcome", "part"]
    if not parts:
        return pd.DataFrame(columns=columns)
    found = pd.concat(parts, ignore_index=True).drop_duplicates(_KEYS)
    return found[columns].sort_values(["as_of", "account_id"], ignore_index=True)


def unrepeatable(features: FeatureSet, kept: Recorded) -> list[str]:
    """Return the inputs a recorded recipe cannot be trained again on: gone, or defined otherwise now."""
    there = {name: int(value["direction"]) for name, value in kept.inputs.items() if name in features}
    now = recorded_inputs(there, features)
    return [name for name, value in kept.inputs.items() if now.get(name) != dict(value)]


def repeated_rows(
    tables: Tables,
    features: FeatureSet,
    champion: Recorded,
    challenger: Recorded,
    through: date,
    *,
    num_threads: int,
    progress: Progress,
) -> pd.DataFrame:
    """Train the champion's recipe again at the challenger's cut-offs; rows as `same_rows`, part `repeated`.

    The question (label, snapshot dates, cut-offs) is the challenger's, the answer (features, estimator,
    calibration) the champion's. `through`: what the challenger's data were known through.
    """
    asked = challenger.recipe
    recipe = champion.recipe.model_copy(
        update={"label": asked.label, "snapshots": asked.snapshots, "splits": asked.splits}
    )
    progress("building the challenger's matrix again", 0, 1)
    labels = snapshots(tables, recipe, through)
    matrix = build_matrix(tables, features, labels[[*_KEYS, "known_at"]])
    progress("building the challenger's matrix again", 1, 1)
    trial = try_challenger(
        matrix,
        labels,
        {name: int(value["direction"]) for name, value in champion.inputs.items()},
        recipe,
        through,
        seed=champion.seed,
        num_threads=num_threads,
        draws=20,  # its own figures are not read
        progress=progress,
    )
    horizon = asked.label.headline_days
    rows = challenger.at(horizon).rename(columns={"probability": "challenger"}).assign(part="repeated")
    if trial.backtest is None:
        return rows.head(0).assign(champion=pd.Series(dtype="float64"))
    again = Recorded(trial.backtest.predictions(), recipe, champion.inputs, champion.seed).at(horizon)
    said = again.rename(columns={"probability": "champion"})[[*_KEYS, "champion"]]
    found = rows.merge(said, on=_KEYS)
    return found.sort_values(["as_of", "account_id"], ignore_index=True)


def accounts_with_outcome(rows: pd.DataFrame) -> int:
    """Count the accounts that had the outcome on at least one row."""
    return int(rows.loc[rows["outcome"] > 0, "account_id"].nunique())


def compare(
    rows: pd.DataFrame,
    horizon_days: int,
    kind: Literal["same_rows", "procedures"],
    *,
    seed: int = 0,
    draws: int = 1000,
) -> Comparison:
    """Measure both on the rows of `same_rows` or `repeated_rows`, paired; whole accounts are drawn."""
    y, groups = rows["outcome"].to_numpy(dtype=np.float64), rows["account_id"].to_numpy()
    one, other = (rows[name].to_numpy(dtype=np.float64) for name in ("champion", "challenger"))
    metrics = (DECIDES, *BESIDE)
    parts = rows["part"].value_counts()
    return Comparison(
        kind=kind,
        horizon_days=horizon_days,
        dates=tuple(pd.Timestamp(day).date() for day in sorted(rows["as_of"].unique())),
        rows=len(rows),
        accounts=int(rows["account_id"].nunique()),
        outcomes=accounts_with_outcome(rows),
        scored=int(parts.get("scored", 0)),
        recorded=int(parts.get("recorded", 0)),
        repeated=int(parts.get("repeated", 0)),
        champion=evaluate(y, one, groups, seed=seed, draws=draws, metrics=metrics),
        challenger=evaluate(y, other, groups, seed=seed, draws=draws, metrics=metrics),
        difference=_differences(y, other, one, groups, metrics, seed, draws),
        chance_better=chance_better(y, other, one, groups, seed=seed, draws=draws),
    )


def chance_better(
    y: npt.NDArray[Any],
    p_a: npt.NDArray[Any],
    p_b: npt.NDArray[Any],
    groups: npt.NDArray[Any],
    *,
    seed: int = 0,
    draws: int = 1000,
) -> float:
    """Return the part of the draws in which `p_a` has the higher average precision; equal ones count half.

    The draws are those of `paired_difference` with the same seed. NaN where no draw has the outcome.
    """
    codes, accounts = pd.factorize(groups)
    if not len(y):
        return float("nan")
    a, b = (Sample(y, p, codes, len(accounts)) for p in (p_a, p_b))
    better = []
    for counts in bootstrap_counts(len(accounts), len(y), draws, seed):
        gap = np.asarray(METRICS[DECIDES](Draws(a, counts))) - np.asarray(METRICS[DECIDES](Draws(b, counts)))
        known = gap[np.isfinite(gap)]
        better.append((known > 0) + 0.5 * (known == 0))
    drawn = np.concatenate(better)
    return float(drawn.mean()) if len(drawn) else float("nan")


def _differences(
    y: npt.NDArray[Any],
    p_a: npt.NDArray[Any],
    p_b: npt.NDArray[Any],
    groups: npt.NDArray[Any],
    metrics: Iterable[str],
    seed: int,
    draws: int,
) -> dict[str, Interval]:
    return {
        metric: paired_difference(y, p_a, p_b, groups, metric, seed=seed, draws=draws) for metric in metrics
    }


def _plain(figures: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: figure.to_json() for name, figure in figures.items()}
