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
from lifecycle_ml.matrix.measures import Measure, among_peers, only_if, present, slope, spread, streak

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
events_7d = total("usage_events", EVENTS, where=MEANINGFUL, days=7)
# An ordinary week: a quarter of an ordinary period of 28 days, which the last 28 days are no part of.
usual_week = own_past(events_28d) / 4
active_users_7d = greatest(
    distinct("usage_events", "user_id", where=MEANINGFUL, days=7),
    largest("usage_events", "users", where=MEANINGFUL, days=7),
)
key_events_per_seat = key_events / seats
export_events = total("usage_events", EVENTS, where="kind = 'export'", days=28)
features_used = distinct("usage_events", "feature", where=MEANINGFUL, days=84)
days_since_last_use = days_since("usage_events", where=MEANINGFUL, days=364)


def newcomers(column: str, where: str) -> Measure:
    """Different values of the last 84 days that the 84 days before had not.

    Null for accounts and feeds younger than 168 days, and where there were none before: all would be new.
    """
    both = distinct("usage_events", column, where=where, days=168)
    before = distinct("usage_events", column, where=where, days=84, ago=84)
    return only_if(both - before, own_past(distinct("usage_events", column, where=where, days=84), windows=1))


def lost(column: str, where: str) -> Measure:
    """Different values of the 84 days before the last 84 that the last 84 days have not.

    Null for accounts and feeds younger than 168 days, and where there were none before to lose.
    """
    both = distinct("usage_events", column, where=where, days=168)
    now = distinct("usage_events", column, where=where, days=84)
    return only_if(both - now, own_past(now, windows=1))


days_used_168d = distinct("usage_events", "happened_at", where=MEANINGFUL, days=168)

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
        value=days_since_last_use,
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
        value=features_used,
        usual=own_past(features_used, windows=1),
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
        value=export_events,
        usual=own_past(export_events),
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
    # Weeks on their own, so that a fall of last week is not one of four weeks ago.
    Feature(
        name="usage_change_7d",
        value=events_7d / usual_week,
        unit="ratio",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Use of the product in the last 7 days is at {value} of what is usual for this account",
    ),
    Feature(
        name="active_users_per_seat_7d",
        value=active_users_7d / seats,
        unit="share",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="{value} of the seats paid for were used in the last 7 days",
    ),
    *(
        Feature(
            name=f"active_users_per_seat_7d_ago_{ago}d",
            value=(active_users_7d / seats).before(ago),
            unit="share",
            null_means="unknown",
            direction="lowers",
            category="low_adoption_after_onboarding",
            says=f"{{value}} of the seats paid for were used {ago + 1} to {ago + 7} days ago",
        )
        for ago in (7, 14, 21)
    ),
    *(
        Feature(
            name=f"active_users_per_seat_28d_ago_{ago}d",
            value=(active_users / seats).before(ago),
            unit="share",
            null_means="unknown",
            direction="lowers",
            category="low_adoption_after_onboarding",
            says=f"{{value}} of the seats paid for were used {ago + 1} to {ago + 28} days ago",
        )
        for ago in (28, 56)
    ),
    *(
        Feature(
            name=f"events_per_seat_28d_ago_{ago}d",
            value=(events_28d / seats).before(ago),
            unit="events per seat",
            null_means="unknown",
            direction="lowers",
            category="low_adoption_after_onboarding",
            says=f"{{value}} events per seat {ago + 1} to {ago + 28} days ago",
        )
        for ago in (28, 56)
    ),
    Feature(
        name="active_users_trend_168d",
        value=slope(active_users) / own_past(active_users, windows=5),
        unit="share",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Over the last 168 days active users changed by {value} of the usual number every 28 days",
    ),
    Feature(
        name="usage_trend_168d",
        value=slope(events_28d) / own_past(events_28d, windows=5),
        unit="share",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Over the last 168 days use changed by {value} of what is usual every 28 days",
    ),
    Feature(
        name="usage_to_peak_168d",
        # Whole windows of the past only, as in usage_spike_28d; here the busiest of five.
        value=only_if(
            events_28d / greatest(*(events_28d.before(days) for days in (28, 56, 84, 112, 140))),
            own_past(events_28d, windows=1) + 1,
        ),
        unit="ratio",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Use of the product in the last 28 days is at {value} of its busiest 28 days in the 140 before",
    ),
    Feature(
        name="usage_change_364d",
        value=change(total("usage_events", EVENTS, where=MEANINGFUL, days=364), windows=1),
        unit="ratio",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="Use of the product in the last 364 days is at {value} of the 364 days before",
    ),
    Feature(
        name="weeks_without_use",
        value=streak(1 - present("usage_events", where=MEANINGFUL, days=7)),
        unit="weeks",
        null_means="unknown",
        direction="raises",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Not used for {value} weeks in a row",
        says_one="Not used for 1 week",
        says_no="Used in the last 7 days",
    ),
    Feature(
        name="usage_unsteadiness_84d",
        value=spread(events_7d, windows=12) / (events_84d / 12),
        unit="share",
        null_means="unknown",
        direction="none",
        category="low_adoption_after_onboarding",
        says="From week to week of the last 84 days use strays from its mean by {value}",
    ),
    Feature(
        name="use_pause_against_rhythm_168d",
        # Of accounts younger than the 168 days, or without use in them, no rhythm is known.
        value=only_if(
            days_since_last_use * days_used_168d / 168,
            days_used_168d * (own_past(events_84d, windows=1) + 1),
        ),
        unit="ratio",
        null_means="none",
        direction="raises",
        category="low_adoption_after_onboarding",
        movable=True,
        says="The pause since the last use is {value} of the usual pause between two days of use",
    ),
    Feature(
        name="users_kept_28d",
        value=active_users / active_users_84d,
        unit="share",
        null_means="none",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Of those who used the product in the last 84 days {value} did so in the last 28",
    ),
    Feature(
        name="users_lost_share_84d",
        value=lost("user_id", MEANINGFUL)
        / distinct("usage_events", "user_id", where=MEANINGFUL, days=84, ago=84),
        unit="share",
        null_means="not_applicable",
        direction="raises",
        category="low_adoption_after_onboarding",
        movable=True,
        says="{value} of the users of the 84 days before were not active in the last 84 days",
    ),
    Feature(
        name="new_users_share_84d",
        value=newcomers("user_id", MEANINGFUL)
        / distinct("usage_events", "user_id", where=MEANINGFUL, days=84),
        unit="share",
        null_means="not_applicable",
        direction="none",
        category="context",
        says="{value} of the users of the last 84 days were not active in the 84 days before",
    ),
    Feature(
        name="events_per_active_user_28d",
        value=events_28d / active_users,
        usual=own_past(events_28d / active_users),
        unit="events per user",
        null_means="none",
        direction="none",
        category="low_adoption_after_onboarding",
        movable=True,
        says="{value} events per active user in the last 28 days; usually {usual}",
    ),
    Feature(
        name="invites_per_seat_84d",
        value=total("usage_events", EVENTS, where="kind = 'invite'", days=84) / seats,
        unit="invitations per seat",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="{value} colleagues invited per seat in the last 84 days",
    ),
    Feature(
        name="key_share_84d",
        value=total("usage_events", EVENTS, where="kind = 'key'", days=84) / events_84d,
        unit="share",
        null_means="none",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="{value} of the use of the last 84 days was of the key feature",
    ),
    Feature(
        name="days_since_last_key_event",
        value=days_since("usage_events", where="kind = 'key'", days=364),
        unit="days",
        null_means="none",
        direction="raises",
        category="value_not_demonstrated",
        movable=True,
        says="The key feature was last used {value} days ago",
        says_one="The key feature was last used yesterday",
        says_null="The key feature was not used in the last 364 days",
    ),
    Feature(
        name="features_used_change_84d",
        value=change(features_used, windows=1),
        unit="ratio",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="Features used in the last 84 days are at {value} of the 84 days before",
    ),
    Feature(
        name="integration_share_84d",
        value=total("usage_events", EVENTS, where="kind = 'integration'", days=84) / events_84d,
        unit="share",
        null_means="none",
        direction="lowers",
        category="missing_product_capability",
        movable=True,
        says="{value} of the use of the last 84 days came through integrations",
    ),
    Feature(
        name="days_since_last_admin_event",
        value=days_since("usage_events", where="kind = 'admin'", days=364),
        unit="days",
        null_means="none",
        direction="raises",
        category="poor_stakeholder_ownership",
        movable=True,
        says="An administrator was last at work {value} days ago",
        says_one="An administrator was last at work yesterday",
        says_null="No administrator was at work in the last 364 days",
    ),
    Feature(
        name="export_share_84d",
        value=total("usage_events", EVENTS, where="kind = 'export'", days=84)
        / total("usage_events", EVENTS, days=84),
        unit="share",
        null_means="none",
        direction="raises",
        category="competitive_displacement",
        says="{value} of all events of the last 84 days were exports of data",
    ),
    Feature(
        name="active_users_per_seat_peers",
        value=among_peers(active_users / seats),
        unit="share",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        says="More of the seats are used than at {value} of comparable customers",
    ),
    Feature(
        name="events_per_seat_peers",
        value=among_peers(events_28d / seats),
        unit="share",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        says="A seat is used more than at {value} of comparable customers",
    ),
    Feature(
        # What all customers do at once, holidays among it, cancels out.
        name="usage_change_peers",
        value=among_peers(change(events_28d)),
        unit="share",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        says="Against its own past use has done better than at {value} of comparable customers",
    ),
    Feature(
        name="active_users_change_peers",
        value=among_peers(change(active_users)),
        unit="share",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        says="Against their own past active users have done better than at {value} of comparable customers",
    ),
    Feature(
        name="key_events_per_seat_peers",
        value=among_peers(key_events_per_seat),
        unit="share",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        says="The key feature is used more per seat than at {value} of comparable customers",
    ),
    Feature(
        name="features_used_peers",
        value=among_peers(features_used),
        unit="share",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        says="More features are used than at {value} of comparable customers",
    ),
)
