"""What /metrics says beside requests and latencies: is it fresh, is it right."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any, Final

from lifecycle_ml.errors import StoreError
from lifecycle_ml.service.metrics import label
from lifecycle_ml.store.schema import naive_utc

if TYPE_CHECKING:
    from datetime import date

    from lifecycle_ml.service.serving import Serving

GAUGES: Final = {
    "lifecycle_store_up": "1 while the store answers.",
    "lifecycle_publication_age_seconds": "Time since the served publication.",
    "lifecycle_publication_as_of_seconds": "The day it stands on, as seconds since 1970.",
    "lifecycle_publication_info": "The served publication.",
    "lifecycle_accounts": "Accounts of the served publication by colour.",
    "lifecycle_verdict_info": "What the monitor said last.",
    "lifecycle_champion_whole": "1 where the promoted champion loads; else the one before is next.",
}
"""Names and help, in the order they are served; docs/how-to/operate.md says what to do about each."""
Values = dict[str, tuple[str, dict[str, float]]]


def read_gauges(at: Serving) -> Values:
    """Read every gauge that has a value now; where the store does not answer, only that it does not."""
    found: dict[str, dict[str, float]] = {"lifecycle_store_up": {"": 1.0}}
    try:
        found |= _of_publication(at)
        verdict = at.store.verdict()
    except StoreError:
        found, verdict = {"lifecycle_store_up": {"": 0.0}}, None
    if verdict is not None:
        found["lifecycle_verdict_info"] = {label(verdict=str(verdict.get("verdict"))): 1.0}
    found["lifecycle_champion_whole"] = {
        label(recipe=recipe): float(digest is not None and at.bundles.fault(digest) is None)
        for recipe, digest in at.bundles.champions()
    }
    return {name: (says, found[name]) for name, says in GAUGES.items() if found.get(name)}


def _of_publication(at: Serving) -> dict[str, Any]:
    publication = at.store.publication()
    if publication is None:
        return {}
    colors = at.store.mix()
    return {
        "lifecycle_publication_age_seconds": {"": (naive_utc(at.clock()) - publication.now).total_seconds()},
        "lifecycle_publication_as_of_seconds": {"": _seconds(publication.as_of)},
        "lifecycle_publication_info": {
            label(id=str(publication.publication_id), as_of=str(publication.as_of)): 1.0
        },
        "lifecycle_accounts": {
            label(health=color): float(mix.accounts) for color, mix in sorted(colors.items())
        },
    }


def _seconds(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()
