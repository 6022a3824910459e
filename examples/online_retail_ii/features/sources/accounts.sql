-- A customer exists from the first line on record. The data begins on 2009-12-01: whoever bought then may be older.
-- Thirteen customers have two countries; the one of the first purchase stays.
SELECT
    customer_id::VARCHAR AS account_id,
    min(invoice_date) AS created_at,
    arg_min(country, invoice_date) AS region
FROM transactions
WHERE customer_id IS NOT NULL
GROUP BY customer_id
