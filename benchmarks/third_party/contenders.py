"""What is compared: steps, each of which gives one or more contenders' probabilities for the judged rows."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from benchmarks.flat_tables.contenders import CONTENDERS, missing_package
from benchmarks.third_party.companies import ENTITY, PURCHASES, USAGE, Company, purchase_days

from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.models.horizons import HorizonModel
from lifecycle_ml.models.logistic import sigmoid
from lifecycle_ml.models.tiers import Tier
from lifecycle_ml.promotion.backtest import LOGISTIC, MODEL, UNSEEN, Backtest, backtest, fit_model
from lifecycle_ml.promotion.challenger import try_challenger
from lifecycle_ml.workspace import Workspace, standard_root

Floats = npt.NDArray[np.float64]

ENTITY_ALONE, WITH_USAGE = "accounts_and_contracts", "with_usage"
CATBOOST, BGNBD = "catboost", "bgnbd"
OURS, OURS_STANDARD = "ours", "ours_standard_features"
REFITTED = ("logreg", "lgbm_default", "lgbm_reg", CATBOOST)
"""Plain models on the same rows and columns as ours (`benchmarks.flat_tables`)."""


@dataclass(frozen=True)
class Outcome:
    """What a step gave: probabilities per contender, in the order of `Company.judged`, and what it says."""

    p: Mapping[str, Floats]
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What a step may use beside the company: threads, and a Python that has lifetimes."""

    threads: int
    lifetimes: Path | None


Step = Callable[[Company, Context], Outcome]


def steps_on_own_dates(name: str, context: Context) -> dict[str, Step]:
    """Return the steps to take on the recipe's dates, by name; those that cannot be taken are left out."""
    steps: dict[str, Step] = {
        "product": product,
        ENTITY_ALONE: lambda company, c: subset(company, c, ENTITY_ALONE, ENTITY),
        WITH_USAGE: lambda company, c: subset(company, c, WITH_USAGE, ENTITY | {USAGE}),
    }
    if missing_package(CATBOOST) is None:
        steps[CATBOOST] = lambda company, c: plain(company, c, CATBOOST)
    if name in PURCHASES and context.lifetimes is not None:
        steps[BGNBD] = bgnbd
    return steps


def steps_on_anchor_dates(name: str, context: Context) -> dict[str, Step]:
    """Return the steps to take on the cut-offs of published figures."""
    steps: dict[str, Step] = {
        OURS: lambda company, c: ours(company, c, OURS, company.inputs),
        OURS_STANDARD: lambda company, c: ours(company, c, OURS_STANDARD, standard_inputs(company)),
    }
    for method in REFITTED:
        if missing_package(method) is None:
            steps[method] = lambda company, c, method=method: plain(company, c, method)
    if name in PURCHASES and context.lifetimes is not None:
        steps[BGNBD] = bgnbd
    return steps


def product(company: Company, context: Context) -> Outcome:
    """Try the recipe as a training does: model, unseen accounts, logistic regression, rules, and the gate."""
    trial = try_challenger(
        company.matrix,
        company.labels,
        company.inputs,
        company.recipe,
        company.data_through,
        num_threads=context.threads,
        draws=500,
    )
    tried = trial.backtest
    if tried is None:
        raise ValueError(f"{company.name}: no model was tried; tier {trial.tier.name}.")
    _same_rows(company, tried)
    names = [*(n for n in (MODEL, UNSEEN, LOGISTIC) if n in tried.probabilities), *tried.rules]
    known = trial.matrix.loc[~np.isnan(company.outcome)]
    return Outcome(
        {name: tried.at_headline(name) for name in names},
        {
            "tier": trial.tier.name,
            "features": len(company.inputs),
            "refusals": [refusal.to_json() for refusal in trial.refusals],
            "snapshots": len(known),
            "accounts": int(known["account_id"].nunique()),
            "cutoffs": [day.isoformat() for day in tried.cutoffs],
            "dates": sorted({f"{day:%Y-%m-%d}" for day in tried.rows["as_of"]}),
            "chosen": _chosen(tried.last.model if tried.last else None),
        },
    )


def subset(company: Company, context: Context, name: str, tables: frozenset[str]) -> Outcome:
    """Try the same model with those features alone that rest on these tables; none where all do."""
    inputs = company.inputs_from(tables)
    about = {"features": len(inputs)}
    if not inputs or len(inputs) == len(company.inputs):
        return Outcome({}, about)
    tried = backtest(
        company.matrix,
        company.labels,
        inputs,
        company.recipe,
        company.data_through,
        Tier("full", 0, 0),
        seed=0,
        num_threads=context.threads,
        progress=lambda *_: None,
    )
    assert tried is not None
    _same_rows(company, tried)
    return Outcome({name: tried.at_headline(MODEL)}, about)


def plain(company: Company, context: Context, method: str) -> Outcome:
    """Fit a plain model at each cut-off on the rows whose headline label was known, on the same columns."""
    columns, outcome = list(company.inputs), company.outcome
    rows = _plain_columns(company.matrix[columns])
    parts = []
    for fold in company.folds:
        train = rows[fold.train]
        # a column nobody has a value in tells nothing, and some libraries stop at it
        train = train[[name for name in columns if train[name].notna().any()]]
        test = rows.loc[fold.test, train.columns]
        said = CONTENDERS[method](train, outcome[fold.train].astype(int), test, context.threads)
        parts.append(said.p)
    return Outcome({method: np.concatenate(parts)})


def ours(company: Company, context: Context, name: str, inputs: Mapping[str, int]) -> Outcome:
    """Fit the product's model once on the training rows; probabilities as it gives them, not calibrated."""
    (fold,) = company.folds
    model = fit_model(
        company.matrix[fold.train].reset_index(drop=True),
        company.labels[fold.train].reset_index(drop=True),
        inputs,
        company.recipe,
        trees=True,
        seed=0,
        num_threads=context.threads,
    )
    raw = model.raw(company.matrix[fold.test])[:, 0]
    p = sigmoid(raw + model.starts[company.recipe.label.headline_days])
    train = company.matrix[fold.train]
    return Outcome(
        {name: p},
        {
            "features": len(inputs),
            "train_rows": len(train),
            "train_accounts": int(train["account_id"].nunique()),
            "train_rate": float(company.outcome[fold.train].mean()),
            "chosen": _chosen(model),
        },
    )


def standard_inputs(company: Company) -> dict[str, int]:
    """Return the inputs of the standard catalogue, without the workspace's own definitions."""
    standard = load_features(Workspace(root=standard_root(), standard=standard_root())).names
    return {name: sign for name, sign in company.inputs.items() if name in standard}


def bgnbd(company: Company, context: Context) -> Outcome:
    """BG/NBD fitted at each cut-off on all customers' purchases before it; it needs no labels."""
    days, parts = purchase_days(company), []
    for fold in company.folds:
        judged = company.matrix.loc[fold.test, ["account_id", "as_of"]]
        known = days.loc[days["day"] < pd.Timestamp(fold.cutoff), ["account_id"]].drop_duplicates()
        parts.append(
            _by_lifetimes(
                histories(days, known.assign(as_of=pd.Timestamp(fold.cutoff))),
                histories(days, judged).assign(horizon_days=company.recipe.label.headline_days),
                context.lifetimes,
            )
        )
    return Outcome({BGNBD: np.concatenate(parts)})


def histories(days: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return each row's purchases before as_of: repeats (days after the first), last and age in days.

    rows: account_id and as_of, each with a purchase before; the result keeps their order.
    """
    keyed = rows.reset_index(drop=True).rename_axis("row").reset_index()
    pairs = keyed.merge(days, on="account_id")
    pairs = pairs[pairs["day"] < pairs["as_of"]]
    found = pairs.groupby("row").agg(
        first=("day", "min"), latest=("day", "max"), bought=("day", "size"), as_of=("as_of", "first")
    )
    found = found.reindex(keyed["row"])
    return pd.DataFrame(
        {
            "repeats": found["bought"] - 1,
            "last": (found["latest"] - found["first"]).dt.days,
            "age": (found["as_of"] - found["first"]).dt.days,
        }
    )


def _by_lifetimes(known: pd.DataFrame, asked: pd.DataFrame, python: Path | None) -> Floats:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        known.to_csv(folder / "fit.csv", index=False)
        asked.to_csv(folder / "score.csv", index=False)
        script = Path(__file__).parent / "with_lifetimes.py"
        done = subprocess.run(
            [str(python), str(script), str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"with_lifetimes.py: {done.stderr.strip()[-2000:]}")
        return pd.read_csv(folder / "answer.csv")["p"].to_numpy(dtype=np.float64)


def _plain_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return numbers as floats and everything else as text."""
    typed = {
        name: frame[name].astype("float64")
        if pd.api.types.is_numeric_dtype(frame[name]) or pd.api.types.is_bool_dtype(frame[name])
        else frame[name].astype("object").where(frame[name].notna(), None)
        for name in frame
    }
    return pd.DataFrame(typed, index=frame.index)


def _chosen(model: Any) -> dict[str, float] | None:
    """Return what the classifier chose for itself."""
    if not isinstance(model, HorizonModel) or model.classifier is None:
        return None
    chosen = model.classifier.chosen_
    return {
        "leaves": chosen.trees.n_leaves,
        "trees": chosen.trees.n_trees,
        "tree_weight": round(float(chosen.tree_weight), 3),
        "linear_weight": round(float(chosen.linear_weight), 3),
    }


def _same_rows(company: Company, tried: Backtest) -> None:
    rows, judged = tried.rows, company.judged()
    if not (
        len(rows) == len(judged)
        and (rows["account_id"].to_numpy() == judged["account_id"].to_numpy()).all()
        and (rows["as_of"].to_numpy() == judged["as_of"].to_numpy()).all()
        and (tried.y == judged["y"].to_numpy()).all()
    ):
        raise ValueError(f"{company.name}: {len(rows)} rows were judged, not the {len(judged)} expected.")
