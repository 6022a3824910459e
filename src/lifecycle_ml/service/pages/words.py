"""How the pages say things: numbers, dates and sentences as people write them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from urllib.parse import quote

COLORS = {
    "red": ("■", "Red"),
    "yellow": ("▲", "Yellow"),
    "green": ("●", "Green"),
}
"""A sign and a word for each colour, so that colour is never the only sign."""

_ROLES = {"csm": "CSM", "cs_lead": "CS lead", "vp_cs": "VP CS"}
_STATES = {"good": "✓ good", "watch": "! watch", "poor": "✗ poor", "unknown": "? unknown"}
_TRENDS = {"improving": "↗ improving", "steady": "→ steady", "declining": "↘ declining", "unknown": ""}
_EVENTS = {
    "opened": "to do",
    "held_out": "held out to measure an effect",
    "closed": "no longer needed",
    "escalated": "told further up",
    "done": "done",
    "dismissed": "dismissed",
    "snoozed": "snoozed",
    "assigned": "given to someone else",
    "woken": "woke up",
    "override": "a colour of their own",
    "sentiment": "how it feels",
    "outcome": "what a checkpoint came to",
    "decision": "decided",
}
_FILTERS_SAID = {"expansion_band": "growth", "reason": "reason", "renewal": "renewal"}
_ESCALATION = {
    "none": "nothing to do",
    "on_track": "on track",
    "overdue": "overdue",
    "escalated": "escalated",
}


def money(value: float | None) -> str:
    """49200.0 as 49,200."""
    return "–" if value is None else f"{value:,.0f}"


def short_money(value: float) -> str:
    """12_345_678 as 12.3M, 345_678 as 346k: three figures for a headline."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            scaled = value / size
            return f"{scaled:.0f}{letter}" if abs(scaled) >= 99.95 else f"{scaled:.1f}{letter}"
    return f"{value:,.0f}"


def number(value: Any) -> str:
    """A measured value: yes and no for booleans, at most two decimals for numbers."""
    if value is None:
        return "cannot tell"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}".rstrip("0").rstrip(".")
    return plain(str(value))


def percent(value: float | None) -> str:
    """0.41 as 41%; tiny ones as under 1%."""
    if value is None:
        return "–"
    return "under 1%" if 0 < value < 0.01 else f"{value:.0%}"


def day(value: str | date | datetime | None) -> str:
    """2026-06-30 as 30 June 2026; instants lose their time."""
    if value is None:
        return "–"
    if isinstance(value, str):
        value = date.fromisoformat(value[:10])
    return f"{value.day} {value:%B %Y}"


def short_day(value: str | date | datetime | None) -> str:
    """2026-06-30 as 30 Jun 2026, for narrow columns."""
    if value is None:
        return "–"
    if isinstance(value, str):
        value = date.fromisoformat(value[:10])
    return f"{value.day} {value:%b %Y}"


def moment(value: str | datetime | None) -> str:
    """An instant as 2 July 2026, 02:00 UTC."""
    if value is None:
        return "–"
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return f"{day(value)}, {value:%H:%M} UTC"


def plain(name: str) -> str:
    """A name of the code as words: renewal_proximity as renewal proximity."""
    return name.replace("_", " ")


def sentence(text: str) -> str:
    """The same text with a capital letter first."""
    return text[:1].upper() + text[1:]


def role(name: str | None) -> str:
    """A role as people say it."""
    return "–" if name is None else _ROLES.get(name, plain(name))


def state(name: str) -> str:
    """The state of a health input as people say it."""
    return _STATES.get(name, plain(name))


def trend(name: str | None) -> str:
    """The trend of a health input as people say it."""
    return "" if name is None else _TRENDS.get(name, plain(str(name)))


def escalation(name: str | None) -> str:
    """The escalation status as people say it."""
    return "–" if name is None else _ESCALATION.get(name, plain(name))


def event(kind: str) -> str:
    """What happened to an action, or was said of an account, as people say it."""
    return _EVENTS.get(kind, plain(kind))


def evidence(one: dict[str, Any], state: str) -> str:
    """What a checkpoint in this state wants to be true, and whether it is."""
    if one["there"]:
        seen = {"step": "by the step that was done"}.get(one["seen_in"], f"in a {one['seen_in']}")
        return f"✓ {one['label']}, {day(one['on'])}, {seen}"
    if one["there"] is None:
        return f"? Cannot tell: {one['label']}"
    return f"{'Still to come' if state == 'ahead' else '✗ Missing'}: {one['label']}"


def stage(name: str | None) -> str:
    """A stage as people say it."""
    return "–" if name is None else sentence("hand-off" if name == "hand_off" else plain(name))


def narrowing(name: str, value: str) -> str:
    """A filter as people say it: owner: Maya Lindqvist."""
    said = value if name in {"owner", "search", "reason"} else plain(value)
    return f"{_FILTERS_SAID.get(name, plain(name))}: {said}"


def away(day_of: str | date | None, as_of: str | date) -> str:
    """How far a day is from another: in 63 days, 4 days ago."""
    if day_of is None:
        return ""
    days = (_date(day_of) - _date(as_of)).days
    if days == 0:
        return "today"
    count = f"{abs(days)} day{'s' if abs(days) > 1 else ''}"
    return f"in {count}" if days > 0 else f"{count} ago"


def _date(value: str | date) -> date:
    return date.fromisoformat(value[:10]) if isinstance(value, str) else value


def ago(since: str, as_of: str) -> str:
    """How long a colour has lasted, in days or weeks."""
    days = (date.fromisoformat(as_of) - date.fromisoformat(since)).days
    if days < 1:
        return "today"
    if days < 14:
        return f"{days} day{'s' if days > 1 else ''}"
    return f"{days // 7} weeks"


def headline(document: dict[str, Any]) -> str:
    """Say in one sentence what colour an account has, since when, and why."""
    health, reasons = document["health"], document["reasons"]
    since = ago(health["since"], document["as_of"])
    when = "since today" if since == "today" else f"for {since}, since {day(health['since'])}"
    start = f"{COLORS[health['color']][1]} {when}"
    if health["color"] == "green":
        return f"{start}. Nothing calls for action."
    first = reasons[0] if reasons else None
    if first is None or first["category"] == "unknown":
        return f"{start}. No single cause could be evidenced; the first step is to find out."
    label = first["label"].rstrip(".")
    label = label[:1].lower() + label[1:]
    if first["share"] is None:
        return f"{start}. The facts point to {label}."
    return f"{start}. The likeliest cause: {label} ({percent(first['share'])})."


def account_path(account_id: str) -> str:
    """The address of an account's page."""
    return "/accounts/" + quote(account_id, safe="")


FILTERS = {
    each.__name__: each
    for each in (
        money,
        short_money,
        number,
        percent,
        day,
        short_day,
        moment,
        plain,
        sentence,
        role,
        state,
        trend,
        escalation,
        event,
        evidence,
        stage,
        away,
        ago,
        headline,
        account_path,
    )
}
