-- Words that the oracles share: windows, contracts in force, how far back accounts and feeds reach, ratios.

-- In the `days` days before the day `until`: [until - days, until).
CREATE MACRO within(moment, until, days) AS moment >= until - days AND moment < until;

-- A ratio; empty where there is nothing to divide by.
CREATE MACRO per(part, whole) AS part::DOUBLE / nullif(whole::DOUBLE, 0);

-- A contract in force on a day: recurring, begun, not ended, not cancelled.
CREATE MACRO in_force(starts_on, ends_on, cancelled_on, is_recurring, day) AS
    is_recurring AND starts_on <= day AND (ends_on IS NULL OR ends_on > day)
    AND (cancelled_on IS NULL OR cancelled_on > day);

-- Contracts in force today.
CREATE VIEW terms AS
SELECT contracts.*, as_of FROM contracts JOIN snapshots USING (snapshot)
WHERE in_force(starts_on, ends_on, cancelled_on, is_recurring, as_of);

-- Seats and revenue in contracts in force on a day, as known now: 0 without contracts, empty where contracts
-- do not say.
CREATE MACRO seats(this, day) AS (
    SELECT CASE WHEN count(*) = 0 THEN 0 ELSE sum(c.seats) END FROM contracts AS c
    WHERE c.snapshot = this AND in_force(c.starts_on, c.ends_on, c.cancelled_on, c.is_recurring, day)
);
CREATE MACRO arr(this, day) AS (
    SELECT CASE WHEN count(*) = 0 THEN 0 ELSE sum(c.arr) END FROM contracts AS c
    WHERE c.snapshot = this AND in_force(c.starts_on, c.ends_on, c.cancelled_on, c.is_recurring, day)
);

-- Since which day both the account and a feed are there, as known: before it nobody recorded anything.
-- A feed begins with the first row of any account.
CREATE TABLE histories AS
WITH begun(as_of, feed, first_day) AS (
    SELECT as_of, 'usage_events', min(happened_at)::DATE FROM known_usage_events GROUP BY as_of
    UNION ALL
    SELECT as_of, 'touchpoints', min(happened_at)::DATE FROM known_touchpoints GROUP BY as_of
    UNION ALL
    SELECT as_of, 'tickets', min(opened_at)::DATE FROM known_tickets GROUP BY as_of
    UNION ALL
    SELECT as_of, 'invoices', min(issued_on) FROM known_invoices GROUP BY as_of
)
SELECT snapshot, feed, greatest(created_at::DATE, first_day) AS since
FROM snapshots JOIN accounts USING (snapshot) JOIN begun USING (as_of);

-- The latest window of some days (k = 0) and so many before it (k = 1, 2, ...), and whether account and feed
-- lived through the whole of it.
CREATE MACRO windows(days, before, which) AS TABLE
SELECT snapshot, k, as_of - (k * days)::INTEGER AS until,
    since <= as_of - ((k + 1) * days)::INTEGER AS lived
FROM snapshots JOIN histories USING (snapshot), range(before + 1) AS numbers(k)
WHERE feed = which;

-- Only the windows before the latest that were lived through: what is usual is their average.
CREATE MACRO windows_before(days, before, which) AS TABLE
SELECT snapshot, until FROM windows(days, before, which) WHERE lived AND k > 0;

-- Snapshots of accounts and feeds that reach so many days back.
CREATE MACRO reaching(days, which) AS TABLE
SELECT snapshot, as_of FROM snapshots JOIN histories USING (snapshot)
WHERE feed = which AND since <= as_of - days;

-- How many windows in a row, from the latest back, something held; of so many looked at.
CREATE MACRO in_a_row(k, lived, holds, looked_at) AS
    coalesce(min(k) FILTER (WHERE NOT coalesce(lived AND holds, FALSE)), looked_at);

-- Growth a window, by least squares.
CREATE MACRO growth(k, value) AS regr_slope(value::DOUBLE, -k);
