"""Old readings go; what is served, what happened and what is being read stay."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from stored_examples import AS_OF, NOW, WEEK, event, publish, reading

from lifecycle_ml.store.pruning import Pruned, prune
from lifecycle_ml.store.schema import listings, readings


def test_what_is_older_than_asked_goes_whole_and_nothing_else(store):
    """Readings, lists and reasons of old publications; actions and their ledger stay."""
    for weeks in (4, 3, 2, 1, 0):
        events = [event()] if weeks == 4 else []
        at = NOW - weeks * WEEK
        publish(store, reading("A-1"), reading("A-2"), as_of=AS_OF - weeks * WEEK, now=at, events=events)
    unfinished = store.begin(AS_OF - 5 * WEEK, NOW, NOW)
    store.write_readings(unfinished, [reading("A-1")])

    assert prune(store._engine, 14, "Maya", NOW) == Pruned(AS_OF - 2 * WEEK, 2, 4)
    assert [each.as_of for each in store.publications()] == [AS_OF, AS_OF - WEEK, AS_OF - 2 * WEEK]
    assert [past.publication.as_of for past in store.history("A-1")] == [
        AS_OF,
        AS_OF - WEEK,
        AS_OF - 2 * WEEK,
    ]
    with store._engine.connect() as connection:
        for table in (readings, listings):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 7
    assert [line["kind"] for line in store.ledger("A-1")] == ["opened"]
    assert len(store.open_actions()) == 1
    assert prune(store._engine, 14, "Maya", NOW).publications == 0
    assert prune(store._engine, 0, "Maya", NOW).publications == 2
    assert store.current().as_of == AS_OF


def test_an_empty_store_has_nothing_to_prune(store):
    """Nor has one in which nothing was published yet."""
    store.begin(AS_OF, NOW, NOW)

    assert prune(store._engine, 1, "Maya", NOW) == Pruned(None, 0, 0)


def test_readers_of_a_list_are_not_torn_by_pruning(store):
    """A page asked for in one publication, pruned before the next page, is refused or whole; never mixed."""
    publish(store, *(reading(f"A-{number}") for number in range(5)))
    first = store.list_accounts(limit=2)
    publish(store, reading("A-9"), as_of=AS_OF + WEEK, now=NOW + WEEK)

    prune(store._engine, timedelta(days=7).days, "Maya", NOW)
    assert [row.account_id for row in store.list_accounts(limit=9, cursor=first.next).rows] == [
        "A-2",
        "A-3",
        "A-4",
    ]
