"""Rows written because an account left: dates that huddle at the end of the contract, kinds that name it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd

from lifecycle_ml.models.horizons import RENEWAL
from lifecycle_ml.promotion.leaks import FEWEST_EVENTS, OUTCOME_WORDS, Suspect
from lifecycle_ml.tables.fetch import fetch
from lifecycle_ml.tables.schema import SCHEMAS, TableSchema, Type

if TYPE_CHECKING:
    from lifecycle_ml.matrix.feature import FeatureSet
    from lifecycle_ml.tables.source import Tables

NOT_LOOKED_AT = frozenset({"accounts", "contracts", "outcomes", "fx_rates"})
"""Contracts and outcomes say what churn is; accounts have no events; rates are nobody's."""
WINDOWS = {
    "in the last 7 days before the end": (0, 7),
    "in the last 14 days before the end": (0, 14),
    "in the last 30 days before the end": (0, 30),
    "within 14 days of the end, on either side": (-14, 14),
}
"""Stretches in days before the end, both ends included."""
EARLIER = (45, 75, 105)
"""Days before the end at which stretches of the same width begin that are compared with them."""
HUDDLES, ODDS = 0.2, 5.0
"""Share of the accounts that left with such a row; its odds beside earlier and beside accounts that stay."""
SURE = 4.0
"""Standard errors the share must lie above both."""
MOST_LEVELS = 30
NAMED_WITHIN = 120
"""Days after a row that names the outcome in which the account must leave for it to count."""


@dataclass(frozen=True)
class _Dated:
    """One date of a table, and the column whose levels are looked at apart (None: all rows together)."""

    table: str
    column: str
    levels: str | None


def suspect_columns(
    tables: Tables, features: FeatureSet, labels: pd.DataFrame, defining: Collection[str] = ()
) -> tuple[Suspect, ...]:
    """Name columns that features read and that look as if they were filled in because the account left.

    Huddling: many accounts that left have a row dated just at their end, far more than at any earlier time
    and than accounts that stayed have at a renewal. Naming: a value such as "cancellation" that is no value
    of the data contract, on rows mostly of accounts that leave soon after. Rows known only after the end
    (their known_at says so) are never seen by a feature and do not count.

    labels: account_id, as_of, churned_on and, where known, days_to_renewal. One suspect per column, under the
    first feature that rests on it. defining: tables the end itself is read from; use that stops is the end of
    an account where inactivity is churn, so it always huddles there.
    """
    ends = _ends(labels)
    left = int(ends["left"].sum())
    if left < 2 * FEWEST_EVENTS or left == len(ends):
        return ()
    found: dict[tuple[str, str], Suspect] = {}
    by_level: set[str] = set()
    for table in tables.names:
        if (
            table in NOT_LOOKED_AT
            or table in defining
            or not any(table in feature.tables for feature in features)
        ):
            continue
        schema = SCHEMAS[table]
        for dated in _dates(tables, schema):
            reading = _readers(features, schema, dated)
            if not reading:
                continue
            rows = _windows(tables, dated, ends)
            column = dated.levels or dated.column
            for level, flags in _levels(rows, dated):
                says = _named(level, flags, ends, schema, dated) or _huddle(flags, ends, _words(dated, level))
                # Rows that a level gives away are not named a second time by the date they happened on.
                told = (table, column) in found or (column == schema.happened and table in by_level)
                if says is not None and not told:
                    if dated.levels is not None:
                        by_level.add(table)
                    found[table, column] = Suspect(
                        feature=reading[0],
                        says=f"{says}; read by {_listed(reading)}",
                        columns=(f"{table}.{column}",),
                        needs=_cure(dated, level),
                        others=tuple(reading[1:]),
                    )
    return tuple(found.values())


def _ends(labels: pd.DataFrame) -> pd.DataFrame:
    """Return one row per account: when it ended, or for those that stayed a day they lived through.

    That day is a renewal where one is known (the calendar is busy there for everybody), else the middle of
    their snapshots.
    """
    last = labels.groupby("account_id")["churned_on"].max()
    gone = last.dropna().rename("ends_at").reset_index().assign(left=True)
    stayed = labels[~labels["account_id"].isin(gone["account_id"])]
    middle = stayed.groupby("account_id")["as_of"].quantile(0.5).rename("ends_at").reset_index()
    if RENEWAL in stayed:
        renewed = stayed["as_of"] + pd.to_timedelta(stayed[RENEWAL], unit="D")
        through = stayed.groupby("account_id")["as_of"].transform("max")
        known = renewed.where(renewed <= through).groupby(stayed["account_id"]).max()
        middle["ends_at"] = middle["account_id"].map(known).fillna(middle["ends_at"])
    ends = pd.concat([gone, middle.assign(left=False)], ignore_index=True)
    return ends.assign(ends_at=ends["ends_at"].dt.floor("D").astype("datetime64[us]"))


def _dates(tables: Tables, schema: TableSchema) -> Iterable[_Dated]:
    provided = tables.provided(schema.name)
    columns = [schema.happened] if schema.happened else []
    columns += [column.name for column in schema.columns if column.clock == "dated"]
    texts = [
        column.name
        for column in schema.columns
        if column.type is Type.TEXT
        and column.name in provided
        and not column.name.endswith("_id")
        and column.name not in schema.key
    ]
    if schema.happened:
        for text in texts:
            distinct = tables[schema.name].select(text).distinct().limit(MOST_LEVELS + 1)
            if len(fetch(tables.backend, distinct)) <= MOST_LEVELS:
                yield _Dated(schema.name, schema.happened, text)
    for column in columns:
        if column in provided or column == schema.happened:
            yield _Dated(schema.name, column, None)


def _readers(features: FeatureSet, schema: TableSchema, dated: _Dated) -> list[str]:
    """Return the features that see a row by this date: for the day it happened all that read the table."""
    if dated.column == schema.happened:
        return [feature.name for feature in features if dated.table in feature.tables]
    return [feature.name for feature in features if (dated.table, dated.column) in feature.columns]


def _windows(tables: Tables, dated: _Dated, ends: pd.DataFrame) -> pd.DataFrame:
    """Return per account and level whether it has a row in each stretch, and the days before the end."""
    table = tables[dated.table]
    level = table[dated.levels] if dated.levels else ibis.literal("all")
    rows = table.select(
        "account_id",
        "known_at",
        level=level.cast("string"),
        at=table[dated.column].cast("timestamp").cast("date"),
    )
    spine = ibis.memtable(ends[["account_id", "ends_at"]])
    rows = rows.filter(rows["at"].notnull() & rows.level.notnull())  # noqa: PD004 (ibis)
    joined = rows.inner_join(spine, "account_id")
    joined = joined.filter(joined.known_at.cast("timestamp") < joined.ends_at)
    joined = joined.mutate(before=joined.ends_at.cast("date").delta(joined["at"], unit="day"))
    stretches: dict[str, Any] = {}
    for number, (low, high) in enumerate(WINDOWS.values()):
        stretches[f"near_{number}"] = joined.before.between(low, high).any()
        for place, begins in enumerate(EARLIER):
            stretches[f"far_{number}_{place}"] = joined.before.between(begins, begins + high - low).any()
    stretches["soon"] = joined.before.between(0, NAMED_WITHIN).any()
    return fetch(tables.backend, joined.group_by("account_id", "level").aggregate(**stretches))


def _levels(rows: pd.DataFrame, dated: _Dated) -> Iterable[tuple[str | None, pd.DataFrame]]:
    if dated.levels is None:
        yield None, rows
        return
    for level, part in rows.groupby("level", sort=True):
        yield str(level), part


def _named(
    level: str | None, rows: pd.DataFrame, ends: pd.DataFrame, schema: TableSchema, dated: _Dated
) -> str | None:
    if level is None or dated.levels is None or not OUTCOME_WORDS.search(level):
        return None
    if level in schema[dated.levels].values or len(rows) < FEWEST_EVENTS / 2:
        return None
    share = float((rows["soon"] & rows["account_id"].isin(ends.loc[ends["left"], "account_id"])).mean())
    if share < 0.5:
        return None
    return (
        f"{schema.name}.{dated.levels} = {level!r} names the outcome: {share:.0%} of {len(rows)} accounts "
        f"with such a row left within {NAMED_WITHIN} days"
    )


def _huddle(rows: pd.DataFrame, ends: pd.DataFrame, what: str) -> str | None:
    left = ends.loc[ends["left"], "account_id"]
    stayed = ends.loc[~ends["left"], "account_id"]
    gone, there = rows[rows["account_id"].isin(left)], rows[rows["account_id"].isin(stayed)]
    best: tuple[float, str] | None = None
    for number, (words, _) in enumerate(WINDOWS.items()):
        near = _Share(int(gone[f"near_{number}"].sum()), len(left))
        others = [
            _Share(int(gone[f"far_{number}_{place}"].sum()), len(left)) for place in range(len(EARLIER))
        ]
        others.append(_Share(int(there[f"near_{number}"].sum()), len(stayed)))
        usual = max(others, key=lambda share: share.smooth)
        if near.value >= HUDDLES and near.odds >= ODDS * usual.odds and near.above(usual) >= SURE:
            excess = near.odds / usual.odds
            if best is None or excess > best[0]:
                says = (
                    f"{near.value:.0%} of the {near.of} accounts that left have {what} {words}; at earlier "
                    f"times, and where accounts stay, at most {usual.value:.0%} have"
                )
                best = (excess, says)
    return None if best is None else best[1]


@dataclass(frozen=True)
class _Share:
    """Some accounts of many."""

    some: int
    of: int

    @property
    def value(self) -> float:
        return self.some / max(self.of, 1)

    @property
    def smooth(self) -> float:
        return (self.some + 0.5) / (self.of + 1)

    @property
    def odds(self) -> float:
        return self.smooth / (1 - self.smooth)

    def above(self, other: _Share) -> float:
        """Return how many standard errors this share lies above another."""
        a, b = self.smooth, other.smooth
        return (a - b) / float(np.sqrt(a * (1 - a) / (self.of + 1) + b * (1 - b) / (other.of + 1)))


def _words(dated: _Dated, level: str | None) -> str:
    what = f"a {dated.table}.{dated.column}"
    return what if level is None else f"{what} with {dated.levels} = {level!r}"


def _cure(dated: _Dated, level: str | None) -> str:
    source = f"features/sources/{dated.table}.sql"
    if level is not None:
        return (
            f"rows with {dated.levels} = {level!r} left out in {source} (they say that the account has left)"
        )
    if dated.column == SCHEMAS[dated.table].happened:
        return f"the rows that record the leaving left out in {source}"
    return (
        f"the day each {dated.column} was entered as known_at in {source}, or the features named in the "
        "recipe's leave_out"
    )


def _listed(names: list[str]) -> str:
    more = len(names) - 4
    return ", ".join(names[:4]) + (f" and {more} more" if more > 0 else "")
