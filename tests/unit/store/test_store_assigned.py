"""Who was offered and who was held out, as the store keeps it; and the queue for other systems."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import timedelta

import pytest
from stored_examples import AS_OF, NOW, event, publish, reading

from lifecycle_ml.actions.action import Assignment
from lifecycle_ml.actions.ledger import Complete, Dismiss
from lifecycle_ml.store.export import QUEUE_COLUMNS, csv_lines, queue_rows

HOUR = timedelta(hours=1)


def assigned(arm="offered", account_id="A-1", playbook="red.unknown"):
    """An assignment of the run at NOW."""
    return Assignment(account_id, playbook, "playbook", AS_OF, NOW, arm, 0.2, None, 0.4, 12_000.0)


def offered(action_id="act-1", **changes):
    """The first event of an offer."""
    return replace(event(action_id=action_id, **changes), assignment=assigned())


def left_alone():
    """The event of a hold-out of another account."""
    fields = {"step": "hold-out", "status": "held_out", "due_at": None, "escalates_at": None}
    fields |= {"hours": 0.0, "arr_kept_per_hour": None}
    told = event("held_out", action_id="act-9", account_id="A-2", **fields)
    return replace(told, assignment=assigned("held_out", "A-2"))


def test_an_assignment_is_kept_with_what_became_of_it(store):
    """Not done, then done: with the time; a hold-out is what it is."""
    publish(store, reading(), reading("A-2"), events=[offered(), event(action_id="act-2"), left_alone()])
    assert [(each.assignment, each.became, each.done_at) for each in store.assignments()] == [
        (assigned(), "not_done", None),
        (assigned("held_out", "A-2"), "held_out", None),
    ]

    store.tell("act-1", Dismiss("no need"), "Maya", NOW + HOUR)
    assert store.assignments()[0].became == "dismissed"
    store.tell("act-2", Complete(), "Maya", NOW + 2 * HOUR)
    first = store.assignments()[0]
    assert (first.became, first.done_at) == ("done", NOW + 2 * HOUR)


def test_what_was_decided_first_stays(store):
    """A run repeated, or a later one that would decide otherwise, adds nothing."""
    publish(store, reading(), events=[offered()])
    again = replace(event(action_id="act-5"), assignment=replace(assigned(), share=0.4))
    publish(store, reading(), events=[offered(), again], now=NOW + HOUR)

    assert [each.assignment for each in store.assignments()] == [assigned()]


def test_a_held_out_action_is_live_but_nothing_to_do(store):
    """It stands with its account, is planned with, and is neither next nor late nor finished."""
    publish(store, reading(), reading("A-2"), events=[left_alone()])

    assert [action.status for action in store.open_actions()] == ["held_out"]
    assert store.recent_actions(NOW) == []
    assert [row["status"] for row in store.answers(["A-2"]).actions["A-2"]] == ["held_out"]


def test_a_hold_out_can_be_ended_by_a_run_or_a_person(store):
    """The run's event is written, and the assignment stays what it was."""
    publish(store, reading("A-2"), events=[left_alone()])
    closed = event(
        "closed", NOW + HOUR, action_id="act-9", account_id="A-2", step="hold-out", status="closed"
    )
    publish(store, reading("A-2"), events=[closed], now=NOW + HOUR)

    assert store.open_actions() == []
    assert [each.became for each in store.assignments()] == ["held_out"]


def test_the_queue_comes_whole_and_flat(store):
    """All that has not ended, in its order, instants in UTC."""
    events = [event(action_id=f"act-{at}", arr_kept_per_hour=float(at)) for at in range(3)]
    publish(store, reading(), reading("A-2"), events=[*events, left_alone()])
    store.tell("act-1", Complete(), "Maya", NOW + HOUR)
    rows = list(queue_rows(store))

    assert [row["action_id"] for row in rows] == ["act-2", "act-0", "act-9"]
    assert tuple(rows[0]) == QUEUE_COLUMNS
    assert rows[0]["opened_at"] == "2026-06-30T02:00:00Z"
    assert (rows[2]["status"], rows[2]["due_at"]) == ("held_out", None)


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", " =", "\t"])
def test_no_cell_of_the_queue_runs_in_a_spreadsheet(store, begins):
    """What a customer could have written is text, and comes back whole."""
    title = f'{begins}HYPERLINK("//x","y"), and a comma'
    publish(store, reading(), events=[event(title=title)])
    text = "".join(csv_lines(QUEUE_COLUMNS, queue_rows(store)))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))

    assert row["title"] == "'" + title
    assert row["arr_kept_per_hour"] == "10.0"
