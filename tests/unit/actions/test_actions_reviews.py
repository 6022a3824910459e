"""Where a playbook is done and the account did not recover, somebody decides how to go on, by a date."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from planned_company import DAY, RULES, Book, days_after, row, state, table

from lifecycle_ml.actions.action import action_id_of, is_review
from lifecycle_ml.actions.ledger import Assign, Complete, Dismiss, Snooze
from lifecycle_ml.actions.needs import look_at
from lifecycle_ml.actions.playbooks import Review, check_playbooks
from lifecycle_ml.actions.reviews import what_follows
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.health.state import Runs

NIGHT = datetime(2026, 6, 1, 2)
RED = state("red")
FEATURES = {each.feature for plan in RULES.playbooks.by_id.values() for each in plan.playbook.recovers_when}
MET = {"champions_present": 1.0, "active_users_28d": 9.0}
STEPS = ["find_successor", "sponsor_call", "value_recap"]


def night(days):
    return NIGHT + timedelta(days=days)


def run(book, days, health=RED, rules=RULES, **values):
    """Plan and apply the run of one night for one red account."""
    shown = {"health": health.color, "champions_present": 0.0, "active_users_28d": 1.0, **values}
    return book.run(table(row("A", days_after(days), **shown)), {"A": health}, night(days), rules)


def end_steps(book, days, *words):
    """Say a word about each unfinished step, the last word about all that are left."""
    steps = sorted(
        (each for each in book.unfinished if not is_review(each.kind, each.step)), key=lambda each: each.step
    )
    for at, step in enumerate(steps):
        book.tell(step, words[min(at, len(words) - 1)], night(days) + timedelta(hours=8))


def worked_out():
    """A red account all of whose steps ended on day 3, before the run of day 4."""
    book = Book()
    run(book, 0)
    end_steps(book, 3, Complete("done"), Dismiss("no"), Complete("done"))
    return book


def reviews(book):
    return sorted(
        (each for each in book.actions.values() if is_review(each.kind, each.step)), key=lambda a: a.step
    )


def with_playbook(reason, color, **changes):
    """Return the rules with one playbook changed."""
    file = RULES.playbooks.file
    own = {**file.playbooks[reason], color: file.playbooks[reason][color].model_copy(update=changes)}
    changed = file.model_copy(update={"playbooks": {**file.playbooks, reason: own}})
    return replace(RULES, playbooks=check_playbooks(changed, FEATURES, RULES.team))


def test_the_run_after_the_last_step_sets_owner_and_day_of_the_review():
    """Fourteen days for the evidence, five to decide, three until somebody above is told."""
    (begun,) = run(worked_out(), 4)

    review = begun.action
    assert (begun.kind, review.status, review.step) == ("opened", "snoozed", "review_1")
    assert review.action_id == action_id_of("A", "champion_left_red", "review_1", DAY)
    assert (review.owner_role, review.owner) == ("cs_lead", "Head of Customer Success")
    assert (review.snoozed_until, review.due_at) == (night(18), night(23))
    assert (review.escalates_to, review.escalates_at) == ("vp_cs", night(26))
    assert review.why.startswith("Waiting for the evidence. Acme is still red since 2026-06-01: ")


def test_the_review_wakes_on_its_day_and_says_what_is_missing_and_what_was_done():
    """Words of the day it wakes; nothing twice."""
    book = worked_out()
    run(book, 4)

    assert run(book, 17) == []
    (woken,) = run(book, 18)
    assert (woken.kind, woken.at, woken.action.status) == ("woken", night(18), "open")
    titles = {step.id: step.title for step in RULES.playbooks.by_id["champion_left_red"].playbook.steps}
    assert sorted(titles) == STEPS
    assert woken.action.why.endswith(
        f"Done: {titles['find_successor']}; {titles['value_recap']}. Dismissed: {titles['sponsor_call']}. "
        "Decide: try another step, escalate, or accept the loss, and write down which."
    )
    assert "1 of 2 criteria of its way back not met: at least 1 champion present (now 0)." in woken.action.why
    assert run(book, 19) == []
    assert [(each.kind, each.at) for each in run(book, 26)] == [("escalated", night(26))]


def test_an_unfinished_step_holds_the_review_back():
    """Open, asleep or over capacity: somebody still has something to do."""
    for word in (None, Snooze(night(60)), Assign("Kim")):
        book = Book()
        run(book, 0)
        first, *others = book.unfinished
        for step in others:
            book.tell(step, Complete(), night(3))
        if word is not None:
            book.tell(first, word, night(3))
        else:
            book.actions[first.action_id] = replace(first, status="over_capacity")
        run(book, 30)
        assert reviews(book) == []


@pytest.mark.parametrize(
    "health", [state("green", since=days_after(9)), state("yellow", since=days_after(9))]
)
def test_leaving_red_ends_the_watch(health):
    """Recovered, or stepped down: nobody is asked to decide."""
    book = worked_out()
    run(book, 4)

    run(book, 9, health)

    assert [each.status for each in reviews(book)] == ["closed"]


def test_a_new_onset_has_its_own_steps_and_its_own_review():
    """Red again after green is another episode: steps first, then a first review under another id."""
    book = worked_out()
    run(book, 4)
    run(book, 9, state("green", since=days_after(9)))
    again = state("red", since=days_after(12))

    opened = run(book, 12, again)
    assert sorted(each.action.step for each in opened) == STEPS
    end_steps(book, 13, Complete())
    (second,) = run(book, 14, again)

    assert (second.action.step, second.action.snoozed_until) == ("review_1", night(28))
    assert len({each.action_id for each in reviews(book)}) == 2


def test_still_red_after_a_review_is_looked_at_again_after_its_cool_down():
    """Four weeks, not every night; never two at once."""
    book = worked_out()
    run(book, 4)
    run(book, 18)
    book.tell(reviews(book)[0], Complete("accept the loss"), night(20))

    (second,) = run(book, 21)
    assert (second.action.step, second.action.snoozed_until) == ("review_2", night(49))
    for days in range(22, 49):
        assert run(book, days) == []
    (woken,) = run(book, 49)
    assert "Reviewed once before." in woken.action.why
    assert [each.status for each in reviews(book)] == ["done", "open"]


def test_an_account_about_to_recover_is_left_in_peace():
    """All criteria met and risk under the limit: only time is missing. If that does not last, it wakes."""
    book = worked_out()
    run(book, 4)
    turning = replace(RED, runs=Runs(under_red=days_after(15)))

    (asleep,) = run(book, 18, turning, **MET)
    assert (asleep.kind, asleep.action.status, asleep.action.snoozed_until) == (
        "snoozed",
        "snoozed",
        night(25),
    )
    assert (asleep.action.due_at, asleep.action.escalates_at) == (night(30), night(33))
    assert run(book, 18, turning, **MET) == []
    (woken,) = run(book, 25)
    assert (woken.kind, woken.action.status) == ("woken", "open")


@pytest.mark.parametrize("health", [RED, replace(RED, facts=("champion_left",), runs=Runs(under_red=DAY))])
def test_met_criteria_under_a_high_risk_or_a_fact_are_no_recovery(health):
    """The colour will not turn by waiting, so somebody decides."""
    book = worked_out()
    run(book, 4)
    (woken,) = run(book, 18, health, **MET)

    assert woken.kind == "woken"
    assert "Every criterion of its way back is met" in woken.action.why


def test_a_review_its_owner_has_no_hours_for_wakes_over_capacity():
    """It is somebody's, and seen: the lead's ten hours are gone."""
    book = worked_out()
    run(book, 4)
    (asleep,) = reviews(book)
    full = replace(
        asleep,
        action_id="act_full",
        account_id="B",
        step="x",
        status="open",
        hours=10.0,
        snoozed_until=None,
        kind="stage",
        escalates_at=None,
    )
    book.actions["act_full"], book.changed["act_full"] = full, night(4)

    states = {"A": RED, "B": state("green")}  # B has lapsed: its work goes on
    woken = book.run(table(row("A", days_after(18), health="red")), states, night(18))

    assert [(each.action.status, each.action.owner) for each in woken] == [
        ("over_capacity", "Head of Customer Success")
    ]


def test_sleeping_reviews_take_nobodys_hours():
    """Twenty watches are ten hours that most accounts will never need."""
    book = Book()
    accounts = [f"A{at:02}" for at in range(25)]
    shown = {"health": "red", "arr": 1_000.0}
    states = dict.fromkeys(accounts, RED)
    book.run(table(*(row(each, **shown) for each in accounts)), states, NIGHT)
    for action in list(book.unfinished):
        book.tell(action, Complete(), night(1))
    book.run(table(*(row(each, days_after(2), **shown) for each in accounts)), states, night(2))
    assert len(reviews(book)) == 25
    woken = book.run(table(*(row(each, days_after(16), **shown) for each in accounts)), states, night(16))
    assert [each.action.status for each in woken].count("open") == 20
    assert [each.action.status for each in woken].count("over_capacity") == 5


def test_yellow_is_reviewed_only_where_its_playbook_says_so():
    """And a red playbook may say that it is not."""
    yellow = state("yellow")
    for rules, health, expected in (
        (RULES, yellow, 0),
        (with_playbook("champion_left", "yellow", review=True), yellow, 1),
        (with_playbook("champion_left", "red", review=False), RED, 0),
    ):
        book = Book()
        run(book, 0, health, rules)
        end_steps(book, 1, Complete())
        run(book, 2, health, rules)
        assert len(reviews(book)) == expected


def test_a_review_that_is_no_longer_asked_for_closes():
    """Like any step that a workspace drops."""
    book = worked_out()
    run(book, 4)

    (closed,) = run(book, 5, rules=with_playbook("champion_left", "red", review=False))

    assert (closed.kind, closed.because) == ("closed", "the workspace no longer asks for this step")


def test_explaining_says_what_follows_where_every_step_ended():
    """Nothing while a step is open; then the next run; then day and owner; on its day who decides by when."""
    book = worked_out()
    said = []
    for days in (0, 4, 18):
        today = table(row("A", days_after(days), health="red"))
        (need,) = (each for each in look_at(today, {"A": RED}, RULES).needs if each.kind == "playbook")
        if days == 0:
            open_book = Book()
            run(open_book, 0)
            said.append(what_follows(need, list(open_book.actions.values()), RULES))
        said.append(what_follows(need, list(book.actions.values()), RULES))
        run(book, max(days, 4))
    said.append(what_follows(need, list(book.actions.values()), RULES))

    assert said == [
        (),
        ("every step has ended: the next run sets the day on which somebody decides how to go on",),
        ("waiting for the evidence until 2026-06-19, owner Head of Customer Success (cs_lead)",),
        ("waiting for the evidence until 2026-06-19, owner Head of Customer Success (cs_lead)",),
        ("Head of Customer Success (cs_lead) decides how to go on, due 2026-06-24",),
    ]
    silent = with_playbook("champion_left", "red", review=False)
    (ended,) = what_follows(need, [each for each in book.actions.values() if each.step in STEPS], silent)
    assert ended == "every step has ended, and the playbook asks for no review"


def test_the_names_of_reviews_are_theirs():
    """A workspace's own step cannot be taken for one."""
    steps = RULES.playbooks.by_id["champion_left_red"].playbook.steps
    with pytest.raises(ConfigError, match=r"champion_left\.red: step 'review_2' has the name of a review"):
        with_playbook("champion_left", "red", steps=(steps[0].model_copy(update={"id": "review_2"}),))


def test_wrong_fields_in_its_sentence_are_refused():
    """With the words that may stand in braces."""
    with pytest.raises(ValueError, match=r"braces may hold only \{name\}"):
        Review(why="{nme} is still {color}")
