"""The model card: what was trained, what it showed, and who serves; written for a reader, not for a tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.promotion.card_cells import figure, in_words, percent, table
from lifecycle_ml.promotion.card_figures import (
    days_of_warning,
    figures_beside_rules,
    in_money,
    on_a_list,
    within_groups,
)
from lifecycle_ml.promotion.challenger import Challenger
from lifecycle_ml.promotion.evaluation import Evaluation, say_worked_on
from lifecycle_ml.promotion.recorded import RecordedReasons

_DIRECTIONS = {
    1: "More of it raises the risk",
    -1: "More of it lowers the risk",
    0: "No direction claimed",
}


def write_card(
    challenger: Challenger, recipe: Recipe, inputs: Mapping[str, int], data: Mapping[str, Any]
) -> str:
    """Return the card as Markdown."""
    evaluation = challenger.evaluation
    parts = [
        _head(challenger, recipe, data),
        _serving(challenger, evaluation),
        figures_beside_rules(evaluation, recipe),
        within_groups(evaluation, recipe),
        _worked_on(data, evaluation, recipe),
        on_a_list(evaluation, recipe),
        days_of_warning(evaluation),
        in_money(challenger, recipe),
        _calibration(challenger, recipe),
        _reasons_and_colours(challenger, recipe),
        _inputs(inputs, recipe),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(challenger: Challenger, recipe: Recipe, data: Mapping[str, Any]) -> list[str]:
    counts = challenger.evaluation.counts
    told = (
        f"Learned from {data['snapshots']:,} snapshots of {data['accounts']:,} accounts between "
        f"{data['first']} and {data['last']}, with outcomes known through {data['data_through']} "
        f"(`{data['fingerprint']}`). {_sentence(challenger.tier.says)}"
    )
    tried = (
        f"Every figure below is out of time: {counts['rows']:,} snapshots of {counts['accounts']:,} accounts "
        f"at {counts['cutoffs']} past cut-offs, of which {counts['accounts_with_outcome']:,} accounts "
        f"{recipe.label.outcome} within {recipe.label.headline_days} days. Brackets are 95% intervals from a "
        "bootstrap over accounts."
    )
    lines = [f"# {recipe.name}: model card", "", recipe.says, "", told]
    return [*lines, "", tried] if counts["rows"] else lines


def _serving(challenger: Challenger, evaluation: Evaluation) -> list[str]:
    serves, refusals = challenger.serves, challenger.refusals
    if serves.source == "model":
        why = "the gate refused nothing" + (
            "" if serves.tier == "full" else "; with so few accounts it serves bands, no probabilities"
        )
        lines = [f"**The model may serve** (`{serves.digest}`): {why}."]
    else:
        rule = getattr(serves.model, "name", "point_table")
        why = "no model was fitted" if challenger.bundle is None else "the gate refused the model"
        lines = [f"**A rule serves**, {in_words(rule)}, in bands (`{serves.digest}`): {why}."]
    if refusals:
        lines += ["", *(f"- {item.rule}: saw {item.saw}; needs {item.needs}" for item in refusals)]
    if evaluation.worse_segments:
        names = ", ".join(evaluation.worse_segments)
        lines += ["", f"In these segments the best rule orders accounts better than the model: {names}."]
    return ["## Who serves, and why", "", *lines]


def _worked_on(data: Mapping[str, Any], evaluation: Evaluation, recipe: Recipe) -> list[str]:
    found = data.get("treatment")
    if not found:
        return []
    return ["## Accounts that were worked on", "", say_worked_on(found, evaluation, recipe)]


def _calibration(challenger: Challenger, recipe: Recipe) -> list[str]:
    evaluation = challenger.evaluation
    if not evaluation.calibrators:
        return []
    metrics, gate = evaluation.metrics, recipe.gate
    slope, intercept, ratio = (
        figure(metrics.get(name), decimals=2)
        for name in ("calibration_slope", "calibration_intercept", "observed_expected")
    )
    says = (
        f"Slope {slope} (1 is right, below it too extreme; the gate's range is {gate.slope_low:g} to "
        f"{gate.slope_high:g}), intercept {intercept}, observed over expected {ratio} (range "
        f"{gate.observed_expected_low:g} to {gate.observed_expected_high:g})."
    )
    others = (
        "The calibration served is affine in the margin, so that reasons add up. Others, learned from the "
        "same rows, are only reported:"
    )
    lines = ["## Calibration", "", says, "", others, ""]
    served = "served (slope and intercept)"
    if challenger.backtest is not None and challenger.backtest.calibration.slope == 1.0:
        served = "served (intercept only)"
    named = {"served": served, "none": "none", "beta": "beta", "isotonic": "isotonic"}
    rows = [
        [
            named[name],
            figure(found["log_loss"], decimals=4),
            "" if name == "served" else figure(found["above_served"], decimals=4, signed=True),
        ]
        for name, found in evaluation.calibrators.items()
    ]
    return [*lines, *table(["", "log loss", "above the one served, paired"], rows)]


def _reasons_and_colours(challenger: Challenger, recipe: Recipe) -> list[str]:
    shown = challenger.shown
    if shown is None or (shown.stability is None and shown.colours is None):
        return []
    lines = ["## Reasons and colours", ""]
    if shown.stability is not None:
        kept = percent(shown.stability.unchanged)
        lines.append(
            "- Fitted again with half of the accounts drawn anew, the first reason of the riskiest stayed "
            f"for {kept} of {shown.stability.accounts} accounts; at least "
            f"{recipe.gate.min_stability:.0%} is asked for."
        )
    if shown.colours is not None:
        found, outcome = shown.colours, recipe.label.outcome
        red, both = percent(found.caught), percent(found.caught_flagged)
        gains = [percent(gain, signed=True) for gain in (found.gain, found.gain_flagged)]
        lines.append(
            f"- On {found.dates} past dates {found.red:.1%} of accounts would have been red, "
            f"{found.flagged:.1%} red or yellow. The worst of them, as many as a team can see to, caught "
            f"{red} (red) and {both} (red and yellow) of those that {outcome}: {gains[0]} and {gains[1]} "
            f"beside as many named by the rule {in_words(found.rule)}."
        )
        if found.arr_caught is not None and found.arr_gain is not None:
            lines.append(
                f"- Of the ARR lost the red accounts caught {percent(found.arr_caught)}: "
                f"{percent(found.arr_gain, signed=True)} beside that rule."
            )
        lines.append(
            f"- The odds of a red account were {figure(found.odds, decimals=1)} times those of all; at least "
            f"{recipe.gate.min_red_odds:g} are asked for."
        )
    return lines if shown.recorded is None else lines + _recorded(shown.recorded)


def _recorded(found: RecordedReasons) -> list[str]:
    """Say how reasons compare with recorded ones; no single account is evidence against either."""
    lines = [
        "",
        "### Reasons beside recorded ones",
        "",
        f"Of {found.accounts} accounts that left after the last cut-off with a recorded reason, "
        f"{percent(found.unknown)} had no named reason. Of the others the first was the recorded one for "
        f"{percent(found.first)}, one of three for {percent(found.within_three)}. " + _usual(found),
        "",
    ]
    header = ["recorded (rows), named (columns)", *(in_words(str(name)) for name in found.table.columns)]
    counts = zip(found.table.index, found.table.to_numpy(), strict=True)
    return lines + table(header, [[in_words(str(row)), *(str(n) for n in each)] for row, each in counts])


def _usual(found: RecordedReasons) -> str:
    if found.usual is None:
        return "Nothing was recorded before."
    right = percent(found.usual_right)
    return f"Always saying {in_words(found.usual)}, recorded most often before, is right for {right}."


def _inputs(inputs: Mapping[str, int], recipe: Recipe) -> list[str]:
    lines = [f"## Inputs ({len(inputs)})"]
    if not recipe.estimator.monotone:
        lines += ["", "This recipe holds no direction."]
    for sign, words in _DIRECTIONS.items():
        names = [name for name, claimed in inputs.items() if claimed == sign]
        if names:
            lines += ["", f"{words} ({len(names)}): {', '.join(names)}."]
    return lines


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
