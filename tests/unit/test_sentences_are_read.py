"""The reader of sentences itself: it finds what is wrong, and nothing in what reads well."""

from __future__ import annotations

import pytest

from sentences import faults, unit_is_said


@pytest.mark.parametrize(
    "sentence",
    [
        "9 active users in the last 28 days; usually 31",
        "No severe tickets are open",
        "None of the seats paid for were used in the last 7 days",
        "33% of the use of the last 84 days was of the key feature",
        "1 event through integrations in the last 84 days",
        "Meet with executives: 2 meetings with them in 168 days instead of none",
        "The oldest overdue invoice is 80 days late",
        "A severe ticket was opened today",
    ],
)
def test_what_reads_well_has_no_fault(sentence):
    """As the product writes them."""
    assert faults(sentence, ["active_users_28d"]) == []


@pytest.mark.parametrize(
    ("sentence", "fault"),
    [
        ("1 active users in the last 28 days", "one in the plural"),
        ("2 tickets is open", "several in the singular"),
        ("active users fell", "starts with neither"),
        ("Nobody logged in.", "ends with a mark"),
        ("Usage is at nan% of what is usual", "holds 'nan'"),
        ("Usage is at None", "holds 'none'"),
        ("{value} active users", "starts with neither"),
        ("Only {value} active users", "holds '{'"),
        ("The the champion left", "says 'the' twice"),
        ("0.123456 tickets per seat", "holds '0.1234"),
        ("It adds 0.3 to the log-odds", "jargon"),
        ("The active_users_28d fell", "names the feature"),
    ],
)
def test_what_is_wrong_is_found(sentence, fault):
    """Each fault by its words."""
    assert any(fault in found for found in faults(sentence, ["active_users_28d"]))


def test_a_quoted_number_says_its_unit():
    """Shares in percent, days in days."""
    assert unit_is_said("12% of the seats are used", "share")
    assert not unit_is_said("0.12 of the seats are used", "share")
    assert unit_is_said("A merger was last reported 17 days ago", "days")
    assert not unit_is_said("A merger was last reported 17 ago", "days")
