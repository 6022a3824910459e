-- One row per customer and day with a purchase. Eighty purchases were free of charge; they are purchases.
-- Prices are those of an American shop; nothing says when it was paid.
SELECT
    customer_id || '/' || strftime(date, '%Y%m%d') AS invoice_id,
    customer_id::VARCHAR AS account_id,
    date::DATE AS issued_on,
    round(sum(amount::DECIMAL(18, 4)), 2) AS amount,
    'USD' AS currency
FROM purchases
GROUP BY customer_id, date
