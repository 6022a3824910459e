"""What came of some rows beside what came of comparable ones, with an interval that knows who is who."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from lifecycle_ml.actions.effects import Interval

Z: Final = 1.959963984540054
"""The 97.5% quantile of the normal distribution."""


@dataclass(frozen=True)
class Compared:
    """Means of an outcome among the rows in question and among comparable ones, and their difference.

    `rows` are those in question with a comparable one, of `accounts` accounts; `others` the comparable rows.
    """

    rows: int
    accounts: int
    others: int
    mean: float
    other_mean: float
    difference: Interval

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def compare(
    outcome: pd.Series, chosen: pd.Series, strata: pd.DataFrame, accounts: pd.Series
) -> Compared | None:
    """Compare the mean of `outcome` in the chosen rows with that of the others of the same strata.

    One row per snapshot in all four; rows without an outcome are left out, and so are chosen rows whose
    stratum has no other row. The others are weighted as the chosen ones spread over the strata. An account
    may come many times: the 95% interval rests on the sums over accounts of what each row adds to the
    difference (a linearised variance, clustered by account). None where nothing can be compared.
    """
    rows = pd.DataFrame(
        {
            "y": outcome.to_numpy(dtype="float64"),
            "chosen": chosen.to_numpy(dtype=bool),
            "stratum": strata.groupby(list(strata), dropna=False).ngroup().to_numpy(),
            "account": pd.factorize(accounts)[0],
        }
    ).dropna(subset=["y"])
    sides = rows.groupby("stratum")["chosen"].agg(["sum", "size"])
    both = sides[(sides["sum"] > 0) & (sides["sum"] < sides["size"])]
    rows = rows[rows["stratum"].isin(both.index)]
    if rows.empty:
        return None
    mine, others = rows[rows["chosen"]], rows[~rows["chosen"]]
    count = others.groupby("stratum")["y"].agg(["mean", "size"])
    weight = mine.groupby("stratum").size() / len(mine)
    mean, other_mean = float(mine["y"].mean()), float((weight * count["mean"]).sum())
    value = mean - other_mean
    beside = rows["stratum"].map(count["mean"])
    each = np.where(
        rows["chosen"],
        (rows["y"] - beside - value) / len(mine),
        -rows["stratum"].map(weight / count["size"]) * (rows["y"] - beside),
    )
    sums = np.bincount(rows["account"], weights=each)
    people = int(rows["account"].nunique())
    spread = Z * math.sqrt(float((sums**2).sum()) * people / max(people - 1, 1))
    return Compared(
        rows=len(mine),
        accounts=int(mine["account"].nunique()),
        others=len(others),
        mean=mean,
        other_mean=other_mean,
        difference=Interval(value, value - spread, value + spread),
    )
