"""What followed when a trigger fired: firings, comparable accounts, tasks and words, worked by hand."""

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.actions.action import Assignment
from lifecycle_ml.actions.rulebook import load_action_rules
from lifecycle_ml.cli.scoreboard import show_scores
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.monitor.compared import compare
from lifecycle_ml.monitor.scoreboard import Score, find_firings, score_triggers, tasks_of
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.store.assigned import Assigned
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root

STANDARD = Workspace(standard_root(), standard_root())
FEATURES = load_features(STANDARD)
TRIGGERS = load_action_rules(STANDARD, FEATURES.names).triggers
RECIPE = load_recipe(STANDARD, "expansion")
DAY = date(2025, 1, 1)
WEEKS = timedelta(days=28)
TASK = "new_department"


def frame(**columns):
    """Columns of equal length."""
    return pd.DataFrame(columns)


def test_others_are_weighted_as_the_chosen_are_spread():
    """Two of three stand where half of the others grow, one where none does; a lonely one is left out."""
    rows = frame(
        y=[1, 1, 0, 1, 0, 0, 0, np.nan, 1.0],
        chosen=[True, True, True, False, False, False, False, False, True],
        stratum=["a", "a", "b", "a", "a", "b", "b", "b", "alone"],
        account=list("pqrstuvwx"),
    )
    found = compare(rows["y"], rows["chosen"], rows[["stratum"]], rows["account"])
    assert (found.rows, found.accounts, found.others) == (3, 3, 4)
    assert found.mean == pytest.approx(2 / 3)
    assert found.other_mean == pytest.approx(2 / 3 * 0.5)
    assert found.difference.value == pytest.approx(1 / 3)
    assert found.difference.low < 1 / 3 < found.difference.high


def test_an_account_that_comes_again_tells_nothing_new():
    """Ten copies of every row leave the interval where it was; ten times the accounts narrow it."""
    random = np.random.default_rng(3)
    rows = frame(
        y=(random.random(400) < 0.3).astype(float),
        chosen=random.random(400) < 0.4,
        stratum=random.integers(0, 3, 400),
        account=np.arange(400),
    )
    copies = pd.concat([rows] * 10)
    strangers = copies.assign(account=np.arange(len(copies)))
    once, again, more = (
        compare(each["y"], each["chosen"], each[["stratum"]], each["account"]).difference
        for each in (rows, copies, strangers)
    )
    assert (again.value, again.low, again.high) == pytest.approx((once.value, once.low, once.high))
    assert (more.high - more.low) == pytest.approx((once.high - once.low) / np.sqrt(10), rel=0.02)


def test_the_interval_covers_no_difference_as_often_as_it_says():
    """Accounts with luck of their own, seen three times each: about 57 of 60; 44 were rows strangers."""
    covered = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        lucky = random.random(150) < 0.3
        account = np.repeat(np.arange(150), 3)
        rows = frame(
            y=lucky[account].astype(float),
            chosen=(random.random(150) < 0.4)[account],
            stratum=random.integers(0, 2, 150)[account],
            account=account,
        )
        told = compare(rows["y"], rows["chosen"], rows[["stratum"]], rows["account"]).difference
        covered += told.low <= 0 <= told.high
    assert covered >= 52


def test_nothing_comparable_gives_nothing():
    """All chosen, or no outcome known."""
    rows = frame(y=[1.0, 0.0], chosen=[True, True], stratum=[1, 1], account=["a", "b"])
    assert compare(rows["y"], rows["chosen"], rows[["stratum"]], rows["account"]) is None
    assert compare(rows["y"] * np.nan, rows["chosen"], rows[["stratum"]], rows["account"]) is None


def test_a_sign_that_stays_fires_once_in_a_cool_down():
    """On the first date, and again 112 days later: 84 lie within the 90; what is cooling is not quiet."""
    days = [pd.Timestamp(DAY + WEEKS * at) for at in range(6)]
    matrix = frame(
        account_id=["A"] * 6 + ["B"] * 6,
        as_of=days * 2,
        new_departments_84d=[1, 1, 0, 1, 1, 0, 0, 0, np.nan, 0, 0, 1.0],
    )
    found = find_firings(matrix, TRIGGERS)
    assert set(found) == {TASK}
    fired = found[TASK]["fired"].tolist()
    assert fired == [True, False, False, False, True, False, *[False] * 5, True]
    assert found[TASK]["quiet"].tolist() == [False] * 6 + [True] * 5 + [False]


def assigned(account, day, arm="offered", done=None):
    """What was decided for an account, and when its first step was done."""
    at = datetime.combine(day, datetime.min.time()) + timedelta(hours=2)
    given = Assignment(account, f"trigger_{TASK}", "trigger", day, at, arm, 0.0, None, None, None)
    became = "held_out" if arm == "held_out" else "not_done" if done is None else "done"
    return Assigned(given, became, done)


def test_what_became_of_a_firing_is_told_by_colour_and_work():
    """Red and yellow get no task; a green one has one, is left alone, has no room or may still get one."""
    late = DAY + WEEKS * 3
    colors = {DAY: dict(zip("RYGHN", ["red", "yellow", "green", "green", "green"], strict=True))}
    colors[late - timedelta(days=1)] = {"L": "green"}
    times = [(name, DAY + timedelta(days=3)) for name in "RYGHNX"] + [("L", late), ("G", DAY - WEEKS)]
    own = [
        assigned("G", DAY + timedelta(days=10), done=datetime(2025, 2, 1)),
        assigned("H", DAY, "held_out"),
        assigned("L", DAY, done=datetime(2025, 9, 1)),
    ]
    tasks = tasks_of(TRIGGERS.by_id[TASK], times, own, colors, timedelta(days=20), late + timedelta(days=7))
    assert vars(tasks) == {
        "seen": 6,
        "red": 1,
        "yellow": 1,
        "no_room": 1,
        "opened": 2,
        "held_out": 1,
        "worked": 1,
    }


@pytest.fixture(scope="module")
def company():
    """A hundred and twenty accounts; every other one has a new department, and buys for it or not."""

    def make(buys):
        first = date(2024, 1, 1)
        contracts, signals, accounts = [], [], []
        for at in range(120):
            name = f"A{at:03}"
            accounts.append({"account_id": name, "created_at": first, "segment": "mid"})
            base = {"account_id": name, "starts_on": first, "ends_on": date(2027, 1, 1), "currency": "EUR"}
            contracts.append({**base, "contract_id": name, "arr": 10_000.0, "seats": 10})
            if at % 2:
                signals.append(
                    {
                        "account_id": name,
                        "happened_at": datetime(2025, 1, 10),
                        "kind": "new_department",
                    }
                )
                if buys and at % 4 == 1:
                    added = {**base, "starts_on": date(2025, 3, 1), "arr": 4_000.0, "seats": 4}
                    contracts.append({**added, "contract_id": f"{name}+"})
        return {
            "accounts": pd.DataFrame(accounts),
            "contracts": pd.DataFrame(contracts),
            "signals": pd.DataFrame(signals),
        }

    return make


@pytest.mark.parametrize(
    ("buys", "verdict", "words"),
    [
        (
            True,
            "growth_follows",
            "Growth follows: 50.0 of 100 accounts grew within 180 days after it fired, and 0.0",
        ),
        (False, "nobody_profits", "Nobody profits from it: 0.0 of 100"),
    ],
)
def test_a_trigger_nobody_profits_from_is_named(company, buys, verdict, words, capsys):
    """Sixty accounts showed the sign; whether thirty of them bought is what the verdict rests on."""
    tables = tables_from_frames(company(buys))
    as_of = date(2026, 2, 1)
    found = score_triggers(tables, FEATURES, TRIGGERS, RECIPE, {}, [], {}, as_of)
    one = next(each for each in found if each.trigger == TASK)
    assert (one.fired, one.verdict) == (60, verdict)
    assert one.says.startswith(words)
    assert one.grew.mean == (0.5 if buys else 0.0)
    assert one.arr.mean == pytest.approx(0.2 if buys else 0.0)
    assert one.left.mean == 0.0
    lacking = next(each for each in found if each.trigger == "advanced_feature")
    assert (lacking.fired, lacking.verdict) == (None, "not_enough_history")

    show_scores(found, [as_of])
    assert words in " ".join(capsys.readouterr().out.split())


def test_what_is_known_later_changes_nothing(company):
    """By a date on which no horizon has passed there are firings and no outcome; later rows do not show."""
    found = score_triggers(
        tables_from_frames(company(buys=True)), FEATURES, TRIGGERS, RECIPE, {}, [], {}, date(2025, 3, 1)
    )
    one = next(each for each in found if each.trigger == TASK)
    assert isinstance(one, Score)
    assert one.fired == 60
    assert one.verdict == "not_enough_history"
    assert "0 accounts" in one.says
