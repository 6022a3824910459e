"""The service: an app for machines under /v1 and pages for people, over one open store."""

from __future__ import annotations

import difflib
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError

from lifecycle_ml.errors import StoreError
from lifecycle_ml.service.api import (
    accounts,
    actions,
    calendar,
    movement,
    operators,
    people,
    revenue,
    score,
    scoreboard,
    what_if,
)
from lifecycle_ml.service.api.problems import (
    MEDIA_TYPE,
    ProblemError,
    how_many,
    problem_response,
    validation_errors,
)
from lifecycle_ml.service.bundles import BundleCheck
from lifecycle_ml.service.edge import Edge, Gzip
from lifecycle_ml.service.key_ring import KeyRing
from lifecycle_ml.service.pages import routes as pages
from lifecycle_ml.service.serving import Serving, about_call
from lifecycle_ml.store.cursor import CursorError
from lifecycle_ml.store.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from lifecycle_ml.service.serving import Comparer, Refresher, WhatIfer
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.workspace import Workspace

SAYS = """Scores, reasons and the actions they call for. Every answer names its as_of and a receipt.

Send a key in the header `X-API-Key`. Errors are RFC 9457 problem documents; their `type` is an address here
that says what to do. Lists go on with `next`. The request id is in the answer and in `X-Request-ID`.
"""


def utc_now() -> datetime:
    """Read the clock: the edge of the service is where that is allowed."""
    return datetime.now(UTC)


def create_app(
    settings: Settings,
    workspace: Workspace,
    *,
    refresher: Refresher | None = None,
    comparer: Comparer | None = None,
    what_ifs: WhatIfer | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> FastAPI:
    """Make the service. The store is opened when it starts and closed when it ends.

    `refresher` computes scored accounts from the source for `refresh: true`; without one that is refused.
    `comparer` says from the source why a risk moved, `what_ifs` what it would be with other features; without
    one that is refused too.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store = Store.open(settings.store_url)
        app.state.serving = Serving(
            store=store,
            keys=KeyRing(settings.api_keys, store.keys(), clock),
            bundles=BundleCheck(settings.bundles),
            clock=clock,
            secret=store.secret("pages"),
            refresher=refresher,
            comparer=comparer,
            what_if=what_ifs,
        )
        try:
            yield
        finally:
            store.close()

    app = FastAPI(
        title="lifecycle_ml",
        description=SAYS,
        version=version("lifecycle_ml"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.workspace = workspace
    for router in (
        score.router,
        what_if.router,
        movement.router,  # before the accounts: an account's id may hold slashes
        accounts.router,
        calendar.router,
        scoreboard.router,
        actions.router,
        people.router,
        revenue.router,
        operators.models_router,
    ):
        app.include_router(router)
    app.include_router(operators.router)
    pages.install(app)
    _install_problems(app)
    app.add_middleware(Gzip, compresslevel=5)
    app.add_middleware(Edge, broken=_broken)
    _document_problems(app)
    return app


def _answer(
    request: Request, kind: str, detail: str, *, extra: Mapping[str, Any] | None = None, **more: Any
) -> Response:
    if pages.is_page(request):
        return pages.problem_page(request, kind, detail)
    call = about_call(request)
    return problem_response(
        kind, detail, call["request_id"], extra={"budget": call["budget"], **(extra or {})}, **more
    )


def _nearest(request: Request) -> str:
    """Return a question after the nearest address of the API, empty where none is near."""
    known = request.app.openapi()["paths"]
    near = difflib.get_close_matches(request.url.path[:100].lower().rstrip("/"), known, n=1, cutoff=0.8)
    return f" Did you mean {near[0]}?" if near else ""


def _broken(request: Request) -> Response:
    return _answer(request, "internal-error", "A fault of ours; the log has it under the request id.")


def _install_problems(app: FastAPI) -> None:
    @app.exception_handler(ProblemError)
    def problem(request: Request, error: ProblemError) -> Response:
        return _answer(
            request, error.kind, error.detail, errors=error.errors, headers=error.headers, extra=error.extra
        )

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        faults = error.errors()
        return _answer(request, "invalid-request", how_many(len(faults)), errors=validation_errors(faults))

    @app.exception_handler(400)
    def unreadable(request: Request, _error: HTTPException) -> Response:
        errors = [{"detail": "The body could not be read as JSON.", "pointer": ""}]
        return _answer(request, "invalid-request", how_many(len(errors)), errors=errors)

    @app.exception_handler(404)
    def not_found(request: Request, _error: HTTPException) -> Response:
        return _answer(request, "not-found", f"There is nothing at this address.{_nearest(request)}")

    @app.exception_handler(405)
    def not_allowed(request: Request, error: HTTPException) -> Response:
        allowed = (error.headers or {}).get("Allow", "")
        detail = f"This address does not answer {request.method}; it answers {allowed}."
        return _answer(request, "method-not-allowed", detail, headers=error.headers)

    @app.exception_handler(CursorError)
    def bad_cursor(request: Request, error: CursorError) -> Response:
        return _answer(request, "invalid-cursor", str(error))

    @app.exception_handler(StoreError)
    def store_down(request: Request, _error: StoreError) -> Response:
        return _answer(request, "store-unavailable", "The store does not answer; try again shortly.")


def _document_problems(app: FastAPI) -> None:
    """Say in the schema what is true: problems have a media type of their own."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = plain()
            for path in schema["paths"].values():
                for operation in path.values():
                    for status, response in operation["responses"].items():
                        content = response.get("content", {})
                        if int(status) >= 400 and "application/json" in content:
                            content[MEDIA_TYPE] = content.pop("application/json")
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
