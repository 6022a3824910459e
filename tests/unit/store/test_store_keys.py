"""API keys in the store: made, exchanged with an overlap, revoked, and kept as hashes only."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from stored_examples import NOW

from lifecycle_ml.store.keys import PREFIX, KeyChangeError, digest_of
from lifecycle_ml.store.schema import metadata

HOUR = timedelta(hours=1)


def good(store, at=NOW):
    """The keys that work, by name, the newest first."""
    return [(each.name, each.role) for each in store.keys().all() if each.works(at)]


def test_a_key_is_shown_once_and_kept_as_a_hash(store):
    """No row of any table holds it, and nothing that is read back does."""
    key = store.keys().create("salesforce", "act", NOW)
    kept = store.keys().all()

    assert key.startswith(PREFIX)
    assert len(key) >= len(PREFIX) + 43
    assert [(each.digest, each.created_at, each.per_minute) for each in kept] == [
        (digest_of(key), NOW, 1_000)
    ]
    assert repr(digest_of(key)) not in repr(kept)
    with store._engine.connect() as connection:
        for table in metadata.tables.values():
            assert key not in str(connection.execute(sa.select(table)).all())
    assert store.keys().create("hubspot", "read", NOW) != key


@pytest.mark.parametrize("name", ["", "key-1", " x", "x ", "x\n", "ü", "x" * 65, "a/b", "a\0b"])
def test_a_name_that_cannot_be_told_from_others_is_refused(store, name):
    """It stands in logs, in the ledger and in front of people."""
    with pytest.raises(KeyChangeError, match="key name"):
        store.keys().create(name, "read", NOW)


def test_a_role_is_one_of_three(store):
    """A misspelt one is told the nearest."""
    with pytest.raises(KeyChangeError, match=r"role 'reader'.*Did you mean 'read'\?"):
        store.keys().create("crm", "reader", NOW)


def test_a_name_has_one_key_until_it_ended(store):
    """Two people do not make two keys for one system without knowing; afterwards the name is free."""
    store.keys().create("crm", "read", NOW, lasts=HOUR)
    with pytest.raises(KeyChangeError, match=r"'crm' works already.*rotate"):
        store.keys().create("crm", "act", NOW)

    assert good(store, NOW + HOUR) == []
    store.keys().create("crm", "act", NOW + HOUR)
    assert good(store, NOW + HOUR) == [("crm", "act")]


def test_rotation_overlaps(store):
    """Both work while the other system is told the new one; role, limit and lifetime go on."""
    keys = store.keys()
    first = keys.create("crm", "act", NOW, lasts=100 * HOUR, per_minute=7)
    second = keys.rotate("crm", NOW + HOUR, 2 * HOUR)
    assert first != second
    assert len(good(store, NOW + 2 * HOUR)) == 2

    after = [each for each in keys.all() if each.works(NOW + 3 * HOUR)]
    assert [(each.digest, each.role, each.per_minute) for each in after] == [(digest_of(second), "act", 7)]
    assert after[0].expires_at == NOW + 101 * HOUR

    # a second exchange within the overlap shortens nobody's, and lengthens nobody's either
    keys.rotate("crm", NOW + 2 * HOUR, 50 * HOUR)
    ends = {each.digest: each.expires_at for each in keys.all()}
    assert ends[digest_of(first)] == NOW + 3 * HOUR
    assert ends[digest_of(second)] == NOW + 52 * HOUR
    keys.rotate("crm", NOW + 2 * HOUR, timedelta())
    assert len(good(store, NOW + 2 * HOUR)) == 1


def test_a_revoked_key_never_works_again(store):
    """All of its name, or the one named; what does not work cannot be revoked or exchanged."""
    keys = store.keys()
    keys.create("crm", "read", NOW)
    keys.rotate("crm", NOW, HOUR)
    keys.create("erp", "read", NOW)
    newest = keys.all()[0]

    assert keys.revoke("crm", NOW, newest.key_id) == 1
    assert [each.key_id for each in keys.all() if each.name == "crm" and each.works(NOW)] != [newest.key_id]
    assert keys.revoke("crm", NOW) == 1
    assert good(store) == [("erp", "read")]
    for change in (lambda: keys.revoke("crm", NOW), lambda: keys.rotate("crm", NOW, HOUR)):
        with pytest.raises(KeyChangeError, match=r"no working key is named 'crm'.*erp"):
            change()


def test_the_day_of_last_use_only_goes_forward(store):
    """Whichever worker says so last."""
    keys = store.keys()
    keys.create("crm", "read", NOW)
    key_id = keys.all()[0].key_id
    assert keys.all()[0].last_used_on is None

    for day in (date(2026, 7, 2), date(2026, 7, 1)):
        keys.used([key_id], day)
    assert keys.all()[0].last_used_on == date(2026, 7, 2)
