"""One scored account as bytes: written once without its live parts, joined with them on every read.

Live are the actions and what a person said: `actions`, `scorecard.next_action`,
`scorecard.escalation_status`, `health.override`, `health.sentiment`. In the stored bytes each stands there
empty, in one known spelling, so that reading needs no parsing: the live text takes its place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lifecycle_ml.actions.action import LIVE, is_review
from lifecycle_ml.errors import StoreError
from lifecycle_ml.store.schema import naive_utc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEYS = (
    "account_id",
    "as_of",
    "scored_at",
    "stage",
    "churn",
    "expansion",
    "health",
    "reasons",
    "in_favour",
    "triggers",
    "actions",
    "scorecard",
    "model",
    "receipt",
)
"""The keys of one scored account, in the order they are written. All are always present."""

# A quoted key followed by a colon cannot occur inside a JSON string, where quotes are escaped; so each of
# these byte runs can only be the key itself.
_EMPTY = (
    b'"actions":[]',
    b'"next_action":null',
    b'"escalation_status":null',
    b'"override":null',
    b'"sentiment":null',
)

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_NULL = b"null"


@dataclass(frozen=True)
class Live:
    """What is joined on read. `actions` are rows of the actions table, as mappings."""

    now: datetime
    actions: Sequence[Mapping[str, Any]] = ()
    override: Mapping[str, Any] | None = None
    sentiment: Mapping[str, Any] | None = None


def encode(document: Mapping[str, Any]) -> bytes:
    """Write a scored account as the bytes a reading keeps, live parts emptied.

    Raises: ValueError for a missing or unknown key, NaN or infinity: such a document would break its reader.
    """
    if set(document) != set(KEYS):
        wrong = sorted(set(document) ^ set(KEYS))
        raise ValueError(f"a scored account has the keys {', '.join(KEYS)}; missing or unknown: {wrong}")
    emptied = {key: document[key] for key in KEYS}
    emptied["actions"] = []
    emptied["scorecard"] = {**document["scorecard"], "next_action": None, "escalation_status": None}
    emptied["health"] = {**document["health"], "override": None, "sentiment": None}
    return dumps(emptied)


def join_live(body: Mapping[str, Any] | bytes, live: Live) -> dict[str, Any]:
    """Return the whole scored account: the stored one with its live parts in place."""
    stored = body if isinstance(body, bytes) else encode(body)
    joined: dict[str, Any] = json.loads(splice_live(stored, live))
    return joined


def splice_live(body: bytes, live: Live) -> bytes:
    """Return the bytes of the whole scored account, without parsing the stored ones.

    Raises: StoreError if the stored bytes are not a scored account.
    """
    actions = sorted(
        (action for action in live.actions if action["status"] in LIVE),
        key=lambda action: (
            action["due_at"] is None,
            action["due_at"] or action["opened_at"],
            action["action_id"],
        ),
    )
    awake = _awake(actions, live.now)
    parts = (
        dumps([action_document(action) for action in actions]),
        dumps(awake[0]["title"] if awake else _watched(actions)),
        dumps(escalation_status(actions, live.now)),
        dumps(live.override),
        dumps(live.sentiment),
    )
    if any(body.count(empty) != 1 for empty in _EMPTY):
        body = _rewrite(body)
    for empty, part in zip(_EMPTY, parts, strict=True):
        body = body.replace(empty, empty[: empty.index(b":") + 1] + part, 1)
    return body


def action_document(action: Mapping[str, Any]) -> dict[str, Any]:
    """Return one action as a scored account shows it."""
    return {
        "action_id": action["action_id"],
        "playbook": action["playbook"],
        "title": action["title"],
        "owner_role": action["owner_role"],
        "owner": action["owner"],
        "due_at": instant_text(action["due_at"]),
        "why": action["why"],
        "escalates_to": action["escalates_to"],
        "escalates_at": instant_text(action["escalates_at"]),
        "status": action["status"],
    }


def escalation_status(actions: Sequence[Mapping[str, Any]], now: datetime) -> str:
    """Return the worst of `escalated`, `overdue`, `on_track`; `none` where nothing is to be done.

    A snoozed action falls due for nobody before it wakes.
    """
    at, awake = naive_utc(now), _awake(actions, now)
    # once told, an action waits for its next level; between falling due and the next run it is told too
    due = [action["escalates_at"] for action in awake if action["escalates_at"] is not None]
    if any(action["escalated"] for action in awake) or any(moment <= at for moment in due):
        return "escalated"
    if any(action["due_at"] is not None and action["due_at"] < at for action in awake):
        return "overdue"
    return "on_track" if any(action["status"] != "held_out" for action in actions) else "none"


def _awake(actions: Sequence[Mapping[str, Any]], now: datetime) -> list[Mapping[str, Any]]:
    """Leave out what is held out, or asleep: between its waking time and the next run it is back."""
    at = naive_utc(now)
    return [
        action
        for action in actions
        if action["status"] != "held_out"
        and (action["status"] != "snoozed" or (action["snoozed_until"] or at) <= at)
    ]


def _watched(actions: Sequence[Mapping[str, Any]]) -> str | None:
    """Say until when the account waits for the evidence, and who decides then; None where it does not."""
    asleep = (
        action
        for action in actions
        if action["status"] == "snoozed" and is_review(action.get("kind", ""), action.get("step", ""))
    )
    review = next(asleep, None)
    if review is None:
        return None
    role = review["owner_role"].replace("_", " ")
    owner = role if review["owner"] is None else f"{review['owner']} ({role})"
    return f"Waiting for the evidence until {review['snoozed_until']:%Y-%m-%d}, owner {owner}"


def instant_text(moment: datetime | None) -> str | None:
    """Return an instant as the API writes it: UTC, whole seconds, ending in Z."""
    return None if moment is None else f"{naive_utc(moment):%Y-%m-%dT%H:%M:%S}Z"


def dumps(value: Any) -> bytes:
    """Write compact JSON; NaN and infinity are no JSON and raise ValueError."""
    return _NULL if value is None else _ENCODER.encode(value).encode()


def _rewrite(body: bytes) -> bytes:
    """Bring bytes someone else wrote into the one known spelling."""
    try:
        return encode(json.loads(body))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StoreError(f"a stored reading is not a scored account: {error}") from error
