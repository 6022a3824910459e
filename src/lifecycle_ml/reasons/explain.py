"""Why an account stands where it stands: contributions, summed to categories, checked against evidence."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle_ml.matrix.feature import CONTEXT, Feature
from lifecycle_ml.models.block import Block, Matrix, texts_of
from lifecycle_ml.reasons.evidence import (
    Signs,
    judge,
    quote_better_than_usual,
    quote_evidence,
    quote_in_favour,
    read_signs,
)
from lifecycle_ml.reasons.taxonomy import DATA_GAP, UNKNOWN, Taxonomy
from lifecycle_ml.reasons.weighing import Served, Weighed, weigh, weightless
from lifecycle_ml.tables.schema import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from lifecycle_ml.reasons.evidence import Facts, Flags, Floats

CHUNK = 4_000
"""Rows explained at once: ten members x 4,000 rows x 160 features are 51 MB."""

REASONS = 3
"""Reasons an account may carry."""


@dataclass(frozen=True, repr=False)
class Explanations:
    """The explanation of every row of a matrix, at one horizon.

    Grain: one row per (account_id, as_of), in the order of the matrix; arrays are aligned with `keys`.
    Units: log-odds of the calibrated margin, compared with retained accounts of the segment.
    Nulls: `basis` is "contributions", or "facts" where rules serve or the tier is advisory: every number is
    NaN then, and reasons come from facts and required evidence alone.

    `sums` (rows, 11) are the category sums in the order of CATEGORIES, `context` and `gap` what is kept apart
    from them: sums.sum(1) + context + gap == margin - reference_margin within 1e-5.
    `shares` (rows, 11), which add up to 1, say how likely each category is the cause: softmax of its sum plus
    what its facts weigh (models/causes.py). `stability` (rows, 11) is the share of bag members in which it
    ranks first. `relative` (rows, features), only on request, is what the sums
    add up, in the order of `columns`.
    """

    keys: pd.DataFrame
    horizon: int
    basis: str
    sums: Floats
    context: Floats
    gap: Floats
    margin: Floats
    reference_margin: Floats
    shares: Floats
    stability: Floats
    first: NDArray[np.object_]
    reasons: list[list[dict[str, Any]]]
    in_favour: list[list[dict[str, str]]]
    columns: tuple[str, ...] = ()
    relative: Floats | None = field(default=None)

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"Explanations({len(self)} rows, horizon={self.horizon}, basis={self.basis!r})"

    def position(self, account_id: str) -> int:
        """Return the row of an account, the latest as_of where it has several. Raises: KeyError."""
        found = np.flatnonzero((self.keys["account_id"] == account_id).to_numpy())
        if found.size == 0:
            raise KeyError(account_id)
        return int(found[self.keys["as_of"].iloc[found].to_numpy().argmax()])

    def frame(self) -> pd.DataFrame:
        """Return account_id, as_of, reason (first category or `unknown`), and the sums as columns."""
        sums = pd.DataFrame(self.sums, columns=list(CATEGORIES), index=self.keys.index)
        return (
            self.keys.assign(reason=self.first)
            .join(sums)
            .assign(**{CONTEXT: self.context, DATA_GAP: self.gap})
        )


def explain(
    bundle: Served,
    matrix: Matrix,
    features: Iterable[Feature],
    taxonomy: Taxonomy,
    segments: pd.Series | None = None,
    *,
    horizon: int | None = None,
    sentences_for: Collection[str] | None = None,
    keep_relative: bool = False,
    chunk: int = CHUNK,
) -> Explanations:
    """Explain every row of `matrix`, a table or its block, in the categories of the taxonomy.

    Compared with: the mean contribution, at `horizon` (default: the headline), of retained accounts of the
    account's segment. `segments` maps account_id to segment (default: the matrix's own column `segment`).
    Reasons: a category is named where its share reaches its floor and its required evidence is true, or a
    fact names it outright; at most three, by share. Where the first is not clear and stable enough
    (`clear_from`, `stable_from` of the taxonomy), only what a fact names outright is; else the one reason is
    `unknown`, without evidence.
    Nulls: what a feature whose null means `unknown` contributes where it is null goes to the data gap; what
    the horizon and context features contribute goes to context.
    Cost: `chunk` rows at once; the result does not depend on it. Evidence is written only for the account ids
    in `sentences_for` (default: all); others get their reasons without sentences.
    """
    at = bundle.headline if horizon is None else horizon
    defined = tuple(features)
    block = Block.of(matrix)
    group = _segments(block, segments)
    by_rules = bundle.source == "rules" or bundle.tier != "full"
    asked = None if sentences_for is None else frozenset(sentences_for)
    parts = []
    for start in range(0, len(block), chunk):
        rows = block.rows(start, start + chunk)
        weighed = (
            weightless(rows) if by_rules else weigh(bundle, rows, defined, group[start : start + chunk], at)
        )
        part = _explain_rows(weighed, rows, defined, taxonomy, bundle.ranges, asked, by_rules=by_rules)
        parts.append(part if keep_relative else part.slim())
    if not parts:
        parts.append(_explain_rows(weightless(block), block, defined, taxonomy, {}, asked, by_rules=True))
    return Explanations(
        keys=pd.DataFrame({name: block.frame[name].array for name in ("account_id", "as_of")}),
        horizon=at,
        basis="facts" if by_rules else "contributions",
        sums=_stack(part.weighed.sums for part in parts),
        context=_stack(part.weighed.context for part in parts),
        gap=_stack(part.weighed.gap for part in parts),
        margin=_stack(part.weighed.margin for part in parts),
        reference_margin=_stack(part.weighed.reference_margin for part in parts),
        shares=_stack(part.weighed.shares for part in parts),
        stability=_stack(part.weighed.stability for part in parts),
        first=np.concatenate([part.first for part in parts]),
        reasons=[reasons for part in parts for reasons in part.reasons],
        in_favour=[words for part in parts for words in part.in_favour],
        columns=parts[0].weighed.columns,
        relative=_stack(part.weighed.relative for part in parts) if keep_relative and not by_rules else None,
    )


@dataclass(frozen=True)
class _Part:
    weighed: Weighed
    first: NDArray[np.object_]
    reasons: list[list[dict[str, Any]]]
    in_favour: list[list[dict[str, str]]]

    def slim(self) -> _Part:
        """Return it without what is kept by feature, which would add up over the chunks."""
        none = np.empty((len(self.first), 0))
        return replace(self, weighed=replace(self.weighed, relative=none, facts=None))


def _stack(arrays: Iterable[Floats]) -> Floats:
    return np.concatenate(list(arrays))


def _segments(block: Block, segments: pd.Series | None) -> NDArray[np.object_]:
    found = np.full(len(block), None, dtype=object)
    if segments is not None:
        found[:] = texts_of(block.frame["account_id"].map(segments))
    elif "segment" in block:
        found[:] = block.texts("segment")
    return found


def _explain_rows(
    weighed: Weighed,
    rows: Block,
    features: Sequence[Feature],
    taxonomy: Taxonomy,
    ranges: Mapping[str, tuple[float, float, float]],
    asked: frozenset[str] | None,
    *,
    by_rules: bool,
) -> _Part:
    quotable = [item for item in features if item.category in CATEGORIES and item.name in rows]
    facts = judge(rows, quotable, taxonomy)
    order, count = _rank(weighed, facts, quotable, taxonomy, by_rules=by_rules)
    places = order[:, :REASONS].tolist()
    counts = count.tolist()
    first = np.array(
        [CATEGORIES[row[0]] if n else UNKNOWN for row, n in zip(places, counts, strict=True)], object
    )
    # evidence is looked for only where it is asked for
    quoted = np.ones(len(rows), dtype=bool)
    if asked is not None:
        quoted[:] = [account in asked for account in rows.frame["account_id"]]
    place_of = np.where(quoted, np.cumsum(quoted) - 1, -1).tolist()
    signs = _signs_of(weighed, rows, quotable, facts, ranges, quoted)
    favour = quote_better_than_usual if by_rules else quote_in_favour
    reasons, in_favour = [], []
    for row, at in enumerate(place_of):
        chosen = places[row][: counts[row]]
        reasons.append(
            [
                _reason(
                    weighed, signs if at >= 0 else None, facts, row, at, place, taxonomy, by_rules=by_rules
                )
                for place in chosen
            ]
            or [_unknown(taxonomy)]
        )
        in_favour.append(favour(signs, at, [CATEGORIES[place] for place in chosen]) if at >= 0 else [])
    return _Part(weighed, first, reasons, in_favour)


def _signs_of(
    weighed: Weighed,
    rows: Block,
    quotable: Sequence[Feature],
    facts: Facts,
    ranges: Mapping[str, tuple[float, float, float]],
    quoted: Flags,
) -> Signs:
    """Read the signs of some of the rows."""
    relative = _spread(weighed.columns, weighed.relative[quoted], quotable)
    said = weighed.facts
    weight = None if said is None else _spread(said.features, said.values[quoted], quotable)
    return read_signs(rows, quoted, quotable, relative, facts.of(quoted), ranges, weight)


def _rank(
    weighed: Weighed, facts: Facts, quotable: Sequence[Feature], taxonomy: Taxonomy, *, by_rules: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order the categories of each row, those to be named first, and count these (at most three)."""
    if by_rules:
        # How many different features speak for the category; ties in the order of the taxonomy.
        places = [[at for at, item in enumerate(quotable) if item.category == name] for name in CATEGORIES]
        strength = np.column_stack([facts.met[:, places_of].sum(axis=1) for places_of in places]).astype(
            float
        )
        nameable = facts.required | facts.outright
        # Counts come to less than 1, so an outright category comes before every other.
        key = np.where(nameable, strength / (1 + len(quotable)) + 2.0 * facts.outright, -1.0)
    else:
        floors = np.array([taxonomy.named(name).floor for name in CATEGORIES])
        nameable = (weighed.shares >= floors) & facts.required | facts.outright
        every, first = np.arange(len(nameable)), np.where(nameable, weighed.shares, -1.0).argmax(axis=1)
        clear = (weighed.shares[every, first] >= taxonomy.unknown.clear_from) & (
            weighed.stability[every, first] >= taxonomy.unknown.stable_from
        )
        nameable = np.where(clear[:, None], nameable, facts.outright)
        key = np.where(nameable, weighed.shares, -1.0)
    order = np.argsort(-key, axis=1, kind="stable")
    return order, np.minimum(nameable.sum(axis=1), REASONS)


def _spread(columns: Sequence[str], values: Floats, quotable: Sequence[Feature]) -> Floats:
    """Lay values (rows, columns) out over the quotable features, (features, rows); NaN where it has none."""
    place = {name: at for at, name in enumerate(columns)}
    spread = np.full((len(quotable), len(values)), np.nan)
    known = [at for at, feature in enumerate(quotable) if feature.name in place]
    spread[known] = values.T[[place[quotable[at].name] for at in known]]
    return spread


def _reason(
    weighed: Weighed,
    signs: Signs | None,
    facts: Facts,
    row: int,
    at: int,
    place: int,
    taxonomy: Taxonomy,
    *,
    by_rules: bool,
) -> dict[str, Any]:
    """Write a reason; `at` is the row's place among those that `signs` were read of."""
    name = CATEGORIES[place]
    entry = taxonomy[name]
    outright = bool(facts.outright[row, place])
    return {
        "category": name,
        "label": entry.label,
        "share": None if by_rules else round(float(weighed.shares[row, place]), 4),
        "stability": None if by_rules else round(float(weighed.stability[row, place]), 4),
        "owner_role": entry.owner_role,
        "evidence": [] if signs is None else quote_evidence(signs, at, place, outright=outright),
    }


def _unknown(taxonomy: Taxonomy) -> dict[str, Any]:
    return {
        "category": UNKNOWN,
        "label": taxonomy.unknown.label,
        "share": None,
        "stability": None,
        "owner_role": taxonomy.unknown.owner_role,
        "evidence": [],
    }
