"""One scored account, composed once and stored as immutable bytes.

What a person changes afterwards (actions, overrides, sentiment) is joined on read and never part of it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

MODEL_KINDS = ("churn", "expansion")
EXPANSION_DAYS = 180
"""The horizon said of expansion where nothing answers for it."""


@dataclass(frozen=True)
class Served:
    """What a reading rests on, the same for every account of a publication."""

    as_of: date
    known_at: datetime
    scored_at: datetime
    horizons: Mapping[str, tuple[int, ...]]
    headlines: Mapping[str, int]
    """By kind: the horizons answered for, and the one that is published, in days."""
    models: Mapping[str, Mapping[str, str] | None]
    """By kind (churn, expansion): name, version and digest of what serves, None where nothing does."""
    workspace_digest: str
    package_version: str


def make_receipt(served: Served, account_id: str, features: Mapping[str, Any], previous: str | None) -> str:
    """Hash all that decides a reading: same receipt, same scores, reasons and colour.

    `features` is the account's row of the matrix; `previous` the receipt of its last reading of an earlier
    as_of, through which the colour's past enters.
    """
    content = {
        "account_id": account_id,
        "as_of": served.as_of.isoformat(),
        "known_at": served.known_at.isoformat(),
        "features": {name: plain(value) for name, value in sorted(features.items())},
        "bundles": {kind: model and model["digest"] for kind, model in served.models.items()},
        "workspace": served.workspace_digest,
        "package": served.package_version,
        "previous": previous,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def plain(value: Any) -> Any:
    """Return a JSON value: NaN and missing become None, NumPy scalars become Python's."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool)) else None


def compose(
    served: Served,
    row: Mapping[str, Any],
    health: Mapping[str, Any],
    reasons: Sequence[Mapping[str, Any]],
    in_favour: Sequence[Mapping[str, Any]],
    triggers: Sequence[Mapping[str, Any]],
    receipt: str,
) -> dict[str, Any]:
    """Compose the document of one account (the JSON contract) without its live parts.

    `row` is the account's row of the scored table: features, scores, and name, segment and owner.
    Every key is present; what no capability fills yet is null or [].
    """
    return {
        "account_id": row["account_id"],
        "as_of": served.as_of.isoformat(),
        "scored_at": f"{served.scored_at.isoformat(timespec='seconds')}Z",
        "stage": plain(row.get("stage")),
        **scores_of(served, row),
        "health": dict(health),
        "reasons": [dict(reason) for reason in reasons],
        "in_favour": [dict(item) for item in in_favour],
        "triggers": [dict(trigger) for trigger in triggers],
        "actions": [],
        "scorecard": _scorecard(served, row, health),
        "model": {kind: served.models.get(kind) for kind in MODEL_KINDS},
        "receipt": receipt,
    }


def scores_of(served: Served, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return `churn` and `expansion` of one account, as its document holds them."""
    return {"churn": _churn(served, row), "expansion": _expansion(served, row)}


def _churn(served: Served, row: Mapping[str, Any]) -> dict[str, Any]:
    probabilities = {days: plain(row[f"probability_{days}d"]) for days in served.horizons["churn"]}
    return _score(served.headlines["churn"], probabilities, row, "") | {
        "provisional": bool(row.get("provisional", False))
    }


def _expansion(served: Served, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the score of expansion, all null where nothing answers for it."""
    headline = served.headlines.get("expansion", EXPANSION_DAYS)
    answered = "expansion" in served.headlines
    probabilities = {headline: plain(row["expansion_probability"])} if answered else {}
    return _score(headline, probabilities, row, "expansion_") | {
        "provisional": answered and bool(row.get("provisional", False))
    }


def _score(
    headline: int, probabilities: Mapping[int, Any], row: Mapping[str, Any], prefix: str
) -> dict[str, Any]:
    return {
        "probability": probabilities.get(headline),
        "horizon_days": headline,
        "by_horizon": [{"days": days, "probability": value} for days, value in probabilities.items()],
        "lift": plain(row[f"{prefix}lift"]),
        "band": plain(row[f"{prefix}band"]),
        "source": plain(row[f"{prefix}source"]),
        "tier": plain(row[f"{prefix}tier"]),
    }


def renewal_on(as_of: date, row: Mapping[str, Any]) -> date | None:
    """Return the end of the term in force, None for evergreen contracts."""
    days = plain(row.get("days_to_renewal"))
    return None if days is None else as_of + timedelta(days=int(days))


def _scorecard(served: Served, row: Mapping[str, Any], health: Mapping[str, Any]) -> dict[str, Any]:
    inputs = {item["name"]: item for item in health["inputs"]}
    renewal = renewal_on(served.as_of, row)
    return {
        "account_segment": plain(row.get("segment")),
        "contract_value": plain(row.get("arr")),
        "renewal_date": renewal and renewal.isoformat(),
        "onboarding_status": _state(inputs, "onboarding_milestones"),
        "activation_status": _activation(plain(row.get("activated"))),
        "usage_trend": _trend(inputs, "usage_against_own_pattern"),
        "stakeholder_engagement": _state(inputs, "stakeholder_engagement"),
        "support_risk": _state(inputs, "support_severity_and_volume"),
        "renewal_risk": row["band"] if renewal is not None else None,
        "expansion_signal": plain(row.get("expansion_band")),
        "owner": plain(row.get("owner")),
        "next_action": None,
        "escalation_status": None,
    }


def _state(inputs: Mapping[str, Mapping[str, Any]], name: str) -> str | None:
    return inputs[name]["state"] if name in inputs else None


def _trend(inputs: Mapping[str, Mapping[str, Any]], name: str) -> str | None:
    return inputs[name]["trend"] if name in inputs else None


def _activation(activated: float | None) -> str | None:
    return None if activated is None else ("activated" if activated else "not activated")
