-- Oracles of features/support.py.

-- Tickets per snapshot, snapshots without any included.
CREATE VIEW requests AS
SELECT s.snapshot, s.as_of, t.* EXCLUDE (snapshot),
    t.ticket_id IS NOT NULL AND t.closed_at IS NULL AS is_open,
    coalesce(t.severity <= 2, FALSE) AS is_severe
FROM snapshots AS s LEFT JOIN tickets AS t USING (snapshot);

CREATE MACRO opened(this, until, days) AS (
    SELECT count(*) FROM tickets AS t WHERE t.snapshot = this AND within(t.opened_at, until, days)
);
CREATE MACRO severe_opened(this, until, days) AS (
    SELECT count(*) FROM tickets AS t
    WHERE t.snapshot = this AND t.severity <= 2 AND within(t.opened_at, until, days)
);
CREATE MACRO opened_of(this, what, until, days) AS (
    SELECT count(*) FROM tickets AS t
    WHERE t.snapshot = this AND t.kind = what AND within(t.opened_at, until, days)
);
-- The average of days that tickets closed in a window had been open.
CREATE MACRO days_to_close(this, until, days) AS (
    SELECT avg(t.closed_at::DATE - t.opened_at::DATE) FROM tickets AS t
    WHERE t.snapshot = this AND within(t.closed_at, until, days)
);

-- open_severe_tickets: tickets of severity 1 or 2 that are open
SELECT snapshot, count(*) FILTER (WHERE is_open AND is_severe) AS value FROM requests GROUP BY snapshot;

-- severe_tickets_84d: tickets of severity 1 or 2 opened in the last 84 days
SELECT snapshot, severe_opened(snapshot, as_of, 84) AS value FROM snapshots;

-- severe_tickets_84d usual: the average of the three periods before
SELECT snapshot, avg(severe_opened(snapshot, until, 84)) AS value
FROM windows_before(84, 3, 'tickets') GROUP BY snapshot;

-- tickets_per_seat_84d: tickets opened in the last 84 days per seat
SELECT snapshot, per(opened(snapshot, as_of, 84), seats(snapshot, as_of)) AS value FROM snapshots;

-- oldest_open_ticket_days: days since the oldest open ticket was opened
SELECT snapshot, any_value(as_of) - min(opened_at)::DATE AS value
FROM requests WHERE is_open GROUP BY snapshot;

-- csat_168d: the average score of tickets closed in the last 168 days; where there is none, that of
--   surveys
SELECT snapshot, coalesce(
    (
        SELECT avg(t.csat) FROM tickets AS t
        WHERE t.snapshot = s.snapshot AND within(t.closed_at, s.as_of, 168)
    ),
    (
        SELECT avg(p.value) FROM touchpoints AS p
        WHERE p.snapshot = s.snapshot AND p.kind = 'csat' AND within(p.happened_at, s.as_of, 168)
    )
) AS value
FROM snapshots AS s;

-- escalations_84d: tickets escalated in the last 84 days
SELECT snapshot, count(*) FILTER (WHERE within(escalated_at, as_of, 84)) AS value
FROM requests GROUP BY snapshot;

-- outages_84d: outages reported in the last 84 days
SELECT snapshot, opened_of(snapshot, 'outage', as_of, 84) AS value FROM snapshots;

-- feature_gap_tickets_168d: requests for missing functions in the last 168 days
SELECT snapshot, opened_of(snapshot, 'feature_gap', as_of, 168) AS value FROM snapshots;

-- open_feature_gap_tickets: requests for missing functions that are open
SELECT snapshot, count(*) FILTER (WHERE is_open AND kind = 'feature_gap') AS value
FROM requests GROUP BY snapshot;

-- premium_capability_tickets_168d: requests for premium capabilities in the last 168 days
SELECT snapshot, opened_of(snapshot, 'premium_capability', as_of, 168) AS value FROM snapshots;

-- tickets_per_seat_28d: tickets opened in the last 28 days per seat
SELECT snapshot, per(opened(snapshot, as_of, 28), seats(snapshot, as_of)) AS value FROM snapshots;

-- tickets_per_seat_peers among peers: tickets opened in the last 84 days per seat
SELECT snapshot, per(opened(snapshot, as_of, 84), seats(snapshot, as_of)) AS value FROM snapshots;

-- severe_share_168d: of the tickets of the last 168 days, the severe ones
SELECT snapshot, per(severe_opened(snapshot, as_of, 168), opened(snapshot, as_of, 168)) AS value
FROM snapshots;

-- days_since_last_severe_ticket: days since the last severe ticket was opened
SELECT snapshot, any_value(as_of) - max(opened_at)::DATE AS value
FROM requests WHERE is_severe GROUP BY snapshot;

-- open_tickets_per_seat: open tickets per seat
SELECT snapshot, per(open, seats(snapshot, as_of)) AS value
FROM snapshots JOIN (
    SELECT snapshot, count(*) FILTER (WHERE is_open) AS open FROM requests GROUP BY snapshot
) USING (snapshot);

-- days_to_close_168d: days tickets had been open that were closed in the last 168 days
SELECT snapshot, days_to_close(snapshot, as_of, 168) AS value FROM snapshots;

-- days_to_close_168d usual: that of the 168 days before
SELECT snapshot, days_to_close(snapshot, as_of - 168, 168) AS value FROM reaching(336, 'tickets');

-- reopened_share_364d: of the tickets opened in the last 364 days, those opened again
SELECT snapshot, per(count(reopened_at), count(*)) AS value
FROM requests WHERE within(opened_at, as_of, 364) GROUP BY snapshot;

-- csat_latest: the score of the ticket closed last; where no ticket has one, that of the latest survey
WITH of_tickets AS (
    SELECT snapshot, csat FROM tickets WHERE csat IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY snapshot ORDER BY closed_at DESC, csat::VARCHAR DESC) = 1
),
of_surveys AS (
    SELECT snapshot, value FROM touchpoints WHERE kind = 'csat' AND value IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY snapshot ORDER BY happened_at DESC, value::VARCHAR DESC) = 1
)
SELECT snapshot, coalesce(csat, of_surveys.value) AS value
FROM of_tickets FULL JOIN of_surveys USING (snapshot);

-- feature_gap_share_364d: of the tickets of the last 364 days, those that ask for missing functions
SELECT snapshot, per(opened_of(snapshot, 'feature_gap', as_of, 364), opened(snapshot, as_of, 364)) AS value
FROM snapshots;
