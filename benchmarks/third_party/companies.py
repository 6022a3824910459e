"""Third-party workspaces as labelled matrices, on the recipe's dates and on those of published figures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.outcomes.recipe import Recipe, load_recipe
from lifecycle_ml.outcomes.snapshots import label, population, snapshots
from lifecycle_ml.outcomes.splits import known_at_cutoff, rolling_origins
from lifecycle_ml.promotion.training import inputs_of, require_tables
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.source import Tables, read_tables
from lifecycle_ml.workspace import load_workspace, standard_root

Flags = npt.NDArray[np.bool_]

DATA_THROUGH = {
    "churnsim_crm5": date(2024, 1, 1),
    "online_retail_ii": date(2011, 12, 1),
    "cdnow": date(1998, 7, 1),
    "relax_saas": date(2014, 6, 6),
    "dpdk_orgs": date(2026, 7, 1),
}
"""The workspaces, and the day up to which their tables are read."""
ENTITY = frozenset({"accounts", "contracts"})
"""What is known of a customer who is never watched."""
USAGE = "usage_events"
PURCHASES = ("online_retail_ii", "cdnow")
"""Where an event is a purchase, as BG/NBD takes it."""


@dataclass(frozen=True)
class AnchorDates:
    """Cut-offs of published figures: monthly steps from the first; how many train, how many are tested last.

    A day of the cut-off itself counts as past where `through` is 1 and as future where it is 0.
    """

    first: date
    step_months: int
    count: int
    train: int
    test: int
    through: int = 0

    @property
    def dates(self) -> list[date]:
        """Return the as_of of each cut-off, oldest first."""
        starts = pd.date_range(self.first, periods=self.count, freq=pd.DateOffset(months=self.step_months))
        return [(start + timedelta(days=self.through)).date() for start in starts]


ANCHOR_DATES = {
    "dpdk_orgs": AnchorDates(date(2014, 4, 1), step_months=3, count=48, train=35, test=12),
    "online_retail_ii": AnchorDates(date(2010, 6, 1), step_months=1, count=16, train=10, test=4),
    "cdnow": AnchorDates(date(1997, 3, 1), step_months=1, count=11, train=3, test=3, through=1),
}


@dataclass(frozen=True)
class Fold:
    """Rows to learn from and rows to judge, of one matrix; the cut-off lies between."""

    cutoff: date
    train: Flags
    test: Flags


@dataclass(frozen=True)
class Company:
    """A workspace's tables with a labelled matrix and the folds it is split into."""

    name: str
    recipe: Recipe
    tables: Tables
    features: FeatureSet
    matrix: pd.DataFrame
    labels: pd.DataFrame
    data_through: date
    folds: tuple[Fold, ...]

    @property
    def outcome(self) -> npt.NDArray[np.float64]:
        """Outcomes at the headline horizon, NaN where not yet known."""
        column = self.labels[label_column(self.recipe.label.headline_days)]
        return column.to_numpy(dtype=np.float64, na_value=np.nan)

    @cached_property
    def inputs(self) -> dict[str, int]:
        """What the recipe learns from, with the direction of each."""
        return inputs_of(self.features, self.recipe)

    def inputs_from(self, tables: frozenset[str]) -> dict[str, int]:
        """Return the inputs that rest on these tables alone."""
        return {name: sign for name, sign in self.inputs.items() if set(self.features[name].tables) <= tables}

    def judged(self) -> pd.DataFrame:
        """Return the rows judged, fold after fold: account_id, as_of, fold, y."""
        parts = [
            self.matrix.loc[fold.test, ["account_id", "as_of"]].assign(fold=number, y=self.outcome[fold.test])
            for number, fold in enumerate(self.folds)
        ]
        return pd.concat(parts, ignore_index=True)


def on_own_dates(name: str, data: Path) -> Company:
    """Return a workspace on its recipe's snapshot dates and rolling origins, as the product trains it."""
    tables, recipe, features = _read(name, data)
    through = DATA_THROUGH[name]
    labels = snapshots(tables, recipe, through)
    labels = labels[~labels["too_late"]].reset_index(drop=True)
    matrix = build_matrix(tables, features, labels[["account_id", "as_of", "known_at"]])
    company = Company(name, recipe, tables, features, matrix, labels, through, ())
    outcome, as_of = company.outcome, matrix["as_of"].to_numpy()
    dates = [stamp.date() for stamp in sorted(matrix["as_of"].unique().tolist())]
    folds = []
    for origin in rolling_origins(dates, recipe, through):
        known = known_at_cutoff(as_of, recipe.label.headline_days, origin.cutoff, recipe)
        known &= ~np.isnan(outcome)
        if not outcome[known].any() or outcome[known].all():
            continue
        folds.append(Fold(origin.cutoff, known, _on(as_of, origin.test_dates) & ~np.isnan(outcome)))
    return Company(name, recipe, tables, features, matrix, labels, through, tuple(folds))


def on_anchor_dates(name: str, data: Path) -> Company:
    """Return a workspace on the cut-offs of published figures: one fold, trained once."""
    tables, recipe, features = _read(name, data)
    through, asked = DATA_THROUGH[name], ANCHOR_DATES[name]
    dates = asked.dates
    train, test = dates[: asked.train], dates[-asked.test :]
    spine = population(tables, recipe, [*train, *test])
    labels = label(tables, spine, recipe, through)
    matrix = build_matrix(tables, features, spine)
    as_of = matrix["as_of"].to_numpy()
    fold = Fold(test[0], _on(as_of, train), _on(as_of, test))
    company = Company(name, recipe, tables, features, matrix, labels, through, (fold,))
    unknown = int(np.isnan(company.outcome).sum())
    if unknown:
        raise ValueError(f"{name}: {unknown} of {len(matrix)} rows have no known outcome by {through}.")
    return company


def purchase_days(company: Company) -> pd.DataFrame:
    """Return the days each customer bought on: account_id, day; sorted."""
    events = company.tables[USAGE]
    days = events.select("account_id", day=events.happened_at.truncate("D")).distinct()
    found: Any = company.tables.backend.to_pandas(days)
    typed = pd.DataFrame(found).astype({"day": "datetime64[us]"})
    return typed.sort_values(["account_id", "day"], ignore_index=True)


def _read(name: str, data: Path) -> tuple[Tables, Recipe, FeatureSet]:
    workspace = load_workspace(standard_root() / "examples" / name)
    environment: Mapping[str, str] = {k: v for k, v in os.environ.items() if k.startswith("LIFECYCLE_")}
    settings = Settings.read(workspace.root, {**environment, "LIFECYCLE_SOURCE_URL": str(data / name)})
    tables = read_tables(workspace, settings)
    recipe = load_recipe(workspace, "churn")
    require_tables(recipe, tables.names)
    return tables, recipe, load_features(workspace).available(tables)


def _on(as_of: npt.NDArray[Any], dates: Sequence[date]) -> Flags:
    return np.isin(as_of, np.asarray(dates, dtype=as_of.dtype))
