"""What playbooks changed and what followed triggers, as the commands found it last, and who is held out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from lifecycle_ml.service.pages.rendering import At, Signed, render
from lifecycle_ml.store.rows import ActionFilters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lifecycle_ml.store.assigned import Assigned

SHOWN = 200
"""Held-out accounts listed at most."""

router = APIRouter(include_in_schema=False)


@router.get("/effects")
def effects(request: Request, at: At, caller: Signed) -> Response:
    """Show effects of playbooks, what became of offers, what followed triggers, and who is left alone."""
    kept, followed = at.store.effects(), at.store.scoreboard()
    return render(
        request,
        "effects.html",
        caller=caller,
        kept=kept,
        effects=[_row(each) for each in kept["document"]] if kept else [],
        offers=_offers(at.store.assignments()),
        scoreboard=followed,
        scores=[_score(each) for each in followed["triggers"]] if followed else [],
        held_out=at.store.list_actions(ActionFilters(status=("held_out",)), limit=SHOWN).rows,
    )


def _row(effect: Mapping[str, Any]) -> dict[str, Any]:
    """Return an effect in words: shares as accounts in a hundred."""
    told = effect["effect"]
    return {
        **effect,
        "verb": "left" if effect["outcome"] == "churn" else "grew",
        "says": None
        if told is None
        else f"{_points(told['value'])} ({_points(told['low'])} to {_points(told['high'])})",
        "clear": told is not None and (told["low"] > 0 or told["high"] < 0),
        "naive": None if effect["naive_before_after"] is None else _points(effect["naive_before_after"]),
        "stated": None if effect["stated_effect"] is None else f"{100 * effect['stated_effect']:.1f}",
    }


def _offers(assigned: Iterable[Assigned]) -> list[dict[str, Any]]:
    """Return by playbook how many were offered, what became of it, and how many were held out."""
    counts: dict[str, Counter[str]] = {}
    for each in assigned:
        counts.setdefault(each.assignment.playbook, Counter())[each.became] += 1
    return [
        {
            "playbook": name,
            "offered": count.total() - count["held_out"],
            **{became: count[became] for became in ("done", "dismissed", "not_done", "held_out")},
        }
        for name, count in sorted(counts.items())
    ]


def _score(each: Mapping[str, Any]) -> dict[str, Any]:
    """Return what followed a trigger in words, each outcome beside that of comparable accounts."""
    return {
        **each,
        "grew": _beside(each["grew"], ".0%"),
        "arr": _beside(each["arr"], "+.0%"),
        "left": _beside(each["left"], ".0%"),
    }


def _beside(told: Mapping[str, Any] | None, shown: str) -> str | None:
    if told is None:
        return None
    return f"{told['mean']:{shown}}, others {told['other_mean']:{shown}}".replace("-", "−")


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")
