"""The four plain models every table is tried with, and ours: nothing is tuned, no class weights."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd
from benchmarks.flat_tables.tables import SEED, FlatTable, Labels
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from lifecycle_ml.models.classifier import RiskClassifier

OURS = "ours"
AUTOGLUON = "autogluon"
FEWEST_ROWS = 20
"""Rows a level needs for a column of its own in the logistic regression."""

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Said:
    """Probabilities of the rows judged, and what the model chose for itself, if anything."""

    p: Probabilities
    chosen: dict[str, float] | None = None


Contender = Callable[[pd.DataFrame, Labels, pd.DataFrame, int], Said]
"""Training rows and labels, rows to judge, threads -> probabilities."""


def text_columns(X: pd.DataFrame) -> list[str]:
    """Return the columns that are no numbers."""
    return [str(name) for name in X if not pd.api.types.is_numeric_dtype(X[name])]


def logistic(train: pd.DataFrame, y: Labels, test: pd.DataFrame, threads: int) -> Said:  # noqa: ARG001
    """Medians and a column that says where they stand in, one-hot levels, C = 1."""
    text = text_columns(train)
    numbers = [str(name) for name in train if name not in text]
    levels = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="(gap)"),
        OneHotEncoder(min_frequency=FEWEST_ROWS, handle_unknown="infrequent_if_exist"),
    )
    columns = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()),
                numbers,
            ),
            ("text", levels, text),
        ]
    )
    model = make_pipeline(columns, LogisticRegression(C=1.0, max_iter=2000))
    train, test = (frame.astype(dict.fromkeys(text, object)) for frame in (train, test))
    return Said(model.fit(train, y).predict_proba(test)[:, 1])


def boosted(**parameters: Any) -> Contender:
    """Return LightGBM with its own categories and these parameters."""

    def contender(train: pd.DataFrame, y: Labels, test: pd.DataFrame, threads: int) -> Said:
        categories = {
            name: pd.CategoricalDtype(sorted(train[name].dropna().unique())) for name in text_columns(train)
        }
        model = lgb.LGBMClassifier(**parameters, random_state=SEED, n_jobs=threads, verbosity=-1)
        model.fit(train.astype(categories), y)
        return Said(np.asarray(model.predict_proba(test.astype(categories)))[:, 1])

    return contender


def catboost(train: pd.DataFrame, y: Labels, test: pd.DataFrame, threads: int) -> Said:
    """CatBoost, 300 iterations, its own categories."""
    from catboost import CatBoostClassifier

    text = text_columns(train)
    train, test = (
        frame.assign(**{name: frame[name].astype(object).fillna("(gap)").astype(str) for name in text})
        for frame in (train, test)
    )
    model = CatBoostClassifier(
        iterations=300,
        cat_features=text,
        random_seed=SEED,
        thread_count=threads,
        verbose=False,
        allow_writing_files=False,
    )
    return Said(model.fit(train, y).predict_proba(test)[:, 1])


def ours(train: pd.DataFrame, y: Labels, test: pd.DataFrame, threads: int) -> Said:
    """Our classifier as it is: capacity and blend are chosen inside fit."""
    model = RiskClassifier(num_threads=threads).fit(train, y)
    chosen = model.chosen_
    return Said(
        model.predict_proba(test)[:, 1],
        {
            "leaves": chosen.trees.n_leaves,
            "trees": chosen.trees.n_trees,
            "tree_weight": round(float(chosen.tree_weight), 3),
            "line_weight": round(float(chosen.linear_weight), 3),
        },
    )


CONTENDERS: dict[str, Contender] = {
    "logreg": logistic,
    "lgbm_default": boosted(),
    "lgbm_reg": boosted(
        n_estimators=150,
        learning_rate=0.03,
        num_leaves=6,
        min_child_samples=60,
        reg_lambda=10.0,
        colsample_bytree=0.4,
        subsample=0.8,
        subsample_freq=1,
    ),
    "catboost": catboost,
    OURS: ours,
}


def missing_package(method: str) -> str | None:
    """Return why a contender cannot be tried here and how to change that, None where it can."""
    if method == "catboost" and importlib.util.find_spec("catboost") is None:
        return "catboost is not installed: pip install catboost"
    return None


def out_of_fold(table: FlatTable, method: str, threads: int) -> dict[str, Any]:
    """Return a contender's line: every row's probability from the fold that did not see it."""
    p = np.full(len(table.y), np.nan)
    seconds, chosen = [], []
    for train, test in table.folds():
        began = time.perf_counter()
        said = CONTENDERS[method](table.X.iloc[train], table.y[train], table.X.iloc[test], threads)
        seconds.append(round(time.perf_counter() - began, 2))
        p[test] = said.p
        chosen.append(said.chosen)
    return _line(table, method, p, seconds) | ({"chosen": chosen} if any(chosen) else {})


def first_fold_by_autogluon(table: FlatTable, python: Path, seconds: int, threads: int) -> dict[str, Any]:
    """Return AutoGluon's line, on the first fold only; it runs in an environment of its own."""
    train, test = table.folds()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table.X.iloc[train].assign(_label=table.y[train]).to_parquet(folder / "train.parquet", index=False)
        table.X.iloc[test].to_parquet(folder / "test.parquet", index=False)
        asked = {"label": "_label", "seconds": seconds, "threads": threads}
        (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
        began = time.perf_counter()
        done = subprocess.run(
            [python, Path(__file__).parent / "with_autogluon.py", folder],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
        if done.returncode:
            raise RuntimeError(f"with_autogluon.py: {done.stderr.strip()[-2000:]}")
        took = round(time.perf_counter() - began, 2)
        p = np.full(len(table.y), np.nan)
        p[test] = pd.read_parquet(folder / "answer.parquet")["p"].to_numpy()
    return _line(table, AUTOGLUON, p, [took])


def _line(table: FlatTable, method: str, p: Probabilities, seconds: list[float]) -> dict[str, Any]:
    shown = [None if np.isnan(one) else round(float(one), 7) for one in p]
    return {
        "set": table.name,
        "method": method,
        "rows": len(table.y),
        "events": int(table.y.sum()),
        "left_out": table.left_out,
        "seconds": seconds,
        "p": shown,
    }
