"""Triggers: what fires, what it says, who gets the task, and when nobody does."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import timedelta

import pytest
from planned_company import FEATURES, RULES, Book, days_after, row, state, table

from lifecycle_ml.actions.ledger import Dismiss
from lifecycle_ml.actions.triggers import TRIGGERS, TriggersFile, check_triggers, fire_triggers
from lifecycle_ml.errors import UserError
from lifecycle_ml.workspace import standard_root

TEXT = (standard_root() / "serving" / "triggers.toml").read_text(encoding="utf-8")
CALM = {"A": state()}
SIGNS = {
    "usage_near_limit": {"usage_limit_used_28d": 0.91},
    "several_teams": {"teams_active_84d": 4, "new_teams_84d": 1},
    "new_department": {"new_departments_84d": 1},
    "advanced_feature": {"advanced_features_84d": 3},
    "premium_capability_request": {"premium_capability_tickets_168d": 1},
    "hiring_related": {"hiring_signals_84d": 3},
    "new_initiative": {"new_initiatives_84d": 1},
    "broader_need": {"broader_needs_84d": 1},
}


def fire(**values):
    return fire_triggers(table(row(**values)), RULES.triggers).get("A", [])


def test_the_standard_workspace_has_the_eight_triggers():
    """Each with a role, a path, and a sentence."""
    assert tuple(RULES.triggers.by_id) == TRIGGERS == tuple(SIGNS)
    assert {trigger.path for trigger in RULES.triggers.by_id.values()} == {"task", "score_only"}


@pytest.mark.parametrize(("name", "values"), SIGNS.items())
def test_each_trigger_fires_on_its_sign_alone(name, values):
    """A green account, one sign, one trigger."""
    (fired,) = fire(**values)

    assert fired.trigger == name
    assert fired.path == RULES.triggers.by_id[name].path
    assert fired.to_json() == {"trigger": name, "says": fired.says, "owner_role": fired.owner_role}
    assert "unknown" not in fired.says


def test_nothing_fires_where_nothing_is_known():
    """A null cannot tell."""
    assert fire() == []


def test_a_trigger_says_what_was_seen_in_numbers():
    """Shares as percent, nouns that agree."""
    assert fire(usage_limit_used_28d=0.914)[0].says == (
        "91% of the contracted usage was used in the last 28 days."
    )
    assert fire(new_departments_84d=1)[0].says == "1 new department took an interest in the last 84 days."
    assert fire(teams_active_84d=4, new_teams_84d=2)[0].says == (
        "4 teams were active in the last 84 days, 2 of them newly."
    )


def test_another_way_to_see_the_same_trigger_speaks_for_itself():
    """Where no limit is contracted the seats are it."""
    (fired,) = fire(seats_used_28d=0.96, seats=50)

    assert (fired.trigger, fired.says) == (
        "usage_near_limit",
        "96% of the 50 seats were taken in the last 28 days.",
    )


def test_red_fires_nothing_and_yellow_only_shows():
    """Nobody is sold to while they are about to leave."""
    assert fire(health="red", new_departments_84d=1) == []
    assert [fired.path for fired in fire(health="yellow", new_departments_84d=1)] == ["score_only"]


def test_signs_whose_feature_is_absent_are_left_out_and_reported():
    """A company without signals keeps the other triggers."""
    lacking = RULES.triggers.unavailable(set(FEATURES) - {"new_departments_84d", "usage_limit_used_28d"})
    scored = table(row(seats_used_28d=1.0, seats=9)).drop(
        columns=["new_departments_84d", "usage_limit_used_28d"]
    )

    assert lacking == {"triggers.new_department": ("new_departments_84d",)}
    assert [fired.trigger for fired in fire_triggers(scored, RULES.triggers)["A"]] == ["usage_near_limit"]


def test_a_task_goes_to_the_person_the_account_names():
    """Sales by accounts.sales_owner, with what was seen as the reason."""
    (event,) = Book().run(table(row(sales_owner="Sal", premium_capability_tickets_168d=1)), CALM)

    assert (event.action.kind, event.action.owner) == ("trigger", "Sal")
    assert event.action.why == (
        "Acme: 1 request for premium capabilities reached support in the last 168 days. "
        "The customer has told us what they would pay for."
    )
    assert event.action.due_at == event.action.opened_at + timedelta(days=7)


def test_score_only_opens_nothing():
    """It is shown beside the score and asks nothing of anybody."""
    assert fire(hiring_signals_84d=1)
    assert Book().run(table(row(hiring_signals_84d=1)), CALM) == []


def test_a_trigger_comes_again_only_after_its_cool_down():
    """Dismissed or done: ninety days from its opening."""
    book = Book()
    (event,) = book.run(table(row(new_departments_84d=1)), CALM)
    book.tell(event.action, Dismiss("they are not ready"), event.at + timedelta(hours=3))

    opened = [
        passed
        for passed in (1, 13, 30, 89, 90, 91, 119)
        if book.run(table(row(as_of=days_after(passed), new_departments_84d=1)), CALM)
        for action in [book.ledger[-1]]
        if action.kind == "opened"
    ]

    assert opened == [90]


def test_turning_red_closes_expansion_tasks():
    """The account is kept before it is grown."""
    book = Book()
    (event,) = book.run(table(row(new_departments_84d=1)), CALM)

    red = state("red", since=days_after(3))
    events = book.run(table(row(as_of=days_after(3), health="red", new_departments_84d=1)), {"A": red})

    assert (events[0].kind, events[0].action.action_id) == ("closed", event.action.action_id)
    assert events[0].because == "the account turned red on 2026-06-04: it is kept before it is grown"
    assert {event.action.kind for event in events[1:]} == {"playbook"}


def test_a_sign_that_is_gone_for_a_day_ends_nothing_that_is_in_time():
    """Only late work whose sign has passed is closed."""
    book = Book()
    book.run(table(row(new_departments_84d=1)), CALM)

    assert book.run(table(row(as_of=days_after(2))), CALM) == []
    (closed,) = book.run(table(row(as_of=days_after(10))), CALM)
    assert closed.because == "the sign has passed"


def test_an_owner_gets_no_more_expansion_tasks_a_week_than_the_budget():
    """Three in any seven days; the rest waits, the most valuable first."""
    book = Book()
    names = [f"A{number}" for number in range(8)]
    states = {name: state() for name in names}

    def week(passed):
        rows = [
            row(name, days_after(passed), new_departments_84d=1, arr=1000.0 * at)
            for at, name in enumerate(names)
        ]
        return [e.action.account_id for e in book.run(table(*rows), states) if e.kind == "opened"]

    assert week(0) == ["A7", "A6", "A5"]
    assert week(6) == []
    for action in book.unfinished:
        book.tell(action, Dismiss("no"), book.ledger[0].at + timedelta(days=6, hours=5))
    assert week(7) == ["A4", "A3", "A2"]


def test_work_that_can_wait_leaves_hours_for_accounts_at_risk():
    """At most the share of team.toml is taken by it; red still gets the rest of the week."""
    book = Book()
    generous = RULES.team.budgets.model_copy(update={"expansion_tasks_a_week": 99})
    rules = replace(RULES, team=RULES.team.model_copy(update={"budgets": generous}))
    names = [f"A{number}" for number in range(20)]
    grows = table(*(row(name, new_departments_84d=1) for name in names))
    book.run(grows, {name: state() for name in names}, rules=rules)

    assert sum(action.hours for action in book.unfinished) == 4.0  # of Dana's 12 hours 40%, in steps of one
    assert {action.status for action in book.unfinished} == {"open"}


def test_likely_growth_comes_first():
    """The expansion model orders tasks of equal size."""
    likely = row("B", new_departments_84d=1, expansion_lift=3.0)
    unlikely = row("A", new_departments_84d=1, expansion_lift=0.1)

    events = Book().run(table(unlikely, likely), {"A": state(), "B": state()})

    assert [event.action.account_id for event in events] == ["B", "A"]
    assert events[0].action.arr_kept_per_hour == pytest.approx(9 * events[1].action.arr_kept_per_hour)


def test_growing_and_at_risk_is_a_conversation_of_its_own():
    """The playbook's own words, and that both are true at once."""
    values = {"health": "red", "reason": "champion_left", "reason_label": "The champion left"}
    one, both = (
        Book().run(table(row(**values, expansion_band=band)), {"A": state("red")})[0].action.why
        for band in ("low", "high")
    )

    assert both == f"{one} {RULES.playbooks.file.growing_and_at_risk}"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "usage_limit_used_28d >= 0.85",
            "usage_limit_use_28d >= 0.85",
            "Did you mean 'usage_limit_used_28d'",
        ),
        ("{usage_limit_used_28d:share}", "{usage_limit_used_28d:percent}", "no unit 'percent'"),
        ("{usage_limit_used_28d:share}", "{seats}", "{seats} is none of the features its condition reads"),
        ('path = "task"', 'path = "score_only"', '"score_only" has none'),
        ('owner_role = "csm"\npath', 'owner_role = "cms"\npath', "no role 'cms'"),
        ('when = "new_departments_84d >= 1"', 'when = "(SELECT 1)"', "a subquery is not understood"),
    ],
)
def test_wrong_triggers_fail_at_load_with_remedy(old, new, says):
    """Every mistake is found before anybody is asked to sell."""
    assert old in TEXT
    with pytest.raises((UserError, ValueError)) as refused:
        check_triggers(
            TriggersFile.model_validate(tomllib.loads(TEXT.replace(old, new, 1))), FEATURES, RULES.team
        )

    assert says in str(refused.value)
