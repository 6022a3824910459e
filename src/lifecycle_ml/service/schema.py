"""The description of the API for those who import it: OpenAPI 3.0.3 and Swagger 2.0, made of our 3.1.

Salesforce External Services reads 2.0 and a subset of 3.0, Power Platform reads 2.0. Both make of each shape
a type, and of each operation an action of that name, so the two are plain: one type for each value, names
that are identifiers, and nothing to send in a header but the key. What has several types (a feature's value)
is left without one, which both take for anything. Null is said of a value and not of a reference; both read
what is null as absent.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SERVER: Final = "https://lifecycle.example.com"
LONGEST_DESCRIPTION: Final = 1_333
"""Characters: Salesforce keeps no more of one (help.salesforce.com, Naming and Description Conventions)."""
LONGEST_SUMMARY: Final = 80
"""Characters: what Power Platform shows of a summary."""

_KEPT: Final = (
    "type",
    "format",
    "enum",
    "default",
    "description",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "required",
)
_REFERENCE: Final = "#/components/schemas/"


def plain_openapi(document: Mapping[str, Any], server: str = SERVER) -> dict[str, Any]:
    """Return OpenAPI 3.0.3 of the routes under /v1, made of the service's own OpenAPI 3.1."""
    shapes = document["components"]["schemas"]
    paths = {
        path: {method: _operation(operation) for method, operation in operations.items()}
        for path, operations in document["paths"].items()
        if path.startswith("/v1/")
    }
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Lifecycle",
            "description": "Scores, reasons and actions of the accounts of a subscription business. "
            "Every answer says as of when it is and what made it.",
            "version": document["info"]["version"],
        },
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "schemas": _reached(paths, shapes),
            "securitySchemes": copy.deepcopy(document["components"]["securitySchemes"]),
        },
        "security": [{name: []} for name in document["components"]["securitySchemes"]],
    }


def swagger(document: Mapping[str, Any], server: str = SERVER) -> dict[str, Any]:
    """Return Swagger 2.0 of the same routes."""
    plain = plain_openapi(document, server)
    scheme, _, host = server.partition("://")
    host, _, base = host.partition("/")
    made: dict[str, Any] = {
        "swagger": "2.0",
        "info": plain["info"],
        "host": host,
        "basePath": f"/{base.rstrip('/')}",
        "schemes": [scheme],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "paths": {
            path: {method: _operation_2(operation) for method, operation in operations.items()}
            for path, operations in plain["paths"].items()
        },
        "definitions": plain["components"]["schemas"],
        "securityDefinitions": plain["components"]["securitySchemes"],
        "security": plain["security"],
    }
    renamed: dict[str, Any] = _older(made)
    return renamed


def _operation(operation: Mapping[str, Any]) -> dict[str, Any]:
    """Return an operation as importers want it: no header, one answer with a shape, names to read."""
    description = _text(operation.get("description", ""))
    made: dict[str, Any] = {
        "operationId": operation["operationId"],
        "summary": _title(operation["operationId"]),
        "description": description,
        "tags": operation.get("tags", []),
    }
    parameters = [
        {
            "name": each["name"],
            "in": each["in"],
            "required": each.get("required", False),
            "description": _text(each.get("description", "")) or f"{_title(each['name'])}.",
            "schema": _plain(each["schema"], without=("description",)),
        }
        for each in operation.get("parameters", ())
        if each["in"] != "header"
    ]
    if parameters:
        made["parameters"] = parameters
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        made["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _plain(schema)}},
        }
    made["responses"] = {
        status: _answer(answer, with_shape=status == "200")
        for status, answer in sorted(operation["responses"].items())
        if status != "304"
    }
    return made


def _answer(answer: Mapping[str, Any], *, with_shape: bool) -> dict[str, Any]:
    """Return an answer; problems without a shape, for their media type is one importers do not know."""
    made: dict[str, Any] = {"description": _text(answer["description"])}
    if with_shape:
        schema = answer["content"]["application/json"]["schema"]
        made["content"] = {"application/json": {"schema": _plain(schema)}}
    return made


def _reached(paths: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shapes the paths lead to, in order of their names."""
    found: dict[str, Any] = {}
    waiting = sorted(set(_named(paths)))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _shape(shapes[name])
            waiting += sorted(set(_named(found[name])))
    return dict(sorted(found.items()))


def _shape(shape: Mapping[str, Any]) -> dict[str, Any]:
    made = _plain(shape)
    properties = made.get("properties", {})
    if "idempotency_key" in properties:
        # the header is not there for importers, so here the field is what every change needs
        properties["idempotency_key"] = {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "description": "A new value for each change, the same one where a call is repeated.",
        }
        made["required"] = [*made.get("required", []), "idempotency_key"]
    elif "request_id" in properties or "required" in made:
        made["required"] = [
            name for name in made.get("required", []) if "$ref" not in properties.get(name, {})
        ]
    if not made.get("required", True):
        del made["required"]
    return made


def _plain(schema: Mapping[str, Any], without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a schema of JSON Schema 2020-12, as pydantic writes it, in the words 3.0 and 2.0 share."""
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    made = {key: copy.deepcopy(schema[key]) for key in _KEPT if key in schema and key not in without}
    if made.get("default", 0) is None:
        del made["default"]
    if "description" in made:
        made["description"] = _text(made["description"])
    if "const" in schema:
        made |= {"type": "string", "enum": [schema["const"]]}
    for bound, word in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if bound in schema:
            made |= {word: schema[bound], bound: True}
    if "items" in schema:
        made["items"] = _plain(schema["items"])
    if "properties" in schema:
        made["properties"] = {name: _plain(each) for name, each in schema["properties"].items()}
    if made.get("type") == "number":
        made.setdefault("format", "double")
    if made.get("type") == "integer":
        made.setdefault("format", "int32")
    choices = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if len(choices) == 1:
        chosen = _plain(choices[0])
        if "$ref" in chosen:
            return chosen
        made = chosen | made | {"nullable": True}
    elif len(choices) > 1 and all(each.get("type") == choices[0].get("type") for each in choices):
        made = _plain(choices[0]) | made
    return made


def _operation_2(operation: Mapping[str, Any]) -> dict[str, Any]:
    made = {key: value for key, value in operation.items() if key not in {"requestBody", "responses"}}
    parameters = [_parameter_2(each) for each in operation.get("parameters", ())]
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        parameters.append(
            {"name": "body", "in": "body", "required": True, "description": "The question.", "schema": schema}
        )
    if parameters:
        made["parameters"] = parameters
    made["responses"] = {
        status: {"description": answer["description"]}
        | ({"schema": answer["content"]["application/json"]["schema"]} if "content" in answer else {})
        for status, answer in operation["responses"].items()
    }
    return made


def _parameter_2(parameter: Mapping[str, Any]) -> dict[str, Any]:
    schema = {key: value for key, value in parameter["schema"].items() if key != "nullable"}
    made = {key: parameter[key] for key in ("name", "in", "required", "description")}
    made |= schema | {"x-ms-summary": _title(parameter["name"])}
    if schema.get("type") == "array":
        made["collectionFormat"] = "multi"
    return made


def _older(value: Any) -> Any:
    """Return what 3.0 says in the words of 2.0."""
    if isinstance(value, list):
        return [_older(each) for each in value]
    if isinstance(value, dict):
        renamed = {"x-nullable" if key == "nullable" else key: _older(each) for key, each in value.items()}
        if isinstance(value.get("$ref"), str):
            renamed["$ref"] = value["$ref"].replace(_REFERENCE, "#/definitions/")
        return renamed
    return value


def _named(value: Any) -> Iterator[str]:
    """Yield the names of the shapes a document refers to."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].removeprefix(_REFERENCE)
        for each in value.values():
            yield from _named(each)
    elif isinstance(value, list):
        for each in value:
            yield from _named(each)


def _text(text: str) -> str:
    """Return a description in one paragraph each, no longer than is kept of it."""
    joined = re.sub(r"(?<!\n)\n(?!\n)", " ", text.strip())
    if len(joined) <= LONGEST_DESCRIPTION:
        return joined
    return joined[: LONGEST_DESCRIPTION - 1].rsplit(" ", 1)[0] + "…"


def _title(name: str) -> str:
    """Return a name in words: `getAccount` and `account_id` as `Get account` and `Account id`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").lower()
    return (words[:1].upper() + words[1:])[:LONGEST_SUMMARY]
