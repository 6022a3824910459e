"""What the kept probabilities say: figures with intervals, paired differences, verdicts, and their tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.flat_tables.contenders import AUTOGLUON, OURS
from benchmarks.flat_tables.tables import FlatTable

from lifecycle_ml.models.evaluation import Bootstrap, Interval, bootstrap

METRICS = ("auroc", "average_precision", "log_loss", "top_decile_lift")
COMPARED = ("auroc", "average_precision", "log_loss")
LOSSES = frozenset({"log_loss"})
TOLERATED = 0.01
"""A difference that may be chance is as good only if it is smaller than this."""

ASKED: dict[str, dict[str, float]] = {
    "tv_subscriptions": {"auroc": 0.715, "top_decile_lift": 2.3, "log_loss": 0.180}
}
"""Figures ours has to show on a table: at least, for a loss at most."""


def verdict(difference: Interval, metric: str) -> str:
    """Return "ahead", "as good" or "behind" for ours minus another on the same rows.

    Ahead or behind: the interval of the paired difference excludes 0. As good: it includes 0 and the
    difference itself is better than -0.01; else behind.
    """
    sign = -1 if metric in LOSSES else 1
    low, high = sorted((sign * difference.low, sign * difference.high))
    if low > 0:
        return "ahead"
    if high < 0 or sign * difference.value <= -TOLERATED:
        return "behind"
    return "as good"


def compare(table: FlatTable, lines: Mapping[str, dict[str, Any]], draws: int = 1000) -> dict[str, Any]:
    """Return a table's figures from the lines of its methods.

    figures: method -> metric -> interval, rows drawn (a row is an account). against: metric -> the plain
    method with the best value of it, ours minus that one, and the verdict. first_fold: the same beside
    AutoGluon on the rows it judged.
    """
    plain = {name: line for name, line in lines.items() if name not in (OURS, AUTOGLUON)}
    everyone = plain | ({OURS: lines[OURS]} if OURS in lines else {})
    every_row = np.ones(len(table.y), dtype=bool)
    found = {
        "set": table.name,
        "rows": len(table.y),
        "events": int(table.y.sum()),
        "left_out": table.left_out,
        **_measured(table, everyone, every_row, [*plain], draws),
        "seconds_per_fit": {name: float(np.mean(line["seconds"])) for name, line in lines.items()},
        "chosen": lines.get(OURS, {}).get("chosen"),
    }
    found["asked"] = _asked(table.name, found["figures"].get(OURS, {}))
    if AUTOGLUON in lines and OURS in lines:
        judged = ~np.isnan(_probabilities(lines[AUTOGLUON]))
        found["first_fold"] = _measured(
            table, everyone | {AUTOGLUON: lines[AUTOGLUON]}, judged, [AUTOGLUON], draws
        )
    return found


def _measured(
    table: FlatTable, lines: Mapping[str, dict[str, Any]], rows: Any, anchors: list[str], draws: int
) -> dict[str, Any]:
    y, account = table.y[rows], np.arange(int(rows.sum()))
    drawn: dict[str, Bootstrap] = {
        name: bootstrap(y, _probabilities(line)[rows], account, draws=draws, metrics=METRICS)
        for name, line in lines.items()
    }
    against = {}
    for metric in COMPARED if OURS in drawn and anchors else ():
        best = (min if metric in LOSSES else max)(anchors, key=lambda name: drawn[name].point[metric])
        difference = drawn[OURS].above(drawn[best], metric)
        against[metric] = {
            "anchor": best,
            "difference": difference.to_json(),
            "verdict": verdict(difference, metric),
        }
    return {
        "figures": {
            name: {metric: one.to_json() for metric, one in boot.intervals().items()}
            for name, boot in drawn.items()
        },
        "against": against,
    }


def _probabilities(line: Mapping[str, Any]) -> Any:
    return np.array(line["p"], dtype=np.float64)


def _asked(name: str, figures: Mapping[str, Any]) -> dict[str, bool]:
    """Return whether each figure asked for on this table is reached."""
    return {
        f"{metric} {limit:g}": (figures[metric]["value"] <= limit)
        if metric in LOSSES
        else (figures[metric]["value"] >= limit)
        for metric, limit in ASKED.get(name, {}).items()
        if figures
    }


def as_text(compared: Iterable[Mapping[str, Any]]) -> str:
    """Return the tables of docs/benchmarks.md: every method, ours against the best, AutoGluon's fold."""
    compared = list(compared)
    parts = [
        _markdown(
            ["Table", "method", "AUROC", "average precision", "log loss", "top-decile lift", "s a fit"],
            [
                [one["set"], method, *_figures(figures), f"{one['seconds_per_fit'][method]:.1f}"]
                for one in compared
                for method, figures in one["figures"].items()
            ],
        ),
        _markdown(
            [
                "Table",
                "rows, events",
                "AUROC",
                "average precision",
                "log loss",
                "leaves",
                "trees",
                "line's weight",
            ],
            [
                [one["set"], f"{one['rows']:,}, {one['events']:,}", *_against(one["against"]), *_chosen(one)]
                for one in compared
                if one["against"]
            ],
        ),
    ]
    beside = [one for one in compared if "first_fold" in one]
    if beside:
        parts.append(
            _markdown(
                ["Table, first fold", "AutoGluon's AUROC", "ours", "AUROC", "average precision", "log loss"],
                [
                    [
                        one["set"],
                        *(_shown(one["first_fold"]["figures"][m]["auroc"], 3) for m in (AUTOGLUON, OURS)),
                        *_against(one["first_fold"]["against"]),
                    ]
                    for one in beside
                ],
            )
        )
    parts += [
        f"{one['set']}: {asked} {'reached' if reached else 'MISSED'}"
        for one in compared
        for asked, reached in one["asked"].items()
    ]
    return "\n\n".join(parts)


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def _shown(one: Mapping[str, Any], digits: int, sign: str = "") -> str:
    if one["value"] is None:
        return "–"
    return f"{one['value']:{sign}.{digits}f} [{one['low']:{sign}.{digits}f}, {one['high']:{sign}.{digits}f}]"


def _figures(figures: Mapping[str, Any]) -> list[str]:
    digits = {"log_loss": 4, "top_decile_lift": 2}
    return [_shown(figures[metric], digits.get(metric, 3)) for metric in METRICS]


def _against(against: Mapping[str, Any]) -> list[str]:
    return [
        f"{one['verdict']}: {_shown(one['difference'], 4, '+')} ({one['anchor']})" for one in against.values()
    ]


def _chosen(one: Mapping[str, Any]) -> list[str]:
    if not one["chosen"]:
        return ["–"] * 3
    chosen = pd.DataFrame(one["chosen"])
    leaves, trees, line = (chosen[name] for name in ("leaves", "trees", "line_weight"))
    return [
        ", ".join(str(n) for n in sorted(leaves.unique())),
        f"{trees.min()} to {trees.max()}",
        f"{line.min():.2f} to {line.max():.2f}",
    ]
