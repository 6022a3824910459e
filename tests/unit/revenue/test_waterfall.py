"""The books, worked by hand: a few contracts each, and every month of the waterfall written out."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.errors import TableError
from lifecycle_ml.revenue.books import read_books
from lifecycle_ml.revenue.waterfall import MOVEMENTS, waterfall
from lifecycle_ml.tables.source import tables_from_frames

GRACE = 30
DATES = ("starts_on", "ends_on", "cancelled_on", "known_at")


def tables_of(contracts, segments=None, fx_rates=None, rates_from="2024-01-01"):
    """A company of these contracts; accounts are those that sign one."""
    usual = {"account_id": "A", "starts_on": "2024-01-10", "ends_on": None, "arr": 1200, "currency": "EUR"}
    rows = [{"contract_id": f"C{at}"} | usual | contract for at, contract in enumerate(contracts)]
    frame = pd.DataFrame(rows)
    for column in DATES:
        if column in frame:
            frame[column] = pd.to_datetime(frame[column])
    accounts = pd.DataFrame({"account_id": sorted(set(frame["account_id"]))})
    accounts = accounts.assign(created_at=pd.Timestamp("2023-01-01"))
    if segments:
        accounts["segment"] = accounts["account_id"].map(segments)
    frames = {"accounts": accounts, "contracts": frame}
    if fx_rates:
        frames["fx_rates"] = pd.DataFrame(fx_rates).assign(month=pd.Timestamp(rates_from))
    return tables_from_frames(frames)


def books_of(contracts, known_on="2024-07-01", **more):
    """The one book of this company."""
    found = read_books(tables_of(contracts, **more), date.fromisoformat(known_on), GRACE)
    assert len(found) == 1
    return found[0]


def story(books):
    """What happened by month, in whole units of money: {month: {movement: amount}}, without quiet months."""
    table = waterfall(books)
    assert (table["opening"] + table[list(MOVEMENTS)].sum(axis=1) == table["closing"]).all()
    assert (table["opening"].to_numpy()[1:] == table["closing"].to_numpy()[:-1]).all()
    told = {}
    for row in table.to_dict("records"):
        moved = {name: row[name] / 100 for name in (*MOVEMENTS, "price") if row[name]}
        if moved:
            told[row["month"]] = moved
    return told


TERM = {"starts_on": "2024-01-01", "ends_on": "2024-04-01"}
STORIES = {
    "one evergreen contract": ([{}], {"2024-01": {"new": 1200}}),
    "an end is the first day without": (
        [TERM],
        {"2024-01": {"new": 1200}, "2024-04": {"churn": -1200}},
    ),
    "an end inside a month": (
        [TERM | {"ends_on": "2024-03-31"}],
        {"2024-01": {"new": 1200}, "2024-03": {"churn": -1200}},
    ),
    "mid-term upgrade by an amendment beside the contract": (
        [TERM | {"ends_on": None}, {"starts_on": "2024-03-15", "arr": 600.5, "seats": 5}],
        {"2024-01": {"new": 1200}, "2024-03": {"expansion": 600.5}},
    ),
    "mid-term upgrade by a new contract that takes the place of the old": (
        [
            {"contract_id": "old", "ends_on": "2024-12-31", "seats": 10},
            {"starts_on": "2024-03-15", "arr": 1800, "seats": 15, "renews_contract_id": "old"},
        ],
        {"2024-01": {"new": 1200}, "2024-03": {"expansion": 600}},
    ),
    "downgrade": (
        [
            {"contract_id": "old", "cancelled_on": "2024-03-15"},
            {"starts_on": "2024-03-15", "arr": 1000},
        ],
        {"2024-01": {"new": 1200}, "2024-03": {"contraction": -200}},
    ),
    "an add-on brought to the same end, and both renewed by one contract": (
        [
            TERM | {"contract_id": "base"},
            {"starts_on": "2024-02-10", "ends_on": "2024-04-01", "arr": 300, "product": "addon"},
            {"starts_on": "2024-04-01", "arr": 1500, "renews_contract_id": "base"},
        ],
        {"2024-01": {"new": 1200}, "2024-02": {"expansion": 300}},
    ),
    "renewed early: both run for a while and count once": (
        [
            TERM | {"contract_id": "old"},
            {"starts_on": "2024-02-20", "arr": 1200, "renews_contract_id": "old"},
        ],
        {"2024-01": {"new": 1200}},
    ),
    "renewed on the last day of grace, at less": (
        [TERM, {"starts_on": "2024-05-01", "arr": 900}],
        {"2024-01": {"new": 1200}, "2024-05": {"contraction": -300}},
    ),
    "renewed one day after grace": (
        [TERM, {"starts_on": "2024-05-02", "arr": 900}],
        {"2024-01": {"new": 1200}, "2024-04": {"churn": -1200}, "2024-05": {"reactivation": 900}},
    ),
    "one of two contracts renewed late within grace": (
        [
            TERM | {"contract_id": "old"},
            {"starts_on": "2024-01-01", "arr": 500},
            {"starts_on": "2024-04-20", "arr": 1200, "renews_contract_id": "old"},
        ],
        {"2024-01": {"new": 1700}},
    ),
    "churn, then reactivation": (
        [TERM, {"starts_on": "2024-06-15", "arr": 2000}],
        {"2024-01": {"new": 1200}, "2024-04": {"churn": -1200}, "2024-06": {"reactivation": 2000}},
    ),
    "up and down inside one month nets out": (
        [{}, {"starts_on": "2024-03-05", "ends_on": "2024-03-20", "arr": 700}],
        {"2024-01": {"new": 1200}},
    ),
    "two accounts are never netted": (
        [
            {"contract_id": "a", "cancelled_on": "2024-03-15"},
            {"account_id": "B", "starts_on": "2024-03-15"},
        ],
        {"2024-01": {"new": 1200}, "2024-03": {"new": 1200, "churn": -1200}},
    ),
    "a one-off and a free plan count for nothing": (
        [{}, {"starts_on": "2024-03-01", "is_recurring": False}, {"starts_on": "2024-03-01", "arr": 0}],
        {"2024-01": {"new": 1200}},
    ),
    "a higher price for the same seats": (
        [
            {"contract_id": "old", "seats": 10},
            {"starts_on": "2024-03-10", "arr": 1320, "seats": 10, "renews_contract_id": "old"},
        ],
        {"2024-01": {"new": 1200}, "2024-03": {"expansion": 120, "price": 120}},
    ),
    "more seats at a higher price": (
        [
            {"contract_id": "old", "seats": 10},
            {"starts_on": "2024-03-10", "arr": 1540, "seats": 12, "renews_contract_id": "old"},
        ],
        {"2024-01": {"new": 1200}, "2024-03": {"expansion": 340, "price": 100}},
    ),
    "a new plan is bought, whatever its price": (
        [
            {"contract_id": "old", "seats": 10, "plan": "team"},
            {
                "starts_on": "2024-03-10",
                "arr": 1540,
                "seats": 10,
                "plan": "company",
                "renews_contract_id": "old",
            },
        ],
        {"2024-01": {"new": 1200}, "2024-03": {"expansion": 340}},
    ),
    "a contract that names itself as the one it renews": (
        [{"contract_id": "self", "renews_contract_id": "self"}],
        {"2024-01": {"new": 1200}},
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_book_by_hand(name):
    contracts, expected = STORIES[name]
    assert story(books_of([{"is_recurring": True} | row for row in contracts])) == expected


@pytest.mark.parametrize(
    ("known_on", "awaiting", "churn"),
    [("2024-05-01", True, 0), ("2024-05-02", False, -120_000)],
)
def test_an_ended_contract_is_carried_until_grace_has_passed(known_on, awaiting, churn):
    """Ends on 1 April, 30 days of grace: open through 1 May, churn of April from 2 May on."""
    books = books_of([TERM], known_on)

    assert books.awaiting.tolist() == [awaiting]
    assert waterfall(books)["churn"].sum() == churn
    assert waterfall(books)["closing"].iloc[-1] == (120_000 if awaiting else 0)


def test_the_lag_with_which_contracts_arrive_lengthens_the_wait():
    found = read_books(tables_of([TERM]), date(2024, 5, 2), GRACE, arrival_lag_days=1)
    assert found[0].awaiting.tolist() == [True]


def test_a_version_known_later_restates_the_books_and_not_before():
    """The contract was booked with 1,200 and corrected to 1,500 on 10 May."""
    contracts = [
        {"contract_id": "C", "known_at": "2024-01-10"},
        {"contract_id": "C", "known_at": "2024-05-10", "arr": 1500},
    ]

    assert story(books_of(contracts, "2024-05-01")) == {"2024-01": {"new": 1200}}
    assert story(books_of(contracts, "2024-06-01")) == {"2024-01": {"new": 1500}}


def test_a_contract_signed_late_is_in_no_earlier_book():
    contracts = [{}, {"account_id": "B", "starts_on": "2024-02-01", "known_at": "2024-04-05"}]

    assert list(waterfall(books_of(contracts, "2024-04-01"))["closing"]) == [120_000] * 3
    assert list(waterfall(books_of(contracts, "2024-05-01"))["closing"]) == [120_000, *[240_000] * 3]


def test_the_month_that_is_not_over_is_left_out():
    assert list(waterfall(books_of([{}], "2024-03-31"))["month"]) == ["2024-01", "2024-02"]
    assert list(waterfall(books_of([{}], "2024-04-01"))["month"]) == ["2024-01", "2024-02", "2024-03"]


def test_books_before_the_first_contract_are_empty():
    books = books_of([{}], "2024-01-31")

    assert waterfall(books).empty
    assert len(books.first_months) == 0


TWO = [{}, {"account_id": "B", "arr": 1000, "currency": "USD"}]


RATES = {"currency": ["EUR", "USD"], "rate": [1, 0.9]}


def test_two_currencies_are_summed_at_the_newest_rate():
    books = books_of(TWO, fx_rates=RATES)

    assert books.currency is None
    assert story(books) == {"2024-01": {"new": 2100}}


def test_two_currencies_without_rates_are_refused_with_what_to_do():
    with pytest.raises(TableError, match=r"EUR, USD without rates between them.*Fill `fx_rates`"):
        tables_of(TWO)


def test_before_there_are_rates_two_currencies_are_two_books_and_say_so():
    tables = tables_of(TWO, fx_rates=RATES, rates_from="2024-08-01")
    found = read_books(tables, date(2024, 7, 1), GRACE)

    assert [(book.currency, story(book)) for book in found] == [
        ("EUR", {"2024-01": {"new": 1200}}),
        ("USD", {"2024-01": {"new": 1000}}),
    ]
    assert all("Currencies are not summed. fx_rates: no rate before" in book.advice for book in found)
    assert len(read_books(tables, date(2024, 9, 1), GRACE)) == 1


def test_thirds_of_a_cent_are_rounded_once_per_account():
    """Three accounts of 33.3333 are three times 33.33, in the whole and by segment."""
    contracts = [{"account_id": account, "arr": 33.3333} for account in "ABC"]
    books = books_of(contracts, segments={"A": "smb", "B": "smb"})

    assert waterfall(books)["closing"].iloc[-1] == 3 * 3333
    ends = waterfall(books, "segment").groupby("group")["closing"].last()
    assert dict(ends) == {"smb": 6666, "not recorded": 3333}


def test_no_contracts_is_said_with_what_to_do():
    accounts = pd.DataFrame({"account_id": ["A"], "created_at": pd.to_datetime(["2024-01-01"])})
    with pytest.raises(TableError, match=r"contracts: there is no such table.*Add features/sources"):
        read_books(tables_from_frames({"accounts": accounts}), date(2024, 7, 1), GRACE)


def test_accounts_close_as_money_does():
    """Opening accounts, won, back and lost ones make the closing ones."""
    contracts = [
        TERM,
        {"starts_on": "2024-06-15"},
        {"account_id": "B", "starts_on": "2024-03-01", "ends_on": "2024-05-01"},
    ]
    table = waterfall(books_of(contracts))
    counts = table["accounts_opening"] + table["accounts_new"] + table["accounts_reactivated"]

    assert (counts - table["accounts_churned"] == table["accounts_closing"]).all()
    assert list(table["accounts_closing"]) == [1, 1, 2, 1, 0, 1]
    assert np.array_equal(table["accounts_churned"], [0, 0, 0, 1, 1, 0])
