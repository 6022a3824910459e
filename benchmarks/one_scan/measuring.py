"""Clocks, turns, and whether two frames say the same."""

from __future__ import annotations

import gc
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

EXACT = 1e-9
"""Relative difference up to which two ways of adding decimals are the same."""


@dataclass(frozen=True)
class Clocked:
    """What a contender that keeps its own time says: wall clock and processor seconds, and its answer."""

    seconds: float
    processor: float
    answer: Any = None


@dataclass
class Times:
    """Seconds of each round of one contender, and the answer of its first."""

    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    answer: Any = None

    @property
    def median(self) -> float:
        """Median of the wall clock."""
        return median(self.seconds)

    @property
    def processor_median(self) -> float:
        """Median of the processor's time, both cores added up."""
        return median(self.processor)


def added(parts: Sequence[Times]) -> Times:
    """Return several contenders as one, round by round."""
    return Times(
        [sum(each) for each in zip(*(part.seconds for part in parts), strict=True)],
        [sum(each) for each in zip(*(part.processor for part in parts), strict=True)],
    )


def clocked(run: Callable[[], Any]) -> Clocked:
    """Run something and say how long it took."""
    began, used = time.perf_counter(), time.process_time()
    answer = run()
    return Clocked(time.perf_counter() - began, time.process_time() - used, answer)


def take_turns(contenders: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Times]:
    """Run all contenders once, then all again, so that whatever else the machine does hits each alike."""
    found = {name: Times() for name in contenders}
    for number in range(rounds):
        for name, run in contenders.items():
            gc.collect()
            took = clocked(run)
            if isinstance(took.answer, Clocked):
                took = took.answer
            found[name].seconds.append(round(took.seconds, 4))
            found[name].processor.append(round(took.processor, 4))
            if number == 0:
                found[name].answer = took.answer
            del took
    return found


@dataclass
class Report:
    """Lines printed as they come and kept as JSON."""

    path: Path | None

    def line(
        self,
        part: str,
        contender: str,
        size: str,
        times: Times | None = None,
        *,
        against: Times | None = None,
        target: str = "",
        met: bool | None = None,
        said: str = "",
        **further: Any,
    ) -> None:
        """Say one figure. `against` is what its times are divided by; `met` whether the target is reached."""
        kept: dict[str, Any] = {"part": part, "contender": contender, "size": size, **further}
        shown = [f"{contender:<46}"]
        if times is not None:
            kept |= {"median": round(times.median, 4), "processor_median": round(times.processor_median, 4)}
            kept |= {"seconds": times.seconds, "processor": times.processor}
            shown.append(f"{times.median:9.2f} s {times.processor_median:9.2f} s")
        else:
            shown.append(" " * 23)
        if times is not None and against is not None:
            ratio = times.median / against.median
            busy = times.processor_median / against.processor_median
            kept |= {"ratio": round(ratio, 3), "processor_ratio": round(busy, 3)}
            shown.append(f"{ratio:8.2f}x {busy:8.2f}x")
        else:
            shown.append(" " * 19)
        verdict = {True: "reached", False: "MISSED", None: ""}[met]
        shown.append(
            "  ".join(text for text in (said, f"target {target}" if target else "", verdict) if text)
        )
        kept |= {"target": target, "met": met, "said": said}
        self.keep(kept)
        print("  ".join(shown).rstrip(), flush=True)

    def heading(self, part: str, size: str) -> None:
        """Begin a part."""
        print(f"\n{part}: {size}", flush=True)
        print(f"{'':<46}  {'median':>11} {'processor':>11}  {'ratio':>9} {'of proc.':>9}", flush=True)

    def keep(self, line: Mapping[str, Any]) -> None:
        """Append a line to the file, where there is one."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ("lifecycle_ml", "duckdb", "ibis-framework", "numpy", "pandas", "pyarrow")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "load": [round(value, 1) for value in os.getloadavg()],
        "system": platform.system(),
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in packages},
    }


def peak_memory() -> int:
    """Return the most memory this process has held at once, in bytes.

    Linux's own count of this program only: getrusage() of a child begins with what its parent held.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@dataclass(frozen=True)
class Agreement:
    """How many values were compared, how many differ, and one that does."""

    values: int
    different: int
    example: str = ""

    def __str__(self) -> str:
        if self.values == 0:
            return "NOTHING COMPARED"
        if self.different == 0:
            return f"{self.values:,} values agree"
        return f"{self.different:,} OF {self.values:,} VALUES DIFFER, e.g. {self.example}"


def compare(ours: pd.DataFrame, theirs: pd.DataFrame, *, absent_is_zero: bool = False) -> Agreement:
    """Compare the columns both have, row by row of theirs, for null and for value.

    `absent_is_zero`: theirs holds sums and leaves out rows without events.
    """
    keys = ["account_id", "as_of"]
    names = [name for name in theirs.columns if name in ours.columns and name not in keys]
    left = _keyed(ours, names)
    right = _keyed(theirs, names)
    strangers = right.index.difference(left.index)
    if len(strangers):
        return Agreement(int(right.size), len(strangers) * len(names), f"{strangers[0]} is no row of ours")
    left = left if absent_is_zero else left.reindex(right.index)
    right = right.reindex(left.index)
    if absent_is_zero:
        right = right.fillna(0.0)
    mine, other = left.to_numpy(), right.to_numpy()
    gap = np.abs(mine - other) > EXACT * np.maximum(np.abs(other), 1.0)
    wrong = gap | (np.isnan(mine) != np.isnan(other))
    example = ""
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        example = (
            f"{names[column]} of {left.index[row]}: {mine[row, column]} here, {other[row, column]} there"
        )
    return Agreement(int(mine.size), int(wrong.sum()), example)


def _keyed(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    keyed = frame[["account_id", "as_of", *names]].astype(
        {"account_id": "object", "as_of": "datetime64[us]"} | dict.fromkeys(names, "float64")
    )
    return keyed.set_index(["account_id", "as_of"]).sort_index()
