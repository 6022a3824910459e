"""The command that says what playbooks changed: actions --effects."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from lifecycle_ml.cli.clock import run_clock
from lifecycle_ml.cli.screen import say, say_json, show_table
from lifecycle_ml.errors import ConfigError

if TYPE_CHECKING:
    from datetime import date

    from lifecycle_ml.actions.effects import Effect, Group
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.store.assigned import Assigned
    from lifecycle_ml.workspace import Workspace

NAIVE = (
    "Naive: the probability as scored when work was offered, against what came of the accounts for which it "
    "was done. It is no effect: many accounts get better by themselves."
)


def effects(
    workspace: Workspace, settings: Settings, as_of: date, stated: float | None, *, as_json: bool
) -> None:
    """Show the effect of each playbook and trigger with a hold-out, and keep it for the page.

    Outcomes are known up to `as_of`.
    Raises: ConfigError where the effect looked for is no share.
    """
    from lifecycle_ml.actions.rulebook import load_action_rules
    from lifecycle_ml.matrix.load import load_features
    from lifecycle_ml.monitor.effects import OUTCOME_OF, measure_effects
    from lifecycle_ml.outcomes.recipe import load_recipe
    from lifecycle_ml.store.store import Store
    from lifecycle_ml.tables.source import read_tables

    if stated is not None and not 0 < stated < 1:
        raise ConfigError(f"--effect {stated} is no share; write 0.05 for five accounts in a hundred.")
    with closing(Store.open(settings.store_url)) as store:
        assigned = store.assignments()
    found: list[Effect] = []
    if any(each.assignment.share > 0 for each in assigned):
        tables = read_tables(workspace, settings)
        rules = load_action_rules(workspace, load_features(workspace).names)
        every = {str(name): load_recipe(workspace, name) for name in OUTCOME_OF.values()}
        recipes = {name: recipe for name, recipe in every.items() if recipe.needs.issubset(tables.names)}
        found = measure_effects(assigned, tables, recipes, rules, as_of, stated)
        with closing(Store.open(settings.store_url)) as store:
            store.write_effects(as_of, run_clock(None, as_of), [each.to_json() for each in found])
    if as_json:
        say_json({"as_of": as_of.isoformat(), "effects": [each.to_json() for each in found]})
        return
    if not found:
        say(_nothing(assigned))
        return
    show_table(
        f"What playbooks changed, outcomes known up to {as_of}",
        [
            "playbook",
            "offered",
            "held out",
            "waiting",
            "delivered",
            "effect (95% interval)",
            "still needed",
            "naive",
        ],
        [_row(each) for each in found],
        right=["waiting", "delivered", "still needed", "naive"],
    )
    say("Effect: churn avoided, for triggers expansion added, by offering the work, in points.")
    say(NAIVE)


def _row(effect: Effect) -> list[object]:
    told = effect.effect
    return [
        effect.playbook,
        _arm(effect.offered, effect.outcome),
        _arm(effect.held_out, effect.outcome),
        effect.waiting,
        None if effect.delivered is None else f"{effect.delivered:.0%}",
        "nothing known yet"
        if told is None
        else f"{_points(told.value)} ({_points(told.low)} to {_points(told.high)})",
        _needed(effect),
        None if effect.naive is None else _points(effect.naive),
    ]


def _needed(effect: Effect) -> str | None:
    if effect.needed is None or effect.stated is None:
        return None
    return f"{effect.needed:,} for {100 * effect.stated:.1f} points"


def _arm(group: Group, outcome: str) -> str:
    did = "left" if outcome == "churn" else "grew"
    return "none" if group.rate is None else f"{group.events} of {group.count} {did} ({group.rate:.0%})"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _nothing(assigned: list[Assigned]) -> str:
    if not assigned:
        return "No playbook was opened yet; run `lifecycle run` first."
    return (
        f"{len(assigned):,} times a playbook or trigger was opened, and nobody was ever held out: what "
        "they changed cannot be told. Set hold_out on a yellow playbook or a trigger: "
        "docs/how-to/write-a-playbook.md."
    )
