"""What people may say of an account, and how it reads."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from lifecycle_ml.actions.account_words import (
    AccountWordError,
    Decision,
    Outcome,
    Override,
    Sentiment,
    say,
    stands,
)

NOW = datetime(2026, 6, 30, 9)
TODAY = NOW.date()
RENEWAL = {
    "renewal_on": "2026-11-30",
    "checkpoints": [
        {"checkpoint": 180, "falls_on": "2026-04-03", "state": "past"},
        {"checkpoint": 90, "falls_on": "2026-06-02", "state": "now"},
        {"checkpoint": 60, "falls_on": "2026-07-02", "state": "ahead"},
    ],
}


def said(word, renewal=RENEWAL, by="Maya"):
    """The word as it is kept."""
    return say("A-1", word, by, NOW, renewal)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (
            Override("yellow", " Champion on leave ", date(2026, 8, 1)),
            "set the account to yellow until 2026-08-01: Champion on leave",
        ),
        (Override(None, "Back again"), "ended the colour people had set: Back again"),
        (Sentiment("happy"), "happy"),
        (Sentiment("unhappy", "Angry call"), "unhappy: Angry call"),
        (
            Outcome("contract", 180, "Half the seats"),
            "180 days before 2026-11-30: renews for less: Half the seats",
        ),
        (Outcome("leave"), "90 days before 2026-11-30: leaves"),
        (
            Decision("Offer two years", "Ada", "Send the paper", date(2026, 7, 14)),
            "Offer two years; decided by Ada, next: Send the paper, due 2026-07-14",
        ),
    ],
)
def test_a_word_is_kept_and_reads_as_a_sentence(word, says):
    """Blanks at the ends are no words; who said it and when stand beside the sentence."""
    kept = said(word)

    assert (kept.says, kept.by, kept.at) == (says, "Maya", NOW)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (Override("yellow", " ", TODAY), "needs a reason"),
        (Override("yellow", "why"), "ends some day: give `until`, 2026-12-27"),
        (Override("yellow", "why", TODAY - timedelta(days=1)), "from 2026-06-30 to 2026-12-27"),
        (Override("yellow", "why", TODAY + timedelta(days=181)), "cannot last until 2026-12-28"),
        (Override(None, "why", TODAY), "takes no day"),
        (Override("orange", "why", TODAY), "no colour 'orange'"),
        (Sentiment("hapy"), "Did you mean 'happy'"),
        (Outcome("renew", 91), "no 91-day checkpoint; there are 180, 120, 90, 60, 30"),
        (Outcome("renew", 60), "has not been reached.*reached: 180, 90"),
        (Outcome("renew", 120), "term is too short"),
        (Outcome("renews"), "Did you mean 'renew'"),
        (Decision("a", "b", " ", TODAY), "needs a next step"),
        (Decision("a", "", "c", TODAY), "somebody who took it"),
        (Decision("a", "b", "c", TODAY - timedelta(days=1)), "cannot be due on 2026-06-29"),
    ],
)
def test_a_word_that_says_too_little_or_lies_outside_is_refused(word, says):
    """The message names what can be said."""
    with pytest.raises(AccountWordError, match=says):
        said(word)


def test_the_last_days_allowed_are_allowed():
    """Today and 180 days ahead."""
    for until in (TODAY, TODAY + timedelta(days=180)):
        assert said(Override("red", "why", until)).details["until"] == until.isoformat()


@pytest.mark.parametrize(
    ("renewal", "says"),
    [
        (None, "no renewal is dated, or it is signed"),
        (RENEWAL | {"checkpoints": []}, "no renewal is dated, or it is signed"),
        (
            RENEWAL | {"checkpoints": RENEWAL["checkpoints"][2:]},
            "has been reached; the 60-day one falls on 2026-07-02",
        ),
    ],
)
def test_an_outcome_needs_a_checkpoint_that_was_reached(renewal, says):
    """An evergreen contract has none, and one still ahead has come to nothing yet."""
    with pytest.raises(AccountWordError, match=says):
        said(Outcome("renew"), renewal)


def test_a_nameless_word_is_refused():
    """Somebody says it."""
    with pytest.raises(AccountWordError, match="somebody who says it"):
        said(Sentiment("happy"), by=" ")


def test_an_override_stands_through_its_last_day():
    """And one that ended a colour stands for nothing."""
    kept = said(Override("red", "why", date(2026, 7, 10)))

    assert stands(kept, date(2026, 7, 10))
    assert not stands(kept, date(2026, 7, 11))
    assert not stands(said(Override(None, "why")), TODAY)
    assert not stands(None, TODAY)
