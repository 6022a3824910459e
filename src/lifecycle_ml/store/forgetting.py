"""Forgetting an account: every row of it in the store, in one transaction, and what still names it there."""

from __future__ import annotations

import difflib
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from lifecycle_ml.store import audit, forgotten
from lifecycle_ml.store.engine import BUSY_MS, say_store_error, writing
from lifecycle_ml.store.schema import (
    actions,
    deliveries,
    idempotency,
    ledger,
    listings,
    metadata,
    onboarding_starts,
    publications,
    readings,
    unscored,
)
from lifecycle_ml.store.schema import audit as audit_table
from lifecycle_ml.store.traces import Traces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

DID: Final = "account forgotten"
"""What the audit log says of it."""
OF_ACCOUNTS: Final = tuple(
    table for table in reversed(metadata.sorted_tables) if "account_id" in table.columns
)
"""Tables of which the account's own rows go, those that refer to others first."""
DOCUMENTS: Final = tuple(
    table
    for table in metadata.sorted_tables
    if "document" in table.columns and "account_id" not in table.columns
)
"""Tables of documents about all accounts, which go on without this one."""
WAIT_MS: Final = BUSY_MS
"""How long a sweep waits for those who write or read."""
_BY_PUBLICATION: Final = frozenset({readings.name, listings.name, unscored.name, onboarding_starts.name})


@dataclass(frozen=True)
class Known:
    """What the store holds of an account."""

    traces: Traces
    rows: dict[str, int]
    """By table, those with any."""
    told: dict[str, int] = field(default_factory=dict)
    """Events other systems were told of, by address: these cannot be taken back."""
    before: audit.Entry | None = None
    """When it was forgotten last, if it ever was."""

    @property
    def total(self) -> int:
        """Rows in all."""
        return sum(self.rows.values())


def look(engine: sa.Engine, account_id: str) -> Known:
    """Return what the store holds of an account, and change nothing."""
    with say_store_error(engine), engine.connect() as connection:
        return _look(connection, account_id)


def nearest(engine: sa.Engine, account_id: str, most: int = 3) -> list[str]:
    """Return the ids the store knows that are most like one it does not."""
    every: set[str] = set()
    with say_store_error(engine), engine.connect() as connection:
        for table in (readings, unscored, actions):
            every |= set(connection.execute(sa.select(table.c.account_id).distinct()).scalars())
    return difflib.get_close_matches(account_id, sorted(every), n=most)


def forget(engine: sa.Engine, account_id: str, by: str, at: datetime) -> Known:
    """Erase an account, and return what was erased; the audit log keeps that somebody was, and not who.

    One transaction: readers see all of the account or none. A run under way writes nothing of it; the next
    one brings it back if the source tables still have it.
    """
    with say_store_error(engine), writing(engine) as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA secure_delete = ON")
        known = _look(connection, account_id)
        mark = forgotten.mark_of(connection, account_id)
        forgotten.keep_out(connection, mark)
        _reword_audit(connection, account_id, mark)
        for table, key, document in _documents(connection):
            left, gone = known.traces.without(document)
            if gone:
                values = {"document": [] if left is None and isinstance(document, list) else left or {}}
                connection.execute(sa.update(table).where(key).values(**values))
        for row in _answers(connection, known.traces):
            its_own = (idempotency.c.key_hash == row.key_hash) & (idempotency.c.caller == row.caller)
            connection.execute(sa.delete(idempotency).where(its_own))
        its_readings = sa.select(readings.c.publication_id).where(readings.c.account_id == account_id)
        connection.execute(
            sa.update(publications)
            .where(publications.c.publication_id.in_(its_readings), publications.c.accounts.is_not(None))
            .values(accounts=publications.c.accounts - 1)
        )
        for table in OF_ACCOUNTS:
            connection.execute(sa.delete(table).where(*_its_rows(table, account_id)))
        audit.write(connection, audit.Entry(at, by, DID, mark))
    return known


def sweep(engine: sa.Engine) -> str | None:
    """Give the room of deleted rows back, so that their bytes are gone; None, or why that was not done.

    SQLite: the file is written anew and its log cut to nothing, which a process that writes or reads all the
    time may keep from happening. Postgres: dead rows go from the tables' pages, which new rows overwrite.
    """
    try:
        if engine.dialect.name == "sqlite":
            return _write_anew(engine)
        names = [*(table.name for table in (*OF_ACCOUNTS, *DOCUMENTS)), idempotency.name, audit_table.name]
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql(f"VACUUM {', '.join(names)}")
    except (SQLAlchemyError, sqlite3.Error) as error:
        return str(getattr(error, "orig", None) or error).splitlines()[0]
    return None


def _write_anew(engine: sa.Engine) -> str | None:
    taken = engine.raw_connection()
    try:
        cursor = taken.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {WAIT_MS}")
        cursor.execute("PRAGMA secure_delete = ON")
        cursor.execute("VACUUM")
        busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        taken.close()
    return "another process read it all the time" if busy else None


def _look(connection: sa.Connection, account_id: str) -> Known:
    names = sa.select(listings.c.name).where(*_its_rows(listings, account_id)).distinct()
    traces = Traces(account_id, tuple(sorted(filter(None, connection.execute(names).scalars()))))
    rows: Counter[str] = Counter()
    for table in reversed(OF_ACCOUNTS):
        count = sa.select(sa.func.count()).select_from(table).where(*_its_rows(table, account_id))
        rows[table.name] = connection.execute(count).scalar_one()
    for table, _, document in _documents(connection):
        rows[table.name] += bool(traces.without(document)[1])
    rows[idempotency.name] = sum(1 for _ in _answers(connection, traces))
    rows[audit_table.name] = len(_entries(connection, account_id))
    told = (
        sa.select(deliveries.c.endpoint, sa.func.count().label("events"))
        .where(deliveries.c.account_id == account_id, deliveries.c.status == "sent")
        .group_by(deliveries.c.endpoint)
        .order_by(deliveries.c.endpoint)
    )
    return Known(
        traces,
        {name: count for name, count in rows.items() if count},
        {row.endpoint: row.events for row in connection.execute(told)},
        _before(connection, account_id),
    )


def _before(connection: sa.Connection, account_id: str) -> audit.Entry | None:
    mark = forgotten.known_mark(connection, account_id)
    last = (
        sa.select(audit_table)
        .where(audit_table.c.did == DID, audit_table.c.target == mark)
        .order_by(audit_table.c.entry_id.desc())
        .limit(1)
    )
    row = connection.execute(last).first() if mark else None
    return None if row is None else audit.Entry(row.at, row.who, row.did, row.target, row.request_id)


def _its_rows(table: sa.Table, account_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    its_own = (table.c.account_id == account_id,)
    if table.name not in _BY_PUBLICATION:
        return its_own
    # their key begins with the publication
    return (table.c.publication_id.in_(sa.select(publications.c.publication_id)), *its_own)


def _documents(
    connection: sa.Connection,
) -> Iterator[tuple[sa.Table, sa.ColumnElement[bool], dict[str, Any] | list[Any]]]:
    """Give each document about all accounts with its table and what finds it there."""
    for table in DOCUMENTS:
        for row in connection.execute(sa.select(table)).all():
            yield table, table.c.as_of == row.as_of, row.document


def _answers(connection: sa.Connection, traces: Traces) -> Iterator[sa.Row[Any]]:
    """Give the kept answers that tell of the account."""
    for row in connection.execute(sa.select(idempotency)).all():
        body = bytes(row.answer)
        if not traces.may_be_in(body):
            continue
        try:
            gone = traces.without(json.loads(body))[1]
        except ValueError:
            gone = int(traces.is_in(body))
        if gone:
            yield row


def _entries(connection: sa.Connection, account_id: str) -> list[int]:
    """Return the lines of the audit log that are about the account or one of its actions."""
    targets = {account_id}
    for table in (actions, ledger):
        of_it = sa.select(table.c.action_id).where(table.c.account_id == account_id).distinct()
        targets |= set(connection.execute(of_it).scalars())
    found: list[int] = []
    asked = sorted(targets)
    for start in range(0, len(asked), 500):
        question = sa.select(audit_table.c.entry_id).where(
            audit_table.c.target.in_(asked[start : start + 500])
        )
        found += connection.execute(question).scalars()
    return found


def _reword_audit(connection: sa.Connection, account_id: str, mark: str) -> None:
    lines = _entries(connection, account_id)
    for start in range(0, len(lines), 500):
        its_own = audit_table.c.entry_id.in_(lines[start : start + 500])
        connection.execute(sa.update(audit_table).where(its_own).values(target=mark))
