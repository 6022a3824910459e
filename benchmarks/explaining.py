"""How fast are accounts scored and explained, beside shap.TreeExplainer on the same models?

    python -m benchmarks.explaining --out out/explaining.jsonl

Two models trained as the product trains them, churn and expansion, on one simulated company; its snapshots
are repeated, with values that are no whole numbers moved a little, up to 100,000 rows. In turn, so that
whatever else the machine does hits each alike: ours (scores, churn at 90 days in shares, stability and
sentences, expansion at 180 days and its contributions), and shap.TreeExplainer over the ten members of each
model, which gives contributions alone. shap answers a sample of the rows and its time is scaled up; half the
sample shows whether that is fair. Then one account, and the most memory a process of its own held.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.company_matrix import STANDARD, build_company
from benchmarks.one_scan.measuring import Report, Times, added, clocked, machine, peak_memory, take_turns

from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.models.block import Block, Matrix
from lifecycle_ml.models.bundle import Bundle, load
from lifecycle_ml.reasons.explain import CHUNK, Explanations, explain
from lifecycle_ml.reasons.taxonomy import load_taxonomy

SEED, ACCOUNTS = 7501, 1_500
RECIPES = ("churn", "expansion")
FLAGGED = 0.3
"""Share of accounts that are red or yellow where sentences are written for these alone."""
MOVED = 0.02
"""Spread by which values that are no whole numbers are moved in every repetition."""
TIMES_SHAP, TIMES_ONE = 3.0, 5.0
"""Targets: so many times faster than shap; one account in so many times the bare calls."""
FEATURES = load_features(STANDARD)
TAXONOMY = load_taxonomy(STANDARD, FEATURES.names)


def prepare(home: Path, accounts: int, threads: int) -> None:
    """Train both models and keep them with the company's snapshots under `home`; kept ones are used again."""
    if (home / "matrix.parquet").exists():
        return
    for recipe in RECIPES:
        company = build_company(SEED, accounts, recipe_name=recipe)
        challenger = company.challenger(threads, draws=50)
        if challenger.bundle is None:
            raise SystemExit(f"{recipe}: too few outcomes among {accounts} accounts; give more --accounts.")
        challenger.bundle.save(home / recipe)
    company.matrix.to_parquet(home / "matrix.parquet")


def many_rows(home: Path, count: int) -> pd.DataFrame:
    """Return `count` rows: the snapshots over and over, each with an account_id of its own."""
    snapshots = pd.read_parquet(home / "matrix.parquet")
    random = np.random.default_rng(0)
    rows = snapshots.iloc[np.arange(count) % len(snapshots)].reset_index(drop=True)
    for name in rows.select_dtypes("float64"):
        values = rows[name].to_numpy()
        whole = np.round(values) == values
        rows[name] = np.where(whole, values, values * (1 + MOVED * random.standard_normal(count)))
    rows["account_id"] = [f"{name}-{at}" for at, name in enumerate(rows["account_id"])]
    return rows.copy()  # in one piece, as a matrix is built


def score_and_explain(bundle: Bundle, rows: Matrix, share: float = 1.0) -> Explanations:
    """Score churn and explain it; sentences for the `share` of the accounts with the highest risk."""
    scores = bundle.score(rows)
    flagged = None
    if share < 1:
        risk = scores["risk"]
        flagged = frozenset(scores.loc[risk >= risk.quantile(1 - share), "account_id"])
    return explain(bundle, rows, FEATURES, TAXONOMY, sentences_for=flagged)


def score_and_contribute(bundle: Bundle, rows: pd.DataFrame) -> float:
    """Score expansion and work out its contributions, a chunk at a time; it has no reasons."""
    total = float(bundle.score(rows)["risk"].sum())
    return total + contribute(bundle, rows)


def contribute(bundle: Bundle, rows: pd.DataFrame) -> float:
    """Work out contributions alone, a chunk at a time."""
    return sum(
        float(bundle.contributions(rows.iloc[start : start + CHUNK], bundle.headline).values.sum())
        for start in range(0, len(rows), CHUNK)
    )


def encoded(bundle: Bundle, rows: pd.DataFrame) -> np.ndarray:
    """Return what the members of a bag are asked about: rows as they stand at the headline horizon."""
    return bundle.model.inputs(rows, bundle.headline)


def with_shap(bundles: list[Bundle], inputs: list[np.ndarray]) -> Callable[[], list[np.ndarray]]:
    """Return a run of shap.TreeExplainer over all members; its explainers are made beforehand."""
    import shap

    explainers = [[shap.TreeExplainer(member) for member in each.model.bag.members] for each in bundles]

    def run() -> list[np.ndarray]:
        return [
            np.mean([np.asarray(one.shap_values(X)) for one in each], axis=0)
            for each, X in zip(explainers, inputs, strict=True)
        ]

    return run


def compare_batches(
    report: Report, bundles: list[Bundle], rows: pd.DataFrame, sample: int, rounds: int
) -> None:
    """Time everything in turn and hold it against the target."""
    churn, expansion = bundles
    some = [encoded(each, rows.head(sample)) for each in bundles]
    half = [X[: sample // 2] for X in some]
    scale = len(rows) / sample
    times = take_turns(
        {
            "all": lambda: len(score_and_explain(churn, rows)),
            "flagged": lambda: len(score_and_explain(churn, rows, FLAGGED)),
            "expansion": lambda: score_and_contribute(expansion, rows),
            "contributions": lambda: contribute(churn, rows) + contribute(expansion, rows),
            "shap": with_shap(bundles, some),
            "shap, half": with_shap(bundles, half),
        },
        rounds,
    )
    shap = _scaled(times["shap"], scale)
    size = f"{len(rows):,} rows"
    report.heading("100,000 accounts", f"{size}, {rounds} rounds in turn; shap on {sample:,}, scaled")
    report.line("batch", "shap.TreeExplainer, contributions of both models", size, shap)
    linear = times["shap"].median / times["shap, half"].median
    report.line("batch", "shap on twice the rows", f"{sample:,} rows", said=f"{linear:.2f} times")
    for name, parts in (
        ("ours: all, with every sentence", ("all", "expansion")),
        (f"ours: all, sentences for {FLAGGED:.0%}", ("flagged", "expansion")),
    ):
        ours = added([times[part] for part in parts])
        faster = shap.median / ours.median
        report.line(
            "batch",
            name,
            size,
            ours,
            against=shap,
            target=f"{TIMES_SHAP:.0f} times faster",
            met=faster >= TIMES_SHAP,
            said=f"{faster:.1f} times faster",
        )
    report.line("batch", "  of it churn: scores, shares, every sentence", size, times["all"], against=shap)
    report.line("batch", "  of it expansion: scores, contributions", size, times["expansion"], against=shap)
    report.line("batch", "ours, contributions alone", size, times["contributions"], against=shap)
    worst = 0.0
    for bundle, theirs in zip(bundles, times["shap"].answer, strict=True):
        X = encoded(bundle, rows.head(sample))
        ours = bundle.model.bag.contributions(X)[:, :-1]
        line = bundle.model.bag.line
        if line is not None:
            ours = ours - line.contributions(X, line.weights.mean(axis=0))
        worst = max(worst, float(np.abs(ours - bundle.model.bag.tree_weight * theirs).max()))
    report.line("batch", "largest difference from shap, log-odds", f"{sample:,} rows", said=f"{worst:.1e}")


def compare_one(report: Report, bundles: list[Bundle], rows: pd.DataFrame, rounds: int) -> None:
    """Time one account after the other against the bare calls of the same two bags.

    The processor's time decides: one account takes so little that other work sways the clock.
    """
    churn, expansion = bundles
    ours, bare = [], []
    for at in range(rounds + 5):  # the first five fill caches
        row = rows.iloc[[at]].reset_index(drop=True)
        inputs = [encoded(each, row) for each in bundles]

        def call(inputs: list[np.ndarray] = inputs) -> None:
            for each, X in zip(bundles, inputs, strict=True):
                for member in each.model.bag.members:
                    member.predict(X, pred_contrib=True, num_threads=1)

        def answer(row: pd.DataFrame = row) -> None:
            block = Block.of(row)
            score_and_explain(churn, block)
            expansion.score(block)

        bare.append(clocked(call))
        ours.append(clocked(answer))
    mine, theirs = (median(each.processor for each in taken[5:]) * 1e3 for taken in (ours, bare))
    passed, theirs_passed = (median(each.seconds for each in taken[5:]) * 1e3 for taken in (ours, bare))
    report.heading("one account", f"{rounds} accounts, medians")
    report.line(
        "one",
        "churn scored and explained, expansion scored",
        "1 row",
        target=f"{TIMES_ONE:.0f} times",
        met=mine <= TIMES_ONE * theirs,
        said=(
            f"{mine:.1f} ms of the processor, bare pred_contrib of both bags {theirs:.1f} ms: "
            f"{mine / theirs:.1f} times; {passed:.1f} and {theirs_passed:.1f} ms by the clock"
        ),
    )


def measure_memory(home: Path, count: int, threads: int) -> dict[str, float]:
    """Score and explain in this process and return the most memory held before and after, in GB."""
    churn, expansion = (load(home / recipe, num_threads=threads) for recipe in RECIPES)
    rows = many_rows(home, count)
    before = peak_memory()
    score_and_contribute(expansion, rows)
    numbers = peak_memory()
    kept = score_and_explain(churn, rows)
    return {
        "rows": len(kept),
        "before": before / 1e9,
        "expansion": numbers / 1e9,
        "peak": peak_memory() / 1e9,
    }


def report_memory(report: Report, home: Path, counts: tuple[int, ...], threads: int) -> None:
    """Start a process for each number of rows."""
    report.heading("memory", "most held by a process of its own: matrix made, then all explained")
    for count in counts:
        command = [sys.executable, "-m", "benchmarks.explaining", "--home", str(home), "--memory", str(count)]
        done = subprocess.run(
            [*command, "--threads", str(threads)], check=True, capture_output=True, text=True
        )
        found = json.loads(done.stdout)
        said = (
            f"{found['before']:.2f} GB with the matrix alone, {found['expansion']:.2f} GB with expansion, "
            f"{found['peak']:.2f} GB with {count:,} explanations and their sentences kept"
        )
        report.line("memory", "ours", f"{count:,} rows", said=said, **found)


def _scaled(times: Times, scale: float) -> Times:
    return Times([each * scale for each in times.seconds], [each * scale for each in times.processor])


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, default=Path("out/explaining"), help="models and snapshots")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS, help="of the company models learn from")
    parser.add_argument("--rows", type=int, default=100_000, help="accounts scored and explained")
    parser.add_argument("--sample", type=int, default=10_000, help="rows shap answers in a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, all in turn")
    parser.add_argument("--threads", type=int, default=2, help="of ours; shap takes all cores")
    parser.add_argument("--out", type=Path, default=None, help="JSON lines are added to this file")
    parser.add_argument("--memory", type=int, default=0, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.memory:
        print(json.dumps(measure_memory(chosen.home, chosen.memory, chosen.threads)))
        return
    prepare(chosen.home, chosen.accounts, chosen.threads)
    bundles = [load(chosen.home / recipe, num_threads=chosen.threads) for recipe in RECIPES]
    report = Report(chosen.out)
    about = machine()
    about["versions"] |= {name: version(name) for name in ("lightgbm", "shap")}
    report.keep({"part": "machine", **about})
    print(f"{about['cores']} cores, load {about['load']}, {about['versions']}")
    for bundle in bundles:
        bag = bundle.model.bag
        began = time.perf_counter()
        tables = bag.tables
        took = time.perf_counter() - began
        found: dict[str, Any] = {
            "members": len(bag.members),
            "trees": sum(member.num_trees() for member in bag.members),
            "features": len(bundle.features),
            "tabulated": tables is not None,
            "seconds_to_tabulate": round(took, 3),
        }
        report.keep({"part": "model", "recipe": bundle.name, **found})
        print(bundle.name, found)
    rows = many_rows(chosen.home, chosen.rows)
    compare_one(report, bundles, rows, 200)
    compare_batches(report, bundles, rows, chosen.sample, chosen.rounds)
    del rows
    report_memory(report, chosen.home, (chosen.rows // 2, chosen.rows), chosen.threads)


if __name__ == "__main__":
    main()
