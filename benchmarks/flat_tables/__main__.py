"""How good is our classifier on flat tables of others, beside plain models on the same folds?

    python -m benchmarks.flat_tables --data <folder of third-party data> --out out/flat_tables
    python -m benchmarks.flat_tables --data <folder> --table caravan --again ours

Eight tables as published, five stratified folds, every row judged by the model that did not see it: logistic
regression, LightGBM with its defaults, LightGBM held on a short leash, CatBoost, and `RiskClassifier()` with
its defaults. A row is an account; intervals come from drawing rows. Ours is compared with the best of the
four by the paired difference on the same rows, the best picked with hindsight, which flatters it. A table
that is not there is skipped, and so is CatBoost where it is not installed (`pip install catboost`).
AutoGluon is tried on the first fold if the Python of an environment that has it is named:

    python -m venv out/autogluon && out/autogluon/bin/pip install "autogluon.tabular[lightgbm,catboost]"
    python -m benchmarks.flat_tables --data <folder> --autogluon out/autogluon/bin/python

Under --out each table has a file of JSON lines, one per method with all probabilities, written as it is
done; a run that was stopped goes on where it ended. figures.json holds what is printed. Exits with 1 where
the AUROC of a table is behind or a figure asked for is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.flat_tables.comparison import as_text, compare
from benchmarks.flat_tables.contenders import (
    AUTOGLUON,
    CONTENDERS,
    first_fold_by_autogluon,
    missing_package,
    out_of_fold,
)
from benchmarks.flat_tables.tables import TABLES, FlatTable, TableMissingError, load
from benchmarks.result_lines import read_lines


def run_table(
    table: FlatTable,
    out: Path,
    *,
    threads: int,
    methods: Sequence[str] = (),
    again: Sequence[str] = (),
    autogluon: Path | None = None,
    seconds: int = 60,
) -> dict[str, dict[str, Any]]:
    """Fit the methods (all, if none is named) missing in the table's file; return all lines by method."""
    lines = {line["method"]: line for line in read_lines(out) if line["rows"] == len(table.y)}
    for method in methods or (*CONTENDERS, AUTOGLUON):
        if method in lines and method not in again:
            continue
        if method == AUTOGLUON:
            if autogluon is None:
                continue
            line = first_fold_by_autogluon(table, autogluon, seconds, threads)
        else:
            if missing_package(method):
                continue
            line = out_of_fold(table, method, threads)
        lines[method] = line
        print(f"{table.name} {method}: {sum(line['seconds']):.0f} s", flush=True)
        written = out.with_suffix(".new")
        written.write_text("".join(json.dumps(one) + "\n" for one in lines.values()), encoding="utf-8")
        written.replace(out)
    return {name: lines[name] for name in (*CONTENDERS, AUTOGLUON) if name in lines}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, print all tables; return 1 where ours is behind or misses what is asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.flat_tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("THIRD_PARTY_DATA") or os.environ.get("LIFECYCLE_SOURCE_URL"),
        help="folder with a folder per table",
    )
    parser.add_argument("--table", action="append", choices=list(TABLES), help="default: all of them")
    parser.add_argument(
        "--method", action="append", default=[], choices=[*CONTENDERS, AUTOGLUON], help="default: all of them"
    )
    parser.add_argument(
        "--again", action="append", default=[], choices=[*CONTENDERS, AUTOGLUON], help="fit it once more"
    )
    parser.add_argument("--autogluon", type=Path, help="Python of an environment that has autogluon.tabular")
    parser.add_argument("--autogluon-seconds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("out/flat_tables"))
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for method in CONTENDERS:
        if why := missing_package(method):
            print(f"SKIPPED {method}: {why}")

    compared = []
    for name in chosen.table or TABLES:
        try:
            table = load(name, chosen.data)
        except TableMissingError as error:
            print(f"SKIPPED {name}: {error}", flush=True)
            continue
        lines = run_table(
            table,
            chosen.out / f"{name}.jsonl",
            threads=chosen.threads,
            methods=chosen.method,
            again=chosen.again,
            # a link leads out of its environment, so the path stays as it is written
            autogluon=chosen.autogluon and chosen.autogluon.absolute(),
            seconds=chosen.autogluon_seconds,
        )
        compared.append(compare(table, lines, chosen.draws))
    (chosen.out / "figures.json").write_text(json.dumps(compared, indent=1) + "\n", encoding="utf-8")
    print(as_text(compared))
    behind = any(table["against"].get("auroc", {}).get("verdict") == "behind" for table in compared)
    return int(behind or not all(all(table["asked"].values()) for table in compared))


if __name__ == "__main__":
    sys.exit(main())
