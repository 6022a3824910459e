"""What an organisation contributes over half a year and a year: commits are too rare for windows of weeks."""

from lifecycle_ml import Feature, change, days_since, distinct, own_past

active_days = distinct("usage_events", "happened_at", days=364)
contributors = distinct("usage_events", "user_id", days=364)
contributors_168d = distinct("usage_events", "user_id", days=168)

FEATURES = (
    Feature(
        name="active_days_168d",
        value=distinct("usage_events", "happened_at", days=168),
        usual=own_past(distinct("usage_events", "happened_at", days=168), windows=2),
        unit="days",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Commits on {value} of the last 168 days; usually on {usual}",
    ),
    Feature(
        name="active_days_364d",
        value=active_days,
        usual=own_past(active_days, windows=1),
        unit="days",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="Commits on {value} of the last 364 days; on {usual} of the 364 before",
    ),
    Feature(
        name="silence_against_rhythm",
        # 1: as long since the last commit as there usually is between two days with commits.
        value=days_since("usage_events", days=364) * active_days / 364,
        unit="ratio",
        null_means="none",
        direction="raises",
        category="low_adoption_after_onboarding",
        movable=True,
        says="The pause since the last commit is {value} of the usual pause between two of them",
    ),
    Feature(
        name="contributors_168d",
        value=contributors_168d,
        usual=own_past(contributors_168d, windows=2),
        unit="contributors",
        null_means="unknown",
        direction="lowers",
        category="poor_stakeholder_ownership",
        movable=True,
        says="{value} contributors in the last 168 days; usually {usual}",
        says_one="1 contributor in the last 168 days; usually {usual}",
    ),
    Feature(
        name="contributors_364d",
        value=contributors,
        unit="contributors",
        null_means="unknown",
        direction="lowers",
        category="poor_stakeholder_ownership",
        movable=True,
        says="{value} contributors in the last 364 days",
        says_one="1 contributor in the last 364 days",
    ),
    Feature(
        name="contributors_change_168d",
        value=change(contributors_168d, windows=2),
        unit="ratio",
        null_means="unknown",
        direction="lowers",
        category="poor_stakeholder_ownership",
        movable=True,
        says="Contributors of the last 168 days are at {value} of what is usual for this organisation",
    ),
    Feature(
        name="areas_364d",
        value=distinct("usage_events", "feature", days=364),
        unit="areas",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="Work on {value} areas of the code in the last 364 days",
        says_one="Work on 1 area of the code in the last 364 days",
    ),
)
