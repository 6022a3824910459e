"""Who may ask what: the key of a call, its role (roles contain one another), and its calls a minute."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from fastapi import Request, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import APIKeyHeader

from lifecycle_ml.service.api.problems import ProblemError, refuse_parameters
from lifecycle_ml.service.key_ring import Caller
from lifecycle_ml.service.serving import Serving, request_id, serving_of
from lifecycle_ml.settings import ROLES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HEADER = APIKeyHeader(
    name="X-API-Key", auto_error=False, scheme_name="ApiKey", description="A key of role read, act or admin."
)


def may(role: str, needed: str) -> bool:
    """Whether a role contains another: admin contains act, act contains read."""
    return ROLES.index(role) >= ROLES.index(needed)


def require(role: str) -> Callable[..., Awaitable[Caller]]:
    """Return the dependency that lets only keys of `role` (or a larger one) through."""

    async def check(request: Request, key: Annotated[str | None, Security(HEADER)] = None) -> Caller:
        at = serving_of(request)
        caller = None if key is None else at.keys.caller_at_hand(key)
        if caller is None:
            elsewhere = "authorization" in request.headers
            caller = await run_in_threadpool(_identified, at, key, elsewhere=elsewhere)
        admit(request, at, caller, role)
        refuse_parameters(request)
        return replace(caller, request_id=request_id(request))

    return check


def _identified(at: Serving, key: str | None, *, elsewhere: bool) -> Caller:
    """Return who has this key, asking the store. Raises: ProblemError if nobody has.

    `elsewhere`: something that may be a key came in a header that is not read.
    """
    caller = None if key is None else at.keys.caller(key)
    if caller is not None:
        return caller
    if not at.keys:
        detail = (
            "The service has no keys: make one with `lifecycle keys create`, or set "
            "LIFECYCLE_API_KEYS and restart it."
        )
    elif key is None:
        detail = "The header X-API-Key is missing."
        if elsewhere:
            detail += " Authorization is not read: send the key itself, without a word before it."
    else:
        detail = "The key in X-API-Key is not known."
    raise ProblemError("no-key", detail, headers={"WWW-Authenticate": 'ApiKey realm="lifecycle"'})


def admit(request: Request, at: Serving, caller: Caller, role: str) -> None:
    """Count the call, tell the edge what is left. Raises: ProblemError: role too small, or no call left."""
    if not may(caller.role, role):
        raise ProblemError(
            "wrong-role", f"{request.method} here needs a key of role {role}; this one has {caller.role}."
        )
    if caller.per_minute is None:
        return
    budget = at.budgets.spend(caller.name, caller.per_minute)
    request.scope["state"]["budget"] = budget
    if budget.exceeded:
        raise ProblemError(
            "too-many-requests",
            f"The key {caller.name} may make {budget.limit:,} calls a minute. Wait {budget.resets_in} s.",
            headers={"Retry-After": str(budget.resets_in)},
        )
