"""Who of an organisation's people comes back: a log-in product has nothing to show but that."""

from lifecycle_ml import Feature, change, count, days_since, distinct, own_past

LOG_IN = "kind = 'use'"
REGISTERED = "kind IN ('invite', 'admin')"
# The whole history: registrations and log-ins span 737 days.
HISTORY = 756
registered = count("usage_events", where=REGISTERED, days=HISTORY)
logged_in_28d = distinct("usage_events", "user_id", where=LOG_IN, days=28)
log_ins_28d = count("usage_events", where=LOG_IN, days=28)
days_84d = distinct("usage_events", "happened_at", where=LOG_IN, days=84)

FEATURES = (
    Feature(
        name="registered_users",
        value=registered,
        unit="users",
        null_means="unknown",
        direction="none",
        category="context",
        says="{value} users registered so far",
        says_one="1 user registered so far",
    ),
    Feature(
        name="registrations_84d",
        value=count("usage_events", where=REGISTERED, days=84),
        unit="users",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="{value} users registered in the last 84 days",
        says_one="1 user registered in the last 84 days",
    ),
    Feature(
        name="registered_users_active_28d",
        value=logged_in_28d / registered,
        unit="share",
        null_means="none",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="{value} of the registered users logged in in the last 28 days",
    ),
    Feature(
        name="log_ins_28d",
        value=log_ins_28d,
        usual=own_past(log_ins_28d),
        unit="log-ins",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="{value} log-ins in the last 28 days, one a user and day; usually {usual}",
        says_one="1 log-in in the last 28 days; usually {usual}",
    ),
    Feature(
        name="log_ins_change_28d",
        value=change(log_ins_28d),
        unit="ratio",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Log-ins of the last 28 days are at {value} of what is usual for this organisation",
    ),
    Feature(
        name="log_in_days_84d",
        value=days_84d,
        unit="days",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Somebody logged in on {value} of the last 84 days",
        says_one="Somebody logged in on 1 of the last 84 days",
    ),
    Feature(
        name="days_since_last_registration",
        value=days_since("usage_events", where=REGISTERED, days=HISTORY),
        unit="days",
        null_means="none",
        direction="raises",
        category="low_adoption_after_onboarding",
        movable=True,
        says="The last user registered {value} days ago",
    ),
)
