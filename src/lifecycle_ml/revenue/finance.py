"""What finance plans with: days of notice by month, and who does not pay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from lifecycle_ml.revenue.books import NOT_RECORDED
from lifecycle_ml.revenue.leakage import OVERDUE

if TYPE_CHECKING:
    from lifecycle_ml.revenue.known import Known

MONTHS_AHEAD = 12
LATE = (30, 60, 90)
"""Days overdue at which a new band of age begins."""


def notice_dates(known: Known) -> dict[str, Any]:
    """Return the last days on which notice can be given, by month and currency, for a year ahead.

    Keys: months, a table with month, currency, contracts, accounts, arr, renews_itself (ARR that goes on
    unless notice is given by then) and noticed (ARR whose notice is already in); untold: contracts with an
    end and no period of notice, and their ARR by currency; missing: why nothing can be told.
    Contracts of one account with different ends stand in different months. A contract that another one in
    force or signed continues is left out, and so is one whose last day of notice has passed.
    """
    if missing := known.lacks("contracts"):
        return {"months": [], "untold": [], "missing": missing}
    base = f"""
        ending AS (
          SELECT c.contract_id, c.account_id, c.arr::DOUBLE AS arr, c.notice_days, c.auto_renew,
                 c.notice_given_on IS NOT NULL AS noticed, coalesce(c.currency, '{NOT_RECORDED}') AS currency,
                 c.ends_on - coalesce(c.notice_days, 0)::INTEGER AS last_day
          FROM known_contracts c
          WHERE c.starts_on <= {{today}} AND c.ends_on > {{today}} AND coalesce(c.is_recurring, TRUE)
            AND coalesce(c.cancelled_on > {{today}}, TRUE) AND c.arr > 0
            AND NOT EXISTS (SELECT 1 FROM known_contracts n WHERE n.renews_contract_id = c.contract_id)
        )"""
    months = known.frame(
        base
        + f"""
        SELECT strftime(last_day, '%Y-%m') AS month, currency, count(*) AS contracts,
               count(DISTINCT account_id) AS accounts, sum(arr) AS arr,
               coalesce(sum(arr) FILTER (auto_renew), 0.0) AS renews_itself,
               coalesce(sum(arr) FILTER (noticed), 0.0) AS noticed
        FROM ending
        WHERE notice_days IS NOT NULL AND last_day >= {{today}}
          AND last_day < {{today}} + INTERVAL {MONTHS_AHEAD} MONTH
        GROUP BY ALL ORDER BY ALL""",
        "contracts",
    )
    untold = known.frame(
        base
        + """ SELECT currency, count(*) AS contracts, sum(arr) AS arr FROM ending
              WHERE notice_days IS NULL GROUP BY ALL ORDER BY ALL""",
        "contracts",
    )
    money = ["arr", "renews_itself", "noticed"]
    months[money] = months[money].round(2)
    return {
        "months": months.to_dict("records"),
        "untold": untold.round(2).to_dict("records"),
        "missing": None,
    }


def payment_risk(known: Known) -> dict[str, Any]:
    """Return overdue invoices by age, and the ARR of accounts that owe.

    Keys: ages, one row per band of days overdue and currency: from_days, to_days (None: no end), currency,
    invoices, accounts, amount; an account counts in every band it has an invoice in. owing, by currency of
    the contracts: accounts whose oldest overdue invoice is over 30 days late, and their ARR in force.
    late: of the invoices due in the last 364 days, the share by amount and currency that was paid late or is
    overdue. missing: why nothing can be told.
    """
    if missing := known.lacks("invoices", "contracts"):
        return {"ages": [], "owing": [], "late": [], "missing": missing}
    bands = " ".join(f"WHEN days > {begin} THEN {begin}" for begin in reversed(LATE))
    ages = known.frame(
        OVERDUE
        + f"""SELECT CASE {bands} ELSE 0 END AS from_days, currency, count(*) AS invoices,
               count(DISTINCT account_id) AS accounts, sum(amount) AS amount
             FROM (SELECT *, date_diff('day', due, {{today}}) AS days FROM open WHERE due < {{today}})
             GROUP BY ALL ORDER BY ALL""",
        "invoices",
        "contracts",
    )
    owing = known.frame(
        OVERDUE
        + f""", oldest AS (SELECT account_id FROM open GROUP BY account_id
               HAVING date_diff('day', min(due), {{today}}) > {LATE[0]})
             SELECT coalesce(currency, '{NOT_RECORDED}') AS currency,
                    count(DISTINCT account_id) AS accounts, sum(arr)::DOUBLE AS arr
             FROM known_contracts JOIN oldest USING (account_id)
             WHERE starts_on <= {{today}} AND coalesce(ends_on > {{today}}, TRUE)
               AND coalesce(cancelled_on > {{today}}, TRUE) AND coalesce(is_recurring, TRUE) AND arr > 0
             GROUP BY ALL ORDER BY ALL""",
        "invoices",
        "contracts",
    )
    late = known.frame(
        f"""due AS (
              SELECT coalesce(currency, '{NOT_RECORDED}') AS currency, amount::DOUBLE AS amount,
                     coalesce(paid_on, {{today}}) > due_on AS late
              FROM known_invoices WHERE due_on >= {{today}} - 364 AND due_on < {{today}} AND amount > 0)
            SELECT currency, count(*) AS invoices, sum(amount) FILTER (late) / sum(amount) AS share
            FROM due GROUP BY ALL ORDER BY ALL""",
        "invoices",
    )
    after = {0: LATE[0], **dict(zip(LATE, (*LATE[1:], None), strict=True))}
    rows = [
        {"from_days": int(row["from_days"]), "to_days": after[int(row["from_days"])]}
        | {name: row[name] for name in ("currency", "invoices", "accounts")}
        | {"amount": round(float(row["amount"]), 2)}
        for row in ages.to_dict("records")
    ]
    return {
        "ages": rows,
        "owing": owing.round(2).to_dict("records"),
        "late": late.fillna({"share": 0.0}).round(4).to_dict("records"),
        "missing": None,
    }


def at_risk(flows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return ARR at risk by quarter ahead from the flows of a forecast, in units of money.

    Rows: month (last of the quarter), renewing (ARR whose term ends in it), noticed (of it, notice given),
    lost (expected), lost_low and lost_high (95%, for accounts deciding one by one), gained.
    """
    rows = []
    for row in flows.to_dict("records"):
        spread = 1.959963984540054 * row["lost_chance"]
        money = {
            "renewing": row["arr_renewing"],
            "noticed": row["arr_noticed"],
            "lost": row["lost"],
            "lost_low": max(0.0, row["lost"] - spread),
            "lost_high": row["lost"] + spread,
            "shrunk": row["shrunk"],
            "gained": row["gained"],
        }
        rows.append({"month": row["month"], **{name: round(value / 100, 2) for name, value in money.items()}})
    return rows
