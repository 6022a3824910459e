"""The standard features: the names other files rely on, and what each must say of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.matrix.reference import describe_features
from lifecycle_ml.tables.schema import CATEGORIES
from lifecycle_ml.workspace import load_workspace

ROOT = Path(__file__).parents[3]
FEATURES = load_features(load_workspace(ROOT))

# Taxonomy, health and playbooks name these.
PROMISED = {
    "active_users_28d",
    "active_users_per_seat",
    "active_users_change",
    "events_per_seat_28d",
    "usage_change_28d",
    "usage_change_84d",
    "days_since_last_use",
    "active_days_28d",
    "features_used_84d",
    "key_events_28d",
    "workflow_events_per_seat_84d",
    "integration_events_84d",
    "admin_events_28d",
    "export_events_28d",
    "invites_84d",
    "teams_active_84d",
    "usage_limit_used_28d",
    "milestones_overdue",
    "milestones_completed_share",
    "activation_overdue_days",
    "activated",
    "trainings_84d",
    "champions_left_180d",
    "champions_present",
    "emails_in_change_84d",
    "executive_sponsors_present",
    "contacts_present",
    "meetings_84d",
    "days_since_last_meeting",
    "executive_meetings_168d",
    "no_shows_84d",
    "days_since_business_review",
    "nps_latest",
    "open_severe_tickets",
    "severe_tickets_84d",
    "tickets_per_seat_84d",
    "oldest_open_ticket_days",
    "csat_168d",
    "escalations_84d",
    "outages_84d",
    "feature_gap_tickets_168d",
    "open_feature_gap_tickets",
    "premium_capability_tickets_168d",
    "arr",
    "seats",
    "days_to_renewal",
    "auto_renew",
    "term_days",
    "plan",
    "discount",
    "seats_change_168d",
    "arr_change_364d",
    "invoices_overdue",
    "invoice_overdue_days",
    "days_paid_late_364d",
    "notice_given",
    "competitor_mentions_180d",
    "budget_cuts_180d",
    "layoffs_180d",
    "mergers_364d",
    "closures_364d",
    "growth_signals_84d",
    "handoff_gaps",
    "notice_days",
    "days_to_notice",
    "auto_renew_known",
    "renewal_owner_named",
    "contracts_in_force",
    "renewal_meetings_84d",
    "hiring_signals_84d",
    "new_departments_84d",
    "new_initiatives_84d",
    "broader_needs_84d",
    "new_teams_84d",
    "advanced_features_84d",
    "usage_spike_28d",
    "seats_used_28d",
    "integrations_connected_364d",
    "workflows_completed_28d",
    "active_users_growth_84d",
    "icp_fit",
    "acquisition_channel",
    "segment",
    "industry",
    "region",
    "tenure_days",
}


def test_the_promised_features_are_there():
    """A feature renamed here would silence rules elsewhere."""
    assert set(FEATURES.names) >= PROMISED


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_has_at_least_two_features(category):
    """A cause of churn that only one feature can evidence is a cause nobody can trust."""
    assert len([f for f in FEATURES if f.category == category and f.for_model]) >= 2


def test_what_rests_on_columns_of_today_is_named():
    """Owners, segment and fit are overwritten without a date, so training must know them."""
    assert FEATURES.as_of_today == ("renewal_owner_named", "icp_fit", "segment", "success_owner_named")


def test_whoever_gave_notice_is_not_shown_to_the_model():
    """A model that reads the notice predicts what has been decided already."""
    assert "notice_given" not in FEATURES.for_model.names
    assert "notice_given" in FEATURES.names


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_every_sentence_shows_its_number(feature):
    """Evidence is a sentence with a number, except for yes/no features."""
    assert feature.is_yes_no or "{value}" in feature.says
    if feature.usual is not None:
        assert "; " in feature.says
        assert "{usual}" in feature.says.rpartition(";")[2]


def test_the_reference_is_current():
    """docs/reference/features.md is written from the definitions; run the command it names after a change."""
    page = (ROOT / "docs" / "reference" / "features.md").read_text(encoding="utf-8")
    assert page == describe_features(FEATURES)
