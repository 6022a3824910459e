"""What `lifecycle revenue` prints: a company small enough to be worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from two_tables import lines_of, revenue_of

from lifecycle_ml.errors import ConfigError, TableError

ACCOUNTS = """account_id,created_at,segment,acquisition_channel,acquisition_cost
A,2022-06-01,smb,web,500
B,2022-06-01,smb,web,250
C,2022-06-01,enterprise,partner,
"""
# A grew by 200.50 in March 2024, B left in September 2023, C ended on 20 April 2024 and may still renew.
CONTRACTS = """contract_id,account_id,starts_on,ends_on,arr
C1,A,2023-01-15,,1000
C2,A,2024-03-10,,200.5
C3,B,2023-01-20,2023-09-01,500
C4,C,2023-02-01,2024-04-20,2000
"""


@pytest.fixture
def shown(tmp_path: Path):
    """Call `lifecycle revenue` on these tables, with more arguments."""
    return revenue_of(tmp_path, ACCOUNTS, CONTRACTS, "--as-of", "2024-05-01")


def test_the_books_are_printed_with_their_formulas(shown):
    done = shown()
    lines = lines_of(done)

    assert done.exception is None, done.output
    # opening, new, reactivation, expansion, of it price, contraction, churn, closing, accounts
    assert "2023-09 3,500.00 0.00 0.00 0.00 0.00 0.00 -500.00 3,000.00 2" in lines
    assert "2024-03 3,000.00 0.00 0.00 200.50 0.00 0.00 0.00 3,200.50 2" in lines
    assert "closing = opening + new + reactivation + expansion + contraction + churn" in lines
    assert (
        "1 account has no contract at the end of 2024-04 but may still renew within 30 days: 2,000.00 of the "
        "closing ARR. If they do not, that is churn."
    ) in lines
    assert "smb 1,500.00 0.00 0.00 200.50 0.00 0.00 -500.00 1,200.50 1" in lines
    assert (
        "NRR = ARR now of the accounts that had ARR 12 months ago / their ARR then; "
        "2024-04: 3,200.50 / 3,500.00 = 91.4%"
    ) in lines
    assert any(line.endswith("2024-04: 3,000.00 / 3,500.00 = 85.7%") for line in lines)
    assert any(line.endswith("2024-04: 1 / 3 = 33.3%") for line in lines)
    assert any(line.startswith("No interval of NRR, 2024-04: ARR lies with too few") for line in lines)


def test_what_winning_accounts_cost_is_printed_by_channel(shown):
    """750 for two accounts of 1,500 a year: 375 each, back in six months, at half the margin in twelve."""
    for words, payback in (((), "6.0"), (("--gross-margin", "0.5"), "12.0")):
        lines = lines_of(shown(*words))
        assert any(line.startswith(f"web 2 2 375 {payback} 1") for line in lines), lines
        assert any(line.startswith("partner 1 0 unknown unknown 1") for line in lines)
    assert isinstance(shown("--gross-margin", "80").exception, ConfigError)


def test_the_same_as_json(shown):
    done = shown("--json")
    document = json.loads(done.stdout)
    (book,) = document["books"]

    assert (document["as_of"], document["grace_days"]) == ("2024-05-01", 30)
    assert book["awaiting"] == {"accounts": 1, "arr": 2000.0}
    assert book["waterfall"][-1]["closing"] == 3200.5
    assert len(book["waterfall"]) == 12
    assert len(book["waterfall_by_segment"]) == 24
    assert book["retention"][-1]["nrr"] == pytest.approx(3200.5 / 3500)
    assert book["retention"][-1]["nrr_low"] is None
    assert {row["group"] for row in book["retention_by_segment"]} == {"smb", "enterprise"}
    assert [row["group"] for row in book["retention_by_cohort"]] == ["2023-Q1"]
    assert [row["age"] for row in book["cohorts"]] == [0, 3, 6, 12]
    assert set(document["formulas"]) >= {"closing", "churn", "NRR", "GRR", "logo churn"}


def test_books_younger_than_a_year_and_books_without_a_month(shown):
    assert "they are not that old yet" in shown("--as-of", "2023-06-01").stdout
    assert "No contract had recurring revenue at the end of a month" in shown("--as-of", "2023-01-31").stdout


def test_without_contracts_it_says_what_is_missing(shown, tmp_path):
    (tmp_path / "workspace" / "features" / "sources" / "contracts.sql").unlink()
    done = shown()

    assert isinstance(done.exception, TableError)
    assert "ARR, NRR and GRR cannot be told" in str(done.exception)


def test_the_forecast_says_what_it_rests_on_and_how_it_did(shown):
    """B left in September 2023; forecasts made since then are held against what came of them."""
    done = shown("--forecast")
    text = " ".join(done.stdout.split())

    assert done.exception is None, done.output
    assert "NRR and GRR of the next four quarters" in text
    assert "2024-07" in text
    assert "2025-04" in text
    assert "Account models do not speak here: no scores were published for 2024-05-01" in text
    assert "No interval: ARR lies with too few accounts" in text
    assert "ARR at risk by quarter" in text


def test_the_forecast_as_json(shown):
    book = json.loads(shown("--forecast", "--json").stdout)["books"][0]

    assert [row["month"] for row in book["quarters"]] == ["2024-07", "2024-10", "2025-01", "2025-04"]
    assert book["quarters"][0]["nrr_low"] is None
    assert book["rates"]["losses"] >= 0
    assert {row["account_id"] for row in book["accounts"]} == {"A", "C"}


def test_finance_and_leakage_say_what_cannot_be_told(shown):
    text = " ".join(shown("--finance").stdout.split())
    leaks = " ".join(shown("--leakage").stdout.split())

    assert "Payment risk: cannot be told: there is no table of invoices." in text
    assert "Unbilled usage: cannot be told: there is no table of usage_events." in leaks
    assert "Old discounts: none." in leaks


def test_reasons_say_what_would_change_and_who_decides(shown):
    text = " ".join(shown("--reasons").stdout.split())

    assert "Recorded reasons cannot be told: there is no table of outcomes." in text
    assert "Predicted reasons need publications of two months" in text
    assert "product_marketing" in text


def test_reports_of_their_own_are_asked_for_one_at_a_time(shown):
    done = shown("--forecast", "--finance")

    assert isinstance(done.exception, ConfigError)
    assert "--forecast and --finance ask for different things" in str(done.exception)
