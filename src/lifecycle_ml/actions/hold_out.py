"""Hold-outs: accounts left alone on purpose, so that the effect of a playbook or trigger can be measured.

Who is left alone is drawn by a salted hash of playbook, account and episode: the same answer whenever it is
asked, and nobody without the salt can tell it beforehand.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from lifecycle_ml.actions.team import Team
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.health.inputs import as_number

MOST: Final = 0.5
"""The largest share that may be held out."""
SALT: Final = "hold_out"
"""Name of the store's random value the draws are made with."""


def draw(salt: bytes, playbook: str, account_id: str, since: date) -> float:
    """Return a number in [0, 1), even over accounts: always the same for the same episode and salt."""
    episode = json.dumps([playbook, account_id, since.isoformat()]).encode()
    return int.from_bytes(hmac.new(salt, episode, hashlib.sha256).digest()[:8]) / 2**64


def why_spared(row: Mapping[str, Any], share: float, team: Team) -> str | None:
    """Return why an account is never held out, None if it may be.

    `row` holds health, arr and segment of the scored table.
    """
    if row.get("health") == "red":
        return "red accounts are never held out"
    if share <= 0:
        return "nobody is held out of this playbook"
    arr = as_number(row.get("arr"))
    if arr is None:
        return "its ARR is not known"
    line = team.strategic_from
    if line is not None and arr >= line:
        return f"strategic: ARR of {line:,.0f} or more"
    if row.get("segment") in team.hold_outs.strategic_segments:
        return f"strategic: segment {row['segment']}"
    return None


def check_hold_out(share: float, team: Team, where: str, color: str | None = None) -> None:
    """Raise ConfigError where a share may not be: at red, or with no line drawn for strategic accounts."""
    if share == 0:
        return
    if color == "red":
        raise ConfigError(f"{where}: red accounts are never held out; remove hold_out.")
    if team.strategic_from is None:
        raise ConfigError(
            f"{where}: hold_out needs to know which accounts are strategic, for they are never held out. Set "
            "strategic_from under [hold_outs] of serving/team.toml, or add an [[escalation]] level."
        )
