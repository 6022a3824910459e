"""What `lifecycle actions` says of the hours nobody has."""

import json
from contextlib import closing
from datetime import date, datetime, timedelta

import pytest

from lifecycle_ml.actions.action import Action, ActionEvent
from lifecycle_ml.actions.next_hour import NextHour
from lifecycle_ml.cli.queue import MOST, show_next_hours
from lifecycle_ml.cli.readings import actions
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.store import Store

NOW = datetime(2026, 6, 30, 2)


def _event(action_id, owner, status, worth):
    action = Action(
        action_id=action_id,
        account_id="A-1",
        playbook="champion_left_red",
        step=action_id,
        title="Call the champion's successor",
        owner_role="csm",
        owner=owner,
        opened_at=NOW,
        due_at=NOW + timedelta(days=2),
        why="it is red",
        escalates_to="cs_lead",
        escalates_at=NOW + timedelta(days=4),
        status=status,
        arr_kept_per_hour=worth,
        hours=2.0,
    )
    return ActionEvent("opened", NOW, action, "because")


@pytest.fixture
def settings(tmp_path):
    """A published queue: one action open, two over capacity with the lead."""
    settings = Settings.read(tmp_path, {})
    with closing(Store.open(settings.store_url)) as store:
        publication = store.begin(date(2026, 6, 30), NOW, NOW)
        events = [
            _event("a", "Dana", "open", 900.0),
            _event("b", "Lee", "over_capacity", 400.0),
            _event("c", "Lee", "over_capacity", 1_250.0),
        ]
        store.publish(publication, events)
    return settings


def test_the_queue_ends_with_what_one_more_hour_would_bring(settings, capsys):
    """In words for people, and beside the actions for machines."""
    actions(settings, None, as_json=False)
    said = capsys.readouterr().out
    actions(settings, None, as_json=True)
    document = json.loads(capsys.readouterr().out)

    assert "what one more hour would bring" in said
    assert "1,250" in said
    assert [each["action_id"] for each in document["actions"]] == ["c", "a", "b"]
    assert document["next_hour"] == [
        {"owner_role": "csm", "owner": None, "lead": "Lee", "actions": 2, "hours": 4.0, "arr_kept": 1250.0}
    ]


def test_one_owners_queue_says_what_concerns_that_owner(settings, capsys):
    """The lead has the work; somebody with time to spare sees nothing of it."""
    actions(settings, "Lee", as_json=True)
    assert len(json.loads(capsys.readouterr().out)["next_hour"]) == 1
    actions(settings, "Dana", as_json=False)
    assert "one more hour" not in capsys.readouterr().out


def test_a_long_list_says_how_many_are_left_out(capsys):
    """And where to find them."""
    lines = [NextHour("csm", f"P{at}", "Lee", 1, 1.0, 10.0 * at) for at in range(MOST + 3)]
    show_next_hours(lines)
    assert "3 more; `lifecycle actions --json` has them all." in capsys.readouterr().out
