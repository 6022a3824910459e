"""What the account models said of every account on a day: chances of leaving and of growing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from numpy.typing import NDArray

    from lifecycle_ml.store.store import Store

NEAREST_DAYS = 10
"""A publication counts for a day where it stands on that day or at most this many before."""
QUARTER_DAYS = 91


@dataclass(frozen=True)
class Outlook:
    """Account models at one time.

    says     where it comes from, in words
    lost     by account_id: chance of losing all ARR in the first and, having stayed, in the second quarter
             ahead (columns 0 and 1); accounts without a score have no row
    grows    by account_id: chance of growing within half a year, None where nothing is said of it. Only who
             grows is taken from it, not how much in all.
    doubt    relative standard error of the level: by what part all chances may be off together
    """

    says: str
    lost: pd.DataFrame
    grows: pd.Series | None = None
    doubt: float = 0.1


def outlook_of(
    says: str,
    account_ids: NDArray[Any],
    horizons: tuple[int, ...],
    probabilities: NDArray[np.float64],
    grows: pd.Series | None = None,
    doubt: float = 0.1,
) -> Outlook | None:
    """Turn probabilities by horizon into chances by quarter; None where they do not reach two quarters.

    Shapes: probabilities (accounts, horizons), horizons in days, ascending. Between horizons the logarithm of
    the chance to stay is interpolated; nothing is said beyond the longest, which may fall short of the second
    quarter's end by a few days (180 of 182) at the same rate.
    """
    if not horizons or max(horizons) < 2 * QUARTER_DAYS - 7:
        return None
    days = np.array([0, *horizons], dtype=float)
    stays = np.log1p(-np.clip(np.column_stack([np.zeros(len(account_ids)), probabilities]), 0, 1 - 1e-9))
    at = [np.minimum(QUARTER_DAYS * quarter, days[-1]) for quarter in (1, 2)]
    logs = np.column_stack([_at(days, stays, day) for day in at])
    chances = -np.expm1(np.column_stack([logs[:, 0], logs[:, 1] - logs[:, 0]]))
    return Outlook(says, pd.DataFrame(chances, index=pd.Index(account_ids)), grows, doubt)


def _at(days: NDArray[np.float64], stays: NDArray[np.float64], day: float) -> NDArray[np.float64]:
    after = int(np.clip(np.searchsorted(days, day), 1, len(days) - 1))
    part = (day - days[after - 1]) / (days[after] - days[after - 1])
    found: NDArray[np.float64] = stays[:, after - 1] * (1 - part) + stays[:, after] * part
    return found


def published_outlook(
    store: Store, account_ids: Collection[str], known_on: date
) -> tuple[Outlook | None, str]:
    """Return what was published for `known_on` or up to NEAREST_DAYS before, and in words what it is.

    Readings replayed later with a newer model are left out: a past forecast may rest only on what was said
    then. None, with the reason, where there is no such publication or no model of the full tier spoke.
    """
    chosen = next(
        (
            each
            for each in store.publications("nightly")
            if 0 <= (known_on - each.as_of).days <= NEAREST_DAYS
            and abs((each.now.date() - each.as_of).days) <= NEAREST_DAYS
        ),
        None,
    )
    if chosen is None:
        return None, f"no scores were published for {known_on} or the {NEAREST_DAYS} days before"
    documents = [json.loads(body) for body in store.readings(account_ids, chosen.as_of).values()]
    told = [each for each in documents if each["churn"]["tier"] == "full"]
    if not told:
        return None, f"the scores of {chosen.as_of} are bands and no chances"
    horizons = tuple(int(item["days"]) for item in told[0]["churn"]["by_horizon"])
    chances = np.array(
        [[item["probability"] for item in each["churn"]["by_horizon"]] for each in told], dtype=float
    )
    grown = {
        each["account_id"]: each["expansion"]["probability"]
        for each in told
        if each["expansion"]["probability"] is not None
    }
    names = np.array([each["account_id"] for each in told], dtype=object)
    grows = pd.Series(grown, dtype=float) if grown else None
    says = f"the scores published for {chosen.as_of}"
    found = outlook_of(says, names, horizons, chances, grows)
    if found is None:
        return None, f"the scores of {chosen.as_of} reach {max(horizons)} days, not two quarters"
    return found, says
