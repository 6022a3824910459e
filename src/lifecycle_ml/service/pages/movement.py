"""Why an account's risk moved: a page of its own, for it takes seconds and is asked for seldom."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from lifecycle_ml.service.api.movement import read_changes
from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.pages.rendering import At, Signed, render
from lifecycle_ml.store.between import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHOWN = 6
"""Facts listed on either side."""
NOTICED = 0.02
"""Part of all that moved from which something is listed."""
STEPS = {
    "late_data": "Data that arrived late, after the earlier reading",
    "model": "A new model, which reads the same facts in another way",
    "calibration": "A new calibration of the model",
    "rewritten": "What the source or its definitions no longer say as they did",
}

router = APIRouter(include_in_schema=False)


@router.get("/accounts/{account_id:path}/changes")
def changes(account_id: str, request: Request, at: At, caller: Signed) -> Response:
    """Show why the risk moved between two readings, with the dates to choose others."""
    asked = request.query_params
    found = read_changes(at, account_id, _day(asked.get("from")), _day(asked.get("to")))
    days = [str(each.publication.as_of) for each in at.store.history(account_id, REMEMBERED)]
    names = at.store.answers([account_id]).names
    return render(
        request,
        "changes.html",
        caller=caller,
        name=names.get(account_id) or account_id,
        change=found,
        days=days,
        sides=_sides(found["parts"]) if found["parts"] else None,
    )


def _day(text: str | None) -> date | None:
    """Return a date of the address; an empty choice means the default."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ProblemError("no-such-reading", "Choose a day from the list.") from None


def _sides(parts: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return what pushed the risk up and what down, the strongest first, each with its part of all pushes."""
    pushes = [(each["says"], each["margin"]) for each in parts["features"]["contributions"] if each["says"]]
    steps = [(words, parts[name]["margin"]) for name, words in STEPS.items()]
    every = sum(abs(margin) for _, margin in (*pushes, *steps)) or 1.0
    return {
        "up": _side([(says, margin / every) for says, margin in (*pushes, *steps)]),
        "down": _side([(says, -margin / every) for says, margin in (*pushes, *steps)]),
    }


def _side(pushes: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    strong = sorted((each for each in pushes if each[1] >= NOTICED), key=lambda each: -each[1])
    return [{"says": says, "part": part} for says, part in strong[:SHOWN]]
