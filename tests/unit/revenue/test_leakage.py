"""Leakage, days of notice and overdue invoices against books small enough to work out by hand."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from lifecycle_ml.revenue.finance import notice_dates, payment_risk
from lifecycle_ml.revenue.known import known_tables
from lifecycle_ml.revenue.leakage import leakage
from lifecycle_ml.tables.source import tables_from_frames

TODAY = date(2024, 7, 1)

CONTRACTS = """
id | account | starts     | ends       | arr   | currency | seats | limit | discount | plan | notice | renews
C1 | over    | 2023-01-01 |            | 36525 | EUR      | 10    | 100   | 0.0      | a    |        |
C2 | under   | 2023-01-01 |            | 1000  | EUR      | 10    | 100   | 0.0      | a    |        |
C3 | mixed   | 2023-01-01 |            | 1000  | EUR      | 10    | 50    | 0.0      | a    |        |
C4 | mixed   | 2023-01-01 |            | 1000  | USD      | 10    | 50    | 0.0      | a    |        |
C5 | first   | 2022-08-01 | 2023-08-01 | 800   | EUR      | 10    |       | 0.2      | a    | 30     |
C6 | first   | 2023-08-01 | 2024-08-11 | 800   | USD      | 10    |       | 0.2      | a    | 30     | C5
C7 | shrunk  | 2022-08-01 | 2023-08-01 | 1000  | EUR      | 10    |       | 0.0      | a    | 30     |
C8 | shrunk  | 2023-08-01 | 2024-02-01 | 800   | EUR      | 10    |       | 0.2      | a    | 30     | C7
C9 | shrunk  | 2024-02-01 | 2025-02-01 | 400   | EUR      | 5     |       | 0.2      | a    | 90     | C8
"""

INVOICES = """
id | account | issued     | due        | paid       | amount | currency
I1 | over    | 2024-05-01 | 2024-05-31 |            | 100    | EUR
I2 | over    | 2024-05-15 | 2024-06-21 |            | 50     | USD
I3 | under   | 2024-03-01 | 2024-03-31 | 2024-04-20 | 300    | EUR
I4 | under   | 2024-06-20 | 2024-07-20 |            | 70     | EUR
I5 | first   | 2024-04-02 |            |            | 40     | USD
I6 | mixed   | 2024-04-01 |            |            | 40     | EUR
"""
"""Overdue by 31 and 10 days, paid late, not yet due, due by the terms of the contract, and no terms."""


def read(text):
    rows = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    frame = pd.DataFrame([row + [""] * (len(rows[0]) - len(row)) for row in rows[1:]], columns=rows[0])
    return frame.replace("", None)


def company(**without):
    contracts, invoices = read(CONTRACTS), read(INVOICES)
    used = [
        # the newest period and the one before above the limit, the one before those not
        ("over", "2024-06-20", 150),
        ("over", "2024-05-20", 120),
        ("over", "2024-04-20", 90),
        ("over", "2024-03-20", 300),
        ("under", "2024-06-20", 104),
        ("mixed", "2024-06-20", 200),
    ]
    frames = {
        "accounts": pd.DataFrame(
            {"account_id": contracts["account"].unique(), "created_at": pd.Timestamp("2022-01-01")}
        ),
        "contracts": pd.DataFrame(
            {
                "contract_id": contracts["id"],
                "account_id": contracts["account"],
                "starts_on": pd.to_datetime(contracts["starts"]),
                "ends_on": pd.to_datetime(contracts["ends"]),
                "arr": contracts["arr"].astype(float),
                "currency": contracts["currency"],
                "seats": contracts["seats"].astype(int),
                "usage_limit": contracts["limit"].astype(float),
                "discount": contracts["discount"].astype(float),
                "plan": contracts["plan"],
                "product": "platform",
                "notice_days": pd.to_numeric(contracts["notice"]).astype("Int64"),
                "auto_renew": pd.array([True] * 5 + [False] + [True] * 3, dtype="boolean"),
                "renews_contract_id": contracts["renews"],
                "payment_terms_days": pd.array([None] * 5 + [30] + [None] * 3, dtype="Int64"),
            }
        ),
        "invoices": pd.DataFrame(
            {
                "invoice_id": invoices["id"],
                "account_id": invoices["account"],
                "issued_on": pd.to_datetime(invoices["issued"]),
                "due_on": pd.to_datetime(invoices["due"]),
                "paid_on": pd.to_datetime(invoices["paid"]),
                "amount": invoices["amount"].astype(float),
                "currency": invoices["currency"],
            }
        ),
        "usage_events": pd.DataFrame(
            {
                "account_id": [row[0] for row in used],
                "happened_at": pd.to_datetime([row[1] for row in used]),
                "quantity": [float(row[2]) for row in used],
            }
        ),
        "fx_rates": pd.DataFrame({"currency": ["USD"], "month": [pd.Timestamp("2022-01-01")], "rate": [0.9]}),
    }
    return tables_from_frames({name: frame for name, frame in frames.items() if name not in without})


def known(today=TODAY, **without):
    return known_tables(company(**without), today)


def leak(name, **options):
    return next(each for each in leakage(known(**options)) if each.name == name)


def test_use_above_the_limit_is_counted_for_the_unbroken_run_until_now():
    """50% and 20% of 36,525 x 28 / 365.25 = 2,800; March was above too, but April was within limits."""
    rows = leak("unbilled usage").rows

    assert list(rows["account_id"]) == ["over"]
    assert rows["amount"].iloc[0] == pytest.approx(0.5 * 2800 + 0.2 * 2800)
    assert rows["since"].iloc[0] == date(2024, 5, 6)
    assert rows["how"].iloc[0] == "150% of the limit used in the last 28 days"


def test_limits_in_two_currencies_are_not_told():
    assert leak("unbilled usage").untold == ((1, "their contracts with a limit are in several currencies"),)


def test_without_invoices_use_is_shown_and_said_not_to_be_checked():
    found = leak("unbilled usage", invoices=None)

    assert found.untold[1][0] == 1
    assert "there are no invoices" in found.untold[1][1]
    assert leak("unpaid invoices", invoices=None).missing.startswith("cannot be told")


def test_invoices_past_due_by_their_own_date_or_by_the_terms_of_the_contract():
    found = leak("unpaid invoices")
    rows = found.rows.set_index(["account_id", "currency"])

    assert rows["amount"].to_dict() == {("over", "EUR"): 100, ("over", "USD"): 50, ("first", "USD"): 40}
    assert rows.loc[("first", "USD"), "since"] == date(2024, 5, 2)
    assert rows.loc[("first", "USD"), "how"] == "1 invoice past the payment terms of the contract"
    assert found.untold == ((1, "open invoices have neither a due date nor payment terms"),)


def test_currencies_are_summed_apart():
    totals = leak("unpaid invoices").totals.set_index("currency")

    assert totals["amount"].to_dict() == {"EUR": 100, "USD": 90}
    assert totals["accounts"].to_dict() == {"EUR": 1, "USD": 2}


def test_a_payment_that_was_not_known_yet_leaves_the_invoice_open():
    """I3 was paid on 20 April; on the 10th it is ten days late."""
    rows = leak("unpaid invoices", today=date(2024, 4, 10)).rows

    assert list(rows["account_id"]) == ["under"]


def test_discounts_that_outlived_their_reason():
    """C6 carries on the first contract's; C9 has half the seats. A fifth off list where others have none."""
    rows = leak("old discounts").rows.set_index("account_id")

    assert rows["amount"].to_dict() == {"first": pytest.approx(200.0), "shrunk": pytest.approx(100.0)}
    assert rows.loc["first", "how"].endswith("given with the first contract, carried on 1 time")
    assert rows.loc["shrunk", "how"].endswith("given for 10 seats, which are 5 now")
    assert rows.loc["shrunk", "since"] == date(2023, 8, 1)


def test_last_days_of_notice_by_month_and_currency():
    """C6 ends on 11 August with 30 days: 12 July. C9 ends on 1 February with 90 days: 3 November."""
    found = notice_dates(known())

    assert [(row["month"], row["currency"], row["arr"]) for row in found["months"]] == [
        ("2024-07", "USD", 800),
        ("2024-11", "EUR", 400),
    ]
    assert [row["renews_itself"] for row in found["months"]] == [0, 400]


def test_overdue_invoices_by_age_and_the_arr_that_hangs_on_them():
    found = payment_risk(known())
    ages = {(row["from_days"], row["currency"]): row["amount"] for row in found["ages"]}

    assert ages == {(0, "USD"): 50, (30, "EUR"): 100, (30, "USD"): 40} | {}
    assert {row["currency"]: row["arr"] for row in found["owing"]} == {"EUR": 36_525, "USD": 800}


def test_the_share_that_was_paid_late_is_of_what_fell_due():
    """In euros 300 and 100 fell due: one paid late, one not at all."""
    late = {row["currency"]: row["share"] for row in payment_risk(known())["late"]}

    assert late == {"EUR": 1.0, "USD": 1.0}
