"""How much rows that arrived late change a matrix of the past: the same day, looked at twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
import pandas as pd

from lifecycle_ml.matrix.build import build_matrix, customers
from lifecycle_ml.matrix.definition import NOT_FOR_FEATURES
from lifecycle_ml.matrix.feature import Feature, FeatureSet
from lifecycle_ml.matrix.spine import known_accounts
from lifecycle_ml.tables.schema import SCHEMAS
from lifecycle_ml.tables.source import Tables

EXAMPLES = 5
"""Accounts shown for each feature, those that changed most."""
_PLANNED = {"contracts": "starts_on", "milestones": "due_on"}
"""What a row of a plan speaks of, in tables whose rows have no date of their own."""

Value = float | str | None
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class LateRows:
    """Rows of one table that speak of before as_of but became known only after it, up to the second look.

    `plans_since` counts the rows known since that speak of as_of or later: contracts that begin, milestones
    that are due from then on. They are not late, but the second look sees them: a plan is known with its row.
    """

    table: str
    rows: int
    accounts: int
    median_delay_days: float | None
    """From when it happened, began or was due to when it was known; null where there are no rows."""
    plans_since: int


@dataclass(frozen=True)
class LateValue:
    """What a feature said of one account then, and what it says now."""

    account_id: str
    then: Value
    now: Value


@dataclass(frozen=True)
class LateFeature:
    """How late rows changed one feature, over the accounts on both spines.

    The medians are over the accounts whose value changed and is a number both times; the relative one is of
    the amount by which the value moved, as a share of what it was. Null where there is none.
    """

    feature: str
    accounts_changed: int
    share_changed: float
    became_known: int
    became_null: int
    median_change: float | None
    median_relative_change: float | None
    largest: tuple[LateValue, ...]


@dataclass(frozen=True)
class Lateness:
    """The matrix of one day as known then and as known later. Build it with `measure_lateness`."""

    as_of: date
    known_at: datetime
    accounts_then: int
    accounts_now: int
    entered: tuple[str, ...]
    left: tuple[str, ...]
    late_rows: tuple[LateRows, ...]
    features: tuple[LateFeature, ...]
    """Every feature, those that changed for most accounts first."""

    def __repr__(self) -> str:
        return f"Lateness({self.as_of}, known at {self.known_at}, {len(self.changed)} features changed)"

    @property
    def changed(self) -> tuple[LateFeature, ...]:
        """Only the features that changed for at least one account."""
        return tuple(item for item in self.features if item.accounts_changed)

    def to_json(self) -> dict[str, Any]:
        """Return the answer of `features late --json`."""
        return asdict(self) | {"as_of": self.as_of.isoformat(), "known_at": self.known_at.isoformat()}


def measure_lateness(
    tables: Tables,
    features: FeatureSet,
    as_of: date,
    known_at: datetime | None = None,
    progress: Progress = lambda _step, _done, _total: None,
) -> Lateness:
    """Build the matrix of `as_of` as known at its own 00:00 and at `known_at`, and compare the two.

    `known_at` is naive UTC, by default the midnight from which the newest row was known. Customers are
    compared where the company has contracts, else all accounts.
    Raises: ValueError if known_at lies before as_of; DefinitionError as `build_matrix`.
    """
    until = newest_known(tables, as_of) if known_at is None else known_at
    on_date = customers if "contracts" in tables else known_accounts
    looks = []
    for done, look in enumerate((None, until)):
        progress("building the matrix as known then and now", done, 2)
        looks.append(build_matrix(tables, features, on_date(tables, [as_of], look)).set_index("account_id"))
    progress("building the matrix as known then and now", 2, 2)
    then, now = looks
    both = then.index.intersection(now.index)
    changes = [_change(feature, then.loc[both], now.loc[both]) for feature in features]
    return Lateness(
        as_of=as_of,
        known_at=until,
        accounts_then=len(then),
        accounts_now=len(now),
        entered=tuple(sorted(now.index.difference(then.index))),
        left=tuple(sorted(then.index.difference(now.index))),
        late_rows=tuple(_late_rows(tables, as_of, until)),
        features=tuple(sorted(changes, key=lambda item: -item.accounts_changed)),
    )


def newest_known(tables: Tables, as_of: date) -> datetime:
    """Return the first midnight at which every row is known; at the earliest that of `as_of`."""
    newest = datetime.combine(as_of, time())
    for name in _read(tables):
        known = pd.Timestamp(tables[name].known_at.max().to_pandas())
        if not pd.isna(known):
            newest = max(newest, known.to_pydatetime())
    midnight = datetime.combine(newest.date(), time())
    return midnight if newest == midnight else midnight + timedelta(days=1)


def _read(tables: Tables) -> list[str]:
    return [name for name in tables.names if name not in NOT_FOR_FEATURES]


def _late_rows(tables: Tables, as_of: date, until: datetime) -> list[LateRows]:
    midnight = pd.Timestamp(as_of)
    found = []
    for name in _read(tables):
        table = tables[name]
        dated_by = SCHEMAS[name].happened or _PLANNED[name]
        known = table.filter((table.known_at > midnight.to_pydatetime()) & (table.known_at <= until))
        rows = known.select("account_id", "known_at", dated=known[dated_by].cast("timestamp")).to_pandas()
        late = rows[rows["dated"] < midnight]
        # An event of after as_of is no plan: neither look sees it.
        plans = 0 if SCHEMAS[name].happened else len(rows) - len(late)
        if len(late) or plans:
            delay = (late["known_at"] - late["dated"]).median() / pd.Timedelta(days=1)
            days = round(float(delay), 3) if len(late) else None
            found.append(LateRows(name, len(late), int(late["account_id"].nunique()), days, plans))
    return sorted(found, key=lambda item: (-item.rows, item.table))


def _change(feature: Feature, then: pd.DataFrame, now: pd.DataFrame) -> LateFeature:
    before, after = then[feature.name], now[feature.name]
    differs = (before != after) & ~(before.isna() & after.isna())
    before, after = before[differs], after[differs]
    became_known, became_null = int(before.isna().sum()), int(after.isna().sum())
    size = pd.Series(np.nan, index=before.index)
    relative = size
    if not feature.is_text:
        size = (after - before).abs()
        relative = size / before.abs().where(before != 0)
    # What moved furthest comes first, then what appeared or went, each in the order of the accounts.
    order = size.fillna(-1).sort_values(ascending=False, kind="stable").index[:EXAMPLES]
    return LateFeature(
        feature=feature.name,
        accounts_changed=len(before),
        share_changed=len(before) / len(then) if len(then) else 0.0,
        became_known=became_known,
        became_null=became_null,
        median_change=_median(size),
        median_relative_change=_median(relative),
        largest=tuple(LateValue(str(name), _plain(before[name]), _plain(after[name])) for name in order),
    )


def _median(values: pd.Series[float]) -> float | None:
    known = values.dropna()
    return float(known.median()) if len(known) else None


def _plain(value: Any) -> Value:
    if isinstance(value, str):
        return value
    return None if pd.isna(value) else float(value)
