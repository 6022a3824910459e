"""How MLflow loads a registered bundle (`mlflow.pyfunc.load_model("models:/churn@champion")`): no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from lifecycle_ml.models.bundle import Bundle


class ServedBundle:
    """A bundle behind MLflow's one method."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score a matrix: account_id, as_of and the bundle's features in, `Bundle.score` out."""
        del params
        return self.bundle.score(model_input)


def _load_pyfunc(path: str) -> ServedBundle:
    return ServedBundle(Bundle.load(Path(path)))
