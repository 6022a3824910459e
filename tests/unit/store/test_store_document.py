"""Writing a scored account and joining its live parts."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored_examples import NOW, document, event

from lifecycle_ml.errors import StoreError
from lifecycle_ml.store.cursor import Cursor, CursorError
from lifecycle_ml.store.document import Live, encode, escalation_status, join_live, splice_live
from lifecycle_ml.store.rows import storable


def row(**changes):
    """A row of the actions table."""
    return asdict(event(**changes).action) | {"escalated": False}


def test_stored_bytes_have_every_key_and_no_live_part():
    """What is live is never frozen into a reading."""
    stored = json.loads(encode(document()))

    assert list(stored) == list(document())
    assert stored["actions"] == []
    assert (stored["scorecard"]["next_action"], stored["scorecard"]["escalation_status"]) == (None, None)
    assert (stored["health"]["override"], stored["health"]["sentiment"]) == (None, None)


def test_live_parts_take_their_place_and_nothing_else_changes():
    """The whole document is the stored one with five values in place."""
    override = {"color": "green", "reason": 'said "sentiment":null', "by": "Maya", "until": None}
    joined = join_live(encode(document()), Live(NOW, [row()], override=override))

    expected = document()
    expected["actions"] = joined["actions"]
    expected["scorecard"] |= {"next_action": "Call", "escalation_status": "on_track"}
    expected["health"] |= {"override": override, "sentiment": None}
    assert joined == expected
    assert joined["actions"][0]["due_at"] == "2026-07-02T02:00:00Z"


def test_actions_come_by_due_date_and_finished_ones_not_at_all():
    """The first one is the next action; one without a date comes last."""
    actions = [
        row(action_id="c", due_at=None, title="C"),
        row(action_id="b", due_at=NOW + timedelta(days=3), title="B"),
        row(action_id="a", due_at=NOW + timedelta(days=1), title="A", status="over_capacity"),
        row(action_id="d", due_at=NOW, title="D", status="done"),
    ]
    joined = join_live(encode(document()), Live(NOW, actions))

    assert [each["title"] for each in joined["actions"]] == ["A", "B", "C"]
    assert joined["scorecard"]["next_action"] == "A"


def test_an_account_that_waits_for_the_evidence_says_until_when_and_who_decides_then():
    """The review of a playbook that is done sleeps; on its day it is what is to be done."""
    until = NOW + timedelta(days=9)
    review = row(step="review_1", title="Decide", status="snoozed", snoozed_until=until, owner="Kim")
    other = row(action_id="b", step="call", status="snoozed", snoozed_until=until)

    def next_action(now, *actions):
        return join_live(encode(document()), Live(now, actions))["scorecard"]["next_action"]

    says = f"Waiting for the evidence until {until:%Y-%m-%d}, owner Kim (csm)"
    assert next_action(NOW, review, other) == says
    assert next_action(NOW, other) is None
    assert next_action(NOW, review, row(action_id="c", kind="stage")) == "Call"
    assert next_action(until, review) == "Decide"


@pytest.mark.parametrize(
    ("after", "escalated", "expected"),
    [
        (timedelta(0), False, "on_track"),
        (timedelta(days=2, seconds=1), False, "overdue"),
        (timedelta(days=4), False, "escalated"),
        (timedelta(0), True, "escalated"),
    ],
)
def test_escalation_is_the_worst_of_the_unfinished_actions(after, escalated, expected):
    """Told already, or due to be told: both are escalated."""
    actions = [row(due_at=None, escalates_at=None), row() | {"escalated": escalated}]

    assert escalation_status(actions, NOW + after) == expected
    assert escalation_status([], NOW + after) == "none"


TEXT = st.text(max_size=40) | st.sampled_from(
    ['"actions":[]', '"override":null', '\\"sentiment\\":null', "\\", '"', '\\\\"next_action":null', "\u2028"]
)


@given(texts=st.lists(TEXT, min_size=4, max_size=4))
def test_splicing_equals_parsing_for_any_text(texts):
    """Whatever a name or a sentence holds, the live parts land in their own places."""
    made = document()
    made["reasons"][0]["evidence"][0]["says"] = texts[0]
    made["scorecard"]["owner"] = texts[1]
    made["account_id"] = texts[2]
    live = Live(NOW, [row(title=texts[3], why=texts[0])], sentiment={"value": texts[2], "by": "x", "at": "y"})

    expected = json.loads(encode(made))
    expected["actions"] = join_live(document(), live)["actions"]
    expected["scorecard"] |= {"next_action": texts[3], "escalation_status": "on_track"}
    expected["health"]["sentiment"] = live.sentiment
    assert json.loads(splice_live(encode(made), live)) == expected


def test_bytes_someone_else_wrote_are_joined_too():
    """Blanks and another order of keys make it slower, not wrong."""
    foreign = json.dumps(dict(reversed(document().items())), indent=1).encode()

    assert join_live(foreign, Live(NOW)) == join_live(document(), Live(NOW))


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"account_id": 1}', b"\xff", b"null"])
def test_damaged_bytes_are_a_store_error(damaged):
    """They are never given out."""
    with pytest.raises(StoreError, match="not a scored account"):
        splice_live(damaged, Live(NOW))


def test_a_document_that_breaks_the_contract_is_not_written():
    """A missing key, an unknown key and NaN are found before they are stored."""
    with pytest.raises(ValueError, match="receipt"):
        encode({key: value for key, value in document().items() if key != "receipt"})
    with pytest.raises(ValueError, match="mood"):
        encode(document() | {"mood": 1})
    broken = document()
    broken["churn"]["lift"] = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(broken)


@pytest.mark.parametrize(
    ("text", "fits"), [("A-1", True), ("株", True), ("a\0b", False), ("\ud800", False), ("x" * 256, False)]
)
def test_what_no_database_can_hold_is_not_asked_for(text, fits):
    """NUL, half characters and endless ids are answered without a query."""
    assert storable(text) is fits


@given(
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    row_id=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=255),
)
def test_a_cursor_reads_back_what_was_written(value, row_id):
    """Numbers keep their last bit, so that no row is skipped or shown twice."""
    made = Cursor(7, value, row_id)

    assert Cursor.read(made.write("question"), "question", float) == made


@given(text=st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_any_other_text_is_no_cursor(text):
    """Damaged cursors are refused, whatever they hold."""
    with pytest.raises(CursorError, match=r"damaged|belongs to a list"):
        Cursor.read(text, "question", float)
