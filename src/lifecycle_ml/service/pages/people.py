"""What people say of an account on its page: the forms, and what a form that was sent means."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import TYPE_CHECKING, cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from lifecycle_ml.actions.account_words import (
    KINDS,
    AccountWordError,
    Decision,
    Outcome,
    Override,
    Sentiment,
)
from lifecycle_ml.service.api.changes import LONGEST_TEXT
from lifecycle_ml.service.api.keys import may
from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.api.telling import say
from lifecycle_ml.service.pages import session, words
from lifecycle_ml.service.pages.account import show_account
from lifecycle_ml.service.pages.rendering import At, Signed, read_form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifecycle_ml.actions.account_words import AccountWord, Ending, Feeling
    from lifecycle_ml.health.state import Color

router = APIRouter(include_in_schema=False)


@router.post("/accounts/{account_id:path}/say/{kind}")
async def say_it(account_id: str, kind: str, request: Request, at: At, caller: Signed) -> Response:
    """Keep what a form says and lead back to the account; sent twice, it is said once."""
    form = await read_form(request)
    if kind not in KINDS:
        raise ProblemError("not-found", "There is no such form.")
    if not session.form_is_ours(request, at, form.get("token", "")):
        raise ProblemError("wrong-role", "The form had expired; go back, load the page again and repeat.")
    if not may(caller.role, "act"):
        raise ProblemError("wrong-role", f"This needs a key of role act; yours has {caller.role}.")
    try:
        word, by = word_of(kind, form), form.get("by", "").strip() or None
        # sent again with the same words it is the same; with other words it is another
        mark = hashlib.sha256(repr((word, by)).encode()).hexdigest()[:16]
        key = f"{form.get('key', '')[:40]} {kind} {mark}" if form.get("key") else ""
        say(at, caller, account_id, word, by, key)
    except AccountWordError as error:
        return show_account(account_id, request, at, caller, fault=words.sentence(str(error)), status=409)
    return RedirectResponse(f"{words.account_path(account_id)}?said={kind}#people", status_code=303)


def word_of(kind: str, form: Mapping[str, str]) -> AccountWord:
    """Return what a form means. Raises: AccountWordError."""
    if any(len(text) > LONGEST_TEXT or "\0" in text for text in form.values()):
        raise AccountWordError(f"write at most {LONGEST_TEXT:,} characters, all of them letters.")
    match kind:
        case "override":
            chosen = form.get("color", "")
            color = None if chosen == "none" else cast("Color", chosen)
            return Override(color, form.get("reason", ""), None if color is None else _day(form, "until"))
        case "sentiment":
            return Sentiment(cast("Feeling", form.get("value", "")), form.get("note", ""))
        case "outcome":
            return Outcome(cast("Ending", form.get("outcome", "")), note=form.get("note", ""))
    return Decision(
        form.get("decision", ""), form.get("decided_by", ""), form.get("next_step", ""), _day(form, "due")
    )


def _day(form: Mapping[str, str], name: str) -> date:
    try:
        return date.fromisoformat(form.get(name, ""))
    except ValueError:
        raise AccountWordError("choose a day.") from None
