"""The rows a move is measured on: what is late, what is a plan made since, and which version counts."""

import json
from dataclasses import replace
from datetime import date, datetime

import pandas as pd
import pytest

from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.movement import explain_move, rows_of
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.between import Pair
from lifecycle_ml.store.rows import Past, Publication
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root

STANDARD = Workspace(standard_root(), standard_root())
FEATURES = load_features(STANDARD)
FIRST, LAST = date(2026, 6, 3), date(2026, 7, 1)
NAMES = ("arr", "renewal_signed", "milestones_overdue", "open_severe_tickets")


def reading(day, source="model"):
    """A published reading in as few words as will do."""
    midnight = datetime.combine(day, datetime.min.time())
    churn = {"source": source, "band": "medium", "probability": None, "horizon_days": 90, "by_horizon": []}
    model = {"name": "churn", "version": "1", "digest": "sha256:" + "ab" * 32}
    document = {"as_of": str(day), "churn": churn, "model": {"churn": model}, "health": {"color": "green"}}
    publication = Publication(1, day, midnight, midnight, "nightly", {})
    return Past(publication, json.dumps(document).encode(), "sha256:" + "0" * 64)


PAIR = Pair("A", reading(FIRST), reading(LAST))


def contract(name, arr, signed, known=None, starts="2025-01-01", ends="2026-12-31"):
    """One version of a contract."""
    return {
        "contract_id": name,
        "account_id": "A",
        "arr": arr,
        "signed_at": pd.Timestamp(signed),
        "starts_on": date.fromisoformat(starts),
        "ends_on": date.fromisoformat(ends),
        "known_at": pd.Timestamp(known or signed),
    }


def built(contracts, milestones=(), tickets=()):
    """The three rows of account A: then, then as known later, later."""
    ticket = {"ticket_id": "t-0", "account_id": "A", "opened_at": "2025-02-01", "closed_at": "2025-02-02"}
    milestone = {"account_id": "A", "milestone": "kick-off", "due_on": date(2025, 2, 1)}
    done = {"completed_on": date(2025, 1, 20), "known_at": pd.Timestamp("2025-01-01")}
    frames = {
        "accounts": pd.DataFrame({"account_id": ["A"], "created_at": [pd.Timestamp("2025-01-01")]}),
        "contracts": pd.DataFrame(contracts),
        "milestones": pd.DataFrame([milestone | done, *milestones]),
        "tickets": pd.DataFrame([ticket | {"severity": 4, "known_at": "2025-02-01"}, *tickets]),
    }
    return rows_of(tables_from_frames(frames), FEATURES.select(NAMES), PAIR)


TERM = contract("c-1", 100, "2024-12-01")
SINCE = pd.Timestamp("2026-06-10")


def test_a_row_that_arrives_late_is_in_the_second_row():
    """A ticket of before the earlier date, known after it."""
    late = {"ticket_id": "t-1", "account_id": "A", "opened_at": "2026-06-01", "severity": 1}
    rows = built([TERM], tickets=[late | {"closed_at": None, "known_at": "2026-06-20"}])

    assert rows["open_severe_tickets"].tolist() == [0, 1, 1]
    assert rows["as_of"].dt.date.tolist() == [FIRST, FIRST, LAST]


def test_a_contract_recorded_late_is_late_and_one_signed_since_is_not():
    """When it was signed decides, not when it was known."""
    recorded = contract("c-2", 40, "2026-05-01", "2026-06-20", starts="2026-05-01")
    signed = contract("c-3", 500, "2026-06-10", starts="2026-12-31", ends="2027-12-31")

    assert built([TERM, recorded])["arr"].tolist() == [100, 140, 140]
    rows = built([TERM, signed])
    assert rows["renewal_signed"].tolist() == [0, 0, 1]
    assert rows["arr"].tolist() == [100, 100, 100]


def test_without_the_version_signed_since_the_one_before_counts():
    """A contract amended in place: on the earlier date it was what it was."""
    amended = TERM | {"arr": 200, "signed_at": SINCE, "known_at": SINCE}
    corrected = TERM | {"arr": 90, "known_at": pd.Timestamp("2026-06-08")}

    assert built([TERM, amended])["arr"].tolist() == [100, 100, 200]
    assert built([TERM, corrected])["arr"].tolist() == [100, 90, 90]
    assert built([TERM, corrected, amended])["arr"].tolist() == [100, 90, 200]


def test_a_milestone_set_since_is_a_plan():
    """Due before the earlier date, but nobody had asked for it then."""
    since = {"account_id": "A", "milestone": "late", "due_on": date(2026, 6, 1), "completed_on": None}
    rows = built([TERM], milestones=[since | {"known_at": pd.Timestamp("2026-06-20")}])

    assert rows["milestones_overdue"].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("rules", "Rules served the reading of 3 June: it has a band and no probability to split."),
        (
            "model",
            "The model that gave the reading of 3 June (sha256:abababababab) is no longer in the bundles",
        ),
    ],
)
def test_what_cannot_be_split_is_said_without_reading_the_source(tmp_path, source, why):
    """No tables are there at all."""
    settings = Settings.read(tmp_path, {})
    document = explain_move(STANDARD, settings, replace(PAIR, before=reading(FIRST, source)))

    assert document["parts"] is None
    assert document["margin_change"] is None
    assert document["why_no_parts"].startswith(why)
    assert document["says"] == ["The risk has stayed medium since 3 June."]
    assert document["from"]["reproduced"] is None
