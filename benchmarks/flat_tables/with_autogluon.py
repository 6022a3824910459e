"""AutoGluon, medium quality without neural nets: run inside an environment that has autogluon.tabular."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
from autogluon.tabular import TabularPredictor

NEURAL = ["NN_TORCH", "FASTAI"]


def main() -> None:
    """Fit on train.parquet of the folder named, write the probabilities of test.parquet."""
    folder = Path(sys.argv[1])
    asked = json.loads((folder / "asked.json").read_text(encoding="utf-8"))
    predictor = TabularPredictor(
        asked["label"], problem_type="binary", eval_metric="roc_auc", path=str(folder / "models"), verbosity=0
    )
    predictor.fit(
        pd.read_parquet(folder / "train.parquet"),
        presets="medium_quality",
        time_limit=asked["seconds"],
        num_bag_folds=5,
        num_stack_levels=0,
        excluded_model_types=NEURAL,
        num_cpus=asked["threads"],
        ag_args_ensemble={"fold_fitting_strategy": "sequential_local"},
    )
    p = predictor.predict_proba(pd.read_parquet(folder / "test.parquet"))[1]
    pd.DataFrame({"p": p.to_numpy()}).to_parquet(folder / "answer.parquet", index=False)


if __name__ == "__main__":
    main()
