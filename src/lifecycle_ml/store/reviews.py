"""What a review needs: the accounts that may call for a decision, and the decisions that were kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lifecycle_ml.actions.account_words import Said
from lifecycle_ml.store.schema import account_words, listings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

_COLUMNS = (
    "account_id",
    "name",
    "owner",
    "segment",
    "health",
    "reason",
    "arr",
    "arr_at_risk",
    "expansion_band",
    "renewal_on",
)
_MAY_CALL = (
    (listings.c.health == "red") | listings.c.renewal.like('%"now"%') | listings.c.triggers.is_not(None)
)
"""No account that calls for a decision lies outside; who does is seen in the documents."""


@dataclass(frozen=True)
class Reviewable:
    """One account of a publication that may call for a decision, with its renewal and its triggers."""

    account_id: str
    name: str | None
    owner: str | None
    segment: str | None
    health: str
    reason: str | None
    arr: float | None
    arr_at_risk: float | None
    expansion_band: str | None
    renewal_on: date | None
    renewal: Mapping[str, Any] | None
    triggers: tuple[Mapping[str, Any], ...]


def reviewable(
    connection: sa.Connection, here: int, owner: str | None, segment: str | None
) -> list[Reviewable]:
    """Return the accounts of a publication that are red, at a checkpoint or triggered, by account_id."""
    columns = [listings.c[name] for name in (*_COLUMNS, "renewal", "triggers")]
    question = sa.select(*columns).where(listings.c.publication_id == here, _MAY_CALL)
    if owner is not None:
        question = question.where(listings.c.owner == owner)
    if segment is not None:
        question = question.where(listings.c.segment == segment)
    return [
        Reviewable(
            **{name: row[name] for name in _COLUMNS},
            renewal=json.loads(row["renewal"]) if row["renewal"] else None,
            triggers=tuple(json.loads(row["triggers"]) if row["triggers"] else ()),
        )
        for row in connection.execute(question.order_by(listings.c.account_id)).mappings()
    ]


def decisions(connection: sa.Connection, since: datetime) -> list[Said]:
    """Return the decisions kept from `since` (naive UTC) on, the oldest first."""
    question = (
        sa.select(account_words)
        .where(account_words.c.kind == "decision", account_words.c.at >= since)
        .order_by(account_words.c.word_id)
    )
    return [
        Said(row.kind, row.account_id, row.at, row.by, row.details) for row in connection.execute(question)
    ]
