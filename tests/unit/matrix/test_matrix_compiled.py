"""Questions translated once answer like questions translated anew, whatever the tables hold."""

from datetime import date

import pandas as pd
import pytest

from lifecycle_ml.matrix import compiled
from lifecycle_ml.matrix.build import build_matrix, customers
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import load_workspace, standard_root

ACCOUNTS = pd.DataFrame({"account_id": ["a", "b"], "created_at": ["2024-01-01", "2024-01-01"]})
CONTRACTS = pd.DataFrame(
    {
        "contract_id": ["c", "d"],
        "account_id": ["a", "b"],
        "starts_on": "2024-01-02",
        "arr": [1, 2],
        "seats": 3,
    }
)
EVENTS = pd.DataFrame(
    {"account_id": ["a", "a"], "happened_at": ["2024-05-01", "2024-05-20"], "user_id": ["u", "v"]}
)


def matrix(day=date(2024, 6, 1), **frames):
    """Build the standard matrix of a company with these tables."""
    tables = tables_from_frames({"accounts": ACCOUNTS, "contracts": CONTRACTS} | frames)
    features = load_features(load_workspace(standard_root())).available(tables)
    return build_matrix(tables, features, customers(tables, [day]))


@pytest.fixture(autouse=True)
def _forgotten():
    compiled.forget()
    yield
    compiled.forget()


def test_a_kept_question_answers_for_other_rows_and_dates():
    """The text is the same, the answer that of the tables and the spine at hand."""
    matrix(usage_events=EVENTS)
    moved = EVENTS.assign(happened_at=["2024-06-20", "2024-07-01"])
    again = matrix(date(2024, 7, 2), usage_events=moved)
    kept = len(compiled._kept)
    compiled.forget()
    anew = matrix(date(2024, 7, 2), usage_events=moved)
    assert kept == len(compiled._kept)
    pd.testing.assert_frame_equal(again, anew)


def test_tables_of_another_shape_are_another_question():
    """A company that provides fewer columns or tables is not answered with another's text."""
    matrix(usage_events=EVENTS)
    all_of_them = len(compiled._kept)
    fewer = matrix(usage_events=EVENTS.drop(columns="user_id"))
    compiled.forget()
    pd.testing.assert_frame_equal(fewer, matrix(usage_events=EVENTS.drop(columns="user_id")))
    assert len(compiled._kept) < all_of_them
    assert "active_days_28d" not in matrix()


def test_only_so_many_questions_are_kept(monkeypatch):
    """The oldest goes first."""
    monkeypatch.setattr(compiled, "MOST", 1)
    matrix(usage_events=EVENTS)
    matrix()
    assert len(compiled._kept) == 1
