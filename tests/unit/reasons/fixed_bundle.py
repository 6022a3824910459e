"""A bundle whose contributions are given, and accounts to explain with it."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd

from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.reasons.explain import explain
from lifecycle_ml.reasons.taxonomy import load_taxonomy
from lifecycle_ml.tables.schema import CATEGORIES
from lifecycle_ml.workspace import Workspace, standard_root

ROOT = standard_root()
STANDARD = Workspace(ROOT, ROOT)
FEATURES = load_features(STANDARD)
TAXONOMY = load_taxonomy(STANDARD, FEATURES.names)


@dataclass(frozen=True)
class FixedContributions:
    columns: tuple[str, ...]
    values: np.ndarray
    base: float
    members: np.ndarray

    @property
    def margin(self) -> np.ndarray:
        return self.values.sum(axis=1) + self.base


@dataclass(frozen=True)
class FixedBundle:
    """A bundle whose contributions are given: {account: {feature: contribution}}, and per member on top."""

    features: tuple[str, ...]
    by_account: dict[str, dict[str, float]] = field(default_factory=dict)
    by_member: tuple[dict[str, dict[str, float]], ...] = ()
    means: dict[str | None, dict[str, float]] = field(default_factory=dict)
    headline: int = 90
    source: str = "model"
    tier: str = "full"
    ranges: dict = field(default_factory=dict)
    facts: float = 4.0
    """The facts of a category weigh so many times the sum of its contributions."""

    @property
    def causes(self):
        return FixedCauses(self)

    def rows(self, matrix, given):
        return np.array(
            [[given.get(a, {}).get(f, 0.0) for f in self.features] for a in matrix["account_id"]], dtype=float
        ).reshape(len(matrix), len(self.features))

    def contributions(self, block, _horizon):
        matrix = block.frame
        members = self.by_member or (self.by_account,)
        return FixedContributions(
            columns=self.features,
            values=self.rows(matrix, self.by_account),
            base=-3.0,
            members=np.stack([self.rows(matrix, given) for given in members]),
        )

    def reference(self, _horizon, segment):
        given = self.means.get(segment, self.means.get(None, {}))
        return np.array([given.get(name, 0.0) for name in self.features])


@dataclass(frozen=True)
class FixedCauses:
    """Facts that say what the contributions say, louder."""

    bundle: FixedBundle
    places: ClassVar = {
        item.name: CATEGORIES.index(item.category) for item in FEATURES if item.category in CATEGORIES
    }

    def weigh(self, block):
        matrix = block.frame
        values = self.bundle.facts * self.bundle.rows(matrix, self.bundle.by_account)
        members = np.zeros((1, len(matrix), len(CATEGORIES)))
        for at, name in enumerate(self.bundle.features):
            if name in self.places:
                members[0, :, self.places[name]] += np.where(matrix[name].isna(), 0.0, values[:, at])
        return SimpleNamespace(features=self.bundle.features, values=values, members=members)


USED = (
    "active_users_28d",
    "active_users_change",
    "champions_left_180d",
    "champions_present",
    "open_severe_tickets",
    "severe_tickets_84d",
    "days_since_business_review",
    "handoff_gaps",
    "days_to_renewal",
)
WELL = {
    "active_users_28d": 31.0,
    "active_users_28d__usual": 30.0,
    "active_users_change": 1.03,
    "champions_left_180d": 0.0,
    "champions_present": 1.0,
    "open_severe_tickets": 0.0,
    "severe_tickets_84d": 0.0,
    "severe_tickets_84d__usual": 0.3,
    "days_since_business_review": 40.0,
    "handoff_gaps": 0.0,
    "days_to_renewal": 200.0,
    "tenure_days": 500.0,
}
FALLING = {"active_users_28d": 9.0, "active_users_28d__usual": 31.25, "active_users_change": 0.29}


def matrix_of(accounts: dict[str, dict]) -> pd.DataFrame:
    rows = [{"account_id": name, **WELL, **changes} for name, changes in accounts.items()]
    frame = pd.DataFrame(rows)
    frame.insert(1, "as_of", pd.Timestamp("2026-06-30").as_unit("us"))
    return frame


def explained(bundle, matrix, **more):
    return explain(bundle, matrix, FEATURES, TAXONOMY, **more)


def random_company(rows=24, members=4, seed=7):
    rng = np.random.default_rng(seed)
    names = [f"A-{n:03d}" for n in range(rows)]
    matrix = matrix_of({name: FALLING if n % 2 else {} for n, name in enumerate(names)})
    for name in USED:
        matrix.loc[rng.random(rows) < 0.15, name] = np.nan
    by_member = tuple(
        {name: dict(zip(USED, rng.normal(0, 0.5, len(USED)), strict=True)) for name in names}
        for _ in range(members)
    )
    mean = {name: {f: float(np.mean([m[name][f] for m in by_member])) for f in USED} for name in names}
    means = {s: dict(zip(USED, rng.normal(0, 0.2, len(USED)), strict=True)) for s in ("small", "large", None)}
    segments = pd.Series(np.where(np.arange(rows) % 3 == 0, "small", "large"), index=names)
    return FixedBundle(USED, mean, by_member, means), matrix, segments
