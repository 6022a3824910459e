"""NRR, GRR and logo churn against numbers worked out by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.revenue.books import Books, read_books
from lifecycle_ml.revenue.retention import cohorts, retention
from lifecycle_ml.revenue.waterfall import waterfall
from lifecycle_ml.tables.source import tables_from_frames

BOOK = """
account | segment | starts     | ends       | arr
A       | smb     | 2023-01-15 |            | 1000
B       | smb     | 2023-01-20 | 2023-09-01 | 500
C       | smb     | 2023-02-01 |            | 2000
C       | smb     | 2023-11-10 |            | 600
D       | big     | 2023-05-01 | 2023-08-01 | 4000
D       | big     | 2023-12-15 |            | 3000
E       | big     | 2023-05-02 |            | 7000
F       | big     | 2024-04-01 |            | 9000
"""
"""Grown, lost, expanded, lost and back at less, the same, and won too late to count."""


def book(known_on="2024-06-01"):
    rows = [[cell.strip() for cell in line.split("|")] for line in BOOK.strip().splitlines()]
    frame = pd.DataFrame(rows[1:], columns=rows[0])
    contracts = pd.DataFrame(
        {
            "contract_id": [f"C{at}" for at in range(len(frame))],
            "account_id": frame["account"],
            "starts_on": pd.to_datetime(frame["starts"]),
            "ends_on": pd.to_datetime(frame["ends"].replace("", None)),
            "arr": frame["arr"].astype(float),
        }
    )
    accounts = frame.drop_duplicates("account")
    accounts = pd.DataFrame(
        {
            "account_id": accounts["account"],
            "segment": accounts["segment"],
            "created_at": pd.Timestamp("2022-06-01"),
        }
    )
    tables = tables_from_frames({"accounts": accounts, "contracts": contracts})
    return read_books(tables, date.fromisoformat(known_on), 30)[0]


def row(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_a_year_of_retention_by_hand():
    """At the end of April 2023: A 1,000, B 500, C 2,000. A year later: A 1,000, C 2,600, and B is gone."""
    found = row(retention(book()), month="2024-04")

    assert (found["accounts"], found["lost"]) == (3, 1)
    assert (found["arr_then"], found["arr_now"], found["arr_kept"]) == (350_000, 360_000, 300_000)
    assert found["nrr"] == pytest.approx(3600 / 3500)
    assert found["grr"] == pytest.approx(3000 / 3500)
    assert found["logo_churn"] == pytest.approx(1 / 3)


def test_an_account_that_came_back_counts_as_it_stands_now():
    """At the end of May 2023 D pays 4,000 and E 7,000 as well; D went, and is back at 3,000."""
    found = row(retention(book()), month="2024-05")

    assert (found["accounts"], found["lost"]) == (5, 1)
    assert found["nrr"] == pytest.approx((1000 + 2600 + 3000 + 7000) / 14_500)
    assert found["grr"] == pytest.approx((1000 + 2000 + 3000 + 7000) / 14_500)


def test_segments_add_up_to_the_whole():
    whole, parts = retention(book()), retention(book(), "segment")
    sums = ["accounts", "lost", "arr_then", "arr_now", "arr_kept"]

    pd.testing.assert_frame_equal(parts.groupby("month")[sums].sum(), whole.set_index("month")[sums])
    assert row(parts, month="2024-05", group="big")["nrr"] == pytest.approx(10_000 / 11_000)


def test_only_the_last_months_on_request():
    assert list(retention(book(), last=1)["month"]) == ["2024-05"]
    assert list(retention(book(), last=99)["month"]) == [
        "2024-01",
        "2024-02",
        "2024-03",
        "2024-04",
        "2024-05",
    ]


def test_less_than_a_year_of_books_has_no_retention():
    assert retention(book("2024-01-01")).empty
    assert list(waterfall(book("2024-01-01"))["month"])[-1] == "2023-12"


def test_signing_cohorts_by_hand():
    """Of the first quarter of 2023: 3,500 at signing; twelve months on A 1,000 and C 2,600."""
    table = cohorts(book())
    first = row(table, group="2023-Q1", age=12)

    assert (first["accounts"], first["lost"], first["arr_then"], first["arr_now"]) == (3, 1, 350_000, 360_000)
    assert row(table, group="2023-Q1", age=6)["nrr"] == 1.0
    # D and E signed in May: six months on D is away
    assert row(table, group="2023-Q2", age=6)["nrr"] == pytest.approx(7000 / 11_000)
    # F signed in April 2024: the end of July is not known yet
    assert list(table.loc[table["group"] == "2024-Q2", "age"]) == [0]


def test_cohorts_add_up_to_the_waterfall():
    books = book()
    table = cohorts(books)
    by_cohort = waterfall(books, "cohort").groupby("month")["closing"].sum()

    assert table.loc[table["age"] == 0, "arr_then"].sum() == waterfall(books)["new"].sum()
    assert list(by_cohort) == list(waterfall(books)["closing"])


def made(then, now):
    """Books of thirteen months in which each account paid one amount and then another."""
    arr = np.column_stack([np.zeros(len(then)), np.repeat(np.array(then)[:, None], 12, axis=1), now])
    return Books(
        currency=None,
        advice=None,
        known_on=date(2025, 2, 1),
        months=pd.period_range("2024-01", "2025-01", freq="M"),
        accounts=np.array([f"A{at:03d}" for at in range(len(then))]),
        segments=np.full(len(then), "all"),
        arr=arr.astype(np.int64),
        price=np.zeros((len(then), 13), dtype=np.int64),
        awaiting=np.zeros(len(then), dtype=bool),
    )


def test_intervals_are_those_of_a_share_where_all_pay_the_same():
    """200 accounts of one size, 40 lost: NRR is 80%, its interval the one of a share of 200."""
    found = retention(made([100_000] * 200, [0] * 40 + [100_000] * 160)).iloc[0]
    half = 1.96 * (0.8 * 0.2 / 200) ** 0.5

    for name in ("nrr", "grr"):
        assert found[f"{name}_no_interval"] is None
        assert found[f"{name}_low"] == pytest.approx(0.8 - half, abs=0.012)
        assert found[f"{name}_high"] == pytest.approx(0.8 + half, abs=0.012)
    # Wilson's interval of 40 of 200, as tables print it
    assert found["logo_churn_low"] == pytest.approx(0.1504, abs=1e-4)
    assert found["logo_churn_high"] == pytest.approx(0.2609, abs=1e-4)


@pytest.mark.parametrize(
    ("then", "now", "reason"),
    [
        ([100] * 19, [0] * 10 + [100] * 9, "as if 19 of one size; 20 are needed"),
        ([1_000_000] + [100] * 99, [0] * 50 + [100] * 50, "as if 1 of one size"),
        ([100] * 100, [0] * 4 + [100] * 96, "too few accounts changed (4; 5 are needed)"),
    ],
)
def test_no_interval_where_it_would_mislead(then, now, reason):
    found = retention(made(then, now)).iloc[0]

    assert reason in found["nrr_no_interval"]
    assert reason in found["grr_no_interval"]
    assert np.isnan(found[["nrr_low", "nrr_high", "grr_low", "grr_high"]].astype(float)).all()
    assert 0 < found["nrr"] < 1


def test_where_many_grew_and_nobody_shrank_grr_has_no_interval():
    found = retention(made([100] * 60, [100] * 20 + [200] * 40)).iloc[0]

    assert found["nrr_no_interval"] is None
    assert found["nrr_low"] < found["nrr"] < found["nrr_high"]
    assert found["grr_no_interval"] == "too few accounts changed (0; 5 are needed)"


def test_logo_churn_of_nobody_still_has_an_upper_end():
    found = retention(made([100] * 30, [100] * 30)).iloc[0]

    assert (found["logo_churn"], found["logo_churn_low"]) == (0, 0)
    assert 0.1 < found["logo_churn_high"] < 0.12


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Of 200 companies of 150 accounts of varied size that lose each with 15%, about 95% cover 85%."""
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        then = np.exp(rng.normal(10, 0.7, 150)).astype(np.int64)
        now = np.where(rng.random(150) < 0.15, 0, then)
        found = retention(made(then, now), draws=200).iloc[0]
        covered += found["nrr_low"] <= 0.85 <= found["nrr_high"]

    assert 0.89 <= covered / 200 <= 0.985
