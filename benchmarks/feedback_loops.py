"""Do the feedback loops find what is so, and nothing where nothing is?

    python -m benchmarks.feedback_loops --seeds 20 --out out/feedback_loops.jsonl

Per seed two companies of 2,000 accounts and three years: one with the facts planted that the simulator keeps
in `truth/planted`, one in which leaving is pure chance (`causes=False`). A planted fact counts as recovered
where its loop reports it: the channel as one that brings customers who do not fit, the segment as one that
activates faster, the feature as one that goes with retention, the capability as a gap that costs ARR in its
industry. Without causes each of the same four loops has to report nothing of that kind. Other findings are
counted beside. One JSON line per company is written as it is done; a stopped run goes on where it ended.

    python -m benchmarks.feedback_loops --part cost --out out/feedback_loops_cost.jsonl

takes a report of 20,000 accounts and five years in turns with one DuckDB scan of the same tables.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.result_lines import add_line, read_lines

from lifecycle_ml.revenue.loops.report import feedback_loops
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import Tables, tables_from_frames

FIRST_SEED = 34001
"""Seeds from here on were used for nothing else."""
GRACE_DAYS, ARRIVAL_LAG_DAYS = 30, 2
FACTS = ("bad_fit_channel", "activating_segment", "protective_feature", "product_gap")
YEARS, ACCOUNTS = 5, 20_000
ROUNDS = 3


def found(loops: dict[str, pd.DataFrame]) -> dict[str, list[Any]]:
    """Return what the four loops report of the kind that is planted, by fact."""
    chosen = {name: rows[rows["stands_out"]] if len(rows) else rows for name, rows in loops.items()}
    fit, gaps, active = chosen["bad_fit"], chosen["gaps"], chosen["activation"]
    return {
        "bad_fit_channel": list(fit.loc[fit["by"] == "acquisition channel", "group"]),
        "activating_segment": list(active.loc[active["faster"].astype(bool), "segment"]),
        "slower_segments": list(active.loc[~active["faster"].astype(bool), "segment"]),
        "protective_feature": list(chosen["features"]["feature"]),
        "product_gap": [[row.industry, row.gap] for row in gaps.itertuples()],
    }


def run_company(seed: int, accounts: int, *, causes: bool) -> dict[str, Any]:
    """Return one company's line: what is planted, what is reported of it, and how many findings in all."""
    company = simulate_company(seed, accounts, causes=causes, truth_step_weeks=52)
    tables = tables_from_frames(company.tables)
    began = time.process_time()
    end = company.first + timedelta(days=company.days)
    loops = feedback_loops(tables, end, GRACE_DAYS, ARRIVAL_LAG_DAYS)
    spent = time.process_time() - began
    rows = {loop.name: loop.rows for loop in loops}
    planted = company.truth["planted"].set_index(["fact", "column"])["value"]
    line: dict[str, Any] = {
        "seed": seed,
        "causes": causes,
        "accounts": accounts,
        "found": found(rows),
        "findings": {loop.name: len(loop.findings) for loop in loops},
        "processor_seconds": round(spent, 2),
    }
    if causes:
        gap = (planted["product_gap", "industry"], planted["product_gap", "topic"])
        line["planted"] = {
            "bad_fit_channel": planted["bad_fit_channel", "acquisition_channel"],
            "activating_segment": planted["activating_segment", "segment"],
            "protective_feature": planted["protective_feature", "feature"],
            "product_gap": [gap[0], gap[1].removeprefix("gap:").replace("_", " ")],
        }
        line["recovered"] = {fact: line["planted"][fact] in line["found"][fact] for fact in FACTS}
        line["beside"] = {
            fact: [one for one in line["found"][fact] if one != line["planted"][fact]] for fact in FACTS
        }
        kept = rows["features"].set_index("feature").loc[line["planted"]["protective_feature"]]
        line["protective"] = {name: float(kept[name]) for name in ("ratio", "ratio_low", "ratio_high", "p")}
        line["protection"] = float(
            company.truth["planted"].set_index("fact").loc["protective_feature", "effect"]
        )
    else:
        line["silent"] = {
            fact: not line["found"][fact]
            and not (fact == "activating_segment" and line["found"]["slower_segments"])
            for fact in FACTS
        }
    return line


def summarise(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return in how many companies each fact was recovered, and in how many without causes none was seen."""
    told = [line for line in lines if line["causes"]]
    chance = [line for line in lines if not line["causes"]]
    return {
        "companies": len(told),
        "recovered": {fact: sum(line["recovered"][fact] for line in told) for fact in FACTS},
        "all_four": sum(all(line["recovered"].values()) for line in told),
        "reported_beside": {fact: sum(bool(line["beside"][fact]) for line in told) for fact in FACTS},
        "interval_holds_the_true_ratio": sum(
            line["protective"]["ratio_low"] <= line["protection"] <= line["protective"]["ratio_high"]
            for line in told
        ),
        "companies_without_causes": len(chance),
        "silent": {fact: sum(line["silent"][fact] for line in chance) for fact in FACTS},
        "all_four_silent": sum(all(line["silent"].values()) for line in chance),
        "findings_without_causes": {
            loop: sum(line["findings"][loop] > 0 for line in chance)
            for loop in (chance[0]["findings"] if chance else ())
        },
        "processor_seconds": statistics.mean(line["processor_seconds"] for line in lines) if lines else None,
    }


def large_tables(accounts: int, years: int, seed: int = 5) -> tuple[Tables, date]:
    """Return the tables of a large company: one of 2,000 accounts as often as it takes, under other ids."""
    several = max(1, accounts // 2000)
    company = simulate_company(
        seed, accounts // several, days=round(365.25 * years), truth_step_weeks=52 * years
    )
    tables = tables_from_frames(company.tables)
    for name in tables.names:
        ids = [c for c in tables[name].columns if c.endswith("_id")]
        own = ", ".join(f'n || \'-\' || "{column}" AS "{column}"' for column in ids)
        tables.backend.con.execute(
            f'CREATE OR REPLACE TABLE main."{name}" AS '
            f'SELECT t.* REPLACE ({own}) FROM main."{name}" AS t, range({several}) AS copies(n)'
        )
    return tables, company.first + timedelta(days=company.days)


def scan(tables: Tables) -> None:
    """Read every column of every table once."""
    for name in tables.names:
        columns = ", ".join(f'"{column}"' for column in tables[name].columns)
        tables.backend.con.execute(f'SELECT bit_xor(hash({columns})) FROM "{name}"').fetchall()


def run_cost(accounts: int, years: int) -> dict[str, Any]:
    """Return processor and wall seconds of one scan and of one report, medians of ROUNDS turns."""
    tables, end = large_tables(accounts, years)
    spent: dict[str, list[tuple[float, float]]] = {"scan": [], "report": []}
    for _ in range(ROUNDS):
        for name, turns in spent.items():
            before = time.process_time(), time.perf_counter()
            if name == "scan":
                scan(tables)
            else:
                feedback_loops(tables, end, GRACE_DAYS, ARRIVAL_LAG_DAYS)
            turns.append((time.process_time() - before[0], time.perf_counter() - before[1]))
    middle = {name: np.median(np.array(pairs), axis=0) for name, pairs in spent.items()}
    return {
        "accounts": accounts,
        "years": years,
        "events": int(tables["usage_events"].count().execute()),
        "processor_seconds": {name: float(pair[0]) for name, pair in middle.items()},
        "wall_seconds": {name: float(pair[1]) for name, pair in middle.items()},
        "times_a_scan": float(middle["report"][0] / middle["scan"][0]),
        "times_a_scan_wall": float(middle["report"][1] / middle["scan"][1]),
    }


def main() -> None:
    """Run the companies that are missing in the file, then print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=["facts", "cost"], default="facts")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--accounts", type=int)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    if chosen.part == "cost":
        line = run_cost(chosen.accounts or ACCOUNTS, YEARS)
        add_line(chosen.out, line)
        print(json.dumps(line, indent=1))
        return
    wanted = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    done = {(line["seed"], line["causes"]) for line in read_lines(chosen.out)}
    for seed in wanted:
        for causes in (True, False):
            if (seed, causes) in done:
                continue
            line = run_company(seed, chosen.accounts or 2000, causes=causes)
            add_line(chosen.out, line)
            said = line["recovered"] if causes else line["silent"]
            missed = [fact for fact, right in said.items() if not right]
            print(
                f"seed {seed}, {'with' if causes else 'without'} causes: missed {missed or 'none'}",
                flush=True,
            )
    lines = [line for line in read_lines(chosen.out) if line["seed"] in wanted]
    print(json.dumps(summarise(lines), indent=1))


if __name__ == "__main__":
    main()
