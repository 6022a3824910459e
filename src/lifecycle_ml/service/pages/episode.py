"""The running episode of an account: why it turned, what it waits for, and what has happened since."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lifecycle_ml.actions.action import HOLD_OUT
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.service.pages import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lifecycle_ml.actions.account_words import Said
    from lifecycle_ml.actions.action import Action
    from lifecycle_ml.workspace import Workspace

MOST_EVENTS = 14


def onset(
    document: dict[str, Any], past: Sequence[dict[str, Any]], actions: Iterable[Action]
) -> dict[str, Any] | None:
    """Return why an account took its colour: `category` and `says`, None for green or where nobody knows.

    The reason is latched when the colour turns: the actions opened then carry it. Without any, the reading of
    that day tells. `past` are short readings, `actions` all of the account's, finished ones too.
    """
    health = document["health"]
    if health["color"] == "green":
        return None
    since = date.fromisoformat(health["since"])
    ending = f"_{health['color']}"
    for action in actions:
        theirs = action.kind == "playbook" and action.playbook.endswith(ending) and action.step != HOLD_OUT
        if theirs and action.opened_at.date() >= since:
            return {"category": action.playbook.removesuffix(ending), "says": action.why}
    then = next((each for each in past if each["as_of"] == health["since"]), None)
    return {"category": then["reason"], "says": None} if then else None


def waits_for(document: dict[str, Any], past: Sequence[dict[str, Any]], workspace: Workspace) -> str | None:
    """Say what still holds a colour of which every criterion is met; None where one is open, and for green.

    `past` are short readings, the newest first.
    """
    health, churn = document["health"], document["churn"]
    if health["color"] == "green" or not all(each["met"] for each in health["recovers_when"]):
        return None
    # imported here: rules and their parser are not needed to start, nor by any other page
    from lifecycle_ml.health.config import HealthConfig, HealthFile

    try:
        config = HealthConfig(workspace.load("serving", "health.toml", HealthFile), {})
    except ConfigError:
        return "Everything listed is met; the risk must stay under its limit as well."
    rule = f"the risk must stay under its limit for {config.min_days} days"
    probability, lift = churn["probability"], churn["lift"]
    if probability is None or not lift:
        return f"Everything listed is met; {rule} as well."
    segment = document["scorecard"]["account_segment"]
    limit = config.limit(health["color"], probability / lift, segment).exit
    rule = f"the risk must stay under {words.percent(limit)} for {config.min_days} days"
    if probability >= limit:
        return f"Everything listed is met, but {rule}; it is {words.percent(probability)} today."
    since = date.fromisoformat(health["since"])
    start = date.fromisoformat(document["as_of"])
    for each in past:
        if each["probability"] is None or each["probability"] >= limit:
            break
        start = min(start, date.fromisoformat(each["as_of"]))
    start = max(start, since)
    earliest = start + timedelta(days=config.min_days)
    if earliest > date.fromisoformat(document["as_of"]):
        return (
            f"Everything listed is met, and {rule}: it has been since {words.day(start)}, so the colour can "
            f"turn on {words.day(earliest)}."
        )
    return "Everything listed is met and the risk is low; a fact that alone turns the colour is still true."


def events(
    ledger: Sequence[dict[str, Any]], past: Sequence[dict[str, Any]], spoken: Sequence[Said] = ()
) -> list[dict[str, Any]]:
    """Return what happened, the newest first: colours that turned, what became of actions, what people said.

    `ledger` is as the store gives it, the oldest first; `past` are short readings and `spoken` what people
    said of the account, both the newest first. What happened to several actions at one moment is one event.
    """
    found: list[dict[str, Any]] = []
    for after, before in pairwise(past):
        if after["color"] != before["color"]:
            found.append(
                {
                    "on": after["as_of"],
                    "color": after["color"],
                    "what": f"turned {after['color']}",
                    "titles": [],
                    "because": f"from {before['color']}",
                    "by": None,
                }
            )
    grouped: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in ledger:
        key = (each["at"], each["kind"], each["because"], each["by"])
        if key not in grouped:
            grouped[key] = {
                "on": each["at"].date().isoformat(),
                "color": None,
                "what": words.event(each["kind"]),
                "titles": [],
                "because": each["because"],
                "by": None if each["by"] == "lifecycle" else each["by"],
            }
        grouped[key]["titles"].append(each["action"]["title"])
    found.extend(list(grouped.values())[::-1])
    found.extend(
        {
            "on": each.at.date().isoformat(),
            "color": None,
            "what": words.event(each.kind),
            "titles": [each.says],
            "because": "",
            "by": each.by,
        }
        for each in spoken
    )
    # sorted() is stable: of one day, the colour stands below what followed from it
    return sorted(found, key=lambda each: (each["on"], each["color"] is None), reverse=True)[:MOST_EVENTS]
