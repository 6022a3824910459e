"""The rule that serves where no model may: bands instead of probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from lifecycle_ml.models.baselines import FittedRule, PointTable, rule_from_json

Band = Literal["low", "medium", "high"]
BANDS: tuple[Band, ...] = ("low", "medium", "high")


@dataclass(frozen=True)
class RuleModel:
    """A fitted rule with the rates at which its bands begin; a point table brings bands of its own."""

    name: str
    rule: FittedRule
    medium_from: float
    high_from: float
    features: tuple[str, ...] = ()
    """None is required: a rule copes with what is there."""

    def bands(self, matrix: pd.DataFrame) -> list[Band]:
        """Return the band of each row."""
        if isinstance(self.rule, PointTable):
            return [BANDS[BANDS.index(band)] for band in self.rule.band(matrix).tolist()]
        return [
            "high" if rate >= self.high_from else "medium" if rate >= self.medium_from else "low"
            for rate in self.rule.score(matrix).tolist()
        ]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a manifest."""
        return {
            "name": self.name,
            "rule": self.rule.to_json(),
            "medium_from": self.medium_from,
            "high_from": self.high_from,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> RuleModel:
        """Rebuild from `to_json`. Raises: BundleError for a damaged rule."""
        return cls(saved["name"], rule_from_json(saved["rule"]), saved["medium_from"], saved["high_from"])
