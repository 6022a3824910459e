"""What people do in the product, per seat and against the account's own past."""

from lifecycle_ml import (
    IN_FORCE,
    Feature,
    change,
    days_since,
    distinct,
    greatest,
    largest,
    own_past,
    total,
)
from lifecycle_ml.matrix.measures import Measure, only_if

# Use that counts as use: everything but administration and taking data out. Rows without a kind are use.
MEANINGFUL = "coalesce(kind, 'use') NOT IN ('admin', 'export')"
# A row is one event, or the ready-made sum of `quantity` events.
EVENTS = "coalesce(quantity, 1)"

# Sources that deliver sums have no user_id but say how many people were behind a row.
active_users = greatest(
    distinct("usage_events", "user_id", where=MEANINGFUL, days=28),
    largest("usage_events", "users", where=MEANINGFUL, days=28),
)
events_28d = total("usage_events", EVENTS, where=MEANINGFUL, days=28)
events_84d = total("usage_events", EVENTS, where=MEANINGFUL, days=84)
# Whoever signs in takes a seat, administrators too.
users_of_any_kind = greatest(
    distinct("usage_events", "user_id", days=28),
    largest("usage_events", "users", days=28),
)
active_users_84d = greatest(
    distinct("usage_events", "user_id", where=MEANINGFUL, days=84),
    largest("usage_events", "users", where=MEANINGFUL, days=84),
)
key_events = total("usage_events", EVENTS, where="kind = 'key'", days=28)
seats = total("contracts", "seats", where=IN_FORCE)
usage_limit = total("contracts", "usage_limit", where=IN_FORCE)
workflows = total("usage_events", EVENTS, where="kind = 'workflow'", days=28)
# Beyond everyday use: the key feature, completed workflows, connected systems.
ADVANCED = "kind IN ('key', 'workflow', 'integration')"


def newcomers(column: str, where: str) -> Measure:
    """Different values of the last 84 days that the 84 days before had not.

    Null for accounts and feeds younger than 168 days, and where there were none before: all would be new.
    """
    both = distinct("usage_events", column, where=where, days=168)
    before = distinct("usage_events", column, where=where, days=84, ago=84)
    return only_if(both - before, own_past(distinct("usage_events", column, where=where, days=84), windows=1))


FEATURES = (
    Feature(
        name="active_users_28d",
        value=active_users,
        usual=own_past(active_users),
        unit="users",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="{value} active users in the last 28 days; usually {usual}",
        says_one="1 active user in the last 28 days; usually {usual}",
    ),
    Feature(
        name="active_users_per_seat",
        value=active_users / seats,
        unit="share",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="{value} of the seats paid for were used in the last 28 days",
    ),
    Feature(
        name="active_users_change",
        value=change(active_users),
        unit="ratio",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Active users are at {value} of what is usual for this account",
    ),
    Feature(
        name="active_users_growth_84d",
        value=change(active_users_84d, windows=1),
        unit="ratio",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Active users of the last 84 days are at {value} of the 84 days before",
    ),
    Feature(
        name="seats_used_28d",
        value=users_of_any_kind / seats,
        unit="share",
        null_means="unknown",
        direction="none",
        category="context",
        # The model has active_users_per_seat; this one also counts administrators, as a contract does.
        for_model=False,
        says="{value} of the seats in contracts in force were taken in the last 28 days",
    ),
    Feature(
        name="events_per_seat_28d",
        value=events_28d / seats,
        usual=own_past(events_28d / seats),
        unit="events per seat",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="{value} events per seat in the last 28 days; usually {usual}",
    ),
    Feature(
        name="usage_change_28d",
        value=change(events_28d),
        unit="ratio",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Use of the product in the last 28 days is at {value} of what is usual for this account",
    ),
    Feature(
        name="usage_spike_28d",
        # At least one whole window must have been lived through; of the three, the busiest is the measure.
        value=only_if(
            events_28d / greatest(*(events_28d.before(days) for days in (28, 56, 84))),
            own_past(events_28d, windows=1) + 1,
        ),
        unit="ratio",
        null_means="unknown",
        direction="none",
        category="context",
        # The model has usage_change_28d, which speaks for a category.
        for_model=False,
        says="Use of the product in the last 28 days is at {value} of its busiest 28 days in the 84 before",
    ),
    Feature(
        name="usage_change_84d",
        value=change(events_84d, windows=1),
        unit="ratio",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="Use of the product in the last 84 days is at {value} of the 84 days before",
    ),
    Feature(
        name="days_since_last_use",
        value=days_since("usage_events", where=MEANINGFUL, days=364),
        unit="days",
        null_means="none",
        direction="raises",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Last used {value} days ago",
        says_one="Last used yesterday",
        says_null="Not used in the last 364 days",
    ),
    Feature(
        name="active_days_28d",
        value=distinct("usage_events", "happened_at", where=MEANINGFUL, days=28),
        usual=own_past(distinct("usage_events", "happened_at", where=MEANINGFUL, days=28)),
        unit="days",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Used on {value} of the last 28 days; usually on {usual}",
    ),
    Feature(
        name="features_used_84d",
        value=distinct("usage_events", "feature", where=MEANINGFUL, days=84),
        usual=own_past(distinct("usage_events", "feature", where=MEANINGFUL, days=84), windows=1),
        unit="features",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="{value} features used in the last 84 days; {usual} in the 84 days before",
        says_one="1 feature used in the last 84 days; {usual} in the 84 days before",
    ),
    Feature(
        name="key_events_28d",
        value=key_events,
        usual=own_past(key_events),
        unit="events",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="{value} uses of the key feature in the last 28 days; usually {usual}",
        says_one="1 use of the key feature in the last 28 days; usually {usual}",
    ),
    Feature(
        name="advanced_features_84d",
        value=newcomers("feature", ADVANCED),
        unit="features",
        null_means="not_applicable",
        direction="none",
        category="context",
        says="{value} advanced features used in the last 84 days that were not used in the 84 days before",
        says_one="1 advanced feature used in the last 84 days that was not used in the 84 days before",
    ),
    Feature(
        name="workflows_completed_28d",
        value=workflows,
        usual=own_past(workflows),
        unit="workflows",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        # The model has workflow_events_per_seat_84d, in which big and small accounts compare.
        for_model=False,
        says="{value} workflows completed in the last 28 days; usually {usual}",
        says_one="1 workflow completed in the last 28 days; usually {usual}",
    ),
    Feature(
        name="workflow_events_per_seat_84d",
        value=total("usage_events", EVENTS, where="kind = 'workflow'", days=84) / seats,
        unit="events per seat",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="{value} completed workflows per seat in the last 84 days",
    ),
    Feature(
        name="integration_events_84d",
        value=total("usage_events", EVENTS, where="kind = 'integration'", days=84),
        unit="events",
        null_means="unknown",
        direction="lowers",
        category="missing_product_capability",
        movable=True,
        says="{value} events through integrations in the last 84 days",
        says_one="1 event through integrations in the last 84 days",
    ),
    Feature(
        name="integrations_connected_364d",
        value=distinct("usage_events", "feature", where="kind = 'integration'", days=364),
        unit="integrations",
        null_means="unknown",
        direction="lowers",
        category="missing_product_capability",
        movable=True,
        says="{value} integrations connected in the last 364 days",
        says_one="1 integration connected in the last 364 days",
    ),
    Feature(
        name="admin_events_28d",
        value=total("usage_events", EVENTS, where="kind = 'admin'", days=28),
        usual=own_past(total("usage_events", EVENTS, where="kind = 'admin'", days=28)),
        unit="events",
        null_means="unknown",
        direction="lowers",
        category="poor_stakeholder_ownership",
        movable=True,
        says="{value} administrative events in the last 28 days; usually {usual}",
        says_one="1 administrative event in the last 28 days; usually {usual}",
    ),
    Feature(
        name="export_events_28d",
        value=total("usage_events", EVENTS, where="kind = 'export'", days=28),
        usual=own_past(total("usage_events", EVENTS, where="kind = 'export'", days=28)),
        unit="events",
        null_means="unknown",
        direction="raises",
        category="competitive_displacement",
        says="Data exported {value} times in the last 28 days; usually {usual}",
        says_one="Data exported once in the last 28 days; usually {usual} times",
        says_no="No data exported in the last 28 days; usually {usual} times",
    ),
    Feature(
        name="invites_84d",
        value=total("usage_events", EVENTS, where="kind = 'invite'", days=84),
        unit="invitations",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="{value} colleagues invited in the last 84 days",
        says_one="1 colleague invited in the last 84 days",
    ),
    Feature(
        name="teams_active_84d",
        value=distinct("usage_events", "team", where=MEANINGFUL, days=84),
        unit="teams",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="{value} teams active in the last 84 days",
        says_one="1 team active in the last 84 days",
    ),
    Feature(
        name="new_teams_84d",
        value=newcomers("team", MEANINGFUL),
        unit="teams",
        null_means="not_applicable",
        direction="none",
        category="context",
        says="{value} teams active in the last 84 days that were not active in the 84 days before",
        says_one="1 team active in the last 84 days that was not active in the 84 days before",
    ),
    Feature(
        name="usage_limit_used_28d",
        value=total("usage_events", EVENTS, days=28) / usage_limit,
        unit="share",
        null_means="not_applicable",
        direction="none",
        category="context",
        says="{value} of the contracted usage limit used in the last 28 days",
    ),
)
