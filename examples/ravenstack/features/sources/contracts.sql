-- end_date is empty while a subscription is open, and every ended one has churn_flag: it is the day it was
-- ended, not a planned term. As ends_on it would be known from the start and give the answer away; as
-- cancelled_on it is known when it takes effect. upgrade_, downgrade_ and churn_flag have no date and stay out.
SELECT
    subscription_id AS contract_id,
    account_id,
    'collaboration' AS product,
    start_date AS starts_on,
    arr_amount AS arr,
    NOT is_trial AS is_recurring,
    seats,
    auto_renew_flag AS auto_renew,
    plan_tier AS plan,
    end_date AS cancelled_on
FROM ravenstack_subscriptions
