"""Features that know too much: a single column that nearly decides the outcome has usually seen it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.models.encoding import Encoding, Floats

FEWEST_EVENTS = 10
"""With fewer accounts with the outcome behind it a perfect feature may be chance."""
PRECISE, COMPLETE = 0.9, 0.25
"""A value nearly always followed by the outcome, and standing before a quarter of it, is suspected too."""


@dataclass(frozen=True)
class Suspect:
    """A feature, and in words why it is suspected."""

    feature: str
    says: str


def suspect_leaks(
    matrix: pd.DataFrame,
    y: Floats,
    accounts: npt.ArrayLike,
    features: Iterable[str],
    auroc_above: float,
    outcome: str = "churned",
) -> tuple[Suspect, ...]:
    """Name features that alone nearly decide the outcome.

    Looks at each feature by itself, in both directions, its nulls and each level of a category apart: an
    area under the ROC curve above `auroc_above`, or one end of its values nearly always followed by the
    outcome and standing before a quarter of it. y: 0/1 per row of `matrix`; `outcome` is the word for 1.
    """
    codes = np.asarray(pd.factorize(np.asarray(accounts))[0], dtype=np.int64)
    events = y > 0
    if len(np.unique(codes[events])) < FEWEST_EVENTS or events.all():
        return ()
    found = []
    for name in features:
        encoding = Encoding.fit(matrix[[name]], codes)
        encoded = encoding.transform(matrix[[name]])
        null = np.isnan(encoded[:, 0]).astype(np.float64)
        for column, label in [
            *zip(encoded.T, encoding.encoded_names, strict=True),
            (null, f"{name} being null"),
        ]:
            says = _too_good(column, events, codes, label, auroc_above, outcome)
            if says is not None:
                found.append(Suspect(name, says))
                break
    return tuple(found)


def _too_good(
    values: Floats,
    all_events: npt.NDArray[np.bool_],
    codes: npt.NDArray[np.int64],
    label: str,
    auroc_above: float,
    outcome: str,
) -> str | None:
    known = ~np.isnan(values)
    values, events, codes = values[known], all_events[known], codes[known]
    if len(np.unique(codes[events])) < FEWEST_EVENTS or events.all() or np.ptp(values) == 0:
        return None
    area = _auroc(values, events)
    if max(area, 1 - area) > auroc_above:
        return f"{label} alone tells {outcome} accounts from others (AUROC {max(area, 1 - area):.3f})"
    for end in (values, -values):
        level, inverse = np.unique(-end, return_inverse=True)
        hits = np.cumsum(np.bincount(inverse, weights=events, minlength=len(level)))
        rows = np.cumsum(np.bincount(inverse, minlength=len(level)))
        # of all events, those of rows where the feature is null included
        enough = hits >= COMPLETE * all_events.sum()
        if enough.any():
            first = int(np.argmax(enough))
            precision = hits[first] / rows[first]
            if precision >= PRECISE and precision > 2 * all_events.mean():
                side, border = ("from", -level[first]) if end is values else ("up to", level[first])
                return (
                    f"{label} {side} {border:g}: {precision:.0%} of such snapshots {outcome}, "
                    f"{hits[first] / all_events.sum():.0%} of all that {outcome}"
                )
    return None


def _auroc(values: Floats, events: npt.NDArray[np.bool_]) -> float:
    ranks = pd.Series(values).rank().to_numpy()
    n = int(events.sum())
    return float((ranks[events].sum() - n * (n + 1) / 2) / (n * (len(values) - n)))
