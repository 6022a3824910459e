"""Snapshots that were worked on are marked; labels and rows stay as they are."""

from __future__ import annotations

import pandas as pd
import pytest

from lifecycle_ml.outcomes.treatment import mark_treated

DAY = pd.Timestamp("2026-01-01")


def interventions(*rows):
    """(account, arm, days to the decision, days to the first step done or None)."""
    found = [
        (account, arm, DAY + pd.Timedelta(days=at), pd.NaT if done is None else DAY + pd.Timedelta(days=done))
        for account, arm, at, done in rows
    ]
    frame = pd.DataFrame(found, columns=["account_id", "arm", "at", "done_at"])
    return frame.astype({"at": "datetime64[us]", "done_at": "datetime64[us]"})


def rows(*accounts):
    """One snapshot of each account, under an index of its own."""
    return pd.DataFrame(
        {"account_id": accounts, "as_of": [DAY] * len(accounts)}, index=range(7, 7 + len(accounts))
    )


@pytest.mark.parametrize(
    ("done", "is_marked"), [(-91, False), (-90, True), (0, True), (89, True), (90, False), (None, False)]
)
def test_work_done_near_a_snapshot_marks_it(done, is_marked):
    """From 90 days before it to the end of its horizon; an offer nobody took up marks nothing."""
    marks = mark_treated(rows("A"), interventions(("A", "offered", -5, done)), 90)

    assert marks.tolist() == ["treated" if is_marked else "untreated"]


def test_an_account_left_alone_is_told_apart():
    """Held out in the window; work that was done all the same counts as work."""
    marks = mark_treated(
        rows("A", "B", "C", "D"),
        interventions(
            ("A", "held_out", 10, None),
            ("B", "held_out", 200, None),
            ("C", "held_out", 1, None),
            ("C", "offered", 2, 3),
        ),
        90,
    )

    assert marks.to_dict() == {7: "held_out", 8: "untreated", 9: "treated", 10: "untreated"}


def test_nobody_was_worked_on():
    """An empty ledger marks nothing."""
    assert mark_treated(rows("A", "B"), interventions(), 90).tolist() == ["untreated", "untreated"]
