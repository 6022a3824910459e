"""What every page is made with: the templates, who is signed in, and small posted forms."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lifecycle_ml.service.api.keys import may
from lifecycle_ml.service.key_ring import Caller
from lifecycle_ml.service.pages import session, words
from lifecycle_ml.service.serving import Serving, request_id, serving, serving_of

HERE = Path(__file__).parent

templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.filters.update(words.FILTERS)
templates.globals["COLORS"] = words.COLORS
templates.globals["narrowing"] = words.narrowing
# a style sheet that changed has another address, so browsers may keep the one they have
templates.globals["style_mark"] = hashlib.sha256((HERE / "static" / "style.css").read_bytes()).hexdigest()[
    :12
]

At = Annotated[Serving, Depends(serving)]


class SignInNeededError(Exception):
    """Raised by a page nobody is signed in to see."""


def _caller(request: Request, at: At) -> Caller:
    caller = session.signed_in(request, at)
    if caller is None:
        raise SignInNeededError
    return replace(caller, request_id=request_id(request))


Signed = Annotated[Caller, Depends(_caller)]


def render(
    request: Request, template: str, *, caller: Caller | None = None, status: int = 200, **values: Any
) -> HTMLResponse:
    """Fill a template; every page knows who is signed in, whether they may act, and its forms' token."""
    at: Serving = serving_of(request)
    token, fresh = session.form_token(request, at)
    may_act = caller is not None and may(caller.role, "act")
    html = templates.get_template(template).render(caller=caller, may_act=may_act, token=token, **values)
    response = HTMLResponse(html, status_code=status)
    session.set_form_cookie(response, request, fresh)
    return response


async def read_form(request: Request) -> dict[str, str]:
    """Read a small posted form; the standard library's parser is enough for it."""
    body = (await request.body()).decode("utf-8", "replace")
    try:
        fields = parse_qs(body, max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}
