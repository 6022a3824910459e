"""Tiny companies written as text, and one measure computed over them."""

from __future__ import annotations

from datetime import date, datetime

import pandas as pd
import pytest

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import Feature, FeatureSet
from lifecycle_ml.matrix.text_tables import read_table
from lifecycle_ml.tables.source import tables_from_frames

ACCOUNTS = """
account_id | created_at
A          | 2023-01-01
B          | 2023-01-01
"""


def company(**tables):
    """Make canonical tables from texts; accounts A and B exist unless given."""
    tables = {"accounts": ACCOUNTS} | tables
    return tables_from_frames({name: read_table(name, text) for name, text in tables.items()})


def spine_of(as_of, accounts=("A", "B"), known_at=None):
    """One spine row per account, or per account and date where as_of is a list."""
    dates = as_of if isinstance(as_of, list) else [as_of]
    rows = [(a, pd.Timestamp(d), pd.Timestamp(known_at or d)) for a in accounts for d in dates]
    return pd.DataFrame(rows, columns=["account_id", "as_of", "known_at"])


def feature_of(measure, usual=None):
    """Wrap a measure so that it can be built."""
    return Feature(
        name="x",
        value=measure,
        usual=usual,
        unit="things",
        null_means="unknown",
        direction="none",
        category="context",
        says="{value}",
        says_no="no",
    )


def values(tables, measure, as_of, known_at=None, accounts=("A", "B")):
    """Return the measure of each account as of a date, nulls as None."""
    matrix = build_matrix(tables, FeatureSet((feature_of(measure),)), spine_of(as_of, accounts, known_at))
    return [None if pd.isna(v) else v for v in matrix["x"]]


@pytest.fixture(scope="session")
def small():
    """The functions above, without importing conftest."""

    class Small:
        company = staticmethod(company)
        spine_of = staticmethod(spine_of)
        feature_of = staticmethod(feature_of)
        values = staticmethod(values)
        day = date
        instant = datetime

    return Small
