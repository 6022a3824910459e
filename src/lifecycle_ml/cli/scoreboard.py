"""The command that says what followed when triggers fired: actions --scoreboard."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from lifecycle_ml.cli.clock import run_clock
from lifecycle_ml.cli.screen import say, say_json, show_table
from lifecycle_ml.errors import ConfigError

if TYPE_CHECKING:
    from datetime import date

    from lifecycle_ml.monitor.compared import Compared
    from lifecycle_ml.monitor.scoreboard import Score
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.workspace import Workspace

RECIPE = "expansion"
NO_EFFECT = (
    "What followed is no effect: accounts that show a sign differ from those that do not. To measure an "
    "effect set hold_out on a trigger and see `lifecycle actions --effects`."
)


def scoreboard(workspace: Workspace, settings: Settings, as_of: date, *, as_json: bool) -> None:
    """Show, for each trigger, how often it fired, what became of its tasks, and what followed; keep it.

    By what was known at `as_of`. Raises: ConfigError where the tables an expansion is told from are lacking.
    """
    from lifecycle_ml.actions.rulebook import load_action_rules
    from lifecycle_ml.matrix.load import load_features
    from lifecycle_ml.monitor.scoreboard import check_dates, score_triggers
    from lifecycle_ml.outcomes.recipe import load_recipe
    from lifecycle_ml.promotion.training import segments_of
    from lifecycle_ml.store.store import Store
    from lifecycle_ml.tables.source import read_tables

    features, recipe = load_features(workspace), load_recipe(workspace, RECIPE)
    rules = load_action_rules(workspace, features.names)
    tables = read_tables(workspace, settings)
    if lacking := sorted(recipe.needs.difference(tables.names)):
        raise ConfigError(
            f"what followed cannot be told without {', '.join(lacking)}: see training/{RECIPE}.toml and the "
            "sources in features/sources."
        )
    days = check_dates(tables, as_of, recipe.snapshots.warmup_days)
    with closing(Store.open(settings.store_url)) as store:
        assigned = store.assignments()
        colors = store.colors(days)
    found = score_triggers(
        tables, features, rules.triggers, recipe, segments_of(tables), assigned, colors, as_of
    )
    document = {"as_of": as_of.isoformat(), "triggers": [each.to_json() for each in found]}
    with closing(Store.open(settings.store_url)) as store:
        store.write_scoreboard(as_of, run_clock(None, as_of), document)
    if as_json:
        say_json(document)
        return
    show_scores(found, days)


def show_scores(found: list[Score], days: list[date]) -> None:
    """Show the scores, and in words what followed; `days` are those the triggers were held against."""
    show_table(
        f"Triggers and what followed, by what was known at {days[-1]} ({len(days)} dates since {days[0]})",
        ["trigger", "fired", "tasks", "worked", "no task", "grew", "ARR", "left"],
        [_row(each) for each in found],
        right=["fired", "tasks", "worked"],
    )
    say(
        "grew, ARR, left: after it fired / of comparable accounts (same date, segment and size) where it did "
        "not."
    )
    for each in found:
        say(f"{each.trigger}: {each.says}")
    say(NO_EFFECT)


def _row(each: Score) -> list[Any]:
    tasks = each.tasks
    none = [
        f"{count} {why}"
        for count, why in ((tasks.red, "red"), (tasks.yellow, "yellow"), (tasks.no_room, "no room"))
        if count
    ]
    return [
        each.trigger,
        "unknown" if each.fired is None else each.fired,
        tasks.opened,
        tasks.worked,
        ", ".join(none) or None,
        _beside(each.grew),
        _beside(each.arr, signed=True),
        _beside(each.left),
    ]


def _beside(told: Compared | None, *, signed: bool = False) -> str | None:
    if told is None:
        return None
    shown = "+.1%" if signed else ".1%"
    return f"{told.mean:{shown}} / {told.other_mean:{shown}}"
