"""A company's year, run by run: is every red account worked on, on time and once, and do colours hold still?

    python -m benchmarks.year_of_days
    python -m benchmarks.year_of_days --seed 9611 --accounts 1500 --years 4 --out out/year_of_days.jsonl

The models are trained on what was known on the first day and serve the whole year; where the gate refuses
them, rules do. People do a share of the work within their hours (people.py); the tables do not answer to it.
Afterwards the store is asked whether what was promised was kept (promises.py), and the year is gone through
again with guards taken away (guards.py). A year that was stopped goes on where it ended; each company gives
one JSON line.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.result_lines import add_line
from benchmarks.year_of_days.guards import VARIANTS, run_variants
from benchmarks.year_of_days.run import company_in, run_year

DEMO = {"seed": 11, "accounts": 1500, "years": 3}
"""The company of `lifecycle demo`."""


def main() -> None:
    """Run one company's year and write down what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=DEMO["seed"])
    parser.add_argument("--accounts", type=int, default=DEMO["accounts"])
    parser.add_argument("--years", type=int, default=DEMO["years"], help="of data, the last of them run")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--step-days", type=int, default=1)
    parser.add_argument("--guards", nargs="*", choices=list(VARIANTS), default=["all guards", "no guard"])
    parser.add_argument("--folder", type=Path, default=Path("out/year_of_days"))
    parser.add_argument("--out", type=Path, default=Path("out/year_of_days.jsonl"))
    chosen = parser.parse_args()
    folder = chosen.folder / f"{chosen.seed}-{chosen.accounts}-{chosen.years}"
    folder.mkdir(parents=True, exist_ok=True)
    company = company_in(folder, chosen.seed, chosen.accounts, chosen.years)
    days = company.days(-(-chosen.days // chosen.step_days), chosen.step_days)
    name = f"year-{chosen.step_days}.db"
    year = run_year(company, days, chosen.step_days, say=_say, name=name)
    line = {"seed": chosen.seed, "accounts": chosen.accounts, "years": chosen.years, **year.to_json()}
    _write(chosen.out, {"part": "year", **line})
    if chosen.guards:
        guarded = run_variants(company, days, chosen.step_days, chosen.guards, say=_say)
        _write(chosen.out, {"part": "guards", "seed": chosen.seed, "years": chosen.years, "guards": guarded})


def _say(line: str) -> None:
    print(line, flush=True)


def _write(path: Path, line: dict[str, object]) -> None:
    add_line(path, line)
    print(json.dumps(line, indent=1), flush=True)


if __name__ == "__main__":
    main()
