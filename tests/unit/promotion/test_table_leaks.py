"""Rows written because an account left are named by their column; what honest systems write is not."""

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.promotion.suspects import find_suspects
from lifecycle_ml.promotion.table_leaks import suspect_columns
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root

ACCOUNTS = 240
FIRST = pd.Timestamp("2024-01-01")


@pytest.fixture(scope="module")
def features():
    """The standard features."""
    return load_features(Workspace(root=standard_root(), standard=standard_root()))


@pytest.fixture(scope="module")
def company():
    """Frames of a company in which contacts come and go and tickets pile up a little before the end."""
    rng = np.random.default_rng(3)
    ids = [f"A-{number:03d}" for number in range(ACCOUNTS)]
    left = rng.random(ACCOUNTS) < 0.4
    end = np.where(left, rng.integers(300, 680, ACCOUNTS), 720)
    rows = [(account, day) for account in range(ACCOUNTS) for day in range(84, 700, 28) if day < end[account]]
    labels = pd.DataFrame(
        {
            "account_id": [ids[account] for account, _ in rows],
            "as_of": FIRST + pd.to_timedelta([day for _, day in rows], unit="D"),
            "churned_on": pd.to_datetime(
                [FIRST + pd.Timedelta(days=int(end[a])) if left[a] else pd.NaT for a, _ in rows]
            ),
        }
    ).astype({"as_of": "datetime64[us]", "churned_on": "datetime64[us]"})
    contacts = pd.DataFrame(
        [
            (
                f"P-{account}-{n}",
                ids[account],
                "champion" if n == 0 else "user",
                FIRST,
                _left(rng, end[account]),
            )
            for account in range(ACCOUNTS)
            for n in range(4)
        ],
        columns=["contact_id", "account_id", "role", "joined_on", "left_on"],
    )
    opened = [
        (account, day)
        for account in range(ACCOUNTS)
        for day in range(0, end[account], 7)
        if rng.random() < (0.12 if left[account] and end[account] - day < 60 else 0.06)
    ]
    tickets = pd.DataFrame(
        {
            "ticket_id": [f"T-{number}" for number in range(len(opened))],
            "account_id": [ids[account] for account, _ in opened],
            "opened_at": FIRST + pd.to_timedelta([day * 24 + 9 for _, day in opened], unit="h"),
            "severity": 3,
            "kind": rng.choice(["bug", "question"], len(opened)),
        }
    )
    accounts = pd.DataFrame({"account_id": ids, "created_at": FIRST - pd.Timedelta(days=30)})
    ends = labels.groupby("account_id")["churned_on"].max().dropna()
    return {"accounts": accounts, "contacts": contacts, "tickets": tickets}, labels, ends, rng


def _left(rng, end):
    return FIRST + pd.Timedelta(days=int(rng.integers(10, end))) if rng.random() < 0.2 else pd.NaT


def suspects(frames, labels, features):
    tables = tables_from_frames(frames)
    return suspect_columns(tables, features.available(tables), labels)


def test_departures_and_tickets_before_an_end_are_honest(company, features):
    """Twice as many tickets in the last two months, and contacts that leave: no column is suspected."""
    frames, labels, _, _ = company
    assert suspects(frames, labels, features) == ()


def churn_date_entered(frames, ends, rng, days_after=0):
    contacts = frames["contacts"].copy()
    end = contacts["account_id"].map(ends)
    hit = end.notna() & contacts["left_on"].isna() & (rng.random(len(contacts)) < 0.5)
    contacts["left_on"] = contacts["left_on"].where(~hit, end + pd.Timedelta(days=days_after))
    return contacts, hit


@pytest.mark.parametrize(
    ("days_after", "says"), [(0, "in the last 7 days before the end"), (5, "within 14 days of the end")]
)
def test_churn_dates_in_left_on_are_named_with_their_column(company, features, days_after, says):
    """Entered afterwards, in rows that claim to be as old as the contact."""
    frames, labels, ends, rng = company
    contacts, _ = churn_date_entered(frames, ends, rng, days_after)
    (suspect,) = suspects({**frames, "contacts": contacts}, labels, features)
    assert suspect.columns == ("contacts.left_on",)
    assert suspect.feature == "champions_left_180d"
    assert "champions_present" in suspect.others
    assert says in suspect.says
    assert "known_at in features/sources/contacts.sql" in suspect.needs


def test_a_departure_whose_row_says_when_it_was_entered_is_fine(company, features):
    """The same dates, as versions known only after the end: no feature ever saw them in time."""
    frames, labels, ends, rng = company
    contacts, hit = churn_date_entered(frames, ends, rng)
    before = frames["contacts"].assign(known_at=FIRST)
    after = contacts[hit].assign(known_at=contacts.loc[hit, "left_on"] + pd.Timedelta(days=2))
    both = pd.concat([before, after], ignore_index=True)
    assert suspects({**frames, "contacts": both}, labels, features) == ()


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("cancellation", "'cancellation' names the outcome: 100%"),
        ("question", "with kind = 'question' in the last"),
    ],
)
def test_a_ticket_that_says_goodbye_is_named_whatever_it_is_called(company, features, kind, says):
    """Under its own kind by the word, under another by how it huddles at the end."""
    frames, labels, ends, rng = company
    planted = pd.DataFrame(
        {
            "ticket_id": [f"X-{number}" for number in range(len(ends))],
            "account_id": ends.index,
            "opened_at": ends.to_numpy() - pd.to_timedelta(rng.integers(3, 25, len(ends)), unit="D"),
            "severity": 4,
            "kind": kind,
        }
    )
    tickets = pd.concat([frames["tickets"], planted], ignore_index=True)
    (suspect,) = suspects({**frames, "tickets": tickets}, labels, features)
    assert suspect.columns == ("tickets.kind",)
    assert says in suspect.says
    assert "features/sources/tickets.sql" in suspect.needs
    assert "tickets_per_seat_84d" not in (suspect.feature, *suspect.others)  # there are no seats here


def test_few_leavings_accuse_no_column(company, features):
    """With nineteen ends nothing is said."""
    frames, labels, ends, rng = company
    contacts, _ = churn_date_entered(frames, ends, rng)
    few = labels["churned_on"].where(labels["account_id"].isin(ends.index[:19]))
    assert suspects({**frames, "contacts": contacts}, labels.assign(churned_on=few), features) == ()


def test_the_table_inactivity_is_read_from_is_never_suspected(company, features):
    """Where the end is the last use, use always huddles there."""
    frames, labels, ends, _ = company
    usage = pd.DataFrame(
        {
            "account_id": ends.index,
            "happened_at": ends.to_numpy() - pd.Timedelta(days=1),
            "event_id": [f"E-{number}" for number in range(len(ends))],
        }
    )
    tables = tables_from_frames({**frames, "usage_events": usage})
    there = features.available(tables)
    assert [s.columns for s in suspect_columns(tables, there, labels)] == [("usage_events.happened_at",)]
    assert suspect_columns(tables, there, labels, {"usage_events"}) == ()


def test_a_column_speaks_for_all_features_that_read_it(company, features, recipe: Recipe):
    """The matrix is searched for the others; a feature of the matrix gets the columns it reads."""
    frames, labels, ends, rng = company
    contacts, _ = churn_date_entered(frames, ends, rng)
    tables = tables_from_frames({**frames, "contacts": contacts})
    there = features.available(tables)
    y = (labels["churned_on"] < labels["as_of"] + pd.Timedelta(days=90)).astype(float)
    matrix = labels[["account_id", "as_of"]].assign(
        champions_left_180d=y, tenure_days=y + rng.normal(0, 0.1, len(y))
    )
    outcomes = labels.assign(**{f"outcome_{h}d": y for h in (30, 90, 180)})
    names = ["champions_left_180d", "tenure_days"]
    column, feature = find_suspects(matrix, outcomes, names, recipe, there, tables)
    assert (column.feature, column.columns) == ("champions_left_180d", ("contacts.left_on",))
    assert feature.feature == "tenure_days"
    assert feature.columns
