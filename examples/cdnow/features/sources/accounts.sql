-- Everybody bought for the first time in the first quarter of 1997: that day is when a customer begins.
SELECT
    customer_id::VARCHAR AS account_id,
    min(date) AS created_at
FROM purchases
GROUP BY customer_id
