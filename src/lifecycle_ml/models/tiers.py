"""How much may be claimed: counted in accounts, because rows of one account repeat each other."""

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
    `accounts` is the number of accounts that had the outcome at least once, `outcome` its word (churned,
    expanded). `more_needed` is the number of further ones until the next tier (0 in the full tier);
    `days_needed` the further days of history (0 unless that is what is missing).
    """

    name: TierName
    accounts: int
    more_needed: int
    days_needed: int = 0
    outcome: str = "churned"

    @property
    def says(self) -> str:
        """The tier in a sentence."""
        seen = f"{self.accounts} {self.outcome} accounts"
        if self.days_needed:
            return f"{seen}, and {self.days_needed} more days of history are needed before a model is tried"
        if self.name == "full":
            return f"{seen}: enough for probabilities"
        served = "bands only" if self.name == "advisory" else "rules serve"
        return f"{seen}: {served}; {self.more_needed} more lift it"


def sufficiency(accounts: int, history_days: int, recipe: Recipe) -> Tier:
    """Return the tier of a company: so many accounts with the outcome, over so many days of snapshots."""
    tiers, outcome = recipe.tiers, recipe.label.outcome
    needed_days = math.ceil(tiers.min_history_horizons * recipe.label.headline_days)
    if history_days < needed_days or accounts < tiers.advisory_from_accounts:
        return Tier(
            "insufficient",
            accounts,
            max(0, tiers.advisory_from_accounts - accounts),
            max(0, needed_days - history_days),
            outcome,
        )
    if accounts < tiers.full_from_accounts:
        return Tier("advisory", accounts, tiers.full_from_accounts - accounts, outcome=outcome)
    return Tier("full", accounts, 0, outcome=outcome)
