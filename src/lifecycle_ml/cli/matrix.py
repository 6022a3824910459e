"""The matrix on request: written to a file, or as of a past date beside what is known of that date now."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle_ml.cli.screen import progress_bars, say, say_json, show_table
from lifecycle_ml.errors import ConfigError, counted, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from lifecycle_ml.matrix.lateness import Lateness
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.tables.source import Tables
    from lifecycle_ml.workspace import Workspace

SUFFIXES = (".parquet", ".csv", ".csv.gz")
EVERY = 28
"""Days between two as_of dates, where --from is given without --every."""


def dates_of(days: Sequence[date], first: date | None, every: int | None) -> list[date]:
    """Return the as_of dates asked for: those given, or from `first` every so many days up to the one given.

    Raises: ConfigError where the two ways are mixed, or `first` lies after the last.
    """
    if first is None:
        if every is not None:
            raise ConfigError("--every needs --from, the earliest date.")
        return sorted(set(days))
    if len(days) > 1:
        raise ConfigError(f"--from goes up to one --as-of; {len(days)} were given.")
    last = days[0]
    if first > last:
        raise ConfigError(f"--from {first} lies after --as-of {last}.")
    step = EVERY if every is None else every
    return [last - timedelta(days=step * back) for back in range((last - first).days // step, -1, -1)]


def build(
    workspace: Workspace,
    settings: Settings,
    days: Sequence[date],
    known_at: datetime | None,
    accounts: Sequence[str],
    out: Path,
) -> None:
    """Write the matrix of all customers (of the accounts named) as of one or several dates to a file.

    Raises: ConfigError for a file of an unknown kind, a look before one of the dates, or an unknown account.
    """
    from lifecycle_ml.matrix.build import build_matrix
    from lifecycle_ml.matrix.load import load_features
    from lifecycle_ml.tables.source import read_tables

    if not out.name.endswith(SUFFIXES):
        raise ConfigError(f"--out {out}: the name must end in {', '.join(SUFFIXES)}.")
    _require_later(known_at, max(days))
    features = load_features(workspace)
    with progress_bars() as progress:
        progress("reading the tables", 0, 1)
        tables = read_tables(workspace, settings)
        progress("reading the tables", 1, 1)
        available = features.available(tables)
        spine = _spine(tables, days, known_at, accounts)
        step = f"building {len(available)} features as of {counted(len(days), 'date')}"
        progress(step, 0, 1)
        matrix = build_matrix(tables, available, spine)
        progress(step, 1, 1)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".parquet":
        matrix.to_parquet(out, index=False)
    else:
        matrix.to_csv(out, index=False)
    span = f"{days[0]}" if len(days) == 1 else f"{len(days)} dates from {days[0]} to {days[-1]}"
    rows = counted(len(matrix), "row")
    people = counted(matrix["account_id"].nunique(), "account")
    known = "" if known_at is None else f", as known at {known_at}"
    say(f"{out}: {rows}, {people} as of {span}{known}; {len(available)} features.")
    if len(available) < len(features):
        left = len(features) - len(available)
        say(f"{left} features are left out because the source lacks tables or columns; see lifecycle check.")
    if matrix.empty:
        say("Nobody was a customer then: no contract known then was in force.")


def _require_later(known_at: datetime | None, day: date) -> None:
    if known_at is not None and known_at < datetime.combine(day, datetime.min.time()):
        raise ConfigError(f"--known-at {known_at} lies before --as-of {day}; look at its 00:00 or later.")


def _spine(
    tables: Tables, days: Sequence[date], known_at: datetime | None, accounts: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the customers of each date (every account, without contracts), or the accounts named."""
    from lifecycle_ml.matrix.spine import customers, known_accounts

    if not accounts and "contracts" in tables:
        return customers(tables, days, known_at)
    everyone = known_accounts(tables, days, known_at)
    if not accounts:
        return everyone
    here = set(everyone["account_id"])
    for account in accounts:
        if account not in here:
            when = f"on {days[0]}" if len(days) == 1 else f"on any of the {len(days)} dates"
            raise ConfigError(
                f"--account {account!r}: no account of that id is known {when}.{did_you_mean(account, here)}"
            )
    return everyone[everyone["account_id"].isin(accounts)].reset_index(drop=True)


def late(
    workspace: Workspace, settings: Settings, as_of: date, known_at: datetime | None, *, as_json: bool
) -> None:
    """Say how much rows that arrived after `as_of` change the matrix of that day."""
    from lifecycle_ml.matrix.lateness import measure_lateness
    from lifecycle_ml.matrix.load import load_features
    from lifecycle_ml.tables.source import read_tables

    _require_later(known_at, as_of)
    features = load_features(workspace)
    with progress_bars() as progress:
        progress("reading the tables", 0, 1)
        tables = read_tables(workspace, settings)
        progress("reading the tables", 1, 1)
        found = measure_lateness(tables, features.available(tables), as_of, known_at, progress)
    if as_json:
        say_json(found.to_json())
    else:
        _show_late(found)


def _show_late(found: Lateness) -> None:
    say(
        f"As of {found.as_of}, known then and known at {found.known_at}: "
        f"{found.accounts_then:,} accounts then, {found.accounts_now:,} now; "
        f"{len(found.entered)} entered{_named(found.entered)}, "
        f"{len(found.left)} left{_named(found.left)}."
    )
    late = [item for item in found.late_rows if item.rows]
    if late:
        show_table(
            f"Rows of before {found.as_of} that became known after it",
            ["table", "rows", "accounts", "median delay in days"],
            [
                [item.table, f"{item.rows:,}", f"{item.accounts:,}", _days(item.median_delay_days)]
                for item in late
            ],
            ["rows", "accounts", "median delay in days"],
        )
    plans = [f"{item.plans_since:,} {item.table}" for item in found.late_rows if item.plans_since]
    if plans:
        say(
            f"Known since, too: {' and '.join(plans)} that begin or are due from {found.as_of} on. They are "
            "plans, not late rows, but what looks ahead changes with them; a nearer --known-at has fewer."
        )
    if found.changed:
        numbers = ["accounts", "share", "median change", "relative", "known now", "null now"]
        show_table(
            "Features they changed",
            ["feature", *numbers, "changed most (then → now)"],
            [
                [
                    item.feature,
                    f"{item.accounts_changed:,}",
                    f"{item.share_changed:.1%}",
                    _short(item.median_change),
                    "" if item.median_relative_change is None else f"{item.median_relative_change:.1%}",
                    item.became_known or "",
                    item.became_null or "",
                    ", ".join(f"{v.account_id} {_short(v.then)} → {_short(v.now)}" for v in item.largest),
                ]
                for item in found.changed
            ],
            right=numbers,
            whole=["feature"],
        )
    same = len(found.features) - len(found.changed)
    say(f"{len(found.changed)} of {len(found.features)} features changed; {same} are as they were.")


def _named(accounts: Sequence[str]) -> str:
    return f" ({', '.join(accounts[:5])}{', …' if len(accounts) > 5 else ''})" if accounts else ""


def _days(delay: float | None) -> str:
    return "null" if delay is None else f"{delay:,.1f}"


def _short(value: float | str | None) -> str:
    if value is None:
        return "null"
    return value if isinstance(value, str) else f"{value:,.4g}"
