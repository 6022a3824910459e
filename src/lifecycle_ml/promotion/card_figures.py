"""The figures of the model card: beside every rule, within groups, on a list, in days and in money."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lifecycle_ml.models.baselines import rules_for
from lifecycle_ml.models.evaluation import DaysOfWarning, Interval
from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.promotion.backtest import MODEL
from lifecycle_ml.promotion.card_cells import (
    cash,
    figure,
    in_words,
    percent,
    rounded,
    table,
    with_ends,
)
from lifecycle_ml.promotion.challenger import Challenger
from lifecycle_ml.promotion.evaluation import CALENDAR, LEFT_ALONE, RANDOM, WORKED_ON, Evaluation, Group

_COLUMNS = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "top_decile_lift": "top-decile lift",
    "observed_expected": "observed / expected",
}
_DECIMALS = {"top_decile_lift": 1, "observed_expected": 2}


def figures_beside_rules(evaluation: Evaluation, recipe: Recipe) -> list[str]:
    """Return the section of the model beside every rule, and at each horizon."""
    shown: dict[str, Mapping[str, Interval]] = {"model": evaluation.metrics} if evaluation.metrics else {}
    shown |= dict(evaluation.baselines)
    if not shown:
        return []
    rows = [
        [
            in_words(name),
            *(_figure_of(figures, column) for column in _COLUMNS),
            figure(evaluation.gains.get(name), signed=True),
        ]
        for name, figures in shown.items()
    ]
    lines = [
        f"## At {recipe.label.headline_days} days, beside every rule",
        "",
        *table(["", *_COLUMNS.values(), "model's average precision above it, paired"], rows),
    ]
    says = {rule.name: rule.says for rule in rules_for(recipe) if rule.name in shown}
    lines += ["", *(f"- {in_words(name)}: {text}" for name, text in says.items())]
    lines += [f"- {in_words(name)} could not be tried: {why}" for name, why in evaluation.skipped.items()]
    if evaluation.by_horizon:
        headline = {recipe.label.headline_days: evaluation.metrics}
        horizons = dict(sorted((dict(evaluation.by_horizon) | headline).items()))
        columns = {name: _COLUMNS[name] for name in ("auroc", "average_precision", "observed_expected")}
        rows = [
            [f"{days} days", *(_figure_of(figures, name) for name in columns)]
            for days, figures in horizons.items()
        ]
        lines += ["", "The model at each horizon:", "", *table(["", *columns.values()], rows)]
    return lines


def within_groups(evaluation: Evaluation, recipe: Recipe) -> list[str]:
    """Return the section of groups and segments, each beside the rule that orders it best."""
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
        lines += table([*header, "model above it, paired"], [_group(*item) for item in shown.items()])
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


def _group(name: str, group: Group) -> list[str]:
    counts = [name, f"{group.accounts:,}", f"{group.accounts_with_outcome:,}"]
    if group.reason is not None:
        return [*counts, group.reason, "–", "–", "–"]
    rule = "–" if group.best_rule is None else f"{in_words(group.best_rule)} {rounded(group.rule.value)}"
    figures = [figure(group.metrics.get(metric)) for metric in ("auroc", "average_precision")]
    return [*counts, *figures, rule, figure(group.gain, signed=True)]


def on_a_list(evaluation: Evaluation, recipe: Recipe) -> list[str]:
    """Return the section of what a team's list finds: accounts, their ARR, and tenths of all."""
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
        *table(
            ["list", "accounts a date", "precision", "recall", "lift"],
            [
                [
                    f"{row['share']:.0%}",
                    f"{row['accounts']:.0f}",
                    *(with_ends(row, name, percent=True) for name in ("precision", "recall")),
                    with_ends(row, "lift", decimals=1),
                ]
                for row in capacity.to_dict("records")
            ],
        ),
        "",
    ]
    if "arr_caught" in capacity:
        rivals = {"arr": "by ARR alone", "calendar": f"by {in_words(CALENDAR)} x ARR"}
        rivals = {name: text for name, text in rivals.items() if f"arr_caught_{name}" in capacity}
        header = ["list", "by probability x ARR"]
        for text in rivals.values():
            header += [text, "model above it, paired"]
        rows = []
        for row in capacity.to_dict("records"):
            cells = [f"{row['share']:.0%}", with_ends(row, "arr_caught", percent=True)]
            for name in rivals:
                cells.append(f"{row[f'arr_caught_{name}']:.0%}")
                cells.append(with_ends(row, f"gain_over_{name}", percent=True, signed=True))
            rows.append(cells)
        lines += [
            f"Part of the ARR of {outcome} accounts that is on the list:",
            "",
            *table(header, rows),
            "",
        ]
    else:
        lines += [f"ARR on the list: not measured, {evaluation.unmeasured.get('arr_caught', 'unknown')}.", ""]
    lines += [
        "All dates together, by tenths from the highest probability down:",
        "",
        *table(
            ["tenth", "expected", "seen", "lift", "found so far"],
            [
                [
                    str(row["decile"]),
                    f"{row['expected']:.1%}",
                    f"{row['rate']:.1%}",
                    with_ends(row, "lift"),
                    f"{row['found']:.0%}",
                ]
                for row in evaluation.deciles.to_dict("records")
            ],
        ),
    ]
    return lines


def days_of_warning(evaluation: Evaluation) -> list[str]:
    """Return the section of how early accounts that left stood on the list."""
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
    return [*lines, "", *table(header, rows)]


def _list_name(name: str) -> str:
    return {MODEL: "the model's", RANDOM: "drawn at random"}.get(name, in_words(name))


def _days(warning: DaysOfWarning) -> list[str]:
    cells = [f"{warning.named:.0%}", figure(warning.median, decimals=0)]
    return cells + [percent(share) for share in warning.shares.values()]


def in_money(challenger: Challenger, recipe: Recipe) -> list[str]:
    """Return the section of ARR expected and seen, and of what lies ahead."""
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
            f"do not add up. Over all of them {figure(evaluation.money_ratio, decimals=2)} times what was "
            f"expected was {lost}."
        )
        lines += [
            says,
            "",
            *table(
                ["date", "accounts", "expected", "seen", "seen / expected"],
                [
                    [
                        str(row["as_of"].date()),
                        f"{row['accounts']:,}",
                        cash(row, ("expected", "expected_low", "expected_high")),
                        cash(row, ("observed", "observed_low", "observed_high")),
                        with_ends(row, "ratio", decimals=2),
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
            *table(
                ["month", f"ARR {lost}"],
                [
                    [
                        "all" if pd.isna(row["month"]) else f"{row['month']:%Y-%m}",
                        cash(row, ("expected", "low", "high")),
                    ]
                    for row in outlook.total.to_dict("records")
                ],
            ),
        ]
    return lines


def _trimmed(lines: list[str]) -> list[str]:
    while lines and not lines[-1]:
        lines = lines[:-1]
    return lines


def _figure_of(figures: Mapping[str, Interval], name: str) -> str:
    return figure(figures.get(name), decimals=_DECIMALS.get(name, 3))
