"""Hold-outs: who is left alone, who never is, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from planned_company import DAY, RULES, Book, days_after, row, state, table

from lifecycle_ml.actions.action import HOLD_OUT
from lifecycle_ml.actions.hold_out import draw
from lifecycle_ml.actions.ledger import ActionError, Complete, Dismiss
from lifecycle_ml.actions.playbooks import check_playbooks
from lifecycle_ml.actions.team import HoldOuts
from lifecycle_ml.errors import ConfigError

SALT = b"a salt of the store"
YELLOW = "champion_left_yellow"
ACCOUNTS = [f"A-{number}" for number in range(400)]


def held_out_of(playbook=YELLOW, share=0.3, rules=RULES, **team):
    """The rules with a share of the accounts held out of one playbook."""
    plan = rules.playbooks.by_id[playbook]
    held = replace(plan, playbook=plan.playbook.model_copy(update={"hold_out": share}))
    playbooks = replace(rules.playbooks, by_id={**rules.playbooks.by_id, playbook: held})
    return replace(rules, playbooks=playbooks, team=rules.team.model_copy(update=team))


def held_out_triggers(share=0.3):
    """The rules with a share of the accounts held out of every trigger that opens tasks."""
    triggers = {
        name: trigger.model_copy(update={"hold_out": share}) if trigger.path == "task" else trigger
        for name, trigger in RULES.triggers.by_id.items()
    }
    file = RULES.triggers.file.model_copy(update={"triggers": triggers})
    return replace(RULES, triggers=replace(RULES.triggers, file=file))


def book_of(color="yellow", accounts=ACCOUNTS, rules=None, day=DAY, book=None, **values):
    """A book after one run over accounts that all turned one colour on the first day."""
    book = book or Book()
    scored = table(*(row(each, day, health=color, owner=each, **values) for each in accounts))
    states = {each: state(color) for each in accounts}
    book.run(scored, states, rules=rules or held_out_of(), salt=SALT)
    return book


def held(book):
    """The accounts left alone now."""
    return {action.account_id for action in book.actions.values() if action.status == "held_out"}


def test_about_the_share_is_held_out_and_the_others_get_every_step():
    """30% of 400 lie between 90 and 150 but for one salt in a thousand; nobody is both or neither."""
    book = book_of()
    offered = {a.account_id for a in book.actions.values() if a.status in {"open", "over_capacity"}}

    assert 90 <= len(held(book)) <= 150
    assert held(book) | offered == set(ACCOUNTS)
    assert not held(book) & offered


def test_the_draw_is_the_same_again_and_another_with_another_salt():
    """Stable for an episode; not to be guessed without the salt."""
    first = held(book_of())

    assert held(book_of()) == first
    other = {each for each in ACCOUNTS if draw(b"another", YELLOW, each, DAY) < 0.3}
    assert len(first ^ other) > 50
    again = {each for each in ACCOUNTS if draw(SALT, YELLOW, each, days_after(90)) < 0.3}
    assert len(first ^ again) > 50


def test_a_held_out_account_has_nothing_due_and_says_why():
    """One entry, visible, that takes nobody's time."""
    book = book_of()
    action = next(action for action in book.actions.values() if action.status == "held_out")

    assert (action.step, action.due_at, action.escalates_at, action.hours) == (HOLD_OUT, None, None, 0.0)
    assert action.title.startswith("Held out, nothing is to be done")
    assert "30% of the accounts" in action.why


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"arr": 50_000.0}, "strategic: ARR of 50,000 or more"),
        ({"arr": float("nan")}, "its ARR is not known"),
        ({"segment": "enterprise"}, "strategic: segment enterprise"),
    ],
)
def test_strategic_accounts_are_never_held_out(values, says):
    """From the lowest level of escalation on, in a named segment, or where nobody can tell."""
    rules = held_out_of(share=0.5, hold_outs=HoldOuts(strategic_segments=("enterprise",)))
    book = book_of(rules=rules, **values)

    assert held(book) == set()
    given = [event.assignment for event in book.ledger if event.assignment]
    assert len(given) == len(ACCOUNTS)
    assert {(each.arm, each.share, each.spared) for each in given} == {("offered", 0.0, says)}


def test_red_accounts_are_never_held_out():
    """The playbooks of red cannot even ask for it."""
    red = RULES.playbooks.file.playbooks["champion_left"]["red"].model_copy(update={"hold_out": 0.1})
    by_color = {**RULES.playbooks.file.playbooks["champion_left"], "red": red}
    playbooks = {**RULES.playbooks.file.playbooks, "champion_left": by_color}
    file = RULES.playbooks.file.model_copy(update={"playbooks": playbooks})
    names = {p.feature for plan in RULES.playbooks.by_id.values() for p in plan.playbook.recovers_when}

    with pytest.raises(ConfigError, match=r"champion_left\.red: red accounts are never held out"):
        check_playbooks(file, names, RULES.team)
    assert held(book_of("red", rules=held_out_of("champion_left_red", 0.5))) == set()


def test_somebody_must_say_who_is_strategic():
    """Without a line nothing can be held out."""
    yellow = RULES.playbooks.file.playbooks["champion_left"]["yellow"].model_copy(update={"hold_out": 0.1})
    by_color = {**RULES.playbooks.file.playbooks["champion_left"], "yellow": yellow}
    file = RULES.playbooks.file.model_copy(
        update={"playbooks": {**RULES.playbooks.file.playbooks, "champion_left": by_color}}
    )
    names = {p.feature for plan in RULES.playbooks.by_id.values() for p in plan.playbook.recovers_when}

    with pytest.raises(ConfigError, match="strategic_from"):
        check_playbooks(file, names, RULES.team.model_copy(update={"escalation": ()}))


def test_every_assignment_says_what_was_known_then():
    """Chance, arm, time and the probability as scored: what an estimate needs."""
    given = [event.assignment for event in book_of(risk=0.25).ledger if event.assignment]

    assert len(given) == len(ACCOUNTS)
    assert {(each.share, each.spared, each.expected, each.arr) for each in given} == {
        (0.3, None, 0.25, 12_000.0)
    }
    assert {each.since for each in given} == {DAY}


def test_a_later_run_changes_nothing():
    """Neither is anybody drawn again, nor is a hold-out opened."""
    book = book_of()
    before = held(book)
    seen = len(book.ledger)
    book_of(day=days_after(7), book=book)

    assert held(book) == before
    assert [event.kind for event in book.ledger[seen:] if event.kind != "escalated"] == []


def test_a_hold_out_ends_with_its_episode():
    """An account that turns red gets everything red asks for."""
    book = book_of()
    account = min(held(book))
    scored = table(row(account, days_after(7), health="red", owner=account))
    events = book.run(scored, {account: state("red", since=days_after(7))}, rules=held_out_of(), salt=SALT)

    mine = [event for event in events if event.action.account_id == account]
    assert {event.kind for event in mine} == {"closed", "opened"}
    assert all(event.action.playbook == "champion_left_red" for event in mine if event.kind == "opened")


def test_a_person_may_end_a_hold_out_and_the_work_opens():
    """Only by saying why; it still counts as held out, for its assignment stays."""
    book = book_of()
    account = min(held(book))
    action = next(a for a in book.actions.values() if a.account_id == account)
    now = action.opened_at + timedelta(hours=8)
    with pytest.raises(ActionError, match="is held out: nothing is to be done"):
        book.tell(action, Complete(), now)
    book.tell(action, Dismiss("they asked for help"), now)
    events = book.run(
        table(row(account, days_after(1), health="yellow", owner=account)),
        {account: state("yellow")},
        rules=held_out_of(),
        salt=SALT,
    )

    opened = [event for event in events if event.action.account_id == account]
    assert {(event.kind, event.assignment) for event in opened} == {("opened", None)}


def test_hold_outs_that_are_switched_off_open_their_work():
    """Who is no longer held out is helped the same night."""
    book = book_of()
    left_alone = held(book)
    seen = len(book.ledger)
    book_of(day=days_after(1), book=book, rules=RULES)
    events = book.ledger[seen:]

    assert held(book) == set()
    assert {event.action.account_id for event in events if event.kind == "closed"} == left_alone
    assert {event.action.account_id for event in events if event.kind == "opened"} == left_alone
    assert not any(event.assignment for event in events)


def test_growth_can_be_held_out_and_its_hours_go_to_others():
    """A trigger's task is left away for some; it takes neither hours nor the week's budget of its owner."""
    scored = table(*(row(each, owner="Dana", sales_owner="Sam", new_departments_84d=1) for each in ACCOUNTS))
    states = {each: state() for each in ACCOUNTS}
    free, book = Book(), Book()
    free.run(scored, states, salt=SALT)
    book.run(scored, states, rules=held_out_triggers(), salt=SALT)

    budget = RULES.team.budgets.expansion_tasks_a_week
    assert len([a for a in free.of("trigger") if a.status == "open"]) == budget
    assert len([a for a in book.of("trigger") if a.status == "open"]) == budget
    assert len(held(book)) >= 1
    assert all(action.hours == 0 for action in book.actions.values() if action.status == "held_out")


def test_a_hold_out_of_growth_lasts_its_cool_down():
    """Then the sign may be drawn for again, as it could be offered again."""
    rules = held_out_triggers(0.5)
    signs = {"new_departments_84d": 1}
    accounts = ACCOUNTS[:20]
    states = {each: state() for each in accounts}
    book = Book()
    for days in (0, 60, 91):
        day = days_after(days)
        own = (row(each, day, owner=each, sales_owner=each, **signs) for each in accounts)
        book.run(table(*own), states, rules=rules, salt=SALT)
        if days == 60:
            assert [event.kind for event in book.ledger].count("held_out") == len(held(book)) > 0
    over = [event for event in book.ledger if event.kind == "closed" and event.action.step == HOLD_OUT]

    assert {event.because for event in over} == {"the cool-down is over"}
