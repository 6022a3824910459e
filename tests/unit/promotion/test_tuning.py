"""Limits proposed from history: within capacity, beside the rule, and none where history is too short."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.health.config import Limits
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.promotion.grounds import Grounds, load_grounds
from lifecycle_ml.promotion.history import spoken_history
from lifecycle_ml.promotion.registry import Registry, Version
from lifecycle_ml.promotion.tuning import LEAST_CHURNED, RED_FROM, Record, propose
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root

ACCOUNTS, DATES, BASE_RATE = 200, 6, 0.1
STANDARD = Workspace(standard_root(), standard_root())
GATE = load_recipe(STANDARD, "churn").gate


@pytest.fixture(scope="module")
def tables():
    """A company of one account: colours of the past need no more."""
    return tables_from_frames(
        {"accounts": pd.DataFrame({"account_id": ["A"], "created_at": [pd.Timestamp("2024-01-01")]})}
    )


@pytest.fixture(scope="module")
def grounds(tables) -> Grounds:
    """The standard workspace's colours."""
    return load_grounds(STANDARD, tables)


def record(*, dates=DATES, churners=40, risk=None, segment=None) -> Record:
    """Accounts of which the first leave: the model says 0.32 of them, 0.05 of others; the rule is blind."""
    days = pd.date_range("2025-01-06", periods=dates, freq="28D").as_unit("us")
    account, day = np.tile(np.arange(ACCOUNTS), dates), np.repeat(np.arange(dates), ACCOUNTS)
    left = account < churners
    rows = pd.DataFrame(
        {
            "account_id": [f"A-{number:03d}" for number in account],
            "as_of": days[day],
            "segment": np.where(account % 2 == 0, "small", "large") if segment is None else segment,
            "risk": np.where(left, 0.32, 0.05) if risk is None else risk(account, day),
            "outcome": left.astype("int8"),
            "rule": 0.1,
        }
    )
    return Record(rows=rows, base_rate=BASE_RATE, rule="recency_frequency")


def test_the_limits_proposed_keep_within_the_capacity_and_catch_what_they_can(grounds):
    """All that leave are said to have 3.2 times the usual risk, so red has to begin under that."""
    found = propose(record(), grounds, 0.2, 0.3, GATE)

    assert found.proposed.limits.red.enter <= 3.2
    assert found.proposed.red_share == pytest.approx(0.2)
    assert found.proposed.caught == found.proposed.caught_flagged == 1.0
    assert found.proposed.rule == pytest.approx(0.2)  # a rule that orders nothing flags a fifth of churn
    assert found.proposed.flips == 0
    assert found.proposed.odds > 100


def mixed(account, _day):
    """Risk of the riskiest 10 (all leave), of the next 20 (a third leave), of all others (15 leave)."""
    return np.where(account < 10, 0.45, np.where(account < 30, 0.22, 0.05))


def test_limits_the_gate_would_refuse_a_model_for_are_not_proposed(grounds):
    """Red from twice the base rate would hold most churn within capacity, at odds the gate does not take."""
    told = record(risk=mixed)
    account = np.tile(np.arange(ACCOUNTS), DATES)
    told.rows["outcome"] = ((account < 17) | (account >= 185)).astype("int8")
    found = propose(told, grounds, 0.2, 0.3, GATE.model_copy(update={"min_red_odds": 20.0}))

    wide = max(found.reds, key=lambda each: each.caught)
    assert wide.red_share <= 0.2
    assert wide.odds < 20 <= found.proposed.odds
    assert found.proposed.caught < wide.caught
    assert found.passes
    anything = propose(told, grounds, 0.2, 0.3, GATE.model_copy(update={"min_red_odds": 0.0}))
    assert anything.proposed.caught == wide.caught


def test_where_no_limits_pass_the_gate_that_is_said(grounds):
    """A rule that knows all there is to know leaves colours nothing to add."""
    told = record()
    told.rows["rule"] = told.rows["outcome"].astype(float)
    found = propose(told, grounds, 0.2, 0.3, GATE)

    assert not found.passes
    assert found.to_json()["passes_gate"] is False
    assert found.proposed.red_share <= 0.2


def test_a_capacity_nobody_keeps_gets_the_choice_that_flags_fewest(grounds):
    """Where every limit looked at flags more than the team can carry, the highest one is left."""
    high = record(risk=lambda account, _day: np.where(account < 40, 0.9, 0.05))
    found = propose(high, grounds, 0.1, 0.1, GATE)

    assert found.proposed.red_share == pytest.approx(0.2)
    assert found.proposed.limits.red.enter in RED_FROM


def test_colours_that_flip_are_counted_per_account_and_quarter(grounds):
    """Everybody over and under every limit in turn: one change at each of five steps of 28 days."""
    swings = record(risk=lambda _account, day: np.where(day % 2 == 0, 0.8, 0.01))
    found = propose(swings, grounds, 1.0, 1.0, GATE)

    assert found.proposed.flips == pytest.approx(5 / (5 * 28 / 91.3))


def test_a_segment_has_limits_of_its_own_where_they_catch_more(grounds):
    """Half the company leaves with half the risk: limits for all miss it, its own do not."""

    def risk(account, _day):
        size = np.where(account % 2 == 0, 0.21, 0.6)
        return np.where(account < 80, size, np.where(account % 2 == 0, 0.05, 0.22))

    found = propose(record(churners=80, risk=risk), grounds, 0.45, 0.45, GATE)
    section = tomllib.loads(found.toml())["limits"]

    assert found.own
    assert set(section["segments"]) == set(found.own)
    assert found.with_own is not None
    assert found.with_own.caught > found.proposed.caught
    Limits.model_validate(section)


def test_the_section_to_paste_is_one_health_toml_takes(grounds):
    """With the names of segments quoted where TOML asks for it."""
    found = propose(record(segment="Mid market, EU"), grounds, 0.2, 0.3, GATE)
    named = replace(found, own={"Mid market, EU": found.proposed.limits})
    section = tomllib.loads(named.toml())["limits"]

    assert Limits.model_validate(section).of("Mid market, EU").red == found.proposed.limits.red
    document = named.to_json()
    assert document["proposed"]["limits"]["red"]["enter"] == section["red"]["enter"]
    assert len(document["reds"]) == 2 * len(RED_FROM)


@pytest.mark.parametrize(("dates", "churners"), [(5, 40), (6, LEAST_CHURNED - 1)])
def test_too_little_history_is_refused_with_the_numbers(grounds, dates, churners):
    """A handful of dates or of accounts would decide."""
    with pytest.raises(ConfigError, match=f"hold {dates} dates and {churners} accounts"):
        propose(record(dates=dates, churners=churners), grounds, 0.05, 0.3, GATE)


class Holding:
    """A registry of versions, each with its bundle and no predictions."""

    def __init__(self, *bundles):
        self.held = {
            Version(str(number), "run", bundle.digest): bundle for number, bundle in enumerate(bundles, 1)
        }

    def versions(self, _recipe):
        """All of them, oldest first."""
        return list(self.held)

    def bundle(self, version):
        """The one of a version."""
        return self.held[version]

    def artefact(self, version, path):
        """Nothing was kept: which version was asked is all there is to see."""
        raise LookupError(f"{path} of version {version.number}")


def bundle(source="model", tier="full", digest="a"):
    """What may serve."""
    return SimpleNamespace(source=source, tier=tier, digest=digest, version="7", headline=90)


RULES, ADVISORY = bundle("rules", "insufficient", "r"), bundle("model", "advisory", "b")


@pytest.mark.parametrize(
    ("serving", "held", "asked"),
    [
        (bundle(digest="a"), (bundle(digest="a"), bundle(digest="c")), 1),
        (RULES, (bundle(digest="a"), bundle(digest="c"), ADVISORY), 2),
        (ADVISORY, (bundle(digest="a"), ADVISORY), 1),
        (None, (bundle(digest="a"),), 1),
    ],
)
def test_the_champion_is_tuned_or_else_the_newest_full_model(
    monkeypatch, tmp_path, grounds, tables, serving, held, asked
):
    """The gate refuses models for their colours too, and says that other limits may lift it."""
    monkeypatch.setattr("lifecycle_ml.promotion.history.champion", lambda *_: serving)
    monkeypatch.setattr(Registry, "open", lambda *_, **__: Holding(*held))

    with pytest.raises(LookupError, match=f"of version {asked}$"):
        spoken_history(Settings.read(tmp_path, {}), load_recipe(STANDARD, "churn"), tables, grounds)


@pytest.mark.parametrize(
    ("serving", "says"),
    [(None, "nothing serves yet"), (RULES, "and rules serve for"), (ADVISORY, "of tier advisory serves")],
)
def test_without_a_full_model_nothing_is_tuned(monkeypatch, tmp_path, grounds, tables, serving, says):
    """Rules and advisory models give no probabilities of the account's own."""
    monkeypatch.setattr("lifecycle_ml.promotion.history.champion", lambda *_: serving)
    monkeypatch.setattr(Registry, "open", lambda *_, **__: Holding(ADVISORY))

    with pytest.raises(ConfigError, match=says):
        spoken_history(Settings.read(tmp_path, {}), load_recipe(STANDARD, "churn"), tables, grounds)


def test_a_version_that_serves_and_is_not_registered_is_said(monkeypatch, tmp_path, grounds, tables):
    """Its predictions lie with the run that made it."""
    monkeypatch.setattr("lifecycle_ml.promotion.history.champion", lambda *_: bundle(digest="gone"))
    monkeypatch.setattr(Registry, "open", lambda *_, **__: Holding(bundle(digest="a")))

    with pytest.raises(ConfigError, match="does not hold version 7"):
        spoken_history(Settings.read(tmp_path, {}), load_recipe(STANDARD, "churn"), tables, grounds)
