"""Opening the database: one place that knows how SQLite and Postgres differ."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from lifecycle_ml.errors import ConfigError, StoreError
from lifecycle_ml.store.revisions import REVISION, bring_up_to_date, revision_of

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY_MS = 15_000
"""How long a writer waits for another one before SQLite gives up."""
KEPT_OPEN = 40
"""Connections kept, one for each thread the service may use: opening one costs more than a question."""
SHARED = 8
"""Connections of one process to a Postgres server, which has a hundred for all; further threads wait."""
_POSTGRES = frozenset({"postgres", "postgresql"})
_WRITERS = 0x6C696665
"""The number of the lock writers of a Postgres store take turns with."""


def open_engine(url: str, *, migrated: bool = True) -> sa.Engine:
    """Open the database at `url`; `migrated`: first brought to the revision this program works with.

    Raises: ConfigError for an address that cannot be one, StoreError where nothing answers or the store
    is a newer program's.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername in _POSTGRES:
            parsed = parsed.set(drivername="postgresql+psycopg")
        # parameters are hidden in every error: they are accounts, what people wrote, hashes of keys
        if parsed.get_backend_name() == "sqlite":
            engine = _sqlite(parsed)
        else:
            # one snapshot per transaction, so that pointer, readings and actions belong together
            engine = sa.create_engine(
                parsed,
                isolation_level="REPEATABLE READ",
                hide_parameters=True,
                pool_pre_ping=True,
                pool_size=SHARED,
                max_overflow=0,
            )
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as error:
        raise ConfigError(
            "LIFECYCLE_STORE_URL: not an SQLAlchemy URL this installation can open "
            f"({type(error).__name__}). Write sqlite:///path/to/file.db or postgresql+psycopg://…"
        ) from error
    if not migrated:
        return engine
    try:
        with say_store_error(engine), engine.connect() as connection:
            at = revision_of(connection)
        if at != REVISION:
            with say_store_error(engine), writing(engine) as connection:
                bring_up_to_date(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def exists(url: str) -> bool:
    """Whether there may be a store at `url`: False only for a SQLite file that was never made."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return True  # opening it says what is wrong
    return parsed.get_backend_name() != "sqlite" or not parsed.database or Path(parsed.database).is_file()


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Give a transaction in which nobody else writes, and commit it.

    The write lock is taken at once: on SQLite one that reads first and writes later may be refused, on
    Postgres it would decide from what it read before another one wrote.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            # each statement sees what is committed; with the lock held that is everything
            connection.execution_options(isolation_level="READ COMMITTED")
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS)))
        else:
            connection.info["write"] = True
            try:
                connection.begin()
            finally:
                connection.info.pop("write", None)
        yield connection
        connection.commit()


@contextmanager
def say_store_error(engine: sa.Engine) -> Iterator[None]:
    """Turn a database's error into a StoreError that names the address without its password."""
    try:
        yield
    except SQLAlchemyError as error:
        where = engine.url.render_as_string(hide_password=True)
        cause = getattr(error, "orig", None) or error
        raise StoreError(f"store {where}: {type(cause).__name__}: {str(cause).splitlines()[0]}") from error


def _sqlite(url: URL) -> sa.Engine:
    if not url.database or url.database == ":memory:" or url.query.get("mode") == "memory":
        raise ConfigError(
            "LIFECYCLE_STORE_URL: a database in memory is gone when a run ends and unseen by the service. "
            "Write sqlite:///path/to/file.db."
        )
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, pool_size=KEPT_OPEN, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver would begin transactions only before writes, and so give two SELECTs two different
        # states of the world; SQLAlchemy's documented remedy is to take over BEGIN.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {BUSY_MS}",
            "journal_mode = WAL",
            "synchronous = NORMAL",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.info.get("write") else "BEGIN")

    return engine
