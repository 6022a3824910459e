"""Publications, readings, actions and ledger."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, date, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from stored_examples import AS_OF, NOW, WEEK, document, event, publish, reading

from lifecycle_ml.errors import ConfigError, StoreError
from lifecycle_ml.store.rows import AccountFilters
from lifecycle_ml.store.schema import ledger, publications, readings, unscored
from lifecycle_ml.store.store import Store


def count(store, table):
    """How many rows a table has."""
    with store._engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()


def test_an_empty_store_answers_that_it_is_empty(store):
    """Nothing published is not an error."""
    assert store.current() is None
    assert store.publications() == []
    assert store.reading("A-1") is None
    assert store.states(before=AS_OF) == {}
    assert store.list_accounts().rows == []
    assert store.mix() == {}


def test_nothing_of_a_publication_is_seen_before_it_is_published(store):
    """Readers see one publication or the next."""
    publish(store, reading("A-1", "green"))
    following = store.begin(as_of=AS_OF + WEEK, known_at=NOW, now=NOW + WEEK)
    store.write_readings(following, [reading("A-1", "red"), reading("A-2", "red")])

    assert b'"color":"green"' in store.reading("A-1")
    assert store.readings(["A-1", "A-2"], AS_OF + WEEK) == {}
    assert store.states(before=AS_OF + 2 * WEEK)["A-1"].as_of == AS_OF
    assert [past.publication.as_of for past in store.history("A-1")] == [AS_OF]

    store.publish(following)
    assert b'"color":"red"' in store.reading("A-1")
    assert store.current().accounts == 2


def test_bytes_come_back_as_they_were_written(store):
    """A reading is immutable bytes."""
    written = reading()
    publish(store, written)

    assert store.reading("A-1") == written.body


def test_a_killed_run_is_gone_on_with_under_its_id_and_its_now(store):
    """The recorded now wins, nothing of the first attempt is left, and the first can write no more."""
    killed = store.begin(AS_OF, NOW, NOW, digests={"package": "1"})
    store.write_readings(killed, [reading("A-1"), reading("A-2")])
    store.write_unscored(killed, {"A-9": "No contract."})

    again = store.begin(AS_OF, NOW, NOW + timedelta(hours=5), digests={"package": "2"})
    assert (again.publication_id, again.now, again.digests) == (killed.publication_id, NOW, {"package": "2"})
    assert (count(store, readings), count(store, unscored)) == (0, 0)
    for write in (
        lambda: store.write_readings(killed, [reading("A-3")]),
        lambda: store.write_unscored(killed, {"A-3": "No contract."}),
        lambda: store.publish(killed),
    ):
        with pytest.raises(StoreError, match="a later run for the same as_of took it over"):
            write()
    store.write_readings(again, [reading("A-1")])
    assert store.publish(again)
    assert (store.current().published_at, store.current().accounts) == (NOW, 1)
    assert store.begin(AS_OF, NOW, NOW + WEEK).now == NOW + WEEK


def test_a_killed_run_of_another_kind_is_discarded(store):
    """A replay of an as_of and the nightly run of the same as_of have each their own clock."""
    killed = store.begin(AS_OF, NOW, NOW, "history")

    nightly = store.begin(AS_OF, NOW, NOW + WEEK)
    assert (nightly.now, nightly.kind) == (NOW + WEEK, "nightly")
    assert nightly.publication_id != killed.publication_id
    assert count(store, publications) == 1


def test_a_published_publication_cannot_change(store):
    """Neither more readings nor a second publishing."""
    done = store.begin(AS_OF, NOW, NOW)
    store.publish(done)

    with pytest.raises(StoreError, match="is published and cannot change"):
        store.write_readings(done, [reading("A-2")])
    with pytest.raises(StoreError, match="is published and cannot change"):
        store.publish(done)


def test_an_account_comes_once_per_publication(store):
    """The same account twice is a fault of the run, said as one."""
    publication = store.begin(as_of=AS_OF, known_at=NOW, now=NOW)

    with pytest.raises(StoreError, match=r"IntegrityError|UniqueViolation"):
        store.write_readings(publication, [reading("A-1"), reading("A-1")])


def test_an_error_of_the_database_does_not_say_what_was_written(store):
    """Neither our error, which a log or a screen shows, nor SQLAlchemy's behind it holds an account."""
    publication = store.begin(as_of=AS_OF, known_at=NOW, now=NOW)

    with pytest.raises(StoreError) as raised:
        store.write_readings(publication, [reading("SECRET-ACCOUNT"), reading("SECRET-ACCOUNT")])
    assert isinstance(raised.value.__cause__, IntegrityError)
    assert "SECRET-ACCOUNT" not in str(raised.value)
    assert raised.value.__cause__.hide_parameters
    assert "parameters hidden" in str(raised.value.__cause__)


def test_publishing_fails_as_a_whole(store):
    """If one event cannot be written, pointer, actions and ledger stay as they were."""
    before = publish(store, reading("A-1", "green"))
    publication = store.begin(as_of=AS_OF + WEEK, known_at=NOW, now=NOW + WEEK)
    store.write_readings(publication, [reading("A-1", "red")])

    with pytest.raises(StoreError, match=r"(?i)not.?null"):
        store.publish(publication, [event(), event(action_id="act-2", title=None)])
    assert store.current().publication_id == before
    assert store.open_actions() == []
    assert count(store, ledger) == 0
    store.publish(publication, [event()])
    assert len(store.open_actions()) == 1


def test_history_is_published_without_moving_the_pointer(store):
    """Replayed weeks have states and readings, but nobody is served from them."""
    publish(store, reading("A-1", "green", state="then"), as_of=AS_OF - WEEK, kind="history", current=False)

    assert store.current() is None
    assert [each.kind for each in store.publications()] == ["history"]
    then = store.states(before=AS_OF)["A-1"]
    assert (then.as_of, then.state) == (AS_OF - WEEK, "then")
    assert b'"color":"green"' in store.reading("A-1", AS_OF - WEEK)


def test_states_are_each_accounts_own_last_reading_of_an_earlier_as_of(store):
    """Running a day again does not read that day's own states, and a gap in one account hides nothing."""
    publish(store, reading(state="old"), reading("A-2", state="lapsed"), as_of=AS_OF - 2 * WEEK)
    for weeks, state in ((1, "first"), (1, "second"), (0, "own")):
        publish(store, reading(state=state), as_of=AS_OF - weeks * WEEK)

    found = store.states(before=AS_OF)
    assert {account: (each.as_of, each.state) for account, each in found.items()} == {
        "A-1": (AS_OF - WEEK, "second"),
        "A-2": (AS_OF - 2 * WEEK, "lapsed"),
    }
    assert found["A-1"].receipt == document()["receipt"]
    assert set(store.states(before=AS_OF, since=AS_OF - WEEK)) == {"A-1"}
    assert set(store.states(before=AS_OF, since=AS_OF - 2 * WEEK)) == {"A-1", "A-2"}
    assert store.states(before=AS_OF - 2 * WEEK) == {}


def test_publications_are_found_by_as_of_and_kind(store):
    """What was replayed already is found, so that it is not replayed again."""
    publish(store, as_of=AS_OF - WEEK, kind="history", current=False)
    publish(store)

    assert [each.as_of for each in store.publications()] == [AS_OF, AS_OF - WEEK]
    assert [each.as_of for each in store.publications("history")] == [AS_OF - WEEK]
    assert store.published(AS_OF - WEEK, "history").kind == "history"
    assert store.published(AS_OF - WEEK, "nightly") is None
    assert store.published(AS_OF).kind == "nightly"


def test_a_run_overtaken_by_a_newer_as_of_does_not_turn_readers_back(store):
    """It is kept as history, and its events, planned without knowing the newer ones, are dropped."""
    slow = store.begin(AS_OF, NOW, NOW)
    store.write_readings(slow, [reading("A-1", "green")])
    publish(store, reading("A-1", "red"), as_of=AS_OF + WEEK)

    assert store.publish(slow, [event()], digests={"package": "1"}) is False
    assert b'"color":"red"' in store.reading("A-1")
    assert store.open_actions() == []
    kept = store.published(AS_OF)
    assert (kept.kind, kept.digests) == ("history", {"package": "1"})


def test_events_make_actions_and_a_ledger(store):
    """The actions table is how things stand, the ledger how they came to be."""
    publish(store, reading(), events=[event()])
    later = NOW + WEEK
    escalated = event("escalated", later, escalates_to="vp_cs", escalates_at=later + WEEK)
    publish(store, reading(), as_of=AS_OF + WEEK, now=later, events=[escalated])
    assert [each.escalates_to for each in store.open_actions()] == ["vp_cs"]

    ended = later + WEEK
    closed = event("closed", ended, status="closed", escalates_at=None)
    publish(store, reading(), as_of=AS_OF + 2 * WEEK, now=ended, events=[closed])
    assert store.open_actions() == []
    assert [each.action_id for each in store.recent_actions(ended)] == ["act-1"]
    assert store.recent_actions(ended + timedelta(seconds=1)) == []
    assert store.actions(["A-1", "A-2"]) == {"A-1": [closed.action], "A-2": []}
    told = store.ledger("A-1")
    assert [each["kind"] for each in told] == ["opened", "escalated", "closed"]
    assert told[0]["action"]["due_at"] == "2026-07-02T02:00:00Z"
    assert told[0]["because"] == "because"


def test_an_event_told_twice_is_one(store):
    """A run repeated after a crash repeats nothing, and does not undo what came after."""
    publish(store, reading(), events=[event(), event()])
    publish(store, reading(), as_of=AS_OF + WEEK, events=[event("closed", NOW + WEEK, status="closed")])
    publish(store, reading(), as_of=AS_OF + 2 * WEEK, events=[event()])

    assert store.open_actions() == []
    assert count(store, ledger) == 2


def test_instants_are_stored_in_utc_whatever_zone_they_came_in(store):
    """An aware instant and its naive UTC twin are the same instant."""
    east = timezone(timedelta(hours=2))
    publish(store, reading(), now=NOW.replace(tzinfo=UTC).astimezone(east))

    assert store.current().now == NOW


def test_actions_come_back_equal(store):
    """What was planned is what the next plan sees, every field."""
    planned = event(owner="Zoë", why="ü 株", due_at=NOW + timedelta(days=1, seconds=3))
    publish(store, reading(), events=[planned])

    assert store.open_actions() == [planned.action]


def test_answers_tell_unknown_from_unscored(store):
    """An account in no publication is unknown; one that is elsewhere, or noted, is not."""
    publish(store, reading("A-old"), as_of=AS_OF - WEEK, current=False)
    publication = store.begin(as_of=AS_OF, known_at=NOW, now=NOW)
    store.write_readings(publication, [reading("A-1")])
    store.write_unscored(publication, {"A-lapsed": "No contract."})
    store.publish(publication, [event()])

    found = store.answers(["A-1", "A-old", "A-lapsed", "nobody"])
    assert set(found.bodies) == {"A-1"}
    assert set(found.actions) == {"A-1"}
    assert found.unscored == {
        "A-old": "No reading for this as_of; its last one is as of 2026-06-23.",
        "A-lapsed": "No contract.",
    }
    assert store.answers(["A-lapsed"], AS_OF - WEEK).unscored == {"A-lapsed": "No reading for this as_of."}


def test_more_ids_than_one_statement_takes_are_answered(store):
    """Questions are asked in parts."""
    publish(store, *(reading(f"A-{number}") for number in range(1_201)))

    assert len(store.readings([f"A-{number}" for number in range(1_300)])) == 1_201


def test_the_mix_counts_accounts_and_money_by_colour(store):
    """Missing money adds nothing."""
    poor = replace(reading("A-3", "red"), arr=None, arr_at_risk=None)
    publish(store, reading("A-1", "red"), reading("A-2", "green"), poor)

    mix = store.mix()
    assert (mix["red"].accounts, mix["red"].arr, mix["red"].arr_at_risk) == (2, 120_000.0, 49_200.0)
    assert mix["green"].accounts == 1


def test_a_reading_takes_its_columns_from_its_document():
    """Lists and documents cannot disagree."""
    made = reading()

    assert (made.health, made.band, made.segment) == ("red", "high", "mid_market")
    assert (made.arr, made.arr_at_risk, made.owner) == (120_000.0, 49_200.0, "Maya Lindqvist")
    assert (made.reason, made.renewal_on) == ("low_adoption_after_onboarding", date(2026, 11, 30))
    without = document()
    without["reasons"] = []
    assert type(made).of(without, state="", risk=None).reason == "unknown"


def test_readers_never_see_a_mixture_while_publications_arrive(store, url):
    """Pointer, readings and actions of one answer belong together."""
    ids = [f"A-{number}" for number in range(20)]
    colors = ("green", "red")
    publish(store, *(reading(each, "green") for each in ids))
    torn: list[str] = []
    ended = threading.Event()

    def read():
        other = Store.open(url)
        while not ended.is_set():
            answers = other.answers(ids)
            seen = {body.split(b'"color":"')[1][:3] for body in answers.bodies.values()}
            open_now = bool(answers.actions)
            if len(seen) != 1 or len(answers.bodies) != 20 or open_now != (seen == {b"red"}):
                torn.append(f"{seen} {len(answers.bodies)} {open_now}")
        other.close()

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for step in range(1, 13):
            color = colors[step % 2]
            at = NOW + step * WEEK
            its_own = {"action_id": f"act-{(step + 1) // 2}"}
            told = (
                event("opened", at, **its_own)
                if color == "red"
                else event("closed", at, status="closed", **its_own)
            )
            rows = [reading(each, color) for each in ids]
            publish(store, *rows, as_of=AS_OF + step * WEEK, now=at, events=[told])
    finally:
        ended.set()
    for reader in readers:
        reader.join()
    assert torn == []


@pytest.mark.slow
def test_a_killed_writer_leaves_the_last_publication_served(store, url, tmp_path):
    """SIGKILL in the middle of writing: nothing is torn, and the next begin starts clean."""
    publish(store, reading("A-1", "green"))
    script = tmp_path / "writer.py"
    script.write_text(
        """
import sys, datetime
sys.path.insert(0, sys.argv[2])
from stored_examples import AS_OF, NOW, WEEK, reading
from lifecycle_ml.store.store import Store
store = Store.open(sys.argv[1])
publication = store.begin(as_of=AS_OF + WEEK, known_at=NOW, now=NOW + WEEK)
def endless():
    number = 0
    while True:
        number += 1
        if number == 2_500:
            print("writing", flush=True)
        yield reading(f"B-{number}")
store.write_readings(publication, endless())
"""
    )
    folder = str(__import__("pathlib").Path(__file__).parent)
    with subprocess.Popen([sys.executable, str(script), url, folder], stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"writing\n"
        writer.kill()

    assert store.current().as_of == AS_OF
    assert store.begin(AS_OF + WEEK, NOW, NOW + 2 * WEEK).now == NOW + WEEK
    assert publish(store, reading("A-1", "red"), as_of=AS_OF + WEEK)
    assert count(store, readings) == 2
    assert count(store, publications) == 2


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "nonsense",
        "oracle+what://x",
        "sqlite:///file:x?mode=memory&uri=true",
    ],
)
def test_an_address_that_cannot_be_a_store_is_a_users_mistake(url):
    """The message names the setting and shows a right one."""
    with pytest.raises(ConfigError, match=r"LIFECYCLE_STORE_URL: .*sqlite:///path/to/file\.db"):
        Store.open(url)


def test_a_database_that_is_none_is_a_store_error(tmp_path):
    """A file that is something else is not written over."""
    (tmp_path / "letter.txt").write_text("Dear customer, " * 100)

    with pytest.raises(StoreError, match="file is not a database"):
        Store.open(f"sqlite:///{tmp_path}/letter.txt")


def test_a_store_is_opened_while_another_one_writes(store, url):
    """A service that starts during a nightly run does not wait for it."""
    with store._writing():
        started = time.perf_counter()
        Store.open(url).close()
        assert time.perf_counter() - started < 5


def test_a_large_book_is_written_in_batches_and_listed_at_once(store):
    """Twenty thousand readings take seconds to write, and one page of them well under one to read."""
    body = reading().body
    rows = (replace(reading_of, account_id=f"A-{at}") for at, reading_of in enumerate([reading()] * 20_000))
    started = time.perf_counter()
    publish(store, *rows)
    assert time.perf_counter() - started < 20

    started = time.perf_counter()
    page = store.list_accounts(AccountFilters(health=("red",)), limit=200)
    assert len(page.rows) == 200
    assert page.rows[0].body == body
    assert time.perf_counter() - started < 2
