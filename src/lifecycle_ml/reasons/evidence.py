"""Evidence: which facts support a category for an account, and which speak for the account."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from lifecycle_ml.conditions.evaluate import evaluate
from lifecycle_ml.matrix.feature import USUAL, Feature
from lifecycle_ml.reasons.sentences import counts, write_sentence
from lifecycle_ml.reasons.taxonomy import Taxonomy
from lifecycle_ml.tables.schema import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

SENTENCES = 3
"""Evidence sentences a reason may carry, and sentences in favour of an account."""

CLEARLY_WORSE = 0.15
"""How far from its own past a value must stand to be evidence; counts at least half a thing."""

NOTICEABLE = 0.02
"""Log-odds under which a feature is not worth a sentence in favour: it moves a 10% risk by 0.2 points."""


@dataclass(frozen=True)
class Facts:
    """What the conditions of the taxonomy say about each row; "cannot tell" counts as not true.

    `required` and `outright` are (rows, 11) in the order of CATEGORIES. `met` and `unmet` are (rows,
    features): a comparison of the feature's own category is true, or all of those that can be told are false.
    """

    required: Flags
    outright: Flags
    met: Flags
    unmet: Flags


def judge(matrix: pd.DataFrame, features: Sequence[Feature], taxonomy: Taxonomy) -> Facts:
    """Evaluate every condition of the taxonomy on every row, in one query.

    `met` and `unmet` have one column for each of `features`. A column the matrix lacks is null throughout.
    """
    asked = {f"required {name}": item for name, item in taxonomy.required.items()}
    asked |= {f"outright {name}": item for name, item in taxonomy.outright.items()}
    asked |= {f"part {n}": item.condition for n, item in enumerate(taxonomy.comparisons)}
    columns = sorted({column for item in asked.values() for column in item.columns})
    table = pa.table(
        {
            name: pa.array(matrix[name], from_pandas=True) if name in matrix else pa.nulls(len(matrix))
            for name in columns
        }
    )
    answers = evaluate(asked, table)
    true = {key: answers[key].to_numpy(dtype=bool, na_value=False) for key in answers}
    nothing = np.zeros(len(matrix), dtype=bool)
    position = {(feature.category, feature.name): at for at, feature in enumerate(features)}
    met = np.zeros((len(matrix), len(features)), dtype=bool)
    told = np.zeros_like(met)
    for n, item in enumerate(taxonomy.comparisons):
        for name in item.features:
            at = position.get((item.category, name))
            if at is not None:
                met[:, at] |= true[f"part {n}"]
                told[:, at] |= answers[f"part {n}"].notna().to_numpy()
    return Facts(
        required=np.column_stack([true[f"required {name}"] for name in CATEGORIES]),
        outright=np.column_stack([true.get(f"outright {name}", nothing) for name in CATEGORIES]),
        met=met,
        unmet=told & ~met,
    )


@dataclass(frozen=True)
class Signs:
    """The features that may be quoted, with their values, for every row; (rows, features) throughout.

    `relative` is the contribution compared with retained accounts, NaN where the model does not use the
    feature or rules serve. `drive` is what the feature does for its category: its weight of evidence plus
    that contribution, NaN where neither is known. `bad` and `good`: the value itself stands on that side,
    whatever the model says.
    """

    features: tuple[Feature, ...]
    values: tuple[list[Any], ...]
    usual: tuple[list[Any], ...]
    relative: Floats
    drive: Floats
    met: Flags
    bad: Flags
    good: Flags


def read_signs(
    matrix: pd.DataFrame,
    features: Sequence[Feature],
    relative: Floats,
    facts: Facts,
    ranges: Mapping[str, tuple[float, float, float]],
    weight: Floats | None = None,
) -> Signs:
    """Put values beside contributions and see on which side each value stands.

    A feature named in its category's evidence stands on the bad side where a comparison is true and on the
    good side where none is. Any other is compared with the account's own past, else with the median of the
    accounts the model learned from (`ranges`: 10th, 50th and 90th percentile).
    """
    shape = (len(matrix), len(features))
    bad, good = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    values, usual = [], []
    for at, feature in enumerate(features):
        column = matrix[feature.name]
        before = matrix.get(feature.name + USUAL)
        values.append(_plain(column))
        usual.append([None] * len(matrix) if before is None else _plain(before))
        worse, better = _side(feature, column, before, ranges.get(feature.name))
        bad[:, at] = facts.met[:, at] | (worse & ~facts.unmet[:, at])
        good[:, at] = (better | facts.unmet[:, at]) & ~facts.met[:, at]
    drive = relative
    if weight is not None:
        drive = np.where(np.isnan(relative), weight, relative + np.where(np.isnan(weight), 0.0, weight))
    return Signs(tuple(features), tuple(values), tuple(usual), relative, drive, facts.met, bad, good)


def _plain(column: pd.Series) -> list[Any]:
    if not pd.api.types.is_numeric_dtype(column):
        return [None if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
    return [None if value != value else value for value in column.astype(float).tolist()]  # noqa: PLR0124


def _side(
    feature: Feature,
    column: pd.Series,
    before: pd.Series | None,
    spread: tuple[float, float, float] | None,
) -> tuple[Flags, Flags]:
    present = column.notna().to_numpy()
    neither = np.zeros(len(column), dtype=bool)
    # "No business review on record" is a fact; whether it is a bad one only the contribution says.
    worse_if_null = ~present if feature.null_means == "none" and feature.says_null is not None else neither
    if feature.is_text or feature.direction == "none":
        # A channel has no better and worse; only its contribution speaks.
        return present | worse_if_null, neither
    value = column.to_numpy(dtype=float)
    past = np.full(len(column), np.nan) if before is None else before.to_numpy(dtype=float)
    if feature.unit == "ratio":
        # Compared with itself: below one it fell.
        past = np.where(np.isnan(past), 1.0, past)
    raises = feature.direction == "raises"
    with np.errstate(invalid="ignore"):
        far = np.maximum(CLEARLY_WORSE * past, 0.5 if counts(feature.unit) else 0.0)
        worse, better = (
            (value >= past + far, value <= past) if raises else (value <= past - far, value >= past)
        )
        if spread is not None:
            middle = spread[1]
            worse |= np.isnan(past) & (value >= middle if raises else value <= middle)
            better |= np.isnan(past) & (value <= middle if raises else value >= middle)
        # None of a bad thing is never bad, none of a good thing never good.
        return (worse & (value > 0) if raises else worse) | worse_if_null, better & (raises | (value > 0))


def quote_evidence(signs: Signs, row: int, category: int, *, outright: bool = False) -> list[dict[str, Any]]:
    """Return up to three pieces of evidence for a category (its place in CATEGORIES), strongest first.

    First what stands on the bad side and drives the category, by the model or by how unusual it is; then true
    comparisons nothing weighs; a true comparison that drives the other way only where there is nothing else.
    For a category named outright the true comparisons lead.
    """
    name = CATEGORIES[category]
    strong: list[tuple[bool, float, int]] = []
    silent: list[tuple[bool, float, int]] = []
    against: list[tuple[bool, float, int]] = []
    for at, feature in enumerate(signs.features):
        if feature.category != name or not signs.bad[row, at]:
            continue
        if feature.sentence(signs.values[at][row]) is None:
            continue  # a true comparison of what is usual alone, of a value that is not known, says nothing
        push = float(signs.drive[row, at])
        if push > 0:
            strong.append((not (outright and signs.met[row, at]), -push, at))
        elif signs.met[row, at]:
            (silent if np.isnan(push) else against).append((False, 0.0 if np.isnan(push) else -push, at))
    chosen = sorted(strong) + silent
    if not chosen or outright:
        chosen = sorted(chosen + sorted(against), key=lambda item: item[0])
    pieces = (_piece(signs, row, at) for _, _, at in chosen)
    return list(islice((piece for piece in pieces if piece is not None), SENTENCES))


def _piece(signs: Signs, row: int, at: int) -> dict[str, Any] | None:
    feature, value, usual = signs.features[at], signs.values[at][row], signs.usual[at][row]
    says = write_sentence(feature, value, usual)
    if says is None:
        return None
    push = signs.relative[row, at]
    return {
        "feature": feature.name,
        "value": _tidy(value),
        "usual": _tidy(usual),
        "unit": feature.unit,
        "contribution": None if np.isnan(push) else round(float(push), 4),
        "says": says,
    }


def _tidy(value: Any) -> Any:
    """Whole numbers as integers, others without the dust of floating point."""
    if not isinstance(value, float):
        return value
    return int(value) if value.is_integer() else round(value, 4)


def quote_in_favour(signs: Signs, row: int, named: Iterable[str]) -> list[dict[str, str]]:
    """Return up to three sentences that speak for an account, strongest first, at most one a category.

    Categories already named as reasons are passed over: a sentence for and one against from the same corner
    would only puzzle. Where rules serve, what stands clearly above the account's own past speaks for it.
    """
    spoken = set(named)
    found: list[dict[str, str]] = []
    pushes = signs.relative[row]
    for at in np.argsort(np.where(np.isnan(pushes), np.inf, pushes), kind="stable").tolist():
        feature = signs.features[at]
        if len(found) == SENTENCES or not pushes[at] < -NOTICEABLE:
            break
        if feature.category in spoken or not signs.good[row, at]:
            continue
        says = write_sentence(feature, signs.values[at][row], signs.usual[at][row])
        if says is not None:
            spoken.add(feature.category)
            found.append({"says": says})
    return found


CLEARLY = 1.1
"""How far above its own past a value must stand to speak for an account where no model weighs it."""


def quote_better_than_usual(signs: Signs, row: int, named: Iterable[str]) -> list[dict[str, str]]:
    """Where rules serve: up to three sentences on what clearly beats the account's own past."""
    spoken = set(named)
    ranked = []
    for at, feature in enumerate(signs.features):
        value, usual = signs.values[at][row], signs.usual[at][row]
        if isinstance(value, float) and isinstance(usual, float) and signs.good[row, at] and usual > 0:
            gain = value / usual if feature.direction == "lowers" else usual / max(value, usual / 10)
            if gain >= CLEARLY:
                ranked.append((-gain, at))
    found: list[dict[str, str]] = []
    for _, at in sorted(ranked):
        feature = signs.features[at]
        says = write_sentence(feature, signs.values[at][row], signs.usual[at][row])
        if says is not None and feature.category not in spoken and len(found) < SENTENCES:
            spoken.add(feature.category)
            found.append({"says": says})
    return found
