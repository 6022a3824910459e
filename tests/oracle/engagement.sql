-- Oracles of features/engagement.py.

CREATE MACRO is_meeting(kind) AS
    kind IN ('meeting', 'executive_meeting', 'business_review', 'renewal_meeting');

CREATE MACRO meetings(this, until, days) AS (
    SELECT count(*) FROM touchpoints AS t
    WHERE t.snapshot = this AND is_meeting(t.kind) AND within(t.happened_at, until, days)
);
CREATE MACRO touchpoints_of(this, what, until, days) AS (
    SELECT count(*) FROM touchpoints AS t
    WHERE t.snapshot = this AND t.kind = what AND within(t.happened_at, until, days)
);
-- What takes the customer's time: meetings and the mails they write.
CREATE MACRO touches(this, until, days) AS (
    SELECT count(*) FROM touchpoints AS t
    WHERE t.snapshot = this AND (is_meeting(t.kind) OR t.kind = 'email_in')
        AND within(t.happened_at, until, days)
);
CREATE MACRO contacts_reached(this, until, days) AS (
    SELECT count(DISTINCT t.contact_id) FROM touchpoints AS t
    WHERE t.snapshot = this AND within(t.happened_at, until, days)
);
-- Contacts per snapshot, snapshots without any included.
CREATE VIEW people AS
SELECT s.snapshot, s.as_of, c.contact_id, c.role, c.joined_on, c.left_on,
    c.contact_id IS NOT NULL AND c.left_on IS NULL AS is_there
FROM snapshots AS s LEFT JOIN contacts AS c USING (snapshot);
-- Days since the latest touchpoint of a kind; no row where there is none.
CREATE MACRO pauses(kinds) AS TABLE
SELECT snapshot, any_value(as_of) - max(happened_at)::DATE AS value
FROM touchpoints JOIN snapshots USING (snapshot)
WHERE list_contains(kinds, kind) GROUP BY snapshot;

-- champions_left_180d: champions who left in the last 180 days
SELECT snapshot, count(*) FILTER (WHERE role = 'champion' AND within(left_on, as_of, 180)) AS value
FROM people GROUP BY snapshot;

-- champions_present: champions who have not left
SELECT snapshot, count(*) FILTER (WHERE role = 'champion' AND is_there) AS value
FROM people GROUP BY snapshot;

-- emails_in_change_84d: mails from the customer in the last 84 days against what is usual, the average of
--   three such periods before
SELECT snapshot, per(touchpoints_of(snapshot, 'email_in', as_of, 84), usual) AS value
FROM snapshots JOIN (
    SELECT snapshot, avg(touchpoints_of(snapshot, 'email_in', until, 84)) AS usual
    FROM windows_before(84, 3, 'touchpoints') GROUP BY snapshot
) USING (snapshot);

-- executive_sponsors_present: executive sponsors who have not left
SELECT snapshot, count(*) FILTER (WHERE role = 'executive_sponsor' AND is_there) AS value
FROM people GROUP BY snapshot;

-- contacts_present: contacts who have not left
SELECT snapshot, count(*) FILTER (WHERE is_there) AS value FROM people GROUP BY snapshot;

-- meetings_84d: meetings of any kind in the last 84 days
SELECT snapshot, meetings(snapshot, as_of, 84) AS value FROM snapshots;

-- meetings_84d usual: the average of the three periods before
SELECT snapshot, avg(meetings(snapshot, until, 84)) AS value
FROM windows_before(84, 3, 'touchpoints') GROUP BY snapshot;

-- days_since_last_meeting: days since the last meeting of any kind
FROM pauses(['meeting', 'executive_meeting', 'business_review', 'renewal_meeting']);

-- executive_meetings_168d: meetings with executives in the last 168 days
SELECT snapshot, touchpoints_of(snapshot, 'executive_meeting', as_of, 168) AS value FROM snapshots;

-- renewal_meetings_84d: meetings about the renewal in the last 84 days
SELECT snapshot, touchpoints_of(snapshot, 'renewal_meeting', as_of, 84) AS value FROM snapshots;

-- no_shows_84d: meetings the customer missed in the last 84 days
SELECT snapshot, touchpoints_of(snapshot, 'no_show', as_of, 84) AS value FROM snapshots;

-- days_since_business_review: days since the last business review
FROM pauses(['business_review']);

-- nps_latest: the latest recommendation score; of several at once, the last as a text
SELECT snapshot, value FROM touchpoints WHERE kind = 'nps' AND value IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY snapshot ORDER BY happened_at DESC, value::VARCHAR DESC) = 1;

-- days_since_champion_left: days since a champion last left
SELECT snapshot, any_value(as_of) - max(left_on) AS value
FROM people WHERE role = 'champion' GROUP BY snapshot;

-- champion_tenure_days: days since the champion joined who has been there longest
SELECT snapshot, any_value(as_of) - min(joined_on) AS value FROM people
WHERE role = 'champion' AND is_there GROUP BY snapshot;

-- emails_in_share_84d: of the mails of the last 84 days, those from the customer
SELECT snapshot, per(
    touchpoints_of(snapshot, 'email_in', as_of, 84),
    touchpoints_of(snapshot, 'email_in', as_of, 84) + touchpoints_of(snapshot, 'email_out', as_of, 84)
) AS value
FROM snapshots;

-- contacts_reached_84d: different contacts in touch with us in the last 84 days
SELECT snapshot, contacts_reached(snapshot, as_of, 84) AS value FROM snapshots;

-- contacts_reached_84d usual: the average of the three periods before
SELECT snapshot, avg(contacts_reached(snapshot, until, 84)) AS value
FROM windows_before(84, 3, 'touchpoints') GROUP BY snapshot;

-- meetings_change_84d: meetings in the last 84 days against what is usual
SELECT snapshot, per(meetings(snapshot, as_of, 84), usual) AS value
FROM snapshots JOIN (
    SELECT snapshot, avg(meetings(snapshot, until, 84)) AS usual
    FROM windows_before(84, 3, 'touchpoints') GROUP BY snapshot
) USING (snapshot);

-- meetings_peers among peers: meetings of any kind in the last 84 days
SELECT snapshot, meetings(snapshot, as_of, 84) AS value FROM snapshots;

-- periods_in_touch: periods of 28 days in a row with a meeting or a mail from the customer, of the last 12
SELECT snapshot, in_a_row(k, lived, met > 0, 12) AS value
FROM (SELECT *, touches(snapshot, until, 28) AS met FROM windows(28, 11, 'touchpoints'))
GROUP BY snapshot HAVING bool_and(lived) FILTER (WHERE k = 0);

-- touch_trend_168d: growth of meetings and mails from the customer over six periods of 28 days, against
--   the five before the last
SELECT snapshot, per(growth(k, met), avg(met) FILTER (WHERE k > 0)) AS value
FROM (SELECT *, touches(snapshot, until, 28) AS met FROM windows(28, 5, 'touchpoints'))
GROUP BY snapshot HAVING bool_and(lived);

-- no_show_share_168d: of the meetings of the last 168 days, held or missed, those the customer missed
SELECT snapshot, per(
    touchpoints_of(snapshot, 'no_show', as_of, 168),
    touchpoints_of(snapshot, 'no_show', as_of, 168) + meetings(snapshot, as_of, 168)
) AS value
FROM snapshots;

-- days_since_last_executive_meeting: days since the last meeting with an executive
FROM pauses(['executive_meeting']);

-- business_review_against_cadence: days since the last business review, or since the account began,
--   against the interval agreed
SELECT snapshot, per(coalesce(p.value, as_of - created_at::DATE), review_cadence_days) AS value
FROM snapshots JOIN accounts USING (snapshot) LEFT JOIN pauses(['business_review']) AS p USING (snapshot);

-- nps_mean_364d: the average recommendation score of the last 364 days
SELECT snapshot, avg(value) AS value FROM touchpoints JOIN snapshots USING (snapshot)
WHERE kind = 'nps' AND within(happened_at, as_of, 364) GROUP BY snapshot;

-- nps_change: the latest recommendation score less the average of all
SELECT snapshot, arg_max(value, (happened_at, value::VARCHAR)) - avg(value) AS value
FROM touchpoints WHERE kind = 'nps' AND value IS NOT NULL GROUP BY snapshot;
