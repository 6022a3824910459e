"""What the docs send to the service and read of its answers exists: bodies, paths, fields."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator

from lifecycle_ml.service.api import examples
from lifecycle_ml.service.app import create_app
from lifecycle_ml.settings import Settings
from lifecycle_ml.workspace import Workspace, standard_root

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference" / "api.md"
HOW_TO = sorted((ROOT / "docs" / "how-to").glob("call-from-*.md"))
PAGES = [REFERENCE, *HOW_TO]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """The service's description of itself."""
    root = tmp_path_factory.mktemp("service")
    return create_app(Settings.read(root, {}), Workspace(root, standard_root())).openapi()


def blocks(page, *languages):
    """Return the code of some languages on a page."""
    return [code for language, code in BLOCK.findall(page.read_text("utf-8")) if language in languages]


def operation_at(document, method, path):
    """Return the operation a path leads to, None where none does."""
    for template, operations in document["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if method in operations and re.fullmatch(pattern, path):
            return operations[method]
    return None


def faults(document, operation, body):
    """Return what is wrong with a body for an operation."""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return [e.message for e in Draft202012Validator({**document, **schema}).iter_errors(body)]


def calls(page):
    """Yield (method, path, body) of every curl to the service on a page; body None where there is none."""
    for code in blocks(page, "bash"):
        for line in re.sub(r"\\\n\s*", " ", code).splitlines():
            if not (line.startswith("curl") and (url := re.search(r"http://127\.0\.0\.1:8000(/\S+)", line))):
                continue
            body = re.search(r"-d '([^']*)'", line)
            method = "post" if body or "-X POST" in line else "get"
            yield method, urlsplit(url[1]).path, json.loads(body[1]) if body else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_call_on_a_page_is_one_the_service_takes(document, page):
    """Method, path and body of each curl, held against the description."""
    for method, path, body in calls(page):
        operation = operation_at(document, method, path)
        assert operation is not None, (method, path)
        if body is not None:
            assert faults(document, operation, body) == [], path


def test_the_calls_were_found():
    """A page without calls proves nothing."""
    assert len([call for page in PAGES for call in calls(page)]) >= 4


def test_bodies_of_the_reference_are_taken_as_printed(document):
    """The JSON under a heading `### POST /v1/...` is a body of that route, unless it is an answer."""
    text, taken = REFERENCE.read_text("utf-8"), 0
    for path, section in re.findall(r"\n### POST (/v1/[\w-]+)\n(.*?)(?=\n##)", text, re.DOTALL):
        body = json.loads(BLOCK.findall(section)[0][1])
        assert faults(document, operation_at(document, "post", path), body) == [], path
        taken += 1
    assert taken == 2


def test_bodies_for_power_automate_are_taken_as_printed(document):
    """One asks for scores, one completes an action."""
    page = next(each for each in HOW_TO if "power" in each.name)
    score, complete = (json.loads(code) for code in blocks(page, "json"))

    assert faults(document, operation_at(document, "post", "/v1/score"), score) == []
    assert faults(document, operation_at(document, "post", "/v1/actions/a/complete"), complete) == []
    assert "idempotency_key" in complete


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.name)
def test_programs_on_a_page_call_routes_there_are(document, page):
    """Endpoints in Apex and JavaScript; a value put into the path is one part of it."""
    for code in blocks(page, "apex", "javascript"):
        joined = re.sub(r"' \+ EncodingUtil\.urlEncode\([^)]*\) \+ '", "x", code)
        for path in re.findall(r"(?:callout:Lifecycle|https://lifecycle\.example\.com)(/[^'\"`]*)", joined):
            assert operation_at(document, "post", path), path


def test_programs_read_fields_an_answer_has():
    """Keys that Apex gets, what JavaScript takes apart, and the paths of the table of fields."""
    pages = {page.name: page for page in HOW_TO}
    account, result = examples.ACCOUNT, {"account_id", "status", "account", "error"}
    known = {*account, *account["health"], *account["scorecard"], *result, "results"}
    apex = "".join(blocks(pages["call-from-salesforce.md"], "apex"))
    read = re.findall(r"\w+\.get\('(\w+)'\)", apex)
    assert len(read) >= 8
    assert set(read) <= known
    sent = set(re.findall(r"'(\w+)' =>", apex))
    assert sent == {"account_ids", "idempotency_key", "note"}

    (script,) = blocks(pages["call-from-hubspot.md"], "javascript")
    named = {"health": account["health"], "scorecard": account["scorecard"]}
    fields = re.findall(r"\b(health|scorecard)\.(\w+)", script)
    assert len(fields) == 3
    assert all(field in named[part] for part, field in fields)
    assert "label" in account["reasons"][0]

    table = pages["call-from-a-crm.md"].read_text("utf-8")
    paths = re.findall(r"`account\.([\w.\[\]]+)`", table)
    assert len(paths) >= 11
    for path in paths:
        value = account
        for key in re.findall(r"\w+", path):
            value = value[int(key)] if key.isdigit() else value[key]
