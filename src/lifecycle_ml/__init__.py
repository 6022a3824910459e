"""Churn and expansion for B2B subscriptions: scores with reasons, owners and deadlines."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lifecycle_ml.matrix.build import build_matrix
    from lifecycle_ml.matrix.feature import Feature
    from lifecycle_ml.matrix.measures import (
        IN_FORCE,
        change,
        count,
        days_since,
        days_until,
        distinct,
        first_of,
        greatest,
        largest,
        latest,
        mean,
        own_past,
        present,
        share,
        total,
    )
    from lifecycle_ml.models.classifier import RiskClassifier
    from lifecycle_ml.outcomes.splits import PurgedTimeSplit
    from lifecycle_ml.workspace import load_workspace

__all__ = [
    "IN_FORCE",
    "Feature",
    "PurgedTimeSplit",
    "RiskClassifier",
    "build_matrix",
    "change",
    "count",
    "days_since",
    "days_until",
    "distinct",
    "first_of",
    "greatest",
    "largest",
    "latest",
    "load_workspace",
    "mean",
    "own_past",
    "present",
    "share",
    "total",
]

_HOME = {
    "PurgedTimeSplit": "lifecycle_ml.outcomes.splits",
    "RiskClassifier": "lifecycle_ml.models.classifier",
    "Feature": "lifecycle_ml.matrix.feature",
    "build_matrix": "lifecycle_ml.matrix.build",
    "load_workspace": "lifecycle_ml.workspace",
}


def __getattr__(name: str) -> Any:
    # Importing the package stays light: the libraries behind a name load when the name is first used.
    if name not in __all__:
        raise AttributeError(f"module 'lifecycle_ml' has no attribute {name!r}")
    value = getattr(import_module(_HOME.get(name, "lifecycle_ml.matrix.measures")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
