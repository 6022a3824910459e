"""Reasons beside what people recorded when accounts left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle_ml.models.evaluation import Interval
from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.promotion.backtest import Origin
from lifecycle_ml.promotion.stability import share_of
from lifecycle_ml.reasons.explain import explain
from lifecycle_ml.reasons.taxonomy import UNKNOWN
from lifecycle_ml.tables.schema import CATEGORIES

if TYPE_CHECKING:
    from lifecycle_ml.models.bundle import Bundle
    from lifecycle_ml.outcomes.recipe import Recipe
    from lifecycle_ml.promotion.grounds import Grounds


@dataclass(frozen=True)
class RecordedReasons:
    """How often named reasons agree with recorded ones, over accounts that left after the last cut-off.

    accounts: those that left within the headline horizon with a recorded category. unknown: share of them
    with no named reason; first and within_three: shares among the others. usual: the category recorded
    most often before, and usual_right how often it is the recorded one, for all accounts. table: accounts by
    recorded category (rows) and first reason (columns).
    """

    accounts: int
    unknown: Interval
    first: Interval
    within_three: Interval
    usual: str | None
    usual_right: Interval
    table: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            "accounts": self.accounts,
            "unknown": self.unknown.to_json(),
            "first": self.first.to_json(),
            "within_three": self.within_three.to_json(),
            "usual": self.usual,
            "usual_right": self.usual_right.to_json(),
            "table": self.table.to_dict("index"),
        }


def recorded_reasons(
    origin: Origin,
    learned: Bundle,
    labels: pd.DataFrame,
    recipe: Recipe,
    grounds: Grounds,
    *,
    seed: int,
    draws: int,
) -> RecordedReasons | None:
    """Name reasons with what the last cut-off learned and hold them against what was recorded afterwards.

    learned: the cut-off as `stability.explainable`. labels: of all snapshots, with `cause`. An account counts
    once, at its first test date. None where no account that left has a category recorded. What people record
    is no truth: it is late, polite, and one cause of several.
    """
    headline = recipe.label.headline_days
    left = labels[(labels[label_column(headline)] == 1) & labels["cause"].isin(list(CATEGORIES))]
    ahead = origin.ahead.merge(left[["account_id", "as_of", "cause"]], on=["account_id", "as_of"])
    ahead = ahead.sort_values(["account_id", "as_of"]).drop_duplicates("account_id").reset_index(drop=True)
    if ahead.empty:
        return None
    rows = ahead.drop(columns="cause")
    found = explain(learned, rows, grounds.features, grounds.taxonomy, sentences_for=())
    recorded = ahead["cause"].to_numpy(dtype=object)
    known = found.first != UNKNOWN
    named = [[reason["category"] for reason in reasons] for reasons in found.reasons]
    within = np.array([cause in each for cause, each in zip(recorded, named, strict=True)])
    told = origin.told.loc[origin.told[label_column(headline)] == 1, "cause"]
    often = told[told.isin(list(CATEGORIES))].value_counts()
    usual = str(often.index[0]) if len(often) else None

    def share(hit: Any) -> Interval:
        same = np.asarray(hit, dtype=np.float64)
        return share_of(same, np.arange(len(same)), len(same), seed, draws)

    return RecordedReasons(
        accounts=len(ahead),
        unknown=share(~known),
        first=share((found.first == recorded)[known]),
        within_three=share(within[known]),
        usual=usual,
        usual_right=share(recorded == usual),
        table=pd.crosstab(recorded, found.first),
    )
