"""Reasons of accounts that left, beside what was recorded of them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.promotion import recorded
from lifecycle_ml.promotion.backtest import Origin
from lifecycle_ml.promotion.recorded import recorded_reasons

DAYS = pd.to_datetime(["2025-01-06", "2025-02-03"]).as_unit("us")
NAMED = {
    "A": ["champion_left", "budget_eliminated"],
    "B": ["budget_eliminated", "champion_left"],
    "C": ["unknown"],
    "D": ["service_support_failure"],
}
RECORDED = {"A": "champion_left", "B": "champion_left", "C": "champion_left", "D": "budget_eliminated"}


@pytest.fixture
def judged(recipe, monkeypatch):
    """Four accounts that left with a cause, one without, one that stayed; explained by a table."""
    accounts = [*NAMED, "E", "F"]
    ahead = pd.DataFrame({"account_id": accounts * 2, "as_of": DAYS.repeat(len(accounts))})
    labels = ahead.assign(
        outcome_90d=(ahead["account_id"] != "F").astype(float),
        cause=ahead["account_id"].map(RECORDED).where(ahead["account_id"] != "E", "went bankrupt"),
    )
    told = pd.DataFrame(
        {"outcome_90d": [1.0, 1.0, 1.0, 0.0], "cause": ["budget_eliminated"] * 2 + [None] * 2}
    )
    asked = []

    def explain(_bundle, rows, *_args, **_settings):
        asked.append(rows)
        reasons = [[{"category": name} for name in NAMED[account]] for account in rows["account_id"]]
        first = np.array([each[0]["category"] for each in reasons], dtype=object)
        return type("Found", (), {"reasons": reasons, "first": first})

    monkeypatch.setattr(recorded, "explain", explain)
    grounds = type("Grounds", (), {"features": (), "taxonomy": None})

    def judge(labels=labels):
        return recorded_reasons(
            Origin(None, pd.DataFrame(), told, ahead), None, labels, recipe, grounds, seed=0, draws=50
        )

    return judge, labels, asked


def test_reasons_are_held_against_recorded_ones(judged):
    """Of four one is unknown; of three named one is right at once, two within three, one never."""
    judge, _, asked = judged
    found = judge()
    assert found.accounts == 4
    assert found.unknown.value == pytest.approx(1 / 4)
    assert found.first.value == pytest.approx(1 / 3)
    assert found.within_three.value == pytest.approx(2 / 3)
    assert found.first.low <= found.first.value <= found.first.high
    assert found.table.loc["champion_left", "unknown"] == 1
    assert found.table.to_numpy().sum() == 4
    assert asked[0]["as_of"].eq(DAYS[0]).all(), "an account counts once, at its first test date"
    assert "cause" not in asked[0]


def test_the_cause_recorded_most_often_before_stands_beside(judged):
    """It is right for the one account that was recorded with it."""
    judge, _, _ = judged
    found = judge()
    assert found.usual == "budget_eliminated"
    assert found.usual_right.value == pytest.approx(1 / 4)


def test_nothing_recorded_is_nothing_to_compare(judged):
    """What is no category counts as not recorded."""
    judge, labels, _ = judged
    assert judge(labels.assign(cause="went bankrupt")) is None


def test_it_is_written_as_json(judged):
    """The table by recorded category and first reason."""
    judge, _, _ = judged
    written = json.loads(json.dumps(judge().to_json()))
    assert written["table"]["champion_left"] == {
        "budget_eliminated": 1,
        "champion_left": 1,
        "service_support_failure": 0,
        "unknown": 1,
    }
    assert written["first"]["value"] == pytest.approx(1 / 3)
