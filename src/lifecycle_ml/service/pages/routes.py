"""The pages put together: signing in, the API's reference, and the addresses problems point to."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from lifecycle_ml.service.api.problems import KINDS, ProblemError
from lifecycle_ml.service.pages import account, effects, movement, people, portfolio, revenue, review, session
from lifecycle_ml.service.pages.reference import operations
from lifecycle_ml.service.pages.rendering import HERE, At, SignInNeededError, read_form, render
from lifecycle_ml.service.serving import Serving

router = APIRouter(include_in_schema=False)


def install(app: FastAPI) -> None:
    """Add the pages to the service."""
    for each in (portfolio, effects, revenue, review, movement, people, account):
        app.include_router(each.router)
    app.include_router(router)

    @app.exception_handler(SignInNeededError)
    def to_sign_in(request: Request, _error: SignInNeededError) -> Response:
        # what was posted is gone by the time somebody has signed in, so a form leads back to the list
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        target = asked if request.method == "GET" else "/accounts"
        return RedirectResponse("/sign-in?next=" + quote(target, safe=""), status_code=303)


def is_page(request: Request) -> bool:
    """Whether an answer goes to a person: one of our pages, or anything else a browser asks for."""
    path = request.url.path
    if path.startswith("/v1/"):
        return False
    ours = path in {"/", "/accounts", "/accounts.csv", "/revenue", "/sign-in", "/sign-out", "/docs"}
    return (
        ours
        or path.startswith(("/accounts/", "/actions/", "/problems/", "/review"))
        or "text/html" in request.headers.get("accept", "")
    )


def problem_page(request: Request, kind: str, detail: str) -> Response:
    """Say a problem to a person."""
    what = KINDS[kind]
    return render(
        request,
        "problem.html",
        status=what.status,
        kind=kind,
        title=what.title,
        detail=detail,
        remedy=what.remedy,
    )


@router.get("/sign-in")
def sign_in_form(request: Request, at: At) -> Response:
    """Ask for a key."""
    return _sign_in_page(request, at, session.local_path(request.query_params.get("next", "/")))


@router.post("/sign-in")
async def sign_in(request: Request, at: At) -> Response:
    """Take a key and leave a session for it."""
    form = await read_form(request)
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
    form = await read_form(request)
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
    return render(request, "problem.html", kind=kind, title=what.title, detail="", remedy=what.remedy)


@router.get("/docs")
def docs(request: Request) -> Response:
    """Show the reference of the API, made from its OpenAPI document."""
    schema = request.app.openapi()
    return render(request, "docs.html", info=schema["info"], operations=operations(schema))


@router.get("/static/style.css")
def style() -> Response:
    """Serve the one style sheet."""
    return FileResponse(
        HERE / "static" / "style.css", media_type="text/css", headers={"Cache-Control": "max-age=86400"}
    )


def _sign_in_page(
    request: Request, at: Serving, target: str, fault: str | None = None, status: int = 200
) -> Response:
    return render(request, "sign_in.html", status=status, target=target, fault=fault, no_keys=not at.keys)
