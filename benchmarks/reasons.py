"""Is the reason an account is given the cause it leaves for?

    python -m benchmarks.reasons --seeds 20 --out out/reasons.jsonl

Per company (2,000 accounts, three years, the standard features, recipe and taxonomy) a model is trained on
what was known 30 weeks before the end. Accounts that left after that for a cause are explained once, at the
monthly date nearest to 60 days before they left, if one lies 30 to 90 days before; none of it is seen in
training. Beside the product: the largest sum of contributions; one model's top feature mapped to its
category; the category with the most unusual feature; the cause recorded most often before. The true causes
are the generator's. One JSON line per seed is written as it is done; a stopped run goes on where it ended.
Intervals come from drawing companies.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.company_matrix import STANDARD
from benchmarks.result_lines import companies_parser, run_companies

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.outcomes.snapshots import snapshots
from lifecycle_ml.promotion.challenger import build_challenger
from lifecycle_ml.promotion.grounds import load_grounds
from lifecycle_ml.promotion.training import inputs_of, segments_of
from lifecycle_ml.reasons.explain import explain
from lifecycle_ml.simulate.company import Company, simulate_company
from lifecycle_ml.tables.schema import CATEGORIES
from lifecycle_ml.tables.source import tables_from_frames

FIRST_SEED = 8001
"""Seeds from here on were used for nothing else."""
TESTED_WEEKS = 30
STEP_DAYS = 28
NEAREST, FARTHEST, MIDDLE = 30, 90, 60
UNKNOWN = "unknown"
METHODS = ("product", "largest_sum", "single_model", "most_unusual", "most_frequent")


def readings(company: Company, first: date, last: date) -> pd.DataFrame:
    """Return account_id, as_of, cause: each leaver at its date nearest to 60 days before it left."""
    leavers = company.truth["leavers"]
    leavers = leavers[leavers["cause"] != "chance"]
    dates = pd.date_range(first, last, freq=f"{STEP_DAYS}D").as_unit("us")
    rows = leavers[["account_id", "cause", "churned_on"]].merge(pd.DataFrame({"as_of": dates}), how="cross")
    before = (pd.to_datetime(rows["churned_on"]) - rows["as_of"]).dt.days
    rows = rows.assign(away=(before - MIDDLE).abs())[before.between(NEAREST, FARTHEST)]
    nearest = rows.sort_values(["away", "as_of"]).drop_duplicates("account_id")
    return nearest.sort_values("account_id")[["account_id", "as_of", "cause"]].reset_index(drop=True)


def run_company(seed: int, accounts: int, threads: int) -> dict[str, Any]:
    """Train on one company's past, explain its later leavers, and compare with their true causes."""
    began = time.perf_counter()
    company = simulate_company(seed, accounts)
    end = company.first + timedelta(days=company.days)
    cutoff = end - timedelta(weeks=TESTED_WEEKS)
    recipe, tables = load_recipe(STANDARD, "churn"), tables_from_frames(company.tables)
    features, grounds = load_features(STANDARD).available(tables), load_grounds(STANDARD, tables)
    labels = snapshots(tables, recipe, cutoff)
    labels = labels[~labels["too_late"]].reset_index(drop=True)
    matrix = build_matrix(tables, features, labels[["account_id", "as_of", "known_at"]])
    built = build_challenger(
        matrix,
        labels,
        inputs_of(features, recipe),
        recipe,
        cutoff,
        segments=segments_of(tables),
        grounds=grounds,
        num_threads=threads,
        draws=100,
    )
    bundle = built.bundle
    assert bundle is not None
    rows = readings(company, cutoff, end)
    known_at = rows["as_of"] + (labels["known_at"] - labels["as_of"]).iloc[0]
    tested = build_matrix(tables, features, rows[["account_id", "as_of"]].assign(known_at=known_at))
    truth = rows.set_index(["account_id", "as_of"])["cause"]
    truth = truth.loc[list(zip(tested["account_id"], tested["as_of"], strict=True))].tolist()
    found = explain(bundle, tested, features, grounds.taxonomy, pd.Series(segments_of(tables)))
    named = [[reason["category"] for reason in each] for each in found.reasons]
    evidenced = [bool(each[0]["evidence"]) for each in found.reasons if each[0]["category"] != UNKNOWN]

    category_of = {item.name: item.category for item in features}
    alone = bundle.contributions(tested, recipe.label.headline_days)
    reference = bundle.reference(recipe.label.headline_days, None)
    single = ranked_categories(alone.members[0] - reference, alone.columns, category_of)
    told = Counter(labels["cause"].where(labels[label_column(recipe.label.headline_days)] == 1).dropna())
    frequent = [name for name, _ in told.most_common() if name in CATEGORIES]
    assert bundle.causes is not None
    strange = ranked_categories(bundle.causes.surprise(tested), bundle.causes.features, category_of)
    answers = {
        "product": named,
        "largest_sum": [[CATEGORIES[at] for at in order] for order in np.argsort(-found.sums, axis=1)],
        "single_model": single,
        "most_unusual": strange,
        "most_frequent": [frequent] * len(truth),
    }
    shown = built.shown
    return {
        "seed": seed,
        "leavers": len(truth),
        "causes": truth,
        **{name: [list(each[:3]) for each in answer] for name, answer in answers.items()},
        "share": [reason[0]["share"] for reason in found.reasons],
        "with_evidence": float(np.mean(evidenced)),
        "taught_by": bundle.causes.leavers,
        "first_reason_unchanged": None if shown is None or shown.stability is None
        else shown.stability.unchanged.value,
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def ranked_categories(
    values: np.ndarray, columns: tuple[str, ...], category_of: dict[str, str]
) -> list[list[str]]:
    """Return each row's categories in the order of their highest single feature; context is left out."""
    kept = [at for at, name in enumerate(columns) if category_of.get(name) in CATEGORIES]
    names = [category_of[columns[at]] for at in kept]
    return [list(dict.fromkeys(names[at] for at in order)) for order in np.argsort(-values[:, kept], axis=1)]


def figures(lines: list[dict[str, Any]], method: str) -> dict[str, float]:
    """Return unknown, first and within three (of those named) of some companies' leavers."""
    pairs = [
        (cause, named) for line in lines for cause, named in zip(line["causes"], line[method], strict=True)
    ]
    known = [(cause, named) for cause, named in pairs if named[0] != UNKNOWN]
    return {
        "unknown": 1 - len(known) / len(pairs),
        "first": float(np.mean([named[0] == cause for cause, named in known])),
        "within_three": float(np.mean([cause in named for cause, named in known])),
    }


def summarise(lines: list[dict[str, Any]], draws: int = 1000) -> dict[str, Any]:
    """Return figures by method and by cause, with 95% intervals over companies, and the confusion table."""
    random = np.random.default_rng(0)
    drawn = [[lines[at] for at in random.integers(0, len(lines), len(lines))] for _ in range(draws)]

    def interval(method: str) -> dict[str, list[float]]:
        value = figures(lines, method)
        again = pd.DataFrame([figures(some, method) for some in drawn])
        return {
            name: [value[name], *(float(bound) for bound in again[name].quantile([0.025, 0.975]))]
            for name in value
        }

    by_cause = {}
    for category in CATEGORIES:
        chosen = [_only(line, category) for line in lines]
        again = [[_only(line, category) for line in some] for some in drawn[:300]]
        again = [figures(some, "product") for some in again if any(line["causes"] for line in some)]
        low, high = np.quantile([each["within_three"] for each in again], [0.025, 0.975])
        by_cause[category] = {
            "leavers": sum(len(line["causes"]) for line in chosen),
            **figures(chosen, "product"),
            "within_three_low": float(low),
            "within_three_high": float(high),
        }
    first = [named[0] for line in lines for named in line["product"]]
    causes = [cause for line in lines for cause in line["causes"]]
    shares = np.array([share or 0.0 for line in lines for share in line["share"]])
    right = np.array(first) == np.array(causes)
    bands = [(low, low + 0.2) for low in (0.2, 0.4, 0.6, 0.8)]
    return {
        "companies": len(lines),
        "leavers": len(causes),
        "methods": {method: interval(method) for method in METHODS},
        "by_cause": by_cause,
        "confusion": pd.crosstab(pd.Series(causes), pd.Series(first)).to_dict("index"),
        "right_by_share": {
            f"{low:.1f} to {high:.1f}": [int(chosen.sum()), float(right[chosen].mean())]
            for low, high in bands
            if (chosen := (shares >= low) & (shares < high + 1e-9)).any()
        },
        "with_evidence": float(np.mean([line["with_evidence"] for line in lines])),
        "taught_by": [line["taught_by"] for line in lines],
        "first_reason_unchanged": [line["first_reason_unchanged"] for line in lines],
        "seconds_per_company": float(np.mean([line["seconds"] for line in lines])),
    }


def _only(line: dict[str, Any], category: str) -> dict[str, Any]:
    """Return a company's line with the leavers of one cause."""
    kept = [at for at, cause in enumerate(line["causes"]) if cause == category]
    return {"causes": [category] * len(kept), "product": [line["product"][at] for at in kept]}


def main() -> None:
    """Run the seeds that are missing in the file, then print the summary."""
    chosen = companies_parser(__doc__, FIRST_SEED).parse_args()
    lines = run_companies(chosen, lambda seed: run_company(seed, chosen.accounts, chosen.threads), _say)
    print(json.dumps(summarise(lines), indent=1))


def _say(line: dict[str, Any]) -> str:
    said = figures([line], "product")
    return (
        f"{line['leavers']} leavers, {said['unknown']:.0%} unknown, first reason right "
        f"{said['first']:.0%}, within three {said['within_three']:.0%}; {line['seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()
