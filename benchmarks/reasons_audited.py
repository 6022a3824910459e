"""Do category sums rank causes as exact group Shapley values do?

    python -m benchmarks.reasons_audited --seeds 2 --out out/reasons_audited.jsonl

For simulated companies of unseen seeds with the product's models: of the newest snapshots the twentieth with
the highest risk, a sample of which is audited (`promotion/audit.py`): all 4,096 coalitions of the eleven
categories and context, with the values of accounts that stayed outside the coalition. Spearman's rank
correlation over the eleven, account by account; the interval comes from drawing accounts.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.company_matrix import build_company
from benchmarks.result_lines import add_line

from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.promotion.audit import BACKGROUND, audit_reasons

FIRST_SEED = 7601
RED = 0.05
TARGET = 0.9


def audit_company(seed: int, accounts: int, audited: int, background: int, threads: int) -> dict[str, Any]:
    """Return the correlations of one company's red accounts."""
    company = build_company(seed, accounts)
    made = company.challenger(threads, draws=50)
    bundle = made.bundle
    if bundle is None:
        raise SystemExit(f"seed {seed}: too few accounts left to fit a model.")
    newest = company.matrix[company.matrix["as_of"] == company.matrix["as_of"].max()]
    risk = bundle.score(newest)["risk"].to_numpy()
    order = np.argsort(-risk, kind="stable")[: max(1, int(np.ceil(RED * len(newest))))]
    random = np.random.default_rng(seed)
    chosen = np.sort(random.choice(order, min(audited, len(order)), replace=False))
    stayed = company.labels[label_column(bundle.headline)].to_numpy(dtype=float) == 0
    began = time.perf_counter()
    found = audit_reasons(
        bundle,
        newest.iloc[chosen].reset_index(drop=True),
        company.matrix[stayed],
        company.grounds.features,
        company.grounds.taxonomy,
        pd.Series(company.segments),
        background=background,
        seed=seed,
    )
    return {
        "seed": seed,
        "red": len(order),
        "audited": len(chosen),
        "background": background,
        "correlations": found.correlations.round(4).tolist(),
        "served": found.served.round(4).tolist(),
        "same_first": found.same_first,
        "seconds": round(time.perf_counter() - began, 1),
    }


def interval(values: np.ndarray, draws: int = 2000) -> tuple[float, float, float]:
    """Return the mean and its 95% interval, values drawn with replacement."""
    known = values[~np.isnan(values)]
    random = np.random.default_rng(0)
    means = known[random.integers(0, len(known), (draws, len(known)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(known.mean()), float(low), float(high)


def main() -> None:
    """Audit each company and say the mean correlation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2, help="companies")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--accounts", type=int, default=1_500)
    parser.add_argument("--audited", type=int, default=25, help="red accounts of each company")
    parser.add_argument("--background", type=int, default=BACKGROUND, help="stand-ins for each of them")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=None, help="JSON lines are added to this file")
    chosen = parser.parse_args()
    lines = []
    for seed in range(chosen.first_seed, chosen.first_seed + chosen.seeds):
        line = audit_company(seed, chosen.accounts, chosen.audited, chosen.background, chosen.threads)
        lines.append(line)
        mean = np.nanmean(line["correlations"])
        print(f"seed {seed}: {line['audited']} accounts, {mean:.3f}, {line['seconds']} s", flush=True)
        if chosen.out is not None:
            add_line(chosen.out, line)
    for name, words in (("correlations", "nulls with their category"), ("served", "as served")):
        mean, low, high = interval(np.concatenate([line[name] for line in lines]))
        verdict = "reached" if mean >= TARGET else "MISSED"
        print(f"rank correlation, {words}: {mean:.3f} [{low:.3f}, {high:.3f}], target {TARGET}: {verdict}")
    same = np.average([line["same_first"] for line in lines], weights=[line["audited"] for line in lines])
    print(f"same first category: {same:.0%}")


if __name__ == "__main__":
    main()
