"""The service asked all its own description allows, and much that it does not."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import booleans
from published_company import AS_OF, KEYS, NOW
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.parameters import ParameterLocation

from lifecycle_ml.service.api import examples
from lifecycle_ml.service.api.revenue import EXAMPLE as STATEMENT
from lifecycle_ml.service.api.scoreboard import EXAMPLE as SCOREBOARD
from lifecycle_ml.what_if import ChangeError

load_all_checks()
HELD = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
    )
]
REFUSED = [*HELD, CHECKS.get_one("negative_data_rejection")]
"""For bodies: in an address every value is a text, so that a number where a name belongs is a name."""
IDS = ("scored_at", "publication_id", "request_id")


def answer(_publication, _account_id, changes):
    """Stand for the pipeline of what-ifs: know one feature and no other."""
    for at, change in enumerate(changes):
        if change.feature != "active_users_28d":
            raise ChangeError(at, "feature", f"No feature {change.feature!r}.")
    return {key: value for key, value in examples.WHAT_IF.items() if key not in IDS}


KNOWN = {"account_id": "A-1042", "action_id": "act-1"}
"""What half of the questions ask about; the other half asks about anybody."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.name
)
def test_every_answer_is_one_the_description_names(make_client, published, store, mode):
    """No 5xx, no status, type or shape that is not documented, and no wrong body that is taken for right."""
    store.write_verdict(AS_OF, NOW, {"verdict": "do nothing", "evidence": [], "truth_known_through": None})
    store.write_statement(AS_OF, NOW, STATEMENT)
    store.write_scoreboard(AS_OF, NOW, SCOREBOARD)
    client = make_client(what_ifs=answer)
    headers = {"X-API-Key": KEYS["act"]}
    asked: dict[str, set[int]] = {}
    for found in schemathesis.openapi.from_dict(client.app.openapi()).get_all_operations():
        operation = found.ok()
        if operation.path == "/readyz":
            continue  # its 503 says what is not in order, which in this company is much
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
            continue  # any text is an id
        asked[operation.label] = _ask(client, operation, mode, headers)

    assert len(asked) >= 17
    if mode is GenerationMode.POSITIVE:
        reading = {
            label for label, statuses in asked.items() if label.startswith("GET") and 200 not in statuses
        }
        assert reading == {"GET /v1/accounts/{account_id}/changes"}, "the company has but one reading"


def _ask(client, operation, mode, headers):
    """Ask one operation many things and return the statuses it answered with."""
    statuses = set()

    @settings(
        max_examples=20,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), known=booleans())
    def ask(case, known):
        if known:
            case.path_parameters = {name: KNOWN[name] for name in case.path_parameters or {}}
        sent = case.as_transport_kwargs(base_url="http://testserver", headers=headers)
        sent.pop("cookies", None)
        if "data" in sent:
            sent["content"] = sent.pop("data")
        response = client.request(**sent)
        statuses.add(response.status_code)
        body = case.meta.components.get(ParameterLocation.BODY)
        wrong = body is not None and body.mode is GenerationMode.NEGATIVE
        case.validate_response(response, checks=REFUSED if wrong else HELD, headers=headers)

    ask()
    return statuses
