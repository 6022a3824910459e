"""A small published company: hand-made readings with everything a scored account can hold."""

from __future__ import annotations

import copy
import warnings
from datetime import date, datetime, timedelta
from typing import Any

from lifecycle_ml.actions.action import Action
from lifecycle_ml.service.api import examples
from lifecycle_ml.store.rows import StoredReading

with warnings.catch_warnings():
    # starlette would rather have a successor of httpx, which nothing else here needs
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient as TestClient  # noqa: PLC0414 - the tests have it from here

KEYS = {
    "read": "read-key-0123456789",
    "act": "act-key-01234567890",
    "admin": "admin-key-012345678",
}
NOW = datetime(2026, 6, 30, 2)
AS_OF = date(2026, 6, 30)


def document(account_id: str, **changes: Any) -> dict[str, Any]:
    """A scored account: the documented example with changes, given as section__key=value."""
    made = copy.deepcopy(examples.ACCOUNT) | {"account_id": account_id}
    made["receipt"] = "sha256:" + account_id.encode().hex().ljust(64, "0")[:64]
    for path, value in changes.items():
        *sections, key = path.split("__")
        target = made
        for section in sections:
            target = target[section]
        target[key] = value
    return made


def ruled(account_id: str) -> dict[str, Any]:
    """An account where rules serve: every probability, lift, share and contribution is null."""
    made = document(
        account_id,
        churn={
            "probability": None,
            "horizon_days": 90,
            "by_horizon": [{"days": days, "probability": None} for days in (30, 90, 180)],
            "lift": None,
            "band": "medium",
            "source": "rules",
            "tier": "insufficient",
            "provisional": True,
        },
        health__color="yellow",
        health__previous=None,
        health__since="2026-06-30",
        health__arr_at_risk=None,
        health__recovers_when=[{"criterion": "met with a sponsor", "now": None, "needed": 1, "met": False}],
        scorecard__contract_value=None,
        scorecard__renewal_date=None,
        scorecard__owner=None,
        scorecard__account_segment=None,
        in_favour=[],
        stage=None,
        triggers=[],
        expansion={
            "probability": None,
            "horizon_days": 180,
            "by_horizon": [],
            "lift": None,
            "band": None,
            "source": None,
            "tier": None,
            "provisional": False,
        },
        model__expansion=None,
        scorecard__expansion_signal=None,
    )
    reason = made["reasons"][0]
    reason |= {"category": "unknown", "label": "No cause could be evidenced"}
    reason |= {"share": None, "stability": None, "evidence": []}
    made["model"]["churn"] |= {"version": None, "digest": None}
    return made


def company() -> list[StoredReading]:
    """Five readings: red, red with hostile names, yellow by rules, green, and green without anything."""
    hostile = document(
        "<A&\"1'>",
        health__arr_at_risk=88_000.5,
        scorecard__contract_value=176_001.0,
        scorecard__owner="Zoë O'Neill <zoe@example.org>",
        scorecard__renewal_date="2026-08-01",
        churn__probability=0.5,
    )
    hostile["reasons"][0]["evidence"][0]["says"] = 'said "override":null, <script>alert(1)</script> — 価格'
    green = document(
        "A-green",
        health__color="green",
        health__arr_at_risk=1200.0,
        health__recovers_when=[],
        health__since="2025-11-02",
        scorecard__contract_value=60_000.0,
        scorecard__account_segment="smb",
        churn__probability=0.02,
        churn__band="low",
        reasons=[],
        stage="growth",
        expansion__band="high",
        expansion__probability=0.5,
        triggers=[],
    )
    bare = document(
        "A-bare",
        health__color="green",
        health__arr_at_risk=1200.0,
        health__recovers_when=[],
        health__inputs=[],
        reasons=[],
        in_favour=[],
        churn__probability=0.01,
        churn__band="low",
        scorecard__renewal_date=None,
        scorecard__owner='=HYPERLINK("http://elsewhere.example")',
        triggers=[],
    )
    names = {"<A&\"1'>": '<b>Ünïcode & "Söhne" 株式会社</b>', "A-1042": "Northwind Traders"}
    return [
        StoredReading.of(
            made,
            state='{"color": "red"}',
            risk=made["churn"]["probability"],
            name=names.get(made["account_id"]),
            renewal=examples.RENEWAL if made["account_id"] == "A-1042" else None,
        )
        for made in (document("A-1042"), hostile, ruled("A-ruled"), green, bare)
    ]


def action(action_id: str, account_id: str = "A-1042", **changes: Any) -> Action:
    """An open action."""
    fields: dict[str, Any] = {
        "action_id": action_id,
        "account_id": account_id,
        "playbook": "red.low_adoption_after_onboarding",
        "step": "call",
        "title": "Call the champion and agree a usage plan",
        "owner_role": "csm",
        "owner": "Maya Lindqvist",
        "opened_at": NOW,
        "due_at": NOW + timedelta(days=2),
        "why": "9 active users in the last 28 days; usually 31",
        "escalates_to": "cs_lead",
        "escalates_at": NOW + timedelta(days=4),
        "status": "open",
        "arr_kept_per_hour": 1250.0,
    }
    return Action(**(fields | changes))
