"""Random and simulated companies: each month of the books closes to the cent, and parts add up."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest
from companies import companies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle_ml.outcomes.labels import UNITS, arr_steps, recurring_contracts
from lifecycle_ml.revenue.books import read_books
from lifecycle_ml.revenue.retention import cohorts, retention
from lifecycle_ml.revenue.waterfall import MOVEMENTS, waterfall
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import tables_from_frames

GRACE = 30


def assert_closes(books):
    """Opening + movements = closing, month follows month, and segments and cohorts add up exactly."""
    whole = waterfall(books)
    if whole.empty:
        return
    assert (whole["opening"] + whole[list(MOVEMENTS)].sum(axis=1) == whole["closing"]).all()
    assert whole["opening"].iloc[0] == 0
    assert (whole["opening"].to_numpy()[1:] == whole["closing"].to_numpy()[:-1]).all()
    assert (whole[["new", "reactivation", "expansion"]] >= 0).all(axis=None)
    assert (whole[["contraction", "churn"]] <= 0).all(axis=None)
    assert whole["price"].between(0, whole["expansion"]).all()
    amounts = [name for name in whole if name not in {"month", "group"}]
    for by in ("segment", "cohort"):
        parts = waterfall(books, by).groupby("month")[amounts].sum()
        pd.testing.assert_frame_equal(parts, whole.set_index("month")[amounts])
        sums = ["accounts", "lost", "arr_then", "arr_now", "arr_kept"]
        told = retention(books, draws=2)
        if len(told):
            split = retention(books, by, draws=2).groupby("month")[sums].sum()
            pd.testing.assert_frame_equal(split, told.set_index("month")[sums])
    signed = cohorts(books, draws=2)
    assert signed.loc[signed["age"] == 0, "arr_then"].sum() == whole["new"].sum()


def plain_arr(tables, known_on, day, account):
    """ARR of an account on a day in cents, contract by contract, without any renewal logic."""
    rows = recurring_contracts(tables, known_on)
    rows = rows[(rows["account_id"] == account) & (rows["starts_on"] <= day) & ~(rows["stops_on"] <= day)]
    return int((rows["units"].sum() + UNITS // 200) // (UNITS // 100))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(frames=companies(), offset=st.integers(0, 500))
def test_the_books_of_any_company_close(frames, offset):
    """Whatever versions, gaps, overlaps and late rows there are, and on whichever date they are read."""
    if "contracts" not in frames:
        return
    known_on = date(2024, 1, 15) + timedelta(days=offset)
    assert_closes(read_books(tables_from_frames(frames), known_on, GRACE)[0])
    frames["contracts"] = frames["contracts"].assign(renews_contract_id=pd.Series(dtype="str"))
    tables = tables_from_frames(frames)
    (books,) = read_books(tables, known_on, GRACE)
    assert_closes(books)
    for at, month in enumerate(books.months):
        day = month.end_time.normalize()
        for position, account in enumerate(books.accounts):
            carried = books.arr[position, 1 + at]
            plain = plain_arr(tables, known_on, day, account)
            # without renewals, the books differ from the contracts only in gaps, where nothing is in force
            assert plain in {carried, 0}


@pytest.mark.parametrize("seed", range(3))
def test_the_books_of_a_simulated_company_close(seed):
    """Some years of renewals, expansions, late signatures and churn; the last day is that of the labels."""
    company = simulate_company(accounts=150, seed=seed)
    tables = tables_from_frames(company.tables)
    newest = pd.to_datetime(company.tables["contracts"]["starts_on"]).max().date()
    (books,) = read_books(tables, newest, GRACE)
    assert_closes(books)
    assert len(books.months) > 24
    totals = waterfall(books)[list(MOVEMENTS)].sum()
    assert (totals[["new", "expansion"]] > 0).all()
    assert (totals[["contraction", "churn"]] < 0).all()
    steps = arr_steps(tables, newest)
    last = steps[steps["from_on"] <= books.months[-1].end_time].groupby("account_id")["arr"].last()
    active = {account for account, arr in last.items() if arr > 0}
    shown = set(books.accounts[(books.arr[:, -1] > 0) & ~books.awaiting])
    assert shown == active
