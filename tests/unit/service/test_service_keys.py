"""Who is let through where: every route of the table with every kind of key, and keys that come and go."""

from __future__ import annotations

import logging
import re
from datetime import date, timedelta

import pytest
from browsing import signed_in
from fastapi.routing import iter_route_contexts
from published_company import KEYS, NOW, TestClient

from lifecycle_ml.errors import StoreError
from lifecycle_ml.service import key_ring
from lifecycle_ml.service.app import create_app
from lifecycle_ml.service.key_ring import FRESH_SECONDS, KeyRing
from lifecycle_ml.settings import ROLES, ApiKey, Settings
from lifecycle_ml.workspace import Workspace, standard_root

HOUR = timedelta(hours=1)
OPEN = {
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/metrics",
    "/docs",
    "/static/style.css",
    "/sign-in",
    "/sign-out",
    "/problems/{kind}",
}
"""Addresses that answer without a key: for operators, for reading about the API, and the way in."""
READ_BY_POST = {"/v1/score", "/v1/what-if"}
"""Questions too long for an address."""


def route_table():
    """Every (method, path) the service answers, from the application itself."""
    root = standard_root()
    app = create_app(Settings.read(root, {}), Workspace(root, root))
    return sorted(
        (method, route.path)
        for route in iter_route_contexts(app.routes)
        for method in route.methods - {"HEAD", "OPTIONS"}
    )


TABLE = route_table()
MACHINES = [(method, path) for method, path in TABLE if path.startswith("/v1/")]
PAGES = [(method, path) for method, path in TABLE if path not in OPEN and not path.startswith("/v1/")]


def ask(client, method, path, key=None, **more):
    """Ask a route of the table, with something in the place of its parameters."""
    address = re.sub(r"\{[^}]*\}", "act-1", path.replace("{account_id:path}", "A-1042"))
    headers = {} if key is None else {"X-API-Key": key}
    body = {"json": {}} if method in {"POST", "PUT", "PATCH", "DELETE"} else {}
    return client.request(method, address, headers=headers, **body | more)


def needed(method, path):
    """The smallest role a route is for: what changes something needs act."""
    return "read" if method == "GET" or path in READ_BY_POST else "act"


@pytest.fixture
def service(published, make_client):
    """The service over the published company."""
    return make_client()


@pytest.fixture
def ended(store):
    """Keys that worked once: revoked, run out, and exchanged without overlap."""
    keys = store.keys()
    found = {"revoked": keys.create("gone", "admin", NOW)}
    keys.revoke("gone", NOW)
    found["expired"] = keys.create("old", "admin", NOW, lasts=HOUR)
    found["exchanged"] = keys.create("rotated", "admin", NOW)
    keys.rotate("rotated", NOW, timedelta())
    return found


def test_the_table_has_what_it_is_read_for():
    """An empty list would test nothing; an address open to all is open on purpose."""
    assert len(MACHINES) >= 14
    assert len(PAGES) >= 6
    assert {path for _, path in TABLE} >= OPEN
    assert {method for method, _ in TABLE} == {"GET", "POST"}


@pytest.mark.parametrize(("method", "path"), MACHINES)
def test_every_route_with_every_kind_of_key(service, ended, method, path):
    """No key, a wrong one, one that ended: 401, before anything else is looked at; a role too small: 403."""
    for key in (None, "", "wrong-key-0123456789", *ended.values()):
        refused = ask(service, method, path, key)
        assert (refused.status_code, refused.json()["type"]) == (401, "/problems/no-key")
    for role in ROLES:
        answer = ask(service, method, path, KEYS[role])
        if ROLES.index(role) < ROLES.index(needed(method, path)):
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/wrong-role")
        else:
            assert answer.status_code not in {401, 403, 404, 405, 500} or (
                answer.status_code == 404 and answer.json()["type"] != "/problems/not-found"
            )


@pytest.mark.parametrize(("method", "path"), PAGES)
def test_every_page_asks_who_is_there(service, method, path):
    """A key in the header is not a session, and neither is none."""
    for key in (None, KEYS["admin"]):
        answer = ask(service, method, path, key)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in?next=")


@pytest.mark.parametrize("where", ["key", "api_key", "X-API-Key", "token"])
def test_a_key_in_the_address_opens_nothing(service, where):
    """Addresses end up in logs and histories."""
    assert service.get("/v1/accounts", params={where: KEYS["admin"]}).status_code == 401


def test_a_stored_key_opens_what_its_role_may_and_names_its_caller(service, store):
    """In the ledger stands the name, not the key; the day of its use is kept."""
    key = store.keys().create("Salesforce", "act", NOW)
    done = service.post(
        "/v1/actions/act-1/complete", json={"idempotency_key": "1"}, headers={"X-API-Key": key}
    )

    assert done.status_code == 200
    assert store.ledger("A-1042")[-1]["by"] == "Salesforce"
    assert store.keys().all()[0].last_used_on == date(2026, 6, 30)


def test_keys_that_are_made_exchanged_and_revoked_while_the_service_runs(
    published, store, settings, workspace
):
    """Two workers, neither restarted: each goes by what it read for two seconds, and no longer."""
    keys = store.keys()
    tick = [0.0]
    workers = [
        KeyRing(settings.api_keys, keys, lambda: NOW, lambda: tick[0]),
        KeyRing((), keys, lambda: NOW, lambda: tick[0]),
    ]
    assert [bool(worker) for worker in workers] == [True, False]
    first = keys.create("crm", "act", NOW)
    assert [worker.caller(first) for worker in workers] == [None, None]

    tick[0] += FRESH_SECONDS
    assert {worker.caller(first).name for worker in workers} == {"crm"}
    second = keys.rotate("crm", NOW, HOUR)
    tick[0] += FRESH_SECONDS
    assert all(worker.caller(key).role == "act" for worker in workers for key in (first, second))

    keys.revoke("crm", NOW)
    tick[0] += FRESH_SECONDS
    assert [worker.caller(key) for worker in workers for key in (first, second)] == [None] * 4
    assert workers[0].caller(KEYS["read"]).role == "read"


def test_while_the_store_does_not_answer_no_key_is_good(store):
    """One that was revoked a moment ago must not get in through a fault of the store."""

    class Away:
        def all(self):
            raise StoreError("away")

    ring = KeyRing([ApiKey("read", KEYS["read"])], Away(), lambda: NOW)
    with pytest.raises(StoreError):
        ring.caller(KEYS["read"])


def test_failing_to_keep_the_day_of_use_refuses_nobody(store, monkeypatch):
    """Reading does not stop because a run holds the write lock."""
    key = store.keys().create("crm", "read", NOW)
    ring = KeyRing((), store.keys(), lambda: NOW)
    monkeypatch.setattr(
        "lifecycle_ml.store.keys.Keys.used", lambda *_: (_ for _ in ()).throw(StoreError("busy"))
    )

    assert ring.caller(key).name == "crm"


def test_keys_are_compared_in_constant_time(monkeypatch):
    """Every known key is compared, whichever matches, by a function made for it."""
    asked = []
    real = key_ring.hmac.compare_digest
    monkeypatch.setattr(key_ring.hmac, "compare_digest", lambda a, b: asked.append(1) or real(a, b))
    ring = KeyRing([ApiKey(role, key) for role, key in KEYS.items()])

    for key in (KEYS["read"], KEYS["admin"], "wrong-key-0123456789"):
        asked.clear()
        ring.caller(key)
        assert len(asked) == len(KEYS)


def test_no_key_in_any_log_or_answer(settings, workspace, store, published, caplog):
    """Whatever is asked, and whichever way it fails."""
    key = store.keys().create("crm", "read", NOW)
    secrets = [key, *KEYS.values()]
    with (
        caplog.at_level(logging.DEBUG),
        TestClient(create_app(settings, workspace, clock=lambda: NOW)) as client,
    ):
        said = [ask(client, method, path, secret).text for method, path in MACHINES for secret in secrets]
    assert not [secret for secret in secrets if secret in caplog.text or any(secret in text for text in said)]


def test_a_session_ends_with_its_key(published, store, settings, workspace):
    """Signed in with a stored key, revoked: the page asks again, though the cookie is whole."""
    key = store.keys().create("Maya", "act", NOW)
    with TestClient(create_app(settings, workspace, clock=lambda: NOW), follow_redirects=False) as client:
        signed_in(client, key=key)
        assert client.get("/accounts").status_code == 200
        store.keys().revoke("Maya", NOW)
        client.app.state.serving.keys._stale_at = None
        assert client.get("/accounts").status_code == 303


def test_a_key_has_its_calls_a_minute_and_is_told_how_many_are_left(published, store, make_client):
    """In headers as the draft says; then 429 and when to go on; both keys of a name share them."""
    client = make_client()
    first = store.keys().create("crm", "read", NOW, per_minute=3)
    second = store.keys().rotate("crm", NOW, 10 * HOUR)
    tick = [100.0]
    client.app.state.serving.budgets._timer = lambda: tick[0]

    left = []
    for key in (first, second, first):
        answer = client.get("/v1/accounts", headers={"X-API-Key": key})
        assert answer.headers["ratelimit-policy"] == '"key";q=3;w=60'
        left.append(answer.headers["ratelimit"])
        tick[0] += 10
    assert left == ['"key";r=2;t=60', '"key";r=1;t=50', '"key";r=0;t=40']

    refused = client.get("/v1/accounts", headers={"X-API-Key": second})
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-requests")
    assert (refused.headers["retry-after"], refused.headers["ratelimit"]) == ("30", '"key";r=0;t=30')
    tick[0] += 30
    assert client.get("/v1/accounts", headers={"X-API-Key": second}).headers["ratelimit"] == '"key";r=2;t=60'


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/score", {"account_ids": ["A-1042"]}, 200),
        ("GET", "/v1/accounts", None, 200),
        ("GET", "/v1/accounts/A-1042", None, 200),
        ("GET", "/v1/accounts/A-1042/history", None, 200),
        ("POST", "/v1/accounts/A-1042/sentiment", {"value": "happy", "idempotency_key": "k"}, 200),
        ("GET", "/v1/renewals", None, 200),
        ("GET", "/v1/triggers", None, 200),
        ("GET", "/v1/actions", None, 200),
        ("POST", "/v1/actions/act-1/complete", {"idempotency_key": "k"}, 200),
        ("GET", "/v1/models", None, 200),
        ("GET", "/v1/accounts/A-none", None, 404),
        ("GET", "/v1/accounts?limit=0", None, 422),
        ("GET", "/v1/monitoring", None, 404),
    ],
)
def test_every_answer_says_in_its_body_what_its_headers_say(
    published, store, make_client, method, path, body, status
):
    """Where headers cannot be read, the body has the calls left; the second answer has one less."""
    client = make_client()
    client.headers["X-API-Key"] = store.keys().create("crm", "act", NOW, per_minute=9)
    for left in (8, 7):
        answer = client.request(method, path, json=body)
        budget = answer.json()["budget"]

        assert (answer.status_code, budget["limit"], budget["remaining"]) == (status, 9, left)
        assert answer.headers["ratelimit"] == f'"key";r={left};t={budget["resets_in"]}'


def test_a_refused_call_says_in_its_body_when_the_next_may_come(published, store, make_client):
    """As `Retry-After` does."""
    client = make_client()
    client.headers["X-API-Key"] = store.keys().create("crm", "read", NOW, per_minute=1)
    client.get("/v1/models")
    refused = client.get("/v1/models")

    assert refused.status_code == 429
    assert refused.json()["budget"] == {
        "limit": 1,
        "remaining": 0,
        "resets_in": int(refused.headers["retry-after"]),
    }


def test_what_is_said_of_a_call_is_no_part_of_the_tag(published, store, make_client):
    """Each call leaves one less, and the list is still the same."""
    client = make_client()
    client.headers["X-API-Key"] = store.keys().create("crm", "read", NOW, per_minute=9)
    tag = client.get("/v1/accounts").headers["etag"]

    unchanged = client.get("/v1/accounts", headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.headers["ratelimit"][:9]) == (304, '"key";r=7')


def test_a_limit_is_a_keys_own(published, store, make_client):
    """Another key goes on, and one without a limit is told of none; without a key nobody is counted."""
    client = make_client()
    small = store.keys().create("small", "read", NOW, per_minute=1)
    free = store.keys().create("free", "read", NOW, per_minute=None)
    statuses = [
        client.get("/v1/accounts", headers={"X-API-Key": key}).status_code
        for key in (small, small, free, free)
    ]

    assert statuses == [200, 429, 200, 200]
    for key in (free, KEYS["read"], "wrong-key-0123456789"):
        answer = client.get("/v1/accounts", headers={"X-API-Key": key})
        assert "ratelimit" not in answer.headers
        assert answer.json()["budget"] is None


def test_every_change_is_logged_once_with_its_caller_and_request(published, store, make_client):
    """A repeated call, a refused one and a question are no changes."""
    client = make_client()
    key = store.keys().create("crm", "act", NOW)
    calls = [
        ("/v1/actions/act-1/complete", {"idempotency_key": "1"}),
        ("/v1/actions/act-1/complete", {"idempotency_key": "1"}),
        ("/v1/actions/act-1/complete", {"idempotency_key": "2"}),
        ("/v1/actions/act-2/dismiss", {}),
        ("/v1/score", {"account_ids": ["A-1042"]}),
        ("/v1/accounts/A-1042/sentiment", {"value": "happy", "idempotency_key": "3"}),
    ]
    for number, (path, body) in enumerate(calls):
        client.post(path, json=body, headers={"X-API-Key": key, "X-Request-ID": f"call-{number}"})

    logged = [(each.who, each.did, each.target, each.request_id) for each in store.audit_log()]
    assert logged == [
        ("crm", "sentiment", "A-1042", "call-5"),
        ("crm", "complete", "act-1", "call-0"),
        ("", "key created", "crm", ""),
    ]
    assert [each.did for each in store.audit_log("crm", NOW, 1)] == ["sentiment"]
    assert store.audit_log(since=NOW + 20 * HOUR) == []
