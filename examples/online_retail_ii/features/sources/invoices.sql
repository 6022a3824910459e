-- One row per purchase and one per return (amount below zero). The second year has no invoice number; customer
-- and time stamp identify one. Nothing says when it was paid.
SELECT
    customer_id::VARCHAR || '/' || strftime(invoice_date, '%Y%m%dT%H%M')
    || CASE WHEN quantity < 0 THEN '/return' ELSE '' END AS invoice_id,
    customer_id::VARCHAR AS account_id,
    invoice_date::DATE AS issued_on,
    round(sum(quantity * unit_price::DECIMAL(18, 4)), 2) AS amount,
    'GBP' AS currency
FROM transactions
WHERE customer_id IS NOT NULL AND unit_price > 0
GROUP BY customer_id, invoice_date, quantity < 0
