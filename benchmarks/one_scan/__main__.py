"""How many as_of dates over one event table cost, beside one scan of it and beside what else people write.

    python -m benchmarks.one_scan --events 50000000 --part floor --part grid

Events are made up, written once under out/one_scan and used again. Every figure is a median of rounds in
which the contenders take turns; beside the wall clock stands the processor's time, which other work on the
machine disturbs less. All rivals answer the same features and their values are compared with ours. Exits with
1 where values differ; a missed target is only said.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.one_scan import against, scaling
from benchmarks.one_scan.against import LARGEST, Run
from benchmarks.one_scan.events import Size
from benchmarks.one_scan.measuring import Report, machine

PARTS: dict[str, Callable[[Run], None]] = {
    "floor": against.against_floor,
    "grid": against.against_grid,
    "pandas": against.against_pandas,
    "featuretools": against.against_featuretools,
    "feast": against.against_feast,
    "account_dates": scaling.dates_of_each_account,
    "dates": scaling.twice_the_dates,
    "events": scaling.twice_the_events,
    "memory": scaling.little_memory,
    "increment": scaling.nightly_increment,
    "catalogue": scaling.whole_catalogue,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen parts; return 1 where a rival's values and ours differ."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.one_scan",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--events", type=int, default=50_000_000)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--part", action="append", choices=list(PARTS), help="default: all of them")
    parser.add_argument("--folder", type=Path, default=Path("out/one_scan"), help="where the events lie")
    parser.add_argument("--out", type=Path, help="append every figure as a line of JSON")
    parser.add_argument(
        "--largest",
        action="append",
        default=[],
        metavar="RIVAL=EVENTS",
        help=f"most events a rival is given: {', '.join(f'{k}={v}' for k, v in LARGEST.items())}",
    )
    chosen = parser.parse_args(arguments)
    largest = dict(LARGEST)
    for text in chosen.largest:
        name, _, events = text.partition("=")
        if name not in LARGEST or not events.isdigit():
            parser.error(f"--largest {text}: give RIVAL=EVENTS, RIVAL one of {', '.join(LARGEST)}")
        largest[name] = int(events)
    run = Run(
        folder=chosen.folder.resolve(),
        size=Size(chosen.events, chosen.accounts, chosen.seed),
        rounds=chosen.rounds,
        report=Report(chosen.out),
        largest=largest,
        disagreements=[],
    )
    here = machine()
    run.report.keep({"part": "machine", **here, "rounds": run.rounds})
    print(
        f"{here['cores']} cores, {here['memory_gib']} GiB, load {here['load'][0]}, Python {here['python']}, "
        + ", ".join(f"{name} {number}" for name, number in here["versions"].items())
    )
    for part in chosen.part or PARTS:
        PARTS[part](run)
    for text in run.disagreements:
        print(f"\nVALUES DIFFER: {text}")
    return 1 if run.disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
