-- An escalation is a flag without a date; at the latest it was known when the ticket was closed.
SELECT
    ticket_id,
    account_id,
    submitted_at AS opened_at,
    closed_at,
    CASE priority WHEN 'urgent' THEN 1 WHEN 'high' THEN 2 WHEN 'medium' THEN 3 WHEN 'low' THEN 4 END AS severity,
    submitted_at + first_response_time_minutes * INTERVAL 1 MINUTE AS first_response_at,
    satisfaction_score AS csat,
    CASE WHEN escalation_flag THEN closed_at END AS escalated_at
FROM ravenstack_support_tickets
