"""A person's word about an action or an account, kept once however often it is sent."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.store.document import action_document, dumps, instant_text
from lifecycle_ml.store.events import NoSuchActionError
from lifecycle_ml.store.remembered import Answer, ReusedKeyError
from lifecycle_ml.store.rows import storable
from lifecycle_ml.store.said import NoSuchAccountError
from lifecycle_ml.store.schema import naive_utc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifecycle_ml.actions.account_words import AccountWord, Said
    from lifecycle_ml.actions.action import Action
    from lifecycle_ml.actions.ledger import Word
    from lifecycle_ml.service.key_ring import Caller
    from lifecycle_ml.service.serving import Serving

LONGEST_KEY = 255


def tell(at: Serving, caller: Caller, action_id: str, word: Word, key: str) -> bytes:
    """Tell the ledger a word once and return the action as it stood afterwards, as JSON.

    The same key with the same word gets the same answer for 24 hours, whichever worker it reaches, and is not
    told again. Keys belong to their callers: two may use the same one.

    Raises: ProblemError if the key is missing or came with another word, or no action has this id;
    ActionError if the word cannot be said about this action.
    """
    _require_key(key)
    if not storable(action_id):
        raise ProblemError("action-not-found", "No action has this id.")
    try:
        answer = at.store.tell_once(
            action_id,
            word,
            caller.name,
            naive_utc(at.clock()),
            key=key,
            caller=caller.name,
            request_id=caller.request_id,
            request_digest=hashlib.sha256(repr((action_id, word)).encode()).hexdigest(),
            answer=_answer,
        )
    except NoSuchActionError as error:
        raise ProblemError("action-not-found", "No action has this id.") from error
    except ReusedKeyError as error:
        raise ProblemError("idempotency-key-reused", str(error)) from error
    return answer.body


def say(at: Serving, caller: Caller, account_id: str, word: AccountWord, by: str | None, key: str) -> bytes:
    """Keep what a person says of an account once and return it as it is kept, as JSON.

    `by` is who says it where another system passes it on; default the key's name. Keys as for `tell`.
    Raises: ProblemError as `tell`, or for an account nobody knows; AccountWordError if the word cannot be
    said about this account.
    """
    _require_key(key)
    if not storable(account_id):
        raise ProblemError("account-not-found", "No account has this id.")
    try:
        answer = at.store.say_once(
            account_id,
            word,
            by or caller.name,
            naive_utc(at.clock()),
            key=key,
            caller=caller.name,
            request_id=caller.request_id,
            request_digest=hashlib.sha256(repr((account_id, word, by)).encode()).hexdigest(),
            answer=_kept,
        )
    except NoSuchAccountError as error:
        raise ProblemError("account-not-found", "No account has this id.") from error
    except ReusedKeyError as error:
        raise ProblemError("idempotency-key-reused", str(error)) from error
    return answer.body


def spoken(said: Said) -> dict[str, Any]:
    """Return what a person said of an account as it is shown."""
    return {"at": instant_text(said.at), **said.to_json()}


def queued(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an action as the queue shows it: with its account and what it is expected to keep."""
    return {
        **action_document(row),
        "account_id": row["account_id"],
        "opened_at": instant_text(row["opened_at"]),
        "arr_kept_per_hour": row["arr_kept_per_hour"],
    }


def _require_key(key: str) -> None:
    if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
        raise ProblemError(
            "idempotency-key-missing",
            "Send a header Idempotency-Key, or a body field idempotency_key: a new one for each change, the "
            f"same one when you repeat it, 1 to {LONGEST_KEY} printable characters.",
        )


def _kept(said: Said) -> Answer:
    return Answer(200, dumps({"account_id": said.account_id, **spoken(said)}))


def _answer(action: Action) -> Answer:
    return Answer(200, dumps(queued(asdict(action))))
