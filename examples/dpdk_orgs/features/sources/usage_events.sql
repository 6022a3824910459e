-- One row per commit. Code is what an organisation comes to the project for; tests, documentation and
-- configuration go with it. A commit's area is the directory with most changed files.
SELECT
    event_id::VARCHAR AS event_id,
    account_id,
    "timestamp" AS happened_at,
    user_id,
    product AS feature,
    CASE WHEN event_type = 'code' THEN 'key' ELSE 'use' END AS kind
FROM activity_events
