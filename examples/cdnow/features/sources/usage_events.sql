-- One row per purchase; quantity is CDs. Two purchases of a customer on one day are two rows.
SELECT
    customer_id::VARCHAR AS account_id,
    date AS happened_at,
    quantity
FROM purchases
