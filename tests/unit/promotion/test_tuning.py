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
from lifecycle_ml.promotion.history import served_history
from lifecycle_ml.promotion.tuning import LEAST_CHURNED, RED_FROM, Record, propose
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root

ACCOUNTS, DATES, BASE_RATE = 200, 6, 0.1
STANDARD = Workspace(standard_root(), standard_root())


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
    found = propose(record(), grounds, 0.2, 0.3)

    assert found.proposed.limits.red.enter <= 3.2
    assert found.proposed.red_share == pytest.approx(0.2)
    assert found.proposed.caught == found.proposed.caught_flagged == 1.0
    assert found.proposed.rule == pytest.approx(0.2)  # a rule that orders nothing flags a fifth of churn
    assert found.proposed.flips == 0
    assert found.proposed.odds > 100


def test_a_capacity_nobody_keeps_gets_the_choice_that_flags_fewest(grounds):
    """Where every limit looked at flags more than the team can carry, the highest one is left."""
    high = record(risk=lambda account, _day: np.where(account < 40, 0.9, 0.05))
    found = propose(high, grounds, 0.1, 0.1)

    assert found.proposed.red_share == pytest.approx(0.2)
    assert found.proposed.limits.red.enter in RED_FROM


def test_colours_that_flip_are_counted_per_account_and_quarter(grounds):
    """Everybody over and under every limit in turn: one change at each of five steps of 28 days."""
    swings = record(risk=lambda _account, day: np.where(day % 2 == 0, 0.8, 0.01))
    found = propose(swings, grounds, 1.0, 1.0)

    assert found.proposed.flips == pytest.approx(5 / (5 * 28 / 91.3))


def test_a_segment_has_limits_of_its_own_where_they_catch_more(grounds):
    """Half the company leaves with half the risk: limits for all miss it, its own do not."""

    def risk(account, _day):
        size = np.where(account % 2 == 0, 0.21, 0.6)
        return np.where(account < 80, size, np.where(account % 2 == 0, 0.05, 0.22))

    found = propose(record(churners=80, risk=risk), grounds, 0.45, 0.45)
    section = tomllib.loads(found.toml())["limits"]

    assert found.own
    assert set(section["segments"]) == set(found.own)
    assert found.with_own is not None
    assert found.with_own.caught > found.proposed.caught
    Limits.model_validate(section)


def test_the_section_to_paste_is_one_health_toml_takes(grounds):
    """With the names of segments quoted where TOML asks for it."""
    found = propose(record(segment="Mid market, EU"), grounds, 0.2, 0.3)
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
        propose(record(dates=dates, churners=churners), grounds, 0.05, 0.3)


def test_without_a_model_nothing_is_tuned(tmp_path, grounds, tables):
    """Rules give no probabilities of the account's own."""
    with pytest.raises(ConfigError, match="nothing serves yet"):
        served_history(Settings.read(tmp_path, {}), load_recipe(STANDARD, "churn"), tables, grounds)


@pytest.mark.parametrize(
    ("source", "tier", "says"),
    [
        ("rules", "insufficient", "and rules serve for"),
        ("model", "advisory", "a model of tier advisory serves"),
    ],
)
def test_what_serves_instead_is_said_in_words(monkeypatch, tmp_path, grounds, tables, source, tier, says):
    """Rules have no tier that anybody chose."""
    serving = SimpleNamespace(source=source, tier=tier)
    monkeypatch.setattr("lifecycle_ml.promotion.history.champion", lambda *_: serving)

    with pytest.raises(ConfigError, match=says):
        served_history(Settings.read(tmp_path, {}), load_recipe(STANDARD, "churn"), tables, grounds)
