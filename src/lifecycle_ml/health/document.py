"""The `health` part of a scored account."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from lifecycle_ml.health.config import HealthConfig
from lifecycle_ml.health.inputs import as_number, inputs_of, plain_number
from lifecycle_ml.health.predicate import Predicate, applicable
from lifecycle_ml.health.state import HealthState


def health_document(
    state: HealthState,
    row: Mapping[str, Any],
    predicates: Collection[Predicate],
    config: HealthConfig,
    as_of: date,
    what_would_help: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the health of one account, every key present.

    `row` is the account's row of the scored table, as a mapping; `predicates` its playbook's way back (none
    for green). Criteria on features the row lacks are left out, as they are when the colour is decided.
    `what_would_help` comes in words from the room that knows playbooks; override and sentiment are joined on
    read.
    """
    arr, risk = as_number(row.get("arr")), as_number(row.get("risk"))
    checks = [
        predicate.check(as_number(row.get(predicate.feature)), state.onset)
        for predicate in (applicable(predicates, row) if state.color != "green" else ())
    ]
    return {
        "color": state.color,
        "since": state.since.isoformat(),
        "previous": state.previous,
        "arr_at_risk": None if arr is None or risk is None else round(arr * risk, 2),
        "inputs": inputs_of(config, row, state.past, as_of),
        "recovers_when": [
            {
                "criterion": check.criterion,
                "now": plain_number(check.now),
                "needed": plain_number(check.needed),
                "met": bool(check.met),
            }
            for check in checks
        ],
        "what_would_help": [dict(each) for each in what_would_help],
        "override": None,
        "sentiment": None,
    }
