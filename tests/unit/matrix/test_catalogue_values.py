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


# One account watched for a year and a half, and one that has just begun.
WATCHED = {
    "accounts": """
account_id | created_at | review_cadence_days
F          | 2023-01-01 | 90
G          | 2024-05-01 | 61
""",
    "contracts": """
contract_id | account_id | renews_contract_id | starts_on  | ends_on    | arr  | seats | plan
c0          | F          |                    | 2023-01-01 | 2024-01-01 | 2000 | 4     | basic
c1          | F          | c0                 | 2024-01-01 | 2025-01-01 | 4000 | 4     | pro
c2          | F          |                    | 2024-05-01 | 2024-08-01 | 1000 | 1     | pro
c3          | G          |                    | 2024-05-01 | 2025-05-01 | 1200 | 2     | pro
""",
    # Periods of 28 days before 2024-07-01 begin on 06-03, 05-06, 04-08, 03-11, 02-12 and 01-15.
    "usage_events": """
account_id | happened_at | user_id | feature | kind        | quantity
F          | 2024-01-15  | u1      | board   | use         | 1
F          | 2024-02-15  | u1      | board   | use         | 2
F          | 2024-03-15  | u4      | board   | use         | 3
F          | 2024-04-10  | u1      | board   | use         | 3
F          | 2024-04-11  | u2      | board   | use         | 1
F          | 2024-05-01  | u9      | roles   | admin       | 1
F          | 2024-05-10  | u2      | board   | use         | 5
F          | 2024-06-04  | u1      | board   | use         | 2
F          | 2024-06-18  | u2      | report  | key         | 1
F          | 2024-06-20  | u9      | files   | export      | 5
F          | 2024-06-25  | u3      | sync    | integration | 3
G          | 2024-06-12  | u7      | board   | use         | 1
""",
    "contacts": """
contact_id | account_id | role     | joined_on  | left_on
p1         | F          | champion | 2023-01-01 | 2024-06-01
p2         | F          | champion | 2024-06-11 |
p3         | G          | user     | 2024-05-01 |
""",
    "touchpoints": """
account_id | happened_at | contact_id | kind              | value
F          | 2024-01-15  | p1         | email_out         |
F          | 2024-02-01  | p1         | nps               | 9
F          | 2024-04-02  | p1         | business_review   |
F          | 2024-05-01  | p1         | meeting           |
F          | 2024-05-02  | p1         | email_out         |
F          | 2024-05-15  |            | no_show           |
F          | 2024-06-01  |            | training          |
F          | 2024-06-05  |            | nps               | 5
F          | 2024-06-12  | p2         | executive_meeting |
F          | 2024-06-19  | p2         | email_out         |
F          | 2024-06-20  | p2         | email_in          |
F          | 2024-06-21  | p2         | email_out         |
""",
    "tickets": """
ticket_id | account_id | opened_at  | closed_at  | severity | kind        | reopened_at | csat
t1        | F          | 2024-03-01 | 2024-03-05 | 3        | question    | 2024-03-10  | 4
t2        | F          | 2024-06-05 | 2024-06-15 | 1        | bug         |             | 2
t3        | F          | 2024-06-20 |            | 3        | feature_gap |             |
""",
    "milestones": """
account_id | milestone   | due_on     | completed_on | is_activation
F          | kickoff     | 2023-01-15 | 2023-01-10   | no
F          | first_value | 2023-03-01 | 2023-02-15   | yes
G          | kickoff     | 2024-05-15 | 2024-05-20   | no
G          | first_value | 2024-06-30 |              | yes
""",
    "invoices": """
invoice_id | account_id | issued_on  | due_on     | paid_on    | amount
i1         | F          | 2024-01-01 | 2024-01-31 | 2024-01-20 | 500
i2         | F          | 2024-04-01 | 2024-05-01 | 2024-05-11 | 500
i3         | F          | 2024-05-01 | 2024-05-31 |            | 500
i4         | F          | 2024-06-15 | 2024-07-15 |            | 500
""",
    "signals": """
account_id | happened_at | kind
F          | 2023-07-02  | merger
F          | 2024-05-02  | budget_cut
F          | 2024-06-21  | competitor_mention
F          | 2024-06-30  | new_initiative
""",
}


@pytest.fixture(scope="module")
def watched(small):
    """The matrix of the two accounts on one day."""
    tables = small.company(**WATCHED)
    return build_matrix(tables, FEATURES.available(tables), small.spine_of(AS_OF, ["F", "G"]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # F's periods of 28 days hold 6, 5, 4, 3, 2 and 1 events, the latest first: 4 are usual, 1 a week.
        ("usage_change_7d", [3.0, None]),
        ("usage_trend_168d", [1 / 3, None]),
        ("usage_to_peak_168d", [6 / 5, None]),
        # Two years of a feed that is half a year old cannot be compared.
        ("usage_change_364d", [None, None]),
        # u3 of five seats this week, u2 the week before, nobody, u1.
        ("active_users_per_seat_7d", [0.2, 0.0]),
        ("active_users_per_seat_7d_ago_7d", [0.2, 0.0]),
        ("active_users_per_seat_7d_ago_14d", [0.0, 0.5]),
        ("active_users_per_seat_7d_ago_21d", [0.2, 0.0]),
        # u2, then u1 and u2. G had no seat yet 56 days and more ago.
        ("active_users_per_seat_28d_ago_28d", [0.2, 0.0]),
        ("active_users_per_seat_28d_ago_56d", [0.4, 0.0]),
        ("events_per_seat_28d_ago_28d", [1.0, 0.0]),
        ("events_per_seat_28d_ago_56d", [0.8, 0.0]),
        # 3, 1, 2, 1, 1 and 1 users: a slope of 5.5 / 17.5 against 1.2 before.
        ("active_users_trend_168d", [5.5 / 17.5 / 1.2, None]),
        # G: nobody since the week of 06-10.
        ("weeks_without_use", [0, 2]),
        # F's twelve weeks: 4, 5, 2, 1, 3 and seven times nothing.
        ("usage_unsteadiness_84d", [(55 / 12 - 1.25**2) ** 0.5 / 1.25, None]),
        # Six days of silence; nine days of use in 168.
        ("use_pause_against_rhythm_168d", [6 * 9 / 168, None]),
        ("users_kept_28d", [1.0, 1.0]),
        # u1 and u4 before; u1, u2 and u3 since.
        ("users_lost_share_84d", [1 / 2, None]),
        ("new_users_share_84d", [2 / 3, None]),
        ("events_per_active_user_28d", [2.0, 1.0]),
        ("invites_per_seat_84d", [0.0, 0.0]),
        ("key_share_84d", [1 / 15, 0.0]),
        ("days_since_last_key_event", [13, None]),
        ("features_used_change_84d", [3.0, None]),
        ("integration_share_84d", [3 / 15, 0.0]),
        ("days_since_last_admin_event", [61, None]),
        ("export_share_84d", [5 / 21, 0.0]),
        ("days_to_activation", [45, None]),
        # F has finished; G reached its last milestone on 05-20.
        ("onboarding_standstill_days", [None, 42]),
        ("trainings_per_seat_364d", [0.2, 0.0]),
        ("days_since_champion_left", [30, None]),
        ("champion_tenure_days", [20, None]),
        ("emails_in_share_84d", [1 / 4, None]),
        ("contacts_reached_84d", [2, 0]),
        # Two meetings after the business review of the 84 days before.
        ("meetings_change_84d", [2.0, None]),
        ("no_show_share_168d", [1 / 4, None]),
        ("days_since_last_executive_meeting", [19, None]),
        # G never had a review: its whole 61 days count.
        ("business_review_against_cadence", [1.0, 1.0]),
        ("nps_mean_364d", [7.0, None]),
        ("nps_change", [-2.0, None]),
        # F: nothing between 05-06 and 06-02.
        ("periods_in_touch", [1, 0]),
        # 2, 0, 1, 1, 0 and 0 meetings and mails: a slope of 5 / 17.5 against 0.4 before.
        ("touch_trend_168d", [5 / 17.5 / 0.4, None]),
        ("tickets_per_seat_28d", [0.4, 0.0]),
        ("severe_share_168d", [1 / 3, None]),
        ("days_since_last_severe_ticket", [26, None]),
        ("open_tickets_per_seat", [0.2, 0.0]),
        # Four and ten days.
        ("days_to_close_168d", [7.0, None]),
        ("reopened_share_364d", [1 / 3, None]),
        ("csat_latest", [2.0, None]),
        ("feature_gap_share_364d", [1 / 3, None]),
        ("arr_per_active_user", [5000 / 3, 1200.0]),
        # c2 came on top; G had no contract then.
        ("arr_change_84d", [1.25, None]),
        ("renewals_so_far", [1, 0]),
        ("contract_age_days", [61, 61]),
        # From 2024-01-01 to 2025-01-01, c2 aside; of G 61 of 365 days.
        ("term_elapsed_share", [182 / 366, 61 / 365]),
        ("arr_ending_90d_share", [0.2, 0.0]),
        ("plan_first", ["basic", "pro"]),
        # One in time, one paid late, one still open; one is not due yet.
        ("invoices_late_share_364d", [2 / 3, None]),
        ("overdue_amount_share", [0.1, 0.0]),
        ("days_since_competitor_mention", [10, None]),
        ("days_since_budget_cut", [60, None]),
        ("days_since_layoffs", [None, None]),
        ("days_since_merger", [365, None]),
        ("days_since_closure", [None, None]),
        ("days_since_growth_signal", [1, None]),
    ],
)
def test_a_history_gives_the_values_worked_out_by_hand(watched, name, expected):
    """Weeks on their own, trends, streaks, shares and silences follow from the rows; None: cannot be told."""
    found = [None if pd.isna(v) else v for v in watched[name]]
    if name == "plan_first":
        assert found == expected
        return
    assert [v is None for v in found] == [v is None for v in expected]
    assert [v for v in found if v is not None] == pytest.approx([v for v in expected if v is not None])


PEERS = [f"P{number:02d}" for number in range(1, 13)]


@pytest.fixture(scope="module")
def crowd(small):
    """Twelve customers of one size with twelve seats: the first has one user and one meeting, and so on."""

    def table(columns, rows):
        return "\n".join([columns, *rows])

    days = ("2024-05-06", "2024-06-20")
    counted = list(enumerate(PEERS, start=1))
    tables = small.company(
        accounts=table("account_id | created_at", [f"{one} | 2023-01-01" for one in PEERS]),
        contracts=table(
            "contract_id | account_id | starts_on | ends_on | arr | seats",
            [f"c-{one} | {one} | 2024-01-01 | 2025-01-01 | 1000 | 12" for one in PEERS],
        ),
        usage_events=table(
            "account_id | happened_at | user_id | feature | kind",
            [
                f"{one} | {day} | {one}-{user} | board | key"
                for number, one in counted
                for day in days
                for user in range(1, 1 + (number if day == days[1] else 1))
            ],
        ),
        touchpoints=table(
            "account_id | happened_at | kind",
            [
                f"{one} | 2024-06-{day:02d} | meeting"
                for number, one in counted
                for day in range(1, 1 + number)
            ],
        ),
        tickets=table(
            "ticket_id | account_id | opened_at",
            [f"t-{one}-{k} | {one} | 2024-06-20" for number, one in counted for k in range(number)],
        ),
    )
    return build_matrix(tables, FEATURES.available(tables), small.spine_of(AS_OF, PEERS))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("active_users_per_seat_peers", [place / 11 for place in range(12)]),
        ("events_per_seat_peers", [place / 11 for place in range(12)]),
        ("key_events_per_seat_peers", [place / 11 for place in range(12)]),
        ("meetings_peers", [place / 11 for place in range(12)]),
        ("tickets_per_seat_peers", [place / 11 for place in range(12)]),
        # All of them use the same feature, and a position between equals is the middle.
        ("features_used_peers", [0.5] * 12),
        # Against one user and one event in the 28 days before, more users mean more growth.
        ("usage_change_peers", [place / 11 for place in range(12)]),
        ("active_users_change_peers", [place / 11 for place in range(12)]),
    ],
)
def test_positions_among_peers_count_who_stands_lower(crowd, name, expected):
    """Of eleven others the least has none below it, the most all of them."""
    assert crowd[name].tolist() == pytest.approx(expected)


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
    "weeks of use on their own": {"active_users_per_seat_7d", "active_users_per_seat_7d_ago_21d"},
    "months of use on their own": {"events_per_seat_28d_ago_28d", "events_per_seat_28d_ago_56d"},
    "trend of use": {"active_users_trend_168d", "usage_trend_168d"},
    "weeks in a row": {"weeks_without_use", "periods_in_touch"},
    "steadiness of use": {"usage_unsteadiness_84d", "use_pause_against_rhythm_168d"},
    "comparable customers": {"active_users_per_seat_peers", "tickets_per_seat_peers", "meetings_peers"},
    "users who came and went": {"users_kept_28d", "users_lost_share_84d", "new_users_share_84d"},
    "the first value and the present one": {"plan_first", "plan"},
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
        (
            "usage_change_7d",
            0.4,
            None,
            "Use of the product in the last 7 days is at 40% of what is usual for this account",
        ),
        (
            "active_users_per_seat_7d_ago_14d",
            0.5,
            None,
            "50% of the seats paid for were used 15 to 21 days ago",
        ),
        ("events_per_seat_28d_ago_28d", 0.0, None, "No events per seat 29 to 56 days ago"),
        (
            "active_users_trend_168d",
            -0.12,
            None,
            "Over the last 168 days active users changed by -12% of the usual number every 28 days",
        ),
        ("weeks_without_use", 0.0, None, "Used in the last 7 days"),
        ("weeks_without_use", 1.0, None, "Not used for 1 week"),
        ("weeks_without_use", 3.0, None, "Not used for 3 weeks in a row"),
        (
            "active_users_per_seat_peers",
            0.08,
            None,
            "More of the seats are used than at 8% of comparable customers",
        ),
        ("days_since_last_key_event", None, None, "The key feature was not used in the last 364 days"),
        ("days_to_activation", 1.0, None, "Activation took 1 day"),
        (
            "onboarding_standstill_days",
            42.0,
            None,
            "Onboarding is not finished, and no milestone was reached for 42 days",
        ),
        ("champion_tenure_days", None, None, "No champion at the customer"),
        (
            "periods_in_touch",
            0.0,
            None,
            "No meeting and no mail from the customer in the last 28 days",
        ),
        (
            "nps_change",
            -1.0,
            None,
            "The latest recommendation score differs from the account's average by -1 points",
        ),
        (
            "contacts_reached_84d",
            0.0,
            2.4,
            "No contacts in touch with us in the last 84 days; usually 2.4",
        ),
        ("open_tickets_per_seat", 0.0, None, "No tickets per seat are open"),
        (
            "days_to_close_168d",
            0.0,
            3.0,
            (
                "Tickets closed in the last 168 days were closed on the day they came; "
                "3 days in the 168 days before"
            ),
        ),
        ("renewals_so_far", 1.0, None, "Renewed once so far"),
        ("contract_age_days", 0.0, None, "The newest contract in force began today"),
        (
            "overdue_amount_share",
            0.04,
            None,
            "Overdue invoices amount to 4% of a year's recurring revenue",
        ),
        ("days_since_competitor_mention", 1.0, None, "A competitor was last mentioned yesterday"),
    ],
)
def test_sentences_read_as_a_person_would_say_them(name, value, usual, sentence):
    """Nouns and verbs follow the number, and nothing reads badly at none, one or below zero."""
    assert write_sentence(FEATURES[name], value, usual) == sentence
