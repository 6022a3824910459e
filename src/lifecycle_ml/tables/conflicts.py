"""One account, one truth: where tables disagree about an account, what both say and which one decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import ibis

from lifecycle_ml.tables.clock import as_known
from lifecycle_ml.tables.rules import found
from lifecycle_ml.tables.schema import SCHEMAS

if TYPE_CHECKING:
    from lifecycle_ml.tables.findings import Finding
    from lifecycle_ml.tables.source import Tables

TOLERANCE = 0.1
"""What was billed may differ from ARR by so much: one monthly invoice more or less is no other truth."""
LATE_DAYS = 45
"""Invoices may follow the end of a contract by so many days: the last ones are often sent afterwards."""

_RECURRING = "is_recurring AND arr > 0"
_PAID = f"""
terms AS (
  SELECT *, coalesce(least(ends_on, cancelled_on), DATE '9999-12-31') AS stops_on,
         coalesce(currency, '') AS money
  FROM known_contracts
),
paid AS (SELECT * FROM terms WHERE {_RECURRING} AND starts_on < stops_on),
force AS (SELECT * FROM paid WHERE starts_on <= {{today}} AND stops_on > {{today}}),
"""
_HANGING = """,
last_stop AS (SELECT account_id, max(stops_on) AS stops_on FROM paid WHERE starts_on <= {today} GROUP BY ALL),
hanging AS (
  SELECT account_id, money, sum(arr)::DOUBLE AS arr FROM paid JOIN last_stop USING (account_id)
  WHERE starts_on <= {today}
    AND (paid.stops_on > {today} OR last_stop.stops_on <= {today} AND paid.stops_on = last_stop.stops_on)
  GROUP BY ALL
),
by_account AS (SELECT account_id, sum(arr) AS arr FROM hanging GROUP BY ALL)
"""


@dataclass(frozen=True)
class Conflict:
    """Two places that can name one thing differently.

    `question` is SQL ending in a table `differing` (account_id, one, other: both values in words) and a table
    `compared` (account_id); it may read known_<table> for what `needs` names, `paid` (recurring contracts
    with `stops_on` and `money`) and `force` (those in force), and `{today}`.
    `says` is what is so, `decides` which of the two counts, `mend` what to do.
    """

    rule: str
    table: str
    column: str
    needs: tuple[str, ...]
    """Columns that must be filled, as table.column."""
    question: str
    says: str
    decides: str
    mend: str
    unless_most: bool = False
    """Where most accounts differ, the company means it so: nothing is said."""


_ARR = Conflict(
    rule="two_arrs",
    table="invoices",
    column="amount",
    needs=("invoices.amount",),
    # Only where ARR was the same all year: then every way of billing in whole periods comes to just that.
    question=f"""
since AS (SELECT {{today}} - INTERVAL 1 YEAR AS since),
points AS (
  SELECT DISTINCT account_id, point FROM (
    SELECT account_id, since::DATE AS point FROM paid, since
    UNION ALL SELECT account_id, starts_on FROM paid, since WHERE starts_on > since AND starts_on < {{today}}
    UNION ALL SELECT account_id, stops_on FROM paid, since WHERE stops_on > since AND stops_on < {{today}})
),
levels AS (
  SELECT p.account_id, p.point, coalesce(sum(c.arr), 0)::DOUBLE AS arr, any_value(c.money) AS money,
         count(DISTINCT c.money) AS moneys
  FROM points p LEFT JOIN paid c
    ON c.account_id = p.account_id AND c.starts_on <= p.point AND c.stops_on > p.point
  GROUP BY ALL
),
steady AS (
  SELECT account_id, min(arr) AS arr, any_value(money) AS money FROM levels
  WHERE account_id NOT IN (
    SELECT account_id FROM known_contracts, since WHERE NOT ({_RECURRING}) AND arr > 0
      AND starts_on < {{today}} AND coalesce(ends_on > since, TRUE))
  GROUP BY account_id
  HAVING min(arr) = max(arr) AND min(arr) > 0 AND max(moneys) = 1 AND count(DISTINCT money) = 1
),
billed AS (
  SELECT i.account_id, sum(i.amount)::DOUBLE AS billed
  FROM known_invoices i JOIN steady s USING (account_id), since
  WHERE i.issued_on >= since AND i.issued_on < {{today}}
  GROUP BY i.account_id HAVING bool_and(i.amount IS NOT NULL AND coalesce(i.currency, s.money) = s.money)
),
compared AS (SELECT * FROM steady JOIN billed USING (account_id)),
differing AS (
  SELECT account_id, 'contracts ' || format('{{:,.0f}}', arr) || ' ' || money || ' a year' AS one,
         'invoices of the last year ' || format('{{:,.0f}}', billed) || ' ' || money AS other
  FROM compared WHERE abs(billed - arr) > {TOLERANCE} * arr
)""",
    says=f"A year's invoices are more than {TOLERANCE:.0%} off the ARR of the contracts, which was the same "
    "all year",
    decides="Contracts decide what ARR is; invoices only count as paid or unpaid.",
    mend="See which is right; tax, one-off fees and credits belong in neither.",
)

_CURRENCY = Conflict(
    rule="two_currencies",
    table="invoices",
    column="currency",
    needs=("invoices.currency", "contracts.currency"),
    question="""
pairs AS (
  SELECT i.account_id, i.invoice_id, i.currency AS billed_in, bool_or(c.currency = i.currency) AS agrees,
         any_value(c.currency ORDER BY c.contract_id) AS agreed_in
  FROM known_invoices i JOIN paid c ON c.account_id = i.account_id
    AND c.starts_on <= i.issued_on AND c.stops_on > i.issued_on
  WHERE i.issued_on >= {today} - INTERVAL 1 YEAR AND i.currency IS NOT NULL AND c.currency IS NOT NULL
  GROUP BY ALL
),
compared AS (SELECT DISTINCT account_id FROM pairs),
differing AS (
  SELECT account_id, 'contract ' || any_value(agreed_in ORDER BY invoice_id) AS one,
         'invoice ' || min(invoice_id) || ' ' || any_value(billed_in ORDER BY invoice_id) AS other
  FROM pairs WHERE NOT agrees GROUP BY account_id
)""",
    says="Invoices of the last year are in a currency that no contract in force then has",
    decides="The contract's currency decides what ARR is worth; an unpaid invoice counts in its own.",
    mend="Correct the one that is wrong.",
)

_TERMS = Conflict(
    rule="two_payment_terms",
    table="invoices",
    column="due_on",
    needs=("invoices.due_on", "contracts.payment_terms_days"),
    question="""
pairs AS (
  SELECT i.account_id, i.invoice_id, i.due_on - i.issued_on AS given,
         bool_or(c.payment_terms_days = i.due_on - i.issued_on) AS agrees,
         max(c.payment_terms_days) AS agreed
  FROM known_invoices i JOIN paid c ON c.account_id = i.account_id
    AND c.starts_on <= i.issued_on AND c.stops_on > i.issued_on
  WHERE i.issued_on >= {today} - INTERVAL 1 YEAR AND i.due_on IS NOT NULL
    AND c.payment_terms_days IS NOT NULL
  GROUP BY ALL
),
compared AS (SELECT DISTINCT account_id FROM pairs),
differing AS (
  SELECT account_id, 'contract ' || any_value(agreed ORDER BY invoice_id) || ' days' AS one,
         'invoice ' || min(invoice_id) || ' ' || any_value(given ORDER BY invoice_id) || ' days' AS other
  FROM pairs WHERE NOT agrees GROUP BY account_id
)""",
    says="Invoices of the last year are due after other numbers of days than contracts agree",
    decides="The invoice's `due_on` decides when it is late.",
    mend="Correct payment_terms_days, or the way due dates are set.",
)

_RENEWAL_DATE = Conflict(
    rule="two_renewal_dates",
    table="contracts",
    column="ends_on",
    needs=("contracts.ends_on",),
    question="""
compared AS (SELECT DISTINCT account_id FROM force WHERE ends_on IS NOT NULL),
differing AS (
  SELECT account_id,
         'contract ' || arg_min(contract_id, (ends_on, contract_id)) || ' ' || min(ends_on) AS one,
         'contract ' || arg_max(contract_id, (ends_on, contract_id)) || ' ' || max(ends_on) AS other
  FROM force WHERE ends_on IS NOT NULL GROUP BY account_id HAVING min(ends_on) < max(ends_on)
)""",
    says="Contracts in force end on different days",
    decides="The last end is the renewal date: checkpoints and days to renewal count from there.",
    mend="Let contracts of one account end together, or give the one that was replaced its cancelled_on.",
)

_RENEWAL_OWNERS = Conflict(
    rule="two_renewal_owners",
    table="contracts",
    column="renewal_owner",
    needs=("contracts.renewal_owner",),
    question="""
compared AS (SELECT DISTINCT account_id FROM force WHERE renewal_owner IS NOT NULL),
last_ending AS (
  SELECT account_id, arg_max(contract_id, (ends_on, contract_id)) AS deciding,
         arg_max(renewal_owner, (ends_on, contract_id)) AS owner
  FROM force WHERE ends_on IS NOT NULL AND renewal_owner IS NOT NULL GROUP BY account_id
),
differing AS (
  SELECT f.account_id, 'contract ' || arg_min(f.contract_id, f.contract_id) || ' '
           || arg_min(f.renewal_owner, f.contract_id) AS one,
         'contract ' || any_value(l.deciding) || ' ' || any_value(l.owner) AS other
  FROM force f JOIN last_ending l USING (account_id)
  WHERE f.renewal_owner <> l.owner GROUP BY f.account_id
)""",
    says="Contracts in force name different renewal owners",
    decides="The owner named by the contract that ends last gets the work of the renewal.",
    mend="Agree on one person per account.",
)

_ACCOUNT_OWNER = Conflict(
    rule="two_owners",
    table="accounts",
    column="csm_owner",
    needs=("contracts.renewal_owner", "accounts.csm_owner"),
    question="""
owned AS (
  SELECT f.account_id, arg_max(f.renewal_owner, (f.ends_on, f.contract_id)) AS renewing,
         any_value(a.csm_owner) AS csm, any_value(a.sales_owner) AS seller
  FROM force f JOIN known_accounts a USING (account_id)
  WHERE f.renewal_owner IS NOT NULL AND a.csm_owner IS NOT NULL GROUP BY f.account_id
),
compared AS (SELECT account_id FROM owned),
differing AS (
  SELECT account_id, 'contract ' || renewing AS one,
         'account ' || csm || coalesce(' and ' || seller, '') AS other
  FROM owned WHERE renewing <> csm AND renewing IS DISTINCT FROM seller
)""",
    says="The renewal owner is neither of the two owners of the account",
    decides="Work of the renewal goes to the contract's renewal_owner, all other to the account's owners.",
    mend="Where the renewal was handed over, hand the account over too, or correct the contract.",
    unless_most=True,
)

_BILLED_ON = Conflict(
    rule="billed_after_end",
    table="invoices",
    column="issued_on",
    needs=("invoices.issued_on",),
    question=f"""
compared AS (SELECT DISTINCT account_id FROM paid WHERE account_id NOT IN (SELECT account_id FROM force)
             AND starts_on <= {{today}}),
ended AS (SELECT account_id, max(stops_on) AS ended FROM paid WHERE starts_on <= {{today}} GROUP BY ALL),
differing AS (
  SELECT account_id, 'last contract ended on ' || any_value(ended) AS one,
         'invoice ' || arg_max(invoice_id, (issued_on, invoice_id)) || ' of ' || max(issued_on) AS other
  FROM compared JOIN ended USING (account_id) JOIN known_invoices USING (account_id)
  WHERE issued_on > ended + {LATE_DAYS} AND issued_on >= {{today}} - INTERVAL 1 YEAR
    AND coalesce(amount, 1) > 0
  GROUP BY account_id
)""",
    says=f"No contract is in force, and yet there are invoices more than {LATE_DAYS} days after the last one",
    decides="Contracts decide: these accounts count as lost and are not scored.",
    mend="Map the contract that goes on, or stop the invoices.",
)

_OUTCOME = Conflict(
    rule="outcome_contradicted",
    table="outcomes",
    column="outcome",
    needs=("outcomes.outcome",),
    # Late renewals are mostly cleared up within 30 days.
    question="""
compared AS (SELECT DISTINCT account_id FROM known_outcomes WHERE outcome = 'churned'),
differing AS (
  SELECT o.account_id, 'recorded as churned on ' || max(o.happened_on) AS one,
         'contract ' || arg_max(c.contract_id, (o.happened_on, c.contract_id)) || ' in force 30 days later'
           AS other
  FROM known_outcomes o JOIN paid c ON c.account_id = o.account_id
    AND c.starts_on <= o.happened_on + 30 AND c.stops_on > o.happened_on + 30
  WHERE o.outcome = 'churned' GROUP BY o.account_id
)""",
    says="Recorded as churned, with a contract in force 30 days later",
    decides="Contracts decide what churn is.",
    mend="See which is right: end the contract, or take the outcome back.",
)

_PARENT = Conflict(
    rule="covered_twice",
    table="accounts",
    column="parent_account_id",
    needs=("accounts.parent_account_id",),
    question="""
compared AS (SELECT DISTINCT account_id FROM known_accounts WHERE parent_account_id IS NOT NULL),
differing AS (
  SELECT a.account_id, 'own contract ' || min(own.contract_id) AS one,
         'contract ' || min(above.contract_id) || ' of ' || any_value(a.parent_account_id) AS other
  FROM known_accounts a JOIN force own ON own.account_id = a.account_id
    JOIN force above ON above.account_id = a.parent_account_id
  GROUP BY a.account_id
)""",
    says="They have a contract of their own, and so has the account above, whose contract is to cover them",
    decides="With a contract of its own an account is scored by itself, and its use is not the parent's.",
    mend="Clear parent_account_id if they are apart, or put the contract on the account that holds it.",
)

CONFLICTS = (
    _ARR,
    _BILLED_ON,
    _OUTCOME,
    _CURRENCY,
    _TERMS,
    _RENEWAL_DATE,
    _RENEWAL_OWNERS,
    _ACCOUNT_OWNER,
    _PARENT,
)
"""Every pair of places that is compared."""


def find_conflicts(tables: Tables, as_of: date) -> list[Finding]:
    """Say where tables disagree about accounts: both values, which one decides, and the ARR that hangs on it.

    Time:   rows and columns known at `as_of`; owners and other columns overwritten in place are today's.
    Grain:  one finding per kind of conflict; `rows` counts accounts, `examples` are the (at most three)
            with the most ARR, both values each. ARR is that of contracts in force at as_of, or of the last
            ones where none is; several currencies are never summed.
    Pairs whose columns the source does not fill are not compared; nothing is without contracts.
    """
    if "accounts" not in tables or "contracts" not in tables:
        return []
    findings = (_examined(tables, each, as_of) for each in CONFLICTS if _can_tell(tables, each))
    return [finding for finding in findings if finding is not None]


def _can_tell(tables: Tables, conflict: Conflict) -> bool:
    pairs = (need.split(".") for need in conflict.needs)
    return all(table in tables and column in tables.provided(table) for table, column in pairs)


def _examined(tables: Tables, conflict: Conflict, as_of: date) -> Finding | None:
    names = dict.fromkeys(["accounts", "contracts", *(need.partition(".")[0] for need in conflict.needs)])
    known = ", ".join(f"known_{name} AS ({_known(tables, name, as_of)})" for name in names)
    parts = (_PAID + conflict.question.strip() + _HANGING).replace("{today}", f"DATE '{as_of.isoformat()}'")
    asked = f"WITH {known}, {parts}"
    cursor = tables.backend.con.cursor()
    rows: list[Any] = cursor.execute(
        f"{asked} SELECT account_id, one, other FROM differing LEFT JOIN by_account USING (account_id) "
        "ORDER BY arr DESC NULLS LAST, account_id"
    ).fetchall()
    if not rows:
        return None
    (compared,) = cursor.execute(f"{asked} SELECT count(*) FROM compared").fetchone()
    if conflict.unless_most and len(rows) > compared / 2:
        return None
    sums: list[Any] = cursor.execute(
        f"{asked} SELECT money, sum(arr) FROM hanging SEMI JOIN differing USING (account_id) GROUP BY money "
        "ORDER BY sum(arr) DESC"
    ).fetchall()
    examples = [f"{account}: {one}; {other}" for account, one, other in rows[:3]]
    hangs = " and ".join(f"{amount:,.0f} {money}".strip() for money, amount in sums)
    return found(
        conflict.rule,
        conflict.table,
        conflict.column,
        rows=len(rows),
        examples=examples,
        advice=f"{conflict.says}: {len(rows):,} of {compared:,} accounts compared, e.g. {examples[0]}. "
        f"{conflict.decides} ARR that hangs on it: {hangs or 'none'}. {conflict.mend}",
    )


def _known(tables: Tables, name: str, as_of: date) -> str:
    """Return SQL for what was known of a table at as_of."""
    midnight = ibis.timestamp(f"{as_of.isoformat()} 00:00:00")
    rows = tables[name].mutate(as_of=midnight, known_until=midnight)
    return str(
        ibis.to_sql(
            as_known(rows, SCHEMAS[name]).drop("as_of", "known_until"), dialect="duckdb", pretty=False
        )
    )
