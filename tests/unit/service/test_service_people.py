"""What people say of an account over the API and on its page."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from browsing import form_of, read
from published_company import KEYS, NOW, action, company

from lifecycle_ml.actions.action import ActionEvent, action_id_of
from lifecycle_ml.actions.ledger import Complete
from lifecycle_ml.service.api.calendar import RenewalList
from lifecycle_ml.service.api.changes import KeptWord
from lifecycle_ml.service.api.models import AccountAnswer, History, Problem

PAGE = "/accounts/A-1042"
BODIES = {
    "override": {"color": "green", "reason": "They signed by mail", "until": "2026-08-01"},
    "sentiment": {"value": "happy", "note": "They said so"},
    "outcome": {"outcome": "expand"},
    "decision": {
        "decision": "Offer two years",
        "decided_by": "Ada Quist",
        "next_step": "Send the paper",
        "due": "2026-07-14",
    },
}
SAYS = {
    "override": "set the account to green until 2026-08-01: They signed by mail",
    "sentiment": "happy: They said so",
    "outcome": "90 days before 2026-11-30: renews for more",
    "decision": "Offer two years; decided by Ada Quist, next: Send the paper, due 2026-07-14",
}


@pytest.fixture(autouse=True)
def _published(published):
    """Every test here asks about the published company."""


@pytest.fixture
def crm(client):
    """A client with an act key."""
    client.headers["X-API-Key"] = KEYS["act"]
    return client


def tell(client, kind, account_id="A-1042", key="k-1", **changes):
    """Send one word."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(f"/v1/accounts/{account_id}/{kind}", json=BODIES[kind] | changes, headers=headers)


def problem(response, status, kind):
    """Check a problem and return its detail."""
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{kind}"), response.text
    return Problem.model_validate_json(response.content).detail


@pytest.mark.parametrize("kind", BODIES)
def test_a_word_is_answered_as_it_is_kept_and_stands_in_the_history(crm, kind):
    """With the name of the key, or of the person another system names."""
    response = tell(crm, kind)
    kept = KeptWord.model_validate_json(response.content)
    named = tell(crm, kind, key="k-2", by="Maya Lindqvist").json()

    assert (kept.account_id, kept.kind, kept.says) == ("A-1042", kind, SAYS[kind])
    assert kept.by.startswith("key-")
    assert KEYS["act"] not in kept.by
    assert kept.request_id == response.headers["x-request-id"]
    answer = crm.get("/v1/accounts/A-1042/history")
    History.model_validate_json(answer.content)
    assert [(each["by"], each["says"]) for each in answer.json()["said"]] == [
        (named["by"], SAYS[kind]),
        (kept.by, SAYS[kind]),
    ]


def test_an_override_and_a_sentiment_are_live_in_every_answer(crm):
    """One account, a score and a list; the model's colour, score and receipt stay."""
    before = crm.get("/v1/accounts/A-1042").json()
    tell(crm, "override", by="Maya")
    tell(crm, "sentiment", key="k-2", by="Zoë")
    answer = crm.get("/v1/accounts/A-1042")
    AccountAnswer.model_validate_json(answer.content)

    own = {"color": "green", "reason": "They signed by mail", "by": "Maya", "until": "2026-08-01"}
    felt = {"value": "happy", "by": "Zoë", "at": "2026-06-30T08:00:00Z"}
    after = answer.json()
    assert after["health"] == before["health"] | {"override": own, "sentiment": felt}
    assert {key: after[key] for key in ("churn", "reasons", "receipt", "actions")} == {
        key: before[key] for key in ("churn", "reasons", "receipt", "actions")
    }
    scored = crm.post("/v1/score", json={"account_ids": ["A-1042"]}).json()["results"][0]["account"]
    (listed,) = crm.get("/v1/accounts", params={"text": "A-1042"}).json()["accounts"]
    assert scored["health"] == listed["health"] == after["health"]


def test_an_override_runs_out_by_the_clock_of_the_service(crm, make_client):
    """On the day after its last one."""
    tell(crm, "override", until="2026-07-02")
    for days, stands in ((2, True), (3, False)):
        later = make_client(clock=lambda days=days: NOW + timedelta(days=days))
        answer = later.get("/v1/accounts/A-1042", headers={"X-API-Key": KEYS["read"]}).json()
        assert (answer["health"]["override"] is not None) == stands


def test_later_pages_of_the_history_repeat_nothing(crm):
    """What people said comes with the first page."""
    tell(crm, "sentiment")
    first = crm.get("/v1/accounts/A-1042/history", params={"limit": 1}).json()

    assert (len(first["said"]), first["next"]) == (1, None)


@pytest.mark.parametrize("kind", BODIES)
def test_a_repeated_word_gets_the_first_answer_and_is_kept_once(crm, store, kind):
    """Whether the key came in the header or the body; with another word it is refused."""
    first = tell(crm, kind).json()
    again = [tell(crm, kind).json(), tell(crm, kind, key=None, idempotency_key="k-1").json()]

    assert [each | {"request_id": ""} for each in again] == [first | {"request_id": ""}] * 2
    assert len(store.said("A-1042")) == 1
    problem(tell(crm, kind, by="Somebody else"), 422, "idempotency-key-reused")
    problem(tell(crm, kind, account_id="A-green"), 422, "idempotency-key-reused")


@pytest.mark.parametrize("kind", BODIES)
def test_who_may_not_or_has_no_key_says_nothing(client, store, kind):
    """A reader is refused, and so is a word without an idempotency key."""
    assert "role act" in problem(tell(client, kind), 403, "wrong-role")
    client.headers["X-API-Key"] = KEYS["act"]
    problem(tell(client, kind, key=None), 400, "idempotency-key-missing")
    assert store.said("A-1042") == []


@pytest.mark.parametrize("account_id", ["nobody", "x" * 300, "%00"])
def test_an_unknown_account_is_404(crm, account_id):
    """The same for ids no database could hold."""
    problem(tell(crm, "sentiment", account_id), 404, "account-not-found")


@pytest.mark.parametrize(
    ("kind", "changes", "pointer"),
    [
        ("override", {"color": "orange"}, "/color"),
        ("override", {"reason": ""}, "/reason"),
        ("override", {"until": 20260801}, "/until"),
        ("sentiment", {"value": "so so"}, "/value"),
        ("sentiment", {"note": "nul\0"}, "/note"),
        ("outcome", {"outcome": "stay"}, "/outcome"),
        ("decision", {"due": "soon"}, "/due"),
        ("decision", {"decided_by": None}, "/decided_by"),
        ("decision", {"why": "because"}, "/why"),
    ],
)
def test_a_wrong_body_names_its_field(crm, store, kind, changes, pointer):
    """422 with a pointer, and nothing is kept."""
    response = tell(crm, kind, **changes)

    problem(response, 422, "invalid-request")
    assert response.json()["errors"][0]["pointer"] == pointer
    assert store.said("A-1042") == []


@pytest.mark.parametrize(
    ("kind", "changes", "account_id", "says"),
    [
        ("override", {"until": None}, "A-1042", "ends some day"),
        ("override", {"until": "2027-08-01"}, "A-1042", "cannot last until"),
        ("outcome", {"checkpoint": 60}, "A-1042", "has not been reached"),
        ("outcome", {}, "A-green", "no checkpoint ahead"),
        ("decision", {"due": "2026-06-01"}, "A-1042", "cannot be due"),
    ],
)
def test_a_word_the_account_cannot_take_is_a_conflict(crm, store, kind, changes, account_id, says):
    """The detail says why; put right, the same key may be used again."""
    assert says in problem(tell(crm, kind, account_id, **changes), 409, "account-conflict")
    assert store.said(account_id) == []
    assert tell(crm, kind).status_code == 200


def test_checkpoints_show_what_was_done_and_said_of_this_term(client, store, crm):
    """A step of another term is not this one's; the last word about a checkpoint stands."""
    steps = [("checkpoint_180", date(2026, 11, 30)), ("checkpoint_90", date(2025, 11, 30))]
    opened = []
    for playbook, renewal_on in steps:
        action_id = action_id_of("A-1042", playbook, "call", renewal_on)
        opened.append(action(action_id, playbook=playbook, kind="checkpoint"))
    publication = store.begin(NOW.date(), NOW, NOW)
    store.write_readings(publication, company())
    store.publish(publication, [ActionEvent("opened", NOW, each) for each in opened])
    for each in opened:
        store.tell(each.action_id, Complete(), "Maya", NOW)
    tell(crm, "outcome", outcome="leave", by="Noor")
    tell(crm, "outcome", key="k-2", by="Maya")

    answer = crm.get("/v1/renewals", params={"text": "A-1042"})
    RenewalList.model_validate_json(answer.content)
    found = {each["checkpoint"]: each for each in answer.json()["renewals"][0]["renewal"]["checkpoints"]}
    assert [each["done_on"] for each in found.values()] == ["2026-06-30", None, None, None, None]
    assert found[90]["outcome"] == {"outcome": "expand", "by": "Maya", "at": "2026-06-30T08:00:00Z"}
    assert {each["outcome"] for days, each in found.items() if days != 90} == {None}


def test_evidence_is_there_once_its_step_was_done_in_this_term(client, store, crm, browser):
    """Before that it is missing, or nobody can tell; the same step of the last term shows nothing."""

    def evidence():
        page = crm.get("/v1/renewals", params={"text": "A-1042"}).json()
        checkpoints = page["renewals"][0]["renewal"]["checkpoints"]
        return {one["evidence"]: one for each in checkpoints for one in each["evidence"]}

    before = evidence()
    assert (before["commercial_path"]["there"], before["plan"]["there"]) == (False, None)
    assert "✗ Missing: Commercial path and its owner agreed" in read(browser.get(PAGE))
    assert "? Cannot tell: Mitigation or expansion plan" in read(browser.get(PAGE))

    steps = {"commercial_path": (90, date(2025, 11, 30)), "decide_plan": (60, date(2026, 11, 30))}
    opened = []
    for step, (days, renewal_on) in steps.items():
        name = f"checkpoint_{days}"
        opened.append(
            action(
                action_id_of("A-1042", name, step, renewal_on), playbook=name, kind="checkpoint", step=step
            )
        )
    publication = store.begin(NOW.date(), NOW, NOW)
    store.write_readings(publication, company())
    store.publish(publication, [ActionEvent("opened", NOW, each) for each in opened])
    for each in opened:
        store.tell(each.action_id, Complete(), "Maya", NOW)

    after = evidence()
    assert after["commercial_path"] == before["commercial_path"]
    assert after["plan"] == before["plan"] | {"there": True, "on": "2026-06-30", "seen_in": "step"}
    assert "✓ Mitigation or expansion plan, 30 June 2026, by the step that was done" in read(
        browser.get(PAGE)
    )


def test_the_page_says_what_onboarding_waits_for(client, store, browser):
    """Only of accounts somebody still asks it of."""
    assert "Before onboarding starts" not in read(browser.get(PAGE))
    publication = store.begin(NOW.date(), NOW, NOW)
    store.write_readings(publication, company())
    starts = [
        {"criterion": "owner", "label": "Owner assigned", "met": True, "says": None},
        {"criterion": "kickoff", "label": "Kickoff booked", "met": False, "says": "No kickoff has a date."},
        {"criterion": "signed", "label": "Signed contract known", "met": None, "says": None},
    ]
    store.write_onboarding_starts(publication, {"A-1042": starts})
    store.publish(publication, [])

    page = read(browser.get(PAGE))
    assert "Before onboarding starts ✓ Owner assigned ✗ No kickoff has a date. ? Cannot tell: Signed" in page


FORMS = {
    "override": BODIES["override"],
    "sentiment": BODIES["sentiment"],
    "outcome": {"outcome": "expand", "note": ""},
    "decision": BODIES["decision"],
}
SHOWN = {
    "override": "Maya set this account to green: “They signed by mail”, until 1 August 2026.",
    "sentiment": "Maya on 30 June 2026: happy.",
    "outcome": "What a checkpoint came to: 90 days before 2026-11-30: renews for more",
    "decision": "Offer two years decided by Ada Quist on 30 June 2026. Next: Send the paper, due 14 July",
}


def fill_in(browser, kind, **changes):
    """Fill in a form of the page and send it."""
    path = f"{PAGE}/say/{kind}"
    return browser.post(
        path, data={**form_of(browser.get(PAGE), path), **FORMS[kind], "by": "Maya", **changes}
    )


@pytest.mark.parametrize("kind", FORMS)
def test_a_form_keeps_the_word_and_the_page_shows_it(actor, store, kind):
    """Sent twice it is said once; the browser is led back to where it was."""
    path = f"{PAGE}/say/{kind}"
    data = {**form_of(actor.get(PAGE), path), **FORMS[kind], "by": "Maya"}
    responses = [actor.post(path, data=data) for _ in range(2)]

    assert {(each.status_code, each.headers["location"]) for each in responses} == {
        (303, f"{PAGE}?said={kind}#people")
    }
    text = read(actor.get(responses[0].headers["location"]))
    assert SHOWN[kind] in text
    assert f"{SAYS[kind]} by Maya" in text
    assert [each.says for each in store.said("A-1042")] == [SAYS[kind]]


def test_the_colour_people_set_can_be_ended_on_the_page(actor):
    """Only where one stands does the form offer it."""
    assert "end the colour" not in read(actor.get(PAGE))
    fill_in(actor, "override")
    assert "end the colour" in read(actor.get(PAGE))
    fill_in(actor, "override", color="none", reason="Not so")

    assert "set this account" not in read(actor.get(PAGE))


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("override", {"until": ""}),
        ("override", {"reason": " "}),
        ("decision", {"due": "soon"}),
        ("sentiment", {"note": "x" * 1_001}),
    ],
)
def test_a_form_that_says_too_little_shows_the_page_with_the_reason(actor, store, kind, changes):
    """409, and nothing is kept."""
    response = fill_in(actor, kind, **changes)

    assert '<p class="fault"' in response.text
    read(response, 409)
    assert store.said("A-1042") == []


def test_who_only_reads_sees_no_form_and_cannot_send_one(browser, store):
    """A decision is shown to everybody."""
    assert "/say/" not in browser.get(PAGE).text
    token = {"token": "0" * 64, "key": "k"}
    assert browser.post(f"{PAGE}/say/sentiment", data={**token, "value": "happy"}).status_code == 403
    assert browser.post(f"{PAGE}/say/nonsense", data=token).status_code == 404
    assert store.said("A-1042") == []
