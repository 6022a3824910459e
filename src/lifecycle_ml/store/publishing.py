"""Making publications: begin, write, publish. Each function works in a transaction its caller opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lifecycle_ml.errors import StoreError
from lifecycle_ml.store.forgotten import let_in
from lifecycle_ml.store.rows import Before, Publication
from lifecycle_ml.store.schema import (
    ledger,
    listings,
    onboarding_starts,
    pointer,
    publications,
    readings,
    unscored,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from lifecycle_ml.store.rows import Kind

CURRENT = "current"
_PUBLISHED = publications.c.published_at.is_not(None)
_NEWEST_FIRST = (publications.c.as_of.desc(), publications.c.publication_id.desc())
_CURRENT = sa.select(publications).join(pointer).where(pointer.c.name == CURRENT)
_LATEST_FOR = (
    sa.select(publications)
    .where(publications.c.as_of == sa.bindparam("as_of"), _PUBLISHED)
    .order_by(*_NEWEST_FIRST)
    .limit(1)
)
_BY_ID = sa.select(publications).where(publications.c.publication_id == sa.bindparam("id"), _PUBLISHED)


def current(connection: sa.Connection) -> Publication | None:
    """Return the publication readers see."""
    row = connection.execute(_CURRENT).first()
    return of_row(row) if row else None


def latest_for(connection: sa.Connection, as_of: date) -> Publication | None:
    """Return the latest one published for `as_of`."""
    row = connection.execute(_LATEST_FOR, {"as_of": as_of}).first()
    return of_row(row) if row else None


def by_id(connection: sa.Connection, publication_id: int) -> Publication | None:
    """Return a published publication by its id."""
    row = connection.execute(_BY_ID, {"id": publication_id}).first()
    return of_row(row) if row else None


def published(
    connection: sa.Connection, as_of: date | None = None, kind: Kind | None = None
) -> list[Publication]:
    """Return published publications, the newest as_of first."""
    question = sa.select(publications).where(_PUBLISHED).order_by(*_NEWEST_FIRST)
    if as_of is not None:
        question = question.where(publications.c.as_of == as_of)
    if kind is not None:
        question = question.where(publications.c.kind == kind)
    return [of_row(row) for row in connection.execute(question)]


def begin(
    connection: sa.Connection,
    as_of: date,
    known_at: datetime,
    now: datetime,
    kind: Kind,
    digests: Mapping[str, Any],
) -> Publication:
    """Begin a publication, or go on with the one a killed run of the same kind left; see `Store.begin`."""
    seen = connection.execute(sa.select(sa.func.coalesce(sa.func.max(ledger.c.event_id), 0))).scalar_one()
    left = (publications.c.as_of == as_of) & publications.c.published_at.is_(None)
    connection.execute(sa.delete(publications).where(left, publications.c.kind != kind))
    row = connection.execute(sa.select(publications).where(left)).first()
    if row is None:
        values = {"as_of": as_of, "known_at": known_at, "now": now, "kind": kind, "digests": dict(digests)}
        result = connection.execute(sa.insert(publications).values(**values, attempt=1, ledger_seen=seen))
        assert result.inserted_primary_key is not None
        publication_id = int(result.inserted_primary_key[0])
    else:
        publication_id = row.publication_id
        for table in (listings, readings, unscored, onboarding_starts):
            connection.execute(sa.delete(table).where(table.c.publication_id == publication_id))
        let_in(connection, publication_id)
        connection.execute(
            sa.update(publications)
            .where(publications.c.publication_id == publication_id)
            .values(known_at=known_at, digests=dict(digests), attempt=row.attempt + 1, ledger_seen=seen)
        )
    begun = sa.select(publications).where(publications.c.publication_id == publication_id)
    return of_row(connection.execute(begun).one())


def must_be_open(connection: sa.Connection, publication: Publication) -> sa.Row[Any]:
    """Return the publication's row. Raises: StoreError if this run can no longer write to it."""
    question = sa.select(publications).where(publications.c.publication_id == publication.publication_id)
    row = connection.execute(question.with_for_update()).first()
    if row is not None and row.published_at is not None:
        raise StoreError(
            f"publication {publication.publication_id} (as of {publication.as_of}) is published and cannot "
            "change."
        )
    if row is None or row.attempt != publication.attempt:
        raise StoreError(
            f"publication {publication.publication_id} (as of {publication.as_of}): a later run for the same "
            "as_of took it over, so this run writes nothing more. Let the later one finish."
        )
    return row


def make_visible(
    connection: sa.Connection,
    publication: Publication,
    digests: Mapping[str, Any] | None,
    kind: Kind,
    *,
    point: bool,
) -> None:
    """Mark an open publication as published, and let readers see it where `point`."""
    count = sa.select(sa.func.count()).where(readings.c.publication_id == publication.publication_id)
    values: dict[str, Any] = {"published_at": publication.now, "accounts": count.scalar_subquery()}
    if digests is not None:
        values["digests"] = dict(digests)
    connection.execute(
        sa.update(publications)
        .where(publications.c.publication_id == publication.publication_id)
        .values(**values, kind=kind)
    )
    if point:
        connection.execute(sa.delete(pointer).where(pointer.c.name == CURRENT))
        connection.execute(sa.insert(pointer).values(name=CURRENT, publication_id=publication.publication_id))


def last_readings(connection: sa.Connection, before: date, since: date | None) -> dict[str, Before]:
    """Return each account's own last reading of an as_of before `before`, and not before `since`."""
    window = [_PUBLISHED, publications.c.as_of < before]
    if since is not None:
        window.append(publications.c.as_of >= since)
    # over the index of accounts alone: state and body are fetched for the one reading that counts
    ranked = (
        sa.select(
            readings.c.account_id,
            readings.c.publication_id,
            publications.c.as_of,
            sa.func.row_number()
            .over(partition_by=readings.c.account_id, order_by=_NEWEST_FIRST)
            .label("nth"),
        )
        .join(publications, publications.c.publication_id == readings.c.publication_id)
        .where(*window)
        .subquery()
    )
    question = (
        sa.select(
            ranked.c.as_of, readings.c.account_id, readings.c.state, readings.c.receipt, listings.c.stage
        )
        .join(ranked, _same(readings, ranked))
        .join(listings, _same(readings, listings))
        .where(ranked.c.nth == 1)
    )
    return {
        row.account_id: Before(row.as_of, row.state, row.receipt, row.stage)
        for row in connection.execute(question)
    }


def _same(one: sa.FromClause, other: sa.FromClause) -> sa.ColumnElement[bool]:
    return (one.c.account_id == other.c.account_id) & (one.c.publication_id == other.c.publication_id)


def of_row(row: Any) -> Publication:
    """Return a publication from its row."""
    return Publication(
        publication_id=row.publication_id,
        as_of=row.as_of,
        known_at=row.known_at,
        now=row.now,
        kind=row.kind,
        digests=row.digests,
        attempt=row.attempt,
        published_at=row.published_at,
        accounts=row.accounts,
    )
