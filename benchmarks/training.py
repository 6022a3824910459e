"""What does a training cost beside the bags it ends with, and a score beside LightGBM's own predict?

    python -m benchmarks.training --out out/training.jsonl

One simulated company of 2,000 accounts and 36 snapshot dates, product defaults. Trained: churn and
expansion, from the matrix to bundle, figures and gate, as `lifecycle train` does it without MLflow. Beside it
the last of its fits alone: the bags on all that is known, in the capacity the training chose. Scored: 100,000
rows with the churn bag at all its horizons, beside LightGBM's predict of the same members on encoded rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.company_matrix import CompanyMatrix, build_company
from benchmarks.one_scan.measuring import Report, added, machine, take_turns

from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.horizons import HorizonModel, outcome_matrix
from lifecycle_ml.promotion.backtest import Model, chosen_by, fit_model
from lifecycle_ml.promotion.challenger import Challenger

SEED = 7701
RECIPES = ("churn", "expansion")
DRAWS = 1000
TIMES_BAGS, TIMES_PREDICT = 12, 2


def fit_alone(company: CompanyMatrix, challenger: Challenger, threads: int) -> Model:
    """Fit the model that would serve once more, in the capacity its training chose."""
    trial = challenger.backtest
    if trial is None or trial.last is None or challenger.tier.name != "full":
        raise SystemExit(f"{company.recipe.name}: too few outcomes for trees; give more --accounts.")
    known = company.labels
    if "too_late" in known:
        known = known[~known["too_late"]]
    outcomes = outcome_matrix(known, company.recipe.label.horizons_days)
    known = known[~np.isnan(outcomes).all(axis=1)]
    return fit_model(
        company.matrix.loc[known.index].reset_index(drop=True),
        known.reset_index(drop=True),
        company.inputs,
        company.recipe,
        trees=True,
        chosen=chosen_by(trial.last.model),
        seed=0,
        num_threads=threads,
    )


def compare_training(report: Report, companies: list[CompanyMatrix], threads: int, rounds: int) -> Challenger:
    """Time whole trainings and final fits in turn; return churn's challenger."""
    made = [company.challenger(threads, DRAWS) for company in companies]
    contenders: dict[str, Callable[[], Any]] = {}
    for company, challenger in zip(companies, made, strict=True):
        name = company.recipe.name
        contenders[f"{name}: trained"] = partial(company.challenger, threads, DRAWS)
        contenders[f"{name}: its bag"] = partial(fit_alone, company, challenger, threads)
    times = take_turns(contenders, rounds)
    dates = companies[0].matrix["as_of"].nunique()
    size = f"{companies[0].matrix['account_id'].nunique():,} accounts, {dates} dates"
    report.heading("training", f"{size}, {rounds} rounds in turn")
    for company in companies:
        name = company.recipe.name
        bag = times[f"{name}: its bag"]
        report.line("training", f"{name}: its bag alone", size, bag)
        report.line("training", f"{name}: trained and judged", size, times[f"{name}: trained"], against=bag)
    whole, bags = (added([times[f"{name}: {part}"] for name in RECIPES]) for part in ("trained", "its bag"))
    report.line(
        "training",
        "both",
        size,
        whole,
        against=bags,
        target=f"{TIMES_BAGS} times",
        met=whole.median <= TIMES_BAGS * bags.median,
    )
    return made[0]


def compare_scoring(report: Report, company: CompanyMatrix, bundle: Bundle, rows: int, rounds: int) -> None:
    """Time `Bundle.score` and LightGBM's predict of all members at all horizons in turn."""
    model = bundle.model
    if not isinstance(model, HorizonModel):
        raise SystemExit("no trees to score with; give more --accounts.")
    places = np.arange(rows) % len(company.matrix)
    matrix = company.matrix.iloc[places].reset_index(drop=True)
    stood = [model.inputs(matrix, horizon) for horizon in model.horizons]

    def predict() -> float:
        # one margin a row, as score() gives; all cores, as LightGBM takes them by default
        return sum(float(member.predict(X).sum()) for X in stood for member in model.bag.members)

    times = take_turns({"ours": lambda: len(bundle.score(matrix)), "theirs": predict}, rounds)
    size = f"{rows:,} rows, {len(model.horizons)} horizons"
    report.heading("scoring", f"{size}, {rounds} rounds in turn")
    report.line("scoring", "LightGBM's predict of every member", size, times["theirs"])
    report.line(
        "scoring",
        "Bundle.score",
        size,
        times["ours"],
        against=times["theirs"],
        target=f"{TIMES_PREDICT} times",
        met=times["ours"].median <= TIMES_PREDICT * times["theirs"].median,
    )


def main() -> None:
    """Measure both and print them beside what is asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=100_000, help="scored")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="append every figure as a line of JSON")
    chosen = parser.parse_args()
    report = Report(chosen.out)
    report.keep({"part": "machine", **machine()})
    companies = [build_company(SEED, chosen.accounts, recipe_name=name) for name in RECIPES]
    challenger = compare_training(report, companies, chosen.threads, chosen.rounds)
    if challenger.bundle is not None:
        compare_scoring(report, companies[0], challenger.bundle, chosen.rows, chosen.rounds)


if __name__ == "__main__":
    main()
