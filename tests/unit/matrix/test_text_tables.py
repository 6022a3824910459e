"""Tables and numbers written as text: what they are read as, and what cannot be read."""

from __future__ import annotations

import math
from datetime import date

import pandas as pd
import pytest

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.matrix.text_tables import read_number, read_table


def test_numbers_are_written_as_people_write_them():
    """Fractions and roots keep expected ratios readable and exact."""
    read = {text: read_number(text, "here") for text in ("31", "-0.5", "1/3", "2 / 7", "12.5%", "sqrt(2/3)")}
    assert read == {
        "31": 31.0,
        "-0.5": -0.5,
        "1/3": 1 / 3,
        "2 / 7": 2 / 7,
        "12.5%": 0.125,
        "sqrt(2/3)": math.sqrt(2 / 3),
    }


@pytest.mark.parametrize("text", ["", "1/0", "one", "sqrt(-1)", "1,000", "nan"])
def test_what_is_no_number_is_refused(text):
    """Nothing is guessed."""
    with pytest.raises(ConfigError, match=r"^here: .* is no number"):
        read_number(text, "here")


def test_a_table_takes_the_types_of_the_data_contract():
    """Empty cells are null, lists are words, [] is the empty list, and times are UTC."""
    accounts = read_table(
        "accounts",
        """
        account_id | created_at                | employees | icp_fit | handoff_missing
        A          | 2024-01-01T02:00:00+02:00 | 12        | 0.5     | budget goals
        B          | 2024-01-01                |           |         | []
        C          | 2024-01-01                |           |         |
        """,
    )
    assert list(accounts["created_at"]) == [pd.Timestamp(date(2024, 1, 1))] * 3
    assert list(accounts["employees"].isna()) == [False, True, True]
    assert list(accounts["handoff_missing"]) == [["budget", "goals"], [], None]
