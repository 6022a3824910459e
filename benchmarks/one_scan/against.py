"""The parts that compare ours with what else people write, in one run and on the same files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from benchmarks.one_scan import frameworks
from benchmarks.one_scan.definitions import ADDITIVE, additive_features, usage_features
from benchmarks.one_scan.events import Size, as_of_dates, events_of, open_tables, write_company, written
from benchmarks.one_scan.measuring import Agreement, Clocked, Report, Times, clocked, compare, take_turns
from benchmarks.one_scan.rivals import (
    account_names,
    finish,
    first_days,
    group_once,
    join_to_grid,
    loop_in_pandas,
    segments,
    spine_of,
)

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import FeatureSet

DATES = 24
SAMPLE = 40
"""Accounts whose whole usage family is compared with plain SQL."""

LARGEST = {
    "grid": 10_000_000,
    "grid_usage": 5_000_000,
    "pandas": 10_000_000,
    "featuretools": 250_000,
    "feast": 5_000_000,
    "feast_dask": 1_000_000,
}
"""Events up to which each rival is asked: what it finishes within about a minute on two cores."""


@dataclass(frozen=True)
class Run:
    """What one run of the benchmark is given."""

    folder: Path
    size: Size
    rounds: int
    report: Report
    largest: dict[str, int]
    disagreements: list[str]

    def company(self, size: Size) -> Path:
        """Return the folder of a company, written if need be."""
        return write_company(self.folder, size)

    def agreed(self, name: str, agreement: Agreement) -> str:
        """Note a disagreement, and return what to print."""
        if agreement.different or not agreement.values:
            self.disagreements.append(f"{name}: {agreement}")
        return str(agreement)


def ours(home: Path, features: FeatureSet, spine: pd.DataFrame, only: str = "TRUE") -> Clocked:
    """Build the matrix from tables nobody has asked before; opening them does not count."""
    tables = open_tables(home, only=only)
    return clocked(lambda: build_matrix(tables, features, spine))


def floor_days(dates: Sequence[date]) -> pd.DataFrame:
    """Return the segments of the additive family."""
    return segments(dates, (shift for one in ADDITIVE for shift in (one.ago, one.ago + one.days)))


def said_size(home: Path, size: Size) -> str:
    """Return how many events and accounts there really are."""
    return f"{written(home)['rows']:,} events, {size.accounts:,} accounts"


def against_floor(run: Run) -> None:
    """Both families against one group-by of all events; a sample of values against plain SQL."""
    home, dates = run.company(run.size), as_of_dates(DATES)
    names = account_names(home)
    spine, days = spine_of(names, dates), floor_days(dates)
    additive, usage = additive_features(), usage_features()
    times = take_turns(
        {
            "floor": lambda: group_once(events_of(home), days),
            "additive": lambda: ours(home, additive, spine),
            "usage": lambda: ours(home, usage, spine),
        },
        run.rounds,
    )
    size = said_size(home, run.size)
    run.report.heading("floor", f"{size}, {DATES} dates, {len(spine):,} snapshots")
    floor = times["floor"]
    tiles = floor.answer.num_rows
    run.report.line("floor", "floor: one group-by into tiles", size, floor, said=f"{tiles:,} tiles")
    sample = sample_of(home, names, dates, spine)
    for name, features, most in (("additive", additive, 2.5), ("usage", usage, 6.0)):
        label = f"ours, {name} family ({len(features)} features)"
        agreement = compare(times[name].answer, sample)
        run.report.line(
            "floor",
            label,
            size,
            times[name],
            against=floor,
            target=f"<= {most} x floor",
            met=times[name].median <= most * floor.median,
            said=run.agreed(label, agreement),
            features=len(features),
            snapshots=len(spine),
        )


def sample_of(home: Path, names: Sequence[str], dates: Sequence[date], spine: pd.DataFrame) -> pd.DataFrame:
    """Return the usage family of some accounts as plain SQL says it is, for their rows of the spine."""
    picked = list(names)[:: max(1, len(names) // SAMPLE)]
    rows = spine[spine["account_id"].isin(set(picked))]
    grid = join_to_grid(events_of(home), dates, beyond=True, accounts=picked)
    return finish(grid, rows, first_days(home))


def against_grid(run: Run) -> None:
    """SQL over the as_of grid: the additive family, and the whole usage family."""
    for name, key, features, least in (
        ("additive", "grid", additive_features(), 5.0),
        ("usage", "grid_usage", usage_features(), None),
    ):
        size = run.size.scaled(run.largest[key])
        home, dates = run.company(size), as_of_dates(DATES)
        spine = spine_of(account_names(home), dates)
        beyond = name == "usage"
        times = _turns(run, home, features, spine, {"grid": _grid(home, dates, beyond=beyond)})
        theirs = times["grid"].answer
        if beyond:
            theirs = finish(theirs, spine, first_days(home))
        agreement = compare(times["ours"].answer, theirs, absent_is_zero=not beyond)
        run.report.heading("grid", f"{said_size(home, size)}, {DATES} dates, {name} family")
        _said(run, "grid", "SQL over the as_of grid", said_size(home, size), times, "grid", agreement, least)


def against_pandas(run: Run) -> None:
    """Loops in pandas, plain and careful."""
    size = run.size.scaled(run.largest["pandas"])
    home, dates = run.company(size), as_of_dates(DATES)
    spine = spine_of(account_names(home), dates)
    times = _turns(
        run,
        home,
        additive_features(),
        spine,
        {
            "plain": lambda: loop_in_pandas(home, dates, careful=False),
            "careful": lambda: loop_in_pandas(home, dates, careful=True),
        },
    )
    run.report.heading("pandas", f"{said_size(home, size)}, {DATES} dates, additive family")
    for name, least in (("plain", 20.0), ("careful", None)):
        agreement = compare(times["ours"].answer, times[name].answer, absent_is_zero=True)
        _said(run, "pandas", f"pandas loop, {name}", said_size(home, size), times, name, agreement, least)


def against_featuretools(run: Run) -> None:
    """Deep feature synthesis with cutoff times."""
    try:
        python = frameworks.environment("featuretools", run.folder)
    except frameworks.NotInstallableError as error:
        _skipped(run, "featuretools", error)
        return
    size = run.size.scaled(run.largest["featuretools"])
    home, dates = run.company(size), as_of_dates(DATES)
    names = account_names(home)
    spine = spine_of(names, dates)
    apart = home / "apart"
    asked = frameworks.sums_for_featuretools(dates) | {
        "events": str(frameworks.write_prompt_events(home, apart)),
        "accounts": names,
    }
    times = _turns(
        run,
        home,
        additive_features(),
        spine,
        {"dfs": lambda: frameworks.run_apart(python, "with_featuretools.py", asked, apart)},
        only=frameworks.PROMPT,
    )
    agreement = compare(times["ours"].answer, times["dfs"].answer)
    run.report.heading("featuretools", f"{said_size(home, size)}, {DATES} dates, prompt events only")
    _said(run, "featuretools", "featuretools, DFS", said_size(home, size), times, "dfs", agreement, None)


def against_feast(run: Run) -> None:
    """Feast's point-in-time join of ready-made daily features, and what making them costs."""
    try:
        python = frameworks.environment("feast", run.folder)
    except frameworks.NotInstallableError as error:
        _skipped(run, "feast", error)
        return
    for store, key in (("duckdb", "feast"), ("dask", "feast_dask")):
        size = run.size.scaled(run.largest[key])
        home, dates = run.company(size), as_of_dates(DATES)
        spine = spine_of(account_names(home), dates)
        apart = home / "apart"
        asked = {
            "daily": str(apart / "daily_features.parquet"),
            "spine": str(frameworks.write_spine(spine, apart)),
            "features": [one.name for one in ADDITIVE],
            "store": store,
        }
        times = _turns(
            run,
            home,
            additive_features(),
            spine,
            {
                "made": _daily(home, dates, apart),
                "join": _apart(python, asked, apart),
            },
            only=frameworks.PROMPT,
        )
        agreement = compare(times["ours"].answer, times["join"].answer)
        where = said_size(home, size)
        run.report.heading("feast", f"{where}, {DATES} dates, prompt events only, {store} store")
        rows = frameworks.rows_of(times["made"].answer)
        _said(run, "feast", "Feast, join of ready-made features", where, times, "join", agreement, None)
        run.report.line(
            "feast",
            "making them every day, in DuckDB",
            where,
            times["made"],
            against=times["ours"],
            said=f"{rows:,} rows of features, which Feast needs and does not make",
        )


def _grid(home: Path, dates: Sequence[date], *, beyond: bool) -> Callable[[], Any]:
    return lambda: join_to_grid(events_of(home), dates, beyond=beyond)


def _daily(home: Path, dates: Sequence[date], apart: Path) -> Callable[[], Any]:
    return lambda: frameworks.write_daily_features(home, dates, apart)


def _apart(python: Path, asked: dict[str, Any], apart: Path) -> Callable[[], Any]:
    return lambda: frameworks.run_apart(python, "with_feast.py", asked, apart)


def _turns(
    run: Run,
    home: Path,
    features: FeatureSet,
    spine: pd.DataFrame,
    rivals: dict[str, Callable[[], Any]],
    only: str = "TRUE",
) -> dict[str, Times]:
    mine = {"ours": lambda: ours(home, features, spine, only)}
    return take_turns(mine | rivals, run.rounds)


def _said(
    run: Run,
    part: str,
    label: str,
    size: str,
    times: dict[str, Times],
    rival: str,
    agreement: Agreement,
    least: float | None,
) -> None:
    """Print ours (once a part) and a rival, whose ratio is to ours: above 1 ours is faster."""
    mine, theirs = times["ours"], times[rival]
    if rival == next(name for name in times if name not in {"ours", "made"}):
        run.report.line(part, "ours", size, mine)
    ratio = theirs.median / mine.median
    run.report.line(
        part,
        label,
        size,
        theirs,
        against=mine,
        target=f">= {least:g} x ours" if least else "",
        met=ratio >= least if least else None,
        said=run.agreed(f"{part}, {label}", agreement) + ("" if ratio >= 1 else "; FASTER THAN OURS"),
    )


def _skipped(run: Run, part: str, error: Exception) -> None:
    run.report.heading(part, "SKIPPED")
    run.report.line(part, "SKIPPED", "", said=f"cannot be installed here: {error}")
