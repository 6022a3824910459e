"""One account's page: why it has its colour, what to do, what is missing, and the buttons of its actions."""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from lifecycle_ml.actions.account_words import ENDINGS, FEELINGS, LATEST_DUE, LONGEST_OVERRIDE
from lifecycle_ml.actions.action import UNFINISHED
from lifecycle_ml.actions.ledger import (
    LONGEST_SNOOZE,
    ActionError,
    Assign,
    Complete,
    Dismiss,
    Snooze,
    Word,
)
from lifecycle_ml.service.api.accounts import read_account, short_reading
from lifecycle_ml.service.api.changes import LONGEST_TEXT
from lifecycle_ml.service.api.keys import may
from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.api.telling import tell
from lifecycle_ml.service.pages import charts, episode, session, words
from lifecycle_ml.service.pages.labels import labels_of
from lifecycle_ml.service.pages.rendering import At, Signed, read_form, render
from lifecycle_ml.store.rows import AccountFilters
from lifecycle_ml.store.schema import naive_utc

if TYPE_CHECKING:
    from lifecycle_ml.service.key_ring import Caller
    from lifecycle_ml.service.serving import Serving
    from lifecycle_ml.store.rows import Listed

SHOWN_DECISIONS = 3
REMEMBERED = 200
"""Past readings looked at: more than half a year of nights."""
SAID = {
    "complete": "Marked as done.",
    "dismiss": "Dismissed. It will not be asked for again in this episode.",
    "snooze": "Snoozed. It comes back on the day chosen.",
    "assign": "Assigned.",
}
TOLD = {
    "override": "Your colour stands beside the model's.",
    "sentiment": "Kept.",
    "outcome": "The outcome is kept with the checkpoint.",
    "decision": "The decision is kept.",
}
FIELDS = {"complete": "note", "dismiss": "reason", "snooze": "until", "assign": "owner"}
"""The one field of each button's form."""
STAGES = ("hand_off", "onboarding", "adoption", "renewal", "growth")

router = APIRouter(include_in_schema=False)


@router.get("/accounts/{account_id:path}")
def account(account_id: str, request: Request, at: At, caller: Signed) -> Response:
    """Show why an account has its colour, what to do, and what is missing to be green."""
    said = request.query_params.get("said", "")
    return show_account(account_id, request, at, caller, said=SAID.get(said), told=TOLD.get(said))


@router.post("/actions/{action_id}/{name}")
async def act(action_id: str, name: str, request: Request, at: At, caller: Signed) -> Response:
    """Do what a button says and lead back to the account; pressed twice, it does nothing twice."""
    form = await read_form(request)
    if name not in SAID:
        raise ProblemError("not-found", "There is no such button.")
    if not session.form_is_ours(request, at, form.get("token", "")):
        raise ProblemError("wrong-role", "The form had expired; go back, load the page again and repeat.")
    if not may(caller.role, "act"):
        raise ProblemError("wrong-role", f"This needs a key of role act; yours has {caller.role}.")
    try:
        text = form.get(FIELDS[name], "")
        # pressed again with the same words it is the same change; with other words it is another
        mark = hashlib.sha256(text.encode()).hexdigest()[:16]
        key = f"{form.get('key', '')[:40]} {name} {mark}" if form.get("key") else ""
        changed = tell(at, caller, action_id, _word(name, text), key)
    except ActionError as error:
        fault = words.sentence(str(error))
        return show_account(form.get("account_id", ""), request, at, caller, fault=fault, status=409)
    return RedirectResponse(
        f"{words.account_path(json.loads(changed)['account_id'])}?said={name}#todo", status_code=303
    )


def _word(name: str, text: str) -> Word:
    """Return what a button and its field mean. Raises: ActionError."""
    if len(text) > LONGEST_TEXT or "\0" in text:
        raise ActionError(f"write at most {LONGEST_TEXT:,} characters, all of them letters.")
    match name:
        case "complete":
            return Complete(text)
        case "dismiss":
            return Dismiss(text)
        case "assign":
            return Assign(text)
    try:
        # a day in the form means its beginning
        return Snooze(datetime.combine(date.fromisoformat(text), datetime.min.time()))
    except ValueError:
        raise ActionError("choose the day the action comes back on.") from None


def show_account(
    account_id: str,
    request: Request,
    at: Serving,
    caller: Caller,
    *,
    said: str | None = None,
    told: str | None = None,
    fault: str | None = None,
    status: int = 200,
) -> Response:
    """Render an account's page, perhaps with what was just said, or why it could not be."""
    document = json.loads(read_account(at, account_id))
    found = at.store.answers([account_id])
    past = [short_reading(each) for each in at.store.history(account_id, REMEMBERED)]
    actions = at.store.actions([account_id])[account_id]
    listed = _listed(at, document)
    spoken = at.store.said(account_id)
    now = naive_utc(at.clock())
    renewal = listed.renewal if listed else None
    if renewal is not None:
        renewal = at.store.renewals_as_told({account_id: renewal})[account_id]
    as_of = date.fromisoformat(document["as_of"])
    return render(
        request,
        "account.html",
        caller=caller,
        status=status,
        name=found.names.get(account_id) or account_id,
        account=document,
        todo=_in_order([action for action in actions if action.status in UNFINISHED]),
        held_out=[action for action in actions if action.status == "held_out"],
        onset=episode.onset(document, past, actions),
        labels=labels_of(request.app.state.workspace),
        waits=episode.waits_for(document, past, request.app.state.workspace),
        events=episode.events(at.store.ledger(account_id), past, spoken),
        decisions=[each for each in spoken if each.kind == "decision"][:SHOWN_DECISIONS],
        say=_choices(now.date()),
        line=charts.line(past[::-1]),
        past=charts.thinned(past[::-1])[::-1],
        may_compare=at.comparer is not None and len(past) > 1,
        renewal=renewal,
        way=charts.way(renewal, as_of) if renewal else None,
        stages=STAGES,
        starts=at.store.onboarding_start(account_id),
        people=at.store.choices()["owner"] if may(caller.role, "act") else [],
        now=now,
        wakes=[now.date() + timedelta(days=days) for days in (1, 7, LONGEST_SNOOZE.days)],
        key=secrets.token_urlsafe(12),
        said=said,
        told=told,
        fault=fault,
    )


def _choices(today: date) -> dict[str, Any]:
    """Return what the forms offer: words to choose from, and the days that may be given."""
    return {
        "feelings": FEELINGS,
        "endings": ENDINGS,
        "first_day": today,
        "usual_until": today + timedelta(days=30),
        "last_until": today + LONGEST_OVERRIDE,
        "usual_due": today + timedelta(days=14),
        "last_due": today + LATEST_DUE,
    }


def _in_order(actions: list[Any]) -> list[Any]:
    """Return what is due first first; what sleeps comes after everything else."""
    return sorted(
        actions,
        key=lambda each: (
            each.status == "snoozed",
            each.due_at is None,
            each.due_at or each.opened_at,
            each.action_id,
        ),
    )


def _listed(at: Serving, document: dict[str, Any]) -> Listed | None:
    """Return an account's own row of the list, which holds its renewal with the checkpoints."""
    renewal_date = document["scorecard"]["renewal_date"]
    if renewal_date is None:
        return None
    day = date.fromisoformat(renewal_date)
    filters = AccountFilters(
        health=(document["health"]["color"],),
        renewal_from=day,
        renewal_before=day + timedelta(days=1),
        text=document["account_id"],
    )
    rows = at.store.all_accounts(filters)
    return next((row for row in rows if row.account_id == document["account_id"]), None)
