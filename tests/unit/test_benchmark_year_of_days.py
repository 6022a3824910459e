"""The benchmark of a year: it notices each promise that is broken, and its people keep to their hours."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa
from benchmarks.year_of_days.guards import VARIANTS, without
from benchmarks.year_of_days.people import SHARE, work
from benchmarks.year_of_days.promises import examine_store
from benchmarks.year_of_days.run import STANDARD

from lifecycle_ml.actions.action import Action, ActionEvent
from lifecycle_ml.actions.ledger import Complete
from lifecycle_ml.actions.team import load_team
from lifecycle_ml.rulebook import load_rules
from lifecycle_ml.store.schema import listings
from lifecycle_ml.store.store import Store
from lifecycle_ml.tables.source import tables_from_frames

MONDAY = datetime(2026, 6, 1, 2)
DAY = timedelta(days=1)
TEAM = load_team(STANDARD)


class Book:
    """A store in a file, with runs put into it by hand."""

    def __init__(self, folder):
        self.url = f"sqlite:///{folder / 'year.db'}"
        self.store = Store.open(self.url)
        self.engine = sa.create_engine(self.url)

    def run(self, day, *events, red=()):
        """Publish one run, with readings of red accounts; green ones do not matter here."""
        now = MONDAY + day * DAY
        publication = self.store.begin(now.date(), now, now)
        with self.engine.begin() as connection:
            for account in red:
                values = {"account_id": account, "called": account, "health": "red", "band": "high"}
                connection.execute(
                    sa.insert(listings).values(publication_id=publication.publication_id, **values)
                )
        self.store.publish(publication, events)

    def promises(self):
        """Return what the benchmark finds."""
        return examine_store(self.url, TEAM, step_days=1)


@pytest.fixture
def book(tmp_path):
    """An empty one."""
    opened = Book(tmp_path)
    yield opened
    opened.engine.dispose()
    opened.store.close()


def event(name="act-1", kind="opened", day=0, at=0, **changes):
    """An event of a run's day about an action opened on day 0 of the red playbook."""
    fields = {
        "action_id": name,
        "account_id": "A-1",
        "playbook": "unknown_red",
        "step": name,
        "title": "Call",
        "owner_role": "csm",
        "owner": "Kim",
        "opened_at": MONDAY,
        "due_at": MONDAY + 2 * DAY,
        "why": None,
        "escalates_to": "cs_lead",
        "escalates_at": MONDAY + 4 * DAY,
        "status": "open",
        "arr_kept_per_hour": 10.0,
        "hours": 1.0,
    }
    return ActionEvent(kind, MONDAY + (at or day) * DAY, Action(**(fields | changes)), "because")


def review(number=1, **changes):
    """Return the opening of a review that sleeps."""
    asleep = {"status": "snoozed", "snoozed_until": MONDAY + 20 * DAY, "due_at": MONDAY + 25 * DAY}
    fields = {"step": f"review_{number}", "opened_at": MONDAY + 6 * DAY, "escalates_at": None}
    return event(f"act-review-{number}", day=6, **(fields | asleep | changes))


def told(role_after, day, **changes):
    """Return the escalation that fell due on a day, after which `role_after` is the next."""
    later = None if role_after is None else MONDAY + (day + 2) * DAY
    return event(kind="escalated", at=day, escalates_to=role_after or "vp_cs", escalates_at=later, **changes)


def test_a_year_that_keeps_its_promises(book):
    """Work at the onset, one escalation on its day, done; red goes on and waits for evidence until a day."""
    book.run(0, event(), red=["A-1"])
    book.run(4, told("vp_cs", 4), red=["A-1"])
    book.store.tell("act-1", Complete("done"), "Kim", MONDAY + 4.5 * DAY)
    book.run(6, review(), red=["A-1"])
    found = book.promises()
    assert found.broken == {}
    assert (found.runs, found.opened, found.escalations, found.done) == (3, 2, 1, 1)
    assert (found.red_turns, found.red, found.red_with_work, found.red_watched) == (1, 3, 2, 1)


def test_red_that_nobody_owes_anything_is_noticed(book):
    """Everything was done, the account is still red, and no day is set on which somebody decides."""
    book.run(0, event(), red=["A-1"])
    book.store.tell("act-1", Complete("done"), "Kim", MONDAY + 0.5 * DAY)
    book.run(1, red=["A-1"])
    assert book.promises().broken == {"red_worked_out": 1}


def test_two_reviews_of_one_account_are_noticed(book):
    """And a review that woke is work like any other."""
    book.run(0, event(), red=["A-1"])
    book.store.tell("act-1", Complete("done"), "Kim", MONDAY + 0.5 * DAY)
    book.run(1, review(1), red=["A-1"])
    book.run(2, review(2, status="open", snoozed_until=None), red=["A-1"])
    found = book.promises()
    assert found.broken == {"reviews_at_once": 1}
    assert (found.red_with_work, found.red_watched) == (2, 1)


def test_a_sleeping_review_takes_nobodys_hours(book):
    """Until it wakes."""
    book.run(0, review(hours=99.0))
    assert book.promises().broken == {}
    book.run(1, review(2, hours=99.0, status="open", snoozed_until=None, account_id="A-2"))
    assert book.promises().broken == {"over_hours": 1}


def test_red_without_work_is_noticed(book):
    """Nobody opened anything."""
    book.run(0, red=["A-1"])
    assert book.promises().broken == {"red_without_work": 1}


def test_the_same_step_twice_is_noticed(book):
    """Under two ids, both unfinished."""
    book.run(0, event("act-1", step="call"), event("act-2", step="call"))
    assert book.promises().broken == {"twice_at_once": 1}


def test_more_work_than_hours_is_noticed(book):
    """A success manager has twelve hours a week; what is over capacity is not theirs."""
    book.run(0, event("act-1", hours=8.0), event("act-2", hours=5.0, status="over_capacity", owner="Head"))
    assert book.promises().broken == {}
    book.run(1, event("act-3", day=1, hours=5.0))
    assert book.promises().broken == {"over_hours": 1}


def test_more_expansion_tasks_than_the_budget_are_noticed(book):
    """Three in any seven days."""
    tasks = [event(f"act-{n}", kind="opened", day=n, playbook="trigger_x", hours=0.5) for n in range(5)]
    tasks = [ActionEvent(each.kind, each.at, _as_trigger(each.action)) for each in tasks]
    for day in range(3):
        book.run(day, tasks[day])
    assert book.promises().broken == {}
    book.run(3, tasks[3])
    assert book.promises().broken == {"over_budget": 1}


def _as_trigger(action):
    return Action(**(vars(action) | {"kind": "trigger", "escalates_at": None}))


def test_an_escalation_that_did_not_come_is_noticed(book):
    """It was due after four days; and told a run later it is late."""
    book.run(0, event())
    book.run(4)
    assert book.promises().broken == {"escalations_missed": 1}
    book.run(5, told("vp_cs", 4))
    assert book.promises().broken == {"escalations_missed": 1, "escalations_late": 1}


def test_a_role_told_twice_is_noticed(book):
    """Of the same action."""
    book.run(0, event())
    book.run(4, told("cs_lead", 4))
    book.run(6, told("vp_cs", 6))
    assert book.promises().broken == {"escalations_twice": 1}


def test_people_work_in_order_within_their_hours(book):
    """The dearest first; a fifth of the week's hours by Monday evening, all by Friday, none after that."""
    book.run(0, *(event(f"act-{n}", hours=1.5, arr_kept_per_hour=100.0 - n) for n in range(8)))
    hours = SHARE * TEAM.roles["csm"].hours_a_week
    spent = []
    for day in range(7):
        for _again in range(2):  # a year that was stopped says nothing twice
            work(book.store, book.engine, TEAM, MONDAY + (day + 0.3) * DAY, step_days=1)
        ended = [each for each in book.store.actions(["A-1"])["A-1"] if each.status == "done"]
        spent.append(sum(each.hours for each in ended))
        assert spent[-1] <= hours * min(day + 1, 5) / 5
    assert 0 < spent[0] < spent[3] < spent[4] == spent[6]
    left = [each for each in book.store.open_actions() if each.status == "open"]
    first_left = max(each.arr_kept_per_hour for each in left)
    done = [each for each in book.store.actions(["A-1"])["A-1"] if each.status == "done"]
    assert all(each.arr_kept_per_hour > first_left for each in done)


def test_guards_are_taken_away_and_nothing_else():
    """Limits are entered where they were; exits, waiting, cool-downs, hours and budgets are gone."""
    accounts = pd.DataFrame({"account_id": ["A"], "created_at": [pd.Timestamp("2024-01-01")]})
    rules = load_rules(STANDARD, tables_from_frames({"accounts": accounts}), {})
    assert without(rules, VARIANTS["all guards"]) == rules
    bare = without(rules, VARIANTS["no guard"])
    kept, limits = rules.health.file.limits, bare.health.file.limits
    assert bare.health.min_days == 0
    assert limits.red.enter == limits.red.exit == kept.red.enter
    assert limits.yellow.enter == limits.yellow.exit == kept.yellow.enter
    assert bare.health.facts == rules.health.facts
    assert not any(
        (bare.actions.playbooks.cool_down, bare.actions.triggers.cool_down, bare.actions.stages.cool_down)
    )
    assert min(role.hours_a_week for role in bare.actions.team.roles.values()) > 168
    assert bare.actions.playbooks.by_id == rules.actions.playbooks.by_id
