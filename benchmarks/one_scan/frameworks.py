"""Feature frameworks as rivals: featuretools and Feast, each in a throw-away environment of its own.

They are no dependencies of the project and want other versions of pandas, so each runs in its own process and
keeps its own time: reading, calculating and joining count, imports and the start of Python do not.
Neither hides rows that arrived late (featuretools knows one time per row, Feast versions of ready values), so
they and ours are given the events that arrived at once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
from benchmarks.one_scan.definitions import ADDITIVE, CONDITIONS, Sum
from benchmarks.one_scan.events import events_of
from benchmarks.one_scan.measuring import Clocked

PROMPT = "known_at = happened_at"
"""The events that arrived at once."""

PACKAGES = {
    # featuretools 1.31 (2024) breaks with pandas 2.3 and later.
    "featuretools": ("featuretools==1.31.0", "pandas<2.3", "numpy<2.1", "pyarrow", "setuptools<80"),
    "feast": ("feast[duckdb]==0.67.0",),
}


class NotInstallableError(Exception):
    """A framework cannot be had here."""


def environment(name: str, folder: Path) -> Path:
    """Return the Python of a framework's own environment, made on first use.

    Raises: NotInstallableError with the installer's last words.
    """
    home = folder / f"environment_{name}"
    python = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    stamp = home / "installed.txt"
    wanted = "\n".join(PACKAGES[name])
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"installing {', '.join(PACKAGES[name])} into an environment of their own", flush=True)
    venv.create(home, with_pip=True, clear=True)
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES[name]],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotInstallableError(" ".join(done.stderr.strip().splitlines()[-2:]))
    stamp.write_text(wanted, encoding="utf-8")
    return python


def run_apart(python: Path, script: str, asked: dict[str, Any], folder: Path) -> Clocked:
    """Run one of the scripts beside this file; its answer is a frame keyed by account_id, as_of."""
    folder.mkdir(parents=True, exist_ok=True)
    asked |= {"answer": str(folder / "answer.parquet")}
    (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    done = subprocess.run(
        [python, Path(__file__).parent / script, folder / "asked.json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    if done.returncode:
        raise RuntimeError(f"{script}: {done.stderr.strip()[-2000:]}")
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return Clocked(said["seconds"], said["processor"], pd.read_parquet(asked["answer"]))


def sums_for_featuretools(dates: Sequence[date]) -> dict[str, Any]:
    """Return what `with_featuretools.py` is asked: one calculation per window, shifted for lag buckets."""
    windows: dict[tuple[int, int], list[Sum]] = {}
    for one in ADDITIVE:
        windows.setdefault((one.days, one.ago), []).append(one)
    return {
        "dates": [day.isoformat() for day in dates],
        "conditions": {name: how for name, how in CONDITIONS.items() if how},
        "windows": [
            {
                "days": days,
                "ago": ago,
                "sums": [{"name": s.name, "adds": s.adds, "condition": s.condition} for s in sums],
            }
            for (days, ago), sums in windows.items()
        ],
    }


def write_prompt_events(home: Path, folder: Path) -> Path:
    """Write the prompt events to one file, with floats for decimals and a column per condition."""
    path = folder / "prompt_events.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    flags = ", ".join(f"({how}) AS {name}" for name, how in CONDITIONS.items() if how)
    duckdb.sql(
        f"COPY (SELECT account_id, happened_at, CAST(quantity AS DOUBLE) AS quantity, {flags} "
        f"FROM {events_of(home)} WHERE {PROMPT}) TO '{path}' (FORMAT parquet)"
    )
    return path


def write_daily_features(home: Path, dates: Sequence[date], folder: Path) -> Path:
    """Calculate the additive family for every account and day, as a feature store wants it: ready.

    One row per account and day from the first as_of to the last, stamped with the midnight that ends the
    day. Feast calculates no windows, so somebody has to do this before it joins.
    """
    path = folder / "daily_features.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    base = {f"events_{c}": f"count(*) FILTER (WHERE {how or 'TRUE'})" for c, how in CONDITIONS.items()}
    base |= {
        f"quantity_{c}": f"sum(CAST(quantity AS DOUBLE)) FILTER (WHERE {how or 'TRUE'})"
        for c, how in CONDITIONS.items()
    }
    grouped = ", ".join(f"{how} AS {name}" for name, how in base.items())
    filled = ", ".join(f"coalesce({name}, 0) AS {name}" for name in base)
    windows = ", ".join(
        f"sum({'quantity' if s.adds else 'events'}_{s.condition}) OVER (PARTITION BY account_id ORDER BY day "
        f"ROWS BETWEEN {s.ago + s.days - 1} PRECEDING AND {s.ago} PRECEDING)::DOUBLE AS {s.name}"
        for s in ADDITIVE
    )
    first, last = min(dates), max(dates)
    duckdb.sql(
        f"""
        COPY (
          WITH daily AS (
            SELECT account_id, CAST(happened_at AS DATE) AS day, {grouped}
            FROM {events_of(home)} WHERE {PROMPT} GROUP BY ALL
          ), days AS (
            SELECT CAST(day AS DATE) AS day FROM range(
              DATE '{first}' - INTERVAL 168 DAY, DATE '{last}'::TIMESTAMP, INTERVAL 1 DAY) AS d(day)
          ), dense AS (
            SELECT account_id, day, {filled}
            FROM (SELECT account_id FROM read_parquet('{home / "accounts.parquet"}')) CROSS JOIN days
            LEFT JOIN daily USING (account_id, day)
          )
          SELECT * EXCLUDE (day) FROM (
            SELECT account_id, day, (day + INTERVAL 1 DAY)::TIMESTAMPTZ AS event_timestamp, {windows}
            FROM dense
          ) WHERE event_timestamp >= TIMESTAMPTZ '{first} 00:00:00Z'
        ) TO '{path}' (FORMAT parquet)
        """
    )
    return path


def write_spine(spine: pd.DataFrame, folder: Path) -> Path:
    """Write the rows a feature store is asked for."""
    path = folder / "spine.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    spine[["account_id", "as_of"]].to_parquet(path, index=False)
    return path


def rows_of(path: Path) -> int:
    """Return the number of rows of a Parquet file."""
    return int(pq.read_metadata(path).num_rows)
