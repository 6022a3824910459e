"""How much may be claimed: counted in churned accounts, because rows of one account repeat each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from lifecycle_ml.outcomes.recipe import Recipe

TierName = Literal["insufficient", "advisory", "full"]


@dataclass(frozen=True)
class Tier:
    """What the data is enough for.

    insufficient: rules serve. advisory: a small logistic regression, bands only. full: probabilities.
    `more_needed` is the number of further churned accounts until the next tier (0 in the full tier);
    `days_needed` the further days of history (0 unless that is what is missing).
    """

    name: TierName
    churned_accounts: int
    more_needed: int
    days_needed: int = 0

    @property
    def says(self) -> str:
        """The tier in a sentence."""
        seen = f"{self.churned_accounts} churned accounts"
        if self.days_needed:
            return f"{seen}, and {self.days_needed} more days of history are needed before a model is tried"
        if self.name == "full":
            return f"{seen}: enough for probabilities"
        served = "bands only" if self.name == "advisory" else "rules serve"
        return f"{seen}: {served}; {self.more_needed} more lift it"


def sufficiency(churned_accounts: int, history_days: int, recipe: Recipe) -> Tier:
    """Return the tier of a company with that many churned accounts over that many days of snapshots."""
    tiers = recipe.tiers
    needed_days = math.ceil(tiers.min_history_horizons * recipe.label.headline_days)
    if history_days < needed_days or churned_accounts < tiers.advisory_from_accounts:
        return Tier(
            "insufficient",
            churned_accounts,
            max(0, tiers.advisory_from_accounts - churned_accounts),
            max(0, needed_days - history_days),
        )
    if churned_accounts < tiers.full_from_accounts:
        return Tier("advisory", churned_accounts, tiers.full_from_accounts - churned_accounts)
    return Tier("full", churned_accounts, 0)
