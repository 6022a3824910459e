"""The model card: what was trained, what it showed, and who serves; written for a reader, not for a tool."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lifecycle_ml.models.evaluation import Interval
from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.promotion.challenger import Challenger

_COLUMNS = (
    "auroc",
    "average_precision",
    "log_loss",
    "top_decile_lift",
    "calibration_slope",
    "observed_expected",
)


def write_card(
    challenger: Challenger, recipe: Recipe, inputs: Mapping[str, int], data: Mapping[str, Any]
) -> str:
    """Return the card as Markdown."""
    evaluation, counts = challenger.evaluation, challenger.evaluation.counts
    lines = [f"# {recipe.name}: model card", "", recipe.says, ""]
    serves = "the model" if challenger.serves.source == "model" else "a rule"
    data_line = (
        f"- Data: {data['snapshots']:,} snapshots of {data['accounts']:,} accounts from {data['first']} to "
        f"{data['last']}, known through {data['data_through']}; {data['fingerprint']}"
    )
    tried = (
        f"- Tried on {counts['rows']:,} out-of-time rows with {counts['accounts_with_outcome']} "
        f"{challenger.tier.outcome} accounts at {counts['cutoffs']} cut-offs"
    )
    lines += [
        data_line,
        f"- Tier: {challenger.tier.name} ({challenger.tier.says})",
        tried,
        f"- Serves: {serves} ({challenger.serves.digest})",
        "",
        f"## At {recipe.label.headline_days} days, out of time, 95% intervals by account",
        "",
        "| | " + " | ".join(name.replace("_", " ") for name in _COLUMNS) + " |",
        "|---" * (len(_COLUMNS) + 1) + "|",
    ]
    shown: dict[str, Mapping[str, Interval]] = {"model": evaluation.metrics} if evaluation.metrics else {}
    shown |= dict(evaluation.baselines)
    if evaluation.unseen:
        shown["model, accounts never seen"] = evaluation.unseen
    for name, figures in shown.items():
        cells = " | ".join(_words(figures.get(column)) for column in _COLUMNS)
        lines.append(f"| {name.replace('_', ' ')} | {cells} |")
    if evaluation.gains:
        lines += ["", "Average precision gained, paired:", ""]
        lines += [
            f"- over {name.replace('_', ' ')}: {_words(gain)}" for name, gain in evaluation.gains.items()
        ]
    if evaluation.skipped:
        lines += ["", "Rules that could not be tried:", ""]
        lines += [f"- {name.replace('_', ' ')}: {why}" for name, why in evaluation.skipped.items()]
    lines += ["", "## The gate", ""]
    if challenger.refusals:
        lines += [f"- {item.rule}: saw {item.saw}; needs {item.needs}" for item in challenger.refusals]
    else:
        lines.append("Nothing refused.")
    lines += ["", f"## Inputs ({len(inputs)})", ""]
    words = {1: "more raises the risk", -1: "more lowers the risk", 0: "no direction claimed"}
    lines += [f"- {name}: {words[sign]}" for name, sign in inputs.items()]
    return "\n".join(lines) + "\n"


def _words(interval: Interval | None) -> str:
    if interval is None or math.isnan(interval.value):
        return "–"
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
