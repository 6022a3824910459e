"""Readings of accounts: scores, reasons, colours, documents and receipts; nothing is written.

The nightly run and the service's refresh come through `read_accounts`. It begins with `judge_accounts`:
scores, reasons and colours, which is all a what-if asks for. So an account is judged the same whichever way
it was asked about.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache, partial
from importlib.metadata import version
from typing import Any

import pandas as pd

from lifecycle_ml.actions.checkpoint_evidence import COLUMN, hear
from lifecycle_ml.actions.checkpoints import renewal_of
from lifecycle_ml.actions.plan import Action, ended_in_episode
from lifecycle_ml.actions.rulebook import ActionRules
from lifecycle_ml.actions.stages import START, stages_of, starts_of
from lifecycle_ml.actions.triggers import Fired, fire_triggers
from lifecycle_ml.health.document import health_document
from lifecycle_ml.health.scored import accounts_of, scored_table
from lifecycle_ml.health.state import HealthState, next_states
from lifecycle_ml.health.what_would_help import WhatIf, what_would_help
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.models.block import Block, Matrix
from lifecycle_ml.outcomes.recipe import Recipe, load_recipe
from lifecycle_ml.outcomes.snapshots import population
from lifecycle_ml.reasons.explain import Explanations, explain
from lifecycle_ml.rulebook import CHURN, EXPANSION, Rulebook, load_rulebook, served_by
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.reading import Served, compose, make_receipt, plain
from lifecycle_ml.store.rows import Before, Publication, StoredReading
from lifecycle_ml.store.store import Store
from lifecycle_ml.tables.feeds import examine_feeds
from lifecycle_ml.tables.source import Tables, read_tables
from lifecycle_ml.workspace import Workspace

Past = Mapping[str, Before]
"""By account: what its last reading of an earlier as_of left."""


@dataclass(frozen=True)
class Readings:
    """The readings of one as_of: what is stored, and what planning actions needs."""

    stored: tuple[StoredReading, ...]
    scored: pd.DataFrame
    states: Mapping[str, HealthState]


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


@dataclass(frozen=True)
class Judged:
    """What is said first of the accounts of one as_of: scores, reasons and colours.

    Grain: one row of `explanations` and `scored` per row of the matrix, in its order. `scored` is the scored
    table without health and stage.
    """

    explanations: Explanations
    scored: pd.DataFrame
    states: Mapping[str, HealthState]


def judge_accounts(
    rules: Rulebook, accounts: pd.DataFrame, matrix: pd.DataFrame, as_of: date, past: Past
) -> Judged:
    """Score the accounts of one as_of, give reasons and decide colours; arguments as of `read_accounts`."""
    block = Block.of(matrix)
    segments = accounts.set_index("account_id")["segment"]
    explanations = explain(rules.churn, block, rules.features, rules.taxonomy, segments)
    scored = score_accounts(rules, accounts, block, explanations, as_of)
    states = next_states(
        {account: HealthState.from_json(before.state) for account, before in past.items()},
        scored,
        rules.health,
        as_of,
        rules.actions.playbooks.recovers_when,
        rules.actions.playbooks.choose,
        rules.churn.base_rates[rules.churn.headline],
    )
    return Judged(explanations, scored, states)


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
    judged = judge_accounts(rules, accounts, matrix, as_of, past)
    states, explanations = judged.states, judged.explanations
    stages = {account: before.stage for account, before in past.items()}
    scored = with_colours(rules, judged.scored, states, stages)
    served = served_at(rules, as_of, known_at, now)
    fired = fire_triggers(scored, rules.actions.triggers)
    segments = dict(zip(accounts["account_id"], accounts["segment"], strict=True))
    helped = look_for_help(rules, matrix, states, segments)
    read = partial(_read_account, rules, served, past, states, fired, helped)
    feature_rows = records(matrix.drop(columns=["account_id", "as_of"]))
    stored = tuple(
        read(row, values, explanations.reasons[at], explanations.in_favour[at])
        for at, (row, values) in enumerate(zip(records(scored), feature_rows, strict=True))
    )
    return Readings(stored=stored, scored=scored, states=states)


def served_at(rules: Rulebook, as_of: date, known_at: datetime, now: datetime) -> Served:
    """Return what readings of one as_of rest on."""
    return Served(
        as_of=as_of,
        known_at=known_at,
        scored_at=now,
        horizons={name: bundle.horizons for name, bundle in rules.bundles.items()},
        headlines={name: bundle.headline for name, bundle in rules.bundles.items()},
        models=rules.models,
        workspace_digest=rules.workspace.digest,
        package_version=_package_version(),
    )


@cache
def _package_version() -> str:
    return version("lifecycle_ml")


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

    def read(self, now: datetime) -> Readings:
        """Turn the rows into readings, as `read_accounts` does."""
        return read_accounts(
            self.rules, self.accounts, self.matrix, self.as_of, midnight(self.as_of), now, self.past
        )

    def judge(self) -> Judged:
        """Score, explain and colour the rows, as `judge_accounts` does."""
        return judge_accounts(self.rules, self.accounts, self.matrix, self.as_of, self.past)


def gather(
    workspace: Workspace,
    settings: Settings,
    account_ids: Collection[str],
    as_of: date,
    publication: Publication | None = None,
) -> Gathered:
    """Read accounts from the source, and load the bundles of a publication (default: the one readers see)."""
    tables = read_tables(workspace, settings)
    recipe = load_recipe(workspace, CHURN)
    store = Store.open(settings.store_url)
    try:
        past, seen = past_of(store, recipe, as_of), publication or store.current()
    finally:
        store.close()
    served = None if seen is None else served_by(settings, seen.digests["models"])
    rules = load_rulebook(workspace, settings, tables, served)
    spine = population(tables, rules.recipe, [as_of], account_ids=list(account_ids))
    accounts = named_accounts(tables, rules, as_of, midnight(as_of))
    return Gathered(rules, accounts, build_matrix(tables, rules.features, spine), as_of, past)


def score_accounts(
    rules: Rulebook, accounts: pd.DataFrame, matrix: Matrix, explanations: Explanations, as_of: date
) -> pd.DataFrame:
    """Return the scored table of one as_of, without health and stage: one row per row of `matrix`.

    accounts: as `accounts_of` gives them, with `provisional`. explanations: of the same rows.
    """
    block = Block.of(matrix)
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
        growth = bundle.score(block)
        growth["probability"] = growth[f"probability_{bundle.headline}d"]
    return scored_table(block.frame, accounts, rules.churn.score(block), growth, said, as_of)


def named_accounts(tables: Tables, rules: Rulebook, as_of: date, known_at: datetime) -> pd.DataFrame:
    """Return accounts as `read_accounts` takes them: as they are today, and what was heard of checkpoints."""
    late = bool(examine_feeds(tables, as_of))
    accounts = accounts_of(tables, as_of).assign(provisional=late)
    records = hear(tables, rules.actions.renewals.evidence, as_of, known_at)
    heard = [records.of(account_id) for account_id in accounts["account_id"]]
    return accounts.assign(**{COLUMN: pd.Series(heard, accounts.index, dtype="object")})


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each row as a mapping of its columns."""
    columns = list(frame.columns)
    # as one block of objects: column by column costs one account more than its score
    return [dict(zip(columns, row, strict=True)) for row in frame.to_numpy(dtype=object).tolist()]


def midnight(day: date) -> datetime:
    """Return the instant a day begins."""
    return datetime.combine(day, time())
