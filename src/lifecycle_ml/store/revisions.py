"""Bringing a store to the revision this version of the program works with."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from lifecycle_ml.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.config import Config

REVISION: Final = "0008"
"""The newest revision in `migrations/versions`. It stands here so that opening a store of today needs no
Alembic."""
_FOLDER = Path(__file__).parent / "migrations"
_KEPT_IN = sa.table("alembic_version", sa.column("version_num"))
_one_at_a_time = Lock()  # Alembic keeps what it works on in its modules


def revision_of(connection: sa.Connection) -> str | None:
    """Return the revision a store is at, None where it has none: it is empty, or older than revisions."""
    if not sa.inspect(connection).has_table(_KEPT_IN.name):
        return None
    found: str | None = connection.execute(sa.select(_KEPT_IN.c.version_num)).scalar()
    return found


def bring_up_to_date(connection: sa.Connection) -> None:
    """Take every step from the store's revision to ours, in the transaction the caller opened.

    Raises: StoreError, having changed nothing, if the store is a newer program's, or was made before
    revisions began with other tables than those the first one knows.
    """
    from alembic import command
    from alembic.script import ScriptDirectory

    config = _config()
    at = revision_of(connection)
    if at == REVISION:
        return  # another one did it while we waited for our turn
    if at is None:
        _require_known_tables(connection)
    elif at not in {each.revision for each in ScriptDirectory.from_config(config).walk_revisions()}:
        raise StoreError(
            f"store {_where(connection)} is at revision {at}, and lifecycle_ml {version('lifecycle_ml')} "
            f"knows none later than {REVISION}: a newer version made or migrated it. Nothing was changed. "
            "Install that version or a later one, or point LIFECYCLE_STORE_URL to another address."
        )
    config.attributes["connection"] = connection
    with _one_at_a_time:
        command.upgrade(config, "head")


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config


def _require_known_tables(connection: sa.Connection) -> None:
    from lifecycle_ml.store.migrations.versions.r0001_first import FIRST

    if wrong := list(_differences(connection, FIRST)):
        shown = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        raise StoreError(
            f"store {_where(connection)} was made before stores had revisions, by a version whose tables "
            f"were others ({shown}), and none can take it over. Nothing was changed. Point "
            "LIFECYCLE_STORE_URL to a new address (or move the file away), then `lifecycle run` publishes "
            "into it, with twelve weeks of history read from your tables. What people did with actions "
            "stays in the old store."
        )


def _differences(connection: sa.Connection, known: sa.MetaData) -> Iterator[str]:
    inspector = sa.inspect(connection)
    for name in sorted(set(inspector.get_table_names()) & set(known.tables)):
        columns = {column["name"] for column in inspector.get_columns(name)}
        ours = set(known.tables[name].columns.keys())
        yield from (f"{name} lacks {column}" for column in sorted(ours - columns))
        yield from (f"{name} has {column}" for column in sorted(columns - ours))


def _where(connection: sa.Connection) -> str:
    return connection.engine.url.render_as_string(hide_password=True)
