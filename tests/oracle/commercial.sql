-- Oracles of features/commercial.py.

-- Contracts in force that have an end; evergreen ones are not renewed.
CREATE VIEW ending AS SELECT * FROM terms WHERE ends_on IS NOT NULL;
-- Recurring contracts that have begun, in force or not.
CREATE VIEW begun AS
SELECT contracts.*, as_of FROM contracts JOIN snapshots USING (snapshot)
WHERE is_recurring AND starts_on <= as_of;
-- Days to the end of the contract in force that ends last.
CREATE VIEW renewals AS
SELECT snapshot, max(ends_on) - any_value(as_of) AS days
FROM ending GROUP BY snapshot;
-- The notice of the contract that ends last; where several end then, the last as a text.
CREATE VIEW notices AS
SELECT snapshot, notice_days FROM ending WHERE notice_days IS NULL OR notice_days >= 0
QUALIFY row_number() OVER (
    PARTITION BY snapshot ORDER BY ends_on DESC, notice_days::VARCHAR DESC NULLS LAST
) = 1;
CREATE VIEW overdue AS
SELECT invoices.*, as_of FROM invoices JOIN snapshots USING (snapshot)
WHERE paid_on IS NULL AND due_on < as_of;
CREATE MACRO people_active(this, until, days) AS (
    SELECT greatest(count(DISTINCT e.user_id), max(e.users)) FROM usage_events AS e
    WHERE e.snapshot = this AND e.kind NOT IN ('admin', 'export') AND within(e.happened_at, until, days)
);

-- arr: recurring revenue a year in contracts in force
SELECT snapshot, arr(snapshot, as_of) AS value FROM snapshots;

-- seats: seats in contracts in force
SELECT snapshot, seats(snapshot, as_of) AS value FROM snapshots;

-- days_to_renewal: days to the end of the contract in force that ends last
SELECT snapshot, days AS value FROM renewals;

-- notice_days: days of notice of the contract in force that ends last
SELECT snapshot, notice_days AS value FROM notices;

-- days_to_notice: days to the last day on which notice can be given
SELECT snapshot, days - notice_days AS value FROM renewals JOIN notices USING (snapshot);

-- auto_renew_known: whether all contracts in force that end say if they renew themselves
SELECT snapshot, bool_and(auto_renew IS NOT NULL)::INTEGER AS value FROM ending GROUP BY snapshot;

-- renewal_owner_named: whether all contracts in force that end name who renews them
SELECT snapshot, bool_and(renewal_owner IS NOT NULL)::INTEGER AS value FROM ending GROUP BY snapshot;

-- contract_signed: whether all contracts in force say when they were signed
SELECT snapshot, bool_and(signed_at IS NOT NULL)::INTEGER AS value FROM terms GROUP BY snapshot;

-- contracts_in_force: contracts in force
SELECT snapshot, count(contract_id) AS value
FROM snapshots LEFT JOIN terms USING (snapshot) GROUP BY snapshot;

-- renewal_signed: whether a recurring contract is known that starts later
SELECT snapshot, (
    SELECT count(*) > 0 FROM contracts AS c
    WHERE c.snapshot = s.snapshot AND c.is_recurring AND c.starts_on > s.as_of
)::INTEGER AS value
FROM snapshots AS s;

-- auto_renew: whether a contract in force renews itself
SELECT snapshot, bool_or(auto_renew)::INTEGER AS value FROM terms GROUP BY snapshot;

-- term_days: days from start to end of the contract in force with the longest term
SELECT snapshot, max(ends_on - starts_on) AS value FROM terms GROUP BY snapshot;

-- plan: the plan of the contract in force that started last; of several, the last as a text
SELECT snapshot, plan AS value FROM terms WHERE plan IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY snapshot ORDER BY starts_on DESC, plan DESC) = 1;

-- discount: the largest discount of contracts in force
SELECT snapshot, max(discount) AS value FROM terms GROUP BY snapshot;

-- seats_change_168d: seats against those of 168 days ago
SELECT snapshot, per(seats(snapshot, as_of), seats(snapshot, as_of - 168)) AS value FROM snapshots;

-- arr_change_364d: recurring revenue against that of 364 days ago
SELECT snapshot, per(arr(snapshot, as_of), arr(snapshot, as_of - 364)) AS value FROM snapshots;

-- invoices_overdue: invoices not paid whose day has passed
SELECT snapshot, count(invoice_id) AS value
FROM snapshots LEFT JOIN overdue USING (snapshot) GROUP BY snapshot;

-- invoice_overdue_days: days since the oldest of them was due
SELECT snapshot, max(as_of - due_on) AS value FROM overdue GROUP BY snapshot;

-- days_paid_late_364d: days late, in time counting 0, of invoices with a due day paid in the last 364 days
SELECT snapshot, avg(greatest(paid_on - due_on, 0)) AS value FROM invoices JOIN snapshots USING (snapshot)
WHERE due_on IS NOT NULL AND within(paid_on, as_of, 364) GROUP BY snapshot;

-- notice_given: whether notice was given on a contract in force
SELECT snapshot, count(notice_given_on) > 0 AS value
FROM snapshots LEFT JOIN terms USING (snapshot) GROUP BY snapshot;

-- arr_per_active_user: recurring revenue a year for each user active in the last 28 days
SELECT snapshot, per(arr(snapshot, as_of), people_active(snapshot, as_of, 28)) AS value FROM snapshots;

-- arr_change_84d: recurring revenue against that of 84 days ago
SELECT snapshot, per(arr(snapshot, as_of), arr(snapshot, as_of - 84)) AS value FROM snapshots;

-- renewals_so_far: contracts begun that continue another
SELECT snapshot, count(renews_contract_id) AS value
FROM snapshots LEFT JOIN begun USING (snapshot) GROUP BY snapshot;

-- contract_age_days: days since the newest contract in force began
SELECT snapshot, min(as_of - starts_on) AS value FROM terms GROUP BY snapshot;

-- term_elapsed_share: of the time from the first start to the furthest end of contracts in force that end,
--   what has passed
SELECT snapshot, per(any_value(as_of) - min(starts_on), max(ends_on) - min(starts_on)) AS value
FROM ending GROUP BY snapshot;

-- arr_ending_90d_share: of recurring revenue, that under contracts that end in the next 90 days
SELECT snapshot, per(
    (
        SELECT coalesce(sum(e.arr), 0) FROM ending AS e
        WHERE e.snapshot = s.snapshot AND e.ends_on <= s.as_of + 90
    ),
    arr(s.snapshot, s.as_of)
) AS value
FROM snapshots AS s;

-- plan_first: the plan of the contract that starts first; of several, the first as a text
SELECT snapshot, plan AS value FROM contracts WHERE plan IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY snapshot ORDER BY starts_on, plan) = 1;

-- invoices_late_share_364d: of the invoices issued in the last 364 days whose day has passed, those paid
--   late or not at all
SELECT snapshot, per(count(*) FILTER (WHERE paid_on IS NULL OR paid_on > due_on), count(*)) AS value
FROM invoices JOIN snapshots USING (snapshot)
WHERE due_on < as_of AND within(issued_on, as_of, 364) GROUP BY snapshot;

-- overdue_amount_share: what is overdue against a year's recurring revenue
SELECT snapshot, per(
    (
        SELECT CASE WHEN count(*) = 0 THEN 0 ELSE sum(o.amount) END FROM overdue AS o
        WHERE o.snapshot = s.snapshot
    ),
    arr(s.snapshot, s.as_of)
) AS value
FROM snapshots AS s;
