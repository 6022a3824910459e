"""`lifecycle health tune`: limits to paste, with what each choice would have caught."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lifecycle_ml.cli.options import JsonOption, WorkspaceOption, open_workspace
from lifecycle_ml.cli.screen import progress_bars, say, say_json, show_table
from lifecycle_ml.cli.sections import Uncut
from lifecycle_ml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lifecycle_ml.promotion.tuning import Caught, Proposal
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.workspace import Workspace

app = typer.Typer(cls=Uncut, help="Colours: where they turn.", no_args_is_help=True)

COLUMNS = ["limits", "red", "caught", "rule", "odds", "red+yellow", "caught ", "rule ", "flips"]


@app.command("tune")
def health_tune(
    workspace: WorkspaceOption = Path(),
    red: Annotated[
        float | None,
        typer.Option(help="Share of accounts a team can treat as red; default red_capacity of the recipe."),
    ] = None,
    flagged: Annotated[
        float | None, typer.Option(help="Likewise red and yellow; default flagged_capacity of the recipe.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Propose limits of health for what a team can carry, with what each choice would have caught."""
    tune(*open_workspace(workspace), red, flagged, as_json=json)


def tune(
    workspace: Workspace, settings: Settings, red: float | None, flagged: float | None, *, as_json: bool
) -> None:
    """Propose limits for what the team can carry; nothing is written.

    Raises: ConfigError where there is no model, history is too short, or a share is none.
    """
    from lifecycle_ml.outcomes.recipe import load_recipe
    from lifecycle_ml.promotion.grounds import load_grounds
    from lifecycle_ml.promotion.history import spoken_history
    from lifecycle_ml.promotion.tuning import propose
    from lifecycle_ml.tables.source import read_tables

    recipe = load_recipe(workspace, "churn")
    red = recipe.gate.red_capacity if red is None else red
    flagged = recipe.gate.flagged_capacity if flagged is None else flagged
    if not 0 < red <= flagged <= 1:
        raise ConfigError(
            f"--red {red:g} and --flagged {flagged:g}: give shares with 0 < red <= flagged <= 1."
        )
    with progress_bars() as progress:
        progress("reading the tables", 0, 1)
        tables = read_tables(workspace, settings)
        progress("reading the tables", 1, 1)
        grounds = load_grounds(workspace, tables)
        progress("asking what was said out of time", 0, 1)
        record = spoken_history(settings, recipe, tables, grounds)
        progress("asking what was said out of time", 1, 1)
        progress("trying limits", 0, 1)
        proposal = propose(record, grounds, red, flagged, recipe.gate)
        progress("trying limits", 1, 1)
    if as_json:
        say_json({"red_capacity": red, "flagged_capacity": flagged, **proposal.to_json()})
    else:
        show_proposal(proposal, red, flagged)


def show_proposal(proposal: Proposal, red: float, flagged: float) -> None:
    """Show what was tried, what is proposed beside what is, and the section to paste."""
    rule = proposal.rule.replace("_", " ")
    if proposal.refused is not None:
        say(f"No full model serves. This is of version {proposal.refused}, the newest of those trained.")
    say(
        f"Out of time, at {proposal.dates} dates with {proposal.churned} accounts that left: at most "
        f"{red:.0%} of the accounts red, {flagged:.0%} red or yellow. The rule is {rule}, with as many "
        "accounts. Facts and ways back are left out, so real colours hold longer."
    )
    say("Accounts are those on a day, caught is a share of churn, flips are for an account and quarter.")
    red_columns, yellow_columns = COLUMNS[:5], [COLUMNS[0], *COLUMNS[5:]]
    show_table(
        "What red would have caught",
        red_columns,
        [_row(each)[:5] for each in proposal.reds],
        right=red_columns[1:],
    )
    show_table(
        "What red and yellow would have caught, beside the red chosen",
        yellow_columns,
        [[_row(each)[0], *_row(each)[5:]] for each in proposal.yellows],
        right=yellow_columns[1:],
    )
    rows = [["as it is", *_row(proposal.now)], ["proposed", *_row(proposal.proposed)]]
    if proposal.with_own is not None:
        rows.append(["with limits by segment", *_row(proposal.with_own)])
    for name, (general, own) in proposal.segments.items():
        rows += [[f"{name}: limits of all", *_row(general)], [f"{name}: its own", *_row(own)]]
    show_table("Limits", ["", *COLUMNS], rows, right=COLUMNS[1:])
    if proposal.proposed.red_share > red or proposal.proposed.flagged_share > flagged:
        say("No choice stays within the capacity; this one flags fewest.")
    if not proposal.passes:
        say(
            "With none of the choices would the gate let a model's colours through (min_red_odds and "
            "min_colour_gain of the recipe): these limits do not lift a refusal."
        )
    elif proposal.refused is not None:
        say(
            "With these limits its colours would pass the gate. They were chosen on the very readings the "
            "gate judges, so train again later too, on dates that had no part in the choice."
        )
    if proposal.with_own is not None and not proposal.own:
        say("Limits by segment would not catch more within the capacity, so none are proposed.")
    say("")
    say("To paste over [limits] in serving/health.toml (nothing was written):")
    say("")
    say(proposal.toml())


def _row(choice: Caught) -> list[str]:
    red, yellow = choice.limits.red, choice.limits.yellow
    return [
        f"red {red.enter:g}/{red.exit:g}, yellow {yellow.enter:g}/{yellow.exit:g}",
        f"{choice.red:,.0f}",
        *_shares((choice.caught, choice.rule)),
        "–" if math.isnan(choice.odds) else f"{choice.odds:.1f}",
        f"{choice.flagged:,.0f}",
        *_shares((choice.caught_flagged, choice.rule_flagged)),
        "–" if math.isnan(choice.flips) else f"{choice.flips:.2f}",
    ]


def _shares(values: Iterable[float]) -> list[str]:
    return ["–" if math.isnan(value) else f"{value:.0%}" for value in values]
