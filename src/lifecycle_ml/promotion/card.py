"""The model card: what was trained, what it showed, and who serves; written for a reader, not for a tool."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from lifecycle_ml.models.baselines import rules_for
from lifecycle_ml.models.evaluation import DaysOfWarning, Interval
from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.promotion.backtest import LOGISTIC, MODEL
from lifecycle_ml.promotion.challenger import Challenger
from lifecycle_ml.promotion.evaluation import (
    CALENDAR,
    LEFT_ALONE,
    RANDOM,
    WORKED_ON,
    Evaluation,
    Group,
    say_worked_on,
)
from lifecycle_ml.promotion.recorded import RecordedReasons

_COLUMNS = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "top_decile_lift": "top-decile lift",
    "observed_expected": "observed / expected",
}
_THOUSANDS_FROM = 10_000
_DECIMALS = {"top_decile_lift": 1, "observed_expected": 2}
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
        _figures(evaluation, recipe),
        _groups(evaluation, recipe),
        _worked_on(data, evaluation, recipe),
        _lists(evaluation, recipe),
        _warning(evaluation),
        _money(challenger, recipe),
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
        lines = [f"**A rule serves**, {_said(rule)}, in bands (`{serves.digest}`): {why}."]
    if refusals:
        lines += ["", *(f"- {item.rule}: saw {item.saw}; needs {item.needs}" for item in refusals)]
    if evaluation.worse_segments:
        names = ", ".join(evaluation.worse_segments)
        lines += ["", f"In these segments the best rule orders accounts better than the model: {names}."]
    return ["## Who serves, and why", "", *lines]


def _figures(evaluation: Evaluation, recipe: Recipe) -> list[str]:
    shown: dict[str, Mapping[str, Interval]] = {"model": evaluation.metrics} if evaluation.metrics else {}
    shown |= dict(evaluation.baselines)
    if not shown:
        return []
    rows = [
        [
            _said(name),
            *(_figure(figures, column) for column in _COLUMNS),
            _words(evaluation.gains.get(name), signed=True),
        ]
        for name, figures in shown.items()
    ]
    lines = [
        f"## At {recipe.label.headline_days} days, beside every rule",
        "",
        *_table(["", *_COLUMNS.values(), "model's average precision above it, paired"], rows),
    ]
    says = {rule.name: rule.says for rule in rules_for(recipe) if rule.name in shown}
    lines += ["", *(f"- {_said(name)}: {text}" for name, text in says.items())]
    lines += [f"- {_said(name)} could not be tried: {why}" for name, why in evaluation.skipped.items()]
    if evaluation.by_horizon:
        headline = {recipe.label.headline_days: evaluation.metrics}
        horizons = dict(sorted((dict(evaluation.by_horizon) | headline).items()))
        columns = {name: _COLUMNS[name] for name in ("auroc", "average_precision", "observed_expected")}
        rows = [
            [f"{days} days", *(_figure(figures, name) for name in columns)]
            for days, figures in horizons.items()
        ]
        lines += ["", "The model at each horizon:", "", *_table(["", *columns.values()], rows)]
    return lines


def _groups(evaluation: Evaluation, recipe: Recipe) -> list[str]:
    if not evaluation.metrics:
        return []
    named = {
        "renewing": "Renew within the horizon",
        "unseen_accounts": "Accounts never seen in training",
        LEFT_ALONE: "Nobody worked on them",
        WORKED_ON: "Worked on",
    }
    shown = {named[name]: group for name, group in evaluation.groups.items()}
    shown |= {f"Segment {name}": group for name, group in evaluation.segments.items()}
    said = {"segments": "By segment", **named}
    calendar = (
        "Among all accounts much of the order is the renewal calendar; among those that renew it is not. "
    )
    why = "Beside the model stands the rule that orders that group best."
    if recipe.label.outcome == "churned":
        why = calendar + why
    lines = ["## Within groups", "", why, ""]
    if shown:
        header = ["", "accounts", f"{recipe.label.outcome}", "AUROC", "average precision", "best rule"]
        lines += _table([*header, "model above it, paired"], [_group(*item) for item in shown.items()])
        lines.append("")
    for name, why in evaluation.unmeasured.items():
        if name in said:
            lines += [f"{said[name]}: not measured, {why}.", ""]
    if evaluation.worse_segments:
        names = ", ".join(evaluation.worse_segments)
        lines.append(f"**Worse than the best rule**, by the point of the difference, in {names}.")
    elif any(group.reason is None for group in evaluation.segments.values()):
        lines.append("In no segment that could be measured is the model worse than the best rule.")
    return _trimmed(lines)


def _worked_on(data: Mapping[str, Any], evaluation: Evaluation, recipe: Recipe) -> list[str]:
    found = data.get("treatment")
    if not found:
        return []
    return ["## Accounts that were worked on", "", say_worked_on(found, evaluation, recipe)]


def _group(name: str, group: Group) -> list[str]:
    counts = [name, f"{group.accounts:,}", f"{group.accounts_with_outcome:,}"]
    if group.reason is not None:
        return [*counts, group.reason, "–", "–", "–"]
    rule = "–" if group.best_rule is None else f"{_said(group.best_rule)} {_number(group.rule.value)}"
    figures = [_words(group.metrics.get(metric)) for metric in ("auroc", "average_precision")]
    return [*counts, *figures, rule, _words(group.gain, signed=True)]


def _lists(evaluation: Evaluation, recipe: Recipe) -> list[str]:
    if evaluation.deciles is None or evaluation.capacity is None or evaluation.deciles["found"].isna().all():
        return []
    outcome = recipe.label.outcome
    capacity = evaluation.capacity
    says = (
        "A team that works through the first part of each date's list, the most probable first, meets "
        f"{outcome} accounts this often:"
    )
    lines = [
        "## What a list finds",
        "",
        says,
        "",
        *_table(
            ["list", "accounts a date", "precision", "recall", "lift"],
            [
                [
                    f"{row['share']:.0%}",
                    f"{row['accounts']:.0f}",
                    *(_ends(row, name, percent=True) for name in ("precision", "recall")),
                    _ends(row, "lift", decimals=1),
                ]
                for row in capacity.to_dict("records")
            ],
        ),
        "",
    ]
    if "arr_caught" in capacity:
        rivals = {"arr": "by ARR alone", "calendar": f"by {_said(CALENDAR)} x ARR"}
        rivals = {name: text for name, text in rivals.items() if f"arr_caught_{name}" in capacity}
        header = ["list", "by probability x ARR"]
        for text in rivals.values():
            header += [text, "model above it, paired"]
        rows = []
        for row in capacity.to_dict("records"):
            cells = [f"{row['share']:.0%}", _ends(row, "arr_caught", percent=True)]
            for name in rivals:
                cells.append(f"{row[f'arr_caught_{name}']:.0%}")
                cells.append(_ends(row, f"gain_over_{name}", percent=True, signed=True))
            rows.append(cells)
        lines += [
            f"Part of the ARR of {outcome} accounts that is on the list:",
            "",
            *_table(header, rows),
            "",
        ]
    else:
        lines += [f"ARR on the list: not measured, {evaluation.unmeasured.get('arr_caught', 'unknown')}.", ""]
    lines += [
        "All dates together, by tenths from the highest probability down:",
        "",
        *_table(
            ["tenth", "expected", "seen", "lift", "found so far"],
            [
                [
                    str(row["decile"]),
                    f"{row['expected']:.1%}",
                    f"{row['rate']:.1%}",
                    _ends(row, "lift"),
                    f"{row['found']:.0%}",
                ]
                for row in evaluation.deciles.to_dict("records")
            ],
        ),
    ]
    return lines


def _warning(evaluation: Evaluation) -> list[str]:
    if not evaluation.metrics:
        return []
    found = evaluation.warning
    lines = ["## Days of warning", ""]
    if not found:
        return [*lines, f"Not measured: {evaluation.unmeasured.get('days_of_warning', 'unknown')}."]
    model = found[MODEL]
    lines.append(
        f"From an account's first time on the list (the highest {evaluation.list_share:.0%} of its date, in "
        "the last 180 days) to the last day on which notice could be given "
        f"({model.by_notice} of {model.losses} losses), or to the end of the contract where no period of "
        "notice is known. The list that names more accounts warns of more losses, so what each named in all "
        "stands beside; accounts drawn at random, once and for all dates, are chance."
    )
    rows = [[_list_name(name), *_days(warning)] for name, warning in found.items()]
    header = ["list", "accounts named", "median days", *(f"{days} days or more" for days in model.shares)]
    return [*lines, "", *_table(header, rows)]


def _list_name(name: str) -> str:
    return {MODEL: "the model's", RANDOM: "drawn at random"}.get(name, _said(name))


def _days(warning: DaysOfWarning) -> list[str]:
    cells = [f"{warning.named:.0%}", _words(warning.median, decimals=0)]
    return cells + [_percent(share) for share in warning.shares.values()]


def _money(challenger: Challenger, recipe: Recipe) -> list[str]:
    evaluation = challenger.evaluation
    if not evaluation.metrics:
        return []
    lost = "lost" if recipe.label.outcome == "churned" else "gained"
    lines = [f"## ARR {lost}: expected and seen", ""]
    if evaluation.money is None:
        lines.append(f"Not measured: {evaluation.unmeasured.get('money', 'unknown')}.")
    else:
        says = (
            f"ARR {lost} within {recipe.label.headline_days} days of each date; windows overlap, so dates "
            f"do not add up. Over all of them {_words(evaluation.money_ratio, decimals=2)} times what was "
            f"expected was {lost}."
        )
        lines += [
            says,
            "",
            *_table(
                ["date", "accounts", "expected", "seen", "seen / expected"],
                [
                    [
                        str(row["as_of"].date()),
                        f"{row['accounts']:,}",
                        _cash(row, ("expected", "expected_low", "expected_high")),
                        _cash(row, ("observed", "observed_low", "observed_high")),
                        _ends(row, "ratio", decimals=2),
                    ]
                    for row in evaluation.money.to_dict("records")
                ],
            ),
        ]
    outlook = challenger.outlook
    if outlook is not None:
        says = (
            f"What all {outlook.accounts['account_id'].nunique():,} accounts of {outlook.as_of.date()} are "
            f"expected to {'lose' if lost == 'lost' else 'gain'}, by calendar month (the first and the last "
            "in part); intervals hold chance and doubt about the calibration:"
        )
        lines += [
            "",
            says,
            "",
            *_table(
                ["month", f"ARR {lost}"],
                [
                    [
                        "all" if pd.isna(row["month"]) else f"{row['month']:%Y-%m}",
                        _cash(row, ("expected", "low", "high")),
                    ]
                    for row in outlook.total.to_dict("records")
                ],
            ),
        ]
    return lines


def _calibration(challenger: Challenger, recipe: Recipe) -> list[str]:
    evaluation = challenger.evaluation
    if not evaluation.calibrators:
        return []
    metrics, gate = evaluation.metrics, recipe.gate
    slope, intercept, ratio = (
        _words(metrics.get(name), decimals=2)
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
            _words(found["log_loss"], decimals=4),
            "" if name == "served" else _words(found["above_served"], decimals=4, signed=True),
        ]
        for name, found in evaluation.calibrators.items()
    ]
    return [*lines, *_table(["", "log loss", "above the one served, paired"], rows)]


def _reasons_and_colours(challenger: Challenger, recipe: Recipe) -> list[str]:
    shown = challenger.shown
    if shown is None or (shown.stability is None and shown.colours is None):
        return []
    lines = ["## Reasons and colours", ""]
    if shown.stability is not None:
        kept = _percent(shown.stability.unchanged)
        lines.append(
            "- Fitted again with half of the accounts drawn anew, the first reason of the riskiest stayed "
            f"for {kept} of {shown.stability.accounts} accounts; at least "
            f"{recipe.gate.min_stability:.0%} is asked for."
        )
    if shown.colours is not None:
        found, outcome = shown.colours, recipe.label.outcome
        red, both = _percent(found.caught), _percent(found.caught_flagged)
        gains = [_percent(gain, signed=True) for gain in (found.gain, found.gain_flagged)]
        lines.append(
            f"- On {found.dates} past dates {found.red:.1%} of accounts would have been red, "
            f"{found.flagged:.1%} red or yellow. The worst of them, as many as a team can see to, caught "
            f"{red} (red) and {both} (red and yellow) of those that {outcome}: {gains[0]} and {gains[1]} "
            f"beside as many named by the rule {_said(found.rule)}."
        )
        if found.arr_caught is not None and found.arr_gain is not None:
            lines.append(
                f"- Of the ARR lost the red accounts caught {_percent(found.arr_caught)}: "
                f"{_percent(found.arr_gain, signed=True)} beside that rule."
            )
        lines.append(
            f"- The odds of a red account were {_words(found.odds, decimals=1)} times those of all; at least "
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
        f"{_percent(found.unknown)} had no named reason. Of the others the first was the recorded one for "
        f"{_percent(found.first)}, one of three for {_percent(found.within_three)}. " + _usual(found),
        "",
    ]
    header = ["recorded (rows), named (columns)", *(_said(str(name)) for name in found.table.columns)]
    counts = zip(found.table.index, found.table.to_numpy(), strict=True)
    return lines + _table(header, [[_said(str(row)), *(str(n) for n in each)] for row, each in counts])


def _usual(found: RecordedReasons) -> str:
    if found.usual is None:
        return "Nothing was recorded before."
    right = _percent(found.usual_right)
    return f"Always saying {_said(found.usual)}, recorded most often before, is right for {right}."


def _inputs(inputs: Mapping[str, int], recipe: Recipe) -> list[str]:
    lines = [f"## Inputs ({len(inputs)})"]
    if not recipe.estimator.monotone:
        lines += ["", "This recipe holds no direction."]
    for sign, words in _DIRECTIONS.items():
        names = [name for name, claimed in inputs.items() if claimed == sign]
        if names:
            lines += ["", f"{words} ({len(names)}): {', '.join(names)}."]
    return lines


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _said(name: str) -> str:
    return "logistic regression" if name == LOGISTIC else name.replace("_", " ")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _trimmed(lines: list[str]) -> list[str]:
    while lines and not lines[-1]:
        lines = lines[:-1]
    return lines


def _number(value: float, decimals: int = 3, *, signed: bool = False) -> str:
    rounded = round(value, decimals) + 0.0  # a zero without its minus
    return f"{rounded:{'+' if signed else ''},.{decimals}f}"


def _words(interval: Interval | None, *, decimals: int = 3, signed: bool = False) -> str:
    if interval is None or math.isnan(interval.value):
        return "–" if interval is None or not interval.reason else f"– ({interval.reason})"
    value = _number(interval.value, decimals, signed=signed)
    if math.isnan(interval.low):
        return value
    low, high = (_number(end, decimals, signed=signed) for end in (interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def _figure(figures: Mapping[str, Interval], name: str) -> str:
    return _words(figures.get(name), decimals=_DECIMALS.get(name, 3))


def _cash(row: Mapping[Any, Any], names: Sequence[str]) -> str:
    """Say a sum and its interval in thousands, or in full where all of it is small."""
    value, low, high = (float(row[name]) for name in names)
    if max(abs(low), abs(high)) < _THOUSANDS_FROM:
        return f"{value:,.0f} [{low:,.0f}, {high:,.0f}]"
    said = (f"{number / 1000:,.0f}k" if abs(number) >= 500 else "0" for number in (value, low, high))
    return "{} [{}, {}]".format(*said)


def _percent(interval: Interval, *, signed: bool = False) -> str:
    if math.isnan(interval.value):
        return "–" if not interval.reason else f"– ({interval.reason})"
    sign = "+" if signed else ""
    return f"{interval.value:{sign}.0%} [{interval.low:{sign}.0%}, {interval.high:{sign}.0%}]"


def _ends(
    row: Mapping[Any, Any], name: str, *, decimals: int = 1, percent: bool = False, signed: bool = False
) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if math.isnan(value):
        return "–"
    if percent:
        said = [f"{_number(100 * number, 0, signed=signed)}%" for number in (value, low, high)]
    else:
        said = [_number(number, decimals, signed=signed) for number in (value, low, high)]
    return "{} [{}, {}]".format(*said)
