"""What people say of accounts: kept for good, live beside the reading, once however often it is sent."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from stored_examples import NOW, publish, reading

from lifecycle_ml.actions.account_words import AccountWordError, Outcome, Override, Sentiment
from lifecycle_ml.store.document import join_live
from lifecycle_ml.store.remembered import Answer, ReusedKeyError
from lifecycle_ml.store.said import NoSuchAccountError

HOUR = timedelta(hours=1)
RED = Override("red", "Angry call", date(2026, 7, 10))


@pytest.fixture
def company(store):
    """Two accounts."""
    publish(store, reading("A-1"), reading("A-2"))
    return store


def health(store, now=NOW, account_id="A-1"):
    """The health of the account's document as it is read."""
    found = store.answers([account_id])
    return join_live(found.bodies[account_id], found.live(account_id, now))["health"]


def test_the_last_word_stands_beside_the_colour_until_its_day(company):
    """The stored bytes stay; what was said before is history."""
    before = company.reading("A-1")
    company.say("A-1", Override("yellow", "A guess", date(2026, 8, 1)), "Noor", NOW)
    company.say("A-1", RED, "Maya", NOW + HOUR)
    company.say("A-1", Sentiment("unhappy", "They said so"), "Zoë", NOW + HOUR)

    own = {"color": "red", "reason": "Angry call", "by": "Maya", "until": "2026-07-10"}
    felt = {"value": "unhappy", "by": "Zoë", "at": "2026-06-30T03:00:00Z"}
    assert (health(company)["override"], health(company)["sentiment"]) == (own, felt)
    assert health(company, NOW + timedelta(days=10, hours=21))["override"] == own
    assert health(company, NOW + timedelta(days=11))["override"] is None
    assert health(company, account_id="A-2")["override"] is None
    assert company.reading("A-1") == before
    assert [(each.kind, each.by) for each in company.said("A-1")] == [
        ("sentiment", "Zoë"),
        ("override", "Maya"),
        ("override", "Noor"),
    ]
    assert [each.by for each in company.said("A-1", limit=1)] == ["Zoë"]


def test_a_colour_can_be_ended_before_its_day(company):
    """Ending it brings no earlier one back."""
    company.say("A-1", Override("yellow", "A guess", date(2026, 8, 1)), "Noor", NOW)
    company.say("A-1", RED, "Maya", NOW)
    company.say("A-1", Override(None, "They called back"), "Maya", NOW)

    assert health(company)["override"] is None


def test_lists_have_it_too(company):
    """One moment for readings, actions and words."""
    company.say("A-2", RED, "Maya", NOW)
    page = company.list_accounts()

    shown = {row.account_id: page.live(row.account_id, NOW).override for row in page.rows}
    assert shown["A-1"] is None
    assert shown["A-2"]["by"] == "Maya"


def test_an_account_nobody_knows_and_a_word_that_cannot_be_said_keep_nothing(company):
    """One left out of a publication is known."""
    with pytest.raises(NoSuchAccountError, match="'A-9'"):
        company.say("A-9", RED, "Maya", NOW)
    with pytest.raises(AccountWordError, match="no checkpoint ahead"):
        company.say("A-1", Outcome("renew"), "Maya", NOW)
    publication = company.begin(NOW.date(), NOW, NOW)
    company.write_unscored(publication, {"A-8": "no customer"})
    company.say("A-8", Sentiment("neutral"), "Maya", NOW)

    assert (company.said("A-9"), company.said("A-1"), len(company.said("A-8"))) == ([], [], 1)


def test_a_repeated_request_is_said_once(company):
    """The same key with another word is refused."""

    def once(word, digest):
        return company.say_once(
            "A-1",
            word,
            "Maya",
            NOW,
            key="k",
            caller="crm",
            request_digest=digest,
            answer=lambda said: Answer(200, said.says.encode()),
        )

    first = once(RED, "d")
    assert once(RED, "d") == first == Answer(200, b"set the account to red until 2026-07-10: Angry call")
    with pytest.raises(ReusedKeyError):
        once(Sentiment("happy"), "e")
    assert len(company.said("A-1")) == 1
