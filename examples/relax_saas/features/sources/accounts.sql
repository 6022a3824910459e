-- An organisation exists from its first registered user; nothing else is said of it.
SELECT
    org_id::VARCHAR AS account_id,
    min(creation_time) AS created_at
FROM users
GROUP BY org_id
