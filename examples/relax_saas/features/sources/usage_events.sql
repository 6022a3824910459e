-- Two kinds of rows. A log-in: one row per user and day. A registration: an invitation where a member or a
-- guest was invited (its user is who invited), otherwise the work of an administrator; neither is use.
-- last_session, opted_in_to_mailing_list and enabled_for_marketing_drip are as of the day of extraction and
-- would tell the future: they are left out.
SELECT
    'login/' || l.user_id || '/' || l.date AS event_id,
    u.org_id::VARCHAR AS account_id,
    l.date::TIMESTAMP AS happened_at,
    l.user_id::VARCHAR AS user_id,
    'use' AS kind
FROM logins AS l
INNER JOIN users AS u ON u.user_id = l.user_id
UNION ALL
SELECT
    'user/' || user_id AS event_id,
    org_id::VARCHAR AS account_id,
    creation_time AS happened_at,
    coalesce(invited_by_user_id, user_id)::VARCHAR AS user_id,
    CASE WHEN creation_source IN ('ORG_INVITE', 'GUEST_INVITE') THEN 'invite' ELSE 'admin' END AS kind
FROM users
