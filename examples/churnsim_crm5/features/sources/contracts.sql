-- One row per billed period. end_date is the next renewal date and is known from the start; whether the
-- account renews shows only in the row that starts there, so churn is a period without a successor.
SELECT
    account_id || '/' || start_date AS contract_id,
    account_id,
    'crm' AS product,
    CASE
        WHEN lag(end_date) OVER periods = start_date
            THEN account_id || '/' || lag(start_date) OVER periods
    END AS renews_contract_id,
    start_date AS starts_on,
    end_date AS ends_on,
    mrr * 12 AS arr,
    TRUE AS is_recurring,
    -- What a plan limits is users, and what it limits is what is paid for.
    CASE WHEN units = 'users' THEN quantity END AS seats,
    TRUE AS auto_renew,
    split_part(product, '_', 1) AS plan,
    discount
FROM subscriptions
WINDOW periods AS (PARTITION BY account_id ORDER BY start_date)
