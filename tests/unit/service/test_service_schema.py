"""The exported descriptions against their standards and against what importers say of their limits."""

from __future__ import annotations

import json
import re

import pytest
from openapi_schema_validator import OAS30ReadValidator
from openapi_spec_validator import (
    OpenAPIV2SpecValidator,
    OpenAPIV30SpecValidator,
    OpenAPIV31SpecValidator,
)
from published_company import AS_OF, KEYS, NOW
from referencing import Registry
from referencing.jsonschema import DRAFT4

from lifecycle_ml.service.api import examples
from lifecycle_ml.service.api.revenue import EXAMPLE as STATEMENT
from lifecycle_ml.service.api.scoreboard import EXAMPLE as SCOREBOARD
from lifecycle_ml.service.app import create_app
from lifecycle_ml.service.hubspot import KEY_GOES_HERE, OUTPUTS, hubspot_action
from lifecycle_ml.service.schema import plain_openapi, swagger
from lifecycle_ml.settings import Settings
from lifecycle_ml.workspace import Workspace, standard_root

OPERATIONS = {
    "scoreAccounts": "post /v1/score",
    "askWhatIf": "post /v1/what-if",
    "listAccounts": "get /v1/accounts",
    "getAccount": "get /v1/accounts/{account_id}",
    "getAccountHistory": "get /v1/accounts/{account_id}/history",
    "getAccountChanges": "get /v1/accounts/{account_id}/changes",
    "overrideAccountColour": "post /v1/accounts/{account_id}/override",
    "sayAccountSentiment": "post /v1/accounts/{account_id}/sentiment",
    "sayCheckpointOutcome": "post /v1/accounts/{account_id}/outcome",
    "sayReviewDecision": "post /v1/accounts/{account_id}/decision",
    "listRenewals": "get /v1/renewals",
    "listTriggers": "get /v1/triggers",
    "listActions": "get /v1/actions",
    "completeAction": "post /v1/actions/{action_id}/complete",
    "dismissAction": "post /v1/actions/{action_id}/dismiss",
    "snoozeAction": "post /v1/actions/{action_id}/snooze",
    "assignAction": "post /v1/actions/{action_id}/assign",
    "getModels": "get /v1/models",
    "getMonitoring": "get /v1/monitoring",
    "getRevenue": "get /v1/revenue",
    "getTriggerScoreboard": "get /v1/triggers/scoreboard",
}
"""What flows, Apex classes and connectors out there are built on: a name may be added, none may change."""
SERVER = "https://lifecycle.acme.example/risk"


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """The description the service gives of itself, as text: it is the same for every test."""
    folder = tmp_path_factory.mktemp("described")
    settings = Settings.read(folder, {"LIFECYCLE_API_KEYS": f"read:{KEYS['read']}"})
    workspace = Workspace(root=folder, standard=standard_root())
    return json.dumps(create_app(settings, workspace).openapi())


@pytest.fixture
def own(described):
    """The description the service gives of itself."""
    return json.loads(described)


@pytest.fixture(params=["3.0", "2.0"])
def made(request, own):
    """Each of the two descriptions for importers."""
    return plain_openapi(own, SERVER) if request.param == "3.0" else swagger(own, SERVER)


def operations(document):
    """Yield (operation id, method and path, operation)."""
    for path, found in document["paths"].items():
        for method, operation in found.items():
            yield operation["operationId"], f"{method} {path}", operation


def every(value, path=()):
    """Yield (path, node) of everything in a document."""
    yield path, value
    if isinstance(value, dict):
        for key, each in value.items():
            yield from every(each, (*path, key))
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from every(each, (*path, at))


def shapes(document):
    """Return the named shapes."""
    return document.get("definitions") or document["components"]["schemas"]


def test_names_of_operations_do_not_change(own, made):
    """Renaming one breaks every flow that calls it."""
    assert OPERATIONS.items() <= {name: where for name, where, _ in operations(made)}.items()
    mine = {name: where for name, where, _ in operations(own)}
    assert OPERATIONS.items() <= mine.items()
    assert len(mine) == sum(1 for _ in operations(own))


def test_every_answer_says_which_call_it_was_and_what_its_key_may_still_do(own, made):
    """In our description and in those importers take."""
    for document in (own, made):
        for name, _, operation in operations(document):
            answer = operation["responses"]["200"]
            if not name.endswith(("Health", "Readiness", "Metrics")):
                schema = (
                    answer["schema"]
                    if "schema" in answer
                    else answer["content"]["application/json"]["schema"]
                )
                told = shapes(document)[schema["$ref"].rpartition("/")[2]]["properties"].keys()
                assert {"request_id", "budget"} <= told, name


def test_each_description_keeps_its_standard(own):
    """Held against the schemas of the three standards by openapi-spec-validator."""
    for validator, document in (
        (OpenAPIV31SpecValidator, own),
        (OpenAPIV30SpecValidator, plain_openapi(own)),
        (OpenAPIV2SpecValidator, swagger(own)),
    ):
        assert [error.message for error in validator(json.loads(json.dumps(document))).iter_errors()] == []


def test_every_value_has_one_type_or_none(made):
    """No alternatives, no lists of types, no type null, nothing pydantic writes for its own sake."""
    unknown = {"anyOf", "oneOf", "allOf", "const", "title", "pattern", "$defs", "examples", "not"}
    for path, node in every({key: made[key] for key in made if key != "info"}):
        if not isinstance(node, dict) or (path and path[-1] == "properties"):
            continue
        assert not unknown & set(node), path
        assert isinstance(node.get("type", ""), str | dict), path
        assert node.get("type") != "null", path
        assert ("nullable" in node) <= ("openapi" in made), path
        if "$ref" in node:
            assert set(node) == {"$ref"}, path
    untyped = {
        (path[-3], path[-1])
        for path, node in every(shapes(made))
        if len(path) > 2 and path[-2] == "properties" and not {"type", "$ref"} & set(node)
    }
    assert untyped == {
        ("AskedChange", "value"),
        ("Evidence", "value"),
        ("FeatureChange", "after"),
        ("FeatureChange", "before"),
        ("MadeChange", "after"),
        ("MadeChange", "before"),
    }


def test_names_are_identifiers(made):
    """Of actions, shapes, fields, parameters: letters, digits, single underscores; one case style each."""
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name) for name, _, _ in operations(made))
    assert all(re.fullmatch(r"([A-Z][a-z]+)+", name) for name in shapes(made))
    names = {name for shape in shapes(made).values() for name in shape.get("properties", {})}
    names |= {
        each["name"] for _, _, operation in operations(made) for each in operation.get("parameters", ())
    }
    assert len(names) > 100
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)] == []


def test_texts_are_short_enough(made):
    """Salesforce cuts a description at 1,333 characters; Power Platform shows 80 of a summary."""
    for path, node in every(made):
        if path and path[-1] == "description" and isinstance(node, str):
            assert 0 < len(node) <= 1_333, path
    for name, _, operation in operations(made):
        assert 0 < len(operation["summary"]) <= 80, name
        assert operation["description"], name
        assert all(each["description"] for each in operation.get("parameters", ())), name
    assert 30 <= len(made["info"]["description"]) <= 500
    assert len(json.dumps(made)) < 1_000_000


def test_nothing_but_the_key_comes_from_headers(made):
    """No header parameter; what a change needs once is a field its body must have."""
    changes = 0
    for _, where, operation in operations(made):
        parameters = operation.get("parameters", ())
        assert {each["in"] for each in parameters} <= {"path", "query", "body"}
        body = operation.get("requestBody") or next((e for e in parameters if e["in"] == "body"), None)
        assert (body is None) == where.startswith("get"), where
        if body is None:
            continue
        assert body["required"]
        schema = body.get("schema") or body["content"]["application/json"]["schema"]
        shape = shapes(made)[schema["$ref"].rsplit("/", 1)[1]]
        if where.endswith(("/score", "/what-if")):
            assert "idempotency_key" not in shape["properties"]
            continue
        changes += 1
        assert "idempotency_key" in shape["required"]
        assert shape["properties"]["idempotency_key"]["type"] == "string"
    assert changes == 8
    schemes = made.get("securityDefinitions") or made["components"]["securitySchemes"]
    assert [(each["in"], each["name"]) for each in schemes.values()] == [("header", "X-API-Key")]


def test_answers_are_json_and_every_shape_is_used(made):
    """One media type; references lead somewhere, and nothing is there that none leads to."""
    media = {key for path, node in every(made) if path and path[-1] == "content" for key in node}
    assert media == ({"application/json"} if "openapi" in made else set())
    used = {
        node["$ref"].rsplit("/", 1)[1]
        for _, node in every(made)
        if isinstance(node, dict) and isinstance(node.get("$ref"), str)
    }
    assert used == set(shapes(made))
    for name, _, operation in operations(made):
        assert [code for code in operation["responses"] if code < "400"] == ["200"], name


def test_swagger_says_where_it_is_called(own):
    """Power Platform takes host, base path and scheme from the file, and lists one filter several times."""
    made = swagger(own, SERVER)

    assert (made["host"], made["basePath"], made["schemes"]) == (
        "lifecycle.acme.example",
        "/risk",
        ["https"],
    )
    for _, _, operation in operations(made):
        for each in operation.get("parameters", ()):
            if each.get("type") == "array":
                assert each["collectionFormat"] == "multi"


def without_nulls(value):
    """Return a document as importers read it: what is null is not there."""
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("listAccounts", "/v1/accounts"),
        ("getAccount", "/v1/accounts/A-1042"),
        ("getAccount", "/v1/accounts/A-ruled"),
        ("getAccountHistory", "/v1/accounts/A-1042/history"),
        ("listRenewals", "/v1/renewals"),
        ("listTriggers", "/v1/triggers"),
        ("listActions", "/v1/actions"),
        ("getModels", "/v1/models"),
        ("getRevenue", "/v1/revenue"),
        ("getTriggerScoreboard", "/v1/triggers/scoreboard"),
    ],
)
def test_answers_have_the_shapes_importers_were_told(client, published, store, own, name, path):
    """Types, formats and enumerations of real answers, nulls aside."""
    store.write_statement(AS_OF, NOW, STATEMENT)
    store.write_scoreboard(AS_OF, NOW, SCOREBOARD)
    document = plain_openapi(own)
    for shape in shapes(document).values():
        shape.pop("required", None)
    answer = without_nulls(client.get(path).json())
    operation = next(each for called, _, each in operations(document) if called == name)
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    registry = Registry().with_resource("", DRAFT4.create_resource(document))
    validator = OAS30ReadValidator({**schema, "components": document["components"]}, registry=registry)

    assert [error.message for error in validator.iter_errors(answer)] == []
    assert len(answer) > 2


def test_a_change_as_importers_send_it_is_taken(make_client, published, own):
    """Only what the shape requires, and the key of the change in the body."""
    client = make_client()
    shape = shapes(plain_openapi(own))["Dismissal"]
    body = {name: f"text {name}" for name in shape["required"]}
    response = client.post("/v1/actions/act-2/dismiss", json=body, headers={"X-API-Key": KEYS["act"]})

    assert set(body) == {"reason", "idempotency_key"}
    assert response.status_code == 200


def test_the_hubspot_action_asks_what_exists_and_takes_what_is_there():
    """Its functions read fields an answer has, and give exactly the fields the definition promises."""
    action = hubspot_action(SERVER)
    ask, take = (each["functionSource"] for each in action["functions"])

    assert action["actionUrl"] == f"{SERVER}/v1/score"
    assert f'webhookUrl: "{SERVER}/v1/score"' in ask
    assert f'"X-API-Key": "{KEY_GOES_HERE}"' in ask
    assert set(re.findall(r"event\.inputFields\.(\w+)", ask)) == {
        each["typeDefinition"]["name"] for each in action["inputFields"]
    }
    promised = {each["typeDefinition"]["name"] for each in action["outputFields"]}
    assert promised == set(re.findall(r"(lifecycle_\w+):", take)) == set(OUTPUTS)
    assert set(action["labels"]["en"]["outputFieldLabels"]) == promised
    reason = examples.ACCOUNT["reasons"][0]
    read = {"account": examples.ACCOUNT, "reason": reason, "evidence": reason["evidence"][0]}
    paths = re.findall(r"\b(account|reason|evidence)((?:\.\w+)+)", take)
    assert len(paths) >= 8
    for name, path in paths:
        value = read[name]
        for key in path.strip(".").split("."):
            value = value[key]
