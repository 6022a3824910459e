-- One row per account, day and kind of event, already summed; users is who stood behind that kind that day.
-- The second part brings all active users of a day, which the kinds cannot be added up to; its quantity is 0,
-- so that no event counts twice.
SELECT
    account_id,
    date AS happened_at,
    event_type AS feature,
    CASE
        -- what the CRM is bought for: deals opened, quoted and won
        WHEN event_type IN ('create_opportunity', 'quote', 'win_opportunity') THEN 'key'
        -- a deal moved on or closed
        WHEN event_type IN ('advance_stage', 'lose_opportunity', 'disqualify_opportunity') THEN 'workflow'
        ELSE 'use'
    END AS kind,
    event_count AS quantity,
    active_users AS users
FROM usage_daily
UNION ALL
SELECT
    account_id,
    date AS happened_at,
    NULL AS feature,
    'use' AS kind,
    0 AS quantity,
    active_users AS users
FROM active_users_daily
