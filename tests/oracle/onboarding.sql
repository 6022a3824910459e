-- Oracles of features/onboarding.py.

-- Milestones per snapshot, snapshots without any included.
CREATE VIEW steps AS
SELECT s.snapshot, s.as_of, m.* EXCLUDE (snapshot)
FROM snapshots AS s LEFT JOIN milestones AS m USING (snapshot);

-- success_owner_named: whether somebody of customer success is named
SELECT snapshot, (csm_owner IS NOT NULL)::INTEGER AS value FROM accounts;

-- kickoffs_planned: milestones called kickoff that have a date, planned or reached
SELECT snapshot, count(*) FILTER (
    WHERE milestone = 'kickoff' AND coalesce(due_on, completed_on) IS NOT NULL
) AS value
FROM steps GROUP BY snapshot;

-- milestones_overdue: milestones not reached whose day has passed
SELECT snapshot, count(*) FILTER (WHERE completed_on IS NULL AND due_on < as_of) AS value
FROM steps GROUP BY snapshot;

-- milestones_completed_share: of the milestones whose day has passed, those reached
SELECT snapshot, per(count(completed_on), count(*)) AS value
FROM steps WHERE due_on < as_of GROUP BY snapshot;

-- activation_overdue_days: days since the day planned for activation, while it is not achieved; 0 where it
--   is or has time; the oldest of several
SELECT snapshot, greatest(max(as_of - due_on) FILTER (WHERE completed_on IS NULL), 0) AS value
FROM steps WHERE is_activation GROUP BY snapshot;

-- activated: whether a milestone of activation is reached
SELECT snapshot, bool_or(completed_on IS NOT NULL)::INTEGER AS value FROM steps
WHERE is_activation GROUP BY snapshot;

-- trainings_84d: trainings held in the last 84 days
SELECT snapshot, (
    SELECT count(*) FROM touchpoints AS t
    WHERE t.snapshot = s.snapshot AND t.kind = 'training' AND within(t.happened_at, s.as_of, 84)
) AS value
FROM snapshots AS s;

-- days_to_activation: days from the beginning of the account to its (last) activation; 0 where that was
--   before it was written down
SELECT snapshot, coalesce(greatest(max(completed_on) - any_value(created_at)::DATE, 0), 0) AS value
FROM steps LEFT JOIN accounts USING (snapshot)
WHERE is_activation AND completed_on IS NOT NULL GROUP BY snapshot;

-- onboarding_standstill_days: days since a milestone was last reached, or since the account began, while
--   some are not reached
SELECT snapshot, any_value(as_of) - coalesce(max(completed_on), any_value(created_at)::DATE) AS value
FROM steps LEFT JOIN accounts USING (snapshot)
GROUP BY snapshot HAVING bool_or(milestone IS NOT NULL AND completed_on IS NULL);

-- trainings_per_seat_364d: trainings held in the last 364 days per seat
SELECT snapshot, per(
    (
        SELECT count(*) FROM touchpoints AS t
        WHERE t.snapshot = s.snapshot AND t.kind = 'training' AND within(t.happened_at, s.as_of, 364)
    ),
    seats(s.snapshot, s.as_of)
) AS value
FROM snapshots AS s;
