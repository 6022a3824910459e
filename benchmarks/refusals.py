"""Does the gate refuse where there is nothing to learn?

    python -m benchmarks.refusals --count 50 --out out/refusals.jsonl

Two kinds of worlds without signal, 50 of each: companies simulated without causes, and companies whose
features were dealt to other accounts (whole accounts at a time, so that outcomes keep their own history).
A promotion is a model the gate lets serve; at most 1 in 50 may be. One JSON line per world is written as it
is done; a run that was stopped goes on where it ended.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.company_matrix import CompanyMatrix, build_company
from benchmarks.twenty_companies import read_lines

from lifecycle_ml.promotion.challenger import try_challenger

SHUFFLES_PER_COMPANY = 5
FIRST_SEED = {"without_causes": 7001, "shuffled": 8001}


def deal(company: CompanyMatrix, shuffle: int) -> pd.DataFrame:
    """Return the matrix with each account's features replaced by those of another account.

    Each account is dealt a place in a random circle and takes, on every date, the features of the next
    account in the circle that is a customer on that date.
    """
    matrix = company.matrix
    account, accounts = pd.factorize(matrix["account_id"])
    day, days = pd.factorize(matrix["as_of"])
    n = len(accounts)
    row_at = np.full((n, len(days)), -1)
    row_at[account, day] = np.arange(len(matrix))
    circle = np.random.default_rng([company.seed, shuffle]).permutation(n)
    place = np.empty(n, dtype=int)
    place[circle] = np.arange(n)
    donor = np.full(len(matrix), -1)
    for step in range(1, n + 1):
        missing = np.flatnonzero(donor < 0)
        if not len(missing):
            break
        donor[missing] = row_at[circle[(place[account[missing]] + step) % n], day[missing]]
    dealt = matrix.iloc[donor].reset_index(drop=True)
    return dealt.assign(account_id=matrix["account_id"].to_numpy(), as_of=matrix["as_of"].to_numpy())


def judge_world(company: CompanyMatrix, matrix: pd.DataFrame, threads: int) -> dict[str, Any]:
    """Return what the gate said of a world."""
    began = time.perf_counter()
    trial = try_challenger(
        matrix, company.labels, company.inputs, company.recipe, company.data_through, num_threads=threads
    )
    return {
        "tier": trial.tier.name,
        "accounts_with_outcome": trial.tier.accounts,
        "promoted": trial.tier.name != "insufficient" and not trial.refusals,
        "refusals": [refusal.to_json() for refusal in trial.refusals],
        "auroc": trial.evaluation.metrics["auroc"].value if trial.evaluation.metrics else None,
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    """Run the worlds that are missing in the file, then print how many were promoted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50, help="worlds of each kind")
    parser.add_argument("--accounts", type=int, default=700)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    done = {(line["kind"], line["number"]) for line in read_lines(chosen.out)}
    kept: CompanyMatrix | None = None
    for kind, first in FIRST_SEED.items():
        for number in range(chosen.count):
            if (kind, number) in done:
                continue
            seed = first + (number if kind == "without_causes" else number // SHUFFLES_PER_COMPANY)
            if kept is None or kept.seed != seed:
                kept = build_company(seed, chosen.accounts, causes=kind == "shuffled")
            matrix = kept.matrix if kind == "without_causes" else deal(kept, number)
            line = {"kind": kind, "number": number, "seed": seed, **judge_world(kept, matrix, chosen.threads)}
            with chosen.out.open("a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")
            print(
                f"{kind} {number}: {'PROMOTED' if line['promoted'] else 'refused'}, {line['tier']}",
                flush=True,
            )
    for kind in FIRST_SEED:
        lines = [x for x in read_lines(chosen.out) if x["kind"] == kind and x["number"] < chosen.count]
        areas = [line["auroc"] for line in lines if line["auroc"] is not None]
        promoted = sum(line["promoted"] for line in lines)
        tiers = pd.Series([line["tier"] for line in lines]).value_counts().to_dict()
        area = f"{np.mean(areas):.3f}" if areas else "–"
        print(f"{kind}: {promoted} of {len(lines)} promoted; tiers {tiers}; mean AUROC {area}")


if __name__ == "__main__":
    main()
