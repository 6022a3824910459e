-- Oracles of features/fit.py.

-- handoff_gaps: required fields that sales left empty at the hand-off
SELECT snapshot, len(handoff_missing) AS value FROM accounts;

-- icp_fit: fit to the ideal customer profile
SELECT snapshot, icp_fit AS value FROM accounts;

-- acquisition_channel: the channel it was won through
SELECT snapshot, acquisition_channel AS value FROM accounts;

-- segment: its segment
SELECT snapshot, segment AS value FROM accounts;

-- industry: its industry
SELECT snapshot, industry AS value FROM accounts;

-- region: its region
SELECT snapshot, region AS value FROM accounts;

-- tenure_days: days since it became an account
SELECT snapshot, as_of - created_at::DATE AS value FROM accounts JOIN snapshots USING (snapshot);
