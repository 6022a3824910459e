"""Exit evidence: what is needed, and when it is met."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.health.predicate import Predicate, applicable, format_number, require_known


def test_the_strictest_of_several_demands_counts():
    """0.7 x usual asks for more than 1.3 x the value at onset, so it is what is needed."""
    predicate = Predicate(
        feature="users", op=">=", number=2, factor_of_onset=1.3, factor_of_usual=0.7, says="{needed} users"
    )

    check = predicate.check(9, {"users": 9.0, "users__usual": 31.0})

    assert check.needed == pytest.approx(21.7)
    assert (check.now, check.met, check.criterion) == (9, False, "21.7 users")


@pytest.mark.parametrize(
    ("op", "factor", "needed"),
    [(">=", 0.3, 3), ("<=", 0.3, 2), (">", 0.3, 2), ("<", 0.3, 3), (">=", 1.1, 9), ("=", 0.5, 4)],
)
def test_things_that_are_counted_are_asked_for_in_whole_numbers(op, factor, needed):
    """Nobody brings back 2.4 users: the number named decides, and none that would do is refused."""
    counted = Predicate(feature="users", op=op, factor_of_onset=factor, says="{needed} users").in_unit(
        "users"
    )

    check = counted.check(needed, {"users": 8.0})

    assert (check.needed, check.criterion) == (needed, f"{needed} users")
    assert check.met is (op not in {">", "<"})


def test_a_product_that_is_whole_but_for_its_binary_digits_is_not_rounded_up():
    """1.1 times 10 is 11.000000000000002, and eleven users are enough."""
    assert Predicate(feature="x", op=">=", factor_of_onset=1.1).in_unit("users").needed({"x": 10.0}) == 11


@pytest.mark.parametrize("unit", ["share", "ratio", "points", "currency", "events per seat"])
def test_what_is_measured_keeps_its_fractions(unit):
    """Half of a share of 0.3 is 0.15, not 0."""
    assert Predicate(feature="x", op="<=", factor_of_onset=0.5).in_unit(unit).needed({"x": 0.3}) == 0.15


@pytest.mark.parametrize("whole", [True, False])
def test_what_the_file_says_about_whole_numbers_stands(whole):
    """An average of counted things has fractions, whatever its unit is called."""
    predicate = Predicate(feature="x", op=">=", factor_of_onset=0.3, whole=whole)

    assert predicate.in_unit("users" if not whole else "share").whole is whole


def test_an_account_that_went_dark_still_has_to_reach_the_number():
    """A factor of nothing asks for nothing; the number beside it asks for something."""
    predicate = Predicate(feature="users", op=">=", number=2, factor_of_onset=1.3)

    assert predicate.check(0, {"users": 0.0}).met is False


@pytest.mark.parametrize(
    ("op", "value", "met"),
    [(">=", 5, True), (">", 5, False), ("<=", 5, True), ("<", 5, False), ("=", 5, True), ("=", 4, False)],
)
def test_each_comparison_means_what_it_says(op, value, met):
    """The five comparisons at their edge."""
    assert Predicate(feature="x", op=op, number=5).check(value, {}).met is met


@pytest.mark.parametrize("now", [None, float("nan")])
def test_a_null_cannot_tell_and_is_not_met(now):
    """A value nobody knows gives None, which is never true."""
    assert Predicate(feature="x", op=">=", number=0).check(now, {}).met is None


def test_an_onset_nobody_knew_cannot_tell():
    """Without the value at onset there is no number to reach."""
    check = Predicate(feature="x", op=">=", factor_of_onset=1.0).check(5, {})

    assert (check.needed, check.met) == (None, None)


def test_the_lower_number_is_stricter_where_less_is_better():
    """For at most, the strictest demand is the smallest."""
    assert Predicate(feature="x", op="<=", number=3, factor_of_onset=0.5).needed({"x": 4.0}) == 2


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"feature": "x", "op": ">="}, "give number, factor_of_onset or factor_of_usual"),
        ({"feature": "x", "op": "=>", "number": 1}, "'>=', '<=', '>', '<' or '='"),
        ({"feature": "x", "op": ">=", "number": 1, "says": "{wanted}"}, "needed"),
        ({"feature": "x", "op": ">=", "factor_of_onset": 0}, "greater than 0"),
    ],
)
def test_a_wrong_criterion_cannot_exist(wrong, match):
    """Criteria are checked when they are built."""
    with pytest.raises(ValidationError, match=match):
        Predicate(**wrong)


def test_criteria_without_a_source_are_left_out():
    """A company without the table behind a feature could never meet the criterion."""
    predicates = (Predicate(feature="x", op=">=", number=1), Predicate(feature="y", op=">=", number=1))

    assert [predicate.feature for predicate in applicable(predicates, {"y"})] == ["y"]


def test_a_misspelt_feature_is_named_with_the_nearest():
    """A feature that does not exist anywhere is a mistake, not a missing table."""
    predicates = (Predicate(feature="activ_users", op=">=", number=1),)

    with pytest.raises(ConfigError, match=r"playbooks.toml x: no feature 'activ_users'. Did you mean"):
        require_known(predicates, {"active_users"}, "playbooks.toml x")


@pytest.mark.parametrize(
    ("value", "shown"), [(22.0, "22"), (0.7, "0.7"), (1250.4, "1,250"), (21.7, "21.7"), (0.333, "0.33")]
)
def test_numbers_are_written_as_people_write_them(value, shown):
    """No trailing zeros, no false digits."""
    assert format_number(value) == shown
