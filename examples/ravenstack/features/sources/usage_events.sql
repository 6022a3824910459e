-- The features have numbers for names, so nothing says which are key, administration or export: all is use.
SELECT
    u.usage_id AS event_id,
    s.account_id,
    u.usage_date AS happened_at,
    u.feature_name AS feature,
    u.usage_count AS quantity
FROM ravenstack_feature_usage AS u
LEFT JOIN ravenstack_subscriptions AS s ON s.subscription_id = u.subscription_id
