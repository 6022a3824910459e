"""Revenue: how ARR moved, NRR and GRR by month and ahead, and what retention teaches the other teams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from lifecycle_ml.service.pages.rendering import At, Signed, render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOVEMENTS = ("new", "reactivation", "expansion", "contraction", "churn")
FLOW_FORMULAS = ("closing", "new", "reactivation", "expansion", "of it price", "contraction", "churn")
KEPT_FORMULAS = ("NRR", "GRR", "logo churn")
AHEAD_FORMULAS = ("forecast NRR", "forecast GRR", "interval")

router = APIRouter(include_in_schema=False)


@router.get("/revenue")
def revenue(request: Request, at: At, caller: Signed) -> Response:
    """Show the statement the newest run kept, each figure with its formula."""
    statement = at.store.statement()
    return render(
        request,
        "revenue.html",
        caller=caller,
        statement=statement,
        books=[_told(book) for book in statement["books"]] if statement else [],
        flow_formulas=FLOW_FORMULAS,
        kept_formulas=KEPT_FORMULAS,
        ahead_formulas=AHEAD_FORMULAS,
    )


@dataclass(frozen=True)
class Step:
    """One bar of the waterfall: `top` and `height` in the drawing's units, `from_y` where it hangs on."""

    name: str
    value: float
    tone: str
    x: float
    top: float
    height: float
    from_y: float


@dataclass(frozen=True)
class Fall:
    """The way from the opening ARR of the first month shown to the closing ARR of the last."""

    width: int
    height: int
    bar: float
    foot: float
    cut: bool
    """The foot of the bars is not zero, or the steps between would be too small to see."""
    steps: list[Step]


def fall(flow: Sequence[Mapping[str, Any]], width: int = 640, height: int = 230) -> Fall | None:
    """Draw the months of a waterfall as one; None where there are none, or no ARR in any of them."""
    if not flow or not any(row["opening"] or row["closing"] for row in flow):
        return None
    moved = {name: sum(row[name] for row in flow) for name in MOVEMENTS}
    opening, closing = float(flow[0]["opening"]), float(flow[-1]["closing"])
    levels = [opening]
    for name in MOVEMENTS:
        levels.append(levels[-1] + moved[name])
    lowest, highest = min(*levels, closing), max(*levels, closing)
    # half of the height for what moved: else a large company stands still
    base = max(0.0, lowest - (highest - lowest)) if lowest > 0 else 0.0
    top, foot, left = 30.0, height - 34.0, 8.0
    slot = (width - 2 * left) / (len(MOVEMENTS) + 2)
    bar = round(slot * 0.62, 1)

    def y(value: float) -> float:
        return round(foot - (foot - top) * (value - base) / ((highest - base) or 1.0), 1)

    def x(at: int) -> float:
        return round(left + at * slot + (slot - bar) / 2, 1)

    def step(at: int, name: str, value: float, begins: float, ends: float, tone: str) -> Step:
        upper = min(y(begins), y(ends))
        return Step(name, value, tone, x(at), upper, round(abs(y(begins) - y(ends)), 1), y(begins))

    steps = [step(0, "opening", opening, base, opening, "whole")]
    for at, name in enumerate(MOVEMENTS):
        tone = "green" if moved[name] >= 0 else "red"
        steps.append(step(at + 1, name, moved[name], levels[at], levels[at + 1], tone))
    steps.append(step(len(MOVEMENTS) + 1, "closing", closing, base, closing, "whole"))
    return Fall(width, height, bar, foot, base > 0, steps)


@dataclass(frozen=True)
class Point:
    """NRR or GRR at a month's end: where it lies, its interval (None: there is none), and what it says."""

    x: float
    y: float
    low: float | None
    high: float | None
    month: str
    says: str
    ahead: bool


@dataclass(frozen=True)
class Curves:
    """NRR and GRR by month, then as forecast, on one scale."""

    width: int
    height: int
    ticks: list[tuple[float, str]]
    months: list[tuple[float, str]]
    now: float | None
    """Where the past ends and the forecast begins."""
    lines: dict[str, list[Point]]


def curves(
    kept: Sequence[Mapping[str, Any]], ahead: Sequence[Mapping[str, Any]], width: int = 640, height: int = 230
) -> Curves | None:
    """Draw NRR and GRR of past months and quarters ahead; None for fewer than two points."""
    told = [(row, False) for row in kept] + [(row, True) for row in ahead]
    if len(told) < 2:
        return None
    figures = [row[name] for row, _ in told for name in ("nrr", "grr")]
    values = [each[key] for each in figures for key in ("value", "low", "high") if each[key] is not None]
    step = 0.05 if max(values) - min(values) <= 0.4 else 0.25
    lowest, highest = int(min(values) / step) * step, -int(-max(values) / step - 1 + 1e-9) * step
    left, right, top, foot = 48.0, 14.0, 12.0, height - 30.0
    months = [_month(row["month"]) for row, _ in told]
    days = max(months) - min(months) or 1

    def x(month: int) -> float:
        return round(left + (width - left - right) * (month - min(months)) / days, 1)

    def y(value: float | None) -> float | None:
        if value is None:
            return None
        return round(foot - (foot - top) * (value - lowest) / ((highest - lowest) or step), 1)

    def point(row: Mapping[str, Any], name: str, month: int, *, later: bool) -> Point:
        each = row[name]
        at = y(each["value"])
        assert at is not None
        says = f"{name.upper()} {_percent(each)}{' expected' if later else ''}"
        return Point(x(month), at, y(each["low"]), y(each["high"]), row["month"], says, later)

    count = round((highest - lowest) / step)
    every = -(-count // 6) or 1
    past = [month for month, (_, later) in zip(months, told, strict=True) if not later]
    labels = sorted(set(months))[:: -(-len(set(months)) // 8) or 1]
    return Curves(
        width=width,
        height=height,
        ticks=[(y(lowest + n * step) or 0.0, f"{lowest + n * step:.0%}") for n in range(0, count + 1, every)],
        months=[(x(month), f"{date(month // 12, month % 12 + 1, 1):%b %y}") for month in labels],
        now=x(max(past)) if past and ahead else None,
        lines={
            name: [
                point(row, name, month, later=later) for (row, later), month in zip(told, months, strict=True)
            ]
            for name in ("nrr", "grr")
        },
    )


def _told(book: Mapping[str, Any]) -> dict[str, Any]:
    forecast = book["forecast"]
    kept = book["retention"]
    return {
        **book,
        "fall": fall(book["waterfall"]),
        "curves": curves(kept, forecast["quarters"]),
        "latest": _worked(kept[-1]) if kept else None,
        "figures": {
            row["month"]: {name: _percent(row[name]) for name in ("nrr", "grr", "logo_churn")} for row in kept
        },
        "expected": {
            row["month"]: {name: _percent(row[name]) for name in ("nrr", "grr")}
            for row in forecast["quarters"]
        },
        "no_intervals": list(
            dict.fromkeys(
                f"{name.upper()}, {row['month']}: {row[name]['no_interval']}"
                for row in [*kept[-1:], *forecast["quarters"][:1]]
                for name in ("nrr", "grr")
                if row[name]["no_interval"]
            )
        ),
    }


def _worked(row: Mapping[str, Any]) -> dict[str, str]:
    """Write each formula with the numbers of the last month."""
    return {
        "NRR": f"{row['arr_now']:,.2f} / {row['arr_then']:,.2f} = {row['nrr']['value']:.1%}",
        "GRR": f"{row['arr_kept']:,.2f} / {row['arr_then']:,.2f} = {row['grr']['value']:.1%}",
        "logo churn": f"{row['lost']:,} / {row['accounts']:,} = {row['logo_churn']['value']:.1%}",
    }


def _percent(figure: Mapping[str, Any]) -> str:
    told = f"{figure['value']:.1%}"
    if figure["low"] is None:
        return told
    return f"{told} ({100 * figure['low']:.1f} to {100 * figure['high']:.1f})"


def _month(text: str) -> int:
    year, month = text.split("-")
    return 12 * int(year) + int(month) - 1
