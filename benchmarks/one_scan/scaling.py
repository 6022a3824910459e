"""The parts that compare ours with itself: other dates, more dates or events, little memory, all features."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
from benchmarks.one_scan.against import DATES, Run, ours, said_size
from benchmarks.one_scan.definitions import WIDE, additive_features, usage_features
from benchmarks.one_scan.events import END, FIRST, FIRST_LOOK, Size, as_of_dates, events_of, open_tables
from benchmarks.one_scan.measuring import Clocked, clocked, compare, take_turns
from benchmarks.one_scan.rivals import (
    account_names,
    finish,
    first_days,
    group_once,
    join_to_grid,
    segments,
    spine_of,
)

from lifecycle_ml.matrix.build import build_matrix, customers
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.matrix.kept import KeptTiles
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.matrix.measures import leaves
from lifecycle_ml.settings import Settings
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import Tables, read_tables
from lifecycle_ml.workspace import Workspace, standard_root

LEADS = (180, 120, 90, 60, 30)
"""Days before its renewal on which an account is looked at."""
FEW_EVENTS = 200
"""Events an account in the second size with dates of each account's own, as where a source delivers sums."""
GIGABYTE = 1_000_000_000
CATALOGUE_ACCOUNTS, CATALOGUE_DATES, CATALOGUE_SEED = 2_000, 36, 4001


def renewal_spine(home: Path) -> pd.DataFrame:
    """Return each account on the days before its renewals that lie between the first as_of and the last."""
    ends = duckdb.sql(
        "SELECT account_id, CAST(ends_on AS TIMESTAMP) AS ends_on "
        f"FROM read_parquet('{home / 'contracts.parquet'}')"
    ).df()
    rows = pd.concat([ends.assign(as_of=ends["ends_on"] - pd.Timedelta(days=lead)) for lead in LEADS])
    first = pd.Timestamp(FIRST + timedelta(days=FIRST_LOOK))
    rows = rows[(rows["as_of"] >= first) & (rows["as_of"] <= pd.Timestamp(END))]
    rows = rows[["account_id", "as_of"]].drop_duplicates().astype({"as_of": "datetime64[us]"})
    spine: pd.DataFrame = rows.sort_values(["account_id", "as_of"], ignore_index=True)
    return spine.assign(known_at=spine["as_of"])


def dates_of_each_account(run: Run) -> None:
    """Feature values a second where every account has dates of its own."""
    few = Size(min(FEW_EVENTS * run.size.accounts, run.size.events), run.size.accounts, run.size.seed)
    cases = [(few, "wide", additive_features(WIDE)), (few, "usage", usage_features())]
    if run.size != few:
        cases += [(run.size, "wide", additive_features(WIDE)), (run.size, "usage", usage_features())]
    for size, family, features in cases:
        home = run.company(size)
        spine = renewal_spine(home)
        times = take_turns({"ours": _build(home, features, spine)}, run.rounds)["ours"]
        several = account_names(home)[:: max(1, size.accounts // 10)]
        rows = spine[spine["account_id"].isin(several)]
        grid = join_to_grid(
            events_of(home),
            [day.date() for day in rows["as_of"].unique()],
            WIDE,
            beyond=True,
            accounts=several,
        )
        agreement = compare(times.answer, finish(grid, rows, first_days(home)))
        values = len(spine) * len(features)
        rate = values / times.median
        where = said_size(home, size)
        dates = spine["as_of"].nunique()
        run.report.heading("account_dates", f"{where}, {len(spine):,} snapshots on {dates:,} dates")
        run.report.line(
            "account_dates",
            f"ours, {family} family ({len(features)} features)",
            where,
            times,
            target=">= 3 million values/s",
            met=rate >= 3e6,
            said=f"{rate / 1e6:.2f} million values/s; {run.agreed('account_dates', agreement)}",
            values=values,
            values_per_second=round(rate),
        )


def twice_the_dates(run: Run) -> None:
    """24 as_of dates, and 48 over the same time."""
    home = run.company(run.size)
    names = account_names(home)
    spines = {24: spine_of(names, as_of_dates(24)), 48: spine_of(names, as_of_dates(48, apart=14))}
    for family, features in (("additive", additive_features()), ("usage", usage_features())):
        times = take_turns({str(n): _build(home, features, spine) for n, spine in spines.items()}, run.rounds)
        where = said_size(home, run.size)
        run.report.heading("dates", f"{where}, {family} family")
        shared = times["48"].answer.merge(spines[24][["account_id", "as_of"]], on=["account_id", "as_of"])
        agreement = compare(times["24"].answer, shared)
        run.report.line("dates", "24 dates, 28 days apart", where, times["24"], family=family)
        run.report.line(
            "dates",
            "48 dates, 14 days apart",
            where,
            times["48"],
            against=times["24"],
            target="< 1.25 x 24 dates",
            met=times["48"].median < 1.25 * times["24"].median,
            said=run.agreed("48 dates", agreement),
            family=family,
        )


def twice_the_events(run: Run) -> None:
    """The same accounts with half the events, and with all."""
    sizes = {"half": Size(run.size.events // 2, run.size.accounts, run.size.seed), "all": run.size}
    homes = {name: run.company(size) for name, size in sizes.items()}
    spines = {name: spine_of(account_names(home), as_of_dates(DATES)) for name, home in homes.items()}
    for family, features in (("additive", additive_features()), ("usage", usage_features())):
        times = take_turns(
            {name: _build(homes[name], features, spines[name]) for name in sizes},
            run.rounds,
        )
        run.report.heading("events", f"{run.size.accounts:,} accounts, {DATES} dates, {family} family")
        half, whole = (said_size(homes[name], sizes[name]) for name in sizes)
        run.report.line("events", half, half, times["half"], family=family)
        run.report.line(
            "events",
            whole,
            whole,
            times["all"],
            against=times["half"],
            target="< 2 x half the events",
            met=times["all"].median < 2 * times["half"].median,
            family=family,
        )


def little_memory(run: Run, limit: str = "2GB") -> None:
    """The most memory a process of its own holds while DuckDB may have 2 GB."""
    home = run.company(run.size)
    where = said_size(home, run.size)
    run.report.heading("memory", f"{where}, {DATES} dates, DuckDB's memory_limit {limit}")
    for family in ("additive", "usage"):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.one_scan.memory", home, family, limit, str(DATES)],
            capture_output=True,
            text=True,
            check=False,
        )
        label = f"ours, {family} family"
        if done.returncode:
            said = f"ended with {done.returncode}: {done.stderr.strip()[-300:]}"
            run.report.line("memory", label, where, target="< 4 GB", met=False, said=said)
            continue
        found = json.loads(done.stdout.strip().splitlines()[-1])
        if "failed" in found:
            said = f"FAILED at {found['peak'] / GIGABYTE:.2f} GB: {found['failed']}"
        else:
            said = (
                f"{found['peak'] / GIGABYTE:.2f} GB at most ({found['before'] / GIGABYTE:.2f} before, "
                f"the matrix itself {found['matrix'] / GIGABYTE:.2f}), {found['seconds']:.1f} s"
            )
        met = "failed" not in found and found["peak"] < 4 * GIGABYTE
        run.report.line("memory", label, where, target="< 4 GB", met=met, said=said, **found)


def nightly_increment(run: Run) -> None:
    """One more night on top of kept tiles, beside all dates built from all events."""
    home = run.company(run.size)
    features = usage_features()
    where = said_size(home, run.size)
    dates = as_of_dates(DATES)
    spine = spine_of(account_names(home), dates)
    night = spine[spine["as_of"] == spine["as_of"].max()].reset_index(drop=True)
    before = night["as_of"].iloc[0] - pd.Timedelta(days=1)
    run.report.heading("increment", f"{where}, one night after {before:%Y-%m-%d}")
    path = run.folder / "kept_tiles.duckdb"
    path.unlink(missing_ok=True)

    def known(until: pd.Timestamp) -> Tables:
        return open_tables(home, only=f"known_at <= TIMESTAMP '{until}'")

    tables = known(before)
    kept = KeptTiles(path, features, tables)
    begun = clocked(kept.update)
    kept.close()
    evening = path.read_bytes()

    def increment() -> Clocked:
        path.write_bytes(evening)
        return clocked(one_night)

    def one_night() -> pd.DataFrame:
        tables = known(night["as_of"].iloc[0])
        kept = KeptTiles(path, features, tables)
        kept.update()
        matrix = build_matrix(tables, features, night, kept)
        kept.close()
        return matrix

    def full() -> pd.DataFrame:
        return build_matrix(known(night["as_of"].iloc[0]), features, spine)

    found = take_turns({"increment": increment, "full": full}, run.rounds)
    times, all_of_it = found["increment"], found["full"]
    last = all_of_it.answer[all_of_it.answer["as_of"] == night["as_of"].iloc[0]]
    pd.testing.assert_frame_equal(times.answer, last.reset_index(drop=True), check_exact=True)
    ratio = times.median / all_of_it.median
    run.report.line("increment", f"all {DATES} dates from all events", where, all_of_it)
    run.report.line(
        "increment",
        "one night: new events into kept tiles, matrix of the night",
        where,
        times,
        target="< 5% of a full build",
        met=ratio < 0.05,
        said=f"{ratio:.1%}; the same values; tiles of all events made in {begun.seconds:.1f} s, "
        f"{len(evening) / GIGABYTE:.2f} GB",
    )


def whole_catalogue(run: Run, accounts: int = CATALOGUE_ACCOUNTS, dates: int = CATALOGUE_DATES) -> None:
    """Every standard feature of a simulated company, beside reading its tables and one group-by of events."""
    root = run.folder / f"simulated_{accounts}_accounts_seed_{CATALOGUE_SEED}"
    last = _simulated(root, accounts)
    workspace = Workspace(root=standard_root(), standard=standard_root())
    settings = Settings.read(root, environ={})
    tables = read_tables(workspace, settings)
    features = load_features(workspace).available(tables)
    as_of = [last - timedelta(days=28 * back) for back in range(dates - 1, -1, -1)]
    spine = customers(tables, as_of)
    shifts = {
        shift
        for feature in features
        for measure in (feature.value, feature.usual)
        if measure is not None
        for leaf in leaves(measure)
        if leaf.table == "usage_events"
        for shift in (leaf.ago, leaf.ago + int(leaf.days or 0))
    }
    days = segments(as_of, shifts)

    def group(connection: duckdb.DuckDBPyConnection) -> Any:
        return group_once("usage_events", days, connection)

    def bare() -> Any:
        connection = duckdb.connect()
        for path in sorted((root / "data").glob("*.parquet")):
            connection.execute(f"CREATE TABLE {path.stem} AS SELECT * FROM read_parquet('{path}')")
        return group(connection)

    def read() -> Tables:
        return read_tables(workspace, settings)

    times = take_turns(
        {
            "bare": bare,
            "read": lambda: group(read().backend.con),
            "build": lambda: build_matrix(tables, features, spine),
            "whole": lambda: build_matrix(read(), features, spine),
        },
        run.rounds,
    )
    events = tables["usage_events"].count().execute()
    where = f"{accounts:,} simulated accounts, {events:,} events"
    values = len(spine) * len(features)
    said = f"{dates} dates, {len(spine):,} snapshots, {len(features)} features, {values:,} values"
    run.report.heading("catalogue", f"{where}, {said}")
    run.report.line("catalogue", "DuckDB reads the files, one group-by", where, times["bare"])
    run.report.line("catalogue", "read_tables, one group-by", where, times["read"])
    for label, key, base in (
        ("ours, tables already read", "build", "bare"),
        ("ours with read_tables, to DuckDB's reading", "whole", "bare"),
        ("ours with read_tables, to read_tables", "whole", "read"),
    ):
        run.report.line(
            "catalogue",
            label,
            where,
            times[key],
            against=times[base],
            target="<= 4 x reading and grouping",
            met=times[key].median <= 4 * times[base].median,
        )


def _simulated(root: Path, accounts: int) -> Any:
    """Write a simulated company, unless it is there; return the day on which we stand."""
    stamp = root / "written.json"
    if not stamp.exists():
        company = simulate_company(CATALOGUE_SEED, accounts)
        company.write(root / "data", root / "truth")
        last = company.first + timedelta(days=company.days)
        stamp.write_text(json.dumps({"last": last.isoformat()}), encoding="utf-8")
    return pd.Timestamp(json.loads(stamp.read_text(encoding="utf-8"))["last"]).date()


def _build(home: Path, features: FeatureSet, spine: pd.DataFrame) -> Callable[[], Any]:
    return lambda: ours(home, features, spine)
