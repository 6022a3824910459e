"""Stages: never null, left only by the exit, and the tasks they ask for."""

from __future__ import annotations

import itertools
import tomllib

import pandas as pd
import pytest
from planned_company import FEATURES, RULES, Book, days_after, row, state, table

from lifecycle_ml.actions.stages import STAGES, StagesFile, check_stages, stages_of, starts_of
from lifecycle_ml.errors import UserError
from lifecycle_ml.workspace import standard_root

TEXT = (standard_root() / "serving" / "stages.toml").read_text(encoding="utf-8")
GAP = float("nan")


def stage(before=None, **values):
    (found,) = stages_of(table(row(**values)), {"A": before}, RULES.stages)
    return found


def test_a_customer_walks_through_the_stages():
    """Signed, handed over, live, adopting, growing, renewing, and back to adopting after the renewal."""
    life = [
        ({"tenure_days": 3, "activated": 0, "handoff_gaps": 2}, "hand_off"),
        ({"tenure_days": 20, "activated": 0, "handoff_gaps": 1}, "hand_off"),
        ({"tenure_days": 25, "activated": 0, "handoff_gaps": 0}, "onboarding"),
        ({"tenure_days": 80, "activated": 1}, "adoption"),
        ({"tenure_days": 150, "activated": 1, "growth_signals_84d": 2}, "growth"),
        ({"tenure_days": 170, "activated": 1, "growth_signals_84d": 1}, "growth"),
        ({"tenure_days": 250, "term_days": 365, "days_to_renewal": 115}, "renewal"),
        ({"tenure_days": 300, "term_days": 365, "days_to_renewal": 65}, "renewal"),
        ({"tenure_days": 340, "term_days": 365, "days_to_renewal": 25, "renewal_signed": 1}, "adoption"),
    ]
    before = None
    for values, expected in life:
        before = stage(before, **values)
        assert before == expected


def test_nothing_known_is_adoption():
    """The stage is never null."""
    assert stage(activated=GAP, tenure_days=GAP) == "adoption"
    assert stages_of(table(row()).drop(columns=["tenure_days", "activated"]), {}, RULES.stages) == [
        "adoption"
    ]
    assert stages_of(table(row()), {"A": "a stage of an older workspace"}, RULES.stages) == ["adoption"]


def test_no_accounts_have_no_stages():
    """An empty table is answered with an empty list."""
    assert stages_of(table(row()).iloc[:0], {}, RULES.stages) == []


def test_an_account_stays_while_its_exit_cannot_be_told():
    """Onboarding does not end because a feed went silent."""
    assert stage("onboarding", activated=GAP, tenure_days=GAP) == "onboarding"


def test_trouble_ends_growth():
    """A yellow account is no longer grown."""
    assert stage("growth", health="yellow", expansion_band="high", growth_signals_84d=3) == "adoption"


def test_a_monthly_contract_is_not_always_renewing():
    """Short terms renew all the time; that is no stage."""
    assert stage(term_days=30, days_to_renewal=20) == "adoption"


@pytest.mark.parametrize("before", [None, *STAGES])
def test_no_account_goes_to_and_fro_between_stages(before):
    """Over all combinations of what the conditions read: where an account arrives it stays next time."""
    values = {
        "tenure_days": [1, 30, 100, 400],
        "activated": [GAP, 0, 1],
        "handoff_gaps": [GAP, 0, 2],
        "term_days": [GAP, 30, 365],
        "days_to_renewal": [GAP, 50, 200],
        "days_to_notice": [GAP, -5, 60, 170],
        "renewal_signed": [0, 1],
        "health": ["green", "red"],
        "expansion_band": [None, "low", "high"],
        "growth_signals_84d": [GAP, 0, 2],
    }
    every = pd.DataFrame(list(itertools.product(*values.values())), columns=list(values))
    # notice is counted from the renewal, so nobody knows the one without the other
    every = every[every["days_to_renewal"].notna() | every["days_to_notice"].isna()].reset_index(drop=True)
    every["account_id"] = range(len(every))

    now = stages_of(every, dict.fromkeys(every["account_id"], before), RULES.stages)
    again = stages_of(every, dict(enumerate(now)), RULES.stages)

    moved = every.assign(now=now, again=again)[[one != two for one, two in zip(now, again, strict=True)]]
    assert moved.empty, moved.head(3).to_dict("records")


def test_missing_hand_off_fields_are_work_for_sales():
    """One action for sales, closed as soon as the fields are filled."""
    book, gaps = Book(), {"stage": "hand_off", "tenure_days": 3, "sales_owner": "Sal"}
    (opened,) = book.run(table(row(handoff_gaps=2, **gaps)), {"A": state()})
    assert (opened.action.kind, opened.action.owner) == ("stage", "Sal")

    (closed,) = book.run(table(row(as_of=days_after(2), handoff_gaps=0, **gaps)), {"A": state()})

    assert (closed.kind, closed.because) == ("closed", "it is no longer called for")


def test_the_work_for_sales_says_what_is_missing():
    """By the names of the fields, where the source has them; never a hole in the sentence."""
    gaps = {"stage": "hand_off", "tenure_days": 3, "handoff_gaps": 2}
    named = row(handoff_missing="goals, go live date", **gaps)
    (opened,) = Book().run(table(named), {"A": state()})
    (unnamed,) = Book().run(table(row(**gaps)), {"A": state()})

    assert "is incomplete. Missing: goals, go live date. Onboarding starts" in opened.action.why
    assert "is incomplete. Onboarding starts" in unnamed.action.why


def criteria(**values):
    """Whether each criterion is met and what is said where it is not, for one account in hand-off."""
    (found,) = starts_of(table(row(**{"stage": "hand_off", **values})), RULES.stages)
    return found and {one["criterion"]: (one["met"], one["says"]) for one in found}


READY = {"contract_signed": 1, "handoff_gaps": 0, "success_owner_named": 1, "kickoffs_planned": 1}


def test_onboarding_can_start_where_all_is_met():
    """Contract, hand-off fields, owner, kickoff: in the order of the file."""
    assert criteria(**READY) == {
        "contract_signed": (True, None),
        "hand_off_complete": (True, None),
        "owner_assigned": (True, None),
        "kickoff_booked": (True, None),
    }


def test_what_onboarding_waits_for_is_said_by_name():
    """Hand-off fields with their names, as far as the source has them."""
    gaps = criteria(**READY | {"handoff_gaps": 2, "handoff_missing": "goals, go live date"})
    nothing = criteria(**dict.fromkeys(READY, 0) | {"handoff_gaps": 1})

    assert gaps["hand_off_complete"] == (
        False,
        "Sales left required hand-off fields empty. Missing: goals, go live date.",
    )
    assert [says for met, says in nothing.values() if met is False] == [
        "It is not recorded when the contract was signed.",
        "Sales left required hand-off fields empty.",
        "Nobody of customer success is named for the account.",
        "No kickoff has a date.",
    ]


def test_what_no_table_tells_is_not_missing():
    """Nulls, and features whose table is not there."""
    assert {met for met, _ in criteria(**dict.fromkeys(READY, GAP)).values()} == {None}
    (found,) = starts_of(table(row(stage="onboarding")).drop(columns=[*READY]), RULES.stages)
    assert {(one["met"], one["says"]) for one in found} == {(None, None)}


def test_past_onboarding_nobody_asks():
    """An account that lives with us for years is not told about its kickoff."""
    both = table(row(**dict.fromkeys(READY, 0)), row("B", stage="onboarding", **READY))

    assert [found is None for found in starts_of(both, RULES.stages)] == [True, False]
    assert starts_of(both.iloc[:0], RULES.stages) == []


def test_the_work_before_the_start_names_what_it_waits_for():
    """One action; it closes when all of it is there."""
    new = {"stage": "hand_off", "tenure_days": 3}
    book = Book()
    scored = table(row(**new, **READY | {"kickoffs_planned": 0, "success_owner_named": 0}))
    scored["onboarding_start"] = starts_of(scored, RULES.stages)
    (opened,) = book.run(scored, {"A": state()})

    assert opened.action.playbook == "stage_hand_off_start_criteria"
    assert opened.action.why == (
        "Acme is new, and its onboarding cannot start yet. "
        "Nobody of customer success is named for the account. No kickoff has a date."
    )
    (closed,) = book.run(table(row(as_of=days_after(2), **new, **READY)), {"A": state()})
    assert (closed.kind, closed.because) == ("closed", "it is no longer called for")


def test_leaving_the_stage_closes_its_tasks():
    """Hand-off work ends with the hand-off."""
    book = Book()
    book.run(table(row(stage="hand_off", handoff_gaps=2)), {"A": state()})

    (closed,) = book.run(table(row(as_of=days_after(2), stage="onboarding", handoff_gaps=2)), {"A": state()})

    assert closed.because == "the account left the stage Hand-off from sales"


def test_a_task_that_cannot_be_told_stays_open():
    """A gap in the data closes nothing."""
    book = Book()
    book.run(table(row(stage="hand_off", handoff_gaps=2)), {"A": state()})

    assert book.run(table(row(as_of=days_after(2), stage="hand_off")), {"A": state()}) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("stages.growth", "stages.grow", "no stage 'grow'. Did you mean 'growth'"),
        ("tenure_days <= 14", "tenure_day <= 14", "no column 'tenure_day'. Did you mean 'tenure_days'"),
        ("tenure_days <= 14", "stage = 'growth'", "no column 'stage'"),
        ('owner_role = "account_executive"', 'owner_role = "ae"', "no role 'ae'"),
        ("{name} is new", "{nme} is new", "braces may hold only"),
        (
            "contract_signed = 1",
            "contract_signd = 1",
            "onboarding_start.contract_signed: no column 'contract",
        ),
        ("success_owner_named = 1", "success_owner_name = 1", "Did you mean 'success_owner_named'"),
        ("empty. {missing}", "empty. {mising}", "braces may hold only {missing}"),
    ],
)
def test_wrong_stages_fail_at_load_with_remedy(old, new, says):
    """Every mistake is found before an account is put anywhere."""
    assert old in TEXT
    with pytest.raises((UserError, ValueError)) as refused:
        check_stages(StagesFile.model_validate(tomllib.loads(TEXT.replace(old, new))), FEATURES, RULES.team)

    assert says in str(refused.value)
