-- What was known when. Written from the data contract (canonical tables; what is known when), table by
-- table and column by column; nothing here is derived from the package.
--
-- Out: `snapshots` (snapshot, account_id, as_of); `accounts` and `contracts`: an account's own rows; every
-- other table: its own rows and those of its children without a contract. All as known on the day, with
-- the number of the snapshot in front.

-- A date or instant of its own is empty until it lies before as_of ...
CREATE MACRO once_past(moment, as_of) AS CASE WHEN moment < as_of THEN moment END;
-- ... and one that takes effect at its own 00:00 until as_of has reached it.
CREATE MACRO once_reached(moment, as_of) AS CASE WHEN moment <= as_of THEN moment END;

-- Where a source does not say since when a row is known: since it happened, a bare date since the midnight
-- after it, a contract since it was signed, else since 00:00 of the day it starts.
CREATE VIEW dated_accounts AS
SELECT * REPLACE (coalesce(known_at, created_at) AS known_at) FROM source.accounts;
CREATE VIEW dated_contracts AS
SELECT * REPLACE (
    coalesce(known_at, signed_at, starts_on) AS known_at,
    -- Empty means recurring.
    coalesce(is_recurring, TRUE) AS is_recurring
)
FROM source.contracts;
-- The same event delivered twice is one, known since it first came; events without an id are all different.
CREATE VIEW dated_usage_events AS
SELECT event_id, account_id, happened_at, user_id, team, feature,
    -- Empty means everyday use, once.
    coalesce(kind, 'use') AS kind, coalesce(quantity, 1) AS quantity, users,
    min(coalesce(known_at, happened_at)) AS known_at
FROM (SELECT *, CASE WHEN event_id IS NULL THEN row_number() OVER () END AS lone FROM source.usage_events)
GROUP BY lone, event_id, account_id, happened_at, user_id, team, feature, coalesce(kind, 'use'),
    coalesce(quantity, 1), users;
CREATE VIEW dated_contacts AS
SELECT * REPLACE (coalesce(known_at, joined_on + 1) AS known_at) FROM source.contacts;
CREATE VIEW dated_touchpoints AS
SELECT * REPLACE (coalesce(known_at, happened_at) AS known_at) FROM source.touchpoints;
CREATE VIEW dated_tickets AS
SELECT * REPLACE (coalesce(known_at, opened_at) AS known_at) FROM source.tickets;
CREATE VIEW dated_milestones AS
SELECT m.* REPLACE (
    -- Milestones are known with their account.
    coalesce(m.known_at, (SELECT min(a.known_at) FROM dated_accounts AS a WHERE a.account_id = m.account_id))
    AS known_at
)
FROM source.milestones AS m;
CREATE VIEW dated_invoices AS
SELECT * REPLACE (coalesce(known_at, issued_on + 1) AS known_at) FROM source.invoices;
CREATE VIEW dated_signals AS
SELECT * REPLACE (coalesce(known_at, happened_at) AS known_at) FROM source.signals;

-- Per day we stand on: rows known by then, the latest version of each, of what happened before.
CREATE TABLE known_accounts AS
SELECT * FROM (
    SELECT * FROM looks JOIN dated_accounts ON known_at <= known_by
    QUALIFY row_number() OVER (PARTITION BY as_of, account_id ORDER BY known_at DESC) = 1
)
WHERE created_at < as_of;

-- A contract is seen from when it was known, before it starts.
CREATE TABLE known_contracts AS
SELECT * REPLACE (
    once_past(notice_given_on, as_of) AS notice_given_on,
    once_reached(cancelled_on, as_of) AS cancelled_on
)
FROM looks JOIN dated_contracts ON known_at <= known_by
QUALIFY row_number() OVER (PARTITION BY as_of, contract_id ORDER BY known_at DESC) = 1;

-- Events are appended, never changed: there are no versions of them.
CREATE TABLE known_usage_events AS
SELECT * FROM looks JOIN dated_usage_events ON known_at <= known_by
WHERE happened_at < as_of;

CREATE TABLE known_contacts AS
SELECT * REPLACE (once_past(left_on, as_of) AS left_on) FROM (
    SELECT * FROM looks JOIN dated_contacts ON known_at <= known_by
    QUALIFY row_number() OVER (PARTITION BY as_of, contact_id ORDER BY known_at DESC) = 1
)
WHERE joined_on < as_of;

CREATE TABLE known_touchpoints AS
SELECT * FROM looks JOIN dated_touchpoints ON known_at <= known_by
WHERE happened_at < as_of;

CREATE TABLE known_tickets AS
SELECT * REPLACE (
    once_past(closed_at, as_of) AS closed_at,
    once_past(first_response_at, as_of) AS first_response_at,
    once_past(reopened_at, as_of) AS reopened_at,
    once_past(escalated_at, as_of) AS escalated_at,
    -- The answer to the survey comes with the end of the ticket.
    CASE WHEN closed_at < as_of THEN csat END AS csat
)
FROM (
    SELECT * FROM looks JOIN dated_tickets ON known_at <= known_by
    QUALIFY row_number() OVER (PARTITION BY as_of, ticket_id ORDER BY known_at DESC) = 1
)
WHERE opened_at < as_of;

CREATE TABLE known_milestones AS
SELECT * REPLACE (once_past(completed_on, as_of) AS completed_on)
FROM looks JOIN dated_milestones ON known_at <= known_by
QUALIFY row_number() OVER (PARTITION BY as_of, account_id, milestone ORDER BY known_at DESC) = 1;

CREATE TABLE known_invoices AS
SELECT * REPLACE (once_past(paid_on, as_of) AS paid_on) FROM (
    SELECT * FROM looks JOIN dated_invoices ON known_at <= known_by
    QUALIFY row_number() OVER (PARTITION BY as_of, invoice_id ORDER BY known_at DESC) = 1
)
WHERE issued_on < as_of;

CREATE TABLE known_signals AS
SELECT * FROM looks JOIN dated_signals ON known_at <= known_by
WHERE happened_at < as_of;

-- Every account on every day, whether it existed then or not.
CREATE TABLE snapshots AS
SELECT row_number() OVER (ORDER BY account_id, as_of) AS snapshot, account_id, as_of
FROM (SELECT DISTINCT account_id FROM source.accounts), looks;

-- Who belongs to an account: itself, and up to three levels of children that hold no contract of their own.
CREATE TABLE family AS
WITH RECURSIVE below(snapshot, as_of, member, level) AS (
    SELECT snapshot, as_of, account_id, 0 FROM snapshots
    UNION ALL
    SELECT above.snapshot, above.as_of, child.account_id, above.level + 1
    FROM below AS above
    JOIN known_accounts AS child ON child.parent_account_id = above.member AND child.as_of = above.as_of
    WHERE above.level < 3
        AND NOT EXISTS (
            SELECT 1 FROM known_contracts AS own
            WHERE own.account_id = child.account_id AND own.as_of = above.as_of
        )
)
SELECT DISTINCT snapshot, as_of, member FROM below;

-- Accounts and contracts are an account's own; all else is its family's.
CREATE TABLE accounts AS
SELECT s.snapshot, a.* EXCLUDE (account_id, as_of, known_by, known_at)
FROM snapshots AS s JOIN known_accounts AS a USING (account_id, as_of);
CREATE TABLE contracts AS
SELECT s.snapshot, c.* EXCLUDE (account_id, as_of, known_by, known_at)
FROM snapshots AS s JOIN known_contracts AS c USING (account_id, as_of);
CREATE TABLE usage_events AS
SELECT f.snapshot, k.* EXCLUDE (account_id, as_of, known_by, known_at)
FROM family AS f JOIN known_usage_events AS k ON k.account_id = f.member AND k.as_of = f.as_of;
CREATE TABLE contacts AS
SELECT f.snapshot, k.* EXCLUDE (account_id, as_of, known_by, known_at)
FROM family AS f JOIN known_contacts AS k ON k.account_id = f.member AND k.as_of = f.as_of;
CREATE TABLE touchpoints AS
SELECT f.snapshot, k.* EXCLUDE (account_id, as_of, known_by, known_at)
FROM family AS f JOIN known_touchpoints AS k ON k.account_id = f.member AND k.as_of = f.as_of;
CREATE TABLE tickets AS
SELECT f.snapshot, k.* EXCLUDE (account_id, as_of, known_by, known_at)
FROM family AS f JOIN known_tickets AS k ON k.account_id = f.member AND k.as_of = f.as_of;
CREATE TABLE milestones AS
SELECT f.snapshot, k.* EXCLUDE (account_id, as_of, known_by, known_at)
FROM family AS f JOIN known_milestones AS k ON k.account_id = f.member AND k.as_of = f.as_of;
CREATE TABLE invoices AS
SELECT f.snapshot, k.* EXCLUDE (account_id, as_of, known_by, known_at)
FROM family AS f JOIN known_invoices AS k ON k.account_id = f.member AND k.as_of = f.as_of;
CREATE TABLE signals AS
SELECT f.snapshot, k.* EXCLUDE (account_id, as_of, known_by, known_at)
FROM family AS f JOIN known_signals AS k ON k.account_id = f.member AND k.as_of = f.as_of;
