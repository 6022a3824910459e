-- The data has no sign-up date: an account exists from its first billed period.
-- Accounts of 2022-01 may be older; their tenure is understated.
SELECT
    a.account_id,
    a.state AS region,
    a.channel AS acquisition_channel,
    min(s.start_date) AS created_at
FROM accounts AS a
LEFT JOIN subscriptions AS s ON s.account_id = a.account_id
GROUP BY a.account_id, a.state, a.channel
