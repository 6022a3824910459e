"""The spine: which accounts we stand beside, on which dates, and how much was known then."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime

import ibis
import numpy as np
import pandas as pd

from lifecycle_ml.conditions.translate import to_ibis
from lifecycle_ml.matrix.compiled import ask, place
from lifecycle_ml.matrix.measures import IN_FORCE
from lifecycle_ml.tables.clock import as_known
from lifecycle_ml.tables.fetch import fetch
from lifecycle_ml.tables.schema import SCHEMAS
from lifecycle_ml.tables.source import Tables

COLUMNS = ("account_id", "as_of", "known_at")
MEANINGFUL = "coalesce(kind, 'use') NOT IN ('admin', 'export')"
"""Use that counts as use, unless the workspace says otherwise: a row without a kind is use."""
LEVELS = 3
"""How many levels of child accounts roll up to the account that holds the contract."""


def customers(
    tables: Tables,
    as_of_dates: Sequence[date],
    known_at: datetime | None = None,
    account_ids: Collection[str] | None = None,
) -> pd.DataFrame:
    """Return the spine of the accounts that were customers on each date: recurring ARR above zero, as known.

    Grain:  one row per (account_id, as_of), sorted so; columns account_id, as_of, known_at.
    Time:   `known_at` (naive UTC) says when we look, the same for all dates; default each date's own 00:00.
    `account_ids` narrows the answer to those accounts; unknown ones are left out.
    Raises: ValueError if known_at lies before an as_of date.
    """
    dates = _dates(as_of_dates, known_at)
    if dates.empty:
        return _typed(pd.DataFrame({name: [] for name in COLUMNS}))
    grid = place(tables, "spine_dates", dates)
    contracts = tables["contracts"]
    accounts = tables["accounts"]
    if account_ids is not None:
        wanted = sorted(set(account_ids)) or [""]
        contracts = contracts.filter(contracts.account_id.isin(wanted))
        accounts = accounts.filter(accounts.account_id.isin(wanted))
    terms = as_known(contracts.cross_join(grid), SCHEMAS["contracts"])
    terms = terms.mutate(midnight=terms.as_of, as_of=terms.as_of.date())
    in_force = terms.filter(to_ibis(IN_FORCE, terms, "IN_FORCE"))
    paying = in_force.group_by("account_id", as_of=in_force.midnight).aggregate(arr=in_force.arr.sum())
    paying = paying.filter(paying.arr > 0)
    here = as_known(accounts.cross_join(grid), SCHEMAS["accounts"])
    spine = paying.semi_join(here, ["account_id", "as_of"]).select("account_id", "as_of")
    return _known(fetch(tables.backend, spine), dates)


def known_accounts(
    tables: Tables, as_of_dates: Sequence[date], known_at: datetime | None = None
) -> pd.DataFrame:
    """Return the spine of every account that existed on each date, as known.

    Grain, time and errors as for `customers`.
    """
    dates = _dates(as_of_dates, known_at)
    here = as_known(tables["accounts"].cross_join(place(tables, "spine_dates", dates)), SCHEMAS["accounts"])
    return _known(fetch(tables.backend, here.select("account_id", "as_of").distinct()), dates)


def active_accounts(
    tables: Tables,
    as_of_dates: Sequence[date],
    within_days: int,
    where: str = MEANINGFUL,
    known_at: datetime | None = None,
    account_ids: Collection[str] | None = None,
) -> pd.DataFrame:
    """Return the spine of the accounts in use on each date: an event that counts in the days before it.

    For products without contracts. `where` is a condition over usage_events that says what counts;
    `within_days` how far back. Use of a child account counts for the account it rolls up to, and the child
    is then no row of its own. Grain, time, `account_ids` and errors as for `customers`.
    """
    dates = _dates(as_of_dates, known_at)
    if dates.empty:
        return _typed(pd.DataFrame({name: [] for name in COLUMNS}))
    grid = place(tables, "spine_dates", dates)
    events = tables["usage_events"]
    events = events.filter(to_ibis(where, events, "meaningful"))
    seen = as_known(events.cross_join(grid), SCHEMAS["usage_events"])
    recent = seen.filter(seen.happened_at >= seen.as_of - ibis.interval(days=within_days))
    recent = recent.select("account_id", "as_of").distinct()
    here = as_known(tables["accounts"].cross_join(grid), SCHEMAS["accounts"]).select("account_id", "as_of")
    if "parent_account_id" not in tables.provided("accounts"):
        found = fetch(tables.backend, recent.semi_join(here, ["account_id", "as_of"]))
    else:
        everyone = _known(fetch(tables.backend, here.distinct()), dates)
        members = rolled_up(tables, own_rows(everyone))
        used = fetch(tables.backend, recent).rename(columns={"account_id": "member"})
        used["as_of"] = used["as_of"].astype("datetime64[us]")
        members["as_of"] = members["as_of"].astype("datetime64[us]")
        members["account_id"] = everyone["account_id"].to_numpy()[members["row"]]
        below = members.loc[members["member"] != members["account_id"], ["member", "as_of"]].drop_duplicates()
        below = below.rename(columns={"member": "account_id"})
        found = members.merge(used, on=["member", "as_of"])[["account_id", "as_of"]].drop_duplicates()
        found = found.merge(below, how="left", on=["account_id", "as_of"], indicator="side")
        found = found[found["side"] == "left_only"]
    if account_ids is not None:
        found = found[found["account_id"].isin(set(account_ids))]
    return _known(found, dates)


def _dates(as_of_dates: Sequence[date], known_at: datetime | None) -> pd.DataFrame:
    """Each date once, sorted, and until when we look: as_of, known_until."""
    dates = pd.DataFrame({"as_of": pd.to_datetime(sorted(set(as_of_dates))).astype("datetime64[us]")})
    dates["known_until"] = dates["as_of"] if known_at is None else pd.Timestamp(known_at).as_unit("us")
    if (dates["known_until"] < dates["as_of"]).any():
        raise ValueError(f"known_at {known_at} lies before as_of {dates['as_of'].max():%Y-%m-%d}.")
    return dates


def _known(found: pd.DataFrame, dates: pd.DataFrame) -> pd.DataFrame:
    stood = found[["account_id", "as_of"]].astype({"as_of": "datetime64[us]"})
    known = stood.merge(dates.rename(columns={"known_until": "known_at"}), on="as_of", how="left")
    return _typed(known).sort_values(["account_id", "as_of"], ignore_index=True)


def checked(spine: pd.DataFrame) -> pd.DataFrame:
    """Return the spine typed and sorted by (account_id, as_of).

    Raises: ValueError if a column is missing, an as_of is no midnight, known_at lies before as_of, or an
    (account_id, as_of) occurs twice.
    """
    missing = [name for name in COLUMNS if name not in spine.columns]
    if missing:
        raise ValueError(f"spine: column {missing[0]!r} is missing; a spine has {', '.join(COLUMNS)}.")
    typed = _typed(spine[list(COLUMNS)].copy())
    if typed.isna().any(axis=None):
        raise ValueError(f"spine: {int(typed.isna().any(axis=1).sum())} rows have an empty value.")
    if (typed["as_of"] != typed["as_of"].dt.normalize()).any():
        raise ValueError("spine: as_of must be a midnight UTC.")
    early = typed[typed["known_at"] < typed["as_of"]]
    if len(early):
        row = early.iloc[0]
        raise ValueError(
            f"spine: known_at {row['known_at']} lies before as_of {row['as_of']:%Y-%m-%d} "
            f"({len(early)} rows, first account {row['account_id']!r})."
        )
    twice = typed[typed.duplicated(["account_id", "as_of"])]
    if len(twice):
        row = twice.iloc[0]
        raise ValueError(
            f"spine: account {row['account_id']!r} occurs more than once as of {row['as_of']:%Y-%m-%d} "
            f"({len(twice)} rows too many)."
        )
    return typed.sort_values(["account_id", "as_of"], ignore_index=True)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({"account_id": "str", "as_of": "datetime64[us]", "known_at": "datetime64[us]"})[
        list(COLUMNS)
    ]


def own_rows(spine: pd.DataFrame) -> pd.DataFrame:
    """Return the checked spine for joining: row, member (the account itself), as_of, known_until."""
    return pd.DataFrame(
        {
            "row": np.arange(len(spine)),
            "member": spine["account_id"],
            "as_of": spine["as_of"],
            "known_until": spine["known_at"],
        }
    )


def rolled_up(tables: Tables, own: pd.DataFrame) -> pd.DataFrame:
    """Add to the rows of `own_rows` the child accounts whose usage, tickets and people belong to each.

    A child belongs to its parent while it holds no contract of its own, as known at that row's known_at.
    """
    if "parent_account_id" not in tables.provided("accounts"):
        return own
    placed = place(tables, "matrix_spine", own)
    return ask(tables, "members", lambda: _with_children(tables, placed))


def _with_children(tables: Tables, own: ibis.Table) -> ibis.Table:
    accounts = tables["accounts"]
    everyone = level = own
    for _ in range(LEVELS):
        joined = level.inner_join(accounts, level.member == accounts.parent_account_id)
        children = as_known(joined.drop("member"), SCHEMAS["accounts"]).select(
            "row", "as_of", "known_until", member="account_id"
        )
        level = _without_contract(tables, children) if "contracts" in tables else children
        level = level.select(own.columns)
        everyone = everyone.union(level)
    return everyone.distinct()


def _without_contract(tables: Tables, children: ibis.Table) -> ibis.Table:
    contracts = tables["contracts"]
    signed = children.inner_join(contracts, children.member == contracts.account_id).drop("member")
    holders = as_known(signed, SCHEMAS["contracts"]).select("row", member="account_id").distinct()
    return children.anti_join(holders, ["row", "member"])
