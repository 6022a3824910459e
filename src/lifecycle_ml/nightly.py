"""The data flow in one file: check, matrix, score, reasons, health, actions, publish, monitor.

`readings.py` turns tables into readings; here they are made for everybody and published.

A run that was killed at any point is completed by the next one for the same as_of. What is wrong with tables
or configuration is found before anything is written; then the run records its clock, trains where nothing
serves, replays history into an empty store, and publishes with one flip of a pointer. Every step either did
not happen, or is found done and not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.metadata import version
from typing import Any

import pandas as pd

from lifecycle_ml.actions.hold_out import SALT
from lifecycle_ml.actions.plan import ActionEvent, plan_actions
from lifecycle_ml.actions.stages import START
from lifecycle_ml.check import CheckReport, check
from lifecycle_ml.errors import TableError
from lifecycle_ml.health.state import HealthState
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.monitor.config import load_monitoring
from lifecycle_ml.monitor.effects import worked_on
from lifecycle_ml.monitor.verdict import watch
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.outcomes.snapshots import population
from lifecycle_ml.promotion.training import train
from lifecycle_ml.readings import (
    Past,
    Readings,
    finished_lately,
    midnight,
    named_accounts,
    past_of,
    read_accounts,
)
from lifecycle_ml.revenue.statement import revenue_statement
from lifecycle_ml.rulebook import CHURN, Rulebook, load_rulebook, load_rules, untrained
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.rows import Publication
from lifecycle_ml.store.store import Store
from lifecycle_ml.tables.source import Tables, read_tables
from lifecycle_ml.workspace import Workspace

COLORS = ("red", "yellow", "green")
HISTORY_WEEKS = 12
"""Weekly as_of dates replayed into an empty store, so that colours start with a past."""

Progress = Callable[[str, int, int], None]


def _quiet(_step: str, _done: int, _total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class RunSummary:
    """What a run published."""

    as_of: date
    publication_id: int
    accounts: int
    health: Mapping[str, int]
    actions: int
    history: int
    current: bool
    """Whether readers see it; an as_of older than theirs is kept as history."""
    bundles: Mapping[str, Bundle]
    """What serves, by recipe, with the refusals of the model it stands in for."""

    def to_json(self) -> dict[str, Any]:
        """Return the document of `score --json`."""
        return {
            "as_of": self.as_of.isoformat(),
            "accounts": self.accounts,
            "health": dict(self.health),
            "actions": self.actions,
        }


def run_nightly(
    workspace: Workspace,
    settings: Settings,
    as_of: date,
    now: datetime,
    *,
    tables: Tables | None = None,
    report: CheckReport | None = None,
    may_train: bool = True,
    watching: bool = True,
    progress: Progress = _quiet,
) -> RunSummary:
    """Run the whole chain for `as_of` and publish it; `now` is the recorded clock of the run.

    Trains only where nothing serves. The first run into an empty store first replays the last twelve weekly
    as_of dates as they were known then, and publishes them as history. A run that was killed is completed
    by the next one for its as_of, with its recorded now. Tables already read and checked may be handed over;
    `watching` keeps the monitor's verdict on what serves.

    Raises: TableError, and nothing is written, where the tables break the data contract or hold no customer;
    ConfigError where nothing serves and training is not allowed.
    """
    tables = read_tables(workspace, settings) if tables is None else tables
    report = check(workspace, settings, as_of, tables=tables) if report is None else report
    if not report.ok:
        raise TableError("\n".join(item.advice for item in report.findings if item.severity == "error"))
    recipe = load_recipe(workspace, CHURN)
    if population(tables, recipe, [as_of]).empty:
        raise TableError(
            f"no account is a customer as of {as_of} (training/{CHURN}.toml, mode {recipe.label.mode!r}), so "
            "nothing is published. See the sources of "
            f"{', '.join(sorted(recipe.needs))} in features/sources, and the as-of date."
        )
    loaded = load_rules(workspace, tables, {})
    store = Store.open(settings.store_url)
    try:
        latest = store.current()
        waiting = untrained(workspace, settings, tables) if may_train else []
        run = None
        if not waiting:
            run = _Run(load_rulebook(workspace, settings, tables, loaded=loaded), store, tables, progress)
        if run is not None and latest is not None and run.only_watched_not(latest, as_of, now):
            return run.finish(latest, watching=watching)
        # An as_of older than what readers see is kept as history: it moves neither them nor any action.
        current = latest is None or as_of >= latest.as_of
        publication = store.begin(as_of, midnight(as_of), now, "nightly" if current else "history")
        for name in waiting:
            done = worked_on(store.assignments(), load_recipe(workspace, name))
            train(workspace, settings, name, tables, as_of, interventions=done, progress=progress)
        if run is None:
            run = _Run(load_rulebook(workspace, settings, tables, loaded=loaded), store, tables, progress)
        history = run.replay(as_of) if latest is None else 0
        counts = run.publish(publication, current=current)
        if watching and counts["current"]:
            run.keep_books(publication)
            run.watch(publication)
    finally:
        store.close()
    return RunSummary(**counts, history=history, bundles=run.rules.bundles)


@dataclass(frozen=True)
class _Run:
    """One run's way from tables to publications, with everything loaded."""

    rules: Rulebook
    store: Store
    tables: Tables
    progress: Progress

    def replay(self, as_of: date) -> int:
        """Publish the last twelve weekly as_of dates as history; those an earlier attempt did are kept."""
        days = [as_of - timedelta(weeks=week) for week in range(HISTORY_WEEKS, 0, -1)]
        done = [self.store.published(day, "history") for day in days]
        kept = 0
        while kept < len(days) and (past := done[kept]) is not None and past.digests == self._digests:
            kept += 1
        matrices = self._build(days[kept:])
        for number, (day, matrix) in enumerate(matrices.items(), kept):
            self.progress("replaying twelve weeks", number, len(days))
            clock = midnight(day) + timedelta(hours=2)
            publication = self.store.begin(day, midnight(day), clock, "history")
            self._publish(publication, matrix, current=False)
        self.progress("replaying twelve weeks", len(days), len(days))
        return len(days)

    def publish(self, publication: Publication, *, current: bool) -> dict[str, Any]:
        """Publish the as_of of the run."""
        matrix = self._build([publication.as_of])[publication.as_of]
        self.progress("scoring and publishing", 0, 1)
        counts = self._publish(publication, matrix, current=current)
        self.progress("scoring and publishing", 1, 1)
        return counts

    def only_watched_not(self, latest: Publication, as_of: date, now: datetime) -> bool:
        """Whether a run for this as_of published all there is, and at most its last step is missing.

        Made of the same data, rules and models, at the same clock or by a run that never came to its end,
        its publication could only be repeated.
        """
        if latest.as_of != as_of:
            return False
        watched = (self.store.verdict() or {}).get("as_of") == as_of.isoformat()
        return latest.digests == self._digests and (latest.now == now or not watched)

    def finish(self, latest: Publication, *, watching: bool) -> RunSummary:
        """Do what is left of the run that published `latest`."""
        if watching:
            self.keep_books(latest)
            self.watch(latest)
        mix = self.store.mix()
        return RunSummary(
            as_of=latest.as_of,
            publication_id=latest.publication_id,
            accounts=latest.accounts or 0,
            health={color: mix[color].accounts if color in mix else 0 for color in COLORS},
            actions=0,
            history=0,
            current=True,
            bundles=self.rules.bundles,
        )

    def keep_books(self, publication: Publication) -> None:
        """Keep NRR, GRR, their forecast and what retention teaches; nothing where there are no contracts."""
        if "contracts" not in self.tables:
            return
        self.progress("keeping the books", 0, 1)
        label, taxonomy = self.rules.recipe.label, self.rules.taxonomy
        statement = revenue_statement(
            self.tables,
            publication.as_of,
            label.grace_days,
            label.arrival_lag_days,
            self.store,
            decides={name: taxonomy.named(name).owner_role for name in taxonomy.categories},
            before=self.store.statement(),
        )
        self.store.write_statement(publication.as_of, publication.now, statement)
        self.progress("keeping the books", 1, 1)

    def watch(self, publication: Publication) -> None:
        """Keep the monitor's word on whether what serves is still right."""
        self.progress("watching what serves", 0, 1)
        rules, config = self.rules, load_monitoring(self.rules.workspace)
        verdict = watch(self.tables, rules.features, rules.churn, rules.recipe, config, publication.as_of)
        self.store.write_verdict(publication.as_of, publication.now, verdict.to_json())
        self.progress("watching what serves", 1, 1)

    @property
    def _digests(self) -> dict[str, Any]:
        return {
            "workspace": self.rules.workspace.digest,
            "tables": self.tables.fingerprint,
            "package": version("lifecycle_ml"),
            "models": self.rules.models,
        }

    def _build(self, days: Sequence[date]) -> dict[date, pd.DataFrame]:
        """Build the matrix of several as_of dates in one pass, each as known then."""
        self.progress("building the matrix", 0, 1)
        spine = population(self.tables, self.rules.recipe, days) if days else None
        matrix = None if spine is None else build_matrix(self.tables, self.rules.features, spine)
        self.progress("building the matrix", 1, 1)
        if matrix is None:
            return {}
        return {day: matrix[matrix["as_of"] == pd.Timestamp(day)].reset_index(drop=True) for day in days}

    def _publish(self, publication: Publication, matrix: pd.DataFrame, *, current: bool) -> dict[str, Any]:
        as_of, now = publication.as_of, publication.now
        accounts = named_accounts(self.tables, self.rules, as_of, publication.known_at)
        past = self._past(as_of)
        readings = read_accounts(self.rules, accounts, matrix, as_of, publication.known_at, now, past)
        events = self._plan(readings, past, now) if current else []
        self.store.write_readings(publication, readings.stored)
        absent = sorted(set(accounts["account_id"]) - set(matrix["account_id"]))
        self.store.write_unscored(publication, dict.fromkeys(absent, f"no customer as of {as_of}"))
        asked = zip(readings.scored["account_id"], readings.scored[START], strict=True)
        starts = {account: criteria for account, criteria in asked if isinstance(criteria, list)}
        self.store.write_onboarding_starts(publication, starts)
        seen = self.store.publish(publication, events, digests=self._digests, current=current)
        colors = readings.scored["health"].value_counts()
        return {
            "as_of": as_of,
            "publication_id": publication.publication_id,
            "accounts": len(readings.stored),
            "health": {color: int(colors.get(color, 0)) for color in COLORS},
            "actions": sum(event.kind == "opened" for event in events) if seen else 0,
            "current": seen,
        }

    def _past(self, as_of: date) -> Past:
        """Return what earlier readings left: of the newest as_of before, or within grace before that.

        An account whose contract lapsed and is renewed within grace goes on where it was.
        """
        return past_of(self.store, self.rules.recipe, as_of)

    def _plan(self, readings: Readings, past: Past, now: datetime) -> list[ActionEvent]:
        # A lapsed account within grace is nobody's reading today, but its actions go on.
        actions = self.rules.actions
        lapsed = {
            account: HealthState.from_json(before.state)
            for account, before in past.items()
            if account not in readings.states
        }
        states = {**readings.states, **lapsed}
        ended = finished_lately(self.store, states, actions, now)
        return plan_actions(
            readings.scored,
            states,
            self.store.open_actions(),
            ended,
            actions,
            now,
            self.store.secret(SALT),
        )
