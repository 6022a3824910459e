"""Who the accounts are, as people read it."""

from datetime import date

import pandas as pd
import pytest

from lifecycle_ml.health.scored import accounts_of
from lifecycle_ml.tables.source import tables_from_frames

ACCOUNTS = pd.DataFrame(
    {
        "account_id": ["A", "B", "C"],
        "created_at": pd.Timestamp("2025-01-01"),
        "handoff_missing": [["goals", "go_live_date"], [], None],
    }
)


@pytest.mark.parametrize(
    ("frame", "missing"),
    [(ACCOUNTS, ["goals, go live date", None, None]), (ACCOUNTS.drop(columns="handoff_missing"), [None] * 3)],
)
def test_what_sales_left_empty_is_named_in_words(frame, missing):
    """Nothing where nothing is missing, where nobody says, and where the source has no such column."""
    found = accounts_of(tables_from_frames({"accounts": frame}), date(2026, 1, 1)).set_index("account_id")

    assert found["handoff_missing"].loc[["A", "B", "C"]].tolist() == missing
