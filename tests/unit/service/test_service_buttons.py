"""The buttons of an account's actions: who may press them, what they do, and what pressing twice does."""

from __future__ import annotations

import re
import threading
from datetime import timedelta

import pytest
from browsing import form_of, read, signed_in, token_of
from published_company import AS_OF, KEYS, NOW, company

PAGE = "/accounts/A-1042"
PRESSED = {
    "complete": {"note": "They agreed"},
    "dismiss": {"reason": "They were acquired"},
    "snooze": {"until": "2026-07-09"},
    "assign": {"owner": "Zoë O'Neill"},
}
BECOMES = {"complete": "done", "dismiss": "dismissed", "snooze": "snoozed", "assign": "open"}


def action_of(store, action_id="act-1"):
    """One action as it stands."""
    return next(
        each
        for actions in store.actions(["A-1042", "<A&\"1'>"]).values()
        for each in actions
        if each.action_id == action_id
    )


def words_in(store):
    """The ledger's lines that people wrote."""
    return [each for each in store.ledger("A-1042") if each["by"] != "lifecycle"]


def press(client, name, action_id="act-1", **changes):
    """Fill in the form a page shows and send it."""
    path = f"/actions/{action_id}/{name}"
    return client.post(path, data={**form_of(client.get(PAGE), path), **PRESSED[name], **changes})


@pytest.mark.parametrize("name", PRESSED)
def test_a_button_changes_the_action_and_says_so(actor, store, name):
    """The ledger has the word and who said it; the browser is led back to the account."""
    response = press(actor, name)

    assert (response.status_code, response.headers["location"]) == (303, f"{PAGE}?said={name}#todo")
    assert action_of(store).status == BECOMES[name]
    (line,) = words_in(store)
    assert line["by"].startswith("key-")
    assert KEYS["act"] not in line["by"]
    said = {
        "complete": "Marked as done.",
        "dismiss": "Dismissed.",
        "snooze": "Snoozed.",
        "assign": "Assigned.",
    }
    text = read(actor.get(response.headers["location"]))
    assert said[name] in text
    happened = {
        "complete": "Done: Call the champion and agree a usage plan They agreed by key-",
        "dismiss": "Dismissed: Call the champion and agree a usage plan They were acquired by key-",
        "snooze": "snoozed until 9 Jul 2026",
        "assign": "Zoë O'Neill (CSM), due 2 July 2026",
    }
    assert happened[name] in text


@pytest.mark.parametrize("name", PRESSED)
def test_a_form_sent_twice_does_nothing_twice(actor, store, name):
    """A double click and a reload of the answer both lead back as if nothing had happened."""
    path = f"/actions/act-1/{name}"
    data = {**form_of(actor.get(PAGE), path), **PRESSED[name]}
    answers = [actor.post(path, data=data) for _ in range(3)]

    assert {(each.status_code, each.headers["location"]) for each in answers} == {
        (303, f"{PAGE}?said={name}#todo")
    }
    assert len(words_in(store)) == 1


def test_a_form_sent_by_many_hands_at_once_counts_once(actor, store):
    """Concurrent posts of one form are one word."""
    path = "/actions/act-1/snooze"
    data = {**form_of(actor.get(PAGE), path), **PRESSED["snooze"]}
    statuses = []
    hands = [
        threading.Thread(target=lambda: statuses.append(actor.post(path, data=data).status_code))
        for _ in range(6)
    ]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()

    assert statuses == [303] * 6
    assert len(words_in(store)) == 1


def test_the_same_form_with_other_words_is_another_change(actor, store):
    """Going back in the browser to correct a day must work."""
    path = "/actions/act-1/snooze"
    data = form_of(actor.get(PAGE), path)
    for day in ("2026-07-09", "2026-07-10"):
        assert actor.post(path, data={**data, "until": day}).status_code == 303

    assert f"{action_of(store).snoozed_until:%Y-%m-%d}" == "2026-07-10"
    assert len(words_in(store)) == 2


@pytest.mark.parametrize("name", PRESSED)
@pytest.mark.parametrize("token", [None, "", "0" * 64, "é"])
def test_a_button_without_the_token_of_the_page_does_nothing(actor, store, name, token):
    """Another site can make a browser post a form, but cannot know the token."""
    path = f"/actions/act-1/{name}"
    data = {**form_of(actor.get(PAGE), path), **PRESSED[name], "token": token}
    response = actor.post(path, data={key: value for key, value in data.items() if value is not None})

    assert "The form had expired" in read(response, 403)
    assert action_of(store).status == "open"
    assert words_in(store) == []


@pytest.mark.parametrize("name", PRESSED)
def test_a_reader_sees_no_buttons_and_cannot_press_them(browser, store, name):
    """The role is checked where the word is told, not only where the button is drawn."""
    page = browser.get(PAGE)
    assert "/actions/" not in page.text
    assert "<summary>Done" not in page.text

    data = {"token": token_of(page), "key": "k", "account_id": "A-1042", **PRESSED[name]}
    response = browser.post(f"/actions/act-1/{name}", data=data)
    assert "needs a key of role act" in read(response, 403)
    assert words_in(store) == []


def test_an_admin_may_press_them(published, make_client, store):
    """Roles contain one another."""
    assert press(signed_in(make_client(), "admin"), "complete").status_code == 303
    assert action_of(store).status == "done"


def test_nobody_presses_a_button_without_signing_in(published, make_client, store):
    """The way leads to the form, and from there not back to the button."""
    response = make_client().post("/actions/act-1/complete", data={"token": "x", "key": "k"})

    assert response.headers["location"] == "/sign-in?next=%2Faccounts"
    assert words_in(store) == []


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("dismiss", {"reason": "   "}, "without a reason"),
        ("dismiss", {"reason": "x" * 1_001}, "at most 1,000 characters"),
        ("assign", {"owner": ""}, "given to nobody"),
        ("snooze", {"until": ""}, "Choose the day"),
        ("snooze", {"until": "tomorrow"}, "Choose the day"),
        ("snooze", {"until": "2026-06-30"}, "cannot sleep until"),
        ("snooze", {"until": "2026-12-24"}, "cannot sleep until"),
        ("complete", {"note": "nul\0"}, "at most 1,000 characters"),
    ],
)
def test_a_word_that_cannot_be_said_is_told_on_the_page(actor, store, name, changes, says):
    """The page comes back with the reason above it, and nothing has changed."""
    text = read(press(actor, name, **changes), 409)

    assert says in text
    assert "Northwind Traders" in text
    assert action_of(store).status == "open"
    assert words_in(store) == []


def test_an_action_finished_meanwhile_is_told(actor, store):
    """Two people, one action: the second learns that it is done."""
    path = "/actions/act-1/dismiss"
    data = {**form_of(actor.get(PAGE), path), **PRESSED["dismiss"]}
    assert press(actor, "complete").status_code == 303

    assert "already done" in read(actor.post(path, data=data), 409)
    assert action_of(store).status == "done"


@pytest.mark.parametrize(
    "path", ["/actions/act-none/complete", "/actions/act-1/escalate", "/actions/%00/complete"]
)
def test_a_button_nobody_drew_is_a_page_that_says_so(actor, path):
    """Unknown actions and words are 404, as pages."""
    data = {"token": token_of(actor.get(PAGE)), "key": "k", "account_id": "A-1042"}

    assert read(actor.post(path, data=data), 404)


def test_a_form_without_its_key_is_refused(actor, store):
    """Without it, a form sent twice could not be told from two forms."""
    data = {"token": token_of(actor.get(PAGE)), "account_id": "A-1042"}

    assert "idempotency key" in read(actor.post("/actions/act-1/complete", data=data), 400)
    assert words_in(store) == []


def test_the_message_after_a_button_is_one_of_ours(browser):
    """An address made by somebody else cannot put words on the page."""
    page = browser.get(f"{PAGE}?said=%3Cb%3EYour+account+is+closed")

    assert "closed" not in page.text
    assert 'class="said"' not in page.text


def test_hostile_titles_and_owners_do_not_leave_their_place(actor):
    """An action's text stands in forms and lists of choices too."""
    page = actor.get("/accounts/%3CA%26%221%27%3E")

    assert "<i>Ask" not in page.text
    assert "&lt;i&gt;Ask" in page.text
    assert '<option value="=HYPERLINK(&#34;http://elsewhere.example&#34;)">' in page.text
    assert re.search(r'name="account_id" value="&lt;A&amp;&#34;1&#39;&gt;"', page.text)


def test_what_people_did_survives_the_next_publication(actor, store):
    """A new reading changes the score, not the ledger."""
    press(actor, "complete")
    following = store.begin(as_of=AS_OF + timedelta(days=1), known_at=NOW, now=NOW + timedelta(days=1))
    store.write_readings(following, company())
    store.publish(following)

    assert "They agreed" in read(actor.get(PAGE))
