"""What does each family of features add?

    python -m benchmarks.families --seeds 4 --accounts 1500 --out out/families.jsonl
    python -m benchmarks.families --recipe expansion --seeds 4 --accounts 1500 --out out/families_growth.jsonl

A family is the file a feature is defined in and its kind: level, own past, peers, series (slope, streak,
spread), recency, or lag bucket. On every company (simulated ones, and the third-party workspaces of examples/
where their tables are there) the product's classifier is trained at the last cut-offs on what was known then,
and ranks the dates after them: with every feature, with those of accounts and contracts alone, with every
feature but one family, and with accounts, contracts and one family. Only the headline horizon counts, and
probabilities are as the trees give them: families are compared with each other, not with what is served.

One JSON line per company is written as it is done; a run that was stopped goes on where it ended. The summary
takes companies as the unit. A difference within two standard errors of nothing is nothing.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from benchmarks.company_matrix import STANDARD, build_company
from benchmarks.result_lines import add_line, read_lines
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import Feature, FeatureSet
from lifecycle_ml.matrix.load import load_features, read_features
from lifecycle_ml.matrix.nodes import DaysSince, Measure, Peers, Rows
from lifecycle_ml.matrix.series import OwnPast, Series
from lifecycle_ml.models.classifier import RiskClassifier
from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.outcomes.recipe import Recipe, load_recipe
from lifecycle_ml.outcomes.snapshots import snapshots
from lifecycle_ml.outcomes.splits import known_at_cutoff, rolling_origins
from lifecycle_ml.promotion.backtest import capacity_of
from lifecycle_ml.promotion.training import inputs_of, require_tables
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.source import read_tables
from lifecycle_ml.workspace import Workspace, load_workspace, standard_root

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FIRST_SEED = 8201
"""Seeds from here on chose no feature."""
ENTITY = frozenset({"accounts", "contracts"})
"""What is known of a customer who is never watched."""
WEEK = 7
"""Windows of so many days or fewer are buckets of their own."""
ALL, ENTITY_ALONE = "all", "accounts_and_contracts"
SIGNS = {"average_precision": 1, "auroc": 1, "log_loss": -1}
LITTLE = 0.001
"""A share of contributions that is not worth much."""

EXAMPLES = {
    "churnsim_crm5": date(2024, 1, 1),
    "dpdk_orgs": date(2026, 7, 1),
    "online_retail_ii": date(2011, 12, 1),
    "ravenstack": date(2025, 1, 1),
}
"""Third-party workspaces, and the day up to which their tables are read."""


@dataclass(frozen=True)
class Snapshots:
    """A company's labelled matrix, and the definitions behind its columns."""

    name: str
    recipe: Recipe
    features: FeatureSet
    matrix: pd.DataFrame
    labels: pd.DataFrame
    inputs: Mapping[str, int]
    data_through: date

    @property
    def outcome(self) -> Floats:
        """Outcomes at the headline horizon, NaN where not yet known."""
        column = self.labels[label_column(self.recipe.label.headline_days)]
        return column.to_numpy(dtype=np.float64, na_value=np.nan)


@dataclass(frozen=True)
class Fold:
    """Rows to learn from and rows to rank, at one cut-off."""

    train: Flags
    test: Flags


def kind_of(feature: Feature) -> str:
    """Return what kind of measure a feature is; the first that fits."""
    measure = feature.value
    if isinstance(measure, Peers):
        return "peers"
    found = list(_walk(measure))
    if any(isinstance(part, Series) and not isinstance(part, OwnPast) for part in found):
        return "series"
    rows = [part for part in found if isinstance(part, Rows)]
    windows = [row for row in rows if row.days is not None] or rows
    if any(row.ago for row in rows) and all(row.ago for row in windows):
        return "lag bucket"
    if windows and all(row.days is not None and row.days <= WEEK for row in windows):
        return "lag bucket"
    if any(isinstance(part, OwnPast) for part in found) or any(row.ago for row in rows):
        return "own past"
    if any(isinstance(part, DaysSince) for part in found):
        return "recency"
    return "level"


def _walk(measure: Measure) -> Iterator[Measure]:
    """Walk a measure and what it is made of; of a series only what is measured in it counts."""
    yield measure
    children = () if isinstance(measure, Series) else measure.children
    for child in children:
        yield from _walk(child)


def families_of(workspace: Workspace, features: FeatureSet) -> dict[str, str]:
    """Return the family of every feature: file and kind, `usage: own past`."""
    home = {
        feature.name: path.stem
        for path in workspace.files("features", ".py").values()
        for feature in read_features(path)
    }
    return {feature.name: f"{home[feature.name]}: {kind_of(feature)}" for feature in features}


def last_folds(company: Snapshots, count: int) -> list[Fold]:
    """Return the last cut-offs of the recipe: headline labels known then, and the dates tested after."""
    horizon, outcome = company.recipe.label.headline_days, company.outcome
    as_of = company.matrix["as_of"].to_numpy()
    dates = [stamp.date() for stamp in sorted(company.matrix["as_of"].unique().tolist())]
    folds = []
    for fold in rolling_origins(dates, company.recipe, company.data_through)[-count:]:
        known = known_at_cutoff(as_of, horizon, fold.cutoff, company.recipe) & ~np.isnan(outcome)
        test = np.isin(as_of, np.asarray(fold.test_dates, dtype=as_of.dtype)) & ~np.isnan(outcome)
        events = outcome[known]
        if test.any() and events.any() and not events.all():
            folds.append(Fold(known, test))
    return folds


def fit(company: Snapshots, fold: Fold, names: Sequence[str], members: int, threads: int) -> RiskClassifier:
    """Fit the recipe's classifier on what was known at the fold's cut-off, with these features."""
    estimator = company.recipe.estimator
    classifier = RiskClassifier(
        n_members=members,
        capacity=capacity_of(estimator),
        linear=estimator.linear,
        account_fraction=estimator.account_fraction,
        monotone={n: company.inputs[n] for n in names if company.inputs[n]} if estimator.monotone else {},
        num_threads=threads,
    )
    rows = company.matrix.loc[fold.train]
    return classifier.fit(rows[list(names)], company.outcome[fold.train], groups=rows["account_id"])


def measure_company(
    company: Snapshots, families: Mapping[str, str], *, cutoffs: int, members: int, threads: int
) -> dict[str, Any]:
    """Return one company's line: figures with all, with the entity alone, without and with each family.

    `shares` are mean absolute SHAP values of the full model over the tested rows, as shares of their sum.
    """
    began = time.perf_counter()
    line: dict[str, Any] = {"company": company.name, "recipe": company.recipe.name}
    folds = last_folds(company, cutoffs)
    if not folds:
        return line | {"skipped": "no cut-off has both outcomes before it and dates after it"}
    inputs = list(company.inputs)
    entity = [name for name in inputs if set(company.features[name].tables) <= ENTITY]
    own: dict[str, list[str]] = {}
    for name in inputs:
        own.setdefault(families[name], []).append(name)
    y = np.concatenate([company.outcome[fold.test] for fold in folds])

    def figures(names: Sequence[str], models: Sequence[RiskClassifier] | None = None) -> dict[str, float]:
        fitted = models or [fit(company, fold, names, members, threads) for fold in folds]
        risks = [
            model.predict_proba(company.matrix.loc[fold.test, list(names)])[:, 1]
            for model, fold in zip(fitted, folds, strict=True)
        ]
        p = np.concatenate(risks)
        return {
            "average_precision": float(average_precision_score(y, p)),
            "auroc": float(roc_auc_score(y, p)),
            "log_loss": float(log_loss(y, p)),
        }

    whole = [fit(company, fold, inputs, members, threads) for fold in folds]
    leaned_on = np.mean(
        [
            np.abs(model.contributions(company.matrix.loc[fold.test, inputs])[:, :-1]).mean(axis=0)
            for model, fold in zip(whole, folds, strict=True)
        ],
        axis=0,
    )
    beside = {family: [name for name in names if name not in entity] for family, names in own.items()}
    return line | {
        "features": len(inputs),
        "rows": len(y),
        "events": int(y.sum()),
        ALL: figures(inputs, whole),
        ENTITY_ALONE: figures(entity) if entity else None,
        "without": {
            family: figures([name for name in inputs if name not in names]) for family, names in own.items()
        },
        "added": {family: figures([*entity, *names]) for family, names in beside.items() if names},
        "families": {name: families[name] for name in inputs},
        "shares": dict(zip(inputs, (leaned_on / max(leaned_on.sum(), 1e-12)).round(6).tolist(), strict=True)),
        "seconds": round(time.perf_counter() - began, 1),
    }


def simulated(seed: int, accounts: int, recipe_name: str) -> Snapshots:
    """Return a simulated company with the standard features."""
    company = build_company(seed, accounts, recipe_name=recipe_name)
    return Snapshots(
        name=f"simulated {seed}",
        recipe=company.recipe,
        features=load_features(STANDARD),
        matrix=company.matrix,
        labels=company.labels,
        inputs=company.inputs,
        data_through=company.data_through,
    )


def third_party(name: str, data: Path, recipe_name: str) -> Snapshots:
    """Return a third-party workspace's company: its own features beside the standard ones."""
    workspace = load_workspace(standard_root() / "examples" / name)
    settings = Settings.read(workspace.root, {**_environment(), "LIFECYCLE_SOURCE_URL": str(data / name)})
    tables = read_tables(workspace, settings)
    recipe = load_recipe(workspace, recipe_name)
    require_tables(recipe, tables.names)
    features = load_features(workspace).available(tables)
    labels = snapshots(tables, recipe, EXAMPLES[name])
    matrix = build_matrix(tables, features, labels[["account_id", "as_of", "known_at"]])
    return Snapshots(
        name=name,
        recipe=recipe,
        features=features,
        matrix=matrix,
        labels=labels,
        inputs=inputs_of(features, recipe),
        data_through=EXAMPLES[name],
    )


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("LIFECYCLE_")}


def summarise(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return the tables: every company, what each family adds over companies, and what contributes nothing.

    Log loss is turned round, so that more is better in every column.
    """
    told = [line for line in lines if "skipped" not in line]
    parts = ["company: features, rows, events; all; accounts and contracts alone"]
    for line in told:
        alone = line[ENTITY_ALONE]
        parts.append(
            f"{line['company']}: {line['features']}, {line['rows']}, {line['events']}; "
            f"{_written(line[ALL])}; {_written(alone) if alone else 'none of them is here'}"
        )
    families = sorted({family for line in told for family in line["families"].values()})
    for title, chosen in (
        ("simulated", [line for line in told if line["company"].startswith("simulated")]),
        *((line["company"], [line]) for line in told if line["company"] in EXAMPLES),
    ):
        rows = {family: _row(chosen, family) for family in families}
        table = pd.DataFrame.from_dict({k: v for k, v in rows.items() if v}, orient="index")
        if len(table):
            parts.append(f"\n{title}\n{table.to_string()}")
    shares = pd.DataFrame({line["company"]: line["shares"] for line in told})
    most = shares.max(axis=1).sort_values()
    parts.append(f"\ncontribute nothing anywhere: {', '.join(most.index[most == 0]) or 'none'}")
    little = most[(most > 0) & (most < LITTLE)]
    parts.append(f"at most {LITTLE:.1%} anywhere: {', '.join(little.index) or 'none'}")
    return "\n".join(parts)


def _row(lines: Sequence[Mapping[str, Any]], family: str) -> dict[str, str]:
    """Return what a family adds to these companies; empty where none has it."""
    having = [line for line in lines if family in line["without"]]
    if not having:
        return {}
    own = [[name for name, one in line["families"].items() if one == family] for line in having]
    row = {
        "features": str(max(len(names) for names in own)),
        "share": f"{np.mean([sum(h['shares'][n] for n in o) for h, o in zip(having, own, strict=True)]):.1%}",
    }
    for figure, sign in SIGNS.items():
        lost = [sign * (line[ALL][figure] - line["without"][family][figure]) for line in having]
        gained = [
            sign * (line["added"][family][figure] - line[ENTITY_ALONE][figure])
            for line in having
            if family in line["added"] and line[ENTITY_ALONE]
        ]
        row[f"{figure} last in"] = _mean(lost)
        row[f"{figure} first in"] = _mean(gained)
    return row


def _written(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


def _mean(values: Sequence[float]) -> str:
    """Return the mean over companies, with its standard error where there are several."""
    if not values:
        return ""
    error = f" ± {np.std(values, ddof=1) / np.sqrt(len(values)):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):+.4f}{error}"


def main() -> None:
    """Measure the companies that are missing in the file, then print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="churn")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--accounts", type=int, default=1500)
    parser.add_argument("--cutoffs", type=int, default=2, help="the last so many cut-offs of the recipe")
    parser.add_argument("--members", type=int, default=3, help="models a bag averages; the product takes 10")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("THIRD_PARTY_DATA") or os.environ.get("LIFECYCLE_SOURCE_URL"),
        help="folder with a folder of tables per third-party workspace",
    )
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    done = {(line["company"], line["recipe"]) for line in read_lines(chosen.out)}

    wanted: dict[str, Callable[[], Snapshots]] = {}
    for seed in range(chosen.first_seed, chosen.first_seed + chosen.seeds):
        wanted[f"simulated {seed}"] = lambda seed=seed: simulated(seed, chosen.accounts, chosen.recipe)
    for name in EXAMPLES:
        if chosen.data is None or not (chosen.data / name).is_dir():
            print(f"{name}: skipped, its tables are not in {chosen.data or 'any folder named by --data'}")
        else:
            wanted[name] = lambda name=name: third_party(name, chosen.data, chosen.recipe)
    for name, build in wanted.items():
        if (name, chosen.recipe) in done:
            continue
        try:
            company = build()
        except ConfigError as error:
            print(f"{name}: skipped, {error}")
            continue
        workspace = load_workspace(standard_root() / "examples" / name) if name in EXAMPLES else STANDARD
        line = measure_company(
            company,
            families_of(workspace, company.features),
            cutoffs=chosen.cutoffs,
            members=chosen.members,
            threads=chosen.threads,
        )
        add_line(chosen.out, line)
        print(f"{name}: {line.get('skipped') or _written(line[ALL])}", flush=True)
    print(summarise([line for line in read_lines(chosen.out) if line["recipe"] == chosen.recipe]))


if __name__ == "__main__":
    main()
