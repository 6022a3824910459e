"""Stores of earlier and later versions: migrated, or refused in words."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from stored_examples import AS_OF, NOW, event, reading

from lifecycle_ml.errors import StoreError
from lifecycle_ml.store import revisions
from lifecycle_ml.store.engine import open_engine
from lifecycle_ml.store.migrations.versions.r0001_first import FIRST
from lifecycle_ml.store.revisions import REVISION, revision_of
from lifecycle_ml.store.schema import metadata
from lifecycle_ml.store.store import Store


@pytest.fixture
def url(kind, new_store_url):
    """The address of a store that does not exist yet."""
    return new_store_url(kind)


@pytest.fixture
def engine(url):
    """The database at that address."""
    opened = open_engine(url, migrated=False)
    yield opened
    opened.dispose()


def at(engine):
    """The revision of a store."""
    with engine.connect() as connection:
        return revision_of(connection)


def test_the_newest_revision_is_the_one_the_program_works_with():
    """And the steps are one line, so every store has one way to go."""
    script = ScriptDirectory.from_config(revisions._config())

    assert script.get_heads() == [REVISION]
    assert script.get_bases() == ["0001"]
    assert isinstance(revisions._config(), Config)


def test_a_migrated_store_is_what_the_schema_says(engine, url):
    """Tables, columns, types, what may be null, indexes and keys; what is missing here needs a revision."""
    Store.open(url).close()

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert _keys(connection, metadata) == _keys(connection, None)


def _keys(connection, told):
    """Primary and foreign keys, with what happens when a row goes: Alembic does not compare these."""
    found = told or sa.MetaData()
    if told is None:
        found.reflect(connection)
    return {
        table.name: (
            [column.name for column in table.primary_key],
            sorted((key.parent.name, key.target_fullname, str(key.ondelete)) for key in table.foreign_keys),
        )
        for table in found.tables.values()
        if table.name != "alembic_version"
    }


@pytest.mark.parametrize("kind", ["sqlite"])
def test_ids_of_publications_and_events_are_never_used_twice(engine, url):
    """SQLite has to be asked for that, and it outlives migration."""
    Store.open(url).close()

    with engine.connect() as connection:
        made = dict(connection.exec_driver_sql("SELECT name, sql FROM sqlite_master").fetchall())
    for name, table in metadata.tables.items():
        assert ("AUTOINCREMENT" in made[name]) == table.dialect_options["sqlite"]["autoincrement"], name


def test_a_store_made_before_revisions_is_taken_over_with_all_it_holds(engine, url):
    """Also one that lacks the tables that came last."""
    with engine.begin() as connection:
        FIRST.create_all(connection)
        for table, values in _published(reading("A-1", "green")):
            connection.execute(sa.insert(FIRST.tables[table]).values(**values))
        FIRST.tables["account_words"].drop(connection)
    assert at(engine) is None

    again = Store.open(url)
    assert b'"color":"green"' in again.reading("A-1")
    assert at(engine) == REVISION
    again.close()


def test_work_over_capacity_of_an_older_store_stays_beyond_capacity(engine, url):
    """The mark came later than the status it goes with."""
    told = vars(event().action)
    columns = [column.name for column in FIRST.tables["actions"].c]
    row = {name: told[name] for name in columns if name in told} | {"escalated": False, "changed_at": NOW}
    with engine.begin() as connection:
        FIRST.create_all(connection)
        for status in ("open", "over_capacity", "snoozed"):
            values = {**row, "action_id": status, "status": status}
            connection.execute(sa.insert(FIRST.tables["actions"]).values(**values))

    again = Store.open(url)
    marked = {each.action_id: each.beyond_capacity for each in again.open_actions()}
    again.close()
    assert marked == {"open": False, "over_capacity": True, "snoozed": False}


def _published(one):
    """The rows of a publication of one reading, as the first version wrote them."""
    told = {"as_of": AS_OF, "known_at": NOW, "now": NOW, "published_at": NOW, "kind": "nightly"}
    here = {"publication_id": 1}
    yield "publications", {**here, **told, "digests": {}, "attempt": 1, "ledger_seen": 0, "accounts": 1}
    for name in ("readings", "listings"):
        columns = [column.name for column in FIRST.tables[name].c if column.name != "publication_id"]
        yield name, {**here, **{column: getattr(one, column) for column in columns}}
    yield "pointer", {**here, "name": "current"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE listings DROP COLUMN expansion_band", "listings lacks expansion_band"),
        ("ALTER TABLE actions ADD COLUMN mood TEXT", "actions has mood"),
    ],
)
def test_a_store_older_than_the_first_revision_is_refused_in_words(engine, url, change, said):
    """Not with SQL at the first question, and nothing in it is changed."""
    with engine.begin() as connection:
        FIRST.create_all(connection)
        connection.exec_driver_sql(change)

    with pytest.raises(
        StoreError, match=rf"before stores had revisions.*\({said}\).*Point LIFECYCLE_STORE_URL"
    ):
        Store.open(url)
    assert at(engine) is None


def test_a_newer_programs_store_is_refused_in_words(engine, url):
    """An old program must not write into tables it does not understand."""
    Store.open(url).close()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(StoreError, match=rf"is at revision 9999, and .* none later than {REVISION}: a newer"):
        Store.open(url)
    assert at(engine) == "9999"


def test_a_migration_that_breaks_off_leaves_the_store_as_it_was(engine, url, monkeypatch):
    """All steps and the revision count in one transaction."""
    monkeypatch.setattr(
        "alembic.runtime.migration.HeadMaintainer.update_to_step", lambda *_: (_ for _ in ()).throw(OSError)
    )
    with pytest.raises(OSError, match=r"^$"):
        Store.open(url)

    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == []


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgres_is_meant_however_its_address_is_written(scheme):
    """Hosting companies hand out any of them; nobody should have to know the driver's name."""
    with pytest.raises(StoreError, match=r"store postgresql\+psycopg://u:\*\*\*@127\.0\.0\.1:1/d: "):
        Store.open(f"{scheme}://u:secret@127.0.0.1:1/d")


def test_a_store_is_opened_by_several_at_once(url):
    """Workers starting together on no database make one schema and one secret."""
    found: list[bytes] = []
    faults: list[BaseException] = []

    def work():
        try:
            opened = Store.open(url)
            found.append(opened.secret("pages"))
            opened.close()
        except BaseException as fault:  # noqa: BLE001 - told by the test
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(set(found)) == 1
