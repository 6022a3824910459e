"""Commands that make something: train, run, serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle_ml.cli.screen import progress_bars, say, say_json, show_table
from lifecycle_ml.errors import ConfigError, LifecycleError, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime
    from pathlib import Path

    import pandas as pd
    from fastapi import FastAPI

    from lifecycle_ml.outcomes.recipe import Recipe
    from lifecycle_ml.promotion.training import TrainingResult
    from lifecycle_ml.service.serving import Comparer, Refresher
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.store.between import Pair
    from lifecycle_ml.workspace import Workspace

KEEP_ALIVE = 65
"""Seconds an idle connection is kept: longer than the proxies before us keep theirs, so that none of them
sends a call down a connection we just closed."""
LAST_ANSWERS = 30
"""Seconds that calls in flight have to be answered once the service is told to stop."""


def train(
    workspace: Workspace,
    settings: Settings,
    recipe: str,
    as_of: date,
    seed: int,
    predictions: Path | None,
    *,
    searching: bool,
    as_json: bool,
) -> None:
    """Train a challenger on everything known by `as_of` and show what came of it."""
    from lifecycle_ml.outcomes.recipe import load_recipe
    from lifecycle_ml.promotion.training import train as train_recipe
    from lifecycle_ml.tables.source import read_tables

    found = load_recipe(workspace, recipe)  # a misspelt name should not cost the reading of all tables
    with progress_bars() as progress:
        progress("reading the tables", 0, 1)
        tables = read_tables(workspace, settings)
        progress("reading the tables", 1, 1)
        result = train_recipe(
            workspace,
            settings,
            recipe,
            tables,
            as_of,
            seed=seed,
            searching=searching,
            interventions=_interventions(settings, found),
            predictions=predictions,
            progress=progress,
        )
    if as_json:
        say_json(result.to_json())
    else:
        show_training(result)


def _interventions(settings: Settings, recipe: Recipe) -> pd.DataFrame | None:
    """Return who was worked on for what the recipe predicts; None where no store was made yet."""
    from contextlib import closing

    from lifecycle_ml.monitor.effects import worked_on
    from lifecycle_ml.store.engine import exists
    from lifecycle_ml.store.store import Store

    if not exists(settings.store_url):
        return None
    with closing(Store.open(settings.store_url)) as store:
        return worked_on(store.assignments(), recipe)


SHOWN_METRICS = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "top_decile_lift": "top-decile lift",
    "observed_expected": "observed/expected",
}


def show_training(result: TrainingResult) -> None:
    """Show the figures of a training beside the rules, and the gate's answer."""
    document = result.to_json()
    candidates = {"the model": document["metrics"], **document["baselines"]}
    show_table(
        f"{document['recipe']}: figures out of time, with 95% intervals by account",
        ["", *SHOWN_METRICS.values()],
        [
            [name.replace("_", " "), *(_interval(figures.get(metric)) for metric in SHOWN_METRICS)]
            for name, figures in candidates.items()
        ],
    )
    if result.searched is not None:
        say(f"Search: {result.searched}.")
    if result.worked_on is not None:
        say(result.worked_on)
    if worse := result.challenger.evaluation.worse_segments:
        say(f"In these segments the best rule orders accounts better than the model: {', '.join(worse)}.")
    if document["refusals"]:
        _say_refusals(document["refusals"])
    elif document["promoted"]:
        say(f"Version {document['version']} passed the gate and serves.")
    else:
        say(
            f"Version {document['version']} passed the gate as a challenger; an earlier one goes on serving. "
            f"Compare the two with `lifecycle promote {document['recipe']}`."
        )


def _say_refusals(refusals: Sequence[Mapping[str, str]]) -> None:
    say("The gate refuses this model; it does not serve:")
    for refusal in refusals:
        say(f"  {refusal['rule']}: saw {refusal['saw']}; needs {refusal['needs']}")


def _interval(figure: dict[str, Any] | None) -> str:
    if figure is None or figure.get("value") is None:
        return "–"
    if figure.get("low") is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def run(
    workspace: Workspace,
    settings: Settings,
    as_of: date,
    now: datetime,
    *,
    as_json: bool,
    may_train: bool,
) -> None:
    """Run the chain and show what was published."""
    from lifecycle_ml.cli import readings
    from lifecycle_ml.nightly import run_nightly

    with progress_bars() as progress:
        summary = run_nightly(workspace, settings, as_of, now, may_train=may_train, progress=progress)
    if as_json:
        say_json(summary.to_json())
        return
    colors = ", ".join(f"{count} {color}" for color, count in summary.health.items())
    say(f"Published {summary.accounts:,} accounts as of {as_of}: {colors}; {summary.actions} new actions.")
    for name, bundle in summary.bundles.items():
        if bundle.source == "rules":
            say(f"Rules serve for {name}: bands instead of probabilities.")
            _say_refusals(bundle.refusals)
    if not summary.current:
        say("Readers see a newer as-of date already: this one is kept as history, and no action was touched.")
        return
    if summary.history:
        say(f"The store was empty: {summary.history} weekly as_of dates were replayed first, as history.")
    readings.show_today(settings, most=10)


def serve(
    workspace: Workspace, settings: Settings, host: str, port: int, log: str = "quiet", *, warm: bool = False
) -> None:
    """Serve until interrupted; `warm`: refresh once beside it. Raises: ConfigError where no API key works."""
    from threading import Thread

    import uvicorn

    from lifecycle_ml.cli.keys import count_keys
    from lifecycle_ml.service.logs import set_up

    if not count_keys(settings):
        raise ConfigError(
            "the service has no keys, so nobody could call it: "
            "`lifecycle keys create NAME --role read` makes one."
        )
    _require_free(host, port)
    app = make_service(workspace, settings)
    set_up(log)
    say(f"Serving on http://{host}:{port}/ (stop with Ctrl-C)")
    if warm:
        refresh = _refresher(workspace, settings)
        Thread(target=lambda: say(warm_up(settings, refresh)), daemon=True).start()
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=LAST_ANSWERS,
    )


def make_service(workspace: Workspace, settings: Settings) -> FastAPI:
    """Return the service with all that reads the source."""
    from lifecycle_ml.service.app import create_app
    from lifecycle_ml.what_if import WhatIfs

    return create_app(
        settings,
        workspace,
        refresher=_refresher(workspace, settings),
        comparer=_comparer(workspace, settings),
        what_ifs=WhatIfs(workspace, settings).answer,
    )


def warm_up(settings: Settings, refresh: Refresher) -> str:
    """Refresh one published account and throw it away; return what to say of it.

    The first refresh of a process imports the pipeline, reads the models and puts every question to the
    source for the first time, which takes several times as long as those that follow. Whatever goes wrong is
    said and nothing more: the stored readings are served all the same.
    """
    from lifecycle_ml.store.store import Store

    store = Store.open(settings.store_url)
    try:
        listed = store.list_accounts(limit=1).rows
    except StoreError as error:
        return f"Not warmed up: {error}"
    finally:
        store.close()
    if not listed:
        return "Not warmed up: nothing is published yet."
    try:
        refresh([listed[0].account_id], None)
    except LifecycleError as error:
        return f"Not warmed up, and `refresh` will fail likewise: {error}"
    return "Warmed up: `refresh` answers at its usual speed."


def _require_free(host: str, port: int) -> None:
    """Raise ConfigError where the address cannot be listened on."""
    import socket

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error.strerror}. Choose another with --host and --port."
            ) from error


def _refresher(workspace: Workspace, settings: Settings) -> Refresher:
    """Return what recomputes accounts from the source; the pipeline is imported at its first use."""
    from lifecycle_ml.cli import clock

    def refresh(account_ids: list[str], as_of: date | None) -> dict[str, dict[str, Any]]:
        import json

        from lifecycle_ml.readings import refresh_readings

        day = as_of or clock.today()
        found = refresh_readings(workspace, settings, account_ids, day, clock.run_clock(None, day))
        return {account: json.loads(reading.body) for account, reading in found.items()}

    return refresh


def _comparer(workspace: Workspace, settings: Settings) -> Comparer:
    """Return what says why a risk moved; one at a time, for each reads the whole source."""
    from threading import Lock

    lock = Lock()

    def compare(pair: Pair) -> dict[str, Any]:
        from lifecycle_ml.movement import explain_move

        with lock:
            return explain_move(workspace, settings, pair)

    return compare
