-- Oracles of features/signals.py.

CREATE MACRO signs(this, kinds, until, days) AS (
    SELECT count(*) FROM signals AS s
    WHERE s.snapshot = this AND list_contains(kinds, s.kind) AND within(s.happened_at, until, days)
);
-- Days since the latest sign of some kinds; no row where there is none.
CREATE MACRO days_since_signs(kinds) AS TABLE
SELECT snapshot, any_value(as_of) - max(happened_at)::DATE AS value
FROM signals JOIN snapshots USING (snapshot) WHERE list_contains(kinds, kind) GROUP BY snapshot;

-- competitor_mentions_180d: mentions of a competitor in the last 180 days
SELECT snapshot, signs(snapshot, ['competitor_mention'], as_of, 180) AS value FROM snapshots;

-- budget_cuts_180d: signs of budget cuts in the last 180 days
SELECT snapshot, signs(snapshot, ['budget_cut'], as_of, 180) AS value FROM snapshots;

-- layoffs_180d: reports of layoffs in the last 180 days
SELECT snapshot, signs(snapshot, ['layoffs'], as_of, 180) AS value FROM snapshots;

-- mergers_364d: reports of a merger in the last 364 days
SELECT snapshot, signs(snapshot, ['merger'], as_of, 364) AS value FROM snapshots;

-- closures_364d: reports in the last 364 days that the company closes
SELECT snapshot, signs(snapshot, ['closure'], as_of, 364) AS value FROM snapshots;

-- growth_signals_84d: hiring, new departments, new initiatives and broader needs in the last 84 days
SELECT snapshot, signs(
    snapshot, ['hiring_related', 'new_department', 'new_initiative', 'broader_need'], as_of, 84
) AS value
FROM snapshots;

-- hiring_signals_84d: signs of hiring for work close to our product in the last 84 days
SELECT snapshot, signs(snapshot, ['hiring_related'], as_of, 84) AS value FROM snapshots;

-- new_departments_84d: new departments that took an interest in the last 84 days
SELECT snapshot, signs(snapshot, ['new_department'], as_of, 84) AS value FROM snapshots;

-- new_initiatives_84d: new initiatives that became known in the last 84 days
SELECT snapshot, signs(snapshot, ['new_initiative'], as_of, 84) AS value FROM snapshots;

-- broader_needs_84d: broader needs spoken of in the last 84 days
SELECT snapshot, signs(snapshot, ['broader_need'], as_of, 84) AS value FROM snapshots;

-- days_since_competitor_mention: days since a competitor was last mentioned
FROM days_since_signs(['competitor_mention']);

-- days_since_budget_cut: days since a budget cut was last reported
FROM days_since_signs(['budget_cut']);

-- days_since_layoffs: days since layoffs were last reported
FROM days_since_signs(['layoffs']);

-- days_since_merger: days since a merger was last reported
FROM days_since_signs(['merger']);

-- days_since_closure: days since the company's closure was last reported
FROM days_since_signs(['closure']);

-- days_since_growth_signal: days since the last sign of growth
FROM days_since_signs(['hiring_related', 'new_department', 'new_initiative', 'broader_need']);
