"""Accounts kept in memory: never older than the store, never more than the limit."""

from __future__ import annotations

from contextlib import closing

import pandas as pd
import pytest
from sqlalchemy import event
from stored_examples import publish, reading

from lifecycle_ml.store.at_hand import AtHand
from lifecycle_ml.store.store import Store

IDS = ["A-1", "A-2", "A-3"]


@pytest.fixture
def url(tmp_path):
    """A store with three accounts."""
    address = f"sqlite:///{tmp_path}/lifecycle.db"
    with closing(Store.open(address)) as store:
        publish(store, *map(reading, IDS))
    return address


@pytest.fixture
def store(url):
    """The store as a service has it open."""
    with closing(Store.open(url)) as opened:
        yield opened


def test_who_was_asked_for_is_at_hand_and_costs_no_sql(store):
    """The same bytes of the same publication, without a statement."""
    assert store.answers_at_hand(["A-1"]) is None
    read = store.answers(["A-1"])
    statements = []
    event.listen(store._engine, "before_cursor_execute", lambda *_: statements.append(1))

    again = store.answers(["A-1"])
    assert (again.publication, again.bodies, again.names) == (read.publication, read.bodies, read.names)
    assert store.answers_at_hand(["A-1"]).bodies == read.bodies
    assert statements == []


@pytest.mark.parametrize("ids", [[], ["A-1", "A-2"], ["A-1", "nobody"]])
def test_one_who_is_not_at_hand_sends_the_whole_question_to_the_database(store, ids):
    """So that all accounts of an answer are of one moment."""
    store.answers(["A-1"])

    assert store.answers_at_hand(ids) is None


def test_ids_may_come_as_a_column(store):
    """As notebooks take them out of a list of accounts."""
    store.answers(IDS)

    assert set(store.answers(pd.Series(IDS)).bodies) == set(IDS)


def test_what_anybody_writes_is_seen_by_the_next_question(store, url):
    """A publication and a secret, by another process's store and by this one."""
    store.answers(IDS)
    with closing(Store.open(url)) as other:
        publish(other, reading("A-2"))
    assert store.answers_at_hand(IDS) is None
    assert set(store.answers(IDS).bodies) == {"A-2"}

    store.answers(["A-2"])
    publish(store, *map(reading, IDS))
    assert store.answers_at_hand(["A-2"]) is None
    assert set(store.answers(IDS).bodies) == set(IDS)


def test_what_was_read_before_a_change_is_not_kept_after_it(store, url):
    """A reader overtaken by a writer leaves nothing behind."""
    kept = AtHand(store._engine)
    version, nothing = kept.look(["A-1"])
    found = store.answers(["A-1"])
    with closing(Store.open(url)) as other:
        publish(other, *map(reading, IDS))
    kept.keep(version, found)

    assert nothing is None
    assert kept.look(["A-1"])[1] is None
    kept.close()


def test_no_more_is_kept_than_the_limit(store):
    """Those asked for longest ago go first."""
    size = len(store.answers(["A-1"]).bodies["A-1"])
    kept = AtHand(store._engine, most_bytes=2 * size)
    for account_id in IDS:
        version, _ = kept.look([account_id])
        kept.keep(version, store.answers([account_id]))

    assert [kept.look([account_id])[1] is not None for account_id in IDS] == [False, True, True]
    kept.close()
    assert kept.look(["A-3"])[1] is None
    kept.close()
