"""The books of third-party companies: they close, add up, and agree with sums over the raw tables."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from lifecycle_ml.errors import TableError
from lifecycle_ml.revenue.books import Books, read_books
from lifecycle_ml.revenue.retention import cohorts, retention
from lifecycle_ml.revenue.waterfall import MOVEMENTS, waterfall
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.source import Tables, read_tables
from lifecycle_ml.workspace import load_workspace

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("THIRD_PARTY_DATA") or ROOT.parent / "shared" / "data")

pytestmark = [pytest.mark.slow, pytest.mark.real_data]


def tables_of(name: str) -> Tables:
    """Read the tables of an example workspace."""
    if not (DATA / name).is_dir():
        pytest.skip(f"the third-party tables of {name} are not here; set THIRD_PARTY_DATA to their folder")
    workspace = load_workspace(ROOT / "examples" / name)
    return read_tables(
        workspace, Settings.read(workspace.root, environ={"LIFECYCLE_SOURCE_URL": str(DATA / name)})
    )


def assert_closes(books: Books) -> None:
    """To the cent, every month, and cohorts add up to the whole."""
    whole = waterfall(books)
    assert (whole["opening"] + whole[list(MOVEMENTS)].sum(axis=1) == whole["closing"]).all()
    assert (whole["opening"].to_numpy()[1:] == whole["closing"].to_numpy()[:-1]).all()
    parts = waterfall(books, "cohort").groupby("month")[["opening", *MOVEMENTS, "closing"]].sum()
    pd.testing.assert_frame_equal(parts, whole.set_index("month")[["opening", *MOVEMENTS, "closing"]])
    signed = cohorts(books, draws=2)
    assert signed.loc[signed["age"] == 0, "arr_then"].sum() == whole["new"].sum()


@pytest.fixture(scope="module")
def crm() -> Books:
    """The books of churnsim_crm5 as the churn recipe's grace has them."""
    (books,) = read_books(tables_of("churnsim_crm5"), date(2024, 1, 1), grace_days=30, arrival_lag_days=2)
    return books


def test_the_books_of_a_crm_company_close(crm: Books) -> None:
    """24 months of 1,908 companies."""
    assert len(crm.months) == 24
    assert_closes(crm)


def test_closing_arr_is_that_of_the_raw_table(crm: Books) -> None:
    """Twelve times what is billed on the last day of the month; those that may yet renew come on top."""
    raw = DATA / "churnsim_crm5" / "subscriptions.parquet"
    billed = duckdb.sql(
        f"""
        SELECT strftime(day, '%Y-%m') AS month, round(sum(mrr * 12 * 100))::BIGINT AS cents
        FROM (SELECT unnest(generate_series(DATE '2022-02-01', DATE '2024-01-01', INTERVAL 1 MONTH))
                     - INTERVAL 1 DAY AS day),
             '{raw}' AS s
        WHERE s.start_date <= day AND s.end_date > day AND s.start_date < DATE '2024-01-01'
        GROUP BY 1 ORDER BY 1
        """
    ).df()
    table = waterfall(crm)
    carried = int(crm.arr[crm.awaiting, -1].sum())

    assert list(table["month"]) == list(billed["month"])
    # who ended on 30 November or later may still renew on 1 January
    assert list(table["closing"])[:-2] == list(billed["cents"])[:-2]
    assert table["closing"].iloc[-1] == billed["cents"].iloc[-1] + carried
    assert (int(crm.awaiting.sum()), carried) == (25, 13_860_000)


def test_nrr_and_grr_are_those_of_the_raw_table(crm: Books) -> None:
    """October 2023 against October 2022, account by account, in SQL."""
    raw = DATA / "churnsim_crm5" / "subscriptions.parquet"
    amount = "coalesce(sum(mrr * 12) FILTER (start_date <= DATE '{0}' AND end_date > DATE '{0}'), 0)"
    nrr, grr, lost, count = duckdb.sql(
        f"""
        SELECT sum(after) / sum(before), sum(least(before, after)) / sum(before),
               count(*) FILTER (after = 0), count(*)
        FROM (SELECT account_id, {amount.format("2022-10-31")} AS before,
                     {amount.format("2023-10-31")} AS after
              FROM '{raw}' GROUP BY 1)
        WHERE before > 0
        """
    ).fetchall()[0]
    table = retention(crm, last=3)
    found = table[table["month"] == "2023-10"].iloc[0]

    assert (found["lost"], found["accounts"]) == (lost, count)
    assert found["nrr"] == pytest.approx(nrr, abs=1e-12)
    assert found["grr"] == pytest.approx(grr, abs=1e-12)


def test_five_tables_that_break_rules_still_close() -> None:
    """Accounts with about ten overlapping subscriptions each."""
    (books,) = read_books(tables_of("ravenstack"), date(2025, 1, 1), grace_days=30, arrival_lag_days=2)
    assert_closes(books)
    assert len(books.accounts) == 500


def test_a_till_has_no_books_and_says_so() -> None:
    """Without contracts there is nothing recurring to sum up."""
    with pytest.raises(TableError, match=r"contracts: there is no such table.*NRR and GRR cannot be told"):
        read_books(tables_of("online_retail_ii"), date(2011, 12, 1), grace_days=0)
