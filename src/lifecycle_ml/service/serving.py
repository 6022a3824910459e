"""What every route needs at hand, put together once when the service starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, cast

from fastapi import Request

from lifecycle_ml.service.budget import Budget, Budgets
from lifecycle_ml.service.metrics import Metrics

if TYPE_CHECKING:
    from lifecycle_ml.service.bundles import BundleCheck
    from lifecycle_ml.service.key_ring import KeyRing
    from lifecycle_ml.store.between import Pair
    from lifecycle_ml.store.rows import Publication
    from lifecycle_ml.store.store import Store
    from lifecycle_ml.what_if import FeatureChange

Refresher = Callable[[list[str], date | None], Mapping[str, Mapping[str, Any]]]
"""Computes scored accounts from the source: (account ids, as_of) to documents by account id."""
Comparer = Callable[["Pair"], Mapping[str, Any]]
"""Says why the risk moved between two readings: the document of /changes without its request id."""
WhatIfer = Callable[["Publication", str, "Sequence[FeatureChange]"], Mapping[str, Any]]
"""Scores an account of a publication with some features changed: the document of /what-if without its ids."""


@dataclass(frozen=True)
class Serving:
    """The open store, the keys, and what only the edge of the service may do: read a clock, recompute."""

    store: Store
    keys: KeyRing
    bundles: BundleCheck
    clock: Callable[[], datetime]
    secret: bytes = field(repr=False)
    """Signs the pages' cookies; the same for every worker on this store."""
    refresher: Refresher | None = None
    comparer: Comparer | None = None
    what_if: WhatIfer | None = None
    metrics: Metrics = field(default_factory=Metrics)
    budgets: Budgets = field(default_factory=Budgets)


def serving_of(request: Request) -> Serving:
    """Return what the service was started with."""
    return cast("Serving", request.app.state.serving)


async def serving(request: Request) -> Serving:
    """Return what the service was started with; a coroutine, so that no call waits for a thread for it."""
    return serving_of(request)


def about_call(request: Request) -> dict[str, Any]:
    """Return what every answer says of the call itself: its id, and what its key may still do."""
    budget: Budget | None = request.scope["state"].get("budget")
    return {"request_id": request_id(request), "budget": None if budget is None else budget.to_json()}


def request_id(request: Request) -> str:
    """Return the id of this request, which is also in the answer's headers and in the log."""
    return cast("str", request.scope["state"]["request_id"])
