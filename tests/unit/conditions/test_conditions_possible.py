"""What can never be true is proved; what may be true is never called impossible."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle_ml.conditions.evaluate import evaluate
from lifecycle_ml.conditions.parse import parse_condition
from lifecycle_ml.conditions.possible import can_be_both, can_be_true, can_be_untrue, closed, implies

COLUMNS = ("a", "b", "health", "risk")
KNOWN = closed({"health": ("red", "green")}, {"risk": (0, 1)})


def condition(text):
    return parse_condition(text, COLUMNS, "test")


@pytest.mark.parametrize(
    "text",
    [
        "a > 5 AND a < 3",
        "a > 5 AND a <= 5",
        "a >= 5 AND NOT a > 4",
        "a = 1 AND a = 2",
        "a BETWEEN 5 AND 3",
        "a IN (1, 2) AND a > 2",
        "a IS NULL AND a > 0",
        "5 < a AND a < 5",
        "NOT (a > 1 OR a <= 1)",
        "health = 'yellow'",
        "health <> 'red' AND health <> 'green'",
        "health NOT IN ('red', 'green')",
        "risk > 1",
        "risk < 0 OR a <> a AND risk > 2",
        "coalesce(a, 0) = 0 AND a >= 1",
        "a / b > 2 AND a / b < 1",
        "(a > 1 AND a < 1) OR (b = 1 AND b = 2)",
        "a < -1 AND a > 0",
    ],
)
def test_contradictions_are_found(text):
    """Numbers, texts, nulls and closed lists, under AND, OR and NOT."""
    assert not can_be_true(condition(text), KNOWN)


@pytest.mark.parametrize(
    "text",
    [
        "a > 3 AND a < 5",
        "a >= 5 AND a <= 5",
        "a > b AND b > a - 1",
        "a > 5 OR a < 3",
        "a IS NULL OR a > 0",
        "coalesce(a, 0) = 0 AND a IS NULL",
        "health = 'red' AND risk >= 1",
        "a <> 1 AND a <> 2",
    ],
)
def test_what_is_possible_is_left_alone(text):
    """No false alarm."""
    assert can_be_true(condition(text), KNOWN)


@pytest.mark.parametrize(
    ("narrow", "wide", "says"),
    [
        ("a > 6", "a > 5", True),
        ("a > 5 AND b = 1", "a > 5", True),
        ("a > 5", "a > 5 AND b = 1", False),
        ("a > 5", "NOT a <= 5", True),
        ("a > 5", "a > 5 OR b > 1", True),
        ("b = 1", "coalesce(a, 1) >= 0", False),
        ("a IN (1, 2)", "a BETWEEN 1 AND 2", True),
        ("health = 'red'", "health <> 'green'", True),
        ("b > 1", "a > 1 OR a <= 1", False),
    ],
)
def test_one_condition_may_hold_wherever_another_does(narrow, wide, says):
    """Nulls count: a comparison of a column nobody asked about may be unknown."""
    assert implies(condition(narrow), condition(wide), KNOWN) is says


def test_what_always_holds_is_told():
    """Only where nulls are covered as well."""
    assert not can_be_untrue(condition("a > 1 OR a <= 1 OR a IS NULL"), KNOWN)
    assert can_be_untrue(condition("a > 1 OR a <= 1"), KNOWN)
    assert not can_be_both(condition("a > 1"), condition("a < 1"), KNOWN)
    assert can_be_both(condition("a > 1"), condition("b < 1"), KNOWN)


def test_a_condition_of_very_many_alternatives_is_taken_as_possible():
    """The search ends."""
    text = " AND ".join(f"(a > {n} OR b > {n})" for n in range(20)) + " AND a < 0 AND b < 0"

    assert can_be_true(condition(text), KNOWN)


ATOMS = st.sampled_from(
    [
        "a > 1",
        "a <= 1",
        "a = 2",
        "a <> 2",
        "b IS NULL",
        "b >= 0",
        "coalesce(b, 3) < 2",
        "a IN (0, 3)",
        "a < b",
    ]
)
TREES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]} AND {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} OR {two[1]})"),
        inner.map(lambda one: f"NOT ({one})"),
    ),
    max_leaves=6,
)
GRID = pd.DataFrame(
    [(a, b) for a in (None, 0, 1, 1.5, 2, 3, 4) for b in (None, -1, 0, 2, 5)], columns=["a", "b"], dtype=float
)


@settings(max_examples=150, deadline=None)
@given(TREES, TREES)
def test_nothing_that_occurs_is_called_impossible(one, other):
    """Whatever is true of some row is possible, and what implies another is never true without it."""
    first, second = condition(one), condition(other)
    answers = evaluate({"one": first, "other": second}, GRID).to_numpy(dtype=bool, na_value=False)

    assert can_be_true(first, {}) or not answers[:, 0].any()
    assert can_be_untrue(first, {}) or answers[:, 0].all()
    if implies(first, second, {}):
        assert not (answers[:, 0] & ~answers[:, 1]).any()
