-- One row per line bought. Returns and lines without a price are no purchase; returns are in invoices.
-- Lines without a customer stay in, so that the check counts what is left out for it.
-- The second year has no stock code, so a product is its description.
SELECT
    customer_id::VARCHAR AS account_id,
    invoice_date AS happened_at,
    upper(trim(description)) AS feature,
    quantity
FROM transactions
WHERE quantity > 0 AND unit_price > 0
