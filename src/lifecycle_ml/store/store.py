"""Publications, readings, actions and their ledger in a SQL database.

Writing: `begin`, `write_readings` (any number of times), `publish`. Until `publish` commits, nothing of a
publication is seen by readers; after it, all of it is. A run that was killed leaves a publication nobody
sees, which the next `begin` for the same as_of discards.
"""

from __future__ import annotations

import secrets as randomness
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lifecycle_ml.errors import StoreError
from lifecycle_ml.store import lists
from lifecycle_ml.store.document import UNFINISHED
from lifecycle_ml.store.engine import begin_write, open_engine, say_store_error
from lifecycle_ml.store.rows import AccountFilters, ActionFilters, Kind, Mix, Page, Past, Publication, Sort
from lifecycle_ml.store.schema import actions, ledger, naive_utc, pointer, publications, readings, unscored
from lifecycle_ml.store.schema import secrets as secret_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from lifecycle_ml.actions.plan import Action, ActionEvent
    from lifecycle_ml.store.rows import StoredReading

CURRENT = "current"
BATCH = 2_000
"""Readings written per statement; each batch is its own transaction, so others can write in between."""
ASKED = 500
"""Ids per IN list."""


class Store:
    """The store at one address. Safe to share between threads; open it with `Store.open`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def __repr__(self) -> str:
        return f"Store({self._engine.url.render_as_string(hide_password=True)!r})"

    @classmethod
    def open(cls, url: str) -> Store:
        """Open the store, making its tables where they are missing.

        Raises: ConfigError for an address that cannot be one, StoreError where nothing answers.
        """
        return cls(open_engine(url))

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def ping(self) -> None:
        """Ask the database one question. Raises: StoreError if it does not answer."""
        with self._reading() as connection:
            connection.execute(sa.select(pointer.c.publication_id)).first()

    # Writing a publication

    def unfinished(self, as_of: date) -> Publication | None:
        """Return the publication a killed run left for this as_of: its `now` is the one to go on with."""
        question = (
            sa.select(publications)
            .where(publications.c.as_of == as_of, publications.c.published_at.is_(None))
            .order_by(publications.c.publication_id.desc())
        )
        with self._reading() as connection:
            row = connection.execute(question).first()
        return _publication(row) if row else None

    def begin(
        self,
        *,
        as_of: date,
        known_at: datetime,
        now: datetime,
        kind: Kind = "nightly",
        digests: Mapping[str, Any] | None = None,
    ) -> int:
        """Begin a publication nobody sees yet and return its id; unfinished ones of this as_of are discarded.

        `now` is the recorded clock of the run: it becomes the time of publishing. `digests` says what the
        publication was made with (workspace, bundles, package), and is served with it.
        """
        with self._writing() as connection:
            connection.execute(
                sa.delete(publications).where(
                    publications.c.as_of == as_of, publications.c.published_at.is_(None)
                )
            )
            result = connection.execute(
                sa.insert(publications).values(
                    as_of=as_of, known_at=known_at, now=now, kind=kind, digests=dict(digests or {})
                )
            )
            key = result.inserted_primary_key
        assert key is not None
        return int(key[0])

    def write_readings(self, publication_id: int, rows: Iterable[StoredReading]) -> int:
        """Add readings to an unpublished publication, in batches; return how many.

        Raises: StoreError if the publication is published or was discarded, or an account comes twice.
        """
        names = [column.name for column in readings.c if column.name != "publication_id"]
        values = (
            {"publication_id": publication_id, **{name: getattr(row, name) for name in names}} for row in rows
        )
        return self._write_batches(publication_id, readings, values)

    def write_unscored(self, publication_id: int, reasons: Mapping[str, str]) -> int:
        """Add the accounts that are known but have no reading, each with the reason in words."""
        values = (
            {"publication_id": publication_id, "account_id": account_id, "why": why}
            for account_id, why in reasons.items()
        )
        return self._write_batches(publication_id, unscored, values)

    def publish(
        self, publication_id: int, events: Sequence[ActionEvent] = (), *, current: bool = True
    ) -> None:
        """Make a publication and what it did to the actions visible, in one transaction.

        `current=False` completes it without moving the pointer: replayed history. Events already in the
        ledger are not told twice. Raises: StoreError if the publication is published or was discarded.
        """
        with self._writing() as connection:
            row = self._must_be_open(connection, publication_id)
            for event in events:
                _record(connection, publication_id, event)
            count = sa.select(sa.func.count()).where(readings.c.publication_id == publication_id)
            connection.execute(
                sa.update(publications)
                .where(publications.c.publication_id == publication_id)
                .values(published_at=row.now, accounts=count.scalar_subquery())
            )
            if current:
                connection.execute(sa.delete(pointer).where(pointer.c.name == CURRENT))
                connection.execute(sa.insert(pointer).values(name=CURRENT, publication_id=publication_id))

    # Reading publications

    def current(self) -> Publication | None:
        """Return the publication readers see, or None where nothing is published."""
        with self._reading() as connection:
            return _current(connection)

    def publications(self) -> list[Publication]:
        """Return all published publications, the newest as_of first."""
        question = (
            sa.select(publications)
            .where(publications.c.published_at.is_not(None))
            .order_by(publications.c.as_of.desc(), publications.c.publication_id.desc())
        )
        with self._reading() as connection:
            return [_publication(row) for row in connection.execute(question)]

    def publication(self, as_of: date | None = None) -> Publication | None:
        """Return the current publication, or the latest one published for `as_of`."""
        with self._reading() as connection:
            return (
                _current(connection) if as_of is None else _latest(connection, publications.c.as_of == as_of)
            )

    def states(self, before: date) -> dict[str, tuple[date, str, str]]:
        """Return (as_of, state, receipt) by account, from the newest publication of an earlier as_of."""
        with self._reading() as connection:
            publication = _latest(connection, publications.c.as_of < before)
            if publication is None:
                return {}
            question = sa.select(readings.c.account_id, readings.c.state, readings.c.receipt).where(
                readings.c.publication_id == publication.publication_id
            )
            return {
                row.account_id: (publication.as_of, row.state, row.receipt)
                for row in connection.execute(question)
            }

    # Reading readings

    def reading(self, account_id: str, as_of: date | None = None) -> bytes | None:
        """Return one stored reading of the current publication, or of the latest one for `as_of`."""
        return self.readings([account_id], as_of).get(account_id)

    def readings(self, account_ids: Collection[str], as_of: date | None = None) -> dict[str, bytes]:
        """Return stored readings by account; accounts without one are left out."""
        return self.answers(account_ids, as_of).bodies

    def answers(self, account_ids: Collection[str], as_of: date | None = None) -> lists.Answers:
        """Return readings, unfinished actions and what is known of the rest, all of one moment."""
        with self._reading() as connection:
            if as_of is None:
                publication = _current(connection)
            else:
                publication = _latest(connection, publications.c.as_of == as_of)
            found = lists.Answers(publication)
            for ids in _chunks(dict.fromkeys(account_ids), ASKED):
                lists.add_answers(connection, found, ids)
            return found

    def history(self, account_id: str, limit: int = 100, before: date | None = None) -> list[Past]:
        """Return an account's readings, the newest first: one per as_of, the one published last."""
        latest = (
            sa.select(
                publications.c.as_of, sa.func.max(publications.c.publication_id).label("publication_id")
            )
            .join(readings, readings.c.publication_id == publications.c.publication_id)
            .where(publications.c.published_at.is_not(None), readings.c.account_id == account_id)
            .group_by(publications.c.as_of)
            .subquery()
        )
        question = (
            sa.select(publications, readings.c.body, readings.c.receipt)
            .join(latest, latest.c.publication_id == publications.c.publication_id)
            .join(readings, readings.c.publication_id == publications.c.publication_id)
            .where(readings.c.account_id == account_id)
            .order_by(publications.c.as_of.desc())
            .limit(limit)
        )
        if before is not None:
            question = question.where(publications.c.as_of < before)
        with self._reading() as connection:
            return [Past(_publication(row), row.body, row.receipt) for row in connection.execute(question)]

    def list_accounts(
        self,
        filters: AccountFilters | None = None,
        sort: Sort = "arr_at_risk",
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Return one page of the current publication's accounts (`Listed`) and the next page's cursor.

        Sorted by ARR at risk or risk, highest first, or by renewal date, soonest first; what has no value
        comes last. A cursor goes on in the publication it began in. Raises: CursorError.
        """
        with self._reading() as connection:
            publication = _current(connection)
            return lists.account_page(
                connection, publication, filters or AccountFilters(), sort, cursor, limit, _by_id
            )

    def mix(self) -> dict[str, Mix]:
        """Return how many accounts the current publication has in each colour, and their money."""
        question = (
            sa.select(
                readings.c.health,
                sa.func.count(),
                sa.func.coalesce(sa.func.sum(readings.c.arr), 0.0),
                sa.func.coalesce(sa.func.sum(readings.c.arr_at_risk), 0.0),
            )
            .join(pointer, pointer.c.publication_id == readings.c.publication_id)
            .where(pointer.c.name == CURRENT)
            .group_by(readings.c.health)
        )
        with self._reading() as connection:
            return {color: Mix(*numbers) for color, *numbers in connection.execute(question)}

    # Reading actions

    def open_actions(self) -> list[Action]:
        """Return all actions somebody still has to do, by id."""
        return self._actions(actions.c.status.in_(UNFINISHED))

    def recent_actions(self, since: datetime) -> list[Action]:
        """Return the actions that ended (done or closed) at `since` or later, by id."""
        return self._actions(actions.c.status.not_in(UNFINISHED), actions.c.changed_at >= naive_utc(since))

    def actions(self, account_ids: Collection[str]) -> dict[str, list[Action]]:
        """Return every action of the given accounts, finished ones too, oldest first."""
        found: dict[str, list[Action]] = {account_id: [] for account_id in account_ids}
        for ids in _chunks(found, ASKED):
            for action in self._actions(actions.c.account_id.in_(ids), order=(actions.c.opened_at,)):
                found[action.account_id].append(action)
        return found

    def list_actions(
        self, filters: ActionFilters | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page:
        """Return one page of the queue as mappings, most ARR kept per hour first. Raises: CursorError."""
        with self._reading() as connection:
            return lists.action_page(connection, filters or ActionFilters(), cursor, limit)

    def ledger(self, account_id: str) -> list[dict[str, Any]]:
        """Return what happened to an account's actions, oldest first."""
        question = (
            sa.select(ledger)
            .where(ledger.c.account_id == account_id)
            .order_by(ledger.c.at, ledger.c.event_id)
        )
        with self._reading() as connection:
            return [dict(row) for row in connection.execute(question).mappings()]

    def secret(self, name: str) -> bytes:
        """Return this store's random value of that name, made once: the same for every worker."""
        question = sa.select(secret_table.c.value).where(secret_table.c.name == name)
        with self._reading() as connection:
            value = connection.execute(question).scalar()
        if value is None:
            with self._writing() as connection:
                value = connection.execute(question).scalar()
                if value is None:
                    value = randomness.token_bytes(32)
                    connection.execute(sa.insert(secret_table).values(name=name, value=value))
        return bytes(value)

    # Inside

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with say_store_error(self._engine), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with say_store_error(self._engine), self._engine.connect() as connection:
            begin_write(connection)
            yield connection
            connection.commit()

    def _must_be_open(self, connection: sa.Connection, publication_id: int) -> sa.Row[Any]:
        question = sa.select(publications).where(publications.c.publication_id == publication_id)
        row = connection.execute(question.with_for_update()).first()
        if row is None:
            raise StoreError(
                f"publication {publication_id} does not exist: a later run for the same as_of discarded it."
            )
        if row.published_at is not None:
            raise StoreError(f"publication {publication_id} is published and cannot change.")
        return row

    def _write_batches(self, publication_id: int, table: sa.Table, values: Iterable[dict[str, Any]]) -> int:
        written = 0
        rest = iter(values)
        while batch := list(islice(rest, BATCH)):
            with self._writing() as connection:
                self._must_be_open(connection, publication_id)
                connection.execute(sa.insert(table), batch)
            written += len(batch)
        return written

    def _actions(self, *where: sa.ColumnElement[bool], order: Sequence[Any] = ()) -> list[Action]:
        # imported here: the service never asks for actions as values and starts faster without that room
        from lifecycle_ml.actions.plan import Action

        columns = [column for column in actions.c if column.name not in {"changed_at", "escalated"}]
        question = sa.select(*columns).where(*where).order_by(*order, actions.c.action_id)
        with self._reading() as connection:
            return [Action(**row) for row in connection.execute(question).mappings()]


def _record(connection: sa.Connection, publication_id: int, event: ActionEvent) -> None:
    """Write one event and the action as it stands after it, unless the ledger has it already."""
    action = asdict(event.action)
    known = sa.select(ledger.c.event_id).where(
        ledger.c.action_id == action["action_id"],
        ledger.c.kind == event.kind,
        ledger.c.at == naive_utc(event.at),
    )
    if connection.execute(known).first():
        return
    its_own = actions.c.action_id == action["action_id"]
    before = connection.execute(sa.select(actions.c.escalated).where(its_own)).scalar()
    escalated = bool(before) or event.kind == "escalated"
    connection.execute(sa.delete(actions).where(its_own))
    connection.execute(sa.insert(actions).values(**action, escalated=escalated, changed_at=event.at))
    connection.execute(
        sa.insert(ledger).values(
            publication_id=publication_id,
            kind=event.kind,
            at=event.at,
            action_id=action["action_id"],
            account_id=action["account_id"],
            by="lifecycle",
            because=event.because,
            action=lists.plain(action),
        )
    )


def _publication(row: Any) -> Publication:
    return Publication(
        publication_id=row.publication_id,
        as_of=row.as_of,
        known_at=row.known_at,
        now=row.now,
        kind=row.kind,
        digests=row.digests,
        published_at=row.published_at,
        accounts=row.accounts,
    )


def _current(connection: sa.Connection) -> Publication | None:
    question = sa.select(publications).join(pointer).where(pointer.c.name == CURRENT)
    row = connection.execute(question).first()
    return _publication(row) if row else None


def _latest(connection: sa.Connection, where: sa.ColumnElement[bool]) -> Publication | None:
    question = (
        sa.select(publications)
        .where(where, publications.c.published_at.is_not(None))
        .order_by(publications.c.as_of.desc(), publications.c.publication_id.desc())
        .limit(1)
    )
    row = connection.execute(question).first()
    return _publication(row) if row else None


def _by_id(connection: sa.Connection, publication_id: int) -> Publication | None:
    return _latest(connection, publications.c.publication_id == publication_id)


def _chunks(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(ids)
    while chunk := list(islice(rest, size)):
        yield chunk
