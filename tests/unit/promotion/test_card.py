"""The model card: every part of a small world's, word for word, and what stands where a part is absent."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd

from lifecycle_ml.models.calibration import AffineCalibration
from lifecycle_ml.models.evaluation import DaysOfWarning, Interval
from lifecycle_ml.models.tiers import Tier
from lifecycle_ml.promotion.card import write_card
from lifecycle_ml.promotion.colours import Colours
from lifecycle_ml.promotion.evaluation import Evaluation, Group
from lifecycle_ml.promotion.gate import Refusal
from lifecycle_ml.promotion.outlook import Outlook
from lifecycle_ml.promotion.recorded import RecordedReasons
from lifecycle_ml.promotion.stability import Stability

DATA = {
    "snapshots": 12_000,
    "accounts": 500,
    "first": "2024-01-01",
    "last": "2025-10-06",
    "data_through": "2025-12-01",
    "fingerprint": "sha256:feed",
}
INPUTS = {"tickets": 1, "active_users": -1, "use": -1, "plan": 0}


def ends(**columns):
    """Columns of a table with the ends of their intervals a tenth away."""
    found = {}
    for name, value in columns.items():
        found |= {name: [value], f"{name}_low": [0.9 * value], f"{name}_high": [1.1 * value]}
    return found


def small_world():
    """A challenger that serves, with one figure of each kind."""
    figures = {
        "auroc": Interval(0.75, 0.7, 0.8),
        "average_precision": Interval(0.2, 0.15, 0.25),
        "log_loss": Interval(0.15, 0.14, 0.16),
        "top_decile_lift": Interval(3.1, 2.5, 3.6),
        "observed_expected": Interval(1.02, 0.9, 1.1),
        "calibration_slope": Interval(0.95, 0.8, 1.1),
        "calibration_intercept": Interval(0.01, -0.1, 0.1),
    }
    rule = {"auroc": Interval(0.6, 0.55, 0.65), "average_precision": Interval(0.1, 0.08, 0.12)}
    group = Group(
        900, 80, 30, figures, "renewal_calendar", Interval(0.1, 0.08, 0.12), Interval(0.1, 0.02, 0.2)
    )
    worse = replace(group, best_rule="usage_drop", gain=Interval(-0.01, -0.05, 0.02))
    warning = DaysOfWarning(
        Interval(28, 0, 56),
        {30: Interval(0.5, 0.4, 0.6), 90: Interval(math.nan, math.nan, math.nan, "why")},
        40,
        25,
        0.3,
    )
    evaluation = Evaluation(
        metrics=figures,
        baselines={"renewal_calendar": rule},
        gains={"renewal_calendar": Interval(0.1, 0.06, 0.14)},
        unseen={},
        by_horizon={30: {"auroc": Interval(0.8, 0.75, 0.85)}},
        counts={"rows": 3000, "accounts": 400, "accounts_with_outcome": 60, "cutoffs": 4},
        skipped={"usage_drop": "none of its features has a value here: usage_change_28d"},
        segments={
            "smb": group,
            "large": worse,
            "public": Group(50, 9, 2, reason="too few: 2 churned accounts"),
        },
        groups={"renewing": group},
        deciles=pd.DataFrame(
            {"decile": [1], "expected": [0.2], "rate": [0.21], "found": [0.31]} | ends(lift=3.1)
        ),
        capacity=pd.DataFrame(
            {"share": [0.05], "accounts": [20.0]}
            | ends(precision=0.3, recall=0.2, lift=4.0, arr_caught=0.4, arr_caught_arr=0.3, gain_over_arr=0.1)
        ),
        warning={"model": warning},
        money=pd.DataFrame(
            {"as_of": [pd.Timestamp("2025-06-02")], "accounts": [400]}
            | ends(expected=50_000.0, observed=9_000.0, ratio=0.18)
        ),
        money_ratio=Interval(0.18, 0.1, 0.3),
        calibrators={
            "served": {"log_loss": Interval(0.15, 0.14, 0.16), "above_served": Interval(0, 0, 0)},
            "beta": {"log_loss": Interval(0.151, 0.14, 0.16), "above_served": Interval(0.001, -0.001, 0.003)},
        },
        unmeasured={"unseen_accounts": "no member of the model left every account out"},
    )
    bundle = SimpleNamespace(source="model", tier="full", digest="sha256:cafe")
    rules = SimpleNamespace(
        source="rules", tier="insufficient", digest="sha256:beef", model=SimpleNamespace(name="usage_drop")
    )
    outlook = Outlook(
        pd.Timestamp("2025-10-06"),
        pd.DataFrame({"account_id": ["A", "A", "B"]}),
        pd.DataFrame(
            {
                "month": pd.to_datetime(["2025-10-01", None]),
                "expected": [4_000.0, 20_000.0],
                "low": [0.0, 12_000.0],
                "high": [9_000.0, 30_000.0],
            }
        ),
    )
    return SimpleNamespace(
        evaluation=evaluation,
        tier=Tier("full", 120, 0),
        bundle=bundle,
        rules=rules,
        serves=bundle,
        refusals=(),
        backtest=SimpleNamespace(calibration=AffineCalibration(slope=1.2)),
        outlook=outlook,
        shown=SimpleNamespace(
            stability=Stability(Interval(0.9, 0.8, 1.0), 60),
            colours=Colours(
                rule="usage_drop",
                red=0.04,
                flagged=0.21,
                caught=Interval(0.2, 0.1, 0.3),
                gain=Interval(0.05, -0.02, 0.1),
                caught_flagged=Interval(0.5, 0.4, 0.6),
                gain_flagged=Interval(0.1, 0.02, 0.2),
                odds=Interval(3.4, 2.1, 4.9),
                readings=5000,
                dates=12,
            ),
            recorded=RecordedReasons(
                accounts=40,
                unknown=Interval(0.15, 0.05, 0.27),
                first=Interval(0.62, 0.44, 0.78),
                within_three=Interval(0.85, 0.72, 0.96),
                usual="champion_left",
                usual_right=Interval(0.2, 0.1, 0.33),
                table=pd.DataFrame(
                    {"champion_left": [6, 3], "unknown": [2, 1]}, index=["champion_left", "budget_eliminated"]
                ),
            ),
        ),
    )


GOLDEN = Path(__file__).with_name("card_of_a_small_world.md")


def test_the_card_of_a_small_world(recipe):
    """Word for word."""
    assert write_card(small_world(), recipe, INPUTS, DATA) == GOLDEN.read_text(encoding="utf-8")


def test_a_refusal_says_who_serves_instead_and_why(recipe):
    """The rule by name, and what the gate saw."""
    world = small_world()
    world.serves = world.rules
    world.refusals = (Refusal("no_skill", "average precision +0.001", "a gain"),)
    card = write_card(world, recipe, INPUTS, DATA)
    assert "**A rule serves**, usage drop, in bands (`sha256:beef`): the gate refused the model." in card
    assert "- no_skill: saw average precision +0.001; needs a gain" in card


def test_without_a_model_the_card_is_short(recipe):
    """No figure is claimed, no section stands empty."""
    world = small_world()
    world.serves, world.bundle, world.backtest = world.rules, None, None
    world.outlook, world.shown = None, None
    counts = {"rows": 0, "accounts": 0, "accounts_with_outcome": 0, "cutoffs": 0}
    world.evaluation = Evaluation({}, {}, {}, {}, {}, counts, {})
    world.tier = Tier("insufficient", 4, 26)
    card = write_card(world, recipe, INPUTS, DATA)
    assert [line for line in card.splitlines() if line.startswith("#")] == [
        "# churn: model card",
        "## Who serves, and why",
        "## Inputs (4)",
    ]
    assert "no model was fitted" in card
    assert "4 churned accounts: rules serve; 26 more lift it." in card


def test_parts_that_were_not_measured_say_why(recipe):
    """No ARR, no loss, no segments, no renewals: a sentence each where the table would stand."""
    world = small_world()
    world.outlook = None
    capacity = world.evaluation.capacity
    world.evaluation = replace(
        world.evaluation,
        segments={},
        groups={},
        capacity=capacity[[name for name in capacity if "arr" not in name]],
        warning={},
        money=None,
        unmeasured={
            "segments": "no segment is recorded",
            "renewing": "no contract ends within 90 days of these dates",
            "arr_caught": "no ARR is known",
            "money": "no ARR is known",
            "days_of_warning": "no account churned",
        },
    )
    card = write_card(world, recipe, INPUTS, DATA)
    assert "By segment: not measured, no segment is recorded." in card
    assert "Renew within the horizon: not measured, no contract ends within 90 days of these dates." in card
    assert "ARR on the list: not measured, no ARR is known." in card
    assert "Not measured: no account churned." in card
    assert "## ARR lost: expected and seen\n\nNot measured: no ARR is known." in card
    assert "nan" not in card


def test_directions_that_the_recipe_does_not_hold_are_not_claimed(recipe):
    """With monotone off the list of directions is only what features claim."""
    free = recipe.model_copy(update={"estimator": recipe.estimator.model_copy(update={"monotone": False})})
    assert "This recipe holds no direction." in write_card(small_world(), free, INPUTS, DATA)


def test_the_calendar_orders_churn_only(recipe):
    """Of expansion the card does not say that renewals decide it."""
    label = SimpleNamespace(outcome="expanded", headline_days=180, mode="expansion")
    card = write_card(small_world(), recipe.model_copy(update={"label": label}), INPUTS, DATA)
    assert "renewal calendar; among" not in card
    assert "## ARR gained: expected and seen" in card
