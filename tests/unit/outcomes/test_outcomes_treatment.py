"""Snapshots that were worked on are marked; labels and rows stay as they are."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.outcomes.treatment import learnable, mark_treated, with_treatment
from lifecycle_ml.workspace import Workspace, standard_root

RECIPE = load_recipe(Workspace(standard_root(), standard_root()), "churn")
LATER = date(2027, 1, 1)

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


def labels(*accounts):
    """Labels of one snapshot of each account: everybody stayed, at every horizon."""
    return rows(*accounts).assign(outcome_30d=0.0, outcome_90d=0.0, outcome_180d=0.0)


def test_labels_where_nobody_was_worked_on_stay_the_same_frame():
    """No store, an empty one, and work that lies elsewhere change nothing, so no digest changes either."""
    told = labels("A", "B")

    for done in (None, interventions(), interventions(("C", "offered", 0, 1), ("A", "offered", 400, 401))):
        assert with_treatment(told, done, RECIPE, LATER) is told
        assert learnable(told, RECIPE.model_copy(update={"treated": "leave_out"})) is told


def test_work_is_dated_and_only_what_was_known_counts():
    """The first step inside the longest horizon; nothing that happened from the day of training on."""
    done = interventions(
        ("A", "offered", 10, 20),
        ("A", "offered", -80, -60),
        ("B", "offered", 90, 120),
        ("C", "held_out", 3, None),
    )
    told = with_treatment(labels("A", "B", "C"), done, RECIPE, LATER)

    assert told["treatment"].tolist() == ["treated", "untreated", "held_out"]
    assert told["worked_at"].tolist()[:2] == [DAY - pd.Timedelta(days=60), DAY + pd.Timedelta(days=120)]
    assert told["worked_at"].isna().tolist() == [False, False, True]
    before = with_treatment(labels("A", "B"), done, RECIPE, date(2026, 5, 1))
    assert before["worked_at"].isna().tolist() == [False, True]
    at_that_moment = labels("B")
    assert with_treatment(at_that_moment, done, RECIPE, date(2026, 5, 1)) is at_that_moment


def test_what_is_left_out_is_every_label_the_work_lies_in():
    """Work on day 120 is no part of 30 and 90 days; work before the snapshot is part of all three."""
    done = interventions(("A", "offered", 90, 120), ("B", "offered", -80, -60))
    told = with_treatment(labels("A", "B", "C"), done, RECIPE, LATER)
    kept = learnable(told, RECIPE)
    left_out = learnable(told, RECIPE.model_copy(update={"treated": "leave_out"}))

    assert kept is told
    columns = ["outcome_30d", "outcome_90d", "outcome_180d"]
    assert left_out[columns].isna().to_numpy().tolist() == [
        [False, False, True],
        [True, True, True],
        [False, False, False],
    ]
    assert told[columns].notna().all(axis=None)
