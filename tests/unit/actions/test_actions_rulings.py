"""`lifecycle actions --explain`: every rule has an answer for an account, in words, and it is the run's."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, time, timedelta

import pytest
from planned_company import DAY, FEATURES, RULES, WORKSPACE, Book, days_after, row, state, table

from lifecycle_ml.actions.checkpoints import CHECKPOINTS
from lifecycle_ml.actions.rule_words import RuleWords, label
from lifecycle_ml.actions.rulings import Standing, rule_on
from lifecycle_ml.actions.stages import STAGES
from lifecycle_ml.health.config import load_health
from lifecycle_ml.health.state import Runs
from lifecycle_ml.matrix.load import load_features

HEALTH = load_health(WORKSPACE, FEATURES)
WORDS = RuleWords(load_features(WORKSPACE))
BASE = 0.1


def rulings(scored, health=None, *, kept=(), ended=(), before=None, now=None):
    """Every rule for the one account of `scored`, by its id."""
    now = now or datetime.combine(scored["as_of"].iloc[0].date(), time(3))
    standing = Standing(scored, health or state(), before, BASE, kept, ended, now)
    return {ruling.rule: ruling for ruling in rule_on(standing, HEALTH, RULES, WORDS)}


def test_every_rule_of_the_workspace_is_answered():
    """Limits, facts, checkpoints, problems, stages with their tasks, and triggers: none is left out."""
    found = rulings(table(row()))

    expected = {"limits.red", "limits.yellow", *(f"facts.{name}" for name in HEALTH.facts)}
    expected |= {f"checkpoints.{days}" for days in CHECKPOINTS}
    expected |= {f"data.problems.{name}" for name in RULES.renewals.file.data.problems}
    expected |= {f"stages.{stage}.{way}" for stage in STAGES for way in ("enters", "exits")}
    expected |= {f"onboarding_start.{name}" for name in RULES.stages.starts}
    expected |= {f"stages.{s}.tasks.{t}" for s in STAGES for t in RULES.stages.file.stages[s].tasks}
    expected |= {f"triggers.{name}" for name in RULES.triggers.by_id}
    assert set(found) == expected
    assert set(rulings(table(row(health="red")), state("red"))) == expected | {"playbooks.champion_left.red"}


def test_a_fact_that_did_not_fire_names_the_part_that_failed_with_the_value():
    """Two of three comparisons hold; the third one is the answer."""
    calm = row(champions_left_180d=1, champions_present=0, days_to_renewal=200)
    ruling = rulings(table(calm))["facts.champion_left_before_renewal"]

    assert ruling.fired is False
    assert [(part.text, part.holds) for part in ruling.parts] == [
        ("days_to_renewal BETWEEN 0 AND 120", False)
    ]
    assert ruling.parts[0].needs == "days to renewal is between 0 and 120"
    assert ruling.parts[0].values == {"days_to_renewal": 200.0}
    assert "200" in ruling.parts[0].now


def test_what_nobody_knows_cannot_be_told():
    """A null is neither yes nor no; a column no source delivers says so."""
    unknown = rulings(table(row(champions_left_180d=1)))["facts.champion_left"]
    without = rulings(table(row()).drop(columns="champions_present"))["facts.champion_left"]

    assert unknown.fired is None
    assert [(part.text, part.holds) for part in unknown.parts] == [("champions_present = 0", None)]
    assert without.fired is None
    assert "no source" in " ".join(part.now for part in without.parts)


def test_no_sentence_shows_a_column_or_a_sign():
    """People read what is needed and what is so; SQL stays in the document for machines."""
    for ruling in rulings(table(row(health="yellow")), state("yellow")).values():
        for part in ruling.parts:
            assert not re.search(r"[a-z]_[a-z]|[<>=]|\bNULL\b|\bnan\b", f"{part.needs} {part.now}"), part


def test_a_limit_says_risk_limit_and_how_long():
    """Over the limit today is not enough: it is said since when."""
    over = state()
    over = type(over)(**{**vars(over), "runs": Runs(over_red=DAY, over_yellow=DAY - timedelta(days=9))})
    found = rulings(table(row(risk=0.35)), over)

    assert found["limits.red"].fired is False
    assert [part.holds for part in found["limits.red"].parts] == [True, False]
    assert found["limits.yellow"].fired is True
    assert rulings(table(row(risk=float("nan"))))["limits.red"].fired is None


def test_triggers_are_held_back_by_colour_and_path():
    """Red fires none; yellow shows it; a score-only trigger opens nothing; green opens its task."""
    seen = {"usage_limit_used_28d": 0.9, "advanced_features_84d": 3}
    green = rulings(table(row(**seen)))
    yellow = rulings(table(row(health="yellow", **seen)), state("yellow"))
    red = rulings(table(row(health="red", **seen)), state("red"))

    assert green["triggers.usage_near_limit"].fired is True
    assert not green["triggers.usage_near_limit"].held
    assert "opens no task" in green["triggers.advanced_feature"].held[0]
    assert "yellow" in yellow["triggers.usage_near_limit"].held[0]
    assert red["triggers.usage_near_limit"].fired is False


def test_open_work_and_cool_downs_hold_a_rule_back():
    """What is open is named with its day; what ended cools down until a day."""
    book = Book()
    first = table(row(usage_limit_used_28d=0.9))
    book.run(first, {"A": state()})
    (opened,) = book.of("trigger")
    again = rulings(first, kept=book.unfinished)["triggers.usage_near_limit"]
    later = table(row(as_of=days_after(20), usage_limit_used_28d=0.9))
    cooling = rulings(later, ended=[opened])["triggers.usage_near_limit"]

    assert again.held == (f"opened on {DAY} and open: {opened.title}",)
    assert again.fired
    assert "cools down until" in cooling.held[0]


def test_a_full_week_holds_a_trigger_back():
    """Growth takes a part of the week only; what waits for it is told so."""
    book = Book()
    many = [row(f"B{n}", usage_limit_used_28d=0.9, sales_owner="Sam") for n in range(4)]
    book.run(table(*many), {f"B{n}": state() for n in range(4)})
    given = {action.account_id for action in book.of("trigger")}
    waiting = min({f"B{n}" for n in range(4)} - given)
    scored = table(next(one for one in many if one["account_id"] == waiting))

    ruling = rulings(scored, kept=book.unfinished)["triggers.usage_near_limit"]

    assert "left this week" in ruling.held[0]


def test_the_playbook_shows_its_way_back():
    """Each criterion of the way back, met or not."""
    ruling = rulings(table(row(health="red")), state("red"))["playbooks.champion_left.red"]

    assert ruling.fired is True
    criteria = RULES.playbooks.recovers_when("red", "champion_left")
    assert len(ruling.parts) == len(criteria)


@pytest.mark.parametrize(
    ("days", "signed", "says"),
    [(60, 0, "it fell on"), (60, 1, "signed"), (float("nan"), 0, "no renewal"), (10, 0, "a later one")],
)
def test_a_checkpoint_says_where_the_renewal_stands(days, signed, says):
    """Reached, past, signed, or no renewal at all."""
    scored = table(row(days_to_renewal=days, renewal_signed=signed, term_days=365))
    ruling = rulings(scored)["checkpoints.60"]

    assert ruling.fired is (says == "it fell on")
    assert says in ruling.parts[0].now


def test_a_checkpoint_names_the_evidence_that_is_missing():
    """Seen, missing, not to be told, or shown by a step that was done; what lies ahead asks for nothing."""
    heard = {("touchpoint", name): None for each in RULES.renewals.evidence[:2] for name in each.topics}
    heard["touchpoint", "value_review"] = days_after(-40)
    scored = table(row(days_to_renewal=80, term_days=365, checkpoint_evidence=heard))
    book = Book()
    book.run(scored, {"A": state()})
    (action,) = book.unfinished

    def evidence(**given):
        found = rulings(scored, **given)
        return {days: found[f"checkpoints.{days}"].parts[1:] for days in CHECKPOINTS}

    asked = evidence(kept=[action])
    assert [(part.needs, part.holds) for part in (*asked[180], *asked[120], *asked[90])] == [
        ("evidence: Stakeholder map confirmed", False),
        ("evidence: Value narrative agreed with the champion", True),
        ("evidence: Commercial path and its owner agreed", None),
    ]
    assert asked[120][0].now == "seen in a touchpoint on 2026-04-22"
    assert asked[60] == asked[30] == ()
    (done,) = evidence(ended=[replace(action, status="done")])[90]
    assert (done.holds, done.now) == (True, "its step was done")


def test_a_stage_says_why_it_is_not_taken():
    """Adoption lets everybody in, and an account stays where it is until that stage's exit is true."""
    found = rulings(table(row(stage="growth", tenure_days=800)), before="growth")

    assert found["stages.adoption.enters"].fired is True
    assert "stays in its stage" in found["stages.adoption.enters"].held[0]
    task = found["stages.adoption.tasks.business_review"]
    assert task.fired is False
    assert task.parts[-1].needs == "the stage is Adoption"


def test_columns_have_names_people_say():
    """Windows are written as days, usual values as usual."""
    assert label("active_users_28d") == "active users (28 days)"
    assert label("active_users_28d__usual") == "the usual active users (28 days)"
    assert label("arr") == "ARR"
