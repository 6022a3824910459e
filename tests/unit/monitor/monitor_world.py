"""A book of accounts whose true churn is known, and what the monitor would see of it."""

from datetime import date, timedelta
from functools import cache

import numpy as np
import pandas as pd

from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.capacity import Capacity
from lifecycle_ml.models.classifier import RiskClassifier
from lifecycle_ml.models.horizons import HorizonModel
from lifecycle_ml.monitor.config import load_monitoring
from lifecycle_ml.monitor.drift import Snapshots, measure_drift
from lifecycle_ml.monitor.observe import Observation, _drifted_then, lean_of
from lifecycle_ml.monitor.performance import estimate, realise
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.workspace import Workspace, standard_root

WORKSPACE = Workspace(root=standard_root(), standard=standard_root())
CONFIG = load_monitoring(WORKSPACE)
RECIPE = load_recipe(WORKSPACE, "churn")
FEATURES = ("use", "tickets", "seats", "noise")
FIRST, TRAINED = date(2025, 1, 6), date(2026, 3, 9)
AS_OF = date(2026, 12, 7)
MATURE = [date(2026, 6, 8), date(2026, 7, 6), date(2026, 8, 3)]


def true_probability(matrix, shift=0.0):
    """Chance of churn in 90 days: use and tickets decide, noise does not."""
    margin = -3.0 + shift - 1.1 * matrix["use"] + 0.7 * matrix["tickets"] + 0.3 * matrix["seats"]
    return 1 / (1 + np.exp(-margin.to_numpy()))


def book(days, accounts=900, seed=0, *, prefix="A"):
    """Snapshots of accounts that differ for good, and a little from date to date."""
    rng = np.random.default_rng(seed)
    lasting = rng.normal(size=(accounts, len(FEATURES)))
    parts = []
    for day in days:
        values = 0.9 * lasting + 0.43 * rng.normal(size=lasting.shape)
        part = pd.DataFrame(values, columns=list(FEATURES))
        part["tickets"] = rng.poisson(np.exp(0.6 * values[:, 1] - 0.3)).astype(float)
        part.insert(0, "as_of", pd.Timestamp(day))
        part.insert(0, "account_id", [f"{prefix}-{number:04d}" for number in range(accounts)])
        parts.append(part)
    matrix = pd.concat(parts, ignore_index=True).astype({"account_id": "str", "as_of": "datetime64[us]"})
    return Snapshots(matrix, np.full(len(matrix), 500.0))


def outcomes(snapshots, shift=0.0, seed=0, *, ranked=True):
    """Draw what becomes of each snapshot; `ranked=False`: nothing in the features has to do with it."""
    p = true_probability(snapshots.matrix, shift)
    p = p if ranked else np.full(len(p), p.mean())
    drawn = np.random.default_rng(seed).random(len(p))
    labels = snapshots.matrix[["account_id", "as_of"]].assign(too_late=False)
    # 30 and 180 days: a third and twice the chance, drawn so that a longer horizon holds the shorter ones
    for horizon, times in ((30, 1 / 3), (90, 1.0), (180, 2.0)):
        labels[f"outcome_{horizon}d"] = (drawn < p * times).astype(float)
    return labels


@cache
def trained():
    """Fit a bundle on fourteen dates; returned with its reference."""
    days = [FIRST + timedelta(days=28 * step) for step in range(14)]
    reference = book(days)
    labels = outcomes(reference)
    classifier = RiskClassifier(
        capacity=Capacity(n_trees=120, learning_rate=0.08, feature_fraction=1.0),
        linear=False,
        n_members=3,
        num_threads=1,
    )
    model = HorizonModel.fit(
        reference.matrix, labels, features=list(FEATURES), horizons=(30, 90, 180), classifier=classifier
    )
    rates = {horizon: float(labels[f"outcome_{horizon}d"].mean()) for horizon in (30, 90, 180)}
    bundle = Bundle(
        name="churn",
        tier="full",
        horizons=(30, 90, 180),
        headline=90,
        model=model,
        base_rates=rates,
        band_rates={"low": 0.02, "medium": 0.08, "high": 0.3},
        data={"data_through": str(TRAINED), "first": str(days[0]), "last": str(days[-1])},
        metrics={"metrics": {"auroc": {"value": 0.8}}},
        version="7",
    )
    return bundle, reference


def look(current, *, known=None, labels=None, faults=()):
    """Return the observation of today's accounts, and of earlier ones whose outcomes are known."""
    bundle, reference = trained()
    leans = lean_of(bundle, reference.matrix)
    drifts = measure_drift(reference, current, leans, CONFIG.drift)
    scored = bundle.score(current.matrix)
    realised = {}
    if known is not None:
        earlier = bundle.score(known.matrix)
        scores = earlier[["account_id", "as_of"]].assign(probability=earlier["risk"])
        found = realise(scores, labels, bundle.base_rate, 90, RECIPE, AS_OF, CONFIG.performance)
        realised = {90: found}
    moved = {item.feature: item.lean for item in drifts if item.drifted}
    return Observation(
        as_of=AS_OF,
        bundle=bundle,
        recipe=RECIPE,
        reference=reference,
        current=current,
        leans=leans,
        sources=dict.fromkeys(FEATURES, ("usage_events",)),
        faults=tuple(faults),
        drifts=tuple(drifts),
        proven={
            horizon: _drifted_then(known, reference, truth, moved, CONFIG)
            for horizon, truth in realised.items()
        },
        score_drift=None,
        realised=realised,
        estimated=estimate(scored["risk"].to_numpy(), 90, RECIPE, AS_OF),
        scored=scored,
        arr=dict.fromkeys(current.matrix["account_id"], 1000.0),
    )
