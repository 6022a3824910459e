-- The canonical tables as a source gives them, filled by the test: every version, every late row. Then the
-- days we stand on (as_of), and the instant up to which rows that became known are seen (known_by).

CREATE SCHEMA source;
CREATE TABLE source.accounts (
    account_id VARCHAR, name VARCHAR, segment VARCHAR, industry VARCHAR, region VARCHAR, employees BIGINT,
    parent_account_id VARCHAR, created_at TIMESTAMP, csm_owner VARCHAR, sales_owner VARCHAR,
    acquisition_channel VARCHAR, acquisition_campaign VARCHAR, acquisition_cost DECIMAL(18, 4),
    icp_fit DECIMAL(18, 4), handoff_missing VARCHAR[], review_cadence_days BIGINT, known_at TIMESTAMP
);
CREATE TABLE source.contracts (
    contract_id VARCHAR, account_id VARCHAR, product VARCHAR, renews_contract_id VARCHAR, signed_at TIMESTAMP,
    starts_on DATE, ends_on DATE, arr DECIMAL(18, 4), currency VARCHAR, is_recurring BOOLEAN, seats BIGINT,
    usage_limit DECIMAL(18, 4), auto_renew BOOLEAN, notice_days BIGINT, notice_given_on DATE,
    payment_terms_days BIGINT, plan VARCHAR, discount DECIMAL(18, 4), cancelled_on DATE,
    renewal_owner VARCHAR, known_at TIMESTAMP
);
CREATE TABLE source.usage_events (
    event_id VARCHAR, account_id VARCHAR, happened_at TIMESTAMP, user_id VARCHAR, team VARCHAR,
    feature VARCHAR, kind VARCHAR, quantity DECIMAL(18, 4), users BIGINT, known_at TIMESTAMP
);
CREATE TABLE source.contacts (
    contact_id VARCHAR, account_id VARCHAR, role VARCHAR, joined_on DATE, left_on DATE, known_at TIMESTAMP
);
CREATE TABLE source.touchpoints (
    account_id VARCHAR, happened_at TIMESTAMP, contact_id VARCHAR, kind VARCHAR, value DECIMAL(18, 4),
    topic VARCHAR, known_at TIMESTAMP
);
CREATE TABLE source.tickets (
    ticket_id VARCHAR, account_id VARCHAR, opened_at TIMESTAMP, closed_at TIMESTAMP, severity BIGINT,
    kind VARCHAR, first_response_at TIMESTAMP, reopened_at TIMESTAMP, csat DECIMAL(18, 4),
    escalated_at TIMESTAMP, known_at TIMESTAMP
);
CREATE TABLE source.milestones (
    account_id VARCHAR, milestone VARCHAR, due_on DATE, completed_on DATE, is_activation BOOLEAN,
    known_at TIMESTAMP
);
CREATE TABLE source.invoices (
    invoice_id VARCHAR, account_id VARCHAR, issued_on DATE, due_on DATE, paid_on DATE,
    amount DECIMAL(18, 4), currency VARCHAR, known_at TIMESTAMP
);
CREATE TABLE source.signals (
    account_id VARCHAR, happened_at TIMESTAMP, kind VARCHAR, value DECIMAL(18, 4), note VARCHAR,
    known_at TIMESTAMP
);
CREATE TABLE looks (as_of DATE, known_by TIMESTAMP);
