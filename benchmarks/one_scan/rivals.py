"""What else people write: one group-by as the floor, SQL over the as_of grid, a loop in pandas.

All of them read the same Parquet files and answer the same features as ours, with late rows hidden until they
arrived. Where several ways of writing one were tried, the fastest is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from benchmarks.one_scan.definitions import ADDITIVE, CONDITIONS, MEANINGFUL, Sum

_REACH = 168
_COLUMNS = {
    "events_all": "count(*)",
    "events_meaningful": f"count(*) FILTER (WHERE {CONDITIONS['meaningful']})",
    "events_key": f"count(*) FILTER (WHERE {CONDITIONS['key']})",
    "quantity_all": "sum(quantity)",
    "quantity_meaningful": f"sum(quantity) FILTER (WHERE {CONDITIONS['meaningful']})",
    "quantity_key": f"sum(quantity) FILTER (WHERE {CONDITIONS['key']})",
}
"""What a tile of the additive family holds."""


def spine_of(accounts: Iterable[str], dates: Sequence[date]) -> pd.DataFrame:
    """Return every account on every date, looked at on the date itself."""
    days = pd.to_datetime(list(dates)).astype("datetime64[us]")
    grid = pd.MultiIndex.from_product([list(accounts), days], names=["account_id", "as_of"])
    return grid.to_frame(index=False).assign(known_at=lambda frame: frame["as_of"])


def account_names(home: Path) -> list[str]:
    """Return the accounts of a company."""
    return [
        name
        for (name,) in duckdb.sql(
            f"SELECT account_id FROM read_parquet('{home / 'accounts.parquet'}') ORDER BY 1"
        ).fetchall()
    ]


def first_days(home: Path) -> pd.Series:
    """Return when each account was created, by account."""
    accounts = duckdb.sql(
        f"SELECT account_id, created_at FROM read_parquet('{home / 'accounts.parquet'}')"
    ).df()
    created: pd.Series = accounts.set_index("account_id")["created_at"]
    return created


def segments(dates: Sequence[date], shifts: Iterable[int]) -> pd.DataFrame:
    """Return day, segment: days between two cuts, where every window begins and ends at a cut."""
    cuts = sorted({day - timedelta(days=shift) for shift in set(shifts) for day in dates})
    rows = [
        (begin + timedelta(days=k), begin) for begin, end in pairwise(cuts) for k in range((end - begin).days)
    ]
    return pd.DataFrame(rows, columns=["day", "segment"]).astype("datetime64[us]")


def group_once(
    events: str, cut: pd.DataFrame, connection: duckdb.DuckDBPyConnection | None = None
) -> pa.Table:
    """The floor: one group-by of all events into (account, segment), late or not; nothing is answered yet."""
    connection = connection or duckdb.connect()
    connection.register("cut", cut)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE floor_days AS "
        "SELECT day::DATE AS day, segment::DATE AS segment FROM cut"
    )
    picked = ", ".join(f"{how} AS {name}" for name, how in _COLUMNS.items())
    return connection.sql(
        f"SELECT account_id, segment, {picked} FROM {events} AS e "
        "JOIN floor_days ON floor_days.day = CAST(e.happened_at AS DATE) GROUP BY ALL"
    ).to_arrow_table()


def join_to_grid(
    events: str,
    dates: Sequence[date],
    sums: Sequence[Sum] = ADDITIVE,
    *,
    beyond: bool = False,
    accounts: Sequence[str] | None = None,
) -> pd.DataFrame:
    """SQL as most people write it: events joined to the dates, a FILTER per feature, grouped once.

    `beyond` adds the columns from which `finish` makes the rest of the usage family. Accounts without an
    event in the last 168 days have no row.
    """
    connection = duckdb.connect()
    grid = pd.DataFrame({"as_of": pd.to_datetime(list(dates)).astype("datetime64[us]")})
    connection.register("dates", grid)
    kept = ""
    if accounts is not None:
        connection.register("asked", pd.DataFrame({"account_id": list(accounts)}))
        kept = "WHERE e.account_id IN (SELECT account_id FROM asked)"
    picked = [f"{_filtered(one)} AS {one.name}" for one in sums]
    if beyond:
        picked += [f"{how} AS {name}" for name, how in _beyond().items()]
    answer: pd.DataFrame = connection.sql(
        f"""
        SELECT account_id, as_of, {", ".join(picked)}
        FROM (
            SELECT e.*, d.as_of, date_diff('day', CAST(e.happened_at AS DATE), CAST(d.as_of AS DATE)) AS age
            FROM {events} AS e
            JOIN dates AS d
              ON e.happened_at < d.as_of AND e.happened_at >= d.as_of - INTERVAL {_REACH} DAY
             AND e.known_at <= d.as_of
            {kept}
        )
        GROUP BY ALL
        """
    ).df()
    return answer


def _filtered(one: Sum) -> str:
    tests = [_in_window(one.days, one.ago), *([one.where] if one.where else [])]
    return f"{'sum(quantity)' if one.adds else 'count(*)'} FILTER (WHERE {' AND '.join(tests)})"


def _in_window(days: int, ago: int = 0) -> str:
    return f"age > {ago} AND age <= {ago + days}"


def _beyond() -> dict[str, str]:
    columns = {
        f"users_28d_ago_{28 * k}d": (
            f"count(DISTINCT user_id) FILTER (WHERE {MEANINGFUL} AND {_in_window(28, 28 * k)})"
        )
        for k in range(4)
    }
    columns |= {
        f"week_{k}": f"count(*) FILTER (WHERE {MEANINGFUL} AND {_in_window(7, 7 * k)})" for k in range(12)
    }
    for days in (28, 84):
        test = f"FILTER (WHERE {MEANINGFUL} AND {_in_window(days)})"
        columns[f"features_{days}d"] = f"count(DISTINCT feature) {test}"
        columns[f"active_days_{days}d"] = f"count(DISTINCT CAST(happened_at AS DATE)) {test}"
    columns["users_84d"] = f"count(DISTINCT user_id) FILTER (WHERE {MEANINGFUL} AND {_in_window(84)})"
    columns["days_since_last_use"] = f"min(age) FILTER (WHERE {MEANINGFUL})"
    return columns


def finish(grid: pd.DataFrame, spine: pd.DataFrame, created: pd.Series) -> pd.DataFrame:
    """Calculate slopes, pasts and streaks from the columns of `join_to_grid(beyond=True)`.

    `created` is each account's first day; windows that began before it do not count. The events began early
    enough not to matter.
    """
    rows = spine[["account_id", "as_of"]].merge(grid, how="left", on=["account_id", "as_of"])
    kept = ["account_id", "as_of", "days_since_last_use"]
    rows = pd.concat([rows[kept], rows.drop(columns=kept).astype("float64").fillna(0.0)], axis=1)
    age = (rows["as_of"] - rows["account_id"].map(created).astype("datetime64[us]").dt.normalize()).dt.days
    lags = [rows["quantity_meaningful_28d"]]
    lags += [rows[f"quantity_meaningful_28d_ago_{28 * k}d"] for k in range(1, 6)]
    events = [rows["events_meaningful_28d"]]
    events += [rows[f"events_meaningful_28d_ago_{28 * k}d"] for k in range(1, 4)]
    users = [rows[f"users_28d_ago_{28 * k}d"] for k in range(4)]
    steps = np.array([5, 3, 1, -1, -3, -5]) / 35
    slope = sum(step * lag for step, lag in zip(steps, lags, strict=True))
    found = {
        "users_28d": users[0],
        "quantity_slope_28d": slope.where(age >= 168),
        "quantity_own_past_28d": _past(lags, age),
        "events_change_28d": events[0] / _past(events, age).replace(0.0, np.nan),
        "users_change_28d": users[0] / _past(users, age).replace(0.0, np.nan),
        "weeks_without_use": _weeks_without(rows, age),
    }
    return rows.drop(columns=[n for n in rows if str(n).startswith(("week_", "users_28d_ago"))]).assign(
        **found
    )


def _past(lags: Sequence[pd.Series], age: pd.Series) -> pd.Series:
    """Return the average of the three windows before the latest, of those the account lived through."""
    lived = [(age >= 28 * (k + 1)).astype("float64") for k in range(1, 4)]
    summed = sum((lag * one for lag, one in zip(lags[1:4], lived, strict=True)), 0.0 * age)
    return summed / sum(lived, 0.0 * age).replace(0.0, np.nan)


def _weeks_without(rows: pd.DataFrame, age: pd.Series) -> pd.Series:
    unbroken = pd.Series(data=True, index=rows.index)
    length = pd.Series(0.0, index=rows.index)
    for k in range(12):
        unbroken &= (rows[f"week_{k}"] == 0) & (age >= 7 * (k + 1))
        length += unbroken
    return length.where(age >= 7)


def loop_in_pandas(home: Path, dates: Sequence[date], *, careful: bool) -> pd.DataFrame:
    """A loop over as_of dates and windows in pandas.

    Plain: a filter and a group-by per date, window and condition, account ids as pandas reads them. Careful:
    ids as categories, conditions multiplied in beforehand, and one group-by per date and window for all.
    """
    read = ds.dataset(home / "events", format="parquet").to_table(
        columns=["account_id", "happened_at", "known_at", "kind", "quantity"]
    )
    read = read.set_column(4, "quantity", read["quantity"].cast(pa.float64()))
    if careful:
        read = read.set_column(0, "account_id", read["account_id"].dictionary_encode().unify_dictionaries())
        read = read.set_column(3, "kind", read["kind"].dictionary_encode().unify_dictionaries())
    frame = read.to_pandas()
    del read
    holds = {
        "all": pd.Series(data=True, index=frame.index),
        "meaningful": ~frame["kind"].isin(["admin", "export"]),
        "key": frame["kind"] == "key",
    }
    for name, flag in holds.items():
        if careful:
            frame[f"events_{name}"] = flag.astype("int64")
            frame[f"quantity_{name}"] = frame["quantity"].where(flag, 0.0)
        else:
            frame[name] = flag
    windows: dict[tuple[int, int], list[Sum]] = {}
    for one in ADDITIVE:
        windows.setdefault((one.days, one.ago), []).append(one)
    answers = []
    for day in dates:
        as_of = pd.Timestamp(day)
        begin = as_of - pd.Timedelta(days=_REACH)
        known = frame[
            (frame["happened_at"] < as_of) & (frame["happened_at"] >= begin) & (frame["known_at"] <= as_of)
        ]
        columns: dict[str, pd.Series] = {}
        for (days, ago), sums in windows.items():
            end = as_of - pd.Timedelta(days=ago)
            inside = known[
                (known["happened_at"] >= end - pd.Timedelta(days=days)) & (known["happened_at"] < end)
            ]
            columns |= _careful(inside, sums) if careful else _plain(inside, sums)
        answers.append(pd.DataFrame(columns).rename_axis("account_id").reset_index().assign(as_of=as_of))
    found = pd.concat(answers, ignore_index=True)
    return found.astype({"account_id": "str", "as_of": "datetime64[us]"})


def _careful(inside: pd.DataFrame, sums: Sequence[Sum]) -> dict[str, pd.Series]:
    base = {one.name: f"{'quantity' if one.adds else 'events'}_{one.condition}" for one in sums}
    grouped = inside.groupby("account_id", observed=True)[list(dict.fromkeys(base.values()))].sum()
    return {name: grouped[column] for name, column in base.items()}


def _plain(inside: pd.DataFrame, sums: Sequence[Sum]) -> dict[str, pd.Series]:
    found: dict[str, pd.Series] = {}
    for condition in dict.fromkeys(one.condition for one in sums):
        grouped = inside[inside[condition]].groupby("account_id")["quantity"].agg(["count", "sum"])
        for one in sums:
            if one.condition == condition:
                found[one.name] = grouped["sum" if one.adds else "count"]
    return found
