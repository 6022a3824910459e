-- Oracles of features/usage.py.

-- Use that counts: everything but administration and taking data out.
CREATE MACRO meaningful(kind) AS kind NOT IN ('admin', 'export');

-- People: different user ids, or, where rows are sums, the most people behind one of them.
CREATE MACRO active_users(this, until, days) AS (
    SELECT greatest(count(DISTINCT e.user_id), max(e.users)) FROM usage_events AS e
    WHERE e.snapshot = this AND meaningful(e.kind) AND within(e.happened_at, until, days)
);
-- A row is one event or the sum of several.
CREATE MACRO used(this, until, days) AS (
    SELECT coalesce(sum(e.quantity), 0) FROM usage_events AS e
    WHERE e.snapshot = this AND meaningful(e.kind) AND within(e.happened_at, until, days)
);
CREATE MACRO events_of(this, what, until, days) AS (
    SELECT coalesce(sum(e.quantity), 0) FROM usage_events AS e
    WHERE e.snapshot = this AND e.kind = what AND within(e.happened_at, until, days)
);
CREATE MACRO active_days(this, until, days) AS (
    SELECT count(DISTINCT e.happened_at::DATE) FROM usage_events AS e
    WHERE e.snapshot = this AND meaningful(e.kind) AND within(e.happened_at, until, days)
);
CREATE MACRO features_used(this, until, days) AS (
    SELECT count(DISTINCT e.feature) FROM usage_events AS e
    WHERE e.snapshot = this AND meaningful(e.kind) AND within(e.happened_at, until, days)
);
-- Days since something was last done, of those that lie 364 days back at most.
CREATE MACRO days_since_last(this, as_of, what) AS (
    SELECT as_of - max(e.happened_at)::DATE FROM usage_events AS e
    WHERE e.snapshot = this AND within(e.happened_at, as_of, 364)
        AND CASE WHEN what = 'meaningful' THEN meaningful(e.kind) ELSE e.kind = what END
);

-- An ordinary week is a quarter of the average of the three periods of 28 days before the last one.
CREATE VIEW ordinary_weeks AS
SELECT snapshot, avg(used(snapshot, until, 28)) / 4 AS ordinary
FROM windows_before(28, 3, 'usage_events') GROUP BY snapshot;

-- Users, teams, features and advanced features by whether they were seen in the last 84 days and in the 84
-- before, of accounts and feeds that reach back over both and had some before.
CREATE VIEW things AS
SELECT snapshot, happened_at, 'user' AS sort, user_id AS thing FROM usage_events WHERE meaningful(kind)
UNION ALL
SELECT snapshot, happened_at, 'team', team FROM usage_events WHERE meaningful(kind)
UNION ALL
SELECT snapshot, happened_at, 'feature', feature FROM usage_events WHERE meaningful(kind)
UNION ALL
SELECT snapshot, happened_at, 'advanced', feature FROM usage_events
WHERE kind IN ('key', 'workflow', 'integration');
CREATE VIEW turnover AS
WITH seen AS (
    SELECT snapshot, sort, thing,
        bool_or(within(happened_at, as_of, 84)) AS now,
        bool_or(within(happened_at, as_of - 84, 84)) AS before
    FROM things JOIN reaching(168, 'usage_events') USING (snapshot)
    WHERE thing IS NOT NULL
    GROUP BY ALL
)
SELECT snapshot, sort,
    count(*) FILTER (WHERE now AND NOT before) AS gained,
    count(*) FILTER (WHERE before AND NOT now) AS lost,
    count(*) FILTER (WHERE now) AS now,
    count(*) FILTER (WHERE before) AS before
FROM seen
GROUP BY snapshot, sort
HAVING count(*) FILTER (WHERE before) > 0;

-- active_users_28d: people who used the product in the last 28 days for more than administration or
--   exports
SELECT snapshot, active_users(snapshot, as_of, 28) AS value FROM snapshots;

-- active_users_28d usual: the average of the three periods of 28 days before
SELECT snapshot, avg(active_users(snapshot, until, 28)) AS value
FROM windows_before(28, 3, 'usage_events') GROUP BY snapshot;

-- active_users_per_seat: active users of the last 28 days per seat paid for
SELECT snapshot, per(active_users(snapshot, as_of, 28), seats(snapshot, as_of)) AS value FROM snapshots;

-- active_users_change: active users of the last 28 days against what is usual
SELECT snapshot, per(active_users(snapshot, as_of, 28), usual) AS value
FROM snapshots JOIN (
    SELECT snapshot, avg(active_users(snapshot, until, 28)) AS usual
    FROM windows_before(28, 3, 'usage_events') GROUP BY snapshot
) USING (snapshot);

-- active_users_growth_84d: active users of the last 84 days against the 84 days before
SELECT snapshot, per(active_users(snapshot, as_of, 84), active_users(snapshot, as_of - 84, 84)) AS value
FROM reaching(168, 'usage_events');

-- seats_used_28d: people of any kind, administrators too, per seat
SELECT snapshot, per(
    (
        SELECT greatest(count(DISTINCT e.user_id), max(e.users)) FROM usage_events AS e
        WHERE e.snapshot = s.snapshot AND within(e.happened_at, s.as_of, 28)
    ),
    seats(s.snapshot, s.as_of)
) AS value
FROM snapshots AS s;

-- events_per_seat_28d: use of the last 28 days per seat
SELECT snapshot, per(used(snapshot, as_of, 28), seats(snapshot, as_of)) AS value FROM snapshots;

-- events_per_seat_28d usual: the average of the three periods before, each per seat of its last day
SELECT snapshot, avg(per(used(snapshot, until, 28), seats(snapshot, until))) AS value
FROM windows_before(28, 3, 'usage_events') GROUP BY snapshot;

-- usage_change_28d: use of the last 28 days against what is usual, four ordinary weeks
SELECT snapshot, per(used(snapshot, as_of, 28), 4 * ordinary) AS value
FROM snapshots JOIN ordinary_weeks USING (snapshot);

-- usage_spike_28d: use of the last 28 days against the busiest of the three periods before
SELECT snapshot, per(
    used(snapshot, as_of, 28),
    greatest(used(snapshot, as_of - 28, 28), used(snapshot, as_of - 56, 28), used(snapshot, as_of - 84, 28))
) AS value
FROM reaching(56, 'usage_events');

-- usage_change_84d: use of the last 84 days against the 84 days before
SELECT snapshot, per(used(snapshot, as_of, 84), used(snapshot, as_of - 84, 84)) AS value
FROM reaching(168, 'usage_events');

-- days_since_last_use: days since the last use, if there was any in the last 364 days
SELECT snapshot, days_since_last(snapshot, as_of, 'meaningful') AS value FROM snapshots;

-- active_days_28d: days with use among the last 28
SELECT snapshot, active_days(snapshot, as_of, 28) AS value FROM snapshots;

-- active_days_28d usual: the average of the three periods before
SELECT snapshot, avg(active_days(snapshot, until, 28)) AS value
FROM windows_before(28, 3, 'usage_events') GROUP BY snapshot;

-- features_used_84d: different features used in the last 84 days
SELECT snapshot, features_used(snapshot, as_of, 84) AS value FROM snapshots;

-- features_used_84d usual: those of the 84 days before
SELECT snapshot, features_used(snapshot, as_of - 84, 84) AS value FROM reaching(168, 'usage_events');

-- key_events_28d: uses of the key feature in the last 28 days
SELECT snapshot, events_of(snapshot, 'key', as_of, 28) AS value FROM snapshots;

-- key_events_28d usual: the average of the three periods before
SELECT snapshot, avg(events_of(snapshot, 'key', until, 28)) AS value
FROM windows_before(28, 3, 'usage_events') GROUP BY snapshot;

-- advanced_features_84d: features in advanced use in the last 84 days that were not in the 84 days before
SELECT snapshot, gained AS value FROM turnover WHERE sort = 'advanced';

-- workflows_completed_28d: workflows completed in the last 28 days
SELECT snapshot, events_of(snapshot, 'workflow', as_of, 28) AS value FROM snapshots;

-- workflows_completed_28d usual: the average of the three periods before
SELECT snapshot, avg(events_of(snapshot, 'workflow', until, 28)) AS value
FROM windows_before(28, 3, 'usage_events') GROUP BY snapshot;

-- workflow_events_per_seat_84d: workflows completed in the last 84 days per seat
SELECT snapshot, per(events_of(snapshot, 'workflow', as_of, 84), seats(snapshot, as_of)) AS value
FROM snapshots;

-- integration_events_84d: events through integrations in the last 84 days
SELECT snapshot, events_of(snapshot, 'integration', as_of, 84) AS value FROM snapshots;

-- integrations_connected_364d: different integrations at work in the last 364 days
SELECT snapshot, count(DISTINCT feature) FILTER (
    WHERE kind = 'integration' AND within(happened_at, as_of, 364)
) AS value
FROM snapshots LEFT JOIN usage_events USING (snapshot) GROUP BY snapshot;

-- admin_events_28d: administrative events in the last 28 days
SELECT snapshot, events_of(snapshot, 'admin', as_of, 28) AS value FROM snapshots;

-- admin_events_28d usual: the average of the three periods before
SELECT snapshot, avg(events_of(snapshot, 'admin', until, 28)) AS value
FROM windows_before(28, 3, 'usage_events') GROUP BY snapshot;

-- export_events_28d: exports of data in the last 28 days
SELECT snapshot, events_of(snapshot, 'export', as_of, 28) AS value FROM snapshots;

-- export_events_28d usual: the average of the three periods before
SELECT snapshot, avg(events_of(snapshot, 'export', until, 28)) AS value
FROM windows_before(28, 3, 'usage_events') GROUP BY snapshot;

-- invites_84d: colleagues invited in the last 84 days
SELECT snapshot, events_of(snapshot, 'invite', as_of, 84) AS value FROM snapshots;

-- teams_active_84d: different teams that used the product in the last 84 days
SELECT snapshot, count(DISTINCT team) FILTER (
    WHERE meaningful(kind) AND within(happened_at, as_of, 84)
) AS value
FROM snapshots LEFT JOIN usage_events USING (snapshot) GROUP BY snapshot;

-- new_teams_84d: teams active in the last 84 days that were not in the 84 days before
SELECT snapshot, gained AS value FROM turnover WHERE sort = 'team';

-- usage_limit_used_28d: events of any kind in the last 28 days against the limit in contracts in force
SELECT snapshot, per(
    (
        SELECT coalesce(sum(e.quantity), 0) FROM usage_events AS e
        WHERE e.snapshot = s.snapshot AND within(e.happened_at, s.as_of, 28)
    ),
    (SELECT sum(t.usage_limit) FROM terms AS t WHERE t.snapshot = s.snapshot)
) AS value
FROM snapshots AS s;

-- usage_change_7d: use of the last 7 days against an ordinary week
SELECT snapshot, per(used(snapshot, as_of, 7), ordinary) AS value
FROM snapshots JOIN ordinary_weeks USING (snapshot);

-- active_users_per_seat_7d: active users of the last 7 days per seat
SELECT snapshot, per(active_users(snapshot, as_of, 7), seats(snapshot, as_of)) AS value FROM snapshots;

-- active_users_per_seat_7d_ago_7d: active users 8 to 14 days ago per seat of that time
SELECT snapshot, per(active_users(snapshot, as_of - 7, 7), seats(snapshot, as_of - 7)) AS value
FROM snapshots;

-- active_users_per_seat_7d_ago_14d: active users 15 to 21 days ago per seat of that time
SELECT snapshot, per(active_users(snapshot, as_of - 14, 7), seats(snapshot, as_of - 14)) AS value
FROM snapshots;

-- active_users_per_seat_7d_ago_21d: active users 22 to 28 days ago per seat of that time
SELECT snapshot, per(active_users(snapshot, as_of - 21, 7), seats(snapshot, as_of - 21)) AS value
FROM snapshots;

-- active_users_per_seat_28d_ago_28d: active users 29 to 56 days ago per seat of that time
SELECT snapshot, per(active_users(snapshot, as_of - 28, 28), seats(snapshot, as_of - 28)) AS value
FROM snapshots;

-- active_users_per_seat_28d_ago_56d: active users 57 to 84 days ago per seat of that time
SELECT snapshot, per(active_users(snapshot, as_of - 56, 28), seats(snapshot, as_of - 56)) AS value
FROM snapshots;

-- events_per_seat_28d_ago_28d: use 29 to 56 days ago per seat of that time
SELECT snapshot, per(used(snapshot, as_of - 28, 28), seats(snapshot, as_of - 28)) AS value FROM snapshots;

-- events_per_seat_28d_ago_56d: use 57 to 84 days ago per seat of that time
SELECT snapshot, per(used(snapshot, as_of - 56, 28), seats(snapshot, as_of - 56)) AS value FROM snapshots;

-- active_users_trend_168d: growth of active users over six periods of 28 days, against the five before the
--   last
SELECT snapshot, per(growth(k, users), avg(users) FILTER (WHERE k > 0)) AS value
FROM (SELECT *, active_users(snapshot, until, 28) AS users FROM windows(28, 5, 'usage_events'))
GROUP BY snapshot HAVING bool_and(lived);

-- usage_trend_168d: growth of use over six periods of 28 days, against the five before the last
SELECT snapshot, per(growth(k, events), avg(events) FILTER (WHERE k > 0)) AS value
FROM (SELECT *, used(snapshot, until, 28) AS events FROM windows(28, 5, 'usage_events'))
GROUP BY snapshot HAVING bool_and(lived);

-- usage_to_peak_168d: use of the last 28 days against the busiest of the five periods before
SELECT snapshot, per(
    used(snapshot, as_of, 28),
    greatest(
        used(snapshot, as_of - 28, 28), used(snapshot, as_of - 56, 28), used(snapshot, as_of - 84, 28),
        used(snapshot, as_of - 112, 28), used(snapshot, as_of - 140, 28)
    )
) AS value
FROM reaching(56, 'usage_events');

-- usage_change_364d: use of the last 364 days against the 364 days before
SELECT snapshot, per(used(snapshot, as_of, 364), used(snapshot, as_of - 364, 364)) AS value
FROM reaching(728, 'usage_events');

-- weeks_without_use: weeks in a row without use, of the last 12
SELECT snapshot, in_a_row(k, lived, events = 0, 12) AS value
FROM (
    SELECT w.*, (
        SELECT count(*) FROM usage_events AS e
        WHERE e.snapshot = w.snapshot AND meaningful(e.kind) AND within(e.happened_at, w.until, 7)
    ) AS events
    FROM windows(7, 11, 'usage_events') AS w
)
GROUP BY snapshot HAVING bool_and(lived) FILTER (WHERE k = 0);

-- usage_unsteadiness_84d: how far use strays from its mean from week to week of the last twelve
SELECT snapshot, per(stddev_pop(events::DOUBLE), avg(events)) AS value
FROM (SELECT *, used(snapshot, until, 7) AS events FROM windows(7, 11, 'usage_events'))
GROUP BY snapshot HAVING bool_and(lived);

-- use_pause_against_rhythm_168d: the pause since the last use against the usual pause between two days of
--   use, 168 days by the days of use among them
SELECT snapshot, days_since_last(snapshot, as_of, 'meaningful')
    / nullif(168 / nullif(active_days(snapshot, as_of, 168)::DOUBLE, 0), 0) AS value
FROM reaching(168, 'usage_events');

-- users_kept_28d: active users of the last 28 days against those of the last 84
SELECT snapshot, per(active_users(snapshot, as_of, 28), active_users(snapshot, as_of, 84)) AS value
FROM snapshots;

-- users_lost_share_84d: of the users of the 84 days before, those not active in the last 84 days
SELECT snapshot, per(lost, before) AS value FROM turnover WHERE sort = 'user';

-- new_users_share_84d: of the users of the last 84 days, those not active in the 84 days before
SELECT snapshot, per(gained, now) AS value FROM turnover WHERE sort = 'user';

-- events_per_active_user_28d: use of the last 28 days per active user
SELECT snapshot, per(used(snapshot, as_of, 28), active_users(snapshot, as_of, 28)) AS value FROM snapshots;

-- events_per_active_user_28d usual: the average of the three periods before, of those with active users
SELECT snapshot, avg(per(used(snapshot, until, 28), active_users(snapshot, until, 28))) AS value
FROM windows_before(28, 3, 'usage_events') GROUP BY snapshot;

-- invites_per_seat_84d: colleagues invited in the last 84 days per seat
SELECT snapshot, per(events_of(snapshot, 'invite', as_of, 84), seats(snapshot, as_of)) AS value
FROM snapshots;

-- key_share_84d: of the use of the last 84 days, that of the key feature
SELECT snapshot, per(events_of(snapshot, 'key', as_of, 84), used(snapshot, as_of, 84)) AS value
FROM snapshots;

-- days_since_last_key_event: days since the key feature was last used, if in the last 364 days
SELECT snapshot, days_since_last(snapshot, as_of, 'key') AS value FROM snapshots;

-- features_used_change_84d: different features used in the last 84 days against the 84 days before
SELECT snapshot, per(features_used(snapshot, as_of, 84), features_used(snapshot, as_of - 84, 84)) AS value
FROM reaching(168, 'usage_events');

-- integration_share_84d: of the use of the last 84 days, that through integrations
SELECT snapshot, per(events_of(snapshot, 'integration', as_of, 84), used(snapshot, as_of, 84)) AS value
FROM snapshots;

-- days_since_last_admin_event: days since an administrator was last at work, if in the last 364 days
SELECT snapshot, days_since_last(snapshot, as_of, 'admin') AS value FROM snapshots;

-- export_share_84d: of all events of the last 84 days, exports of data
SELECT snapshot, per(
    events_of(snapshot, 'export', as_of, 84),
    (
        SELECT sum(e.quantity) FROM usage_events AS e
        WHERE e.snapshot = s.snapshot AND within(e.happened_at, s.as_of, 84)
    )
) AS value
FROM snapshots AS s;

-- active_users_per_seat_peers among peers: active users of the last 28 days per seat
SELECT snapshot, per(active_users(snapshot, as_of, 28), seats(snapshot, as_of)) AS value FROM snapshots;

-- events_per_seat_peers among peers: use of the last 28 days per seat
SELECT snapshot, per(used(snapshot, as_of, 28), seats(snapshot, as_of)) AS value FROM snapshots;

-- usage_change_peers among peers: use of the last 28 days against what is usual
SELECT snapshot, per(used(snapshot, as_of, 28), 4 * ordinary) AS value
FROM snapshots JOIN ordinary_weeks USING (snapshot);

-- active_users_change_peers among peers: active users of the last 28 days against what is usual
SELECT snapshot, per(active_users(snapshot, as_of, 28), usual) AS value
FROM snapshots JOIN (
    SELECT snapshot, avg(active_users(snapshot, until, 28)) AS usual
    FROM windows_before(28, 3, 'usage_events') GROUP BY snapshot
) USING (snapshot);

-- key_events_per_seat_peers among peers: uses of the key feature in the last 28 days per seat
SELECT snapshot, per(events_of(snapshot, 'key', as_of, 28), seats(snapshot, as_of)) AS value FROM snapshots;

-- features_used_peers among peers: different features used in the last 84 days
SELECT snapshot, features_used(snapshot, as_of, 84) AS value FROM snapshots;
