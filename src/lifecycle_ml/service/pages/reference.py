"""The API's reference for people, made from the same OpenAPI document machines read."""

from __future__ import annotations

import json
from typing import Any


def operations(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the reference page shows of each operation, in the order of the document."""
    shown = []
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            says, _, more = operation.get("description", "").partition("\n\n")
            shown.append(
                {
                    "id": operation["operationId"],
                    "method": method.upper(),
                    "path": path,
                    "says": says,
                    "more": more,
                    "needs_key": bool(operation.get("security")),
                    "parameters": [_parameter(each) for each in operation.get("parameters", [])],
                    "question": _example(schema, operation.get("requestBody")),
                    "answer": _example(schema, operation["responses"].get("200")),
                    "responses": {
                        status: response["description"]
                        for status, response in operation["responses"].items()
                        if status != "200"
                    },
                }
            )
    return shown


def _parameter(parameter: dict[str, Any]) -> dict[str, str]:
    says = parameter.get("description", "")
    default = parameter["schema"].get("default")
    if default not in (None, []):
        says = f"{says} Default: {json.dumps(default)}.".strip()
    return {"name": parameter["name"], "in": parameter["in"], "says": says}


def _example(schema: dict[str, Any], holder: dict[str, Any] | None) -> str | None:
    """Return the example of a body, if its shape has one of its own."""
    content = (holder or {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    example = schema.get("components", {}).get("schemas", {}).get(name, {}).get("example")
    return json.dumps(example, indent=2, ensure_ascii=False) if example else None
