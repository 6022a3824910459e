"""Effects from the draws the store kept and the contracts that followed."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pandas as pd
import pytest

from lifecycle_ml.actions.action import Assignment
from lifecycle_ml.actions.effects import Group
from lifecycle_ml.actions.rulebook import load_action_rules
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.monitor.effects import interventions, measure_effects, worked_on
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.store.assigned import Assigned
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import load_workspace, standard_root

WORKSPACE = load_workspace(standard_root())
RULES = load_action_rules(WORKSPACE, load_features(WORKSPACE).names)
RECIPES = {"churn": load_recipe(WORKSPACE, "churn")}
AT = datetime(2026, 1, 1, 2)
P = "champion_left_yellow"


def assigned(number, arm="offered", share=0.2, playbook=P, **values):
    """One draw; offered work was done a week later."""
    done = AT + timedelta(days=7) if arm == "offered" else None
    fields = {
        "kind": "playbook",
        "since": AT.date(),
        "at": AT,
        "spared": None,
        "expected": 0.4,
        "arr": 1200.0,
    }
    one = Assignment(account_id=f"A-{number}", playbook=playbook, arm=arm, share=share, **(fields | values))
    return Assigned(one, "done" if done else "held_out", done)


def trigger(number):
    """An expansion task that was offered."""
    return assigned(number, kind="trigger", playbook="trigger_new_department")


def company(leavers, count):
    """Contracts of `count` accounts, of which those numbered in `leavers` end sixty days after the draw."""
    contracts = pd.DataFrame(
        {
            "contract_id": [f"C-{at}" for at in range(count)],
            "account_id": [f"A-{at}" for at in range(count)],
            "starts_on": pd.Timestamp("2025-01-01"),
            "ends_on": [pd.Timestamp("2026-03-02") if at in leavers else pd.NaT for at in range(count)],
            "arr": 1200,
            "is_recurring": True,
        }
    )
    accounts = pd.DataFrame({"account_id": contracts["account_id"], "created_at": pd.Timestamp("2025-01-01")})
    return tables_from_frames({"accounts": accounts, "contracts": contracts})


DRAWN = [*(assigned(at) for at in range(40)), *(assigned(at, "held_out") for at in range(40, 50))]
LEAVERS = {0, 1, 2, 3, 40, 41}


def test_contracts_say_what_became_of_the_two_groups():
    """4 of 40 against 2 of 10, and what before and after would say: 40% scored, 10% left."""
    (told,) = measure_effects(DRAWN, company(LEAVERS, 50), RECIPES, RULES, date(2026, 9, 1))

    assert (told.playbook, told.outcome, told.horizon_days) == (P, "churn", 90)
    assert (told.offered, told.held_out, told.waiting) == (Group(40, 4), Group(10, 2), 0)
    assert told.effect is not None
    assert told.effect.value == pytest.approx(0.1)
    assert told.naive == pytest.approx(0.3)
    assert told.stated == pytest.approx(RULES.playbooks.by_id[P].playbook.keeps * 0.2)


def test_nothing_is_counted_before_its_time():
    """Sixty days after the draw nobody is known to have stayed."""
    (told,) = measure_effects(DRAWN, company(LEAVERS, 50), RECIPES, RULES, date(2026, 3, 1))

    assert (told.waiting, told.offered.count, told.held_out.count, told.effect) == (50, 0, 0, None)


def test_without_a_hold_out_there_is_no_effect_to_tell():
    """Draws of chance 0 are offers to everybody."""
    sure = [assigned(at, share=0.0) for at in range(9)]

    assert measure_effects(sure, company(set(), 9), RECIPES, RULES, date(2026, 9, 1)) == []


def test_growth_without_its_tables_is_left_out():
    """Triggers are judged by the expansion recipe; where it cannot be, nothing is said."""
    growth = [trigger(at) for at in range(9)]

    assert measure_effects(growth, company(set(), 9), RECIPES, RULES, date(2026, 9, 1)) == []
    (told,) = measure_effects(
        growth,
        company(set(), 9),
        RECIPES | {"expansion": load_recipe(WORKSPACE, "expansion")},
        RULES,
        date(2026, 12, 1),
    )
    assert (told.outcome, told.horizon_days, told.offered) == ("expansion", 180, Group(9, 0))


def test_interventions_hold_every_draw():
    """As training reads them: who was worked on and when, and who was left alone."""
    frame = interventions([assigned(1), assigned(2, "held_out")])

    assert frame["arm"].tolist() == ["offered", "held_out"]
    assert frame["done_at"].isna().tolist() == [False, True]
    assert interventions([]).empty


def test_work_counts_for_the_recipe_it_is_meant_for():
    """Playbooks are for churn, triggers for expansion."""
    every = [assigned(1), trigger(2)]

    assert worked_on(every, RECIPES["churn"])["account_id"].tolist() == ["A-1"]
    assert worked_on(every, load_recipe(WORKSPACE, "expansion"))["account_id"].tolist() == ["A-2"]
