"""Routes that change actions, the calendar, triggers and the verdict."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from published_company import AS_OF, KEYS, NOW, document

from lifecycle_ml.service.api.calendar import RenewalList, TriggerList
from lifecycle_ml.service.api.changes import ChangedAction
from lifecycle_ml.service.api.models import Monitoring, Problem
from lifecycle_ml.store.rows import StoredReading

BODIES = {
    "complete": {"note": "They agreed"},
    "dismiss": {"reason": "They were acquired"},
    "snooze": {"until": "2026-07-09T08:00:00+02:00"},
    "assign": {"owner": "Zoë O'Neill"},
}
BECOMES = {"complete": "done", "dismiss": "dismissed", "snooze": "snoozed", "assign": "open"}


@pytest.fixture(autouse=True)
def _published(published):
    """Every test here asks about the published company."""


@pytest.fixture
def crm(client):
    """A client with an act key."""
    client.headers["X-API-Key"] = KEYS["act"]
    return client


def change(client, name, action_id="act-1", key="k-1", body=None):
    """Send one change."""
    headers = {} if key is None else {"Idempotency-Key": key}
    sent = BODIES[name] if body is None else body
    return client.post(f"/v1/actions/{action_id}/{name}", json=sent, headers=headers)


def words_in(store):
    """The ledger's lines that people wrote."""
    return [each for each in store.ledger("A-1042") if each["by"] != "lifecycle"]


def problem(response, status, kind):
    """Check a problem and return its detail."""
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{kind}"), response.text
    return Problem.model_validate_json(response.content).detail


@pytest.mark.parametrize("name", BODIES)
def test_a_change_answers_the_action_as_it_stands_and_is_in_the_ledger(crm, store, name):
    """The answer has its documented shape, and the scored account shows the change at once."""
    response = change(crm, name)

    assert response.status_code == 200
    changed = ChangedAction.model_validate_json(response.content)
    assert (changed.action_id, changed.account_id, changed.status) == ("act-1", "A-1042", BECOMES[name])
    assert response.json()["request_id"] == response.headers["x-request-id"]
    (line,) = words_in(store)
    assert (
        line["because"]
        == {
            "complete": "They agreed",
            "dismiss": "They were acquired",
            "snooze": "until 2026-07-09 06:00 UTC",
            "assign": "from Maya Lindqvist to Zoë O'Neill",
        }[name]
    )
    listed = {each["action_id"]: each for each in crm.get("/v1/accounts/A-1042").json()["actions"]}
    assert ("act-1" in listed) == (name in {"snooze", "assign"})


def test_work_is_done_without_a_word_too(crm):
    """A note is optional, and so is the body."""
    response = crm.post("/v1/actions/act-1/complete", headers={"Idempotency-Key": "k"})

    assert response.json()["status"] == "done"


@pytest.mark.parametrize("name", BODIES)
def test_a_repeated_change_gets_the_first_answer_and_changes_nothing(crm, store, make_client, name):
    """However often, from another process too, and whether the key came in the header or the body."""
    first = change(crm, name).json()
    other = make_client()
    other.headers["X-API-Key"] = KEYS["act"]
    again = [
        change(crm, name).json(),
        change(other, name).json(),
        change(other, name, key=None, body=BODIES[name] | {"idempotency_key": "k-1"}).json(),
    ]

    assert [each | {"request_id": ""} for each in again] == [first | {"request_id": ""}] * 3
    assert len(words_in(store)) == 1


def test_changes_sent_at_once_with_one_key_are_one(crm, store):
    """The store decides, not the order of arrival."""
    answers = []
    hands = [threading.Thread(target=lambda: answers.append(change(crm, "assign"))) for _ in range(6)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()

    assert [each.status_code for each in answers] == [200] * 6
    assert len(words_in(store)) == 1


@pytest.mark.parametrize(
    ("name", "body", "action_id"),
    [
        ("complete", {"note": "Something else"}, "act-1"),
        ("dismiss", {"reason": "They agreed"}, "act-1"),
        ("complete", {"note": "They agreed"}, "act-2"),
    ],
)
def test_a_key_of_another_change_is_refused(crm, store, name, body, action_id):
    """A reused key is a mistake of the caller, and must not look like an answer."""
    change(crm, "complete")

    problem(change(crm, name, action_id, body=body), 422, "idempotency-key-reused")
    assert len(words_in(store)) == 1


def test_two_callers_may_use_the_same_key(crm, store):
    """Keys belong to whoever made them."""
    change(crm, "assign")
    crm.headers["X-API-Key"] = KEYS["admin"]

    assert change(crm, "assign", body={"owner": "Ada"}).json()["owner"] == "Ada"
    assert len(words_in(store)) == 2


def test_a_key_is_free_again_after_a_day(published, make_client, store):
    """Twenty-four hours, counted by the service's clock."""
    now = [NOW]
    client = make_client(clock=lambda: now[0])
    client.headers["X-API-Key"] = KEYS["act"]
    assert change(client, "assign").status_code == 200
    now[0] = NOW + timedelta(hours=25)

    assert change(client, "assign", body={"owner": "Ada"}).json()["owner"] == "Ada"


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("key", [None, "", "x" * 256, "\x07"])
def test_a_change_without_a_usable_key_is_refused(crm, store, name, key):
    """400, before anything is changed."""
    detail = problem(change(crm, name, key=key), 400, "idempotency-key-missing")

    assert "Idempotency-Key" in detail
    assert words_in(store) == []


@pytest.mark.parametrize("name", BODIES)
def test_a_reader_may_change_nothing(client, store, name):
    """403, whatever the body."""
    assert "role act" in problem(change(client, name), 403, "wrong-role")
    assert words_in(store) == []


@pytest.mark.parametrize(
    ("name", "body", "pointer"),
    [
        ("dismiss", {}, "/reason"),
        ("dismiss", {"reason": ""}, "/reason"),
        ("dismiss", {"reason": "x" * 1_001}, "/reason"),
        ("dismiss", {"reason": "nul\0"}, "/reason"),
        ("complete", {"note": 7}, "/note"),
        ("complete", {"comment": "done"}, "/comment"),
        ("snooze", {"until": "tomorrow"}, "/until"),
        ("snooze", {"until": "2026-07-09T08:00:00"}, "/until"),
        ("assign", {"owner": None}, "/owner"),
    ],
)
def test_a_wrong_body_names_its_field(crm, store, name, body, pointer):
    """422 with a pointer, and nothing is changed."""
    response = change(crm, name, body=body)

    problem(response, 422, "invalid-request")
    assert response.json()["errors"][0]["pointer"] == pointer
    assert words_in(store) == []


@pytest.mark.parametrize("body", [b"{", b'{"reason": "\\ud800"}', b"[]", b"\xff"])
def test_a_body_that_is_no_text_is_refused(crm, store, body):
    """Broken JSON and half characters are the caller's, not a fault of ours."""
    response = crm.post(
        "/v1/actions/act-1/dismiss",
        content=body,
        headers={"Idempotency-Key": "k", "Content-Type": "application/json"},
    )

    problem(response, 422, "invalid-request")
    assert words_in(store) == []


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("snooze", {"until": "2026-06-30T02:00:00Z"}, "cannot sleep until"),
        ("snooze", {"until": "2027-06-30T02:00:00Z"}, "cannot sleep until"),
        ("assign", {"owner": "  "}, "given to nobody"),
        ("dismiss", {"reason": " \t"}, "without a reason"),
    ],
)
def test_a_change_the_action_cannot_take_is_a_conflict(crm, name, body, says):
    """The detail says why; put right, the same key may be used again."""
    assert says in problem(change(crm, name, body=body), 409, "action-conflict")
    assert change(crm, name).status_code == 200


def test_what_is_finished_stays_finished(crm, store):
    """A second word about a finished action is told what became of it."""
    change(crm, "dismiss")

    assert "already dismissed" in problem(change(crm, "complete", key="k-2"), 409, "action-conflict")
    assert len(words_in(store)) == 1


@pytest.mark.parametrize("action_id", ["act-none", "A-1042", "x" * 300, "%00"])
def test_an_unknown_action_is_404(crm, action_id):
    """The same for ids no database could hold."""
    problem(change(crm, "complete", action_id), 404, "action-not-found")


def test_the_queue_has_what_sleeps_and_what_was_dismissed_when_asked(crm):
    """By default it holds what is to be done now."""
    change(crm, "snooze")
    change(crm, "dismiss", "act-2", key="k-2")

    def ids(**question):
        return [each["action_id"] for each in crm.get("/v1/actions", params=question).json()["actions"]]

    assert ids() == ["act-3"]
    assert ids(status="snoozed") == ["act-1"]
    assert ids(status=["dismissed", "done"]) == ["act-2"]


def test_the_calendar_lists_renewals_the_soonest_first_with_their_checkpoints(client):
    """Accounts without a dated renewal are not in it; pages go on where they stopped."""
    answer = client.get("/v1/renewals")
    RenewalList.model_validate_json(answer.content)
    assert [each["account_id"] for each in answer.json()["renewals"]] == ["<A&\"1'>", "A-1042", "A-green"]
    known = answer.json()["renewals"][1]
    assert known["renewal"]["checkpoints"][2] == {
        "checkpoint": 90,
        "falls_on": "2026-06-02",
        "state": "now",
        "done_on": None,
        "outcome": None,
        "evidence": [
            {
                "evidence": "commercial_path",
                "label": "Commercial path and its owner agreed",
                "there": False,
                "on": None,
                "seen_in": None,
                "step": "commercial_path",
            }
        ],
    }
    assert answer.json()["renewals"][0]["renewal"] is None

    first = client.get("/v1/renewals", params={"limit": 2}).json()
    rest = client.get("/v1/renewals", params={"limit": 2, "cursor": first["next"]}).json()
    assert [each["account_id"] for each in rest["renewals"]] == ["A-green"]
    soon = client.get("/v1/renewals", params={"renewal_before": "2026-09-01", "health": "red"}).json()
    assert [each["account_id"] for each in soon["renewals"]] == ["<A&\"1'>"]


def test_triggers_list_accounts_with_signs_of_growth_the_largest_first(client):
    """Accounts without one are not in it."""
    answer = client.get("/v1/triggers")
    TriggerList.model_validate_json(answer.content)
    assert [each["account_id"] for each in answer.json()["accounts"]] == ["<A&\"1'>", "A-1042"]
    assert answer.json()["accounts"][1]["triggers"][0]["trigger"] == "new_department_invited"
    assert (
        client.get("/v1/triggers", params={"text": "north"}).json()["accounts"][0]["name"]
        == "Northwind Traders"
    )


@pytest.mark.parametrize("path", ["/v1/renewals", "/v1/triggers"])
def test_a_list_takes_no_order_and_no_unknown_parameter(client, path):
    """Their order is their meaning."""
    problem(client.get(path, params={"sort": "risk"}), 422, "invalid-request")
    cursor = client.get("/v1/accounts", params={"limit": 1}).json()["next"]
    problem(client.get(path, params={"cursor": cursor}), 422, "invalid-cursor")


def test_the_verdict_is_the_latest_one(client, store):
    """404 until there is one; what the monitor wrote comes back whole."""
    problem(client.get("/v1/monitoring"), 404, "no-verdict")

    verdict = {
        "verdict": "fix feed",
        "evidence": [{"says": "tickets stopped"}],
        "truth_known_through": "2026-03-01",
    }
    store.write_verdict(AS_OF - timedelta(days=7), NOW, verdict | {"verdict": "do nothing"})
    store.write_verdict(AS_OF, NOW, verdict | {"accounts": 12})
    answer = client.get("/v1/monitoring")
    Monitoring.model_validate_json(answer.content)
    assert answer.json() == verdict | {
        "accounts": 12,
        "request_id": answer.headers["x-request-id"],
        "budget": None,
    }


@pytest.mark.parametrize("path", ["/v1/renewals", "/v1/triggers"])
def test_lists_before_the_first_run_say_so(tmp_path, path):
    """503 with what to do, not an empty list that looks like an answer."""
    from published_company import TestClient

    from lifecycle_ml.service.app import create_app
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.workspace import Workspace, standard_root

    settings = Settings.read(tmp_path / "empty", {"LIFECYCLE_API_KEYS": f"read:{KEYS['read']}"})
    with TestClient(create_app(settings, Workspace(tmp_path, standard_root()))) as client:
        response = client.get(path, headers={"X-API-Key": KEYS["read"]})
    problem(response, 503, "nothing-published")


def test_history_tells_stage_and_growth_too(client, store):
    """What changed since shows in the readings."""
    then = AS_OF - timedelta(days=7)
    earlier = store.begin(as_of=then, known_at=NOW, now=NOW - timedelta(days=7), kind="history")
    made = document("A-1042", stage="onboarding", expansion__band=None)
    store.write_readings(earlier, [StoredReading.of(made, state="", risk=0.1)])
    store.publish(earlier, current=False)

    readings = client.get("/v1/accounts/A-1042/history").json()["readings"]
    assert [(each["stage"], each["expansion_band"]) for each in readings] == [
        ("adoption", "medium"),
        ("onboarding", None),
    ]
