"""`lifecycle tell`: each word reaches the store, says so, and a mistake is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from lifecycle_ml.actions.account_words import AccountWordError
from lifecycle_ml.actions.action import ActionEvent
from lifecycle_ml.cli.app import app
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.service.api import examples
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.events import NoSuchActionError
from lifecycle_ml.store.rows import StoredReading
from lifecycle_ml.store.said import NoSuchAccountError
from lifecycle_ml.store.store import Store
from open_action import open_action

TODAY = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
DAY = str((TODAY + timedelta(days=7)).date())
WORDS = {
    "override": (
        ["--color", "red", "--reason", "Angry call", "--until", DAY],
        f"red until {DAY}: Angry call",
    ),
    "sentiment": (["--value", "happy", "--note", "They said so"], "happy: They said so"),
    "outcome": (["--outcome", "renew"], "90 days before 2026-11-30: renews as it is"),
    "decision": (
        ["--decision", "Two years", "--decided-by", "Ada", "--next-step", "Send it", "--due", DAY],
        f"Two years; decided by Ada, next: Send it, due {DAY}",
    ),
}
CHANGES = {
    "complete": (["--note", "They agreed"], "is done"),
    "dismiss": (["--reason", "They were acquired"], "is dismissed"),
    "snooze": (["--until", DAY], "is snoozed"),
    "assign": (["--owner", "Zoë"], "is open; owner Zoë"),
}


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The store of a workspace with one account and one action."""
    (tmp_path / "serving").mkdir()
    monkeypatch.setenv("LIFECYCLE_STORE_URL", f"sqlite:///{tmp_path}/store.db")
    opened = Store.open(
        Settings.read(tmp_path, {"LIFECYCLE_STORE_URL": f"sqlite:///{tmp_path}/store.db"}).store_url
    )
    publication = opened.begin(TODAY.date(), TODAY, TODAY)
    reading = StoredReading.of(examples.ACCOUNT, state="", risk=0.4, renewal=examples.RENEWAL)
    opened.write_readings(publication, [reading])
    action = open_action(TODAY, action_id="act-1", account_id="A-1042", owner="Maya")
    opened.publish(publication, [ActionEvent("opened", TODAY, action)])
    yield opened
    opened.close()


def tell(tmp_path, *words):
    """Run the command and return what it printed; errors come as they are raised."""
    found = CliRunner().invoke(app, ["tell", *words, "--workspace", str(tmp_path)])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.output


@pytest.mark.parametrize("kind", WORDS)
def test_a_word_about_an_account_is_kept_with_who_said_it(store, tmp_path, kind):
    """In words, and as JSON for machines."""
    options, says = WORDS[kind]
    printed = tell(tmp_path, kind, "A-1042", *options, "--by", "Maya")
    document = json.loads(tell(tmp_path, kind, "A-1042", *options, "--json"))

    assert " ".join(printed.split()).endswith(says)
    assert document["says"].endswith(says)
    assert [each.kind for each in store.said("A-1042")] == [kind, kind]
    assert store.said("A-1042")[-1].by == "Maya"


@pytest.mark.parametrize("kind", CHANGES)
def test_a_word_about_an_action_changes_it(store, tmp_path, kind):
    """As the buttons and the API do."""
    options, says = CHANGES[kind]

    assert says in tell(tmp_path, kind, "act-1", *options, "--by", "Maya")
    assert store.ledger("A-1042")[-1]["by"] == "Maya"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["sentiment", "A-9", "--value", "happy"], NoSuchAccountError),
        (["sentiment", "A-1042", "--value", "glad"], AccountWordError),
        (["complete", "act-9"], NoSuchActionError),
        (["snooze", "act-1", "--until", "soon"], ConfigError),
    ],
)
def test_a_mistake_is_the_callers(store, tmp_path, words, error):
    """Exit status 2, and nothing is kept."""
    with pytest.raises(error) as raised:
        tell(tmp_path, *words)

    assert raised.value.exit_code == 2
    assert store.said("A-1042") == []


def test_explain_says_what_each_checkpoint_wants_and_which_of_it_is_missing(store, tmp_path):
    """By name; what nobody can tell is not called missing."""
    done = CliRunner().invoke(app, ["explain", "A-1042", "--workspace", str(tmp_path)])

    assert done.exit_code == 0, done.output
    assert "On the way to the renewal on 2026-11-30" in done.output
    assert "- 180 days (2026-04-03, past): Stakeholder map confirmed (step, 2026-04-14)" in done.output
    assert "- 90 days (2026-06-02, now): missing: Commercial path and its owner agreed" in done.output
    assert "- 60 days (2026-07-02, ahead): cannot tell: Mitigation or expansion plan" in done.output
    assert "- 30 days (2026-08-01, ahead): to come: Paperwork with their legal" in done.output


def test_explain_says_what_onboarding_waits_for(store, tmp_path):
    """Met, missing in words, or not to be told; nothing where nobody asks any more."""
    words = ["explain", "A-1042", "--workspace", str(tmp_path)]
    assert "Before onboarding starts" not in CliRunner().invoke(app, words).output

    publication = store.begin(TODAY.date(), TODAY, TODAY)
    reading = StoredReading.of(examples.ACCOUNT, state="", risk=0.4)
    store.write_readings(publication, [reading])
    labels = {"Owner assigned": (True, None), "Kickoff booked": (False, "No kickoff has a date.")}
    starts = [
        {"criterion": "x", "label": label, "met": met, "says": says}
        for label, (met, says) in (labels | {"Signed contract known": (None, None)}).items()
    ]
    store.write_onboarding_starts(publication, {"A-1042": starts})
    store.publish(publication, [])

    said = CliRunner().invoke(app, words).output
    assert "Before onboarding starts\n  - Owner assigned: yes\n" in said
    assert "  - Kickoff booked: no. No kickoff has a date.\n  - Signed contract known: cannot tell\n" in said
    assert store.onboarding_start("A-1042") == starts
    assert store.onboarding_start("A-1") == []
