"""Planning: owners, due dates, capacity, cool-down, escalation, and no action twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.actions.action import UNFINISHED, action_id_of
from lifecycle_ml.actions.desk import Desk
from lifecycle_ml.actions.ledger import Snooze, apply_word
from lifecycle_ml.actions.plan import ended_in_episode, plan_actions
from lifecycle_ml.actions.playbooks import COLORS, REASONS
from lifecycle_ml.actions.rulebook import load_action_rules
from lifecycle_ml.actions.team import Team
from lifecycle_ml.health.state import HealthState
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.workspace import load_workspace, standard_root

WORKSPACE = load_workspace(standard_root())
RULES = load_action_rules(WORKSPACE, load_features(WORKSPACE).names)
TEAM, PLAYBOOKS = RULES.team, RULES.playbooks
DAY = date(2026, 6, 1)
NOW = datetime.fromisoformat("2026-06-01T02:00")
GREEN = HealthState(color="green", since=DAY)


def state(color="red", reason="champion_left", since=DAY):
    return HealthState(
        color=color,
        since=since,
        reason=reason,
        playbook=PLAYBOOKS.choose(color, reason),
        because="the champion left",
    )


def scored(*accounts, **given_):
    base = {"name": "Acme", "owner": "Dana", "arr": 12_000.0, "risk": 0.4, "reason": "champion_left"}
    base |= {"as_of": pd.Timestamp(DAY), "health": "red", "stage": "adoption"}
    base |= {"reason_label": "Champion left", "evidence_says": "no champion among 4 contacts"}
    return pd.DataFrame([{"account_id": account, **base, **given_} for account in accounts or ("A",)])


def plan(table, states, open_actions=(), recent=(), now=NOW, team=TEAM):
    return plan_actions(table, states, open_actions, recent, replace(RULES, team=team), now)


def apply(actions, events):
    """Return all actions by id as they stand after the events, as the store would keep them."""
    return actions | {event.action.action_id: event.action for event in events}


def split(actions):
    unfinished = [action for action in actions.values() if action.status in UNFINISHED]
    return unfinished, [action for action in actions.values() if action.status not in UNFINISHED]


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("color", COLORS)
def test_every_reason_and_colour_opens_work_with_owner_due_date_and_escalation(reason, color):
    """The day an account turns it has at least one action that somebody has to do by a date."""
    events = plan(scored(), {"A": state(color, reason)})

    assert len(events) == len(PLAYBOOKS.by_id[f"{reason}_{color}"].playbook.steps)
    for event in events:
        action = event.action
        assert (event.kind, action.status, action.opened_at) == ("opened", "open", NOW)
        assert action.owner
        assert action.due_at > NOW
        assert action.escalates_at > action.due_at
        assert action.escalates_to in TEAM.roles
        assert action.title
        assert "Acme turned" in action.why


def test_green_accounts_get_no_work():
    """Nothing to do where nothing is wrong."""
    assert plan(scored(), {"A": GREEN}) == []


def test_why_is_a_sentence_with_reason_and_evidence():
    """The owner reads what is wrong, not a colour."""
    why = plan(scored(), {"A": state()})[0].action.why

    assert why.startswith("Acme turned red: Champion left. No champion among 4 contacts. The person")


def test_why_of_a_latched_reason_does_not_quote_evidence_of_another():
    """What the model names today is not why this action exists."""
    why = plan(scored(reason="budget_eliminated", reason_label="Budget"), {"A": state()})[0].action.why

    assert "Budget" not in why
    assert "The champion left." in why


def test_why_names_the_latched_reason_as_the_taxonomy_does():
    """A reader sees the reason the colour turned for, whatever the model names today."""
    table = scored(reason="budget_eliminated", reason_label="Budget").assign(latched_label="Champion left")

    why = plan(table, {"A": state()})[0].action.why

    assert why.startswith("Acme turned red: Champion left.")


def test_planning_again_with_the_events_applied_opens_nothing():
    """Idempotent: the same evening twice is the same as once."""
    states = {"A": state(), "B": state("yellow", "unknown")}
    first = plan(scored("A", "B"), states)

    unfinished, ended = split(apply({}, first))

    assert plan(scored("A", "B"), states, unfinished, ended) == []


def test_a_done_step_is_not_opened_again_in_the_same_episode():
    """Work that was done stays done while the account is still red."""
    actions = apply({}, plan(scored(), {"A": state()}))
    done = replace(next(iter(actions.values())), status="done")
    unfinished, ended = split(actions | {done.action_id: done})

    assert ended_in_episode(actions.values(), {"A": state()}) == []
    assert ended_in_episode(ended, {"A": state()}) == ended == [done]
    assert plan(scored(), {"A": state()}, unfinished, ended) == []


def test_ids_are_stable_and_differ_by_account_playbook_step_and_episode():
    """The id is a hash of what the action is, not of when it was planned."""
    ids = {
        action_id_of("A", "p", "s", DAY),
        action_id_of("B", "p", "s", DAY),
        action_id_of("A", "q", "s", DAY),
        action_id_of("A", "p", "t", DAY),
        action_id_of("A", "p", "s", date(2026, 6, 2)),
        action_id_of("Ap", "", "s", DAY),
    }
    assert len(ids) == 6
    later = plan(scored(), {"A": state()}, now=NOW + timedelta(days=3))
    assert [e.action.action_id for e in later] == [e.action.action_id for e in plan(scored(), {"A": state()})]


def test_recovery_closes_the_actions_and_says_so():
    """Green ends the work."""
    open_actions, _ = split(apply({}, plan(scored(), {"A": state()})))

    events = plan(scored(), {"A": GREEN}, open_actions)

    assert {event.kind for event in events} == {"closed"}
    assert {event.action.status for event in events} == {"closed"}
    assert events[0].because == "recovered: green since 2026-06-01"


def test_an_account_that_left_closes_its_actions():
    """Nobody is asked to save a customer who is gone."""
    open_actions, _ = split(apply({}, plan(scored(), {"A": state()})))

    events = plan(scored().iloc[:0], {}, open_actions)

    assert {event.because for event in events} == {"the account is no longer a customer"}


def test_turning_red_replaces_the_yellow_work_at_once():
    """Cool-down never holds up a new onset of red."""
    yellow = state("yellow")
    open_actions, _ = split(apply({}, plan(scored(), {"A": yellow})))

    events = plan(scored(), {"A": state("red", since=DAY + timedelta(days=3))}, open_actions)

    assert [event.kind for event in events] == ["closed", "opened", "opened", "opened"]
    assert events[0].because == "the account turned red on 2026-06-04"


def test_yellow_of_the_same_reason_waits_for_the_cool_down():
    """After red ended, the yellow playbook of the same reason does not start the next morning."""
    open_actions, _ = split(apply({}, plan(scored(), {"A": state()})))
    down = {"A": state("yellow", since=DAY + timedelta(days=30))}

    events = plan(scored(), down, open_actions, now=NOW + timedelta(days=30))
    assert {event.kind for event in events} == {"closed"}
    closed = [event.action for event in events]
    assert plan(scored(), down, [], closed, now=NOW + timedelta(days=31)) == []
    # past the cool-down the store no longer counts them as recent
    assert [e.kind for e in plan(scored(), down, [], [], now=NOW + timedelta(days=45))] == ["opened"]


def test_cool_down_is_for_the_same_reason_only():
    """Another reason is another need."""
    ended = [replace(event.action, status="done") for event in plan(scored(), {"A": state("yellow")})]
    other = {"A": state("yellow", "service_support_failure", DAY + timedelta(days=5))}

    assert len(plan(scored(), other, [], ended)) == 1


def test_past_due_is_escalated_once_per_level_up_to_the_top():
    """First the step's own next role, then the one above, each once; then nobody is left to tell."""
    (yellow,) = plan(scored(), {"A": state("yellow")})
    action, told = yellow.action, []
    for days in range(40):
        now = NOW + timedelta(days=days)
        for event in plan(scored(), {"A": state("yellow")}, [action], now=now):
            told.append((event.kind, event.at, event.because.rsplit(" ", 1)[1]))
            action = event.action

    # due after 5 days, told 3 days later, the next level 3 days after that
    assert told == [
        ("escalated", NOW + timedelta(days=8), "cs_lead"),
        ("escalated", NOW + timedelta(days=11), "vp_cs"),
    ]
    assert (action.escalates_to, action.escalates_at) == ("vp_cs", None)


def test_a_late_run_catches_up_on_every_level_passed():
    """Each level is dated when it fell due, so a ledger shows them apart."""
    (yellow,) = plan(scored(), {"A": state("yellow")})

    events = plan(scored(), {"A": state("yellow")}, [yellow.action], now=NOW + timedelta(days=90))

    assert [event.at for event in events] == [NOW + timedelta(days=8), NOW + timedelta(days=11)]


def test_large_contracts_escalate_to_leadership_first():
    """From 250,000 ARR the vice president is the first to be told."""
    small, large = (plan(scored(arr=arr), {"A": state()})[0].action for arr in (10_000.0, 300_000.0))

    assert (small.escalates_to, large.escalates_to) == ("cs_lead", "vp_cs")


def test_work_beyond_an_owners_hours_goes_to_the_lead_and_keeps_its_date():
    """Dana has 12 hours; whatever does not fit is the lead's, marked over_capacity."""
    accounts = [f"A{number:02}" for number in range(10)]

    events = plan(scored(*accounts), {account: state() for account in accounts})

    mine = [e.action for e in events if e.action.owner == "Dana" and e.action.owner_role == "csm"]
    over = [e.action for e in events if e.action.status == "over_capacity"]
    hours = {step.id: step.hours for step in PLAYBOOKS.by_id["champion_left_red"].playbook.steps}
    assert sum(hours[action.step] for action in mine) <= 12
    assert over
    assert {action.owner for action in over if action.owner_role == "csm"} == {"Head of Customer Success"}
    assert all(action.due_at and action.escalates_at for action in over)
    assert len(events) == 30


def test_open_work_counts_against_the_hours():
    """What is still open tomorrow takes tomorrow's hours; a tenth of them is kept for upkeep."""
    states = {f"A{number}": state() for number in range(4)}
    full, _ = split(apply({}, plan(scored(*states), states)))
    assert sum(2.0 if a.step == "value_recap" else 1.0 for a in full if a.owner == "Dana") == 10
    states["B"] = state()

    events = plan(scored(*states), states, full)

    assert {e.action.status for e in events if e.action.owner_role == "csm"} == {"over_capacity"}


def test_the_work_worth_most_an_hour_gets_the_hours():
    """Order is by ARR at risk times the share kept, per hour."""
    table = pd.concat([scored("small", arr=1_000.0), scored("large", arr=90_000.0)], ignore_index=True)

    events = plan(table, {"small": state(), "large": state()})

    assert [event.action.account_id for event in events] == ["large"] * 3 + ["small"] * 3
    # 90,000 x 0.4 at risk, 30% kept, in 4 hours
    assert events[0].action.arr_kept_per_hour == pytest.approx(2700.0)


def test_an_account_without_a_manager_is_the_leads():
    """Every action has an owner, also where the accounts table names none."""
    events = plan(scored(owner=None), {"A": state()})

    assert {e.action.owner for e in events if e.action.owner_role == "csm"} == {"Head of Customer Success"}


def test_work_is_shared_among_the_people_of_a_role():
    """The one with most hours left takes the next step."""
    raw = TEAM.model_dump()
    raw["roles"]["operations"]["people"] = ({"name": "Ola"}, {"name": "Per", "hours_a_week": 1.0})
    team = Team.model_validate(raw)
    states = {account: state("yellow", "service_support_failure") for account in ("A", "B", "C")}

    owners = [event.action.owner for event in plan(scored(*states), states, team=team)]

    assert owners == ["Ola", "Ola", "Ola"]


def test_missing_arr_or_risk_still_gets_work():
    """Without a value the work comes last in the order, but it comes."""
    table = pd.concat([scored("A", arr=np.nan, risk=np.nan), scored("B")], ignore_index=True)

    events = plan(table, {"A": state(), "B": state()})

    assert [event.action.account_id for event in events] == ["B"] * 3 + ["A"] * 3
    assert events[-1].action.arr_kept_per_hour == 0


def test_a_step_removed_from_the_playbook_closes_its_action():
    """Nobody works on what the workspace no longer asks for."""
    stale = replace(plan(scored(), {"A": state()})[0].action, step="gone", action_id="act_x")

    events = plan(scored(), {"A": state()}, [stale])

    assert (events[0].kind, events[0].because) == ("closed", "the workspace no longer asks for this step")


def test_a_sleeping_action_wakes_and_escalates_only_after_that():
    """Two days late when it wakes: its owner gets the step's usual days before anybody is told."""
    (yellow,) = plan(scored(), {"A": state("yellow")})  # told on day 8
    until = NOW + timedelta(days=20)
    asleep = apply_word(yellow.action, Snooze(until), "dana", NOW).action

    assert plan(scored(), {"A": state("yellow")}, [asleep], now=NOW + timedelta(days=19)) == []
    (woken,) = plan(scored(), {"A": state("yellow")}, [asleep], now=until + timedelta(hours=3))
    late = plan(scored(), {"A": state("yellow")}, [woken.action], now=until + timedelta(days=3))

    assert (woken.kind, woken.at, woken.action.status) == ("woken", until, "open")
    assert woken.action.due_at == yellow.action.due_at
    assert [(event.kind, event.at) for event in late] == [("escalated", until + timedelta(days=3))]


def test_work_nobody_has_hours_for_wakes_over_capacity():
    """Sleeping work comes back; the hours of its owner may be gone."""
    (yellow,) = plan(scored(), {"A": state("yellow")})
    asleep = replace(yellow.action, status="snoozed", snoozed_until=NOW)
    full = replace(yellow.action, action_id="act_2", account_id="B", hours=12.0)
    states = {"A": state("yellow"), "B": state("yellow")}

    events = plan(scored("A"), states, [asleep, full])

    assert [(event.kind, event.action.status) for event in events] == [("woken", "over_capacity")]


def test_who_works_for_two_roles_has_the_hours_of_the_one_with_fewer():
    """Sam is listed nowhere: 12 hours as a success manager, 10 as an account executive."""
    (first, *_) = (event.action for event in plan(scored(), {"A": state()}))
    as_csm = replace(first, owner="Sam", owner_role="csm", hours=10.5)
    as_seller = replace(first, account_id="B", owner="Sam", owner_role="account_executive", hours=0.5)
    waking = replace(as_csm, account_id="C", status="snoozed", hours=0.25, beyond_capacity=True)

    assert (TEAM.hours("csm", "Sam"), TEAM.hours("account_executive", "Sam")) == (12.0, 10.0)
    assert Desk(TEAM, [as_csm], (), NOW).wake(waking) == "open"
    assert Desk(TEAM, [as_csm, as_seller], (), NOW).wake(waking) == "over_capacity"
    assert Desk(TEAM, [as_seller, as_csm], (), NOW).wake(waking) == "over_capacity"


def test_work_beyond_capacity_that_is_put_off_takes_nobodys_hours():
    """The head of customer success puts off what was too much; their own work still fits into the week."""
    accounts = {f"A{number:02}": state() for number in range(10)}
    over = [e.action for e in plan(scored(*accounts), accounts) if e.action.status == "over_capacity"]
    theirs = [action for action in over if action.owner == "Head of Customer Success"]
    assert all(action.beyond_capacity for action in over)
    later = NOW + timedelta(days=7)
    put_off = [replace(action, status="snoozed", snoozed_until=later) for action in theirs]
    own = replace(theirs[0], beyond_capacity=False, account_id="B", step="sponsor_call")

    assert sum(action.hours for action in put_off) > TEAM.hours("cs_lead", "Head of Customer Success")
    assert Desk(TEAM, put_off, (), NOW).wake(replace(own, status="snoozed", hours=1.0)) == "open"
    as_work = [replace(action, beyond_capacity=False) for action in put_off]
    assert Desk(TEAM, as_work, (), NOW).wake(replace(own, status="snoozed")) == "over_capacity"


def test_work_beyond_capacity_wakes_open_where_there_is_room_by_then():
    """And as what it was where there is none."""
    (yellow,) = plan(scored(), {"A": state("yellow")})
    until = NOW + timedelta(days=1)
    asleep = replace(yellow.action, status="snoozed", snoozed_until=NOW, beyond_capacity=True)
    (woken,) = plan(scored("A"), {"A": state("yellow")}, [asleep], now=until)
    assert (woken.action.status, woken.action.beyond_capacity) == ("open", False)

    full = replace(yellow.action, action_id="act_2", account_id="B", hours=12.0)
    states = {"A": state("yellow"), "B": state("yellow")}
    woken, *_ = plan(scored("A"), states, [asleep, full], now=until)
    assert (woken.action.status, woken.action.beyond_capacity) == ("over_capacity", True)


def test_a_lapsed_account_keeps_its_actions_and_they_escalate():
    """A contract that may still be renewed is no reason to stop; no new work is opened for it."""
    actions, _ = split(apply({}, plan(scored(), {"A": state()})))

    assert plan(scored().iloc[:0], {"A": state()}, actions) == []
    events = plan(scored().iloc[:0], {"A": state()}, actions, now=NOW + timedelta(days=4))
    assert {event.kind for event in events} == {"escalated"}
