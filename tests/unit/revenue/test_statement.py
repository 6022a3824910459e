"""What a run keeps of revenue: figures worked out by hand, as plain values, and how old loops may be."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import date, datetime

import pandas as pd
import pytest

from lifecycle_ml.revenue.statement import revenue_statement
from lifecycle_ml.store.store import Store
from lifecycle_ml.tables.source import tables_from_frames

AS_OF = date(2024, 5, 1)
NAMES = ("A", "B", "C")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store in which no account model has ever spoken."""
    folder = tmp_path_factory.mktemp("statement")
    with closing(Store.open(f"sqlite:///{folder}/lifecycle.db")) as opened:
        yield opened


@pytest.fixture(scope="module")
def usual(store):
    """The statement of the company on 1 May 2024, made once."""
    return made(store)


def company(rates=None, **late):
    """A grew by 200.50 in March 2024, B left in September 2023, C ended in April 2024 and may yet renew."""
    contracts = pd.DataFrame(
        {
            "contract_id": ["C1", "C2", "C3", "C4"],
            "account_id": ["A", "A", "B", "C"],
            "starts_on": ["2023-01-15", "2024-03-10", "2023-01-20", "2023-02-01"],
            "ends_on": [None, None, "2023-09-01", "2024-04-20"],
            "arr": [1000, 200.5, 500, 2000],
            "currency": "EUR",
        }
        | late
    )
    accounts = pd.DataFrame({"account_id": NAMES, "created_at": "2022-06-01"})
    frames = {"accounts": accounts, "contracts": contracts}
    return tables_from_frames(frames if rates is None else frames | {"fx_rates": rates})


def made(store, tables=None, as_of=AS_OF, **options):
    return revenue_statement(tables or company(), as_of, 30, 2, store, **options)


def test_the_last_months_are_those_worked_out_by_hand(usual):
    """April 2024: 1,200.50 of A and 2,000 awaited of C, of 1,000 + 500 + 2,000 a year before."""
    (book,) = usual["books"]
    assert book["currency"] is None  # there is but one
    assert book["awaiting"] == {"accounts": 1, "arr": 2000.0}
    months = pd.period_range("2023-05", "2024-04", freq="M")
    assert [row["month"] for row in book["waterfall"]] == list(months.strftime("%Y-%m"))
    march, april = book["waterfall"][-2:]
    assert march == {
        "month": "2024-03",
        "opening": 3000.0,
        "new": 0.0,
        "reactivation": 0.0,
        "expansion": 200.5,
        "contraction": 0.0,
        "churn": 0.0,
        "price": 0.0,
        "closing": 3200.5,
        "accounts_closing": 2,
    }
    assert april["opening"] == april["closing"] == 3200.5
    kept = book["retention"][-1]
    assert (kept["month"], kept["accounts"], kept["lost"]) == ("2024-04", 3, 1)
    assert (kept["arr_then"], kept["arr_now"], kept["arr_kept"]) == (3500.0, 3200.5, 3000.0)
    assert kept["nrr"]["value"] == pytest.approx(3200.5 / 3500)
    assert kept["grr"]["value"] == pytest.approx(3000 / 3500)
    assert kept["logo_churn"]["value"] == pytest.approx(1 / 3)
    assert "too few accounts" in kept["nrr"]["no_interval"]
    assert kept["nrr"]["low"] is None


def test_what_happened_is_seen_from_the_day_it_was_known(store, usual):
    """The growth of March, signed on 2024-04-10, is no part of what was known on 2024-04-01."""
    signed = company(signed_at=[None, "2024-04-10T08:00", None, None])
    (before,) = made(store, signed, date(2024, 4, 1))["books"]
    assert before["waterfall"][-1] == {**usual["books"][0]["waterfall"][-3], "month": "2024-03"}
    assert before["waterfall"][-1]["closing"] == 3000.0


def test_it_can_be_kept_and_names_no_account(store, usual):
    """It is JSON as it stands, read back as it was written; nobody's id is in it."""
    store.write_statement(AS_OF, datetime(2024, 5, 1, 2), usual)
    assert store.statement() == json.loads(json.dumps(usual, allow_nan=False)) == usual
    told = json.dumps([usual["books"], usual["loops"]])
    assert not any(f'"{name}"' in told for name in NAMES)


def test_the_newest_statement_is_served_and_one_said_again_replaces_it(store):
    """A run for an older date changes nothing for readers."""
    for as_of, n in ((AS_OF, 1), (date(2024, 4, 1), 2), (AS_OF, 3)):
        store.write_statement(as_of, datetime(2024, 5, 1, 2), {"n": n})
    assert store.statement() == {"n": 3}


@pytest.mark.parametrize(
    ("looked", "again"), [("2024-04-24", True), ("2024-04-25", False), ("2024-05-02", True)]
)
def test_loops_are_worked_out_again_after_a_week(store, looked, again):
    """Six days old they are taken over as they stand; seven days old, or from after as_of, they are not."""
    before = {"loops": {"as_of": looked, "rows": [{"loop": "kept"}]}}
    loops = made(store, before=before)["loops"]
    assert (loops != before["loops"]) is again
    assert loops["as_of"] == (AS_OF.isoformat() if again else looked)


def test_every_loop_says_its_question_and_what_it_lacks(usual):
    """Of three accounts nothing can be told; each table says so, or finds nothing."""
    rows = usual["loops"]["rows"]
    assert usual["loops"]["lacks"] is None
    assert {row["receiver"] for row in rows} == {"sales", "marketing", "product"}
    assert all(row["question"].endswith("?") and row["findings"] == [] for row in rows)


def test_books_of_several_currencies_without_rates_stand_apart(store):
    """Nothing is summed, each has its waterfall; loops need one currency and say so."""
    rates = pd.DataFrame({"currency": ["EUR", "USD"], "month": ["2024-06-01"] * 2, "rate": [1.0, 0.9]})
    statement = made(store, company(rates, currency=["EUR", "EUR", "USD", "USD"]))
    assert [(book["currency"], book["waterfall"][-1]["closing"]) for book in statement["books"]] == [
        ("EUR", 1200.5),
        ("USD", 2000.0),
    ]
    assert statement["loops"]["rows"] == []
    assert statement["loops"]["lacks"].startswith("fx_rates: no rate before 2024-05-01 for EUR, USD")
