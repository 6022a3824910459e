"""Values of the closed grammar over plain columns: the arithmetic of levers."""

import numpy as np
import pytest

from lifecycle_ml.conditions.calculate import parse_calculation
from lifecycle_ml.errors import ConditionError

NAN = np.nan
ROW = {"a": np.array([1.0, 3.0, NAN]), "b": np.array([2.0, 0.0, 5.0])}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + 2 * b", [5.0, 3.0, NAN]),
        ("(a - b) / b", [-0.5, NAN, NAN]),
        ("least(a, b)", [1.0, 0.0, 5.0]),
        ("greatest(a, b, 4)", [4.0, 4.0, 5.0]),
        ("coalesce(a, b)", [1.0, 3.0, 5.0]),
        ("abs(-a)", [1.0, 3.0, NAN]),
        ("round(b / 4)", [1.0, 0.0, 1.0]),
    ],
)
def test_values_follow_the_rules_of_conditions(text, expected):
    """Null propagates, x / 0 is null, least and greatest pass nulls over, halves round up."""
    np.testing.assert_array_equal(parse_calculation(text, ROW, "here").of(ROW), expected)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a + c", "no column 'c'"),
        ("a > b", "is no number"),
        ("length('abc')", "is not calculated"),
        ("round(a, 2)", "to whole numbers"),
        ("sqrt(a)", "is not on the list"),
    ],
)
def test_what_cannot_be_calculated_is_refused_when_read(text, says):
    """Nothing is found out at night."""
    with pytest.raises(ConditionError, match=says):
        parse_calculation(text, ROW, "serving/playbooks.toml levers.x")
