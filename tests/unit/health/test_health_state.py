"""The colour machine: truth tables, and laws over random histories."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle_ml.health.config import INPUTS, HealthFile, check_health
from lifecycle_ml.health.document import health_document
from lifecycle_ml.health.predicate import Predicate
from lifecycle_ml.health.state import HealthState, next_states

START = date(2026, 1, 5)
BASE = 0.1  # red from 0.30, left under 0.20; yellow from 0.15, left under 0.10

CONFIG = check_health(
    HealthFile.model_validate(
        {
            "min_days": 7,
            "trend_days": 14,
            "limits": {
                "unit": "times_base_rate",
                "red": {"enter": 3.0, "exit": 2.0},
                "yellow": {"enter": 1.5, "exit": 1.0},
            },
            "facts": {
                "closed": {
                    "when": "closures >= 1",
                    "color": "red",
                    "says": "closes down",
                    "category": "company_closed_or_merged",
                },
                "notice": {"when": "notice = 1", "color": "red", "says": "gave notice"},
                "left": {"when": "left_180d >= 1", "color": "yellow", "says": "champion left"},
            },
            "inputs": {
                name: {"feature": "users", "better": "higher", "good": 10, "poor": 2, "steady_within": 1}
                for name in INPUTS
            },
        }
    ),
    {"users", "closures", "notice", "left_180d"},
)
WAY_BACK = (Predicate(feature="users", op=">=", number=2, factor_of_onset=1.5),)


def row(risk=0.05, *, band="low", source="model", tier="full", reason="unknown", **features):
    known = {"users": 20.0, "closures": 0.0, "notice": 0.0, "left_180d": 0.0} | features
    return {
        "account_id": "A",
        "risk": risk,
        "band": band,
        "source": source,
        "tier": tier,
        "reason": reason,
        "arr": 1000.0,
    } | known


def step(prior, as_of, today, way_back=WAY_BACK):
    states = next_states(
        {} if prior is None else {"A": prior},
        pd.DataFrame([today]),
        CONFIG,
        as_of,
        lambda _color, _reason: way_back,
        lambda color, reason: f"{reason}_{color}",
        BASE,
    )
    return states["A"]


def history(days_and_rows, way_back=WAY_BACK):
    """Run the machine over (day, row) pairs; return the states."""
    states, state = [], None
    for day, today in days_and_rows:
        # through JSON, as the store would carry it
        state = step(
            state and HealthState.from_json(state.to_json()), START + timedelta(days=day), today, way_back
        )
        states.append(state)
    return states


def colors(days_and_rows):
    return [state.color for state in history(days_and_rows)]


@pytest.mark.parametrize(
    ("risks", "expected"),
    [
        ([(0, 0.4)], ["green"]),
        ([(0, 0.4), (6, 0.4)], ["green", "green"]),
        ([(0, 0.4), (7, 0.4)], ["green", "red"]),
        ([(0, 0.3), (7, 0.3)], ["green", "red"]),
        ([(0, 0.2), (7, 0.2)], ["green", "yellow"]),
        ([(0, 0.4), (3, 0.1), (7, 0.4)], ["green", "green", "green"]),
        ([(0, 0.2), (7, 0.4), (13, 0.4), (14, 0.4)], ["green", "yellow", "yellow", "red"]),
        ([(0, 0.4), (4, float("nan")), (7, 0.4)], ["green", "green", "red"]),
        ([(0, 0.4), (7, float("nan")), (8, 0.4)], ["green", "green", "red"]),
        ([(0, 0.14), (30, 0.14)], ["green", "green"]),
    ],
)
def test_risk_alone_turns_a_colour_only_in_two_publications_a_week_apart(risks, expected):
    """The run over the limit is unbroken and spans min_days; an unknown risk neither breaks nor ends it."""
    assert colors([(day, row(risk)) for day, risk in risks]) == expected


@pytest.mark.parametrize(
    ("features", "color"),
    [({"closures": 1.0}, "red"), ({"notice": 1.0}, "red"), ({"left_180d": 2.0}, "yellow"), ({}, "green")],
)
def test_a_fact_turns_the_colour_at_once_even_without_history(features, color):
    """The first publication already believes a fact."""
    assert colors([(0, row(**features))]) == [color]


def test_a_fact_that_cannot_be_told_never_fires():
    """Null is no evidence."""
    assert colors([(0, row(closures=float("nan")))]) == ["green"]


def test_a_fact_that_becomes_unknown_goes_on_holding():
    """A feed that dries up does not cure an account."""
    history_ = [
        (0, row(closures=1.0, users=1.0)),
        (10, row(closures=float("nan"), users=30.0)),
        (20, row(closures=float("nan"), users=30.0)),
        (30, row(closures=0.0, users=30.0)),
    ]

    assert colors(history_) == ["red", "red", "red", "green"]


def test_a_company_without_the_table_skips_its_facts():
    """A scored table without the column leaves the fact out instead of failing."""
    today = row(closures=1.0)
    del today["closures"]

    assert step(None, START, today).color == "green"


RED = [(0, row(0.4, reason="champion_left", users=4.0)), (7, row(0.4, reason="champion_left", users=4.0))]


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([(8, row(0.05, users=6.0)), (15, row(0.05, users=6.0))], ["red", "green"]),
        ([(8, row(0.05, users=6.0)), (14, row(0.05, users=6.0))], ["red", "red"]),
        ([(8, row(0.05, users=5.9)), (15, row(0.05, users=5.9))], ["red", "red"]),
        ([(8, row(0.05, users=6.0)), (15, row(0.05, users=float("nan")))], ["red", "red"]),
        ([(8, row(0.25, users=9.0)), (30, row(0.25, users=9.0))], ["red", "red"]),
        ([(8, row(0.05, users=9.0)), (15, row(float("nan"), users=9.0))], ["red", "red"]),
        ([(8, row(0.12, users=9.0)), (15, row(0.12, users=9.0))], ["red", "yellow"]),
        ([(8, row(0.05, users=9.0)), (15, row(0.05, users=9.0, left_180d=1.0))], ["red", "yellow"]),
        ([(8, row(0.05, users=9.0)), (15, row(0.05, users=9.0, notice=1.0))], ["red", "red"]),
    ],
)
def test_the_way_up_needs_low_risk_for_a_week_and_the_evidence(later, expected):
    """Neither alone is enough: 6 users are 1.5 times the 4 at onset; risk leaves red under 0.20."""
    assert colors(RED + later)[2:] == expected


def test_reason_playbook_and_onset_are_latched():
    """What the model thinks later does not change why the account is red, nor what it must reach."""
    states = history([*RED, (8, row(0.5, reason="budget_eliminated", users=2.0))])

    assert [state.reason for state in states] == [None, "champion_left", "champion_left"]
    assert states[2].playbook == "champion_left_red"
    assert states[2].onset == {"users": 4.0}
    assert states[2].since == START + timedelta(days=7)


def test_yellow_to_red_is_an_onset_of_its_own():
    """Turning red latches today's reason and values anew."""
    states = history(
        [
            (0, row(left_180d=1.0, users=8.0)),
            (1, row(left_180d=1.0, closures=1.0, users=3.0)),
        ]
    )

    assert [(state.color, state.reason, state.onset["users"]) for state in states] == [
        ("yellow", "unknown", 8.0),
        ("red", "company_closed_or_merged", 3.0),
    ]
    assert states[1].previous == "yellow"
    assert states[1].because == "closes down"


def test_a_risk_that_was_low_when_a_fact_turned_the_colour_need_not_fall_further():
    """Nine tenths of the limit is asked for, not of a risk that was never the trouble."""
    low_enough = (Predicate(feature="risk", op="<=", factor_of_onset=0.9),)
    champion_gone, found = row(0.02, left_180d=1.0), row(0.02)
    states = history([(0, champion_gone), (7, found)], low_enough)
    assert [state.color for state in states] == ["yellow", "green"]
    assert states[0].onset == {"risk": 0.15}
    by_risk = history([(0, row(0.4)), (7, row(0.4))], low_enough)
    assert by_risk[-1].onset == {"risk": 0.4}


def test_stepping_down_to_yellow_keeps_reason_and_onset():
    """A red account that got better is measured against the values it had when it turned red."""
    states = history([*RED, (8, row(0.12, users=9.0)), (15, row(0.12, users=9.0))])

    assert states[-1].color == "yellow"
    assert states[-1].playbook == "champion_left_yellow"
    assert states[-1].onset == {"users": 4.0}


def test_green_forgets_reason_playbook_and_onset():
    """A recovered account carries nothing but where it came from."""
    state = history([*RED, (8, row(0.05, users=9.0)), (15, row(0.05, users=9.0))])[-1]

    assert (state.color, state.previous, state.reason, state.playbook) == ("green", "red", None, None)
    assert state.onset == {}


def test_a_fact_names_the_reason_over_the_model():
    """Closing down is answered by its own playbook whatever else raised the risk."""
    state = history([(0, row(closures=1.0, reason="champion_left"))])[0]

    assert state.reason == "company_closed_or_merged"


def test_a_fact_without_category_leaves_the_reason_to_the_model():
    """Notice says that, not why."""
    assert history([(0, row(notice=1.0, reason="champion_left"))])[0].reason == "champion_left"


@pytest.mark.parametrize(("source", "tier"), [("rules", "insufficient"), ("model", "advisory")])
def test_where_no_probability_serves_the_rate_of_the_band_is_held_against_the_limits(source, tier):
    """A band high by name whose accounts churn hardly more than the rest turns nobody red."""
    kept = {"source": source, "tier": tier, "band": "high"}

    assert colors([(day, row(0.12, **kept)) for day in (0, 7)]) == colors(
        [(day, row(0.12)) for day in (0, 7)]
    )
    assert colors([(day, row(0.4, **kept)) for day in (0, 7)]) == ["green", "red"]
    assert colors([(day, row(0.01, **kept)) for day in (0, 7)]) == ["green", "green"]


def test_a_changed_playbook_compares_with_the_first_value_seen_under_it():
    """A criterion added later would otherwise rest on a value nobody remembered, for ever."""
    state = HealthState(color="red", since=START, reason="unknown", playbook="x", onset={})

    assert step(state, START + timedelta(days=1), row(0.4, users=6.0)).onset == {"users": 6.0}


def test_accounts_no_longer_scored_are_gone():
    """States are given for the accounts of today only."""
    prior = {"B": HealthState(color="red", since=START)}

    states = next_states(prior, pd.DataFrame([row()]), CONFIG, START, lambda *_: (), lambda *_: "x", BASE)

    assert list(states) == ["A"]


def test_an_empty_book_has_no_states():
    """Nobody scored, nobody coloured."""
    empty = pd.DataFrame([row()]).iloc[:0]

    assert next_states({}, empty, CONFIG, START, lambda *_: (), lambda *_: "x", BASE) == {}


def test_the_document_has_every_key_and_shows_what_is_missing():
    """now, needed and met for each criterion; ARR at risk is ARR times risk."""
    state = history(RED)[-1]

    document = health_document(state, RED[-1][1], WAY_BACK, CONFIG, START + timedelta(days=7))

    assert list(document) == [
        "color",
        "since",
        "previous",
        "arr_at_risk",
        "inputs",
        "recovers_when",
        "what_would_help",
        "override",
        "sentiment",
    ]
    assert (document["color"], document["since"], document["previous"]) == ("red", "2026-01-12", "green")
    assert document["arr_at_risk"] == 400.0
    assert document["recovers_when"] == [
        {"criterion": "users at least 6", "now": 4, "needed": 6, "met": False}
    ]
    assert len(document["inputs"]) == 10


def test_a_green_account_has_nothing_to_recover_from():
    """No way back where nobody left."""
    state = step(None, START, row())

    assert health_document(state, row(), WAY_BACK, CONFIG, START)["recovers_when"] == []


READINGS = st.lists(
    st.tuples(
        st.integers(1, 9),
        st.sampled_from([0.02, 0.12, 0.17, 0.25, 0.4, float("nan")]),
        st.sampled_from([1.0, 4.0, 20.0, float("nan")]),
        st.sampled_from([0.0, 0.0, 0.0, 1.0, float("nan")]),
        st.sampled_from([0.0, 0.0, 1.0]),
        st.sampled_from(["champion_left", "unknown", "failed_onboarding"]),
    ),
    min_size=1,
    max_size=30,
)


@settings(deadline=None, max_examples=20)
@given(READINGS)
def test_laws_of_the_machine_hold_over_random_histories(readings):
    """No flip without two readings a week apart or a fact; no way up without evidence; colours latch."""
    day, seen, states = 0, [], []
    for gap, risk, users, closed, left, reason in readings:
        day += gap
        seen.append((day, row(risk, users=users, closures=closed, left_180d=left, reason=reason)))
    states = history(seen)
    rank = {"green": 0, "yellow": 1, "red": 2}
    for before, state, (today_day, today) in zip(states, states[1:], seen[1:], strict=False):
        if rank[state.color] > rank[before.color]:
            limit = 0.3 if state.color == "red" else 0.15
            fact = today["closures"] == 1 or (state.color == "yellow" and today["left_180d"] == 1)
            earlier = [r["risk"] for d, r in seen if d <= today_day - 7]
            assert fact or (today["risk"] >= limit and any(risk >= limit for risk in earlier))
        elif rank[state.color] < rank[before.color]:
            assert today["risk"] < (0.2 if before.color == "red" else 0.1)
            assert today["users"] >= max(2, 1.5 * before.onset["users"])
            assert today["closures"] != 1
            assert (START + timedelta(days=today_day) - before.since).days >= 7
        else:
            assert (state.reason, state.playbook, state.since) == (
                before.reason,
                before.playbook,
                before.since,
            )
        assert (state.color == "green") == (state.playbook is None)
        assert HealthState.from_json(state.to_json()) == state
