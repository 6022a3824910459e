"""Keys, roles, problems, limits, health and metrics."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import Depends
from published_company import AS_OF, KEYS, NOW, TestClient, company, document, ruled

from lifecycle_ml.service.api.keys import require
from lifecycle_ml.service.api.models import Problem
from lifecycle_ml.service.api.problems import KINDS
from lifecycle_ml.service.app import create_app
from lifecycle_ml.service.key_ring import Caller, KeyRing
from lifecycle_ml.settings import ApiKey
from lifecycle_ml.store.rows import StoredReading

GET_ROUTES = [
    "/v1/accounts",
    "/v1/accounts/A-1042",
    "/v1/accounts/A-1042/history",
    "/v1/renewals",
    "/v1/triggers",
    "/v1/triggers/scoreboard",
    "/v1/actions",
    "/v1/models",
    "/v1/monitoring",
    "/v1/revenue",
]
POST_ROUTES = [
    "/v1/score",
    "/v1/what-if",
    *(f"/v1/actions/act-1/{name}" for name in ("complete", "dismiss", "snooze", "assign")),
]


@pytest.fixture(autouse=True)
def _published(published):
    """Every test here asks about the published company."""


@pytest.mark.parametrize("path", [*GET_ROUTES, *POST_ROUTES])
@pytest.mark.parametrize(
    "key", [None, "", "wrong-key-0123456789", "Read-key-0123456789", "ümläut", "x" * 5_000]
)
def test_no_route_under_v1_answers_without_a_known_key(make_client, path, key):
    """A missing, a wrong and a mistyped key all get 401, before anything else is looked at."""
    client = make_client()
    headers = {} if key is None else {"X-API-Key": key.encode()}
    response = client.request("POST" if path in POST_ROUTES else "GET", path, headers=headers, json={"a": 1})

    assert (response.status_code, response.json()["type"]) == (401, "/problems/no-key")
    assert "www-authenticate" in response.headers
    assert key is None or len(key) < 5 or key not in response.text


@pytest.mark.parametrize("path", GET_ROUTES)
@pytest.mark.parametrize("role", KEYS)
def test_every_role_may_read(make_client, store, path, role):
    """Roles contain one another."""
    store.write_verdict(AS_OF, NOW, {"verdict": "do nothing", "evidence": [], "truth_known_through": None})
    store.write_statement(AS_OF, NOW, {"as_of": str(AS_OF)})
    store.write_scoreboard(AS_OF, NOW, {"as_of": str(AS_OF), "triggers": []})
    assert make_client().get(path, headers={"X-API-Key": KEYS[role]}).status_code == 200


@pytest.mark.parametrize(
    ("role", "needed", "status"),
    [("read", "act", 403), ("act", "act", 200), ("act", "admin", 403), ("admin", "act", 200)],
)
def test_a_smaller_role_is_refused_with_403(settings, workspace, role, needed, status):
    """The answer names the role that is needed."""
    app = create_app(settings, workspace)

    @app.get("/v1/probe")
    def probe(caller: Caller = Depends(require(needed))) -> str:  # noqa: B008
        return caller.role

    with TestClient(app) as client:
        response = client.get("/v1/probe", headers={"X-API-Key": KEYS[role]})
    assert response.status_code == status
    if status == 403:
        assert response.json()["type"] == "/problems/wrong-role"
        assert f"needs a key of role {needed}" in response.json()["detail"]


def test_a_service_without_keys_lets_nobody_in(settings, workspace):
    """No keys means no access, and the answer says how to set one."""
    with TestClient(create_app(replace(settings, api_keys=()), workspace)) as client:
        response = client.get("/v1/accounts", headers={"X-API-Key": ""})

    assert response.status_code == 401
    assert "LIFECYCLE_API_KEYS" in response.json()["detail"]


def test_keys_are_kept_as_hashes_and_shown_nowhere(client, caplog):
    """Neither the key ring, nor a log line, nor an answer holds a key or an account id."""
    ring = KeyRing([ApiKey("read", KEYS["read"])])
    assert KEYS["read"] not in repr(ring) + repr(vars(ring)) + repr(ring.caller(KEYS["read"]))

    with caplog.at_level(logging.DEBUG, logger="lifecycle_ml"):
        client.get("/v1/accounts/A-1042")
    assert "GET /v1/accounts/{account_id:path} 200" in caplog.text
    assert KEYS["read"] not in caplog.text
    assert "A-1042" not in caplog.text


def test_a_request_id_is_taken_over_or_made(client):
    """A caller's id is kept where it is harmless; everything else gets a new one."""
    assert (
        client.get("/healthz", headers={"X-Request-ID": "crm-42.a_b"}).headers["x-request-id"] == "crm-42.a_b"
    )
    assert client.get("/healthz", headers={"X-Request-ID": "crm-42"}).json()["request_id"] == "crm-42"
    for given in ("a b", "x" * 65, "<script>"):
        made = client.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"]
        assert made != given
        assert len(made) == 16


@pytest.mark.parametrize("declared", [True, False])
def test_an_oversized_body_is_refused_before_it_is_parsed(client, declared):
    """A declared length and a stream that goes on both end at the limit, with the key unread."""

    def stream():
        for _ in range(11):
            yield b"x" * 100_000

    body = b"x" * 1_100_000 if declared else stream()
    response = client.post("/v1/score", content=body)

    problem = Problem.model_validate_json(response.content)
    assert (response.status_code, problem.type) == (413, "/problems/body-too-large")
    assert problem.request_id == response.headers["x-request-id"]


def test_a_wrong_method_says_what_is_allowed(client):
    """405 is a problem document too."""
    response = client.get("/v1/score")

    assert (response.status_code, response.json()["type"]) == (405, "/problems/method-not-allowed")
    assert response.headers["allow"] == "POST"
    assert response.json()["detail"] == "This address does not answer GET; it answers POST."


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/v1/account", " Did you mean /v1/accounts?"),
        ("/v1/Scores/", " Did you mean /v1/score?"),
        ("/v2/accounts", " Did you mean /v1/accounts?"),
        ("/v1/actions/act-1/finish", ""),
        ("/wp-login.php", ""),
    ],
)
def test_a_wrong_address_names_the_nearest_one(client, path, near):
    """A misspelt path, a wrong version and a slash too many are common; a scanner is told nothing."""
    assert client.get(path).json()["detail"] == f"There is nothing at this address.{near}"


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/v1/accounts/", "The id is missing. GET /v1/accounts lists accounts."),
        (
            "/v1/accounts/A-1042/health",
            "No account has this id. Below an account there are /history and /changes.",
        ),
        ("/v1/accounts/A-1043", "No account has this id."),
    ],
)
def test_an_id_that_is_none_says_what_may_have_been_meant(client, published, path, detail):
    """An id may hold slashes, so a path that is too long looks like one."""
    assert client.get(path).json()["detail"] == detail


@pytest.mark.parametrize(
    ("headers", "content", "detail"),
    [
        ({}, b'{"account_ids": ["A"]}', "The body was not read as JSON. Send the header Content-Type: "),
        (
            {"Content-Type": "application/x-www-form-urlencoded"},
            b"account_ids=A",
            "The body was not read as JSON. Send the header Content-Type: application/json.",
        ),
        ({"Content-Type": "application/json"}, b"", "The body is empty. Send a JSON object, and the header"),
        ({"Content-Type": "application/json"}, b'["A"]', "Send a JSON object, in braces."),
    ],
)
def test_a_body_that_is_no_object_says_what_to_send(client, headers, content, detail):
    """What clients forget most: the content type, the body, the object around the list."""
    (fault,) = client.post("/v1/score", content=content, headers=headers).json()["errors"]

    assert fault["detail"].startswith(detail)
    assert fault["pointer"] == ""


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/score"), ("GET", "/v1/models"), ("GET", "/v1/monitoring"), ("GET", "/v1/revenue")],
)
def test_parameters_of_a_route_that_takes_none_are_refused(client, published, method, path):
    """An as_of in the address that nobody reads would look obeyed."""
    body = {"account_ids": ["A-1042"]} if method == "POST" else None
    for _ in range(2):  # the second answer could come from memory
        response = client.request(method, path, params={"as_of": "2026-01-01"}, json=body)

        assert response.status_code == 422
        assert response.json()["errors"] == [
            {"detail": "This address takes no parameters.", "parameter": "as_of"}
        ]


def test_a_key_in_another_header_is_not_read_and_that_is_said(client):
    """Most other services take Authorization."""
    del client.headers["X-API-Key"]
    refused = client.get("/v1/accounts", headers={"Authorization": f"Bearer {KEYS['read']}"})

    assert refused.status_code == 401
    assert "Authorization is not read: send the key itself" in refused.json()["detail"]
    assert client.get("/v1/accounts").json()["detail"] == "The header X-API-Key is missing."


def test_an_instant_without_its_zone_says_how_one_is_written(client):
    """A bare date is taken for one by many."""
    client.headers["X-API-Key"] = KEYS["act"]
    body = {"until": "2026-07-01", "idempotency_key": "k"}
    (fault,) = client.post("/v1/actions/act-1/snooze", json=body).json()["errors"]

    assert fault == {
        "detail": "Write an instant with its zone, such as 2026-12-01T09:00:00Z.",
        "pointer": "/until",
    }


def test_a_fault_of_ours_says_nothing_but_its_request_id(settings, workspace):
    """An unexpected error is a 500 problem without inner details."""
    app = create_app(settings, workspace)

    @app.get("/v1/broken")
    def broken() -> None:
        raise RuntimeError("the secret detail")

    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.get("/v1/broken")
    assert (response.status_code, response.json()["type"]) == (500, "/problems/internal-error")
    assert "secret" not in response.text
    assert response.json()["request_id"] == response.headers["x-request-id"]


def test_a_store_that_does_not_answer_is_a_503(client, store):
    """The database going away is not a 500, and readiness and metrics say so."""
    import sqlalchemy as sa

    from lifecycle_ml.store.schema import metadata

    with store._engine.begin() as connection:
        connection.execute(sa.text("PRAGMA foreign_keys = OFF"))
        metadata.drop_all(connection)

    response = client.get("/v1/accounts")
    assert (response.status_code, response.json()["type"]) == (503, "/problems/store-unavailable")
    assert client.get("/readyz").json()["checks"]["store"] != "ok"
    assert "lifecycle_store_up 0" in client.get("/metrics").text
    assert client.get("/healthz").json()["status"] == "ok"


def test_answers_carry_headers_that_keep_browsers_out_of_trouble(client):
    """No sniffing, no framing, no foreign resource; no copy in a cache, or one that is asked about first."""
    headers = client.get("/v1/accounts").headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "private, no-cache"
    assert client.get("/sign-in").headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]


def test_every_kind_of_problem_has_its_page_and_its_place_in_the_reference(client):
    """A `type` is an address that answers, and the reference names it."""
    reference = (Path(__file__).parents[3] / "docs" / "reference" / "api.md").read_text("utf-8")

    for kind, what in KINDS.items():
        page = client.get(f"/problems/{kind}")
        assert page.status_code == 200
        assert what.title in page.text
        assert f"`/problems/{kind}`" in reference


def test_ready_only_with_a_publication_and_whole_bundles(make_client, settings, store):
    """Readiness names the publication and what is wrong with which bundle."""
    client = make_client()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "is not in the bundles folder" in response.json()["detail"]

    whole = store.begin(as_of=AS_OF, known_at=NOW, now=NOW)
    store.write_readings(whole, [StoredReading.of(ruled("A-ruled"), state="", risk=None)])
    store.publish(whole)
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"]["publication"]["publication_id"] == whole.publication_id


def test_a_tampered_bundle_is_told_and_a_tampered_champion_does_not_stop_serving(
    make_client, settings, store
):
    """What is served must be whole; a broken promoted champion is reported while the previous one serves."""
    digest = document("A")["model"]["churn"]["digest"]
    folder = settings.bundles / digest
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "digest").write_text(digest)
    (settings.bundles / "churn.json").write_text('{"digest": "' + digest + '", "version": "8"}')
    client = make_client()

    broken = client.get("/readyz")
    assert broken.status_code == 503
    assert "changed after it was saved" in broken.json()["detail"]

    whole = store.begin(as_of=AS_OF, known_at=NOW, now=NOW)
    store.write_readings(whole, [StoredReading.of(ruled("A-ruled"), state="", risk=None)])
    store.publish(whole)
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert "changed after it was saved" in ready.json()["checks"]["champions"][0]["fault"]


def test_metrics_count_requests_by_declared_route_and_say_how_old_the_publication_is(client):
    """Account ids are no labels; the age comes from the publication's recorded clock."""
    client.get("/v1/accounts/A-1042")
    client.get("/v1/accounts/nobody")
    text = client.get("/metrics").text

    route = 'route="/v1/accounts/{account_id:path}",method="GET"'
    assert f'lifecycle_requests_total{{{route},status="200"}} 1' in text
    assert f'lifecycle_requests_total{{{route},status="404"}} 1' in text
    assert "lifecycle_publication_age_seconds 21600" in text
    assert 'lifecycle_accounts{health="red"} 2' in text
    assert "A-1042" not in text


def test_openapi_names_operations_and_gives_problems_their_media_type(client):
    """A CRM that imports the schema gets usable names and the truth about errors."""
    schema = client.get("/openapi.json").json()
    operations = [each for path in schema["paths"].values() for each in path.values()]

    assert {
        "scoreAccounts",
        "askWhatIf",
        "listAccounts",
        "getAccount",
        "getAccountHistory",
        "getAccountChanges",
        "listActions",
        "listRenewals",
        "listTriggers",
        "completeAction",
        "dismissAction",
        "snoozeAction",
        "assignAction",
        "getModels",
        "getMonitoring",
        "getRevenue",
        "getTriggerScoreboard",
    } <= {each["operationId"] for each in operations}
    assert "HTTPValidationError" not in str(schema)
    for operation in operations:
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"]


def test_statuses_that_occur_are_documented(client):
    """What these tests have seen of each route is in its schema."""
    responses = client.get("/openapi.json").json()["paths"]["/v1/score"]["post"]["responses"]

    assert set(responses) == {"200", "401", "403", "408", "413", "422", "429", "500", "503"}


def test_the_request_path_imports_no_heavy_library():
    """A service that only reads starts without training, explaining and drift libraries."""
    code = (
        "import sys, lifecycle_ml.service.app\n"
        "heavy = {'mlflow', 'shap', 'evidently', 'lightgbm', 'sklearn', 'pandas', 'duckdb', 'ibis'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_answering_imports_no_heavy_library_either(tmp_path):
    """The same after real requests, score and page included."""
    code = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from fastapi.testclient import TestClient
from lifecycle_ml.service.app import create_app
from lifecycle_ml.settings import Settings
from lifecycle_ml.workspace import Workspace, standard_root
root = Path(sys.argv[1])
settings = Settings.read(root, {"LIFECYCLE_API_KEYS": "read:0123456789abcdef"})
with TestClient(create_app(settings, Workspace(root, standard_root()))) as client:
    client.headers["X-API-Key"] = "0123456789abcdef"
    for path in ("/v1/accounts/A", "/metrics", "/readyz", "/sign-in", "/docs"):
        client.get(path)
    found = client.post("/v1/score", json={"account_ids": ["A-1042"]})
print(found.json()["results"][0]["status"], sorted({"mlflow", "shap", "evidently"} & set(sys.modules)))
"""
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "ok []"


def test_the_lifespan_closes_the_store(settings, workspace):
    """Starting and ending the service twice over works on the same store."""
    app = create_app(settings, workspace, clock=lambda: NOW + timedelta(days=1))
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/v1/models", headers={"X-API-Key": KEYS["read"]}).json()["accounts"] == len(
                company()
            )
