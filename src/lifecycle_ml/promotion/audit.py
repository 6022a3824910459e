"""An audit of reasons: do categories rank the same when they are taken away one and all?

Category sums add up path-dependent contributions of single features. Exact group Shapley values answer the
same question without features and without paths: a coalition of categories keeps the account's own values,
all others take those of an account that stayed, and the margin is asked for every one of the 4,096
coalitions (Jullum et al. 2021, "groupShapley: Efficient prediction explanation with Shapley values for
feature groups"). Far too slow to serve; a sample shows whether what is served ranks categories alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from lifecycle_ml.matrix.feature import CONTEXT
from lifecycle_ml.models.encoding import Floats
from lifecycle_ml.models.horizons import HorizonModel
from lifecycle_ml.reasons.explain import explain
from lifecycle_ml.tables.schema import CATEGORIES

if TYPE_CHECKING:
    from lifecycle_ml.matrix.feature import Feature
    from lifecycle_ml.models.bundle import Bundle
    from lifecycle_ml.reasons.taxonomy import Taxonomy

BACKGROUND = 40
"""Accounts that stayed whose values stand in, for each account audited."""
GROUPS = (*CATEGORIES, CONTEXT)


@dataclass(frozen=True)
class Audit:
    """What was found; rows are the accounts audited, columns of both the eleven categories, then context.

    `exact` are group Shapley values, `sums` those of contributions compared with accounts that stayed, both
    in calibrated log-odds at the headline horizon; what was null counts with its category in both.
    `correlations` are Spearman's, over the eleven categories, one an account (NaN where none differ), and
    `served` those with the sums as they are served, in which what is not known is kept apart.
    """

    accounts: tuple[str, ...]
    exact: Floats
    sums: Floats
    correlations: Floats
    served: Floats

    @property
    def same_first(self) -> float:
        """Share of accounts whose category with the largest value is the same in both."""
        eleven = len(CATEGORIES)
        first = self.exact[:, :eleven].argmax(axis=1) == self.sums[:, :eleven].argmax(axis=1)
        return float(first.mean())


def group_shapley(
    margin: Callable[[Floats], Floats],
    row: Floats,
    background: Floats,
    groups: npt.NDArray[np.intp],
    count: int,
) -> Floats:
    """Return exact Shapley values of groups of columns: (count,).

    margin: from (rows, columns) to (rows,). row: (columns,). background: (rows, columns), whose values stand
    in for groups outside the coalition, averaged. groups: the group of each column, 0 to count - 1.
    The values add up to the row's margin minus the mean margin of the background, for each row of which
    2 ** count margins are asked.
    """
    coalitions = np.arange(1 << count)
    inside = (coalitions[:, None] >> np.arange(count) & 1).astype(bool)
    own = inside[:, groups]
    worth = np.zeros(len(coalitions))
    for other in background:
        worth += margin(np.where(own, row, other))
    worth /= len(background)
    size = inside.sum(axis=1)
    weight = np.array([1 / (count * comb(count - 1, members)) for members in range(count)])
    found = np.empty(count)
    for group in range(count):
        without = np.flatnonzero(~inside[:, group])
        gain = worth[without | 1 << group] - worth[without]
        found[group] = (weight[size[without]] * gain).sum()
    return found


def audit_reasons(
    bundle: Bundle,
    red: pd.DataFrame,
    retained: pd.DataFrame,
    features: Iterable[Feature],
    taxonomy: Taxonomy,
    segments: pd.Series,
    *,
    background: int = BACKGROUND,
    seed: int = 0,
) -> Audit:
    """Compare category sums with exact group Shapley values, account by account.

    red: one row per account to audit, with account_id, as_of and the features. retained: snapshots of
    accounts that stayed through the headline horizon; stand-ins are drawn from the account's own segment
    where that has a reference of its own in the bundle, else from all. segments: account_id to segment.
    Cost: 4,096 margins for each account and stand-in; 25 accounts with 40 each: minutes.
    Raises: ValueError where no trees serve.
    """
    model = bundle.model
    if not isinstance(model, HorizonModel) or bundle.references is None:
        raise ValueError(f"bundle {bundle.name}: an audit needs trees and reference contributions.")
    defined = tuple(features)
    category = {item.name: item.category for item in defined}
    names = model.encoding.names
    of_name = [GROUPS.index(category.get(name, CONTEXT)) for name in names]
    groups = np.asarray(of_name, dtype=np.intp)[model.encoding.sources]
    slope = bundle.calibration.slope_at(bundle.headline)
    bag = model.bag
    explained = explain(bundle, red, defined, taxonomy, segments, sentences_for=(), keep_relative=True)
    assert explained.relative is not None
    place = [GROUPS.index(category.get(name, CONTEXT)) for name in explained.columns]
    sums = np.zeros((len(red), len(GROUPS)))
    for at, group in enumerate(place):
        sums[:, group] += explained.relative[:, at]
    segment_of = retained["account_id"].map(segments)
    random = np.random.default_rng(seed)
    exact = np.empty_like(sums)
    rows = model.inputs(red, bundle.headline)
    for at, account in enumerate(red["account_id"]):
        own = segments.get(account)
        pool = retained[segment_of == own] if own in bundle.references.segments else retained
        drawn = random.choice(len(pool), min(background, len(pool)), replace=False)
        others = model.inputs(pool.iloc[np.sort(drawn)], bundle.headline)
        exact[at] = slope * group_shapley(bag.margin, rows[at], others, groups, len(GROUPS))
    eleven = len(CATEGORIES)
    return Audit(
        accounts=tuple(red["account_id"]),
        exact=exact,
        sums=sums,
        correlations=_spearman(exact[:, :eleven], sums[:, :eleven]),
        served=_spearman(exact[:, :eleven], explained.sums),
    )


def _spearman(one: Floats, other: Floats) -> Floats:
    """Return the rank correlation of each row; NaN where all of its values are the same."""
    ranks = [rankdata(values, axis=1) for values in (one, other)]
    first, second = (each - each.mean(axis=1, keepdims=True) for each in ranks)
    spread = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return np.asarray((first * second).sum(axis=1) / np.where(spread > 0, spread, np.nan))
