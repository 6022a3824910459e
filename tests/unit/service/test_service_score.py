"""POST /v1/score."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from published_company import AS_OF, KEYS, NOW

from lifecycle_ml.errors import TableError
from lifecycle_ml.service.api import examples
from lifecycle_ml.service.api.models import AccountAnswer, Problem, ScoreAnswer, ScoredAccount, ScoreQuestion


@pytest.fixture(autouse=True)
def _published(published):
    """Every test here asks about the published company."""


def ask(client, *ids, **more):
    """Ask for accounts and return the answer, held against its type."""
    response = client.post("/v1/score", json={"account_ids": list(ids)} | more)
    assert response.status_code == 200, response.text
    ScoreAnswer.model_validate_json(response.content)
    return response.json()


def test_every_asked_id_is_answered_in_order_with_its_own_status(client):
    """One unknown account never spoils the others, and an id asked twice is answered twice."""
    answer = ask(client, "A-green", "nobody", "A-1042", "A-lapsed", "A-green")

    assert [(each["account_id"], each["status"]) for each in answer["results"]] == [
        ("A-green", "ok"),
        ("nobody", "not_found"),
        ("A-1042", "ok"),
        ("A-lapsed", "not_scored"),
        ("A-green", "ok"),
    ]
    assert answer["results"][3]["error"]["detail"] == "No recurring contract on 2026-06-30."


def test_a_result_has_an_account_or_an_error_never_both(client):
    """A reader needs to look at one key only."""
    answer = ask(client, "A-1042", "nobody")

    assert [set(each) - {"account_id", "status"} for each in answer["results"]] == [{"account"}, {"error"}]


def test_the_answer_says_as_of_when_it_was_scored_and_its_request(client):
    """Freshness and the request id are in the body, for CRMs that see no headers."""
    answer = ask(client, "A-1042")

    assert (answer["as_of"], answer["scored_at"]) == ("2026-06-30", "2026-06-30T02:00:00Z")
    assert len(answer["request_id"]) == 16


def test_the_account_has_every_key_of_the_contract_with_live_parts_joined(client):
    """Actions, next action and escalation come from the store's tables, not from the stored bytes."""
    account = ask(client, "A-1042")["results"][0]["account"]

    assert set(account) == set(examples.ACCOUNT)
    assert [each["action_id"] for each in account["actions"]] == ["act-1", "act-2"]
    assert account["scorecard"]["next_action"] == "Call the champion and agree a usage plan"
    assert account["scorecard"]["escalation_status"] == "on_track"


def test_hostile_names_and_texts_come_back_as_they_are(client):
    """Text that looks like our own JSON or like markup is only text."""
    account = ask(client, "<A&\"1'>")["results"][0]["account"]

    said = 'said "override":null, <script>alert(1)</script> — 価格'
    assert account["reasons"][0]["evidence"][0]["says"] == said
    assert account["actions"][0]["title"] == "<i>Ask</i> why"
    assert account["health"]["override"] is None


def test_rules_serve_nulls_where_there_is_no_probability(client):
    """Null is null: no zero and no NaN stands for what is not known."""
    churn = ask(client, "A-ruled")["results"][0]["account"]["churn"]

    assert (churn["probability"], churn["lift"], churn["band"]) == (None, None, "medium")


@pytest.mark.parametrize(
    "hostile", ["x" * 100_000, "nul\0", "' OR 1=1 --", " ", "A-1042 ", "..", "%00", "株"]
)
def test_ids_that_cannot_be_are_not_found_and_do_no_harm(client, hostile):
    """Anything that is text may be asked for."""
    answer = ask(client, hostile, "A-1042")

    assert [each["status"] for each in answer["results"]] == ["not_found", "ok"]


def test_two_hundred_ids_are_answered_and_one_more_is_refused(client):
    """The limit is 200 a call."""
    assert len(ask(client, *[f"A-{number}" for number in range(200)])["results"]) == 200
    response = client.post("/v1/score", json={"account_ids": [str(number) for number in range(201)]})

    problem = Problem.model_validate_json(response.content)
    assert (response.status_code, problem.type) == (422, "/problems/invalid-request")
    assert problem.errors[0].pointer == "/account_ids"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[]", ""),
        (b"null", ""),
        (b'"A-1042"', ""),
        (b"\xff\xfe", ""),
        (b"[" * 50_000, ""),
        (b"1" * 5_000, ""),
        (b'{"account_ids": []}', "/account_ids"),
        (b'{"account_ids": "A-1042"}', "/account_ids"),
        (b'{"account_ids": [1]}', "/account_ids/0"),
        (b'{"account_ids": [NaN]}', "/account_ids/0"),
        (b'{"account_ids": [null]}', "/account_ids/0"),
        (b'{"account_ids": [""]}', "/account_ids/0"),
        (b'{"account_ids": ["\\ud800"]}', "/account_ids/0"),
        (b'{"account_ids": ["a"], "as_of": 0}', "/as_of"),
        (b'{"account_ids": ["a"], "as_of": "2026-13-01"}', "/as_of"),
        (b'{"account_ids": ["a"], "as_of": "30.06.2026"}', "/as_of"),
        (b'{"account_ids": ["a"], "refresh": "yes"}', "/refresh"),
        (b'{"account_ids": ["a"], "fresh": true}', "/fresh"),
        (b'{"account_ids": ["a"], "a/b~c\\ud800": true}', None),
    ],
)
def test_a_wrong_body_is_a_problem_that_says_where(client, body, pointer):
    """Never the framework's own shape, never a 500, and nothing that was sent is quoted at length."""
    response = client.post("/v1/score", content=body, headers={"Content-Type": "application/json"})

    problem = Problem.model_validate_json(response.content)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert problem.request_id == response.headers["x-request-id"]
    assert len(response.content) < 2_000
    if pointer is not None:
        assert problem.errors[0].pointer == pointer


def test_an_as_of_reads_that_day_and_a_day_without_publication_scores_nobody(client, store, published):
    """A given as_of is answered from its own publication, or says that there is none."""
    from published_company import AS_OF, NOW, document

    from lifecycle_ml.store.rows import StoredReading

    week = timedelta(days=7)
    earlier = store.begin(as_of=AS_OF - week, known_at=NOW - week, now=NOW - week, kind="history")
    made = document("A-1042", as_of="2026-06-23", health__color="yellow")
    store.write_readings(earlier, [StoredReading.of(made, state="{}", risk=0.2)])
    store.publish(earlier, current=False)

    then = ask(client, "A-1042", "A-green", as_of="2026-06-23")
    assert then["results"][0]["account"]["health"]["color"] == "yellow"
    assert then["results"][1]["status"] == "not_scored"
    assert "its last one is as of 2026-06-30" in then["results"][1]["error"]["detail"]
    never = ask(client, "A-1042", "nobody", as_of="2020-01-01")
    assert [each["status"] for each in never["results"]] == ["not_scored", "not_found"]
    assert (never["as_of"], never["scored_at"]) == ("2020-01-01", None)


def test_refresh_without_the_source_is_refused(client):
    """A service that only reads says so instead of answering something else."""
    response = client.post("/v1/score", json={"account_ids": ["A-1042"], "refresh": True})

    assert (response.status_code, response.json()["type"]) == (422, "/problems/refresh-unavailable")


def test_refresh_answers_what_was_computed_now(make_client):
    """Refreshed documents get their live parts like stored ones; what could not be scored says so."""
    from published_company import KEYS, document

    asked = []

    def refresher(ids, as_of):
        asked.append((ids, str(as_of)))
        return {"A-1042": document("A-1042", churn__probability=0.77)}

    client = make_client(refresher=refresher)
    client.headers["X-API-Key"] = KEYS["read"]
    answer = ask(client, "A-1042", "A-green", "A-lapsed", "nobody", "A-1042", refresh=True)

    assert [each["status"] for each in answer["results"]] == [
        "ok",
        "not_scored",
        "not_scored",
        "not_found",
        "ok",
    ]
    account = answer["results"][0]["account"]
    assert (account["churn"]["probability"], len(account["actions"])) == (0.77, 2)
    assert asked == [(["A-1042", "A-green", "A-lapsed", "nobody"], "2026-06-30")]


def test_a_refresh_that_fails_is_an_error_per_item(make_client):
    """A broken source is told in each result; stored readings are not given out as fresh ones."""
    from published_company import KEYS

    def refresher(_ids, _as_of):
        raise TableError("contracts.sql: column arr is missing")

    client = make_client(refresher=refresher)
    client.headers["X-API-Key"] = KEYS["read"]
    answer = ask(client, "A-1042", "nobody", refresh=True)

    assert [each["status"] for each in answer["results"]] == ["error", "error"]
    assert answer["results"][0]["error"]["detail"] == "contracts.sql: column arr is missing"


def test_a_damaged_reading_is_an_error_of_its_own(client, store):
    """Bytes that are no scored account do not tear the answer of the others."""
    import sqlalchemy as sa

    from lifecycle_ml.store.schema import readings

    with store._engine.begin() as connection:
        connection.execute(
            sa.update(readings).where(readings.c.account_id == "A-green").values(body=b'{"a":1')
        )
    answer = ask(client, "A-green", "A-1042")

    assert [each["status"] for each in answer["results"]] == ["error", "ok"]


def test_nothing_published_is_a_503(make_client, tmp_path, settings, workspace):
    """Before the first run there is nothing to answer, and the answer says what to do."""
    from dataclasses import replace

    from published_company import KEYS, TestClient

    from lifecycle_ml.service.app import create_app

    empty = replace(settings, store_url=f"sqlite:///{tmp_path}/empty.db")
    with TestClient(create_app(empty, workspace)) as client:
        for method, path, body in (
            ("POST", "/v1/score", {"account_ids": ["a"]}),
            ("GET", "/v1/accounts", None),
            ("GET", "/v1/accounts/a", None),
            ("GET", "/v1/models", None),
        ):
            response = client.request(method, path, json=body, headers={"X-API-Key": KEYS["read"]})
            assert (response.status_code, response.json()["type"]) == (503, "/problems/nothing-published")


def test_the_documented_examples_are_valid():
    """What the documentation shows works."""
    account = ScoredAccount.model_validate_json(json.dumps(examples.ACCOUNT))
    assert account.account_id == examples.ACCOUNT["account_id"]
    AccountAnswer.model_validate_json(json.dumps(examples.ACCOUNT_ANSWER))
    ScoreQuestion.model_validate(examples.SCORE_QUESTION)
    Problem.model_validate(examples.PROBLEM)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("churn", "probability"), 1.2),
        (("churn", "band"), "huge"),
        (("health", "color"), "orange"),
        (("health", "inputs", 0, "state"), "meh"),
        (("reasons", 0, "owner_role"), "janitor"),
        (("receipt",), "sha256:abc"),
        (("extra",), 1),
    ],
)
def test_the_contract_refuses_what_it_does_not_allow(path, value):
    """The type of a scored account is strict enough to prove real documents."""
    import copy

    from pydantic import ValidationError

    made = copy.deepcopy(examples.ACCOUNT)
    target = made
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value

    with pytest.raises(ValidationError, match=str(path[-1])):
        ScoredAccount.model_validate_json(json.dumps(made))


def test_an_account_asked_for_again_is_answered_from_memory_until_anything_is_written(client, store):
    """The same answer but for its id and without a thread; what is written is in the next one."""
    first, again = ask(client, "A-1042"), ask(client, "A-1042")
    assert again | {"request_id": None} == first | {"request_id": None}
    assert again["request_id"] != first["request_id"]

    action = again["results"][0]["account"]["actions"][0]["action_id"]
    store.write_verdict(AS_OF, NOW, {"verdict": "do nothing"})
    done = client.post(
        f"/v1/actions/{action}/complete",
        json={"idempotency_key": "once"},
        headers={"X-API-Key": KEYS["act"]},
    )
    assert done.status_code == 200
    left = ask(client, "A-1042")["results"][0]["account"]["actions"]
    assert action not in [each["action_id"] for each in left]


@pytest.mark.parametrize("key", ["wrong-key-0123456789", "", None])
def test_memory_answers_nobody_without_a_key(client, key):
    """The short way asks for the key too."""
    ask(client, "A-1042")
    del client.headers["X-API-Key"]
    headers = {} if key is None else {"X-API-Key": key}
    refused = client.post("/v1/score", json={"account_ids": ["A-1042"]}, headers=headers)

    assert (refused.status_code, refused.json()["type"]) == (401, "/problems/no-key")


def test_memory_counts_the_calls_of_a_key(make_client, store):
    """A limit holds however the answer is found."""
    key = store.keys().create("crm", "read", NOW, per_minute=3)
    client = make_client()
    client.headers["X-API-Key"] = key
    statuses = [client.post("/v1/score", json={"account_ids": ["A-1042"]}).status_code for _ in range(4)]

    assert statuses == [200, 200, 200, 429]
