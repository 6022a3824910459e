"""Usage events of a made-up company, written as Parquet in the order they arrived, and opened as tables.

The events are drawn 28 days at a time, so memory does not grow with their number. Account sizes are
lognormal, people of an account are active unequally and come and go, weekends are quiet, some accounts end,
and some rows arrive 1 to 40 days late; those still under way on the last day are left out. Everything is
fixed by the size and its seed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lifecycle_ml.tables.schema import SCHEMAS
from lifecycle_ml.tables.source import Tables

FIRST = date(2023, 1, 2)
"""First day of the events, a Monday."""
DAYS = 1008
"""Length of the events: 36 times 28 days."""
END = FIRST + timedelta(days=DAYS)
"""The day on which we stand: everything that arrived before it is there."""
FIRST_LOOK = 364
"""Days of events before the earliest as_of; every account exists by then."""

CHUNK = 28
LATE = 0.015
USERS = 75
"""People of an account over the whole time, on average."""

KINDS = ("use", "key", "admin", "integration", "workflow", "invite", "export")
_KIND_SHARES = (0.74, 0.09, 0.05, 0.04, 0.05, 0.01, 0.02)
_FEATURES = 24
_WEEKDAYS = np.array([1.15, 1.25, 1.25, 1.2, 1.05, 0.2, 0.15])
_DAY = 86_400_000_000
_ROW_GROUP = 250_000
_VERSION = 1
"""Raised whenever the same parameters would draw other events."""

_EPOCH = date(1970, 1, 1)
_Array = npt.NDArray[Any]
_Rows = dict[str, _Array]


@dataclass(frozen=True)
class Size:
    """How big a company: events (expected, not exact) and accounts."""

    events: int
    accounts: int
    seed: int = 20

    def scaled(self, events: int) -> Size:
        """Return a company of the same shape with so many events, or itself where it is no bigger."""
        if events >= self.events:
            return self
        return Size(events, max(20, round(self.accounts * events / self.events)), self.seed)

    def __str__(self) -> str:
        return f"{self.events:,} events, {self.accounts:,} accounts"


@dataclass(frozen=True)
class _Accounts:
    """What the events of each account are drawn from; days are counted from FIRST."""

    names: list[str]
    created: _Array
    ended: _Array
    growth: _Array
    weight: _Array
    users: _Array
    people: pa.Array
    first_person: _Array
    anchor: _Array


def as_of_dates(number: int, apart: int = 28) -> list[date]:
    """Return as many as_of dates, the last on END."""
    return [END - timedelta(days=apart * back) for back in range(number - 1, -1, -1)]


def write_company(folder: Path, size: Size) -> Path:
    """Write accounts, contracts and events under `folder`, unless the same are there already.

    Return the company's own folder: accounts.parquet, contracts.parquet, events/*.parquet, written.json.
    """
    parameters = asdict(size) | {"days": DAYS, "late": LATE, "users": USERS, "version": _VERSION}
    home = folder / f"{size.events}_events_{size.accounts}_accounts_seed_{size.seed}"
    written = home / "written.json"
    if written.exists() and json.loads(written.read_text(encoding="utf-8"))["parameters"] == parameters:
        return home
    shutil.rmtree(home, ignore_errors=True)
    (home / "events").mkdir(parents=True)
    accounts = _draw_accounts(size)
    _write_accounts(home, accounts)
    rows = late = 0
    for number, drawn in enumerate(_draw_events(size, accounts)):
        late += int((drawn["known_at"] != drawn["happened_at"]).sum())
        rows += len(drawn["known_at"])
        pq.write_table(
            _as_arrow(drawn, accounts),
            home / "events" / f"part-{number:03}.parquet",
            row_group_size=_ROW_GROUP,
            store_schema=False,
            store_decimal_as_integer=True,
        )
    answer = {"parameters": parameters, "rows": rows, "late": late}
    written.write_text(json.dumps(answer), encoding="utf-8")
    return home


def written(home: Path) -> dict[str, int]:
    """Return how many rows a company's events have, and how many of them arrived late."""
    answer = json.loads((home / "written.json").read_text(encoding="utf-8"))
    return {"rows": answer["rows"], "late": answer["late"]}


def events_of(home: Path) -> str:
    """Return the events of a company as SQL."""
    return f"read_parquet('{home / 'events' / '*.parquet'}')"


def open_tables(home: Path, *, memory_limit: str | None = None, only: str = "TRUE") -> Tables:
    """Wrap a company as canonical tables in a DuckDB of its own; its events stay in the Parquet files.

    `only` is a condition that leaves out events; `memory_limit` is DuckDB's, which then spills to disk.
    """
    backend = ibis.duckdb.connect()
    connection = backend.con
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET temp_directory = '{home / 'spilled'}'")
    if memory_limit is not None:
        connection.execute(f"SET memory_limit = '{memory_limit}'")
    provided = {}
    for name, source, made in (
        ("accounts", f"read_parquet('{home / 'accounts.parquet'}')", "TABLE"),
        ("contracts", f"read_parquet('{home / 'contracts.parquet'}')", "TABLE"),
        ("usage_events", events_of(home), "VIEW"),
    ):
        there = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
        provided[name] = frozenset(there)
        columns = [
            f"CAST({column.name if column.name in there else column.default or 'NULL'} AS {column.type}) "
            f"AS {column.name}"
            for column in SCHEMAS[name].columns
        ]
        kept = f" WHERE {only}" if name == "usage_events" and only != "TRUE" else ""
        connection.execute(
            f"CREATE {made} {name} AS SELECT {', '.join(columns)}, known_at, "
            f"CAST(NULL AS TIMESTAMP) AS superseded_at FROM {source}{kept}"
        )
    return Tables.of(backend, provided=provided, versioned=frozenset(), findings=())


def _draw_accounts(size: Size) -> _Accounts:
    random = np.random.default_rng([size.seed, 0])
    n = size.accounts
    # lognormal(0, 1) has mean e^0.5
    bulk = random.lognormal(0.0, 1.0, n) / np.exp(0.5)
    users = np.maximum(3, np.round(USERS * bulk)).astype("int64")
    created = np.where(
        random.random(n) < 0.75, -random.integers(30, 1500, n), random.integers(0, FIRST_LOOK - 28, n)
    )
    ended = np.where(random.random(n) < 0.15, random.integers(FIRST_LOOK, DAYS, n), DAYS)
    names = [f"A{number:06}" for number in range(n)]
    first_person = np.concatenate([[0], np.cumsum(users)])
    people = [
        f"{name}-u{person:05}" for name, number in zip(names, users, strict=True) for person in range(number)
    ]
    return _Accounts(
        names=names,
        created=created,
        ended=ended,
        growth=random.normal(0.0, 0.0005, n),
        weight=bulk * random.lognormal(0.0, 0.4, n),
        users=users,
        people=pa.array(people),
        first_person=first_person[:-1],
        anchor=random.integers(0, 365, n),
    )


def _rates(accounts: _Accounts, first: int) -> _Array:
    """Return how busy each account is on each day of a chunk: days x accounts, not yet scaled."""
    days = np.arange(first, first + CHUNK)[:, None]
    lives = (days >= accounts.created) & (days < accounts.ended)
    trend = np.exp(accounts.growth * (days - DAYS / 2))
    return np.asarray(lives * accounts.weight * trend * _WEEKDAYS[days % 7])


def _draw_events(size: Size, accounts: _Accounts) -> Iterator[_Rows]:
    """Yield the events of one stretch of days after the other, each by when they were known."""
    starts = range(0, DAYS, CHUNK)
    scale = size.events / sum(float(_rates(accounts, first).sum()) for first in starts)
    waiting: _Rows = {}
    for first in starts:
        random = np.random.default_rng([size.seed, 1, first])
        drawn = _draw_chunk(random, accounts, first, scale)
        if waiting:
            drawn = {name: np.concatenate([waiting[name], drawn[name]]) for name in drawn}
        arrived = drawn["known_at"] < (first + CHUNK) * _DAY
        waiting = {name: values[~arrived] for name, values in drawn.items()}
        order = np.argsort(drawn["known_at"][arrived], kind="stable")
        yield {name: values[arrived][order] for name, values in drawn.items()}


def _draw_chunk(random: np.random.Generator, accounts: _Accounts, first: int, scale: float) -> _Rows:
    counts = random.poisson(_rates(accounts, first) * scale)
    cells = np.repeat(np.arange(counts.size), counts.ravel())
    account = cells % len(accounts.names)
    day = first + cells // len(accounts.names)
    n = len(cells)
    second = np.clip(random.normal(13 * 3600, 3 * 3600, n), 0, 86_399).astype("int64")
    happened = day * _DAY + second * 1_000_000 + random.integers(0, 1_000_000, n)
    delay = (_DAY * (1 + 39 * random.random(n) ** 2)).astype("int64")
    # A third of the people are yet to come at the beginning, and another third has left at the end.
    number = accounts.users[account]
    person = (number * (0.67 * random.random(n) ** 2 + 0.33 * day / DAYS)).astype("int64")
    quantity = np.where(random.random(n) < 0.12, random.geometric(0.2, n), 1) * 10_000
    quantity = np.where(random.random(n) < 0.03, random.integers(1, 40, n) * 2_500, quantity)
    popularity = 1 / np.arange(1, _FEATURES + 1)
    return {
        "account": account,
        "happened_at": happened,
        "person": accounts.first_person[account] + person,
        "team": np.minimum(person // 12, 40),
        "feature": _picked(random, n, popularity),
        "kind": _picked(random, n, np.array(_KIND_SHARES)),
        "quantity": quantity,
        "known_at": np.where(random.random(n) < LATE, happened + delay, happened),
    }


def _picked(random: np.random.Generator, n: int, weights: _Array) -> _Array:
    steps = np.cumsum(weights / weights.sum())
    steps[-1] = 1.0
    return np.searchsorted(steps, random.random(n), side="right")


def _as_arrow(rows: _Rows, accounts: _Accounts) -> pa.Table:
    def named(codes: _Array, names: list[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype("int32")), names)

    return pa.table(
        {
            "account_id": named(rows["account"], accounts.names),
            "happened_at": _instants(rows["happened_at"]),
            "user_id": accounts.people.take(pa.array(rows["person"])),
            "team": named(rows["team"], [f"team-{number:02}" for number in range(41)]),
            "feature": named(rows["feature"], [f"feature-{number:02}" for number in range(_FEATURES)]),
            "kind": named(rows["kind"], list(KINDS)),
            "quantity": _decimals(rows["quantity"]),
            "known_at": _instants(rows["known_at"]),
        }
    )


def _instants(since_first: _Array) -> pa.Array:
    return pa.array(since_first + (FIRST - _EPOCH).days * _DAY, type=pa.timestamp("us"))


def _decimals(ten_thousandths: _Array) -> pa.Array:
    """Return DECIMAL(18, 4) of what was counted in ten-thousandths, without a detour over floats."""
    wide = np.zeros((len(ten_thousandths), 2), dtype="<i8")
    wide[:, 0] = ten_thousandths
    return pa.Array.from_buffers(
        pa.decimal128(18, 4), len(wide), [None, pa.py_buffer(np.ascontiguousarray(wide))]
    )


def _write_accounts(home: Path, accounts: _Accounts) -> None:
    created = accounts.created * _DAY
    segments = np.array(["enterprise", "mid_market", "smb"])[np.searchsorted([-40, -15], -accounts.users)]
    table = {"account_id": accounts.names, "segment": list(segments), "created_at": _instants(created)}
    pq.write_table(
        pa.table(table | {"known_at": _instants(created)}), home / "accounts.parquet", store_schema=False
    )
    terms = [
        (account, start)
        for account in range(len(accounts.names))
        for start in range(int(accounts.anchor[account]) - 365, DAYS, 365)
        if int(accounts.created[account]) - 365 < start < int(accounts.ended[account])
    ]
    began = np.array([start for _, start in terms])
    dates = [FIRST + timedelta(days=int(start)) for start in began]
    seats = accounts.users[[account for account, _ in terms]]
    contracts = pa.table(
        {
            "contract_id": [f"C{number:07}" for number in range(len(terms))],
            "account_id": [accounts.names[account] for account, _ in terms],
            "starts_on": dates,
            "ends_on": [day + timedelta(days=365) for day in dates],
            "arr": _decimals(seats * 600 * 10_000),
            "seats": seats,
            "known_at": _instants(began * _DAY),
        }
    )
    pq.write_table(contracts, home / "contracts.parquet", store_schema=False)
