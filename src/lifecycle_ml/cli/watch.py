"""The command that looks back at what serves: monitor."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from lifecycle_ml.cli.clock import run_clock
from lifecycle_ml.cli.screen import progress_bars, say, say_json
from lifecycle_ml.errors import ConfigError

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from lifecycle_ml.monitor.verdict import Verdict
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.workspace import Workspace

RECIPE = "churn"


def monitor(
    workspace: Workspace, settings: Settings, as_of: date, folder: Path | None, *, as_json: bool
) -> None:
    """Say whether what serves is still right, keep the verdict, and write the report into `folder`.

    Without a folder no report is written. Raises: ConfigError where nothing serves yet.
    """
    from lifecycle_ml.matrix.load import load_features
    from lifecycle_ml.monitor.config import load_monitoring
    from lifecycle_ml.monitor.observe import observe
    from lifecycle_ml.monitor.verdict import decide
    from lifecycle_ml.outcomes.recipe import load_recipe
    from lifecycle_ml.promotion.training import champion
    from lifecycle_ml.store.store import Store
    from lifecycle_ml.tables.source import read_tables

    config, recipe = load_monitoring(workspace), load_recipe(workspace, RECIPE)
    now = run_clock(None, as_of)
    bundle = champion(settings, RECIPE)
    if bundle is None:
        raise ConfigError("nothing serves yet, so there is nothing to watch; run `lifecycle run` first.")
    with progress_bars() as progress:
        progress("reading the tables", 0, 1)
        tables = read_tables(workspace, settings)
        progress("reading the tables", 1, 1)
        progress("comparing with the training snapshots", 0, 1)
        seen = observe(tables, load_features(workspace), bundle, recipe, config, as_of)
        verdict = decide(seen, config)
        progress("comparing with the training snapshots", 1, 1)
        with closing(Store.open(settings.store_url)) as store:
            store.write_verdict(as_of, now, verdict.to_json())
        if folder is not None:
            from lifecycle_ml.monitor.report import render

            progress("drawing the report", 0, 1)
            page, _ = render(verdict, seen, folder)
            progress("drawing the report", 1, 1)
    if as_json:
        say_json(verdict.to_json())
        return
    show_verdict(verdict)
    if folder is not None:
        say(f"Report: {page}, and drift.json beside it.")


def show_verdict(verdict: Verdict) -> None:
    """Say the verdict in the order an analyst asks: what, whose, by when, what to do, why."""
    say(f"Verdict as of {verdict.as_of}: {verdict.word.upper()}")
    say(verdict.says)
    if verdict.owner_role is not None:
        say(f"Owner: {verdict.owner_role}, due {verdict.due_on}")
    say(f"Next: {verdict.do}")
    for title, weighs in (("It rests on", True), ("Also seen", False)):
        found = [item for item in verdict.evidence if item.weighs == weighs]
        if found:
            say(title)
        for item in found:
            say(f"  - {item.says}")
    say(f"Outcomes are final for snapshots through {verdict.truth_known_through}.")
