"""What is served, and whether all is well: /v1/models, /healthz, /readyz, /metrics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse

from lifecycle_ml.errors import StoreError
from lifecycle_ml.service.api.answers import json_bytes, responses, tagged_response
from lifecycle_ml.service.api.keys import require
from lifecycle_ml.service.api.models import ModelsAnswer, Monitoring
from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.gauges import read_gauges
from lifecycle_ml.service.key_ring import Caller
from lifecycle_ml.service.serving import Serving, request_id, serving
from lifecycle_ml.store.document import instant_text

if TYPE_CHECKING:
    from lifecycle_ml.store.rows import Publication

models_router = APIRouter(prefix="/v1", tags=["models"])
router = APIRouter(tags=["operators"])


@models_router.get(
    "/models", operation_id="getModels", responses=responses(ModelsAnswer, "nothing-published", tagged=True)
)
def get_models(
    request: Request,
    at: Annotated[Serving, Depends(serving)],
    _caller: Annotated[Caller, Depends(require("read"))],
) -> Response:
    """Return what the current publication was made with."""
    publication = at.store.publication()
    if publication is None:
        raise ProblemError("nothing-published", "There is no publication, so no model is served.")
    return tagged_response(
        request,
        json_bytes(
            {
                **_publication(publication),
                "accounts": publication.accounts,
                "models": served_models(at),
                "digests": publication.digests,
            }
        ),
    )


@models_router.get(
    "/monitoring", operation_id="getMonitoring", responses=responses(Monitoring, "no-verdict", tagged=True)
)
def get_monitoring(
    request: Request,
    at: Annotated[Serving, Depends(serving)],
    _caller: Annotated[Caller, Depends(require("read"))],
) -> Response:
    """Return the latest verdict: whether data, scores and performance call for anything."""
    verdict = at.store.verdict()
    if verdict is None:
        raise ProblemError("no-verdict", "No verdict has been written to this store yet.")
    return tagged_response(request, json_bytes(verdict))


@router.get("/healthz", operation_id="getHealth")
def healthz(request: Request) -> dict[str, str]:
    """Say that the process answers. No key."""
    return {"status": "ok", "request_id": request_id(request)}


@router.get("/readyz", operation_id="getReadiness", responses=responses(None, "not-ready"))
def readyz(request: Request, at: Annotated[Serving, Depends(serving)]) -> dict[str, Any]:
    """Say whether answers can be given: the store, the publication, its bundles. No key.

    A promoted champion that is broken is told too, but the previous one goes on serving, so this stays ready.
    """
    checks: dict[str, Any] = {"store": "ok", "publication": None, "bundles": [], "champions": []}
    try:
        publication = at.store.publication()
        if publication is not None:
            checks["publication"] = _publication(publication)
            checks["bundles"] = [
                _checked(at, model["recipe"], model["digest"]) for model in served_models(at)
            ]
    except StoreError as error:
        raise ProblemError(
            "not-ready", "The store does not answer.", extra={"checks": {**checks, "store": str(error)}}
        ) from error
    checks["champions"] = [
        {**_checked(at, recipe, digest), "next": at.bundles.next_to_serve(recipe)}
        for recipe, digest in at.bundles.champions()
    ]
    faults = [each["fault"] for each in checks["bundles"] if each["fault"]]
    if publication is None:
        faults.append("nothing is published yet.")
    if faults:
        raise ProblemError("not-ready", " ".join(faults), extra={"checks": checks})
    return {"status": "ready", "checks": checks, "request_id": request_id(request)}


@router.get("/metrics", operation_id="getMetrics", response_class=PlainTextResponse)
def metrics(at: Annotated[Serving, Depends(serving)]) -> str:
    """Return requests and latencies, what is served and how old it is, for Prometheus. No key."""
    return at.metrics.render(read_gauges(at))


def served_models(at: Serving) -> list[dict[str, Any]]:
    """Return the models of the current publication, as its readings name them."""
    rows = at.store.list_accounts(limit=1).rows
    if not rows:
        return []
    document = json.loads(rows[0].body)
    return [
        {**model, "recipe": recipe, "source": document[recipe]["source"], "tier": document[recipe]["tier"]}
        for recipe, model in document["model"].items()
        if model is not None
    ]


def _publication(publication: Publication) -> dict[str, Any]:
    return {
        "publication_id": publication.publication_id,
        "as_of": str(publication.as_of),
        "scored_at": instant_text(publication.now),
    }


def _checked(at: Serving, recipe: str, digest: str | None) -> dict[str, Any]:
    fault = at.bundles.fault(digest) if digest else None
    return {"recipe": recipe, "digest": digest, "fault": fault}
