"""The pages: a list of accounts, one page for each, signing in, and the addresses problems point to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qs, quote, urlencode

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lifecycle_ml.service.api.accounts import read_account, short_reading
from lifecycle_ml.service.api.keys import Caller
from lifecycle_ml.service.api.problems import KINDS, ProblemError
from lifecycle_ml.service.pages import session, words
from lifecycle_ml.service.pages.reference import operations
from lifecycle_ml.service.serving import Serving, serving
from lifecycle_ml.store.document import Live, join_live
from lifecycle_ml.store.rows import AccountFilters

if TYPE_CHECKING:
    from lifecycle_ml.store.rows import Listed, Page

HERE = Path(__file__).parent
PER_PAGE = 100
REMEMBERED = 26
"""Past readings drawn on an account's page: half a year of weeks."""

_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters.update(words.FILTERS)
_templates.globals["COLORS"] = words.COLORS

router = APIRouter(include_in_schema=False)
At = Annotated[Serving, Depends(serving)]


class SignInNeededError(Exception):
    """Raised by a page nobody is signed in to see."""


def _caller(request: Request, at: At) -> Caller:
    caller = session.signed_in(request, at)
    if caller is None:
        raise SignInNeededError
    return caller


Signed = Annotated[Caller, Depends(_caller)]


def install(app: FastAPI) -> None:
    """Add the pages to the service."""
    app.include_router(router)

    @app.exception_handler(SignInNeededError)
    def to_sign_in(request: Request, _error: SignInNeededError) -> Response:
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse("/sign-in?next=" + quote(asked, safe=""), status_code=303)


def is_page(request: Request) -> bool:
    """Whether an answer goes to a person: one of our pages, or anything else a browser asks for."""
    path = request.url.path
    if path.startswith("/v1/"):
        return False
    ours = path in {"/", "/accounts", "/sign-in", "/sign-out", "/docs"}
    return (
        ours
        or path.startswith(("/accounts/", "/problems/"))
        or "text/html" in request.headers.get("accept", "")
    )


def problem_page(request: Request, kind: str, detail: str) -> Response:
    """Say a problem to a person."""
    what = KINDS[kind]
    page = _render(request, "problem.html", kind=kind, title=what.title, detail=detail, remedy=what.remedy)
    page.status_code = what.status
    return page


@router.get("/")
@router.get("/accounts")
def accounts(request: Request, at: At, caller: Signed) -> Response:
    """Show the accounts, most ARR at risk first; `health` in the address filters."""
    asked = request.query_params
    chosen = asked.get("health") if asked.get("health") in words.COLORS else None
    filters = AccountFilters(health=(chosen,) if chosen else ())
    page = at.store.list_accounts(filters, "arr_at_risk", asked.get("cursor"), PER_PAGE)
    following = {key: value for key, value in (("health", chosen), ("cursor", page.next)) if value}
    return _render(
        request,
        "accounts.html",
        caller=caller,
        publication=page.publication,
        rows=[_row(row, page, at) for row in page.rows],
        mix=at.store.mix(),
        chosen=chosen,
        more="/accounts?" + urlencode(following) if page.next else None,
        continued="cursor" in asked,
    )


@router.get("/accounts/{account_id:path}")
def account(account_id: str, request: Request, at: At, caller: Signed) -> Response:
    """Show why an account has its colour, what to do, and what is missing to be green."""
    document = json.loads(read_account(at, account_id))
    names = at.store.answers([account_id]).names
    past = [short_reading(each) for each in at.store.history(account_id, REMEMBERED)]
    return _render(
        request,
        "account.html",
        caller=caller,
        name=names.get(account_id) or account_id,
        account=document,
        past=past[::-1],
        now=at.clock(),
    )


@router.get("/sign-in")
def sign_in_form(request: Request, at: At) -> Response:
    """Ask for a key."""
    return _sign_in_page(request, at, session.local_path(request.query_params.get("next", "/")))


@router.post("/sign-in")
async def sign_in(request: Request, at: At) -> Response:
    """Take a key and leave a session for it."""
    form = await _form(request)
    target = session.local_path(form.get("next", "/"))
    if not session.form_is_ours(request, at, form.get("token", "")):
        return _sign_in_page(request, at, target, "The form had expired. Please try again.", 403)
    caller = at.keys.caller(form.get("key", ""))
    if caller is None:
        return _sign_in_page(request, at, target, "This key is not known.", 401)
    response = RedirectResponse(target, status_code=303)
    session.sign_in(response, request, at, caller)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, at: At) -> Response:
    """End the session."""
    form = await _form(request)
    if not session.form_is_ours(request, at, form.get("token", "")):
        raise ProblemError("wrong-role", "The form had expired; go back and try again.")
    response = RedirectResponse("/sign-in", status_code=303)
    session.sign_out(response)
    return response


@router.get("/problems/{kind}")
def problem(kind: str, request: Request) -> Response:
    """Say what a kind of problem is and what to do about it."""
    if kind not in KINDS:
        raise ProblemError("not-found", "There is no such kind of problem.")
    what = KINDS[kind]
    return _render(request, "problem.html", kind=kind, title=what.title, detail="", remedy=what.remedy)


@router.get("/docs")
def docs(request: Request) -> Response:
    """Show the reference of the API, made from its OpenAPI document."""
    schema = request.app.openapi()
    return _render(request, "docs.html", info=schema["info"], operations=operations(schema))


@router.get("/static/style.css")
def style() -> Response:
    """Serve the one style sheet."""
    return FileResponse(
        HERE / "static" / "style.css", media_type="text/css", headers={"Cache-Control": "max-age=300"}
    )


def _row(row: Listed, page: Page, at: Serving) -> dict[str, Any]:
    document = join_live(row.body, Live(at.clock(), page.actions.get(row.account_id, ())))
    reasons, actions = document["reasons"], document["actions"]
    return {
        "account_id": row.account_id,
        "name": row.name or row.account_id,
        "segment": row.segment,
        "health": row.health,
        "since": document["health"]["since"],
        "arr": row.arr,
        "arr_at_risk": row.arr_at_risk,
        "reason": reasons[0]["label"] if reasons and row.health != "green" else None,
        "owner": row.owner,
        "action": actions[0] if actions else None,
        "escalation": document["scorecard"]["escalation_status"],
    }


def _sign_in_page(
    request: Request, at: Serving, target: str, fault: str | None = None, status: int = 200
) -> Response:
    page = _render(request, "sign_in.html", target=target, fault=fault, no_keys=not at.keys)
    page.status_code = status
    return page


def _render(request: Request, template: str, *, caller: Caller | None = None, **values: Any) -> HTMLResponse:
    at: Serving = serving(request)
    token, fresh = session.form_token(request, at)
    html = _templates.get_template(template).render(caller=caller, token=token, **values)
    response = HTMLResponse(html)
    session.set_form_cookie(response, request, fresh)
    return response


async def _form(request: Request) -> dict[str, str]:
    """Read a small posted form; the standard library's parser is enough for it."""
    body = (await request.body()).decode("utf-8", "replace")
    try:
        fields = parse_qs(body, max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}
