"""What the standard features say of companies small enough to be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import USUAL
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.reasons.sentences import write_sentence
from lifecycle_ml.workspace import load_workspace

FEATURES = load_features(load_workspace(Path(__file__).parents[3]))
AS_OF = "2024-07-01"

ACCOUNTS = """
account_id | created_at
A          | 2023-01-01
B          | 2023-01-01
C          | 2023-01-01
D          | 2024-05-01
E          | 2023-01-01
"""
CONTRACTS = """
contract_id | account_id | starts_on  | ends_on    | arr  | seats | notice_days | auto_renew | renewal_owner
c1          | A          | 2024-01-01 | 2024-10-01 | 1000 | 2     | 30          | yes        | Kim
c2          | A          | 2024-01-01 | 2025-01-01 | 1000 | 3     | 90          | no         |
c3          | B          | 2024-01-01 |            | 1000 | 10    | 14          |            |
c4          | C          | 2024-01-01 | 2024-07-11 | 1000 |       | 0           |            | Kim
c5          | D          | 2024-05-01 | 2024-08-01 | 1000 |       | 20          | yes        | Kim
c6          | D          | 2024-05-01 | 2024-09-01 | 1000 |       |             | yes        | Kim
c7          | E          | 2023-01-01 | 2024-01-01 | 1000 |       | 30          | yes        | Kim
"""
# 84 days before 2024-07-01 is 2024-04-08, 168 days 2024-01-15; 28, 56 and 84 days are 06-03, 05-06 and 04-08.
EVENTS = """
account_id | happened_at | user_id | team  | feature    | kind        | quantity
A          | 2024-01-10  | u1      | ops   | board      | use         | 1
A          | 2024-02-01  | u1      | ops   | board      | use         | 1
A          | 2024-02-02  | u2      | ops   | automation | workflow    | 1
A          | 2024-05-01  | u1      | ops   | board      | use         | 1
A          | 2024-05-02  | u3      | sales | automation | workflow    | 1
A          | 2024-06-10  | u1      | ops   | automation | workflow    | 4
A          | 2024-06-20  | u3      | sales | sync       | integration | 5
A          | 2024-06-25  | u4      | hr    | sync       | use         | 1
A          | 2024-06-26  | u5      | it    | roles      | admin       | 9
B          | 2024-06-20  | u9      | ops   | sync       | integration | 1
D          | 2024-05-10  | u7      | ops   | board      | use         | 1
D          | 2024-06-20  | u8      | sales | sync       | integration | 1
"""
TOUCHPOINTS = """
account_id | happened_at | kind
A          | 2024-04-07  | renewal_meeting
A          | 2024-04-08  | renewal_meeting
A          | 2024-06-30  | renewal_meeting
A          | 2024-06-30  | meeting
A          | 2024-07-01  | renewal_meeting
"""
SIGNALS = """
account_id | happened_at | kind
A          | 2024-04-07  | hiring_related
A          | 2024-04-08  | hiring_related
A          | 2024-06-01  | hiring_related
A          | 2024-06-01  | new_department
A          | 2024-06-01  | new_initiative
B          | 2024-06-30  | broader_need
B          | 2024-06-30  | budget_cut
"""


@pytest.fixture(scope="module")
def matrix(small):
    """The matrix of five accounts on one day."""
    tables = small.company(
        accounts=ACCOUNTS,
        contracts=CONTRACTS,
        usage_events=EVENTS,
        touchpoints=TOUCHPOINTS,
        signals=SIGNALS,
    )
    return build_matrix(tables, FEATURES.available(tables), small.spine_of(AS_OF, list("ABCDE")))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # A's last contract asks for 90 days, C's for none; what D's lacks, its other contract does not lend.
        ("notice_days", [90, None, 0, None, None]),
        # 184 days to 2025-01-01 less 90 of notice; ten days to 2024-07-11 less none.
        ("days_to_notice", [94, None, 10, None, None]),
        ("auto_renew_known", [1, None, 0, 1, None]),
        ("renewal_owner_named", [0, None, 1, 1, None]),
        ("contracts_in_force", [2, 1, 1, 2, 0]),
        ("renewal_meetings_84d", [2, 0, 0, 0, 0]),
        ("hiring_signals_84d", [2, 0, 0, 0, 0]),
        ("new_departments_84d", [1, 0, 0, 0, 0]),
        ("new_initiatives_84d", [1, 0, 0, 0, 0]),
        ("broader_needs_84d", [0, 1, 0, 0, 0]),
        # A: sales and hr beside ops; it came by administration. B had no team before, D is too young.
        ("new_teams_84d", [2, None, None, None, None]),
        # A: sync is new, automation was there before.
        ("advanced_features_84d", [1, None, None, None, None]),
        # A: u1, u3, u4 after u1, u2. B had nobody before, D was not there.
        ("active_users_growth_84d", [1.5, None, None, None, None]),
        # A: u1, u3, u4 and the administrator u5 on five seats. B: one of ten.
        ("seats_used_28d", [0.8, 0.1, None, None, None]),
        # A: 10 events after at most 2. B had none to compare with; D one after one.
        ("usage_spike_28d", [5.0, None, None, 1.0, None]),
        ("workflows_completed_28d", [4, 0, 0, 0, 0]),
        ("integrations_connected_364d", [1, 1, 0, 1, 0]),
    ],
)
def test_the_value_is_the_one_worked_out_by_hand(matrix, name, expected):
    """Each value follows from the rows above; None where they cannot tell."""
    assert [None if pd.isna(v) else v for v in matrix[name]] == expected


def test_what_is_usual_is_the_mean_of_the_windows_before(matrix):
    """One workflow in three windows of 28 days."""
    assert matrix[f"workflows_completed_28d{USUAL}"][0] == pytest.approx(1 / 3)


# What design and rules ask for by name of the thing, and which features answer.
COVERED = {
    "activation achieved or missed": {"activated", "activation_overdue_days"},
    "key feature adopted": {"key_events_28d", "advanced_features_84d"},
    "usage decline": {"usage_change_28d", "usage_change_84d"},
    "usage spike": {"usage_spike_28d"},
    "seat growth": {"seats_change_168d", "active_users_growth_84d"},
    "integration connected": {"integrations_connected_364d"},
    "workflow completed": {"workflows_completed_28d"},
    "admin activity": {"admin_events_28d"},
    "time since last meaningful use": {"days_since_last_use"},
    "usage against the account's own pattern": {"active_users_change"},
    "stakeholder engagement": {"days_since_last_meeting", "meetings_84d"},
    "support severity and volume per seat": {"severe_tickets_84d", "tickets_per_seat_84d"},
    "onboarding milestones": {"milestones_overdue"},
    "business reviews": {"days_since_business_review"},
    "renewal proximity": {"days_to_renewal", "days_to_notice"},
    "payment issues": {"invoices_overdue"},
    "contract utilisation": {"active_users_per_seat", "usage_limit_used_28d"},
    "expansion potential": {"growth_signals_84d"},
    "executive sponsor status": {"executive_sponsors_present"},
    "usage approaching the contracted limit": {"seats_used_28d", "usage_limit_used_28d"},
    "multiple teams using the product": {"teams_active_84d", "new_teams_84d"},
    "new department invited": {"new_departments_84d"},
    "advanced feature adopted": {"advanced_features_84d"},
    "support request for a premium capability": {"premium_capability_tickets_168d"},
    "customer hiring for a related function": {"hiring_signals_84d"},
    "business review names a new initiative": {"new_initiatives_84d"},
    "renewal conversation reveals broader need": {"broader_needs_84d", "renewal_meetings_84d"},
    "missing renewal data": {"renewal_owner_named", "auto_renew_known", "notice_days", "contracts_in_force"},
}


@pytest.mark.parametrize("asked", COVERED)
def test_every_signal_input_and_trigger_has_a_feature(asked):
    """A rule about something that no feature measures could never fire."""
    assert set(FEATURES.names) >= COVERED[asked]


@pytest.mark.parametrize(
    ("name", "value", "usual", "sentence"),
    [
        ("notice_days", 30.0, None, "Notice has to be given 30 days before the contract ends"),
        ("notice_days", 1.0, None, "Notice has to be given 1 day before the contract ends"),
        ("notice_days", 0.0, None, "Notice can be given until the day the contract ends"),
        ("days_to_notice", 12.0, None, "Days left to give notice: 12"),
        ("days_to_notice", 0.0, None, "Today is the last day to give notice"),
        ("days_to_notice", -5.0, None, "Days left to give notice: -5"),
        ("days_to_notice", None, None, "No last day to give notice is known"),
        ("renewal_owner_named", 0.0, None, "Nobody is named to renew the contract"),
        ("contracts_in_force", 0.0, None, "No contracts in force"),
        ("contracts_in_force", 1.0, None, "1 contract in force"),
        ("renewal_meetings_84d", 0.0, None, "No meetings about the renewal in the last 84 days"),
        ("new_departments_84d", 1.0, None, "A new department took an interest in the last 84 days"),
        ("new_departments_84d", 0.0, None, "No new departments took an interest in the last 84 days"),
        (
            "new_initiatives_84d",
            2.0,
            None,
            "2 new initiatives of the customer became known in the last 84 days",
        ),
        ("broader_needs_84d", 0.0, None, "The customer spoke of no broader needs in the last 84 days"),
        (
            "seats_used_28d",
            0.95,
            None,
            "95% of the seats in contracts in force were taken in the last 28 days",
        ),
        (
            "active_users_growth_84d",
            1.5,
            None,
            "Active users of the last 84 days are at 150% of the 84 days before",
        ),
        (
            "workflows_completed_28d",
            4.0,
            9.4,
            "4 workflows completed in the last 28 days; usually 9.4",
        ),
        (
            "workflows_completed_28d",
            0.0,
            None,
            "No workflows completed in the last 28 days",
        ),
        ("integrations_connected_364d", 0.0, None, "No integrations connected in the last 364 days"),
        (
            "new_teams_84d",
            0.0,
            None,
            "No teams active in the last 84 days that were not active in the 84 days before",
        ),
        (
            "advanced_features_84d",
            1.0,
            None,
            "1 advanced feature used in the last 84 days that was not used in the 84 days before",
        ),
        (
            "hiring_signals_84d",
            3.0,
            None,
            "The customer is hiring for work close to our product: 3 signs in the last 84 days",
        ),
        ("hiring_signals_84d", 0.0, None, "No sign that the customer hires for work close to our product"),
    ],
)
def test_sentences_read_as_a_person_would_say_them(name, value, usual, sentence):
    """Nouns and verbs follow the number, and nothing reads badly at none, one or below zero."""
    assert write_sentence(FEATURES[name], value, usual) == sentence
