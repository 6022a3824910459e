"""What speaks for each category, in numbers: contributions and facts, summed to shares and stability."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from lifecycle_ml.matrix.feature import CONTEXT, Feature
from lifecycle_ml.models.block import Block
from lifecycle_ml.models.encoding import Places, steps_of, sum_groups
from lifecycle_ml.tables.schema import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from lifecycle_ml.reasons.evidence import Floats


class Contributions(Protocol):
    """SHAP values in the calibrated margin: values.sum(1) + base == margin (models/bundle.py)."""

    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def values(self) -> Floats: ...
    @property
    def base(self) -> float: ...
    @property
    def margin(self) -> Floats: ...
    @property
    def members(self) -> Floats: ...


class WeightOfEvidence(Protocol):
    """What facts say, by feature and by member and category, in log-odds (models/causes.py)."""

    @property
    def features(self) -> tuple[str, ...]: ...
    @property
    def values(self) -> Floats: ...
    @property
    def members(self) -> Floats: ...


class Causes(Protocol):
    """Weighs the facts of accounts for the categories (models/causes.py)."""

    def weigh(self, matrix: Block) -> WeightOfEvidence: ...


class Served(Protocol):
    """What reasons need of the bundle that serves (models/bundle.py)."""

    @property
    def headline(self) -> int: ...
    @property
    def source(self) -> str: ...
    @property
    def tier(self) -> str: ...
    @property
    def causes(self) -> Causes | None: ...
    @property
    def ranges(self) -> Mapping[str, tuple[float, float, float]]: ...
    def contributions(self, matrix: Block, horizon: int) -> Contributions: ...
    def reference(self, horizon: int, segment: str | None) -> Floats: ...


@dataclass(frozen=True)
class Weighed:
    """What speaks for each category of each row, in log-odds; NaN throughout where no model weighs.

    `sums`, `shares` and `stability` are (rows, 11) in the order of CATEGORIES; `relative` (rows, columns) are
    the contributions compared with retained accounts; the others are (rows,). `facts` is what facts say,
    None where the bundle does not weigh them.
    """

    columns: tuple[str, ...]
    relative: Floats
    sums: Floats
    context: Floats
    gap: Floats
    margin: Floats
    reference_margin: Floats
    shares: Floats
    stability: Floats
    facts: WeightOfEvidence | None = None


def weigh(
    bundle: Served,
    rows: Block,
    features: Sequence[Feature],
    group: NDArray[np.object_],
    horizon: int,
) -> Weighed:
    """Weigh contributions and facts of every row at one horizon.

    `group` is the segment of each row, None where it has none.
    """
    found = bundle.contributions(rows, horizon)
    names = found.columns
    by_name = {feature.name: feature for feature in features}
    # The horizon is an input of the model without being a feature: what it contributes is context.
    categories = tuple(by_name[name].category if name in by_name else CONTEXT for name in names)
    # (columns, rows) from here on: what is done column by column runs along memory
    values, members = found.values.T, found.members.swapaxes(1, 2)
    reference = np.empty_like(values)
    reference_margin = np.empty(len(rows))
    codes, distinct = pd.factorize(group, use_na_sentinel=False)
    for code, segment in enumerate(distinct):
        of_segment = codes == code
        mean = bundle.reference(horizon, None if pd.isna(segment) else str(segment))
        reference[:, of_segment] = mean[:, None]
        reference_margin[of_segment] = found.base + float(np.sum(mean))
    relative = values - reference
    unknown = [name in by_name and by_name[name].null_means == "unknown" for name in names]
    missing = rows.missing(names) & np.array(unknown, dtype=bool)[:, None]
    every_group, eleven = _grouped(categories)
    # the sums of the eleven, then context: of what is known, and of what is missing
    both = np.stack([np.where(missing, 0.0, relative), np.where(missing, relative, 0.0)])
    parts, gaps = sum_groups(both, every_group)
    gap = _sum_columns(gaps.T, range(every_group[0]))
    sums = parts[:-1]
    facts = None if bundle.causes is None else bundle.causes.weigh(rows)
    weights = np.zeros((1, len(rows), len(CATEGORIES))) if facts is None else facts.members
    shares = _share(sums.T + _sum_members(weights) / len(weights))
    odds = sum_groups(np.where(missing, 0.0, members - reference), eleven)
    odds += weights.swapaxes(1, 2)[np.arange(len(members)) % len(weights)]
    leads = np.zeros((len(rows), len(CATEGORIES)))
    every = np.arange(len(rows))
    for first in odds.argmax(axis=1):
        leads[every, first] += 1
    return Weighed(
        columns=names,
        relative=relative.T,
        sums=sums.T,
        context=parts[-1],
        gap=gap,
        margin=np.asarray(found.margin, dtype=float),
        reference_margin=reference_margin,
        shares=shares,
        stability=leads / max(len(members), 1),
        facts=facts,
    )


Steps = tuple[int, list[tuple[Places, Places]]]


@lru_cache(maxsize=64)
def _grouped(categories: tuple[str, ...]) -> tuple[Steps, Steps]:
    """Return how the columns of these categories are added up: the eleven with context, and the eleven."""
    found = np.asarray(categories)
    groups = [np.flatnonzero(found == name) for name in (*CATEGORIES, CONTEXT)]
    return steps_of(groups), steps_of(groups[:-1])


def _sum_members(values: Floats) -> Floats:
    total = np.zeros(values.shape[1:])
    for member in values:
        total += member
    return total


def _share(odds: Floats) -> Floats:
    """Return how likely each category is the cause, from log-odds: softmax over the categories."""
    odds = np.exp(odds - odds.max(axis=1, keepdims=True))
    return odds / _sum_columns(odds, range(odds.shape[1]))[:, None]


def _sum_columns(values: Floats, columns: Iterable[int]) -> Floats:
    # Column by column, not as a matrix product: its order of addition, and so its last bits, would depend on
    # how many rows are summed together, and one account must read the same alone as in a batch.
    total = np.zeros(len(values))
    for at in columns:
        total += values[:, at]
    return total


def weightless(rows: Block) -> Weighed:
    """Return the numbers of rows that no model weighs."""
    line, table = np.full(len(rows), np.nan), np.full((len(rows), len(CATEGORIES)), np.nan)
    none = np.empty((len(rows), 0))
    return Weighed((), none, table, line, line, line, line, table, table)
