"""What the accounts of the newest date are expected to lose, or gain, month by month."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.expected_arr import expected_arr, expected_arr_of_all, mean_rise
from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.promotion.evaluation import Evaluation


@dataclass(frozen=True)
class Outlook:
    """ARR expected to be lost (or gained) by the accounts of one date.

    accounts: as `expected_arr`, with as_of. total: as `expected_arr_of_all`.
    """

    as_of: pd.Timestamp
    accounts: pd.DataFrame
    total: pd.DataFrame


def arr_outlook(
    bundle: Bundle | None, evaluation: Evaluation, matrix: pd.DataFrame, labels: pd.DataFrame, seed: int = 0
) -> Outlook | None:
    """Spread the ARR that accounts of the newest snapshot date are expected to lose (or gain) over months.

    matrix and labels: the same snapshots in the same order. For an expansion recipe what is gained is ARR
    times the mean relative rise, weighted by ARR, of those who grew. None where nobody serves probabilities,
    or no ARR is known.
    """
    if bundle is None or bundle.tier != "full" or "arr" not in labels:
        return None
    rise = 1.0
    if "arr_after" in labels:
        rise = mean_rise(labels["arr"], labels["arr_after"], labels[label_column(bundle.headline)])
    if math.isnan(rise):
        return None
    as_of = matrix["as_of"].max()
    newest = (matrix["as_of"] == as_of).to_numpy()
    ahead = matrix[newest].reset_index(drop=True)
    account, arr = ahead["account_id"].to_numpy(), labels.loc[newest, "arr"].to_numpy(dtype=np.float64)
    chances = bundle.probabilities(ahead)
    given: dict[str, Any] = {"rise": rise, "shifts": evaluation.shifts}
    accounts = expected_arr(account, as_of, arr, chances, bundle.horizons, **given)
    accounts.insert(1, "as_of", as_of)
    total = expected_arr_of_all(account, as_of, arr, chances, bundle.horizons, **given, seed=seed)
    return Outlook(as_of, accounts, total)
