"""The champion's bag wrapped as an MLflow pyfunc: a row of features to a probability and what adds to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from lifecycle_ml.models.bundle import Bundle, load


def wrap(bundle: Path, folder: Path) -> None:
    """Save the bundle as a pyfunc in `folder`."""
    import mlflow.pyfunc

    class Scored(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
        def load_context(self, context: Any) -> None:
            self.bundle: Bundle = load(Path(context.artifacts["bundle"]))

        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
            scores = self.bundle.score(model_input)
            found = self.bundle.contributions(model_input, self.bundle.headline)
            return {
                "probability": scores[f"probability_{self.bundle.headline}d"].tolist(),
                "contributions": found.values.tolist(),
            }

    mlflow.pyfunc.save_model(
        folder, python_model=Scored(), artifacts={"bundle": str(bundle)}, pip_requirements=[]
    )


def as_split(row: pd.DataFrame) -> dict[str, Any]:
    """Return the body /invocations takes for one row of features."""
    import json

    return {"dataframe_split": json.loads(row.to_json(orient="split", date_format="iso"))}
