"""Small readings and events to put into a store."""

from __future__ import annotations

import copy
from datetime import date, datetime, timedelta

from lifecycle_ml.actions.action import Action, ActionEvent
from lifecycle_ml.service.api import examples
from lifecycle_ml.store.rows import StoredReading

AS_OF = date(2026, 6, 30)
NOW = datetime(2026, 6, 30, 2)
WEEK = timedelta(days=7)


def document(account_id="A-1", color="red"):
    """The documented example under another id and colour."""
    made = copy.deepcopy(examples.ACCOUNT)
    made["account_id"] = account_id
    made["health"]["color"] = color
    return made


def reading(account_id="A-1", color="red", state="{}"):
    """A reading of that document."""
    return StoredReading.of(document(account_id, color), state=state, risk=0.4, name=f"Name of {account_id}")


def event(kind="opened", at=NOW, **changes):
    """An event about one action."""
    fields = {
        "action_id": "act-1",
        "account_id": "A-1",
        "playbook": "red.unknown",
        "step": "call",
        "title": "Call",
        "owner_role": "csm",
        "owner": None,
        "opened_at": NOW,
        "due_at": NOW + timedelta(days=2),
        "why": "it is red",
        "escalates_to": "cs_lead",
        "escalates_at": NOW + timedelta(days=4),
        "status": "open",
        "arr_kept_per_hour": 10.0,
    }
    return ActionEvent(kind, at, Action(**(fields | changes)), "because")


def publish(store, *readings, as_of=AS_OF, now=NOW, events=(), **more):
    """Begin, write and publish in one go; return the publication's id."""
    publication = store.begin(as_of=as_of, known_at=now, now=now, kind=more.pop("kind", "nightly"))
    store.write_readings(publication, readings)
    store.publish(publication, events, **more)
    return publication.publication_id
