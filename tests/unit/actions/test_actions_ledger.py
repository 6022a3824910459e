"""What people may do with an action, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lifecycle_ml.actions.ledger import ActionError, Assign, Complete, Dismiss, Snooze, apply_word
from open_action import open_action

NOW = datetime.fromisoformat("2026-06-01T09:00")
ACTION = open_action(NOW)


def test_completing_ends_the_action_with_its_note():
    """Done work no longer escalates, and the ledger knows who did it and what came of it."""
    event = apply_word(ACTION, Complete(" Kim takes over "), "dana@example.com", NOW)

    assert (event.kind, event.at, event.by, event.because) == (
        "done",
        NOW,
        "dana@example.com",
        "Kim takes over",
    )
    assert event.action == replace(ACTION, status="done", escalates_at=None)


def test_dismissing_needs_a_reason():
    """Work that will not be done is worth a sentence."""
    event = apply_word(ACTION, Dismiss("the successor called us"), "dana", NOW)

    assert (event.kind, event.action.status, event.because) == (
        "dismissed",
        "dismissed",
        "the successor called us",
    )
    with pytest.raises(ActionError, match="act_1 cannot be dismissed without a reason"):
        apply_word(ACTION, Dismiss("  "), "dana", NOW)


@pytest.mark.parametrize("days", [0, -1, 91])
def test_snoozing_wakes_within_ninety_days(days):
    """Nobody puts work off to the past, or for good."""
    with pytest.raises(ActionError, match="choose a time after 2026-06-01 09:00 and not after 2026-08-30"):
        apply_word(ACTION, Snooze(NOW + timedelta(days=days)), "dana", NOW)


@pytest.mark.parametrize("until", [NOW + timedelta(days=7), (NOW + timedelta(days=7)).replace(tzinfo=UTC)])
def test_snoozing_keeps_the_due_date(until):
    """A nap moves no promise; zoned instants are understood too."""
    event = apply_word(ACTION, Snooze(until), "dana", NOW)

    assert event.kind == "snoozed"
    assert event.action == replace(ACTION, status="snoozed", snoozed_until=NOW + timedelta(days=7))


def test_assigning_names_old_and_new_owner():
    """The ledger says whose it was."""
    event = apply_word(ACTION, Assign("Kim"), "dana", NOW)

    assert (event.kind, event.action.owner, event.because) == ("assigned", "Kim", "from Dana to Kim")
    with pytest.raises(ActionError, match="cannot be given to nobody"):
        apply_word(ACTION, Assign(""), "dana", NOW)


def test_work_somebody_takes_over_is_no_longer_over_capacity():
    """Whoever takes it has the time."""
    over = replace(ACTION, status="over_capacity", beyond_capacity=True)
    event = apply_word(over, Assign("Kim"), "lead", NOW)

    assert (event.action.status, event.action.beyond_capacity) == ("open", False)
    assert apply_word(over, Snooze(NOW + timedelta(days=1)), "lead", NOW).action.beyond_capacity


@pytest.mark.parametrize("word", [Complete(), Dismiss("no"), Snooze(NOW + timedelta(days=1)), Assign("Kim")])
@pytest.mark.parametrize("status", ["done", "dismissed", "closed"])
def test_a_finished_action_stays_finished(word, status):
    """History is not rewritten."""
    with pytest.raises(ActionError, match=f"act_1 is already {status}"):
        apply_word(replace(ACTION, status=status), word, "dana", NOW)


def test_a_sleeping_action_can_be_completed():
    """Somebody did it in the meantime: it wakes no more."""
    asleep = apply_word(ACTION, Snooze(NOW + timedelta(days=7)), "dana", NOW).action

    done = apply_word(asleep, Complete(), "dana", NOW + timedelta(days=1)).action

    assert (done.status, done.snoozed_until) == ("done", None)
