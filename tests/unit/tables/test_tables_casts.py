"""Values of any type arrive as the canonical one, or are counted as wrong."""

from datetime import date

import pandas as pd
import pytest

from lifecycle_ml.errors import TableError
from lifecycle_ml.tables.source import tables_from_frames

ACCOUNTS = pd.DataFrame({"account_id": ["a"], "created_at": ["2024-01-01"]})


def contract(**columns):
    given = {"contract_id": "c", "account_id": "a", "starts_on": "2024-01-01", "arr": 1}
    frame = pd.DataFrame({key: [value] for key, value in (given | columns).items()})
    tables = tables_from_frames({"accounts": ACCOUNTS, "contracts": frame})
    return tables["contracts"].execute().iloc[0]


@pytest.mark.parametrize(
    ("column", "given", "arrives"),
    [
        ("contract_id", 7, "7"),
        ("contract_id", 7.0, "7"),
        ("contract_id", " 007 ", "007"),
        ("seats", "12", 12),
        ("seats", 12.0, 12),
        ("auto_renew", "TRUE", True),
        ("auto_renew", "no", False),
        ("auto_renew", 1, True),
        ("starts_on", "2024-02-03T23:30:00-02:00", pd.Timestamp("2024-02-04")),
        ("starts_on", pd.Timestamp("2024-02-03 12:00"), pd.Timestamp("2024-02-03")),
        ("starts_on", date(2024, 2, 3), pd.Timestamp("2024-02-03")),
        ("signed_at", "2024-02-03 04:05:06", pd.Timestamp("2024-02-03 04:05:06")),
        ("discount", "0.25", 0.25),
        ("arr", True, 1),
    ],
)
def test_a_value_arrives_as_the_canonical_type(column, given, arrives):
    """Texts of dates, numbers and yes/no; whole numbers as floats; dates as instants."""
    value = contract(**{column: given})[column]
    assert (float(value) if column in {"arr", "discount"} else value) == arrives


@pytest.mark.parametrize("empty", ["", "  ", None, float("nan")])
def test_an_empty_value_is_no_value(empty):
    """Empty text and not-a-number are gaps, not wrong values."""
    assert contract(seats=empty)["seats"] is None


@pytest.mark.parametrize(
    ("column", "given"),
    [
        ("seats", "many"),
        ("starts_on", 45292),
        ("signed_at", True),
        ("auto_renew", "perhaps"),
        ("auto_renew", 2),
        ("arr", "1.200,00"),
        ("arr", 1e30),
        ("arr", date(2024, 1, 1)),
    ],
)
def test_a_value_that_cannot_be_turned_is_an_error_and_never_a_gap(column, given):
    """A wrong value read as empty would be dropped in silence."""
    with pytest.raises(TableError, match=rf"1 values? of `contracts\.{column}`"):
        contract(**{column: given})


@pytest.mark.parametrize(
    "given",
    [
        ["budget", "sponsor"],
        "budget, sponsor",
        "['budget', 'sponsor']",
        '["budget","sponsor"]',
        "{budget,sponsor}",
    ],
)
def test_a_list_may_be_written_as_text(given):
    """CSV has no lists; commas, brackets, braces and JSON are understood."""
    frame = ACCOUNTS.assign(handoff_missing=[given])
    assert list(tables_from_frames({"accounts": frame})["accounts"].handoff_missing.execute()[0]) == [
        "budget",
        "sponsor",
    ]


def test_values_of_a_closed_list_are_matched_in_lower_case():
    """`Champion` is `champion`."""
    contacts = pd.DataFrame(
        {"contact_id": ["p"], "account_id": ["a"], "role": ["Champion "], "joined_on": ["2024-01-01"]}
    )
    assert (
        tables_from_frames({"accounts": ACCOUNTS, "contacts": contacts})["contacts"].role.execute()[0]
        == "champion"
    )
