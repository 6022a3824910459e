"""What operators see: metrics that are documented, and a log that gives nothing away."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
from published_company import AS_OF, KEYS, NOW

from lifecycle_ml.errors import StoreError
from lifecycle_ml.service import logs
from lifecycle_ml.service.gauges import GAUGES

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "operate.md"


@pytest.fixture
def logged(capsys):
    """Set the log up and return what was written, by line."""
    kept = logging.getLogger().handlers[:], logging.getLogger().level
    level = logging.getLogger("lifecycle_ml").level

    def read(form):
        logs.set_up(form)
        return lambda: [line for line in capsys.readouterr().err.splitlines() if line]

    yield read
    logging.getLogger().handlers[:], logging.getLogger().level = kept
    logging.getLogger("lifecycle_ml").setLevel(level)


def test_every_documented_metric_is_served_and_every_served_one_is_documented(
    client, published, store, settings
):
    """The page's table is what /metrics says on a store with everything in it."""
    store.write_verdict(AS_OF, NOW, {"verdict": "do nothing", "evidence": [], "truth_known_through": None})
    settings.bundles.mkdir(parents=True, exist_ok=True)
    (settings.bundles / "churn.json").write_text('{"digest": "gone", "version": "1"}')
    client.get("/healthz")
    text = client.get("/metrics").text
    served = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))

    assert set(re.findall(r"^\| `(lifecycle_\w+)", PAGE.read_text("utf-8"), re.MULTILINE)) == served
    assert set(GAUGES) < served
    assert 'lifecycle_verdict_info{verdict="do nothing"} 1' in text
    assert 'lifecycle_champion_whole{recipe="churn"} 0' in text
    assert "lifecycle_publication_as_of_seconds 1782777600" in text


def test_latencies_are_counted_up_to_each_bound(client, published):
    """Buckets are cumulative and end at the count."""
    client.get("/healthz")
    client.get("/healthz")
    text = client.get("/metrics").text
    counts = [
        int(count)
        for count in re.findall(r'request_seconds_bucket\{route="/healthz",le="[^"]+"\} (\d+)', text)
    ]

    assert counts == sorted(counts)
    assert counts[-1] == 2
    assert 'lifecycle_request_seconds_count{route="/healthz"} 2' in text


def test_a_request_is_one_line_of_json_with_its_route_and_no_account(client, published, logged):
    """Route as declared, status, milliseconds and the id that is in the answer."""
    read = logged("json")
    answer = client.get("/v1/accounts/A-1042")
    (line,) = [json.loads(each) for each in read() if "GET" in each]

    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/accounts/{account_id:path}", 200)
    assert line["level"] == "info"
    assert "A-1042" not in json.dumps(line)
    assert KEYS["read"] not in json.dumps(line)


@pytest.mark.parametrize("form", ["quiet", "text", "json"])
def test_a_fault_is_told_by_type_and_place_but_not_by_what_it_said(logged, form):
    """What an error says may hold an account's name; so may the error it came from."""
    read = logged(form)
    try:
        try:
            int("Northwind Traders")
        except ValueError as error:
            raise StoreError("no such account: Northwind Traders") from error
    except StoreError:
        logging.getLogger("lifecycle_ml.service").exception("a fault of ours")
    told = read()

    assert "Northwind" not in "".join(told)
    assert any("StoreError" in line for line in told)
    assert any("test_a_fault_is_told_by_type_and_place" in line for line in told)


def test_a_fault_is_one_object_of_json(logged):
    """Type, places and what was being done, each under its key."""
    read = logged("json")
    try:
        int("Northwind Traders")
    except ValueError:
        logging.getLogger("lifecycle_ml.service").exception("a fault of ours")
    (line,) = [json.loads(each) for each in read()]

    assert (line["fault"], line["says"], line["level"]) == ("ValueError", "a fault of ours", "error")
    assert line["trace"][-1].endswith("test_a_fault_is_one_object_of_json")


@pytest.mark.parametrize(("form", "lines"), [("quiet", 0), ("text", 1), ("json", 1)])
def test_requests_are_logged_only_where_asked_for(client, published, logged, form, lines):
    """Quiet says warnings and faults alone."""
    read = logged(form)
    client.get("/healthz")

    assert len([each for each in read() if "/healthz" in each]) == lines
