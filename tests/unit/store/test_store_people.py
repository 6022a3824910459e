"""A person's word about an action, its answer remembered, and the monitor's verdict."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
from stored_examples import AS_OF, NOW, WEEK, event, publish, reading

from lifecycle_ml.actions.ledger import ActionError, Assign, Complete, Dismiss, Snooze
from lifecycle_ml.store.engine import writing
from lifecycle_ml.store.events import NoSuchActionError
from lifecycle_ml.store.remembered import KEPT, Answer, Request, ReusedKeyError, once
from lifecycle_ml.store.rows import ActionFilters
from lifecycle_ml.store.schema import idempotency
from lifecycle_ml.store.store import Store

HOUR = timedelta(hours=1)
LATER = NOW + HOUR


@pytest.fixture
def worked(store):
    """A store with one open action."""
    publish(store, reading(), events=[event()])
    return store


def kinds(store):
    """What the ledger says happened, in order."""
    return [line["kind"] for line in store.ledger("A-1")]


def test_a_word_changes_the_action_and_stands_in_the_ledger(worked):
    """Who said it, when and why is kept, and the next list shows it."""
    stands = worked.tell("act-1", Assign("Noor"), "Maya", LATER)
    assert (stands.owner, worked.open_actions()) == ("Noor", [stands])

    done = worked.tell("act-1", Complete("agreed a plan"), "Noor", LATER + HOUR)
    assert (done.status, worked.open_actions(), worked.recent_actions(LATER)) == ("done", [], [done])
    last = worked.ledger("A-1")[-1]
    assert (last["by"], last["because"], last["at"]) == ("Noor", "agreed a plan", LATER + HOUR)
    assert (last["publication_id"], last["action"]["status"]) == (None, "done")
    assert kinds(worked) == ["opened", "assigned", "done"]


def test_a_word_that_cannot_be_said_changes_nothing(worked):
    """A finished action, an empty reason, an unknown id: each is said as what it is."""
    with pytest.raises(NoSuchActionError, match="no action has the id act-9"):
        worked.tell("act-9", Complete(), "Maya", LATER)
    with pytest.raises(ActionError, match="reason"):
        worked.tell("act-1", Dismiss(" "), "Maya", LATER)
    worked.tell("act-1", Complete(), "Maya", LATER)
    with pytest.raises(ActionError, match="already done"):
        worked.tell("act-1", Dismiss("no need"), "Maya", LATER)
    assert kinds(worked) == ["opened", "done"]


def test_a_snoozed_action_is_unfinished_and_listed_as_snoozed(worked):
    """It stays with its account, and both lists find it by its status."""
    worked.tell("act-1", Snooze(NOW + WEEK), "Maya", LATER)

    assert [each.snoozed_until for each in worked.open_actions()] == [NOW + WEEK]
    assert len(worked.list_actions(ActionFilters(status=("snoozed",))).rows) == 1
    assert worked.answers(["A-1"]).actions["A-1"][0]["status"] == "snoozed"


def test_people_may_assign_and_snooze_as_often_as_they_like(worked):
    """Even twice in one instant; only opening and ending happen once."""
    for owner in ("Noor", "Zoë", "Noor"):
        worked.tell("act-1", Assign(owner), "Maya", LATER)
    worked.tell("act-1", Snooze(LATER + HOUR), "Maya", LATER)
    worked.tell("act-1", Snooze(LATER + 2 * HOUR), "Maya", LATER)

    assert kinds(worked) == ["opened", *["assigned"] * 3, *["snoozed"] * 2]


def test_a_word_spoken_during_a_run_outlives_it(worked):
    """The run planned an escalation of an open action; meanwhile it was done, or given away."""
    publish(worked, as_of=AS_OF, events=[event(action_id="act-2")])
    run = worked.begin(AS_OF + WEEK, NOW, NOW + WEEK)
    planned = [
        event("escalated", NOW + WEEK, action_id=each, escalates_to="vp_cs") for each in ("act-1", "act-2")
    ]
    worked.tell("act-1", Complete(), "Maya", LATER)
    assigned = worked.tell("act-2", Assign("Noor"), "Maya", LATER)

    assert worked.publish(run, planned)
    assert worked.open_actions() == [assigned]
    assert kinds(worked) == ["opened", "opened", "done", "assigned"]
    again = worked.begin(AS_OF + WEEK, NOW, NOW + WEEK + HOUR)
    worked.publish(again, [event("escalated", NOW + WEEK, action_id="act-2", owner="Noor")])
    assert kinds(worked)[-1] == "escalated"


def test_two_people_at_once_finish_an_action_once(worked, url):
    """One is told what the other did."""
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def work(number):
        other = Store.open(url)
        start.wait()
        try:
            word = Complete() if number % 2 else Dismiss("no need")
            outcomes.append(other.tell("act-1", word, f"person {number}", LATER).status)
        except ActionError:
            outcomes.append("refused")
        other.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(outcomes), outcomes.count("refused")) == (8, 7)
    assert len(kinds(worked)) == 2


def told_once(store, key="k", digest="d", at=LATER, caller="crm"):
    """Complete the action under an idempotency key."""
    return store.tell_once(
        "act-1",
        Complete(),
        "Maya",
        at,
        key=key,
        caller=caller,
        request_digest=digest,
        answer=lambda action: Answer(200, f"{action.status} at {at}".encode()),
    )


def test_a_repeated_request_gets_the_same_answer_and_does_nothing(worked):
    """Across restarts too: the answer is in the store."""
    first = told_once(worked)

    assert told_once(worked, at=LATER + HOUR) == first
    assert kinds(worked) == ["opened", "done"]
    with pytest.raises(ReusedKeyError, match="another request"):
        told_once(worked, digest="other")
    for _ in range(2):  # what was refused is not kept as an answer
        with pytest.raises(ActionError, match="already done"):
            told_once(worked, key="another")
    with pytest.raises(ActionError, match="already done"):
        told_once(worked, caller="someone else")


def test_word_and_answer_are_kept_together_or_not_at_all(worked):
    """Killed between the two, a retry must not find the action done and no answer."""

    def fail(_action):
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        worked.tell_once(
            "act-1", Complete(), "Maya", LATER, key="k", caller="crm", request_digest="d", answer=fail
        )
    assert kinds(worked) == ["opened"]
    assert told_once(worked).status == 200


def test_an_answer_is_kept_for_a_day(store):
    """Then its key may name another request, and the row is gone at the next write."""

    def asked(body, at, key="k\ud800", digest="d"):
        with writing(store._engine) as connection:
            return once(connection, Request(key, "crm", digest), at, lambda: Answer(201, body)).body

    assert asked(b"one", NOW) == b"one"
    assert asked(b"two", NOW + KEPT - HOUR) == b"one"
    with pytest.raises(ReusedKeyError, match="another request"):
        asked(b"two", NOW + KEPT - HOUR, digest="other")

    asked(b"", NOW + KEPT, key="another")
    with store._engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(idempotency)).scalar() == 1
    assert asked(b"new", NOW + KEPT, digest="other") == b"new"


def test_the_verdict_of_the_newest_as_of_is_the_latest(store):
    """A run repeated says it again, and an older as_of does not overrule a newer one."""
    assert store.verdict() is None
    store.write_verdict(AS_OF, NOW, {"verdict": "retrain"})
    store.write_verdict(AS_OF - WEEK, NOW + WEEK, {"verdict": "fix feed"})
    store.write_verdict(AS_OF, LATER, {"verdict": "do nothing", "evidence": ["ü"]})

    assert store.verdict() == {"verdict": "do nothing", "evidence": ["ü"]}
