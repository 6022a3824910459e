"""The scored table: one row per account, every matrix column and the columns named here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lifecycle_ml.conditions.grammar import Kind

COLORS: Final = ("green", "yellow", "red")

SCORED_COLUMNS: dict[str, Kind] = {
    "account_id": "text",
    "as_of": "date",
    "name": "text",
    "segment": "text",
    "owner": "text",
    "arr": "number",
    "risk": "number",
    "band": "text",
    "lift": "number",
    "source": "text",
    "tier": "text",
    "reason": "text",
    "health": "text",
    "stage": "text",
    "sales_owner": "text",
    "renewal_owner": "text",
    "expansion_probability": "number",
    "expansion_band": "text",
    "expansion_lift": "number",
}
"""What scoring adds to the features, with the kind of value: rules may name these too."""


def columns_of_rules(features: Iterable[str]) -> dict[str, Kind | None]:
    """Return every column a rule may name: the features (kind not known here) and the scored columns."""
    kinds: dict[str, Kind | None] = dict.fromkeys(features)
    return kinds | SCORED_COLUMNS
