"""Evidence: which facts support a category for an account, and which speak for the account."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import compress, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lifecycle_ml.conditions.evaluate import evaluate
from lifecycle_ml.conditions.logic import Answer, answer, is_numeric
from lifecycle_ml.matrix.feature import USUAL, Feature
from lifecycle_ml.models.block import Block
from lifecycle_ml.reasons.sentences import Value, counts, write_sentence
from lifecycle_ml.reasons.taxonomy import Taxonomy
from lifecycle_ml.tables.schema import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from lifecycle_ml.conditions.parse import Condition

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

    def of(self, rows: Flags) -> Facts:
        """Return some of the rows."""
        return Facts(self.required[rows], self.outright[rows], self.met[rows], self.unmet[rows])


def judge(rows: Block, features: Sequence[Feature], taxonomy: Taxonomy) -> Facts:
    """Evaluate every condition of the taxonomy on every row; those over texts in one query.

    `met` and `unmet` have one column for each of `features`. A column the matrix lacks is null throughout.
    """
    asked = {f"required {name}": item for name, item in taxonomy.required.items()}
    asked |= {f"outright {name}": item for name, item in taxonomy.outright.items()}
    asked |= {f"part {n}": item.condition for n, item in enumerate(taxonomy.comparisons)}
    answers = _answers(asked, rows)
    true = {key: found[0] for key, found in answers.items()}
    nothing = np.zeros(len(rows), dtype=bool)
    position = {(feature.category, feature.name): at for at, feature in enumerate(features)}
    met = np.zeros((len(features), len(rows)), dtype=bool)
    told = np.zeros_like(met)
    for n, item in enumerate(taxonomy.comparisons):
        for name in item.features:
            at = position.get((item.category, name))
            if at is not None:
                is_true, is_false = answers[f"part {n}"]
                met[at] |= is_true
                told[at] |= is_true | is_false
    return Facts(
        required=np.column_stack([true[f"required {name}"] for name in CATEGORIES]),
        outright=np.column_stack([true.get(f"outright {name}", nothing) for name in CATEGORIES]),
        met=met.T,
        unmet=(told & ~met).T,
    )


def _answers(asked: Mapping[str, Condition], rows: Block) -> dict[str, Answer]:
    """Say where each condition is true, and where false."""
    numeric = rows.numeric
    named = {name for item in asked.values() for name in item.columns}
    told = [name for name in named if name in numeric or name not in rows]
    values = dict(zip(told, rows.numbers(told), strict=True))
    found: dict[str, Answer] = {}
    others: dict[str, Condition] = {}
    for key, item in asked.items():
        if is_numeric(item) and all(name in values for name in item.columns):
            found[key] = answer(item, values)
        else:
            others[key] = item
    if others:
        columns = sorted({column for item in others.values() for column in item.columns})
        table = pa.table(
            {
                name: pa.array(rows.frame[name], from_pandas=True) if name in rows else pa.nulls(len(rows))
                for name in columns
            }
        )
        said = evaluate(others, table)
        for key in others:
            true = said[key].to_numpy(dtype=bool, na_value=False)
            found[key] = true, ~said[key].to_numpy(dtype=bool, na_value=True)
    return found


@dataclass(frozen=True)
class Signs:
    """The features that may be quoted, with their values, for every row; (features, rows) throughout.

    `numbers` and `usual` are NaN where null; `texts` are the values of features that are texts, by place.
    `relative` is the contribution compared with retained accounts, NaN where the model does not use the
    feature or rules serve. `drive` is what the feature does for its category: its weight of evidence plus
    that contribution, NaN where neither is known. `bad` and `good`: the value itself stands on that side,
    whatever the model says. `candidates`: for each row the features that may be evidence, being bad and
    sayable, and either driving their category or meeting its comparison.
    """

    features: tuple[Feature, ...]
    candidates: Sequence[Sequence[int]]
    numbers: Floats
    usual: Floats
    texts: Mapping[int, Sequence[str | None]]
    relative: Floats
    drive: Floats
    met: Flags
    bad: Flags
    good: Flags

    def value(self, at: int, row: int) -> Value:
        """Return the value of a feature in a row, None where null."""
        if at in self.texts:
            return self.texts[at][row]
        number = float(self.numbers[at, row])
        return None if math.isnan(number) else number

    def past(self, at: int, row: int) -> float | None:
        """Return what is usual for the account, None where nothing is known."""
        number = float(self.usual[at, row])
        return None if math.isnan(number) else number


def read_signs(
    rows: Block,
    chosen: Flags,
    features: Sequence[Feature],
    relative: Floats,
    facts: Facts,
    ranges: Mapping[str, tuple[float, float, float]],
    weight: Floats | None = None,
) -> Signs:
    """Put values of the chosen rows beside contributions and see on which side each value stands.

    A feature named in its category's evidence stands on the bad side where a comparison is true and on the
    good side where none is. Any other is compared with the account's own past, else with the median of the
    accounts the model learned from (`ranges`: 10th, 50th and 90th percentile). `relative`, `facts` and
    `weight` are of the chosen rows; `relative` and `weight` are (features, rows).
    """
    numeric = rows.numeric
    values = rows.numbers([feature.name for feature in features])[:, chosen]
    usual = rows.numbers([feature.name + USUAL for feature in features])[:, chosen]
    texts = {
        at: list(compress(rows.texts(feature.name), chosen))
        for at, feature in enumerate(features)
        if feature.name not in numeric
    }
    present = ~np.isnan(values)
    for at, words in texts.items():
        present[at] = [text is not None for text in words]
    worse, better = _sides(features, values, usual, present, ranges)
    met, unmet = facts.met.T, facts.unmet.T
    drive = relative
    if weight is not None:
        drive = np.where(np.isnan(relative), weight, relative + np.where(np.isnan(weight), 0.0, weight))
    bad = met | (worse & ~unmet)
    # a true comparison of what is usual alone, of a value that is not known, says nothing
    sayable = present | np.array([[feature.says_null is not None] for feature in features], dtype=bool)
    found, places = np.nonzero((bad & sayable & (met | (drive > 0))).T)
    ends = np.searchsorted(found, np.arange(1, values.shape[1]))
    return Signs(
        features=tuple(features),
        candidates=[each.tolist() for each in np.split(places, ends)],
        numbers=values,
        usual=usual,
        texts=texts,
        relative=relative,
        drive=drive,
        met=met,
        bad=bad,
        good=(better | unmet) & ~met,
    )


def _sides(
    features: Sequence[Feature],
    values: Floats,
    usual: Floats,
    present: Flags,
    ranges: Mapping[str, tuple[float, float, float]],
) -> tuple[Flags, Flags]:
    """Say where a value stands on the bad side, and where on the good one: (features, rows)."""

    def each(flags: Iterable[bool]) -> Flags:
        return np.fromiter(flags, dtype=bool, count=len(features))[:, None]

    raises = each(feature.direction == "raises" for feature in features)
    # A channel has no better and worse; only its contribution speaks.
    neutral = each(feature.is_text or feature.direction == "none" for feature in features)
    # "No business review on record" is a fact; whether it is a bad one only the contribution says.
    told_if_null = each(item.null_means == "none" and item.says_null is not None for item in features)
    # Compared with itself: below one it fell.
    ratio = each(feature.unit == "ratio" for feature in features)
    least = np.array([0.5 if counts(feature.unit) else 0.0 for feature in features])[:, None]
    middle = np.array([ranges[item.name][1] if item.name in ranges else np.nan for item in features])[:, None]
    past = np.where(ratio & np.isnan(usual), 1.0, usual)
    sign = np.where(raises, 1.0, -1.0)
    value, before, between = sign * values, sign * past, sign * middle
    no_past = np.isnan(past)
    worse = (value >= before + np.maximum(CLEARLY_WORSE * past, least)) | (no_past & (value >= between))
    better = (value <= before) | (no_past & (value <= between))
    # None of a bad thing is never bad, none of a good thing never good.
    some = values > 0
    worse, better = worse & (some | ~raises), better & (some | raises)
    return np.where(neutral, present, worse) | (told_if_null & ~present), better & ~neutral


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
    for at in signs.candidates[row]:
        if signs.features[at].category != name:
            continue
        push = float(signs.drive[at, row])
        if push > 0:
            strong.append((not (outright and signs.met[at, row]), -push, at))
        else:
            (silent if math.isnan(push) else against).append((False, 0.0 if math.isnan(push) else -push, at))
    chosen = sorted(strong) + silent
    if not chosen or outright:
        chosen = sorted(chosen + sorted(against), key=lambda item: item[0])
    pieces = (_piece(signs, row, at) for _, _, at in chosen)
    return list(islice((piece for piece in pieces if piece is not None), SENTENCES))


def _piece(signs: Signs, row: int, at: int) -> dict[str, Any] | None:
    feature, value, usual = signs.features[at], signs.value(at, row), signs.past(at, row)
    says = write_sentence(feature, value, usual)
    if says is None:
        return None
    push = float(signs.relative[at, row])
    return {
        "feature": feature.name,
        "value": _tidy(value),
        "usual": _tidy(usual),
        "unit": feature.unit,
        "contribution": None if math.isnan(push) else round(push, 4),
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
    pushes = signs.relative[:, row]
    helpful = np.flatnonzero(signs.good[:, row] & (pushes < -NOTICEABLE))
    for at in helpful[np.argsort(pushes[helpful], kind="stable")].tolist():
        feature = signs.features[at]
        if len(found) == SENTENCES:
            break
        if feature.category in spoken:
            continue
        says = write_sentence(feature, signs.value(at, row), signs.past(at, row))
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
        value, usual = signs.value(at, row), signs.past(at, row)
        if isinstance(value, float) and usual is not None and signs.good[at, row] and usual > 0:
            gain = value / usual if feature.direction == "lowers" else usual / max(value, usual / 10)
            if gain >= CLEARLY:
                ranked.append((-gain, at))
    found: list[dict[str, str]] = []
    for _, at in sorted(ranked):
        feature = signs.features[at]
        says = write_sentence(feature, signs.value(at, row), signs.past(at, row))
        if says is not None and feature.category not in spoken and len(found) < SENTENCES:
            spoken.add(feature.category)
            found.append({"says": says})
    return found
