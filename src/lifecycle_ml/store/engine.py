"""Opening the database: one place that knows how SQLite and Postgres differ."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from lifecycle_ml.errors import ConfigError, StoreError
from lifecycle_ml.store.schema import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY_MS = 15_000
"""How long a writer waits for another one before SQLite gives up."""
KEPT_OPEN = 40
"""Connections kept, one for each thread the service may use: opening one costs more than a question."""
_WRITERS = 0x6C696665
"""The number of the lock writers of a Postgres store take turns with."""


def open_engine(url: str) -> sa.Engine:
    """Open the database at `url` and make its tables where they are missing.

    Raises: ConfigError for an address that cannot be one, StoreError where nothing answers or the tables
    are another version's.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            engine = _sqlite(parsed)
        else:
            # one snapshot per transaction, so that pointer, readings and actions belong together
            engine = sa.create_engine(
                parsed, isolation_level="REPEATABLE READ", pool_pre_ping=True, max_overflow=KEPT_OPEN
            )
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as error:
        raise ConfigError(
            "LIFECYCLE_STORE_URL: not an SQLAlchemy URL this installation can open "
            f"({type(error).__name__}). Write sqlite:///path/to/file.db or postgresql+psycopg://…"
        ) from error
    try:
        with say_store_error(engine), engine.connect() as connection:
            complete = _is_complete(connection)
        if not complete:
            with say_store_error(engine), writing(engine) as connection:
                metadata.create_all(connection)
    except StoreError:
        engine.dispose()
        raise
    return engine


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


def _is_complete(connection: sa.Connection) -> bool:
    """Whether the store has all its tables. Raises: StoreError if one has other columns than this version."""
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names()) & set(metadata.tables)
    wrong = []
    for name in sorted(there):
        columns = {column["name"] for column in inspector.get_columns(name)}
        known = set(metadata.tables[name].columns.keys())
        wrong += [f"{name} lacks {column}" for column in sorted(known - columns)]
        wrong += [f"{name} has {column}" for column in sorted(columns - known)]
    if wrong:
        where = connection.engine.url.render_as_string(hide_password=True)
        shown = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        raise StoreError(
            f"store {where} was made by another version of lifecycle_ml ({shown}), and none can take it over "
            "yet. Point LIFECYCLE_STORE_URL to a new address (or move the file away), then "
            "`lifecycle run` publishes into it, with twelve weeks of history read from your tables. What "
            "people did with actions stays in the old store."
        )
    return there == set(metadata.tables)


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
    engine = sa.create_engine(url, pool_size=KEPT_OPEN)

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
