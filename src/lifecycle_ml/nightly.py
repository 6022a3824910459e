"""The data flow in one file: check, matrix, score, reasons, health, actions, publish, monitor.

`read_accounts` turns tables into readings and writes nothing; `run_nightly` calls it and publishes; the
service's refresh calls it too, so a reading is the same whichever way it was asked for.

A run that was killed at any point is completed by the next one for the same as_of. What is wrong with tables
or configuration is found before anything is written; then the run records its clock, trains where nothing
serves, replays history into an empty store, and publishes with one flip of a pointer. Every step either did
not happen, or is found done and not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from importlib.metadata import version
from typing import Any

import pandas as pd

from lifecycle_ml.actions.checkpoint_evidence import COLUMN, hear
from lifecycle_ml.actions.checkpoints import renewal_of
from lifecycle_ml.actions.hold_out import SALT
from lifecycle_ml.actions.plan import Action, ActionEvent, ended_in_episode, plan_actions
from lifecycle_ml.actions.rulebook import ActionRules
from lifecycle_ml.actions.stages import START, stages_of, starts_of
from lifecycle_ml.actions.triggers import Fired, fire_triggers
from lifecycle_ml.check import PROVISIONAL, CheckReport, check
from lifecycle_ml.errors import TableError
from lifecycle_ml.health.document import health_document
from lifecycle_ml.health.scored import accounts_of, scored_table
from lifecycle_ml.health.state import HealthState, next_states
from lifecycle_ml.health.what_would_help import WhatIf, what_would_help
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.monitor.config import load_monitoring
from lifecycle_ml.monitor.effects import worked_on
from lifecycle_ml.monitor.verdict import watch
from lifecycle_ml.outcomes.recipe import Recipe, load_recipe
from lifecycle_ml.outcomes.snapshots import population
from lifecycle_ml.promotion.training import train
from lifecycle_ml.reasons.explain import Explanations, explain
from lifecycle_ml.revenue.statement import revenue_statement
from lifecycle_ml.rulebook import CHURN, EXPANSION, Rulebook, load_rulebook, load_rules, served_by, untrained
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.reading import Served, compose, make_receipt, plain
from lifecycle_ml.store.rows import Before, Publication, StoredReading
from lifecycle_ml.store.store import Store
from lifecycle_ml.tables.examine import examine
from lifecycle_ml.tables.source import Tables, read_tables
from lifecycle_ml.workspace import Workspace

COLORS = ("red", "yellow", "green")
HISTORY_WEEKS = 12
"""Weekly as_of dates replayed into an empty store, so that colours start with a past."""

Progress = Callable[[str, int, int], None]
Past = Mapping[str, Before]
"""By account: what its last reading of an earlier as_of left."""


def _quiet(_step: str, _done: int, _total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Readings:
    """The readings of one as_of: what is stored, and what planning actions needs."""

    stored: tuple[StoredReading, ...]
    scored: pd.DataFrame
    states: Mapping[str, HealthState]


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
        publication = store.begin(as_of, _midnight(as_of), now, "nightly" if current else "history")
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
            clock = _midnight(day) + timedelta(hours=2)
            publication = self.store.begin(day, _midnight(day), clock, "history")
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
        accounts = _accounts(self.tables, self.rules, as_of, publication.known_at)
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


def finished_lately(
    store: Store, states: Mapping[str, HealthState], rules: ActionRules, now: datetime
) -> list[Action]:
    """Return the finished actions that still decide what is opened, as `plan_actions` takes them."""
    troubled = [account for account, state in states.items() if state.color != "green"]
    theirs = [action for found in store.actions(troubled).values() for action in found]
    ended = [
        *ended_in_episode([*theirs, *store.recent_actions(now - rules.recall)], states),
        *store.recent_actions(now - rules.playbooks.cool_down),
    ]
    return list({action.action_id: action for action in ended}.values())


def past_of(store: Store, recipe: Recipe, as_of: date) -> Past:
    """Return what each account's last reading before `as_of` left, if it is younger than grace.

    Grace counts back from the newest earlier publication, so that a pause of the runs forgets nothing.
    """
    earlier = [each.as_of for each in store.publications() if each.as_of < as_of]
    if not earlier:
        return {}
    return store.states(before=as_of, since=max(earlier) - timedelta(days=recipe.label.grace_days))


def read_accounts(
    rules: Rulebook,
    accounts: pd.DataFrame,
    matrix: pd.DataFrame,
    as_of: date,
    known_at: datetime,
    now: datetime,
    past: Past,
    *,
    helping: bool = True,
) -> Readings:
    """Turn the matrix of one as_of into readings: scores, reasons, colours, documents and receipts.

    Grain: one reading per row of `matrix`. `past` holds each account's last reading of an earlier as_of;
    `accounts` names, segments and owners as they are today, and whether scores are provisional. Without
    `helping` nobody looks for what would help, which takes longest, and `what_would_help` is [].
    """
    segments = accounts.set_index("account_id")["segment"]
    explanations = explain(rules.churn, matrix, rules.features, rules.taxonomy, segments)
    scored = score_accounts(rules, accounts, matrix, explanations, as_of)
    prior = {account: HealthState.from_json(before.state) for account, before in past.items()}
    states = next_states(
        prior,
        scored,
        rules.health,
        as_of,
        rules.actions.playbooks.recovers_when,
        rules.actions.playbooks.choose,
        rules.churn.base_rates[rules.churn.headline],
    )
    stages = {account: before.stage for account, before in past.items()}
    scored = with_colours(rules, scored, states, stages)
    served = Served(
        as_of=as_of,
        known_at=known_at,
        scored_at=now,
        horizons={name: bundle.horizons for name, bundle in rules.bundles.items()},
        headlines={name: bundle.headline for name, bundle in rules.bundles.items()},
        models=rules.models,
        workspace_digest=rules.workspace.digest,
        package_version=version("lifecycle_ml"),
    )
    fired = fire_triggers(scored, rules.actions.triggers)
    helped = look_for_help(rules, matrix, states, segments.to_dict()) if helping else {}
    read = partial(_read_account, rules, served, past, states, fired, helped)
    rows = _records(scored)
    feature_rows = _records(matrix.drop(columns=["account_id", "as_of"]))
    stored = tuple(
        read(row, values, explanations.reasons[at], explanations.in_favour[at])
        for at, (row, values) in enumerate(zip(rows, feature_rows, strict=True))
    )
    return Readings(stored=stored, scored=scored, states=states)


def with_colours(
    rules: Rulebook,
    scored: pd.DataFrame,
    states: Mapping[str, HealthState],
    stages: Mapping[str, str | None],
) -> pd.DataFrame:
    """Add to the scored table what follows from its states: colour, latched_label, stage, onboarding_start.

    stages: the stage of each account's last reading.
    """
    colors = pd.Series([states[account].color for account in scored["account_id"]], scored.index, dtype="str")
    latched = [states[account].reason for account in scored["account_id"]]
    words = [None if reason is None else rules.taxonomy.label(reason) for reason in latched]
    labels = pd.Series(words, scored.index, dtype="object", name="latched_label")
    scored = pd.concat([scored, colors.rename("health"), labels], axis=1)
    stage = pd.Series(stages_of(scored, stages, rules.actions.stages), scored.index, dtype="str")
    scored = pd.concat([scored, stage.rename("stage")], axis=1)
    starts = pd.Series(starts_of(scored, rules.actions.stages), scored.index, dtype="object", name=START)
    return pd.concat([scored, starts], axis=1)


def look_for_help(
    rules: Rulebook,
    matrix: pd.DataFrame,
    states: Mapping[str, HealthState],
    segments: Mapping[Any, Any] | None = None,
) -> dict[str, WhatIf]:
    """Look for what would bring each red and yellow account under the exit limit of its colour."""
    base_rate = rules.churn.base_rates[rules.churn.headline]
    limits = {
        account: rules.health.limit(state.color, base_rate, (segments or {}).get(account)).exit
        for account, state in states.items()
        if state.color != "green"
    }
    return what_would_help(rules.churn, matrix, limits, rules.levers.moved)


def _read_account(
    rules: Rulebook,
    served: Served,
    past: Past,
    states: Mapping[str, HealthState],
    fired: Mapping[str, Sequence[Fired]],
    helped: Mapping[str, WhatIf],
    row: Mapping[str, Any],
    features: Mapping[str, Any],
    reasons: Sequence[Mapping[str, Any]],
    in_favour: Sequence[Mapping[str, Any]],
) -> StoredReading:
    account = row["account_id"]
    state = states[account]
    criteria = rules.actions.playbooks.recovers_when(state.color, state.reason or "unknown")
    told = rules.levers.say(helped.get(account), state, plain(row["risk"]))
    health = health_document(state, row, criteria, rules.health, served.as_of, told)
    # the segment as of today chooses whom the reasons compare with, so the receipt covers it too
    content = {**features, "reference_segment": row["segment"], "provisional": row["provisional"]}
    receipt = make_receipt(served, account, content, past[account].receipt if account in past else None)
    triggers = [trigger.to_json() for trigger in fired.get(account, ())]
    document = compose(served, row, health, reasons, in_favour, triggers, receipt)
    renewal = renewal_of(row, served.as_of, rules.actions.renewals)
    return StoredReading.of(
        document,
        state=state.to_json(),
        risk=plain(row["risk"]),
        name=plain(row["name"]),
        renewal=None if renewal is None else renewal.to_json(),
    )


def refresh_readings(
    workspace: Workspace, settings: Settings, account_ids: Collection[str], as_of: date, now: datetime
) -> dict[str, StoredReading]:
    """Read accounts afresh from the source as of a date; nothing is written.

    They are scored with the bundles of the publication readers see, not with one promoted since.
    """
    found = read_afresh(workspace, settings, account_ids, as_of, now)
    return {reading.account_id: reading for reading in found.readings.stored}


@dataclass(frozen=True)
class Afresh:
    """Readings made for a question, and what they rest on."""

    rules: Rulebook
    past: Past
    readings: Readings


def read_afresh(
    workspace: Workspace, settings: Settings, account_ids: Collection[str], as_of: date, now: datetime
) -> Afresh:
    """Read accounts as `refresh_readings` does, and return what the readings rest on beside them."""
    gathered = gather(workspace, settings, account_ids, as_of)
    return Afresh(gathered.rules, gathered.past, gathered.read(now))


@dataclass(frozen=True)
class Gathered:
    """All that readings of some accounts are made of: one row of `matrix` each; nothing is scored yet."""

    rules: Rulebook
    accounts: pd.DataFrame
    matrix: pd.DataFrame
    as_of: date
    past: Past

    def read(self, now: datetime, *, helping: bool = True) -> Readings:
        """Turn the rows into readings, as `read_accounts` does."""
        return read_accounts(
            self.rules,
            self.accounts,
            self.matrix,
            self.as_of,
            _midnight(self.as_of),
            now,
            self.past,
            helping=helping,
        )


def gather(workspace: Workspace, settings: Settings, account_ids: Collection[str], as_of: date) -> Gathered:
    """Read accounts from the source, and load the bundles of the publication readers see."""
    tables = read_tables(workspace, settings)
    recipe = load_recipe(workspace, CHURN)
    store = Store.open(settings.store_url)
    try:
        past, latest = past_of(store, recipe, as_of), store.current()
    finally:
        store.close()
    served = None if latest is None else served_by(settings, latest.digests["models"])
    rules = load_rulebook(workspace, settings, tables, served)
    spine = population(tables, rules.recipe, [as_of], account_ids=list(account_ids))
    accounts = _accounts(tables, rules, as_of, _midnight(as_of))
    return Gathered(rules, accounts, build_matrix(tables, rules.features, spine), as_of, past)


def score_accounts(
    rules: Rulebook, accounts: pd.DataFrame, matrix: pd.DataFrame, explanations: Explanations, as_of: date
) -> pd.DataFrame:
    """Return the scored table of one as_of, without health and stage: one row per row of `matrix`.

    accounts: as `accounts_of` gives them, with `provisional`. explanations: of the same rows.
    """
    first = [reasons[0] for reasons in explanations.reasons]
    said = pd.DataFrame(
        {
            "reason": [reason["category"] for reason in first],
            "reason_label": [reason["label"] for reason in first],
            "evidence_says": [
                reason["evidence"][0]["says"] if reason["evidence"] else None for reason in first
            ],
        }
    )
    growth = None
    if (bundle := rules.bundles.get(EXPANSION)) is not None:
        growth = bundle.score(matrix).rename(columns={f"probability_{bundle.headline}d": "probability"})
    return scored_table(matrix, accounts, rules.churn.score(matrix), growth, said, as_of)


def _accounts(tables: Tables, rules: Rulebook, as_of: date, known_at: datetime) -> pd.DataFrame:
    late = any(finding.rule in PROVISIONAL for finding in examine(tables, as_of))
    accounts = accounts_of(tables, as_of).assign(provisional=late)
    records = hear(tables, rules.actions.renewals.evidence, as_of, known_at)
    heard = [records.of(account_id) for account_id in accounts["account_id"]]
    return accounts.assign(**{COLUMN: pd.Series(heard, accounts.index, dtype="object")})


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    columns = list(frame.columns)
    return [dict(zip(columns, row, strict=True)) for row in frame.itertuples(index=False, name=None)]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())
