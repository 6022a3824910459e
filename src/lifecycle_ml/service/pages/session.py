"""Signing in to the pages: a key is shown once, then a signed cookie stands for it.

The cookie names the key by a hash of its hash, says until when, and is signed with the store's secret and the
key's hash together: it holds no key, ends with the key, and is good for every worker on the same store.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime
from typing import TYPE_CHECKING

from lifecycle_ml.store.schema import naive_utc

if TYPE_CHECKING:
    from fastapi import Request, Response

    from lifecycle_ml.service.key_ring import Caller
    from lifecycle_ml.service.serving import Serving

SESSION = "lifecycle_session"
FORM = "lifecycle_form"
SECONDS = 12 * 3600


def signed_in(request: Request, at: Serving) -> Caller | None:
    """Return who is signed in, or None."""
    name, _, rest = request.cookies.get(SESSION, "").partition(".")
    until, _, signature = rest.partition(".")
    caller = at.keys.marked(name)
    if caller is None or not until.isascii() or not until.isdigit() or len(until) > 12:
        return None
    right = _sign(at.secret + caller.digest, f"session.{name}.{until}")
    if not _same(right, signature) or int(until) <= _seconds(at.clock()):
        return None
    return caller


def sign_in(response: Response, request: Request, at: Serving, caller: Caller) -> None:
    """Set the session cookie."""
    until = _seconds(at.clock()) + SECONDS
    signature = _sign(at.secret + caller.digest, f"session.{caller.mark}.{until}")
    _set(response, request, SESSION, f"{caller.mark}.{until}.{signature}", SECONDS)


def sign_out(response: Response) -> None:
    """Forget the session cookie."""
    response.delete_cookie(SESSION, path="/", httponly=True, samesite="strict")


def form_token(request: Request, at: Serving) -> tuple[str, str | None]:
    """Return the token a form must carry, and the new value of the cookie it hangs on where there is none."""
    anchor = request.cookies.get(SESSION) or request.cookies.get(FORM)
    fresh = None if anchor else secrets.token_urlsafe(24)
    return _sign(at.secret, f"form.{anchor or fresh}"), fresh


def set_form_cookie(response: Response, request: Request, fresh: str | None) -> None:
    """Keep the value a form's token hangs on, if it was made for this form."""
    if fresh is not None:
        _set(response, request, FORM, fresh, SECONDS)


def form_is_ours(request: Request, at: Serving, token: str) -> bool:
    """Whether a posted token belongs to this browser: no other site can know it."""
    anchor = request.cookies.get(SESSION) or request.cookies.get(FORM)
    return anchor is not None and _same(_sign(at.secret, f"form.{anchor}"), token)


def local_path(target: str) -> str:
    """Return `target` if it is a path on this service, else the start page: no sign-in leads elsewhere."""
    plain = target.isprintable() and target.isascii()
    if not plain or not target.startswith("/") or target.startswith("//") or "\\" in target:
        return "/"
    return target


def _set(response: Response, request: Request, name: str, value: str, seconds: int) -> None:
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def _sign(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def _same(right: str, given: str) -> bool:
    return hmac.compare_digest(right.encode(), given.encode("utf-8", "surrogateescape"))


def _seconds(moment: datetime) -> int:
    return int((naive_utc(moment) - datetime(1970, 1, 1)).total_seconds())
