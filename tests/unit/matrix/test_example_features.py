"""What the example workspaces without contracts add to the standard features, on rows worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import USUAL
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.reasons.sentences import write_sentence
from lifecycle_ml.workspace import load_workspace

EXAMPLES = Path(__file__).parents[3] / "examples"
RETAIL = load_features(load_workspace(EXAMPLES / "online_retail_ii"))
DPDK = load_features(load_workspace(EXAMPLES / "dpdk_orgs"))
CDNOW = load_features(load_workspace(EXAMPLES / "cdnow"))
RELAX = load_features(load_workspace(EXAMPLES / "relax_saas"))

# As of 2024-07-01: A bought on 2024-01-03, 03-03, 05-02 and 06-21: 170 days, three pauses. B bought once.
INVOICES = """
invoice_id | account_id | issued_on  | amount
i1         | A          | 2024-01-03 | 100
i2         | A          | 2024-03-03 | 300
i3         | A          | 2024-05-02 | 50
i4         | A          | 2024-06-21 | 150
i5         | A          | 2024-06-22 | -20
i6         | B          | 2024-06-30 | 10
"""
CUSTOMERS = """
account_id | created_at
A          | 2024-01-03
B          | 2024-06-30
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("order_days_ever", [4, 1]),
        ("order_pause_days", [170 / 3, None]),
        ("silence_against_rhythm", [10 / (170 / 3), None]),
        ("orders_84d", [2, 1]),
        ("orders_364d", [4, 1]),
        ("spend_84d", [180, 10]),
        ("spend_change_84d", [180 / 300, None]),
        ("spend_364d", [580, 10]),
        ("order_value_364d", [150, 10]),
        ("returns_364d", [1, 0]),
    ],
)
def test_spend_is_what_the_invoices_say(small, name, expected):
    """Returns lower the spend but are no order; a rhythm needs two days with orders."""
    tables = small.company(accounts=CUSTOMERS, invoices=INVOICES)
    matrix = build_matrix(tables, RETAIL.select([name]), small.spine_of("2024-07-01"))

    assert [None if pd.isna(v) else v for v in matrix[name]] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Whoever bought once has neither a rhythm nor a second purchase to judge by.
        ("order_days_84d", [3, 1]),
        ("order_days_182d", [5, 1]),
        ("orders_per_year", [5 / 181 * 365, 1 / 2 * 365]),
        ("order_pause_days", [171 / 4, None]),
        ("silence_against_rhythm", [9 / (171 / 4), None]),
        ("active_share_of_tenure", [171 / 181, 0]),
        ("spend_182d", [580, 10]),
        ("spend_ever", [580, 10]),
        ("order_value", [116, 10]),
    ],
)
def test_a_cohort_is_known_by_its_purchases(small, name, expected):
    """Every day with an invoice is a purchase; the last lies 9 days back for A, 1 for B."""
    tables = small.company(accounts=CUSTOMERS, invoices=INVOICES)
    matrix = build_matrix(tables, CDNOW.select([name]), small.spine_of("2024-07-01"))

    assert [None if pd.isna(v) else v for v in matrix[name]] == pytest.approx(expected)


# As of 2024-07-01: of three registered users of A one logs in lately; the last 28 days begin on 2024-06-03.
LOG_INS = """
account_id | happened_at | user_id | kind
A          | 2024-01-01  | u1      | admin
A          | 2024-05-01  | u1      | invite
A          | 2024-06-01  | u1      | invite
A          | 2024-05-02  | u2      | use
A          | 2024-05-02  | u1      | use
A          | 2024-06-10  | u1      | use
A          | 2024-06-11  | u1      | use
B          | 2024-06-30  | u9      | admin
"""
LATELY = """
account_id | created_at
A          | 2024-01-01
B          | 2024-06-30
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("registered_users", [3, 1]),
        ("registrations_84d", [2, 1]),
        ("registered_users_active_28d", [1 / 3, 0]),
        ("log_ins_28d", [2, 0]),
        ("log_in_days_84d", [3, 0]),
        ("days_since_last_registration", [30, 1]),
    ],
)
def test_registrations_and_log_ins_are_told_apart(small, name, expected):
    """Who was invited is no use of the product, and a log-in is one a person and day."""
    tables = small.company(accounts=LATELY, usage_events=LOG_INS)
    matrix = build_matrix(tables, RELAX.select([name]), small.spine_of("2024-07-01"))

    assert [None if pd.isna(v) else v for v in matrix[name]] == pytest.approx(expected)


# As of 2024-07-01, 168 days before are 2024-01-15 and 364 days before 2023-07-03.
COMMITS = """
account_id | happened_at | user_id | feature
A          | 2022-01-01  | u1      | lib
A          | 2023-08-01  | u1      | lib
A          | 2023-08-01  | u2      | lib
A          | 2023-12-01  | u2      | app
A          | 2024-02-01  | u3      | doc
A          | 2024-06-01  | u3      | doc
"""
ORGANISATIONS = """
account_id | created_at
A          | 2022-01-01
B          | 2022-01-01
"""


@pytest.mark.parametrize(
    ("name", "expected", "usual"),
    [
        # Windows before: 2023-07-31 to 2024-01-15 has two days, the one before that none.
        ("active_days_168d", [2, 0], [1, 0]),
        ("active_days_364d", [4, 0], [0, 0]),
        # 30 days of silence; four days in a year are one in 91.
        ("silence_against_rhythm", [30 / 91, None], None),
        ("contributors_168d", [1, 0], [1, 0]),
        ("contributors_364d", [3, 0], None),
        ("contributors_change_168d", [1, None], None),
        ("areas_364d", [3, 0], None),
    ],
)
def test_activity_is_counted_over_half_a_year_and_a_year(small, name, expected, usual):
    """Days, people and areas of an organisation, and its silence against its own rhythm."""
    tables = small.company(accounts=ORGANISATIONS, usage_events=COMMITS)
    matrix = build_matrix(tables, DPDK.select([name]), small.spine_of("2024-07-01"))

    assert [None if pd.isna(v) else v for v in matrix[name]] == pytest.approx(expected)
    if usual is not None:
        assert list(matrix[name + USUAL]) == pytest.approx(usual)


@pytest.mark.parametrize(
    ("feature", "value", "usual", "sentence"),
    [
        (
            RETAIL["spend_84d"],
            1234.5,
            2000.0,
            "1,234 spent in the last 84 days, returns taken off; usually 2,000",
        ),
        (RETAIL["spend_84d"], 0.0, 900.0, "Nothing spent in the last 84 days; usually 900"),
        (RETAIL["order_days_ever"], 1.0, None, "Ordered on one day only"),
        (
            RETAIL["silence_against_rhythm"],
            2.4,
            None,
            "The pause since the last order is 240% of the usual pause between two orders",
        ),
        (RETAIL["orders_84d"], 0.0, 2.0, "No orders in the last 84 days; usually 2"),
        (DPDK["active_days_364d"], 4.0, 11.0, "Commits on 4 of the last 364 days; on 11 of the 364 before"),
        (DPDK["contributors_168d"], 1.0, 3.0, "1 contributor in the last 168 days; usually 3"),
        (DPDK["areas_364d"], 1.0, None, "Work on 1 area of the code in the last 364 days"),
    ],
)
def test_their_sentences_read_as_a_person_would_say_them(feature, value, usual, sentence):
    """Evidence of the examples is English too."""
    assert write_sentence(feature, value, usual) == sentence


@pytest.mark.parametrize(
    ("name", "within", "horizon"),
    [("dpdk_orgs", 90, 180), ("online_retail_ii", 180, 90), ("cdnow", 180, 180), ("relax_saas", 28, 28)],
)
def test_churn_without_contracts_is_defined_by_use(name, within, horizon):
    """The recipe needs usage only, and its point table names features the workspace has."""
    workspace = load_workspace(EXAMPLES / name)
    recipe = load_recipe(workspace, "churn")
    features = load_features(workspace)

    assert recipe.needs == {"usage_events"}
    assert (recipe.label.active_within_days, recipe.label.headline_days) == (within, horizon)
    assert {line.feature for line in recipe.rules.points} <= set(features.names)
