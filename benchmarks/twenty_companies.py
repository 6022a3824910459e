"""How good is a model on companies it was never tuned on?

    python -m benchmarks.twenty_companies --seeds 20 --out out/twenty_companies.jsonl
    python -m benchmarks.twenty_companies --recipe expansion --seeds 3 --out out/expansion.jsonl

Per company (2,000 accounts, three years, the standard features and recipe) the rolling-origin predictions at
the headline horizon are compared, on the same rows, with the recipe's four rules, the logistic regression and
the true probability given the state at as_of (for expansion: given the growth episodes open then). One JSON
line per seed is written as it is done; a run that was stopped goes on where it ended. The summary at the end
takes companies as the unit: means with 95% bootstrap intervals over seeds.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.company_matrix import build_company
from benchmarks.result_lines import companies_parser, run_companies
from sklearn.metrics import average_precision_score, roc_auc_score

from lifecycle_ml.models.logistic import fit_logistic
from lifecycle_ml.promotion.backtest import LOGISTIC, MODEL, UNSEEN

FIRST_SEED = 6001
"""Seeds from here on were used for nothing else."""
BIN = 0.05
"""Width, in log-odds, of the bins the calibration is pooled from."""


def run_company(seed: int, accounts: int, threads: int, recipe_name: str = "churn") -> dict[str, Any]:
    """Return one company's line: figures at the headline horizon on its out-of-time rows."""
    began = time.perf_counter()
    company = build_company(seed, accounts, recipe_name=recipe_name)
    built = time.perf_counter()
    trial = company.tried(threads, draws=500)
    tried = trial.backtest
    if tried is None or MODEL not in tried.probabilities:
        return {"seed": seed, "tier": trial.tier.name, "rows": 0}
    truth = tried.rows.merge(company.truth, "left", ["account_id", "as_of"], validate="one_to_one")[
        f"probability_{company.recipe.label.headline_days}d"
    ].to_numpy(dtype=float)
    if np.isnan(truth).any():
        raise ValueError(f"seed {seed}: {int(np.isnan(truth).sum())} rows have no true probability.")
    y = tried.y
    scores = {name: tried.at_headline(name) for name in (MODEL, UNSEEN, LOGISTIC, *tried.rules)}
    scores = {name: p for name, p in scores.items() if name in tried.rules or name in tried.probabilities}
    scores["truth"] = truth
    p = scores[MODEL]
    bins = np.round(np.log(p / (1 - p)) / BIN).astype(int)
    pooled = pd.DataFrame({"bin": bins, "y": y}).groupby("bin")["y"].agg(["size", "sum"])
    evaluation, shown = trial.evaluation, trial.shown
    capacity = evaluation.capacity
    return {
        "seed": seed,
        "tier": trial.tier.name,
        "rows": len(y),
        "accounts_with_outcome": evaluation.counts["accounts_with_outcome"],
        "rate": float(y.mean()),
        "average_precision": {n: float(average_precision_score(y, s)) for n, s in scores.items()},
        "auroc": {n: float(roc_auc_score(y, s)) for n, s in scores.items()},
        "expected": float(p.sum()),
        "observed": float(y.sum()),
        "slope": evaluation.metrics["calibration_slope"].to_json(),
        "bins": [[int(b), int(r["size"]), int(r["sum"])] for b, r in pooled.iterrows()],
        "arr_caught": {}
        if capacity is None
        else {
            name: float(value)
            for name, value in capacity[np.isclose(capacity["share"], 0.1)].iloc[0].items()
            if name.startswith(("arr_caught", "gain_over")) and not name.endswith(("_low", "_high"))
        },
        "first_reason_unchanged": None if shown.stability is None else shown.stability.unchanged.value,
        "red_odds": None if shown.colours is None else shown.colours.odds.value,
        "refusals": [refusal.to_json() for refusal in trial.refusals],
        "seconds": {
            "company": round(built - began, 1),
            "trial": round(time.perf_counter() - built, 1),
        },
    }


def summarise(lines: list[dict[str, Any]], draws: int = 2000) -> dict[str, Any]:
    """Return means over companies with 95% bootstrap intervals, companies drawn with replacement."""
    lines = [line for line in lines if line["rows"]]
    random = np.random.default_rng(0)
    drawn = random.integers(0, len(lines), (draws, len(lines)))
    ap = pd.DataFrame([line["average_precision"] for line in lines])
    rules = ap.drop(columns=[c for c in (MODEL, UNSEEN, LOGISTIC, "truth") if c in ap])

    def interval(values: np.ndarray) -> dict[str, float]:
        means = values[drawn].mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return {"mean": float(values.mean()), "low": float(low), "high": float(high)}

    def ratio(above: np.ndarray, below: np.ndarray) -> dict[str, float]:
        means = above[drawn].sum(axis=1) / below[drawn].sum(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return {"value": float(above.sum() / below.sum()), "low": float(low), "high": float(high)}

    auroc = pd.DataFrame([line["auroc"] for line in lines])
    arr = pd.DataFrame([line.get("arr_caught") or {} for line in lines])
    rules_refused = [{refusal["rule"] for refusal in line["refusals"]} for line in lines]
    slopes = [_slope([lines[i] for i in chosen]) for chosen in drawn[:300]]
    return {
        "companies": len(lines),
        "gain_over_best_rule": interval((ap[MODEL] - rules.max(axis=1)).to_numpy()),
        "gain_over_logistic": interval((ap[MODEL] - ap[LOGISTIC]).dropna().to_numpy())
        if LOGISTIC in ap and ap[LOGISTIC].notna().all()
        else None,
        "gain_over_each_rule": {name: interval((ap[MODEL] - rules[name]).to_numpy()) for name in rules},
        "average_precision": {name: interval(ap[name].to_numpy()) for name in ap if ap[name].notna().all()},
        "auroc": {
            name: interval(np.array([line["auroc"][name] for line in lines]))
            for name in ap
            if ap[name].notna().all()
        },
        "gap_to_truth": {
            "auroc": interval((auroc["truth"] - auroc[MODEL]).to_numpy()),
            "average_precision": interval((ap["truth"] - ap[MODEL]).to_numpy()),
        },
        "arr_caught_at_a_tenth": {name: interval(arr[name].to_numpy()) for name in arr},
        "first_reason_unchanged": [line.get("first_reason_unchanged") for line in lines],
        "red_odds": [line.get("red_odds") for line in lines],
        "refused_by": {
            rule: sum(rule in refused for refused in rules_refused)
            for rule in sorted(set().union(*rules_refused))
        },
        "share_of_true_average_precision": ratio(ap[MODEL].to_numpy(), ap["truth"].to_numpy()),
        "observed_expected": ratio(
            np.array([line["observed"] for line in lines]), np.array([line["expected"] for line in lines])
        ),
        "calibration_slope": {
            "value": _slope(lines),
            "low": float(np.quantile(slopes, 0.025)),
            "high": float(np.quantile(slopes, 0.975)),
        },
        "promoted": sum(not line["refusals"] for line in lines),
        "seconds_per_company": float(np.mean([sum(line["seconds"].values()) for line in lines])),
    }


def _slope(lines: list[dict[str, Any]]) -> float:
    """Return the calibration slope of all companies' rows, from their binned log-odds."""
    bins = np.concatenate([np.asarray(line["bins"]) for line in lines])
    margin, size, events = bins[:, 0] * BIN, bins[:, 1], bins[:, 2]
    # two weighted rows per bin: those with the outcome and those without
    x = np.column_stack([np.concatenate([margin, margin]), np.ones(2 * len(margin))])
    y = np.concatenate([np.ones(len(margin)), np.zeros(len(margin))])
    return float(fit_logistic(x, y, weight=np.concatenate([events, size - events]).astype(float))[0])


def main() -> None:
    """Run the seeds that are missing in the file, then print the summary."""
    parser = companies_parser(__doc__, FIRST_SEED)
    parser.add_argument("--recipe", default="churn")
    chosen = parser.parse_args()
    lines = run_companies(
        chosen, lambda seed: run_company(seed, chosen.accounts, chosen.threads, chosen.recipe), _say
    )
    print(json.dumps(summarise(lines), indent=1))


def _say(line: dict[str, Any]) -> str:
    shown = {name: f"{ap:.3f}" for name, ap in line.get("average_precision", {}).items()}
    return (
        f"average precision of model {shown.get(MODEL)}, logistic {shown.get(LOGISTIC)}, "
        f"truth {shown.get('truth')}; {sum(line.get('seconds', {}).values()):.0f} s"
    )


if __name__ == "__main__":
    main()
