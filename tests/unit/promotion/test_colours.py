"""The colour bar: who would have been red at past dates, and did they leave more than the rule's own?"""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.models.calibration import AffineCalibration
from lifecycle_ml.promotion.backtest import MODEL, Backtest
from lifecycle_ml.promotion.colours import best_rule, colour_bar, rule_flags, within_capacity
from lifecycle_ml.promotion.grounds import Grounds, load_grounds
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root

ACCOUNTS, CHURNERS = 100, 4
BASE_RATE = 0.04


@pytest.fixture(scope="module")
def grounds() -> Grounds:
    """The standard workspace's colours."""
    accounts = pd.DataFrame({"account_id": ["A"], "created_at": [pd.Timestamp("2024-01-01")]})
    loaded = load_grounds(
        Workspace(root=standard_root(), standard=standard_root()), tables_from_frames({"accounts": accounts})
    )
    assert isinstance(loaded.features, FeatureSet)
    return loaded


def world(risk_of_churners, *, dates=3, rule=None, step=28):
    """A hundred accounts on each date, of which the first four leave; all others have half the base rate."""
    days = pd.date_range("2025-01-06", periods=dates, freq=f"{step}D").as_unit("us")
    account = np.tile(np.arange(ACCOUNTS), dates)
    day = np.repeat(np.arange(dates), ACCOUNTS)
    rows = pd.DataFrame(
        {
            "account_id": pd.Series([f"A-{number:03d}" for number in account], dtype="str"),
            "as_of": days[day],
            "fold": 0,
        }
    )
    churns = account < CHURNERS
    risk = np.where(churns, np.broadcast_to(risk_of_churners, (dates,))[day], BASE_RATE / 2)
    return Backtest(
        horizons=(90,),
        headline=90,
        rows=rows,
        outcomes=churns[:, None].astype(float),
        probabilities={MODEL: risk[:, None]},
        rules={"usage_drop": np.full(len(rows), 0.04) if rule is None else rule(churns, account)},
        skipped={},
        calibration=AffineCalibration(),
        cutoffs=(date(2025, 1, 1),),
    )


def bar(tried, grounds, recipe, **changes):
    gate = recipe.gate.model_copy(update=changes)
    return colour_bar(tried, BASE_RATE, "usage_drop", gate, grounds, seed=0, draws=100)


def test_risk_over_the_limit_turns_a_colour_within_the_week(grounds, recipe):
    """Every date is judged as its week ends: all who leave are red."""
    found = bar(world(0.5), grounds, recipe)
    assert (found.dates, found.readings) == (3, 300)
    assert found.red == found.flagged == CHURNERS / ACCOUNTS
    assert found.caught.value == 1.0
    assert found.gain.value == pytest.approx(1 - CHURNERS / ACCOUNTS)  # a rule in which all are tied
    assert found.odds.low > 3
    # half a reading is added to each of four counts
    left = 3 * CHURNERS
    assert found.odds.value == pytest.approx((left + 0.5) / 0.5 * (300 - left + 0.5) / (left + 0.5))


def test_risk_under_the_limit_turns_nobody(grounds, recipe):
    """Nobody red is no pass."""
    found = bar(world(0.01), grounds, recipe)
    assert found.red == 0
    assert np.isnan(found.odds.value)
    assert found.odds.reason == "no account turned red"
    assert found.gain.value == 0


def test_a_colour_lasts_until_the_way_back_is_gone(grounds, recipe):
    """Over the limit on the first date alone: still red a month later only if a week under it is not over."""
    first = bar(world([0.5, 0.01, 0.01]), grounds, recipe)
    assert 0 < first.red < CHURNERS / ACCOUNTS


def test_a_rule_that_knows_as_much_leaves_no_gain(grounds, recipe):
    """At equal numbers of accounts."""
    found = bar(world(0.5, rule=lambda churns, _: churns * 0.5), grounds, recipe)
    assert found.gain.value == found.gain_flagged.value == 0


def test_arr_lost_is_counted_beside_accounts(grounds, recipe):
    """Of four that leave on each date the two riskiest are caught: half of the accounts, most of the ARR."""
    tried = world(np.array([0.5]))
    account = np.tile(np.arange(ACCOUNTS), 3)
    risk = np.where(account < CHURNERS, 0.9 - account / 10, BASE_RATE / 2)
    rows = tried.rows.assign(arr=np.where(account < 2, 90_000.0, 10_000.0))
    found = bar(
        replace(tried, rows=rows, probabilities={MODEL: risk[:, None]}), grounds, recipe, red_capacity=0.02
    )
    assert found.caught.value == 0.5
    assert found.arr_caught.value == pytest.approx(0.9)
    assert found.arr_gain.value == pytest.approx(0.9 - 2 / ACCOUNTS)
    assert found.to_json()["arr_caught"]["value"] == found.arr_caught.value


def test_without_arr_nothing_is_said_of_it(grounds, recipe):
    """A product without contracts has no money to count."""
    assert bar(world(0.5), grounds, recipe).arr_caught is None


def test_no_more_than_the_team_can_treat_counts(grounds, recipe):
    """Of four red accounts a date, a capacity of two per cent judges two."""
    found = bar(world(0.5), grounds, recipe, red_capacity=0.02)
    assert found.red == CHURNERS / ACCOUNTS
    assert found.caught.value == 0.5
    assert found.caught_flagged.value == 1.0


def test_the_worst_of_each_date_are_kept():
    """By colour, then risk; the capacity is of each date's rows."""
    colour = np.array([1, 2, 2, 0, 1, 2])
    risk = np.array([0.9, 0.2, 0.3, 0.8, 0.1, 0.1])
    day = np.array([0, 0, 0, 0, 1, 1])
    kept = within_capacity(colour >= 1, colour, risk, day, 0.5)
    assert kept.tolist() == [False, True, True, False, False, True]
    few = within_capacity(colour >= 1, colour, risk, day, 0.05)
    assert few.tolist() == [False, False, True, False, False, True]  # nobody's team treats none


def test_a_rule_flags_as_many_and_ties_share():
    """Two flags on a date: the highest score, and half of each of two that tie."""
    score = np.array([0.5, 0.3, 0.3, 0.1, 0.7])
    flagged = np.array([True, True, False, False, False])
    assert rule_flags(score, np.array([0, 0, 0, 0, 1]), flagged).tolist() == [1.0, 0.5, 0.5, 0.0, 0.0]


def test_the_best_rule_is_the_one_that_would_serve():
    """The base rate orders nothing, and an unknown figure is no figure."""
    assert best_rule({"base_rate": 0.9, "usage_drop": 0.2, "renewal_calendar": float("nan")}) == "usage_drop"
    assert best_rule({"base_rate": 0.9}) is None
