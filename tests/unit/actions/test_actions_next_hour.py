"""What one more hour would bring, worked by hand."""

import pytest

from lifecycle_ml.actions.next_hour import NextHour, Waiting, next_hours


def waiting(worth, hours=2.0, owner="Dana", role="csm", lead="Lee"):
    """One piece of work over capacity."""
    return Waiting(owner_role=role, owner=owner, lead=lead, hours=hours, arr_kept_per_hour=worth)


def test_the_hour_goes_to_what_keeps_most():
    """Half an hour at 1,000 and the other half at 600, whatever order the work comes in."""
    [found] = next_hours([waiting(200.0), waiting(1_000.0, 0.5), waiting(600.0, 3.0)])
    assert found == NextHour("csm", "Dana", "Lee", actions=3, hours=5.5, arr_kept=800.0)


@pytest.mark.parametrize(
    ("work", "kept"), [([(900.0, 0.25)], 225.0), ([(None, 2.0)], 0.0), ([(0.0, 9.0)], 0.0)]
)
def test_less_work_than_an_hour_fills_what_it_can(work, kept):
    """And work whose worth nobody knows brings nothing."""
    [found] = next_hours([waiting(worth, hours) for worth, hours in work])
    assert found.arr_kept == kept


def test_everybody_gets_a_line_the_most_first():
    """People apart, and the work that is anybody's by role."""
    found = next_hours(
        [waiting(10.0), waiting(30.0, owner="Kim"), waiting(20.0, owner=None, role="finance", lead=None)]
    )
    assert [(each.owner_role, each.owner, each.arr_kept) for each in found] == [
        ("csm", "Kim", 30.0),
        ("finance", None, 20.0),
        ("csm", "Dana", 10.0),
    ]
    assert next_hours([]) == []


def test_a_line_concerns_its_owner_and_the_lead_who_has_the_work():
    """In every role, or in those asked for."""
    [one] = next_hours([waiting(10.0)])
    assert one.concerns()
    assert one.concerns(["Lee"])
    assert one.concerns(["Dana"], ["csm"])
    assert not one.concerns(["Kim"])
    assert not one.concerns(["Dana"], ["finance"])
