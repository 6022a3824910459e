"""Results of long benchmarks as JSON lines: each is added as it is done, and a stopped run goes on there."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines already written; a last one that was cut off is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


def add_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line to a file, made where it does not exist; never behind a line that was cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = path.read_text(encoding="utf-8") if path.is_file() else ""
    with path.open("a", encoding="utf-8") as out:
        out.write(("" if kept.endswith("\n") or not kept else "\n") + json.dumps(line) + "\n")


def companies_parser(says: str, first_seed: int, out: Path | None = None) -> argparse.ArgumentParser:
    """Return a parser of what benchmarks of simulated companies take; --out is required without a default.

    says: the docstring of the benchmark, of which `--help` shows the first line.
    """
    parser = argparse.ArgumentParser(description=says.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=first_seed)
    parser.add_argument("--accounts", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=out, required=out is None)
    return parser


def run_companies(
    chosen: argparse.Namespace,
    run: Callable[[int], dict[str, Any]],
    say: Callable[[dict[str, Any]], str],
) -> list[dict[str, Any]]:
    """Run the seeds that are missing in the file and return the lines of all that were asked for.

    run: gives the line of a seed. say: what is printed of a line behind its seed.
    """
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    wanted = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    done = {line["seed"] for line in read_lines(chosen.out)}
    for seed in wanted:
        if seed in done:
            continue
        line = run(seed)
        add_line(chosen.out, line)
        print(f"seed {seed}: {say(line)}", flush=True)
    return [line for line in read_lines(chosen.out) if line["seed"] in wanted]
