"""The data flow in one file: check, matrix, score, reasons, health, actions, publish.

`read_accounts` turns tables into readings and writes nothing; `run_nightly` calls it and publishes; the
service's refresh calls it too, so a reading is the same whichever way it was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import partial
from importlib.metadata import version
from typing import Any

import pandas as pd

from lifecycle_ml.actions.plan import ActionEvent, ended_in_episode, plan_actions
from lifecycle_ml.actions.playbooks import Playbooks, load_playbooks
from lifecycle_ml.actions.team import Team, load_team
from lifecycle_ml.check import PROVISIONAL, CheckReport, check
from lifecycle_ml.errors import ConfigError, TableError
from lifecycle_ml.health.config import HealthConfig, load_health
from lifecycle_ml.health.document import health_document
from lifecycle_ml.health.state import HealthState, next_states
from lifecycle_ml.matrix.build import build_matrix, customers
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.promotion.training import champion, folder_of, train
from lifecycle_ml.reasons.explain import Explanations, explain
from lifecycle_ml.reasons.taxonomy import Taxonomy, load_taxonomy
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.reading import Served, compose, make_receipt, plain
from lifecycle_ml.store.rows import Before, StoredReading
from lifecycle_ml.store.store import Store
from lifecycle_ml.tables.examine import examine
from lifecycle_ml.tables.source import Tables, read_tables
from lifecycle_ml.workspace import Workspace

RECIPE = "churn"
HISTORY_WEEKS = 12
"""Weekly as_of dates replayed into an empty store, so that colours start with a past."""

Progress = Callable[[str, int, int], None]
Past = Mapping[str, Before]
"""By account: what its last reading of an earlier as_of left."""


def _quiet(_step: str, _done: int, _total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Rulebook:
    """All that turns tables into readings, loaded once and checked against one another."""

    workspace: Workspace
    features: FeatureSet
    bundle: Bundle
    taxonomy: Taxonomy
    health: HealthConfig
    playbooks: Playbooks
    team: Team


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
    bundle: Bundle
    """What serves, with the refusals of the model it stands in for."""

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
    progress: Progress = _quiet,
) -> RunSummary:
    """Run the whole chain for `as_of` and publish it; `now` is the recorded clock of the run.

    Trains only where nothing serves. The first run into an empty store first replays the last twelve weekly
    as_of dates as they were known then, and publishes them as history. A run that was killed is completed
    by the next one with its recorded now. Tables already read and checked may be handed over.

    Raises: TableError, and nothing is written, where the tables break the data contract; ConfigError where
    nothing serves and training is not allowed.
    """
    tables = read_tables(workspace, settings) if tables is None else tables
    report = check(workspace, settings, as_of, tables=tables) if report is None else report
    if not report.ok:
        raise TableError("\n".join(item.advice for item in report.findings if item.severity == "error"))
    rules = load_rulebook(workspace, settings, tables, as_of, may_train=may_train, progress=progress)
    store = Store.open(settings.store_url)
    try:
        latest = store.current()
        # An as_of older than what readers see is kept as history: it moves neither them nor any action.
        newest = latest is None or as_of >= latest.as_of
        history = (
            [as_of - timedelta(weeks=week) for week in range(HISTORY_WEEKS, 0, -1)] if latest is None else []
        )
        matrices = _build(rules, tables, [*history, as_of], progress)
        if matrices[as_of].empty:
            raise TableError(
                f"contracts: no account has recurring ARR in force as of {as_of}, so nothing is published. "
                "See features/sources/contracts.sql and the as-of date."
            )
        for done, day in enumerate(history):
            progress("replaying twelve weeks", done, len(history))
            replay_clock = datetime.combine(day, time()) + timedelta(hours=2)
            _publish(rules, store, tables, matrices[day], day, replay_clock, current=False)
        if history:
            progress("replaying twelve weeks", len(history), len(history))
        progress("scoring and publishing", 0, 1)
        summary = _publish(rules, store, tables, matrices[as_of], as_of, now, current=newest)
        progress("scoring and publishing", 1, 1)
    finally:
        store.close()
    return RunSummary(**summary, history=len(history), current=newest, bundle=rules.bundle)


def load_rulebook(
    workspace: Workspace,
    settings: Settings,
    tables: Tables,
    as_of: date,
    *,
    may_train: bool,
    bundle: Bundle | None = None,
    progress: Progress = _quiet,
) -> Rulebook:
    """Load the rooms' configuration and what serves: `bundle`, or the champion.

    Where there is no champion (nothing serves, or rules do) it is trained, but never twice on the same data.
    Raises: UserError for the first rule that cannot be.
    """
    every = load_features(workspace)
    team = load_team(workspace)
    taxonomy = load_taxonomy(workspace, every.names)
    health = load_health(workspace, every.names)
    playbooks = load_playbooks(workspace, every.names, team)
    serving = bundle or champion(settings, RECIPE)
    if may_train and _wants_training(serving, tables):
        train(workspace, settings, RECIPE, tables, as_of, progress=progress)
        serving = champion(settings, RECIPE)
    if serving is None:
        raise ConfigError(
            f"nothing serves for recipe {RECIPE!r}; run `lifecycle train {RECIPE}` or `lifecycle run`."
        )
    return Rulebook(
        workspace=workspace,
        features=every.available(tables),
        bundle=serving,
        taxonomy=taxonomy,
        health=health,
        playbooks=playbooks,
        team=team,
    )


def _wants_training(serving: Bundle | None, tables: Tables) -> bool:
    if serving is None:
        return True
    return serving.source == "rules" and serving.data.get("fingerprint") != tables.fingerprint


def _build(
    rules: Rulebook, tables: Tables, days: Sequence[date], progress: Progress
) -> dict[date, pd.DataFrame]:
    """Build the matrix of several as_of dates in one pass, each as known then."""
    progress("building the matrix", 0, 1)
    matrix = build_matrix(tables, rules.features, customers(tables, days))
    progress("building the matrix", 1, 1)
    return {day: matrix[matrix["as_of"] == pd.Timestamp(day)].reset_index(drop=True) for day in days}


def _publish(
    rules: Rulebook,
    store: Store,
    tables: Tables,
    matrix: pd.DataFrame,
    as_of: date,
    now: datetime,
    *,
    current: bool,
) -> dict[str, Any]:
    known_at = datetime.combine(as_of, time())
    accounts = _accounts(tables, as_of)
    readings = read_accounts(rules, accounts, matrix, as_of, known_at, now, store.states(before=as_of))
    events = _plan(rules, store, readings, now) if current else []
    publication = store.begin(
        as_of,
        known_at,
        now,
        kind="nightly" if current else "history",
        digests={
            "workspace": rules.workspace.digest,
            "tables": tables.fingerprint,
            "package": version("lifecycle_ml"),
            "models": {RECIPE: _model(rules)},
        },
    )
    store.write_readings(publication, readings.stored)
    absent = set(accounts["account_id"]) - set(matrix["account_id"])
    why = f"no recurring contract in force as of {as_of}"
    store.write_unscored(publication, dict.fromkeys(sorted(absent), why))
    store.publish(publication, events, current=current)
    colors = readings.scored["health"].value_counts()
    return {
        "as_of": as_of,
        "publication_id": publication.publication_id,
        "accounts": len(readings.stored),
        "health": {color: int(colors.get(color, 0)) for color in ("red", "yellow", "green")},
        "actions": sum(event.kind == "opened" for event in events),
    }


def _plan(rules: Rulebook, store: Store, readings: Readings, now: datetime) -> list[ActionEvent]:
    troubled = [account for account, state in readings.states.items() if state.color != "green"]
    theirs = [action for actions in store.actions(troubled).values() for action in actions]
    ended = [
        *ended_in_episode(theirs, readings.states),
        *store.recent_actions(now - rules.playbooks.cool_down),
    ]
    return plan_actions(
        readings.scored,
        readings.states,
        store.open_actions(),
        list({action.action_id: action for action in ended}.values()),
        rules.playbooks,
        rules.team,
        now,
    )


def read_accounts(
    rules: Rulebook,
    accounts: pd.DataFrame,
    matrix: pd.DataFrame,
    as_of: date,
    known_at: datetime,
    now: datetime,
    past: Past,
) -> Readings:
    """Turn the matrix of one as_of into readings: scores, reasons, colours, documents and receipts.

    Grain: one reading per row of `matrix`. `past` holds each account's last reading of an earlier as_of;
    `accounts` names, segments and owners as they are today, and whether scores are provisional.
    """
    segments = accounts.set_index("account_id")["segment"]
    explanations = explain(rules.bundle, matrix, rules.features, rules.taxonomy, segments)
    scored = _scored_table(rules, accounts, matrix, explanations)
    prior = {account: HealthState.from_json(before.state) for account, before in past.items()}
    states = next_states(
        prior,
        scored,
        rules.health,
        as_of,
        rules.playbooks.recovers_when,
        rules.playbooks.choose,
        rules.bundle.base_rates[rules.bundle.headline],
    )
    scored = scored.assign(
        health=[states[account].color for account in scored["account_id"]],
        stage=None,
        **{f"expansion_{name}": None for name in ("probability", "lift", "band", "source", "tier")},
    )
    served = Served(
        as_of=as_of,
        known_at=known_at,
        scored_at=now,
        horizons={RECIPE: rules.bundle.horizons},
        headlines={RECIPE: rules.bundle.headline},
        models={RECIPE: _model(rules), "expansion": None},
        workspace_digest=rules.workspace.digest,
        package_version=version("lifecycle_ml"),
    )
    read = partial(_read_account, rules, served, past, states)
    rows = _records(scored)
    feature_rows = _records(matrix.drop(columns=["account_id", "as_of"]))
    stored = tuple(
        read(row, values, explanations.reasons[at], explanations.in_favour[at])
        for at, (row, values) in enumerate(zip(rows, feature_rows, strict=True))
    )
    return Readings(stored=stored, scored=scored, states=states)


def _read_account(
    rules: Rulebook,
    served: Served,
    past: Past,
    states: Mapping[str, HealthState],
    row: Mapping[str, Any],
    features: Mapping[str, Any],
    reasons: Sequence[Mapping[str, Any]],
    in_favour: Sequence[Mapping[str, Any]],
) -> StoredReading:
    account = row["account_id"]
    state = states[account]
    criteria = rules.playbooks.recovers_when(state.color, state.reason or "unknown")
    health = health_document(state, row, criteria, rules.health, served.as_of)
    # the segment as of today chooses whom the reasons compare with, so the receipt covers it too
    content = {**features, "reference_segment": row["segment"], "provisional": row["provisional"]}
    receipt = make_receipt(served, account, content, past[account].receipt if account in past else None)
    document = compose(served, row, health, reasons, in_favour, [], receipt)
    return StoredReading.of(document, state=state.to_json(), risk=row["risk"], name=plain(row["name"]))


def refresh_readings(
    workspace: Workspace, settings: Settings, account_ids: Collection[str], as_of: date, now: datetime
) -> dict[str, StoredReading]:
    """Read accounts afresh from the source as of a date; nothing is written.

    They are scored with the bundle of the publication readers see, not with one promoted since.
    """
    tables = read_tables(workspace, settings)
    store = Store.open(settings.store_url)
    try:
        past, latest = store.states(before=as_of), store.current()
    finally:
        store.close()
    served = None if latest is None else latest.digests["models"][RECIPE]
    bundle = served and replace(
        Bundle.load(folder_of(settings, served["digest"]), served["digest"]), version=served["version"]
    )
    rules = load_rulebook(workspace, settings, tables, as_of, may_train=False, bundle=bundle)
    matrix = build_matrix(tables, rules.features, customers(tables, [as_of], account_ids=list(account_ids)))
    known_at = datetime.combine(as_of, time())
    readings = read_accounts(rules, _accounts(tables, as_of), matrix, as_of, known_at, now, past)
    return {reading.account_id: reading for reading in readings.stored}


def _scored_table(
    rules: Rulebook, accounts: pd.DataFrame, matrix: pd.DataFrame, explanations: Explanations
) -> pd.DataFrame:
    """Join features, scores, first reasons and the account's own names: what every rule may speak of."""
    scores = rules.bundle.score(matrix).drop(columns=["account_id", "as_of"])
    first = [reasons[0] for reasons in explanations.reasons]
    said = pd.DataFrame(
        {
            "reason": [reason["category"] for reason in first],
            "reason_label": [reason["label"] for reason in first],
            "evidence_says": [
                reason["evidence"][0]["says"] if reason["evidence"] else None for reason in first
            ],
        },
        index=matrix.index,
    )
    own = matrix[["account_id"]].merge(accounts, on="account_id", how="left").drop(columns="account_id")
    kept = matrix.drop(columns=[column for column in own.columns if column in matrix])
    return pd.concat([kept, scores, said, own], axis=1)


def _accounts(tables: Tables, as_of: date) -> pd.DataFrame:
    """Return what readings need beside the matrix: one row per account.

    Name, segment and owner as of today, for people and as reference groups; `provisional` is true for all
    where data had stopped arriving by `as_of`.
    """
    table = tables["accounts"]
    latest = table.filter(table.superseded_at.isnull())
    frame: pd.DataFrame = latest.select("account_id", "name", "segment", owner="csm_owner").execute()
    late = any(finding.rule in PROVISIONAL for finding in examine(tables, as_of))
    return frame.assign(provisional=late)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    columns = list(frame.columns)
    return [dict(zip(columns, row, strict=True)) for row in frame.itertuples(index=False, name=None)]


def _model(rules: Rulebook) -> dict[str, str]:
    return {"name": RECIPE, "version": rules.bundle.version or "unregistered", "digest": rules.bundle.digest}
