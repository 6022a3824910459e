"""Runs that stop anywhere, run beside one another, or publish under a reader's hands."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from stored_examples import AS_OF, NOW, WEEK, event, publish, reading

from lifecycle_ml.errors import StoreError
from lifecycle_ml.store.rows import AccountFilters
from lifecycle_ml.store.schema import metadata
from lifecycle_ml.store.store import Store

LATER = AS_OF + WEEK


class KilledError(Exception):
    """The run stops here."""


def run(store, now, as_of=LATER, calls=None):
    """A run as the nightly makes it, call by call; killed after the one that follows `calls` others."""
    left = itertools.count() if calls is None else iter(range(calls))

    def step(value):
        if next(left, None) is None:
            raise KilledError
        return value

    publication = step(store.begin(as_of, NOW, now, digests={}))
    before = step(store.states(as_of))
    open_now = step(store.open_actions())
    rows = [
        replace(reading(each, "red"), state=f"{before[each].state}+")
        for each in ("A-1", "A-2")
        if each in before
    ]
    step(store.write_readings(publication, rows[:1]))
    step(store.write_readings(publication, rows[1:]))
    step(store.write_unscored(publication, {"A-3": "No contract."}))
    step(store.write_onboarding_starts(publication, {"A-1": [{"criterion": "kickoff_booked", "met": None}]}))
    ids = {action.action_id for action in open_now}
    events = [
        event("opened", publication.now, action_id=f"act-{row.account_id}", account_id=row.account_id)
        for row in rows
        if f"act-{row.account_id}" not in ids
    ]
    events += [event("escalated", NOW + timedelta(days=4), escalates_to="vp_cs")] if "act-1" in ids else []
    step(store.publish(publication, events, digests={"package": "1"}))
    step(store.write_verdict(as_of, publication.now, {"verdict": "do nothing"}))


def everything(store):
    """Every row of every table, but how often runs tried and what random values there are."""
    with store._engine.connect() as connection:
        return {
            name: sorted(
                str([value for key, value in row.items() if key != "attempt"])
                for row in connection.execute(sa.select(table)).mappings()
            )
            for name, table in metadata.tables.items()
            if name != "secrets"
        }


def prepare(url):
    """A store with a publication of last week and an open action that falls due to be told."""
    store = Store.open(url)
    publish(store, reading("A-1", "green"), reading("A-2", "green"), events=[event()])
    return store


@pytest.fixture
def undisturbed(kind, new_store_url):
    """What a run leaves that nobody stopped."""
    store = prepare(new_store_url(kind))
    run(store, NOW + WEEK)
    yield everything(store)
    store.close()


@pytest.mark.parametrize("calls", range(9))
def test_a_run_stopped_after_any_call_ends_in_the_same_rows(url, undisturbed, calls):
    """The later run comes with a later clock: the recorded one wins, and nothing is told twice."""
    store = prepare(url)
    with pytest.raises(KilledError):
        run(store, NOW + WEEK, calls=calls)
    served, color = store.answers(["A-1", "A-2"]).bodies, "red" if calls > 6 else "green"
    assert [f'"color":"{color}"'.encode() in body for body in served.values()] == [True, True]
    if calls <= 6:
        # the second run is stopped too, a little later
        with pytest.raises(KilledError):
            run(store, NOW + WEEK + timedelta(hours=1), calls=min(calls + 1, 6))
        run(store, NOW + WEEK + timedelta(hours=2))
        assert everything(store) == undisturbed
    else:
        # published already: a new publication of the same as_of, and not one event more
        run(store, NOW + WEEK + timedelta(hours=2))
        assert everything(store)["ledger"] == undisturbed["ledger"]
        assert everything(store)["actions"] == undisturbed["actions"]
    store.close()


def test_two_overlapping_runs_plan_an_action_once(url):
    """Of one as_of the later run wins; of two, both publish, and the second adds no action twice."""
    store = prepare(url)
    first = store.begin(LATER, NOW, NOW + WEEK)
    second = store.begin(LATER, NOW, NOW + WEEK + timedelta(hours=1))
    planned = [event("opened", NOW + WEEK, action_id="act-x")]
    with pytest.raises(StoreError, match="took it over"):
        store.publish(first, planned)
    assert [each.action_id for each in store.open_actions()] == ["act-1"]

    beside = store.begin(LATER + WEEK, NOW, NOW + 2 * WEEK)
    store.publish(second, planned)
    store.publish(beside, [event("opened", NOW + 2 * WEEK, action_id="act-x", due_at=NOW + 3 * WEEK)])
    assert [each.action_id for each in store.open_actions()] == ["act-1", "act-x"]
    assert store.open_actions()[1].opened_at == NOW
    assert [each["kind"] for each in store.ledger("A-1")] == ["opened", "opened"]
    store.close()


def test_runs_racing_for_one_as_of_leave_one_whole_publication(url):
    """Whatever their interleaving: some are told to stop, and what is served is one run's work."""
    store = prepare(url)
    refused: list[str] = []
    faults: list[BaseException] = []

    def work(number):
        other = Store.open(url)
        try:
            run(other, NOW + WEEK + timedelta(minutes=number))
        except StoreError as error:
            refused.append(str(error))
        except BaseException as fault:  # noqa: BLE001 - told by the test
            faults.append(fault)
        finally:
            other.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert all("took it over" in each or "is published" in each for each in refused)
    assert len(refused) < 4
    assert len(store.answers(["A-1", "A-2"]).bodies) == 2
    opened = [each["action_id"] for each in store.ledger("A-1") if each["kind"] == "opened"]
    assert sorted(opened) == ["act-1", "act-A-1"]
    store.close()


@pytest.mark.parametrize("sort", ["arr_at_risk", "risk", "renewal", "name", "arr"])
@pytest.mark.parametrize("descending", [None, True, False])
def test_a_list_read_page_by_page_stays_one_list_while_others_are_published(store, sort, descending):
    """Each account once, in order, the unknown last, all of the publication the first page came from."""
    rows = [
        replace(
            reading(f"A-{number}", "red"),
            name=None if number % 5 == 0 else f"Zoë {number % 4}",
            arr=None if number % 7 == 0 else float(number % 3),
            arr_at_risk=None if number % 6 == 0 else number / 3,
            risk=None if number % 4 == 0 else number % 2 / 7,
            renewal_on=None if number % 3 == 0 else AS_OF + timedelta(days=number % 5),
        )
        for number in range(23)
    ]
    publish(store, *rows)
    column = {"renewal": "renewal_on", "name": "called"}.get(sort, sort)
    falling = sort in {"arr_at_risk", "risk", "arr"} if descending is None else descending
    known = [row for row in rows if getattr(row, column) is not None]
    # sorting is stable: ties go by id in either direction
    known = sorted(known, key=lambda row: row.account_id)
    expected = [
        row.account_id for row in sorted(known, key=lambda row: getattr(row, column), reverse=falling)
    ]
    expected += sorted(row.account_id for row in rows if getattr(row, column) is None)

    found: list[str] = []
    cursor, first = None, None
    for week in range(1, 20):
        page = store.list_accounts(sort=sort, cursor=cursor, limit=4, descending=descending)
        first = first or page.publication.publication_id
        assert page.publication.publication_id == first
        found += [row.account_id for row in page.rows]
        publish(store, reading("A-new", "green"), as_of=AS_OF + week * WEEK)
        if (cursor := page.next) is None:
            break
    assert found == expected
    assert [row.account_id for row in store.all_accounts(sort=sort)] == ["A-new"]


def test_all_accounts_of_a_list_come_from_one_publication(store, monkeypatch):
    """A download begun before a publication ends in the one it began in."""
    monkeypatch.setattr("lifecycle_ml.store.accounts.STREAMED", 2)
    publish(store, *(reading(f"A-{number}", "red") for number in range(5)))

    download = store.all_accounts(AccountFilters(health=("red",)), "name")
    found = [next(download).account_id]
    publish(store, reading("A-new", "red"), as_of=LATER)
    found += [row.account_id for row in download]
    assert found == [f"A-{number}" for number in range(5)]
