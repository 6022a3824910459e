"""The scored table account by account: rows and renewals as values, worked out only where somebody asks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.actions.checkpoint_evidence import COLUMN
from lifecycle_ml.actions.checkpoints import (
    CHECKPOINTS,
    COLUMNS,
    FIRST_BEFORE_SECOND,
    Renewal,
    Renewals,
    renewal_of,
)
from lifecycle_ml.actions.stages import START

Row = Mapping[str, Any]

ROW_COLUMNS: Final = (
    *("account_id", "as_of", "name", "owner", "sales_owner", "renewal_owner", "arr", "risk", "reason"),
    *("segment", "health", "expansion_probability"),
    *(
        "reason_label",
        "latched_label",
        "evidence_says",
        "stage",
        "expansion_band",
        "expansion_lift",
        "handoff_missing",
        COLUMN,
        START,
    ),
    *COLUMNS,
)


class RowsByAccount(Mapping[str, Row]):
    """Rows of the scored table by account: `ROW_COLUMNS` as plain values, None for every kind of null.

    A row is read when it is asked for and kept; `read` reads many at once, at a fraction of the cost.
    """

    def __init__(self, scored: pd.DataFrame, ids: Sequence[str]) -> None:
        self._scored = scored[[column for column in ROW_COLUMNS if column in scored]]
        self._ids = ids
        self._at = {account_id: at for at, account_id in enumerate(ids)}
        self._read: dict[str, Row] = {}

    def __getitem__(self, account_id: str) -> Row:
        row = self._read.get(account_id)
        if row is None:
            self.read([self._at[account_id]])
            row = self._read[account_id]
        return row

    def __contains__(self, account_id: object) -> bool:
        return account_id in self._at

    def __iter__(self) -> Iterator[str]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)

    def places(self, account_ids: Collection[str]) -> list[int]:
        """Return where accounts stand in the table; those it lacks are left out."""
        return [self._at[account_id] for account_id in account_ids if account_id in self._at]

    def read(self, places: Collection[int]) -> None:
        """Read the rows at these places."""
        new = sorted(at for at in places if self._ids[at] not in self._read)
        if not new:
            return
        part = self._scored.iloc[new]
        days = pd.to_datetime(part["as_of"]).dt.date
        columns = {
            str(name): days.tolist() if name == "as_of" else _plain(column) for name, column in part.items()
        }
        for values in zip(*columns.values(), strict=True):
            row = dict(zip(columns, values, strict=True))
            self._read[row["account_id"]] = row


class Terms(Mapping[str, Renewal]):
    """The renewal ahead of each account that has one, worked out when it is asked for."""

    def __init__(self, scored: pd.DataFrame, rows: RowsByAccount, renewals: Renewals) -> None:
        self._rows = rows
        self._renewals = renewals
        self._days = _numbers(scored, "days_to_renewal")
        self._notice = _numbers(scored, "notice_days")
        self._term = _numbers(scored, "term_days")
        self._arr = np.nan_to_num(_numbers(scored, "arr"))
        self._signed = _numbers(scored, "renewal_signed") == 1
        dated = np.flatnonzero(~np.isnan(self._days))
        ids = scored["account_id"].tolist()
        self._ids = ids
        self._dated = dict.fromkeys(ids[at] for at in dated)
        self._known: dict[str, Renewal] = {}

    def __getitem__(self, account_id: str) -> Renewal:
        found = self._known.get(account_id)
        if found is None:
            if account_id not in self._dated:
                raise KeyError(account_id)
            row = self._rows[account_id]
            renewal = renewal_of(row, row["as_of"], self._renewals)
            assert renewal is not None, "a dated term has a renewal"
            found = self._known[account_id] = renewal
        return found

    def __contains__(self, account_id: object) -> bool:
        return account_id in self._dated

    def __iter__(self) -> Iterator[str]:
        return iter(self._dated)

    def __len__(self) -> int:
        return len(self._dated)

    def due(self) -> list[int]:
        """Return the places of the accounts whose last checkpoint reached is the one to work on.

        What that rests on is the same for many accounts, so one of each kind is looked at. None falls earlier
        than the widest window before the last day of notice: what ends later needs no look at all.
        """
        levels = sorted(level.arr_from for level in self._renewals.file.wider)
        widest = max((level.times for level in self._renewals.file.wider), default=1.0)
        first, second = (round(days * widest) for days in CHECKPOINTS[:2])
        before = max(first, second + FIRST_BEFORE_SECOND.days)
        notice = np.maximum(np.nan_to_num(self._notice), 0.0)
        # Days are cut to whole ones, hence the one beyond.
        near = np.flatnonzero((self._days - notice <= before + 1) & ~self._signed)
        if not len(near):
            return []
        alike = pd.DataFrame(
            {
                "days": np.trunc(self._days[near]),
                "notice": self._notice[near],
                "term": self._term[near],
                "level": np.searchsorted(levels, self._arr[near], side="right"),
            }
        )
        kinds = alike.groupby(list(alike), dropna=False, sort=False).ngroup().to_numpy()
        _, examples = np.unique(kinds, return_index=True)
        self._rows.read(near[examples].tolist())
        reached = np.array([self[self._ids[near[at]]].reached is not None for at in examples], dtype=bool)
        found: list[int] = near[reached[kinds]].tolist()
        return found


def _plain(column: pd.Series) -> list[Any]:
    """Return a column as plain values, None for every kind of null."""
    values: list[Any] = column.tolist()
    for at in np.flatnonzero(column.isna().to_numpy()):
        values[at] = None
    return values


def _numbers(scored: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    if column not in scored:
        return np.full(len(scored), np.nan)
    return pd.to_numeric(scored[column]).to_numpy(dtype="float64", na_value=np.nan)
