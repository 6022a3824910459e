"""What the kept probabilities say: figures with intervals, paired differences, and the tables of the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from benchmarks.third_party.anchors import COUNTS, FIGURES, METRICS
from benchmarks.third_party.contenders import ENTITY_ALONE, OURS, WITH_USAGE

from lifecycle_ml.models.evaluation import Bootstrap, Interval, bootstrap
from lifecycle_ml.promotion.backtest import MODEL

PAIRED = ("auroc", "average_precision", "log_loss")
LOSSES = frozenset({"log_loss"})
TOLERATED = 0.01
"""A difference that may be chance is as good only if it is smaller than this."""
OWN_DATES, ANCHOR_DATES = "own_dates", "anchor_dates"

Line = Mapping[str, Any]


def verdict(difference: Interval, metric: str) -> str:
    """Return "ahead", "as good", "behind" or "undecided" for ours minus another on the same rows.

    Ahead or behind: the interval of the paired difference excludes 0. As good: it includes 0 and the
    difference itself is better than -0.01; undecided where it includes 0 and is worse.
    """
    sign = -1 if metric in LOSSES else 1
    low, high = sorted((sign * difference.low, sign * difference.high))
    if low > 0:
        return "ahead"
    if high < 0:
        return "behind"
    return "as good" if sign * difference.value > -TOLERATED else "undecided"


def compare(lines: Sequence[Line], draws: int = 1000) -> dict[str, Any]:
    """Return the figures of one workspace on one kind of dates from its lines, accounts drawn.

    figures: contender -> metric -> interval. against: contender -> metric -> ours minus it, paired, with the
    verdict. about: what each step says of itself.
    """
    rows = next(line for line in lines if line["step"] == "rows")
    steps = [line for line in lines if line["step"] != "rows" and same_rows(line, rows)]
    y, accounts = np.asarray(rows["y"], dtype=np.float64), np.asarray(rows["account"])
    said = {name: np.asarray(p, dtype=np.float64) for line in steps for name, p in line["p"].items()}
    drawn: dict[str, Bootstrap] = {
        name: bootstrap(y, p, accounts, draws=draws, metrics=METRICS) for name, p in said.items()
    }
    first = MODEL if rows["dates"] == OWN_DATES else OURS
    against: dict[str, dict[str, Any]] = {}
    for name, other in drawn.items():
        if first in drawn and name != first:
            pairs = {metric: drawn[first].above(other, metric) for metric in PAIRED}
            against[name] = {
                metric: pair.to_json() | {"verdict": verdict(pair, metric)} for metric, pair in pairs.items()
            }
    return {
        "set": rows["set"],
        "dates": rows["dates"],
        "rows": len(y),
        "accounts": len(np.unique(accounts)),
        "rate": float(y.mean()),
        "accounts_with_outcome": len(np.unique(accounts[y > 0])),
        "figures": {
            name: {metric: one.to_json() for metric, one in boot.intervals().items()}
            for name, boot in drawn.items()
        },
        "against": against,
        "added": _added(drawn),
        "about": {line["step"]: line["about"] for line in steps},
        "seconds": {line["step"]: line["seconds"] for line in steps},
    }


def same_rows(line: Line, rows: Line) -> bool:
    """Say whether a step's line was measured on the rows that are kept."""
    return bool(line["rows"] == rows["rows"] and line["events"] == rows["events"])


def _added(drawn: Mapping[str, Bootstrap]) -> dict[str, Any]:
    """Return what each table family adds to those before, paired: auroc and average precision."""
    stages = [name for name in (ENTITY_ALONE, WITH_USAGE, MODEL) if name in drawn]
    return {
        later: {
            metric: drawn[later].above(drawn[before], metric).to_json()
            for metric in ("auroc", "average_precision")
        }
        for before, later in pairwise(stages)
    }


def as_text(compared: Iterable[Mapping[str, Any]]) -> str:
    """Return the tables of docs/benchmarks.md."""
    compared = list(compared)
    parts = []
    for one in compared:
        where = "its own dates" if one["dates"] == OWN_DATES else "the anchors' rows"
        parts.append(
            f"{one['set']}, {where}: {one['rows']:,} rows of {one['accounts']:,} accounts, rate "
            f"{one['rate']:.3f}, {one['accounts_with_outcome']:,} accounts with the outcome"
        )
        parts += [f"  {step}: {about}, {one['seconds'][step]} s" for step, about in one["about"].items()]
        if one["dates"] == ANCHOR_DATES:
            parts.append(f"  rows asked for: {COUNTS[one['set']]}")
        head = ["contender", *METRICS, *(f"ours minus it, {metric}" for metric in PAIRED)]
        body = [[name, *_row(figures, one["against"].get(name))] for name, figures in one["figures"].items()]
        if one["dates"] == ANCHOR_DATES:
            body += [
                [f"published {name}", *figures, *[""] * len(PAIRED)]
                for name, figures in FIGURES[one["set"]].items()
            ]
        parts.append(_markdown(head, body) + "\n")
    families = [
        [one["set"], str(one["about"]["product"]["features"]), *_family(one)]
        for one in compared
        if one["dates"] == OWN_DATES and "product" in one["about"]
    ]
    head = [
        "set",
        "features",
        "accounts and contracts",
        "with usage",
        "everything",
        "usage adds",
        "rest adds",
    ]
    return "\n".join([*parts, _markdown(head, families) if families else ""])


def _family(one: Mapping[str, Any]) -> list[str]:
    """Return AUROC by stage, and what each stage adds; empty where a stage is the whole."""
    figures, added = one["figures"], one["added"]
    stages = [
        _interval(figures[name]["auroc"]) if name in figures else ""
        for name in (ENTITY_ALONE, WITH_USAGE, MODEL)
    ]
    # without a stage of its own usage is all there is beside accounts and contracts
    usage, rest = (WITH_USAGE, MODEL) if WITH_USAGE in figures else (MODEL, "")
    return [*stages, *(_interval(added[s]["auroc"], "+") if s in added else "" for s in (usage, rest))]


def _row(figures: Mapping[str, Any], against: Mapping[str, Any] | None) -> list[str]:
    pairs = [
        f"{_interval(against[metric], '+')} {against[metric]['verdict']}" if against else ""
        for metric in PAIRED
    ]
    return [*(_interval(figures[metric]) for metric in METRICS), *pairs]


def _interval(one: Mapping[str, Any], sign: str = "") -> str:
    return f"{one['value']:{sign}.3f} [{one['low']:{sign}.3f}, {one['high']:{sign}.3f}]"


def _markdown(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
