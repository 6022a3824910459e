"""A published company of seven accounts, five of which call for a decision."""

from __future__ import annotations

import copy
from typing import Any

from published_company import AS_OF, NOW, document

from lifecycle_ml.service.api import examples
from lifecycle_ml.store.rows import StoredReading
from lifecycle_ml.store.store import Store

AGENDA = ("A-red-large", "A-red-small", "A-due-soon", "A-due-later", "A-grows")
"""The five, in the order in which a review takes them."""
SIGN = {
    "trigger": "usage_near_limit",
    "says": "91% of the contracted usage was used in the last 28 days",
    "owner_role": "account_executive",
}


def reading(account_id: str, *, renewal: dict[str, Any] | None = None, **changes: Any) -> StoredReading:
    """A green account without a renewal or a sign of growth, but for the changes."""
    calm: dict[str, Any] = {
        "health__color": "green",
        "health__recovers_when": [],
        "health__arr_at_risk": 1000.0,
        "scorecard__renewal_date": None if renewal is None else renewal["renewal_on"],
        "scorecard__owner": "Maya Lindqvist",
        "triggers": [],
        "reasons": [],
    }
    made = document(account_id, **(calm | changes))
    return StoredReading.of(
        made,
        state="{}",
        risk=made["churn"]["probability"],
        name=account_id.replace("-", " "),
        renewal=renewal,
    )


def red(account_id: str, at_risk: float, **changes: Any) -> StoredReading:
    """A red account with the reason of the documented example."""
    reasons = copy.deepcopy(examples.ACCOUNT["reasons"])
    return reading(account_id, health__color="red", health__arr_at_risk=at_risk, reasons=reasons, **changes)


def renewing(renewal_on: str, state: str = "now") -> dict[str, Any]:
    """The documented renewal on another day, its 90-day checkpoint in this state."""
    made: dict[str, Any] = copy.deepcopy(examples.RENEWAL) | {"renewal_on": renewal_on}
    for one in made["checkpoints"]:
        one["state"] = state if one["checkpoint"] == 90 else "past" if one["checkpoint"] > 90 else "ahead"
    return made


def publish(store: Store) -> None:
    """Publish the seven: the agenda backwards, one whose checkpoint lies ahead, one whose sign is weak."""
    company = [
        reading("A-ahead", renewal=renewing("2026-10-01", "ahead")),
        reading("A-weak", triggers=[SIGN], expansion__band="low"),
        reading("A-grows", triggers=[SIGN], expansion__band="high"),
        reading("A-due-later", renewal=renewing("2026-09-15"), scorecard__owner="Ben Ode"),
        reading("A-due-soon", renewal=renewing("2026-09-01")),
        red("A-red-small", 4000.0, scorecard__owner="Ben Ode"),
        red("A-red-large", 9000.0, scorecard__account_segment="enterprise"),
    ]
    publication = store.begin(as_of=AS_OF, known_at=NOW, now=NOW, digests={"workspace": "sha256:ab"})
    store.write_readings(publication, company)
    store.publish(publication, [])
