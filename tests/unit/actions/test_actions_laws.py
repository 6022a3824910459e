"""What holds for any company, any sequence of days and whatever people do with their actions."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, time, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planned_company import RULES, Book, days_after, row, state, table

from lifecycle_ml.actions.action import is_review
from lifecycle_ml.actions.ledger import Assign, Complete, Dismiss, Snooze
from lifecycle_ml.actions.playbooks import REASONS

OWNERS = st.sampled_from(["Dana", "Kim", None])
NUMBERS = st.sampled_from([float("nan"), 0.0, 1.0, 3.0])
ACCOUNTS = st.fixed_dictionaries(
    {
        "owner": OWNERS,
        "sales_owner": st.sampled_from(["Sal", None]),
        "renewal_owner": st.sampled_from(["Ren", None]),
        "arr": st.sampled_from([float("nan"), 1_000.0, 60_000.0, 400_000.0]),
        "risk": st.sampled_from([float("nan"), 0.02, 0.5]),
        "expansion_band": st.sampled_from([None, "low", "high"]),
        "ends_in": st.sampled_from([None, 5, 40, 100, 130, 200]),
        "notice_days": st.sampled_from([float("nan"), 0.0, 30.0, 90.0, 400.0]),
        "term_days": st.sampled_from([30.0, 365.0, 1095.0]),
        "auto_renew": st.sampled_from([float("nan"), 0.0, 1.0]),
        "renewal_owner_named": NUMBERS,
        "auto_renew_known": st.sampled_from([0.0, 1.0]),
        "usage_limit_used_28d": st.sampled_from([float("nan"), 0.5, 0.9]),
        "new_departments_84d": NUMBERS,
        "broader_needs_84d": NUMBERS,
        "handoff_gaps": NUMBERS,
        "milestones_overdue": NUMBERS,
        "stage": st.sampled_from(["hand_off", "onboarding", "renewal", "growth", "adoption"]),
    }
)
COLORS = st.sampled_from(["green", "green", "yellow", "red"])
WORDS = st.sampled_from(["complete", "dismiss", "snooze", "assign", None, None])


@st.composite
def companies(draw):
    """A few accounts, and for each of a few days their colours and what people do that day."""
    accounts = draw(st.lists(ACCOUNTS, min_size=1, max_size=6))
    gaps = draw(st.lists(st.integers(1, 40), min_size=1, max_size=5))
    days, passed = [], 0
    for gap in gaps:
        colors = draw(st.lists(COLORS, min_size=len(accounts), max_size=len(accounts)))
        reasons = draw(st.lists(st.sampled_from(REASONS), min_size=len(accounts), max_size=len(accounts)))
        days.append((passed, colors, reasons, draw(WORDS)))
        passed += gap
    return accounts, days


def play(company, see):
    """Run every day of the company; `see(book, events, scored, states, now)` looks at each."""
    accounts, days = company
    book, states = Book(), {}
    for passed, colors, reasons, word in days:
        as_of = days_after(passed)
        rows = []
        for at, values in enumerate(accounts):
            account_id = f"A{at}"
            before = states.get(account_id)
            if before is None or before.color != colors[at]:
                states[account_id] = state(colors[at], reasons[at], as_of)
            ends_in = values["ends_in"]
            left = float("nan") if ends_in is None or ends_in < passed else ends_in - passed
            shown = {key: value for key, value in values.items() if key != "ends_in"}
            rows.append(row(account_id, as_of, **shown, days_to_renewal=left, health=colors[at]))
        scored, now = table(*rows), datetime.combine(as_of, time(2))
        events = book.run(scored, dict(states), now)
        see(book, events, scored, dict(states), now)
        for action in book.unfinished[::2] if word else ():
            at = now + timedelta(hours=8)
            words = {
                "complete": Complete("done"),
                "dismiss": Dismiss("not now"),
                "snooze": Snooze(at + timedelta(days=9)),
                "assign": Assign("Kim"),
            }
            book.tell(action, words[word], at)
    return book


LAW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@LAW
@given(companies())
def test_planning_again_with_the_events_applied_gives_nothing(company):
    """The same night twice is the same as once, for every kind of need and whatever people did."""

    def see(book, _events, scored, states, now):
        assert book.plan(scored, states, now) == []

    play(company, see)


@LAW
@given(companies())
def test_open_work_never_exceeds_hours_and_budget(company):
    """What planning opens fits into the week; only people themselves may take on more."""
    accounts, days = company
    quiet = (accounts, [(*day[:3], None if day[3] in ("assign", "snooze") else day[3]) for day in days])
    budget = RULES.team.budgets

    def see(book, _events, _scored, _states, now):
        hours, tasks = defaultdict(float), Counter()
        for action in book.actions.values():
            if action.status == "open":
                hours[action.owner] += action.hours
            if action.kind == "trigger" and action.opened_at > now - timedelta(days=7):
                tasks[action.owner] += 1
        for owner, used in hours.items():
            roles = {action.owner_role for action in book.unfinished if action.owner == owner}
            assert used <= max(RULES.team.hours(role, owner) for role in roles) + 1e-6
        assert all(count <= budget.expansion_tasks_a_week for count in tasks.values())

    play(quiet, see)


@LAW
@given(companies())
def test_every_red_account_has_owner_action_and_due_date_the_day_it_turns(company):
    """Red waits for no cool-down, no hours and no budget."""

    def see(book, _events, scored, states, now):
        for account_id, health in states.items():
            if health.color != "red":
                continue
            theirs = [
                action
                for action in book.actions.values()
                if action.account_id == account_id and action.playbook == health.playbook
            ]
            steps = RULES.playbooks.by_id[health.playbook].playbook.steps
            asked = {action.step for action in theirs if not is_review(action.kind, action.step)}
            assert asked == {step.id for step in steps}
            onset = [action for action in theirs if action.opened_at == now]
            assert all(action.owner and action.due_at > now for action in onset)
            if health.since == scored["as_of"].iloc[0].date():
                assert len(onset) == len(steps)

    play(company, see)


@LAW
@given(companies())
def test_every_red_account_has_an_owner_and_a_date_after_every_run(company):
    """Whatever was done or dismissed: work to do, or a day on which somebody decides. Never two reviews."""

    def see(book, _events, _scored, states, now):
        for account_id, health in states.items():
            theirs = [
                action
                for action in book.unfinished
                if action.account_id == account_id and action.playbook == health.playbook
            ]
            if health.color == "red":
                assert any(action.owner and action.due_at for action in theirs)
            reviews = [action for action in theirs if is_review(action.kind, action.step)]
            assert len(reviews) <= (health.color == "red")
            assert all(action.snoozed_until > now for action in reviews if action.status == "snoozed")

    play(company, see)


@LAW
@given(companies())
def test_no_action_is_opened_twice_and_no_need_has_two(company):
    """One open action per account, need and step; an id is opened once ever; a checkpoint once a term."""

    def see(book, _events, _scored, _states, _now):
        needs = Counter((action.account_id, action.playbook, action.step) for action in book.unfinished)
        assert all(count == 1 for count in needs.values())

    book = play(company, see)
    opened = Counter(event.action.action_id for event in book.ledger if event.kind == "opened")
    assert all(count == 1 for count in opened.values())
    terms = Counter((a.account_id, a.playbook, a.step) for a in book.of("checkpoint"))
    assert all(count == 1 for count in terms.values())


@LAW
@given(companies())
def test_nobody_sells_to_a_red_account(company):
    """The day an account is red no expansion task of it is unfinished, and yellow opens none."""

    def see(book, events, _scored, states, _now):
        for action in book.unfinished:
            assert action.kind != "trigger" or states[action.account_id].color != "red"
        for event in events:
            if event.kind == "opened" and event.action.kind == "trigger":
                assert states[event.action.account_id].color == "green"

    play(company, see)
