"""The contract calendar against terms laid out by hand."""

from __future__ import annotations

from datetime import date

import pandas as pd

from lifecycle_ml.revenue.books import read_books
from lifecycle_ml.revenue.terms import CLASSES, classes_ahead, read_terms
from lifecycle_ml.tables.source import tables_from_frames

TERMS = """
account | signed     | starts     | ends       | notice     | cancelled
open    | 2023-01-05 | 2023-01-10 |            |            |
year    | 2023-05-10 | 2023-05-15 | 2024-05-15 |            |
month   | 2024-02-25 | 2024-03-01 | 2024-04-01 |            |
told    | 2023-06-01 | 2023-06-10 | 2024-06-10 | 2024-03-20 |
later   | 2023-06-01 | 2023-06-10 | 2024-06-10 | 2024-05-20 |
ahead   | 2023-04-20 | 2023-05-01 | 2024-05-01 |            |
ahead   | 2024-03-10 | 2024-05-01 | 2025-05-01 |            |
going   | 2023-01-05 | 2023-01-10 |            | 2024-03-15 |
"""
"""Looked at from the end of March 2024: ends in May, any time, notice known or not yet, a renewal signed."""


def company():
    rows = [[cell.strip() for cell in line.split("|")] for line in TERMS.strip().splitlines()]
    frame = pd.DataFrame(rows[1:], columns=rows[0])
    days = {
        name: pd.to_datetime(frame[name].replace("", None))
        for name in ("signed", "starts", "ends", "notice", "cancelled")
    }
    contracts = pd.DataFrame(
        {
            "contract_id": [f"C{at}" for at in range(len(frame))],
            "account_id": frame["account"],
            "signed_at": days["signed"],
            "starts_on": days["starts"],
            "ends_on": days["ends"],
            "notice_given_on": days["notice"],
            "cancelled_on": days["cancelled"],
            "arr": 1200.0,
        }
    )
    accounts = frame.drop_duplicates("account")["account"]
    return tables_from_frames(
        {
            "accounts": pd.DataFrame({"account_id": accounts, "created_at": pd.Timestamp("2022-06-01")}),
            "contracts": contracts,
        }
    )


def calendar(steps=4, known_on="2024-04-01"):
    tables, day = company(), date.fromisoformat(known_on)
    books, terms = read_books(tables, day, 30)[0], read_terms(tables, day)
    found = classes_ahead(terms, books, len(books.months) - 1, steps)
    return {str(name): [CLASSES[at] for at in row] for name, row in zip(books.accounts, found, strict=True)}


def test_a_year_ends_in_the_quarter_its_last_day_lies_in_and_again_a_year_later():
    assert calendar()["year"] == ["renews", "runs on", "runs on", "runs on"]
    assert calendar(5)["year"][4] == "renews"


def test_without_an_end_and_with_short_terms_an_account_may_leave_at_any_time():
    assert set(calendar()["open"]) == set(calendar()["month"]) == {"any time"}


def test_notice_counts_once_it_is_known():
    """`later` gives notice in May, which nobody knows at the end of March."""
    assert calendar()["told"][0] == "notice given"
    assert calendar()["later"][0] == "renews"


def test_notice_without_an_end_means_the_first_quarter():
    assert calendar()["going"] == ["notice given", "any time", "any time", "any time"]


def test_a_renewal_signed_ahead_moves_the_end():
    assert calendar(5)["ahead"] == ["runs on", "runs on", "runs on", "runs on", "renews"]


def test_before_it_was_signed_the_renewal_is_unknown():
    assert calendar(known_on="2024-03-01")["ahead"][0] == "renews"
