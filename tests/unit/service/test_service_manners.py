"""Compression, tags, time-outs and the quotes of idempotency keys."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from published_company import KEYS, NOW

from lifecycle_ml.service import edge
from lifecycle_ml.service.api.models import Problem
from lifecycle_ml.service.app import create_app


@pytest.fixture(autouse=True)
def _published(published, store):
    """Every test here asks about the published company, of which every kind of report is kept."""
    store.write_verdict(
        NOW.date(), NOW, {"verdict": "do nothing", "evidence": [], "truth_known_through": None}
    )
    store.write_statement(NOW.date(), NOW, {"as_of": str(NOW.date())})
    store.write_scoreboard(NOW.date(), NOW, {"as_of": str(NOW.date()), "triggers": []})


def test_what_did_not_change_is_not_sent_again(client):
    """The same tag gets 304 without a body, wherever the description says so; any other gets the answer."""
    paths = [
        path.replace("{account_id}", "A-1042")
        for path, methods in client.app.openapi()["paths"].items()
        if "304" in methods.get("get", {}).get("responses", {})
    ]
    assert {"/v1/accounts", "/v1/accounts/A-1042", "/v1/revenue"} < set(paths)

    for path in paths:
        first = client.get(path)
        tag = first.headers["etag"]

        assert tag.startswith('W/"'), path
        assert first.headers["cache-control"] == "private, no-cache", path
        for asked in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
            again = client.get(path, headers={"If-None-Match": asked})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), path
            assert again.headers["x-request-id"], path
        for asked in ('W/"other"', "", "nonsense", tag[:-2] + '"'):
            again = client.get(path, headers={"If-None-Match": asked})
            assert again.status_code == 200, path
            assert {**again.json(), "request_id": ""} == {**first.json(), "request_id": ""}, path


def test_a_tag_tells_what_people_did_and_what_time_did(make_client):
    """A finished action, a word of a person and an action that fell due each give another tag."""
    client = make_client()
    late = make_client(clock=lambda: NOW + timedelta(days=3))
    headers = {"X-API-Key": KEYS["act"]}
    paths = ("/v1/accounts/A-1042", "/v1/accounts")
    seen = {path: [client.get(path, headers=headers).headers["etag"]] for path in paths}
    calls = [
        ("/v1/accounts/A-1042/sentiment", {"value": "unhappy", "idempotency_key": "1"}),
        ("/v1/actions/act-1/complete", {"idempotency_key": "2"}),
    ]
    for path, tags in seen.items():
        tags.append(late.get(path, headers=headers).headers["etag"])
    for call, body in calls:
        assert client.post(call, json=body, headers=headers).status_code == 200
        for path, tags in seen.items():
            tags.append(client.get(path, headers=headers).headers["etag"])

    assert [len(set(tags)) for tags in seen.values()] == [4, 4]


@pytest.mark.parametrize("path", ["/v1/changes", "/healthz", "/v1/accounts/nobody"])
def test_other_answers_are_kept_by_nobody(client, path):
    """What is live by the second, or a problem, is stored nowhere."""
    response = client.get(path)

    assert "etag" not in response.headers
    assert response.headers["cache-control"] == "no-store"


def test_answers_to_machines_are_compressed_where_that_is_asked_for(client):
    """Compressed or not, the answer is the same."""
    plain = client.get("/v1/accounts", headers={"Accept-Encoding": "identity"})
    small = client.get("/v1/accounts", headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < len(plain.content) / 2
    assert small.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert small.headers["etag"] == plain.headers["etag"]
    assert {**small.json(), "request_id": ""} == {**plain.json(), "request_id": ""}


def test_pages_are_not_compressed(browser):
    """They hold a form's secret beside what was searched for: its length would give it away."""
    page = browser.get("/accounts", headers={"Accept-Encoding": "gzip"})

    assert page.status_code == 200
    assert len(page.content) > 2_000
    assert "content-encoding" not in page.headers


def test_a_body_that_does_not_arrive_is_given_up(settings, workspace, monkeypatch):
    """Headers and half a body, and then nothing: 408, and the connection is closed."""
    monkeypatch.setattr(edge, "BODY_SECONDS", 0.01)
    sent = []

    async def receive():
        if not given:
            given.append(True)
            return {"type": "http.request", "body": b'{"account', "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message):
        sent.append(message)

    given: list[bool] = []
    app = create_app(settings, workspace)

    async def call():
        async with app.router.lifespan_context(app):
            scope = {
                "type": "http",
                "method": "POST",
                "path": "/v1/score",
                "headers": [(b"content-length", b"100")],
                "query_string": b"",
                "state": {},
            }
            await app(scope, receive, send)

    asyncio.run(call())

    start, body = sent
    problem = Problem.model_validate(json.loads(body["body"]))
    assert (start["status"], problem.type) == (408, "/problems/request-timeout")
    assert (b"connection", b"close") in start["headers"]


def test_the_quotes_of_a_key_are_no_part_of_it(make_client):
    """The draft writes a key in quotes; a body has none, and both mean the same change."""
    client = make_client()
    headers = {"X-API-Key": KEYS["act"]}
    path = "/v1/actions/act-1/complete"
    first = client.post(path, json={}, headers={**headers, "Idempotency-Key": '"crm-1"'})
    again = client.post(path, json={"idempotency_key": "crm-1"}, headers=headers)

    assert first.status_code == 200
    assert {**again.json(), "request_id": ""} == {**first.json(), "request_id": ""}
    empty = client.post(path, json={}, headers={**headers, "Idempotency-Key": '""'})
    assert empty.status_code == 409
