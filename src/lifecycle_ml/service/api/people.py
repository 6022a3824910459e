"""What people say of an account: a colour of their own, how it feels, what a review came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from lifecycle_ml.actions.account_words import AccountWordError, Decision, Outcome, Override, Sentiment
from lifecycle_ml.service.api.actions import Actor, At, Key, key_of
from lifecycle_ml.service.api.answers import json_response, responses, with_call
from lifecycle_ml.service.api.changes import (
    DecisionChange,
    KeptWord,
    OutcomeChange,
    OverrideChange,
    SentimentChange,
)
from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.api.telling import say

if TYPE_CHECKING:
    from lifecycle_ml.actions.account_words import AccountWord
    from lifecycle_ml.service.api.changes import AccountChange
    from lifecycle_ml.service.key_ring import Caller
    from lifecycle_ml.service.serving import Serving

router = APIRouter(prefix="/v1", tags=["accounts"])
CHANGES = responses(
    KeptWord,
    "idempotency-key-missing",
    "account-not-found",
    "account-conflict",
    "body-too-large",
    "request-timeout",
    "idempotency-key-reused",
)


@router.post("/accounts/{account_id:path}/override", operation_id="overrideAccountColour", responses=CHANGES)
def override(
    account_id: str, change: OverrideChange, request: Request, at: At, caller: Actor, key: Key = None
) -> Response:
    """Set a colour of your own until a day; it stands beside the model's and changes no score or action."""
    word = Override(change.color, change.reason, change.until)
    return _kept(request, at, caller, account_id, word, change, key)


@router.post("/accounts/{account_id:path}/sentiment", operation_id="sayAccountSentiment", responses=CHANGES)
def sentiment(
    account_id: str, change: SentimentChange, request: Request, at: At, caller: Actor, key: Key = None
) -> Response:
    """Say how the account feels; the last word stands."""
    return _kept(request, at, caller, account_id, Sentiment(change.value, change.note), change, key)


@router.post("/accounts/{account_id:path}/outcome", operation_id="sayCheckpointOutcome", responses=CHANGES)
def outcome(
    account_id: str, change: OutcomeChange, request: Request, at: At, caller: Actor, key: Key = None
) -> Response:
    """Say what a checkpoint of the renewal ahead came to: renew, contract, expand or leave."""
    word = Outcome(change.outcome, change.checkpoint, change.note)
    return _kept(request, at, caller, account_id, word, change, key)


@router.post("/accounts/{account_id:path}/decision", operation_id="sayReviewDecision", responses=CHANGES)
def decision(
    account_id: str, change: DecisionChange, request: Request, at: At, caller: Actor, key: Key = None
) -> Response:
    """Keep what a review decided, who decided it, what happens next and by when."""
    word = Decision(change.decision, change.decided_by, change.next_step, change.due)
    return _kept(request, at, caller, account_id, word, change, key)


def _kept(
    request: Request,
    at: Serving,
    caller: Caller,
    account_id: str,
    word: AccountWord,
    change: AccountChange,
    key: str | None,
) -> Response:
    try:
        kept = say(at, caller, account_id, word, change.by, key_of(key, change))
    except AccountWordError as error:
        raise ProblemError("account-conflict", str(error)) from error
    return json_response(with_call(kept, request))
