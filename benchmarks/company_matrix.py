"""A simulated company as a labelled matrix, on the dates of which the truth is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy.stats import gamma

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.outcomes.labels import known_through
from lifecycle_ml.outcomes.recipe import Recipe, load_recipe
from lifecycle_ml.outcomes.snapshots import snapshots
from lifecycle_ml.promotion.challenger import Challenger, Trial, build_challenger, try_challenger
from lifecycle_ml.promotion.grounds import Grounds, load_grounds
from lifecycle_ml.promotion.training import inputs_of, segments_of
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root

EPISODES_A_DAY, COMES = 0.26 / 364, 0.62
SHORTEST, LONGEST = 21, 180
"""How often growth begins, how often something comes of it, and after how many days (simulate/growth.py)."""

Made = TypeVar("Made")
STANDARD = Workspace(root=standard_root(), standard=standard_root())


@dataclass(frozen=True)
class CompanyMatrix:
    """All a challenger is built from, and the true probabilities to compare it with."""

    seed: int
    recipe: Recipe
    matrix: pd.DataFrame
    labels: pd.DataFrame
    inputs: dict[str, int]
    segments: dict[str, str]
    data_through: date
    grounds: Grounds
    """Definitions, tables and colours, for the parts of the gate that rest on a workspace."""
    truth: pd.DataFrame
    """account_id, as_of, probability_{h}d: the recipe's outcome given the true state at as_of."""

    def tried(self, threads: int, draws: int) -> Trial:
        """Try the recipe on past dates and judge it."""
        return self._given(try_challenger, threads, draws)

    def challenger(self, threads: int, draws: int) -> Challenger:
        """Try, judge and fit on everything known."""
        return self._given(build_challenger, threads, draws)

    def _given(self, make: Callable[..., Made], threads: int, draws: int) -> Made:
        return make(
            self.matrix,
            self.labels,
            self.inputs,
            self.recipe,
            self.data_through,
            segments=self.segments,
            grounds=self.grounds,
            num_threads=threads,
            draws=draws,
        )


def build_company(
    seed: int, accounts: int, *, causes: bool = True, recipe_name: str = "churn"
) -> CompanyMatrix:
    """Simulate a company with the standard features and a standard recipe.

    The data is cut so that snapshots fall on the weekly dates of the truth.
    """
    recipe = load_recipe(STANDARD, recipe_name)
    company = simulate_company(seed, accounts, causes=causes)
    newest = known_through(recipe.label, recipe.label.horizons_days[0]).days
    weeks = (company.days - newest) // 7
    data_through = company.first + timedelta(days=7 * weeks + newest)
    tables = tables_from_frames(company.tables)
    labels = snapshots(tables, recipe, data_through)
    features = load_features(STANDARD).available(tables)
    matrix = build_matrix(tables, features, labels[["account_id", "as_of", "known_at"]])
    truth = company.truth["probabilities"]
    truth = truth.assign(as_of=truth["as_of"].astype("datetime64[us]"))
    if recipe.label.mode == "expansion":
        truth = expansion_outlook(company.truth, truth, recipe.label.headline_days)
    return CompanyMatrix(
        seed=seed,
        recipe=recipe,
        matrix=matrix,
        labels=labels,
        inputs=inputs_of(features, recipe),
        segments=segments_of(tables),
        data_through=data_through,
        grounds=load_grounds(STANDARD, tables),
        truth=truth,
    )


def expansion_outlook(truth: Mapping[str, pd.DataFrame], churn: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Return the chance of growing inside the horizon, given the growth episodes open at as_of.

    account_id, as_of, probability_{h}d. The simulator keeps no such probability, so this is computed from
    its rates: an episode ends in an amendment 6 times in 10, after a gamma-distributed delay. What trouble
    takes away, and the four months between two amendments, are left out: a yardstick, not a bound.
    """

    def grown_by(age: pd.Series | np.ndarray) -> np.ndarray:
        days = np.asarray(age, dtype=float)
        return np.where(
            days >= LONGEST, 1.0, np.where(days < SHORTEST, 0.0, gamma.cdf(days, 4.0, scale=18.0))
        )

    new = EPISODES_A_DAY * COMES * grown_by(np.arange(horizon)).sum()
    growth = truth["growth"]
    pairs = churn[["account_id", "as_of"]].merge(growth, on="account_id")
    age = (pairs["as_of"] - pairs["began_on"]).dt.days
    begun = (age > 0) & (age < LONGEST) & ~(pairs["expanded_on"] <= pairs["as_of"])
    pairs, age = pairs[begun], age[begun]
    due = COMES * (grown_by(age + horizon) - grown_by(age)) / (1 - COMES * grown_by(age))
    missed = pairs.assign(missed=np.log1p(-due)).groupby(["account_id", "as_of"])["missed"].sum()
    rows = churn[["account_id", "as_of", "probability_180d"]].merge(
        missed.reset_index(), how="left", on=["account_id", "as_of"]
    )
    stays = 1 - rows["probability_180d"]
    grows = 1 - np.exp(rows["missed"].fillna(0.0) - new)
    return rows[["account_id", "as_of"]].assign(**{f"probability_{horizon}d": stays * grows})
