"""The arithmetic of effects, against figures published elsewhere, and who counts."""

from __future__ import annotations

import pytest

from lifecycle_ml.actions.effects import (
    Case,
    Group,
    accounts_needed,
    difference,
    independent,
    measure_effect,
    planned_width,
    wilson,
)

P = "low_adoption_after_onboarding_yellow"


def case(number, arm="offered", happened=False, **values):
    """One draw of an account of its own."""
    fields = {
        "account_id": f"A-{number}",
        "playbook": P,
        "day": 100,
        "arm": arm,
        "share": 0.2,
        "done": arm == "offered",
        "expected": 0.3,
        "happened": happened,
    }
    return Case(**(fields | values))


def cases(offered, left, held, left_alone):
    """So many offered of whom so many left, and so many held out."""
    return [
        *(case(at, happened=at < left) for at in range(offered)),
        *(case(offered + at, "held_out", happened=at < left_alone) for at in range(held)),
    ]


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17, 873-890), table II, method 10
        ((70, 56), (80, 48), 0.0524, 0.3339),
        ((10, 9), (10, 3), 0.1705, 0.8090),
        ((10, 10), (10, 0), 0.6075, 1.0),
        ((10, 10), (20, 0), 0.6791, 1.0),
        ((56, 0), (29, 0), -0.1170, 0.0642),
    ],
)
def test_the_interval_is_newcombes(first, second, low, high):
    """As printed in the paper that compared eleven ways."""
    told = difference(Group(*first), Group(*second))

    assert told.low == pytest.approx(low, abs=5e-5)
    assert told.high == pytest.approx(high, abs=5e-5)
    assert told.value == pytest.approx(first[1] / first[0] - second[1] / second[0])


def test_wilsons_interval_stays_between_nothing_and_everything():
    """0 of 10 is not certain to be never: Wilson says up to 28%."""
    assert wilson(Group(10, 0)) == pytest.approx((0.0, 0.2775), abs=5e-5)


@pytest.mark.parametrize(
    ("rate", "other", "per_arm"),
    [(0.10, 0.07, 1357), (0.10, 0.05, 436), (0.25, 0.15, 251), (0.40, 0.30, 357)],
)
def test_accounts_needed_are_those_of_the_tables(rate, other, per_arm):
    """With equal arms: the pooled formula of the tables and ours differ by less than one in a hundred."""
    assert accounts_needed(rate, other, 0.5) / 2 == pytest.approx(per_arm, rel=0.015)


def test_the_effect_is_churn_avoided_by_offering():
    """Everybody offered counts, done or not."""
    told = measure_effect(P, cases(400, 40, 100, 20), "churn", 90)

    assert told.effect is not None
    assert told.effect.value == pytest.approx(0.10)
    assert told.effect.low < 0.10 < told.effect.high
    assert (told.offered, told.held_out) == (Group(400, 40), Group(100, 20))


def test_of_growth_the_effect_is_expansion_added():
    """More of it is better."""
    told = measure_effect(P, cases(100, 30, 100, 20), "expansion", 180)

    assert told.effect is not None
    assert told.effect.value == pytest.approx(0.10)


def test_work_that_was_not_done_counts_as_offered():
    """Else the willing would be compared with everybody."""
    idle = [case(at, done=False, happened=True) for at in range(10)]
    told = measure_effect(P, [*idle, *(case(at + 10) for at in range(30)), case(99, "held_out")], "churn", 90)

    assert told.offered == Group(40, 10)
    assert told.delivered == pytest.approx(0.75)
    assert told.naive == pytest.approx(0.3)


def test_nobody_who_could_not_be_held_out_is_compared():
    """Strategic accounts were offered for certain; they are another kind of account."""
    told = measure_effect(
        P, [*cases(40, 4, 10, 2), *(case(at + 90, share=0.0) for at in range(9))], "churn", 90
    )

    assert told.offered.count == 40


def test_outcomes_that_are_not_known_wait():
    """They are not counted as stayed."""
    told = measure_effect(P, [*cases(40, 4, 10, 2), case(90, happened=None)], "churn", 90)

    assert (told.waiting, told.offered.count) == (1, 40)


def test_an_account_counts_once_per_horizon():
    """Drawn again on day 189 it is inside the horizon that began on day 100; on day 190 it is not."""
    days = (100, 189, 190, 279, 280)
    kept = independent([case(1, day=day) for day in reversed(days)], 90)

    assert [each.day for each in kept] == [100, 190, 280]


def test_accounts_still_needed_are_those_not_drawn_yet():
    """What the playbook claims to keep of the churn is the effect looked for, unless one is stated."""
    few = measure_effect(P, cases(40, 4, 10, 2), "churn", 90, claims=0.5)
    stated = measure_effect(P, cases(40, 4, 10, 2), "churn", 90, claims=0.5, stated=0.05)

    assert few.stated == pytest.approx(0.1)
    assert few.needed == accounts_needed(0.2, 0.1, 0.2) - 50
    assert stated.needed == accounts_needed(0.2, 0.15, 0.2) - 50
    assert measure_effect(P, cases(4000, 400, 1000, 200), "churn", 90, claims=0.5).needed == 0


def test_nothing_is_claimed_where_an_arm_is_empty():
    """No held-out account yet: no effect, and no number needed."""
    told = measure_effect(P, cases(40, 4, 0, 0), "churn", 90, claims=0.5)

    assert (told.effect, told.needed, told.stated) == (None, None, None)
    assert told.to_json()["held_out"] == {"accounts": 0, "events": 0, "rate": None}


def test_the_planned_width_is_that_of_two_proportions():
    """2 x 1.96 x sqrt(0.2 x 0.8 / 100 + 0.1 x 0.9 / 400)."""
    assert planned_width(0.2, 0.1, 100, 400) == pytest.approx(0.16748, abs=1e-4)
