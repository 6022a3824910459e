"""Which comparisons decide a condition for one row, and how they are said."""

import pandas as pd
import pytest

from lifecycle_ml.conditions.parse import parse_condition
from lifecycle_ml.conditions.parts import judge_parts
from lifecycle_ml.conditions.words import in_words

ROW = pd.DataFrame([{"a": 4.0, "b": float("nan"), "c": 1.0, "name": "acme"}])
COLUMNS = ("a", "b", "c", "name", "absent")


@pytest.mark.parametrize(
    ("text", "holds", "decides"),
    [
        ("a > 3 AND c = 1", True, [("a > 3", True), ("c = 1", True)]),
        ("a > 5 AND c = 1", False, [("a > 5", False)]),
        ("a > 5 AND b > 1", False, [("a > 5", False), ("b > 1", None)]),
        ("a > 3 AND b > 1", None, [("b > 1", None)]),
        ("a > 5 OR c = 1", True, [("c = 1", True)]),
        ("a > 5 OR b > 1", None, [("a > 5", False), ("b > 1", None)]),
        ("c = 1 AND (a > 5 OR b > 1)", None, [("a > 5", False), ("b > 1", None)]),
        ("NOT (a > 3 OR b > 1)", False, [("NOT (a > 3)", False), ("NOT (b > 1)", None)]),
        ("NOT (a > 5 AND b > 1)", True, [("NOT (a > 5)", True)]),
        ("absent >= 1 OR coalesce(absent, 0) = 0", True, [("COALESCE(absent, 0) = 0", True)]),
        ("a BETWEEN 1 AND 3", False, [("a BETWEEN 1 AND 3", False)]),
    ],
)
def test_the_parts_that_decide_are_named(text, holds, decides):
    """Of a true condition what makes it true, of any other what keeps it from being so, and no more."""
    condition = parse_condition(text, COLUMNS, "test")
    judged = judge_parts({"one": condition}, ROW)["one"]

    assert judged.holds is holds
    assert [(part.condition.text, part.holds) for part in judged.parts] == decides


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a >= 3", "A is at least 3"),
        ("3 >= a", "A is at most 3"),
        ("NOT a > 3", "A is at most 3"),
        ("a NOT BETWEEN 0 AND -2", "A is not between 0 and -2"),
        ("name IN ('x', 'y')", "NAME is one of x, y"),
        ("name NOT IN ('x')", "NAME is not x"),
        ("a IS NULL", "A is not known"),
        ("a IS NOT NULL", "A is known"),
        ("coalesce(a, 0) = 0", "A (0 where it is not known) is 0"),
        ("a / b < 0.5", "A divided by B is less than 0.5"),
        ("days_between(a, DATE '2026-01-02') > 3", "the days from A to 2026-01-02 is more than 3"),
        ("greatest(a, b) > least(c, 2)", "the largest of A, B is more than the smallest of C, 2"),
        ("name LIKE 'a%'", "NAME is like 'a%'"),
        ("absent", "ABSENT is yes"),
        ("a + 1 > -b", "A plus 1 is more than minus B"),
    ],
)
def test_comparisons_are_said_as_people_say_them(text, says):
    """Every form of the grammar has words, and none shows SQL."""
    condition = parse_condition(text, COLUMNS, "test")

    def write(_column, value):
        return value if isinstance(value, str) else f"{value:g}"

    assert in_words(condition.tree, str.upper, write) == says
