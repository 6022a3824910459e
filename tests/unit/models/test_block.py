"""A block: what a matrix holds, as numbers and as texts, whatever its columns are made of."""

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.models.block import Block

FRAME = pd.DataFrame(
    {
        "account_id": ["A", "B", "C"],
        "users": [3.0, np.nan, 5.0],
        "plan": pd.Series(["basic", None, "plus"], dtype="str"),
        "seats": pd.array([1, None, 3], dtype="Int64"),
        "rate": pd.array([0.5, None, 0.25], dtype="Float64"),
        "activated": [True, False, True],
        "tier": pd.Categorical([1, 2, None]),
        "since": pd.to_datetime(["2026-01-01", "2026-01-02", None]),
    }
)


def test_numbers_of_every_kind_are_floats_with_gaps():
    """Plain floats, nullable numbers and yes/no stand in one array; texts, words and dates do not."""
    block = Block(FRAME)

    assert set(block.numeric) == {"users", "seats", "rate", "activated"}
    np.testing.assert_array_equal(
        block.numbers(["rate", "users", "activated", "seats"]),
        [[0.5, np.nan, 0.25], [3, np.nan, 5], [1, 0, 1], [1, np.nan, 3]],
    )


def test_columns_that_hold_no_numbers_or_are_not_there_are_nan():
    """Whoever asks for several columns gets one line each."""
    found = Block(FRAME).numbers(["plan", "users", "nowhere"])

    assert np.isnan(found[[0, 2]]).all()
    np.testing.assert_array_equal(found[1], FRAME["users"])
    assert Block(FRAME[["plan"]]).numbers(["plan", "users"]).shape == (2, 3)


def test_texts_are_words_or_none():
    """Categories that are numbers are written out."""
    block = Block(FRAME)

    assert block.texts("plan") == ["basic", None, "plus"]
    assert block.texts("tier") == ["1", "2", None]


def test_what_is_missing_is_told_of_numbers_and_texts():
    """A column that is not there has no gaps: nobody could have filled it."""
    found = Block(FRAME).missing(["plan", "users", "nowhere"])

    np.testing.assert_array_equal(found, [[False, True, False], [False, True, False], [False] * 3])
    assert Block(FRAME).lacking(["plan", "nowhere"]) == ["nowhere"]
    assert "plan" in Block(FRAME)


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (1, 3), (2, 9)])
def test_some_rows_read_as_they_do_among_all(start, stop):
    """A chunk holds the very values of the whole."""
    whole, part = Block(FRAME), Block(FRAME).rows(start, stop)

    assert len(part) == len(FRAME.iloc[start:stop])
    names = ["rate", "users"]
    np.testing.assert_array_equal(part.numbers(names), whole.numbers(names)[:, start:stop])
    assert part.texts("plan") == whole.texts("plan")[start:stop]


def test_a_block_and_all_its_rows_are_the_block():
    """What was read stays at hand."""
    block = Block(FRAME)

    assert Block.of(block) is block
    assert block.rows(0, 4_000) is block
