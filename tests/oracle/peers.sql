-- Where an account stands among comparable customers: 0 lowest, 0.5 in the middle, 1 highest.
--
-- In:  table `compared` (snapshot, value), filled by the test with what an oracle "among peers" selects.
-- Out: view `positions` (snapshot, value).

-- Customers have recurring revenue on the day; in a company without contracts every account counts.
CREATE TABLE standing AS
WITH sized AS (
    SELECT snapshot, as_of, segment, arr(snapshot, as_of) AS size,
        created_at IS NOT NULL AND (
            arr(snapshot, as_of) > 0 OR NOT EXISTS (SELECT 1 FROM source.contracts)
        ) AS is_customer
    FROM snapshots LEFT JOIN accounts USING (snapshot)
)
-- An account is in the third that says how many of the other customers of its segment are smaller.
SELECT mine.snapshot, mine.as_of, mine.segment, mine.size, mine.is_customer,
    least(floor(3 * per(count(*) FILTER (WHERE other.size < mine.size), count(other.snapshot))), 2) AS third
FROM sized AS mine
LEFT JOIN sized AS other
    ON other.as_of = mine.as_of AND other.segment IS NOT DISTINCT FROM mine.segment
    AND other.snapshot <> mine.snapshot AND other.is_customer
GROUP BY ALL;

CREATE TABLE compared (snapshot BIGINT, value DOUBLE);
-- Equals count half. What differs by a billionth is equal: sums of fractions carry that much noise.
CREATE VIEW positions AS
SELECT mine.snapshot,
    CASE WHEN count(*) >= 10 THEN
        (
            count(*) FILTER (WHERE other.value < mine.value - 1e-9 * abs(mine.value))
            + 0.5 * count(*) FILTER (WHERE abs(other.value - mine.value) <= 1e-9 * abs(mine.value))
        ) / count(*)
    END AS value
FROM (SELECT * FROM standing JOIN compared USING (snapshot)) AS mine
JOIN (SELECT * FROM standing JOIN compared USING (snapshot)) AS other
    ON other.as_of = mine.as_of AND other.segment IS NOT DISTINCT FROM mine.segment
    AND other.third IS NOT DISTINCT FROM mine.third
    AND other.snapshot <> mine.snapshot AND other.is_customer
WHERE mine.value IS NOT NULL AND other.value IS NOT NULL
GROUP BY mine.snapshot;
