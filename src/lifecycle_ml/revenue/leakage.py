"""Money that is owed or given away and nobody asks for: use above the limit, late invoices, old discounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from lifecycle_ml.revenue.books import NOT_RECORDED

if TYPE_CHECKING:
    from lifecycle_ml.revenue.known import Known

OVER = 0.05
"""Use counts as above the limit from so much above it; less is how people count differently."""
WINDOWS = 6
"""Periods of 28 days looked back over."""
EXCESS = 0.05
"""A discount counts from so many points above what the plan's other contracts have (median)."""
FEWER_SEATS = 0.8
LONG_TERM_DAYS = 700
"""A term this long is a commitment that a discount may have been given for."""

HOW = {
    "unbilled usage": (
        "Use of the last 28 days is more than 5% above the usage limit of the contracts in force. Amount: "
        "for each period of 28 days without a break until now, the part above the limit x ARR x 28 / 365.25, "
        "less what was invoiced in the last 364 days beyond the contracts' ARR of those days."
    ),
    "unpaid invoices": (
        "Not paid, and due before today: the invoice's own due date, else its day of issue and the payment "
        "terms of the account's contract in force then."
    ),
    "old discounts": (
        "A contract in force whose discount is at least 5 points above the median of its plan, though what "
        "it was given for is gone: it came with the first contract and later ones carry it on unchanged; or "
        "seats have fallen under 80% of those it was given for; or it came with a term of two years and the "
        "term is shorter now. Amount: what the points above the median cost in a year."
    ),
}
"""What counts and what the amount is, in words."""


@dataclass(frozen=True)
class Leak:
    """One kind of leakage.

    rows: account_id, amount (units of currency), currency, since (date), how (words); the largest first.
    totals: by currency: currency, accounts, amount. Currencies are never summed. untold: how many could not
    be judged, with the reason; missing: why the whole kind cannot be told, None where it can.
    """

    name: str
    rows: pd.DataFrame
    untold: tuple[tuple[int, str], ...] = ()
    missing: str | None = None

    @property
    def totals(self) -> pd.DataFrame:
        """Accounts and amount by currency."""
        grouped = self.rows.groupby("currency", sort=True)
        return grouped.agg(accounts=("account_id", "nunique"), amount=("amount", "sum")).reset_index()

    def to_json(self, first: int | None = None) -> dict[str, Any]:
        """Return rows (the `first` of them), totals and what could not be judged as plain values."""
        rows = self.rows if first is None else self.rows.head(first)
        listed = rows.assign(since=rows["since"].astype(str), amount=rows["amount"].round(2))
        return {
            "name": self.name,
            "told_by": HOW[self.name],
            "count": len(self.rows),
            "rows": listed.to_dict("records"),
            "totals": self.totals.assign(amount=lambda each: each["amount"].round(2)).to_dict("records"),
            "untold": [{"count": count, "why": why} for count, why in self.untold],
            "missing": self.missing,
        }


_COLUMNS = ["account_id", "amount", "currency", "since", "how"]


def leakage(known: Known) -> list[Leak]:
    """Return the three kinds of leakage as known on the day of `known`."""
    return [_unbilled_usage(known), _unpaid_invoices(known), _old_discounts(known)]


def _leak(name: str, rows: pd.DataFrame, untold: tuple[tuple[int, str], ...] = ()) -> Leak:
    kept = rows[_COLUMNS].sort_values(["amount", "account_id"], ascending=[False, True], ignore_index=True)
    return Leak(name, kept, tuple(item for item in untold if item[0]))


def _none(name: str, missing: str) -> Leak:
    return Leak(name, pd.DataFrame(columns=_COLUMNS), missing=missing)


_FORCE = """starts_on <= {day} AND coalesce(ends_on > {day}, TRUE) AND coalesce(cancelled_on > {day}, TRUE)
    AND coalesce(is_recurring, TRUE) AND arr > 0"""
"""A contract in force on a day."""

_USAGE = f"""
windows AS (SELECT unnest(range({WINDOWS})) AS back),
used AS (
  SELECT account_id, (date_diff('day', happened_at::DATE, {{today}}) - 1) // 28 AS back,
         sum(quantity)::DOUBLE AS used
  FROM known_usage_events
  WHERE happened_at >= {{today}} - INTERVAL {28 * WINDOWS} DAY
  GROUP BY ALL
),
limits AS (
  SELECT c.account_id, w.back, sum(c.usage_limit)::DOUBLE AS most,
         sum(c.arr)::DOUBLE AS arr,
         CASE WHEN count(DISTINCT coalesce(c.currency, '{NOT_RECORDED}')) = 1
              THEN any_value(coalesce(c.currency, '{NOT_RECORDED}')) END AS currency
  FROM known_contracts c
  JOIN windows w ON {_FORCE.replace("{day}", "({today} - (28 * w.back + 1)::INTEGER)")}
  WHERE c.usage_limit > 0
  GROUP BY ALL
),
over AS (
  SELECT account_id, back, used, most, currency,
         (used / most - 1) * arr * 28 / 365.25 AS amount,
         used > most * (1 + {OVER}) AS is_over
  FROM used JOIN limits USING (account_id, back)
),
runs AS (
  -- an unbroken run of periods up to the newest one
  SELECT account_id, any_value(currency) AS currency, count(DISTINCT currency) AS currencies,
         bool_and(currency IS NOT NULL) AS one_currency,
         count(*) AS periods, sum(amount) AS amount, arg_min(used / most, back) AS part
  FROM (SELECT *, row_number() OVER (PARTITION BY account_id ORDER BY back) - 1 AS nth
        FROM over WHERE is_over)
  WHERE back = nth GROUP BY account_id
)
"""


def _unbilled_usage(known: Known) -> Leak:
    name = "unbilled usage"
    if missing := known.lacks("usage_events", "contracts"):
        return _none(name, missing)
    rows = known.frame(_USAGE + "SELECT * FROM runs", "usage_events", "contracts")
    mixed = (rows["currencies"] > 1) | ~rows["one_currency"].astype(bool)
    untold = [(int(mixed.sum()), "their contracts with a limit are in several currencies")]
    rows = rows[~mixed].copy()
    billed = _billed_beyond(known) if known.lacks("invoices") is None else None
    if billed is None:
        untold.append((len(rows), "whether it was billed, for there are no invoices; all of it is shown"))
    else:
        asked = rows.merge(billed, "left", ["account_id", "currency"])["beyond"].fillna(0.0)
        rows["amount"] = (rows["amount"] - asked.clip(lower=0.0).to_numpy()).clip(lower=0.0)
        rows = rows[rows["amount"] > 0]
    rows["since"] = [
        (pd.Timestamp(known.known_on) - pd.Timedelta(days=28 * int(count))).date()
        for count in rows["periods"]
    ]
    rows["how"] = [f"{part:.0%} of the limit used in the last 28 days" for part in rows["part"]]
    return _leak(name, rows, tuple(untold))


def _billed_beyond(known: Known) -> pd.DataFrame:
    """By account and currency, what was invoiced in the last 364 days beyond the ARR of those days."""
    return known.frame(
        f"""
        billed AS (
          SELECT account_id, coalesce(currency, '{NOT_RECORDED}') AS currency, sum(amount)::DOUBLE AS billed
          FROM known_invoices WHERE issued_on >= {{today}} - 364 GROUP BY ALL
        ),
        agreed AS (
          SELECT account_id, coalesce(currency, '{NOT_RECORDED}') AS currency,
                 sum(arr / 365.25 * greatest(0, date_diff('day', greatest(starts_on, {{today}} - 364),
                   least(coalesce(ends_on, {{today}}), coalesce(cancelled_on, {{today}}), {{today}})
                 )))::DOUBLE AS agreed
          FROM known_contracts WHERE coalesce(is_recurring, TRUE) AND arr > 0 GROUP BY ALL
        )
        SELECT account_id, currency, billed - coalesce(agreed, 0) AS beyond
        FROM billed LEFT JOIN agreed USING (account_id, currency)""",
        "invoices",
        "contracts",
    )


OVERDUE = f"""
agreed AS (
  SELECT i.invoice_id, max(c.payment_terms_days) AS days
  FROM known_invoices i JOIN known_contracts c
    ON c.account_id = i.account_id AND c.starts_on <= i.issued_on
    AND coalesce(c.ends_on > i.issued_on, TRUE) AND c.payment_terms_days IS NOT NULL
  WHERE i.due_on IS NULL AND i.paid_on IS NULL GROUP BY ALL
),
open AS (
  SELECT i.account_id, i.invoice_id, i.amount::DOUBLE AS amount,
         coalesce(i.currency, '{NOT_RECORDED}') AS currency,
         coalesce(i.due_on, i.issued_on + a.days::INTEGER) AS due, i.due_on IS NOT NULL AS stated
  FROM known_invoices i LEFT JOIN agreed a USING (invoice_id)
  WHERE i.paid_on IS NULL AND i.amount > 0
)
"""
"""Invoices not paid, with the day they are due (NULL: cannot be told), as SQL."""


def _unpaid_invoices(known: Known) -> Leak:
    name = "unpaid invoices"
    if missing := known.lacks("invoices", "contracts"):
        return _none(name, missing)
    rows = known.frame(
        OVERDUE
        + """SELECT account_id, currency, sum(amount) FILTER (due < {today}) AS amount,
               min(due) FILTER (due < {today}) AS since, count(*) FILTER (due < {today}) AS invoices,
               bool_and(stated) FILTER (due < {today}) AS stated, count(*) FILTER (due IS NULL) AS unknown
             FROM open GROUP BY ALL""",
        "invoices",
        "contracts",
    )
    unknown = int(rows["unknown"].sum())
    rows = rows[rows["invoices"] > 0].copy()
    rows["since"] = pd.to_datetime(rows["since"]).dt.date
    rows["how"] = [
        f"{count} invoice{'s' if count > 1 else ''} past "
        + ("the due date" if stated else "the payment terms of the contract")
        for count, stated in zip(rows["invoices"], rows["stated"], strict=True)
    ]
    return _leak(name, rows, ((unknown, "open invoices have neither a due date nor payment terms"),))


_DISCOUNTS = f"""
paid AS (
  SELECT *, coalesce(currency, '{NOT_RECORDED}') AS money, coalesce(plan, '{NOT_RECORDED}') AS bought,
         discount::DOUBLE AS off,
         row_number() OVER (PARTITION BY account_id, product ORDER BY starts_on, contract_id) AS nth,
         coalesce(ends_on > starts_on + {LONG_TERM_DAYS}, FALSE) AS long_term
  FROM known_contracts WHERE coalesce(is_recurring, TRUE) AND arr > 0
),
given AS (
  -- the contract that first had the discount the account has now: none since had less
  SELECT account_id, product, arg_min(seats, nth) AS seats, arg_min(long_term, nth) AS long_term,
         min(starts_on) AS since, min(nth) AS nth, max(nth) AS newest, off
  FROM paid WHERE off > 0 GROUP BY account_id, product, off
),
force AS (SELECT * FROM paid WHERE {_FORCE.replace("{day}", "{today}")}),
usual AS (SELECT bought, median(off) AS usual FROM force WHERE off IS NOT NULL GROUP BY ALL)
SELECT f.account_id, f.money AS currency, f.arr::DOUBLE / (1 - f.off) * (f.off - u.usual) AS amount,
       g.since, f.off, u.usual,
       g.nth = 1 AND f.nth > 1 AND f.off >= 0 AS first_one,
       f.nth - 1 AS times,
       coalesce(f.nth > g.nth AND f.seats < {FEWER_SEATS} * g.seats, FALSE) AS fewer,
       f.seats, g.seats AS seats_then,
       f.nth > g.nth AND g.long_term AND NOT f.long_term AS shorter
FROM force f JOIN usual u USING (bought)
JOIN given g ON g.account_id = f.account_id AND g.off = f.off AND g.product IS NOT DISTINCT FROM f.product
WHERE f.off < 0.95 AND f.off >= u.usual + {EXCESS}
"""


def _old_discounts(known: Known) -> Leak:
    name = "old discounts"
    if missing := known.lacks("contracts"):
        return _none(name, missing)
    rows = known.frame(_DISCOUNTS, "contracts")
    rows = rows[rows["first_one"] | rows["fewer"] | rows["shorter"]].copy()
    rows["since"] = pd.to_datetime(rows["since"]).dt.date
    rows["how"] = [_why_old(row) for row in rows.to_dict("records")]
    return _leak(name, rows)


def _why_old(row: dict[Any, Any]) -> str:
    reasons = []
    if row["shorter"]:
        reasons.append("given for a term of two years, which is shorter now")
    if row["fewer"]:
        reasons.append(f"given for {row['seats_then']:.0f} seats, which are {row['seats']:.0f} now")
    if row["first_one"]:
        times = int(row["times"])
        reasons.append(f"given with the first contract, carried on {times} time{'s' if times > 1 else ''}")
    return f"{row['off']:.0%} where its plan has {row['usual']:.0%}: " + "; ".join(reasons)
