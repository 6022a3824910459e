-- 'pricing' is a price found too high for what it brings, not money that was cut: value_not_demonstrated.
SELECT
    account_id,
    churn_date AS happened_on,
    'churned' AS outcome,
    CASE reason_code
        WHEN 'features' THEN 'missing_product_capability'
        WHEN 'support' THEN 'service_support_failure'
        WHEN 'budget' THEN 'budget_eliminated'
        WHEN 'competitor' THEN 'competitive_displacement'
        WHEN 'pricing' THEN 'value_not_demonstrated'
        ELSE 'unknown'
    END AS reason,
    feedback_text AS note
FROM ravenstack_churn_events
