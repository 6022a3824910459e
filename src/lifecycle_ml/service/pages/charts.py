"""Where the parts of the drawings go. The templates draw them as SVG; nothing here knows HTML."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

COLORS = ("red", "yellow", "green")
MOST_READINGS = 60
"""Readings drawn; where there are more, every second, third, … one is, and the newest always."""
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)
_BANDS = {"low": 1, "medium": 2, "high": 3}


@dataclass(frozen=True)
class Part:
    """One part of a stacked bar, in hundredths of its width."""

    color: str
    value: float
    start: float
    width: float


def stacked(values: dict[str, float]) -> list[Part]:
    """Lay the colours end to end; an empty bar where there is nothing to show."""
    total = sum(values.values())
    parts: list[Part] = []
    start = 0.0
    for color in COLORS:
        value = values.get(color, 0)
        if total > 0 and value > 0:
            width = 100 * value / total
            parts.append(Part(color, value, round(start, 2), round(width, 2)))
            start += width
    return parts


@dataclass(frozen=True)
class Dot:
    """One reading of the history: where it lies (x, y in the drawing's units) and what it says."""

    x: float
    y: float
    color: str
    as_of: str
    says: str


@dataclass(frozen=True)
class Span:
    """A stretch of one colour along the foot of the drawing."""

    x: float
    width: float
    color: str


@dataclass(frozen=True)
class Tick:
    """A line of the scale with its label."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """The history of an account's risk: dots joined by a line, a scale, months, and colours at the foot."""

    width: int
    height: int
    foot: float
    dots: list[Dot]
    path: str
    spans: list[Span]
    ticks: list[Tick]
    months: list[Tick]


def line(readings: list[dict[str, Any]], width: int = 640, height: int = 190) -> Line | None:
    """Draw short readings, the oldest first; None for fewer than two.

    The scale is the probability where every reading has one, else the band: rules serve no probability.
    """
    readings = thinned(readings)
    if len(readings) < 2:
        return None
    left, right, top, foot = 44.0, 10.0, 10.0, height - 40.0
    first, last = (date.fromisoformat(readings[at]["as_of"]) for at in (0, -1))
    days = (last - first).days or 1
    risks = [each["probability"] for each in readings]
    by_band = any(risk is None for risk in risks)
    top_value, ticks = _scale(readings, by_band=by_band)

    def x(day: date) -> float:
        return round(left + (width - left - right) * (day - first).days / days, 1)

    def y(value: float) -> float:
        return round(foot - (foot - top) * value / top_value, 1)

    dots = [
        Dot(
            x(date.fromisoformat(each["as_of"])),
            y(_BANDS[each["band"]] if by_band else each["probability"]),
            each["color"],
            each["as_of"],
            f"band {each['band']}" if by_band else f"{each['probability']:.0%}",
        )
        for each in readings
    ]
    return Line(
        width=width,
        height=height,
        foot=foot,
        dots=dots,
        path="M" + " L".join(f"{dot.x} {dot.y}" for dot in dots),
        spans=_spans(dots, width - right),
        ticks=[Tick(y(value), label) for value, label in ticks],
        months=[
            Tick(x(day), f"{day:%b}" + (f" {day:%Y}" if day.month == 1 else ""))
            for day in _months(first, last)
        ],
    )


def thinned(readings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return at most `MOST_READINGS` readings, evenly chosen, the newest among them."""
    every = -(-len(readings) // MOST_READINGS) or 1
    return readings[::-1][::every][::-1]


def _scale(readings: list[dict[str, Any]], *, by_band: bool) -> tuple[float, list[tuple[float, str]]]:
    if by_band:
        return 3.3, [(rank, name) for name, rank in _BANDS.items()]
    highest = max(0.02, *(each["probability"] for each in readings))
    step = next(each for each in STEPS if highest / each <= 4 or each == STEPS[-1])
    count = max(1, -(-highest // step))
    return count * step, [(n * step, f"{n * step:.0%}") for n in range(int(count) + 1)]


def _spans(dots: list[Dot], end: float) -> list[Span]:
    """Join neighbours of one colour; each colour reaches to the reading that changed it."""
    spans: list[Span] = []
    for dot, following in zip(dots, [*dots[1:], None], strict=True):
        until = following.x if following else end
        if spans and spans[-1].color == dot.color:
            before = spans.pop()
            spans.append(Span(before.x, round(until - before.x, 1), dot.color))
        else:
            spans.append(Span(dot.x, round(until - dot.x, 1), dot.color))
    return spans


def _months(first: date, last: date) -> list[date]:
    """Return the firsts of months between two days, thinned to eight at most."""
    months = []
    day = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
    while day <= last:
        months.append(day)
        day = (day + timedelta(days=32)).replace(day=1)
    return months[:: -(-len(months) // 8) or 1]


@dataclass(frozen=True)
class Mark:
    """A checkpoint, the notice date or today on the way to a renewal."""

    x: float
    kind: str
    label: str
    says: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Way:
    """The way to a renewal: a line from the first mark to the renewal, and how much of it is behind."""

    width: int
    left: float
    right: float
    behind: float
    marks: list[Mark]


def way(renewal: dict[str, Any], as_of: date, width: int = 340) -> Way | None:
    """Draw a renewal document; None where it has no date."""
    if not renewal.get("renewal_on"):
        return None
    ends = date.fromisoformat(renewal["renewal_on"])
    checkpoints = [(date.fromisoformat(each["falls_on"]), each) for each in renewal.get("checkpoints") or []]
    notice = date.fromisoformat(renewal["notice_on"]) if renewal.get("notice_on") else None
    every = [as_of, ends, *(day for day, _ in checkpoints), *([notice] if notice else [])]
    starts, finish = min(every), max(every)
    days = (finish - starts).days or 1
    left, right = 14.0, width - 14.0

    def x(day: date) -> float:
        return round(left + (right - left) * (day - starts).days / days, 1)

    def mark(day: date, kind: str, label: str, says: str) -> Mark:
        at = x(day)
        edge = 30 if kind in {"notice", "renewal"} else 12
        anchor = "start" if at < left + edge else "end" if at > right - edge else "middle"
        return Mark(at, kind, label, says, anchor)

    marks = [
        mark(day, each["state"], str(each["checkpoint"]), f"{each['checkpoint']}-day checkpoint")
        for day, each in checkpoints
    ]
    renewing = mark(ends, "renewal", "renewal", "renewal")
    if notice and notice != ends:
        noticed = mark(notice, "notice", "notice", "last day for notice")
        apart = abs(renewing.x - noticed.x)
        # two words that would run into one another: the list below the drawing has both days
        marks.append(
            replace(
                noticed, label="" if apart < 48 else "notice", anchor="end" if apart < 90 else noticed.anchor
            )
        )
    marks.append(renewing)
    return Way(width, left, right, x(as_of), marks)
