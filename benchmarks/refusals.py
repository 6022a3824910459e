"""Does the gate refuse where there is nothing to learn, and name what knows too much?

    python -m benchmarks.refusals --count 50 --data <folder of third-party data> --out out/refusals.jsonl

without_causes  companies simulated without causes
shuffled        companies whose features were dealt to other accounts (whole accounts at a time, so that
                outcomes keep their own history); the mean AUROC of the first 20 must be 0.50
ravenstack      accounts of the ravenstack tables drawn with replacement (only where --data has them)
planted         each leak of planted_leaks.py in companies of several seeds, and each company without a leak

A promotion is a model the gate lets serve; of the first three kinds at most 1 in 50 may be. Of the fourth
every leak must be caught by name, and no honest feature suspected. One JSON line per world is written as it
is done; a run that was stopped goes on where it ended.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.company_matrix import CompanyMatrix, build_company
from benchmarks.families import third_party
from benchmarks.planted_leaks import LEAKS, search
from benchmarks.result_lines import add_line, read_lines

from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.promotion.challenger import try_challenger
from lifecycle_ml.promotion.grounds import Grounds
from lifecycle_ml.promotion.stability import redraw
from lifecycle_ml.simulate.company import simulate_company

SHUFFLES_PER_COMPANY = 5
AREA_OF = 20
"""Shuffles whose mean AUROC is reported."""
FIRST_SEED = {"without_causes": 7001, "shuffled": 8001, "ravenstack": 0, "planted": 8501}
HONEST = "none"


@dataclass(frozen=True)
class World:
    """What a gate is asked about."""

    matrix: pd.DataFrame
    labels: pd.DataFrame
    inputs: dict[str, int]
    recipe: Recipe
    data_through: date
    grounds: Grounds | None


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


def judge_world(world: World, threads: int) -> dict[str, Any]:
    """Return what the gate said of a world."""
    began = time.perf_counter()
    trial = try_challenger(
        world.matrix,
        world.labels,
        world.inputs,
        world.recipe,
        world.data_through,
        grounds=world.grounds,
        num_threads=threads,
        draws=500,
    )
    return {
        "tier": trial.tier.name,
        "accounts_with_outcome": trial.tier.accounts,
        "promoted": trial.tier.name != "insufficient" and not trial.refusals,
        "refusals": [refusal.to_json() for refusal in trial.refusals],
        "auroc": trial.evaluation.metrics["auroc"].value if trial.evaluation.metrics else None,
        "seconds": round(time.perf_counter() - began, 1),
    }


def without_causes(accounts: int, threads: int, wanted: list[int]) -> Iterator[dict[str, Any]]:
    """Judge companies in which leaving is chance."""
    for number in wanted:
        seed = FIRST_SEED["without_causes"] + number
        company = build_company(seed, accounts, causes=False)
        yield {"number": number, "seed": seed, **judge_world(_world(company), threads)}


def shuffled(accounts: int, threads: int, wanted: list[int]) -> Iterator[dict[str, Any]]:
    """Judge companies whose features belong to other accounts; their tables would tell nothing of them."""
    kept: CompanyMatrix | None = None
    for number in wanted:
        seed = FIRST_SEED["shuffled"] + number // SHUFFLES_PER_COMPANY
        if kept is None or kept.seed != seed:
            kept = build_company(seed, accounts)
        world = _world(kept)
        dealt = replace(world, matrix=deal(kept, number), grounds=replace(kept.grounds, tables=None))
        yield {"number": number, "seed": seed, **judge_world(dealt, threads)}


def ravenstack(data: Path, threads: int, wanted: list[int]) -> Iterator[dict[str, Any]]:
    """Judge ravenstack with its accounts drawn anew, an account drawn twice being two."""
    if not wanted:
        return
    company = third_party("ravenstack", data, "churn")
    for number in wanted:
        drawn = redraw(company.matrix, FIRST_SEED["ravenstack"] + number)
        ids = pd.Series(drawn.accounts, dtype="str")
        world = World(
            matrix=company.matrix.iloc[drawn.rows].reset_index(drop=True).assign(account_id=ids),
            labels=company.labels.iloc[drawn.rows].reset_index(drop=True).assign(account_id=ids),
            inputs=company.inputs,
            recipe=company.recipe,
            data_through=company.data_through,
            grounds=None,
        )
        yield {"number": number, "seed": number, **judge_world(world, threads)}


def planted(accounts: int, wanted: list[int]) -> Iterator[dict[str, Any]]:
    """Look for each leak in companies of several seeds; the first search of each finds nothing planted."""
    kinds = [None, *LEAKS]
    company: CompanyMatrix | None = None
    for number in wanted:
        seed = FIRST_SEED["planted"] + number // len(kinds)
        if company is None or company.seed != seed:
            company = build_company(seed, accounts)
            frames = simulate_company(seed, accounts).tables
        leak = kinds[number % len(kinds)]
        began = time.perf_counter()
        world = company
        if leak is not None:
            world = leak.plant(company, frames, np.random.default_rng([seed, 5]))
        found = search(world, leak.must_name if leak is not None else None)
        yield {
            "number": number,
            "seed": seed,
            "leak": HONEST if leak is None else leak.name,
            "must_name": None if leak is None else leak.must_name,
            "caught": found.caught,
            "named": list(found.named),
            "says": found.says,
            "seconds": round(time.perf_counter() - began, 1),
        }


def _world(company: CompanyMatrix) -> World:
    return World(
        company.matrix,
        company.labels,
        company.inputs,
        company.recipe,
        company.data_through,
        company.grounds,
    )


def summarise(lines: list[dict[str, Any]]) -> str:
    """Return the tables: promotions and AUROC of each kind of world, and what became of each leak."""
    said = []
    for kind in ("without_causes", "shuffled", "ravenstack"):
        mine = [line for line in lines if line["kind"] == kind]
        if not mine:
            continue
        areas = np.array([line["auroc"] for line in mine if line["auroc"] is not None][:AREA_OF])
        text = "no AUROC (below the advisory tier)"
        if len(areas) > 1:
            half = 1.96 * areas.std(ddof=1) / np.sqrt(len(areas))
            text = f"AUROC of {len(areas)}: {areas.mean():.3f} [{areas.mean() - half:.3f}, "
            text += f"{areas.mean() + half:.3f}]"
        tiers = pd.Series([line["tier"] for line in mine]).value_counts().to_dict()
        said.append(f"{kind}: {sum(x['promoted'] for x in mine)} of {len(mine)} promoted; {tiers}; {text}")
    leaks = pd.DataFrame([line for line in lines if line["kind"] == "planted"])
    if len(leaks):
        said += ["", "| Leak | Must name | Caught by name | Named (first company) |", "|---|---|---|---|"]
        for name, part in leaks.groupby("leak", sort=False):
            first = part.iloc[0]
            must = "nothing" if name == HONEST else first["must_name"]
            named = "; ".join(first["named"][:3]) or "nothing"
            said.append(f"| {name} | {must} | {int(part['caught'].sum())} of {len(part)} | {named} |")
    return "\n".join(said)


def main() -> None:
    """Run the worlds that are missing in the file, then print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50, help="worlds of each kind without signal")
    parser.add_argument("--seeds", type=int, default=5, help="companies leaks are planted into")
    parser.add_argument("--accounts", type=int, default=700)
    parser.add_argument("--planted-accounts", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, help="folder that holds the folder ravenstack")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    done = {(line["kind"], line["number"]) for line in read_lines(chosen.out)}

    def missing(kind: str, count: int) -> list[int]:
        return [number for number in range(count) if (kind, number) not in done]

    runs = {
        "planted": planted(chosen.planted_accounts, missing("planted", chosen.seeds * (1 + len(LEAKS)))),
        "without_causes": without_causes(
            chosen.accounts, chosen.threads, missing("without_causes", chosen.count)
        ),
        "shuffled": shuffled(chosen.accounts, chosen.threads, missing("shuffled", chosen.count)),
    }
    if chosen.data is not None and (chosen.data / "ravenstack").is_dir():
        runs["ravenstack"] = ravenstack(chosen.data, chosen.threads, missing("ravenstack", chosen.count))
    for kind, results in runs.items():
        for result in results:
            line = {"kind": kind, **result}
            add_line(chosen.out, line)
            told = ("caught" if line["caught"] else "MISSED") if kind == "planted" else None
            told = told or ("PROMOTED" if line["promoted"] else "refused")
            print(f"{kind} {line['number']} {line.get('leak', '')}: {told}, {line['seconds']} s", flush=True)
    print(summarise(read_lines(chosen.out)))


if __name__ == "__main__":
    main()
