-- churn_flag, plan_tier, seats and is_trial are as of the day of extraction and stay out: they tell the future.
SELECT
    account_id,
    account_name AS name,
    industry,
    country AS region,
    signup_date AS created_at,
    referral_source AS acquisition_channel
FROM ravenstack_accounts
