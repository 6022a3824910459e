"""Who looks at tiles, and what of them can be seen: account and day, and until when we look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from lifecycle_ml.matrix.facts import SEEN, Array
from lifecycle_ml.matrix.positions import pair_key, positions_between
from lifecycle_ml.matrix.tile_columns import instants

NEVER = np.iinfo("int64").max
ALWAYS = np.iinfo("int64").min


@dataclass(frozen=True)
class Snapshots:
    """Who looks, from when, and until when they look: sorted by account and day.

    row       position on the spine; several where child accounts roll up to one row
    account   number of the account looked at
    day       as_of, days from 1970-01-01
    known     until when we look, microseconds from 1970-01-01
    """

    row: Array
    account: Array
    day: Array
    known: Array
    rows: int
    """Rows of the spine."""

    @classmethod
    def of(cls, members: pd.DataFrame, accounts: Mapping[str, int], rows: int) -> Snapshots:
        """Sort the members of a spine (row, member, as_of, known_until)."""
        account = members["member"].map(accounts).to_numpy(dtype="int64")
        day = members["as_of"].to_numpy().astype("datetime64[D]").astype("int64")
        known = members["known_until"].to_numpy().astype("datetime64[us]").astype("int64")
        order = np.lexsort((day, account))
        row = members["row"].to_numpy(dtype="int64")
        return cls(row[order], account[order], day[order], known[order], rows)

    @cached_property
    def families(self) -> Array:
        """Rows of the spine to which several accounts roll up."""
        return np.flatnonzero(np.bincount(self.row, minlength=self.rows) > 1)

    def added(self, value: Array) -> Array:
        """Add up what the accounts of each row of the spine have; whole numbers."""
        total = np.zeros(self.rows, dtype=value.dtype)
        np.add.at(total, self.row, value)
        return total

    def best(self, value: Array, better: Any, none: float) -> Array:
        """Return the largest or smallest of what the accounts of each row of the spine have."""
        found = np.full(self.rows, none)
        better.at(found, self.row, value)
        return found

    @cached_property
    def key(self) -> Array:
        """Account and day as one number that sorts as they do."""
        return pair_key(self.account, self.day)

    def of_accounts(self, low: int, high: int) -> Snapshots:
        """Return those of the accounts from low to just before high."""
        which = slice(*(int(edge) for edge in np.searchsorted(self.account, [low, high])))
        return Snapshots(self.row[which], self.account[which], self.day[which], self.known[which], self.rows)

    def may_see(self, account: Array, begins: Array, until: Array) -> tuple[Array, Array]:
        """Pair facts with the snapshots of their account from a day (`begins`) through another.

        Returns positions among the facts and among the snapshots.
        """
        low = np.searchsorted(self.key, pair_key(account, begins))
        high = np.searchsorted(self.key, pair_key(account, until), side="right")
        return positions_between(low, high)


@dataclass(frozen=True)
class Seen:
    """Facts that can be seen from some instant on, or until one: what was late or replaced."""

    known: Array
    superseded: Array
    appears: Array

    @classmethod
    def read(cls, tiles: pa.Table) -> tuple[Seen, Array]:
        """Return when each tile can be seen, and which tiles need to be asked."""
        asked = np.zeros(len(tiles), dtype=bool)
        seen = []
        for name, default in zip(SEEN, (ALWAYS, NEVER, ALWAYS), strict=True):
            if name in tiles.column_names:
                value, there = instants(tiles[name])
                asked |= there
                seen.append(np.where(there, value, default))
            else:
                seen.append(np.full(len(tiles), default))
        known, superseded, appears = seen
        return cls(known, superseded, appears), asked

    def __getitem__(self, which: Array) -> Seen:
        return Seen(self.known[which], self.superseded[which], self.appears[which])

    def by(self, snapshots: Snapshots, seer: Array) -> Array:
        """Whether each fact is seen by the snapshot beside it."""
        looks, day = snapshots.known[seer], snapshots.day[seer] * 86_400_000_000
        return (self.known <= looks) & (looks < self.superseded) & (self.appears <= day)
