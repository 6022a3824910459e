"""Bodies and addresses nobody means well with: each gets a documented 4xx, and nothing happens."""

from __future__ import annotations

import json

import pytest
from published_company import KEYS

from lifecycle_ml.service.api.models import Problem
from lifecycle_ml.service.api.problems import KINDS

DEEP = 100_000
BODIES = {
    "deep lists": b"[" * DEEP,
    "deep lists, closed": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP,
    "deep objects where ids belong": b'{"account_ids":' * 2_000 + b"1" + b"}" * 2_000,
    "ten megabytes": b'{"account_ids":["' + b"x" * 10_000_000 + b'"]}',
    "ten megabytes of nothing": b" " * 10_000_000,
    "a number of 5,000 digits": b'{"account_ids":[' + b"9" * 5_000 + b"]}",
    "an exponent": b'{"account_ids":[1e400]}',
    "NaN": b'{"account_ids":[NaN]}',
    "NaN alone": b"NaN",
    "infinity": b'{"account_ids":["A"],"as_of":Infinity}',
    "no text": b'{"account_ids":["\xff\xfe"]}',
    "half a character": b'{"account_ids":["\\ud800"],"as_of":"2026-13-01"}',
    "NUL between": b'{"account_ids":["A"]}\x00',
    "NUL as a date": b'{"account_ids":["A"],"as_of":"2026-06-30\\u0000"}',
    "a list": b"[]",
    "a word": b'"account_ids"',
    "null": b"null",
    "nothing": b"",
    "cut off": b'{"account_ids":["A-10',
    "twice": b'{"account_ids":["A"]}{"account_ids":["A"]}',
    "wrong types": b'{"account_ids":{"0":"A"},"as_of":20260630,"refresh":"yes"}',
    "a form": b"account_ids=A-1042",
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "a prototype": b'{"__proto__":{"admin":true},"account_ids":["A"]}',
    "too many ids": json.dumps({"account_ids": ["A"] * 201}).encode(),
    "an empty id": b'{"account_ids":[""]}',
}
IDS = [
    "' OR '1'='1",
    "A-1042'; DROP TABLE readings; --",
    "A-1042\0",
    "%00",
    "../../etc/passwd",
    "{{7*7}}${7*7}",
    "\u202eA-1042",
    "\ud7ff\uffff",
    "x" * 10_000,
    "A-1042 ",
    "a-1042",
]


@pytest.fixture(autouse=True)
def _published(published):
    """Every test here asks about the published company."""


@pytest.fixture
def crm(make_client):
    """The service with a key that may change actions, and a what-if nobody should reach."""
    client = make_client(what_ifs=lambda *_: pytest.fail("a hostile question reached the pipeline"))
    client.headers["X-API-Key"] = KEYS["act"]
    return client


def refused(response, *statuses):
    """Hold a response against the shape of problems, and its status against the documented one."""
    problem = Problem.model_validate_json(response.content)
    assert response.status_code == problem.status in statuses, response.text[:300]
    assert KINDS[problem.type.removeprefix("/problems/")].status == problem.status
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) < 10_000
    return problem


@pytest.mark.parametrize("path", ["/v1/score", "/v1/what-if", "/v1/actions/act-2/dismiss"])
@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_refused(crm, store, path, name):
    """413 over the limit, else 422; the ledger and the readings are as they were."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    refused(crm.post(path, content=BODIES[name], headers=headers), 413 if "ten mega" in name else 422)

    assert {each.status for each in store.actions(["A-1042"])["A-1042"]} == {"open"}


@pytest.mark.parametrize("account_id", IDS)
def test_a_hostile_id_is_just_an_unknown_one(crm, account_id):
    """In a body, in an address, in a filter: nobody has this id, and the others are still there."""
    answer = crm.post("/v1/score", json={"account_ids": [account_id, "A-1042"]}).json()
    assert [each["status"] for each in answer["results"]] == ["not_found", "ok"]

    question = {"account_id": account_id, "changes": [{"feature": "f", "value": 1}]}
    refused(crm.post("/v1/what-if", json=question), 404)

    found = crm.get("/v1/accounts", params={"owner": account_id})
    if found.status_code == 200:
        assert found.json()["accounts"] == []
    else:
        refused(found, 422)
    assert len(crm.get("/v1/accounts").json()["accounts"]) == 5


@pytest.mark.parametrize(
    "path",
    [
        "/v1/accounts/%27%20OR%201%3D1--",
        "/v1/accounts/A-1042%00",
        "/v1/accounts/%ff%fe",
        "/v1/accounts/..%2f..%2fetc%2fpasswd",
        "/v1/accounts/%2e%2e/%2e%2e/etc/passwd",
        "/v1/accounts//",
        "/v1/accounts/" + "x" * 20_000,
        "/v1/accounts/%F0%9F%92%A9/history",
        "/v1/nothing",
        "/v1/accounts/A-1042/history/history",
    ],
)
def test_a_hostile_address_leads_nowhere(crm, path):
    """No such account, or nothing there at all."""
    refused(crm.get(path), 404)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=1e3",
        "limit=99999999999999999999",
        "limit=NaN",
        "sort=arr;DROP TABLE readings",
        "order=sideways",
        "health=purple",
        "renewal_from=0000-00-00",
        "renewal_from=1751241600",
        "cursor=",
        "cursor=AAAA",
        "cursor=" + "A" * 3_000,
        "cursor=%00",
        "text=%00",
        "text=" + "x" * 300,
        "unknown=1",
        "health=red&__proto__=1",
    ],
)
def test_a_hostile_parameter_is_refused(crm, query):
    """Each with 422, whatever it tries."""
    refused(crm.get(f"/v1/accounts?{query}"), 422)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "x" * 60_000},
        {"X-API-Key": "' OR '1'='1"},
        {"X-API-Key": "\u00e9".encode("latin-1")},
    ],
)
def test_a_hostile_key_is_no_key(crm, headers):
    """401, and the key is not said again."""
    response = crm.get("/v1/accounts", headers=headers)

    refused(response, 401)
    assert "OR" not in response.text


def test_a_hostile_request_id_is_replaced(crm):
    """What would break a log line is not taken over."""
    response = crm.get("/v1/accounts", headers={"X-Request-ID": "a\tb; Set-Cookie: c=d"})

    assert "Set-Cookie" not in response.headers["x-request-id"]
