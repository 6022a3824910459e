"""How good is the product on tables of others, from raw tables to score?

    python -m benchmarks.third_party --data <folder of third-party data> --out out/third_party
    python -m benchmarks.third_party --data <folder> --set cdnow --again product

Five workspaces of examples/: tables are read, mapped, labelled and made into features as a company's would
be. On the recipe's own rolling origins, the same rows for all: the product's model as the gate sees it, what
it says of accounts it never saw, the logistic regression, the four rules, CatBoost with 300 iterations on the
same columns, BG/NBD where an event is a purchase, and the model with the features of accounts and contracts
alone, then with those of usage too. On the cut-offs of published figures (three workspaces): our classifier
trained once, beside plain models fitted again on the same rows and columns, and the published figures, whose
predictions are not at hand. Intervals draw accounts; differences are paired.

A workspace whose tables are not there is skipped, and so is CatBoost where it is not installed (`pip install
catboost`; it changes no other package). BG/NBD comes from lifetimes, which wants older packages than ours:

    python -m venv out/lifetimes && out/lifetimes/bin/pip install lifetimes "numpy<2" "pandas<2.3"
    python -m benchmarks.third_party --data <folder> --lifetimes out/lifetimes/bin/python

Under --out each workspace has a file of JSON lines, one per step with all probabilities, written as it is
done; a run that was stopped goes on where it ended. Delete the file after a change to the rows. figures.json
holds what is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from benchmarks.flat_tables.contenders import missing_package
from benchmarks.result_lines import read_lines
from benchmarks.third_party import companies
from benchmarks.third_party.companies import DATA_THROUGH, Company
from benchmarks.third_party.contenders import (
    BGNBD,
    CATBOOST,
    Context,
    steps_on_anchor_dates,
    steps_on_own_dates,
)
from benchmarks.third_party.report import ANCHOR_DATES, OWN_DATES, as_text, compare, same_rows

KINDS = {
    OWN_DATES: (companies.on_own_dates, steps_on_own_dates),
    ANCHOR_DATES: (companies.on_anchor_dates, steps_on_anchor_dates),
}


def run_set(
    name: str, dates: str, data: Path, out: Path, context: Context, again: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Take the steps that are missing in the workspace's file; return all its lines on these dates."""
    build, steps_of = KINDS[dates]
    steps = steps_of(name, context)
    kept = {(line["dates"], line["step"]): line for line in read_lines(out)}
    missing = [step for step in steps if (dates, step) not in kept or step in again]
    if missing:
        began = time.perf_counter()
        company = build(name, data)
        rows = _rows_line(company, dates, time.perf_counter() - began)
        if (dates, "rows") in kept and not same_rows(kept[dates, "rows"], rows):
            raise ValueError(f"{out} was measured on other rows; delete it to measure again.")
        for step in ["rows", *missing]:
            line = rows if step == "rows" else _step_line(rows, step, steps[step], company, context)
            kept[dates, step] = line
            written = out.with_suffix(".new")
            written.write_text("".join(json.dumps(one) + "\n" for one in kept.values()), encoding="utf-8")
            written.replace(out)
            print(f"{name} {dates} {step}: {line['seconds']:.0f} s", flush=True)
    return [line for (kind, _), line in kept.items() if kind == dates]


def _rows_line(company: Company, dates: str, seconds: float) -> dict[str, Any]:
    judged = company.judged()
    return {
        "set": company.name,
        "dates": dates,
        "step": "rows",
        "rows": len(judged),
        "events": int(judged["y"].sum()),
        "y": judged["y"].astype(int).tolist(),
        "account": pd.factorize(judged["account_id"])[0].tolist(),
        "seconds": round(seconds, 1),
    }


def _step_line(
    rows: dict[str, Any], step: str, take: Any, company: Company, context: Context
) -> dict[str, Any]:
    began = time.perf_counter()
    outcome = take(company, context)
    return {
        **{key: rows[key] for key in ("set", "dates", "rows", "events")},
        "step": step,
        "p": {name: [round(float(one), 7) for one in p] for name, p in outcome.p.items()},
        "about": dict(outcome.about),
        "seconds": round(time.perf_counter() - began, 1),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, print all tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.third_party",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("THIRD_PARTY_DATA") or os.environ.get("LIFECYCLE_SOURCE_URL"),
        help="folder with a folder of tables per workspace",
    )
    parser.add_argument("--set", action="append", choices=list(DATA_THROUGH), help="default: all of them")
    parser.add_argument("--dates", action="append", choices=list(KINDS), help="default: both")
    parser.add_argument("--again", action="append", default=[], help="a step to take although it is kept")
    parser.add_argument("--lifetimes", type=Path, help="Python of an environment that has lifetimes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("out/third_party"))
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    # a link leads out of its environment, so the path stays as it is written
    context = Context(chosen.threads, chosen.lifetimes and chosen.lifetimes.absolute())
    if why := missing_package(CATBOOST):
        print(f"SKIPPED {CATBOOST}: {why}")
    if context.lifetimes is None:
        print(f"SKIPPED {BGNBD}: name the Python of an environment that has lifetimes with --lifetimes")

    compared = []
    for dates in chosen.dates or KINDS:
        for name in chosen.set or DATA_THROUGH:
            if dates == ANCHOR_DATES and name not in companies.ANCHOR_DATES:
                continue
            out = chosen.out / f"{name}.jsonl"
            if chosen.data is None or not (chosen.data / name).is_dir():
                print(f"SKIPPED {name}: its tables are not in {chosen.data or 'any folder named by --data'}")
                continue
            compared.append(
                compare(run_set(name, dates, chosen.data, out, context, chosen.again), chosen.draws)
            )
    (chosen.out / "figures.json").write_text(json.dumps(compared, indent=1) + "\n", encoding="utf-8")
    print(as_text(compared))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
