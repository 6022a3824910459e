-- An organisation is the registered domain of its people's mail addresses; it exists from its first commit.
-- What the domain ends on is all that is known of where it is: a country (cc_de), or com, org, edu, …
SELECT
    account_id,
    domain_class AS region,
    first_activity_date AS created_at
FROM accounts
