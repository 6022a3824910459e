"""The command that lets old readings go: store prune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lifecycle_ml.cli import clock
from lifecycle_ml.cli.options import ByOption, JsonOption, WorkspaceOption, open_workspace, who_says
from lifecycle_ml.cli.screen import say, say_json
from lifecycle_ml.cli.sections import Uncut

app = typer.Typer(cls=Uncut, help="What the store keeps.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keep `prune` a command of a group, though it is the only one."""


@app.command("prune")
def prune(
    keep_days: Annotated[
        int, typer.Option(help="Days before the published as-of date whose readings stay.", min=91)
    ],
    workspace: WorkspaceOption = Path(),
    by: ByOption = None,
    json: JsonOption = False,
) -> None:
    """Delete readings older than that; actions, the ledger and what people said stay."""
    from lifecycle_ml.store.engine import open_engine
    from lifecycle_ml.store.pruning import prune as prune_store

    engine = open_engine(open_workspace(workspace)[1].store_url)
    try:
        pruned = prune_store(engine, keep_days, who_says(by), clock.run_clock(None, clock.today()))
    finally:
        engine.dispose()
    if json:
        say_json({"publications": pruned.publications, "readings": pruned.readings, "before": pruned.before})
    elif not pruned.publications:
        say("Nothing is that old.")
    else:
        say(
            f"{pruned.readings:,} readings in {pruned.publications:,} publications from before "
            f"{pruned.before} are gone. The database uses their room again; a SQLite file gets smaller "
            "with VACUUM."
        )
