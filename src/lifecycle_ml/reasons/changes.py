"""Why the risk of an account moved between two of its readings: parts that add up, and sentences.

The calibrated margin (log-odds at the headline horizon) moves from the earlier reading to the later one by a
path of definite order, and each step is measured where the one before it ended:

1. late data       the earlier model and date: from the row as known then to the row as known later
2. features        the earlier model: from that row to the row of the later reading
3. model           the later row: the trees and base rate of the later bundle under the earlier calibration
4. calibration     the later row and trees: the slope and intercept of the later bundle

What was published and cannot be computed again from today's source and definitions stands apart as
`rewritten`. The steps telescope, so they add up to the published difference; within the first two, what each
feature adds is the difference of its contributions to the one model on the two rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lifecycle_ml.matrix.feature import CONTEXT, Feature
from lifecycle_ml.models.rules import RuleModel
from lifecycle_ml.reasons.sentences import counts, write_number, write_sentence
from lifecycle_ml.reasons.taxonomy import DATA_GAP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from lifecycle_ml.models.bundle import Bundle
    from lifecycle_ml.models.calibration import AffineCalibration

Value = float | str | None

REPRODUCED = 1e-6
"""Log-odds within which a reading computed again counts as the one that was published."""
SPOKEN = 0.05
"""Part of the whole move below which a feature is not worth a clause."""
CLAUSES = 3
"""Facts named in a sentence, at most one a category."""
ASIDE = 0.25
"""Part of the move from which late data, a new model or what was rewritten gets a sentence of its own."""
STILL = 0.02
"""Log-odds under which nothing moved."""


@dataclass(frozen=True)
class FeatureMove:
    """What one feature adds to the move: log-odds under the earlier model, and its values on the two rows.

    `category` is the feature's, `data_gap` where it was or became unknown, `context` for the horizon's own
    part (`horizon_days`, which has no values: it turns with the days to the renewal). `says` is null where
    the value did not change as people write it.
    """

    feature: str
    category: str
    unit: str | None
    before: Value
    after: Value
    margin: float
    says: str | None


@dataclass(frozen=True)
class Move:
    """The move of one account's calibrated margin, in log-odds: the five parts add up to `change`.

    `features` and `late` list what moved, the largest first; their margins add up to `features_margin` and
    `late_data` within 2e-5. `reproduced` says of the earlier and the later reading whether what was published
    came out again; what did not is `rewritten`.
    """

    horizon: int
    before: float
    after: float
    late_data: float
    features_margin: float
    model: float
    calibration: float
    rewritten: float
    late: tuple[FeatureMove, ...]
    features: tuple[FeatureMove, ...]
    reproduced: tuple[bool, bool]

    @property
    def change(self) -> float:
        """The whole move."""
        return self.after - self.before

    @property
    def by_category(self) -> dict[str, float]:
        """What features add by category, context and data gaps, the largest first."""
        sums: dict[str, float] = {}
        for item in self.features:
            sums[item.category] = sums.get(item.category, 0.0) + item.margin
        return dict(sorted(sums.items(), key=lambda item: -abs(item[1])))


def split_move(
    earlier: Bundle,
    later: Bundle,
    rows: pd.DataFrame,
    features: Iterable[Feature],
    on: date,
    published: tuple[float, float] | None = None,
) -> Move:
    """Split the move of one account between two readings.

    rows: three rows of the matrix, in this order: the earlier reading as known then, the same date as known
    at the later reading, the later reading. `on` is the earlier date, for the sentences. published: the
    calibrated margins of the two readings; by default those that come out of the rows.
    Raises: ValueError where `why_no_parts` has an objection, DefinitionError where `rows` lack a feature.
    """
    objection = why_no_parts(earlier, later)
    if objection is not None or len(rows) != 3:
        raise ValueError(objection or f"three rows are needed, {len(rows)} were given.")
    horizon = later.headline
    found = earlier.contributions(rows, horizon)
    then, rebuilt, now = (float(margin) for margin in found.margin)
    trees = _margin(later, earlier.calibration, rows.iloc[[2]], horizon)
    served = _margin(later, later.calibration, rows.iloc[[2]], horizon)
    same = earlier.digest == later.digest
    before, after = published or (then, now if same else served)
    by_name = {feature.name: feature for feature in features}
    values = np.asarray(found.values, dtype=np.float64)
    ends = (served if not same else now) - after, then - before
    return Move(
        horizon=horizon,
        before=before,
        after=after,
        late_data=rebuilt - then,
        features_margin=now - rebuilt,
        model=0.0 if same else trees - now,
        calibration=0.0 if same else served - trees,
        rewritten=ends[1] - ends[0],
        late=_moves(found.columns, values[1] - values[0], rows.iloc[[0, 1]], by_name, on),
        features=_moves(found.columns, values[2] - values[1], rows.iloc[[1, 2]], by_name, on),
        reproduced=(abs(ends[1]) <= REPRODUCED, abs(ends[0]) <= REPRODUCED),
    )


def why_no_parts(earlier: Bundle, later: Bundle) -> str | None:
    """Say why the readings of two bundles have no margins to split; None where they have."""
    for bundle, which in ((earlier, "earlier"), (later, "later")):
        if bundle.source == "rules":
            return f"Rules served the {which} reading: it has a band and no probability to split."
        if bundle.tier != "full":
            return (
                f"The model of the {which} reading was advisory: it has a band and no probability to split."
            )
    if later.headline not in earlier.horizons:
        return f"The earlier model does not answer for {later.headline} days, as the later one does."
    return None


def _margin(bundle: Bundle, calibration: AffineCalibration, row: pd.DataFrame, horizon: int) -> float:
    """Return the calibrated margin of one row by the bundle's trees under a calibration."""
    model = bundle.model
    assert not isinstance(model, RuleModel), "why_no_parts turned rules away"
    raw = model.raw(row)[:, bundle.horizons.index(horizon)]
    return float(calibration.margin(raw, horizon, model.starts[horizon])[0])


def _moves(
    columns: Sequence[str],
    margins: np.ndarray[Any, np.dtype[np.float64]],
    pair: pd.DataFrame,
    by_name: Mapping[str, Feature],
    on: date,
) -> tuple[FeatureMove, ...]:
    found = []
    for name, margin in zip(columns, margins.tolist(), strict=True):
        if margin == 0.0:
            continue
        feature = by_name.get(name)
        if feature is None:
            found.append(FeatureMove(name, CONTEXT, None, None, None, margin, None))
            continue
        before, after = (plain_value(value) for value in pair[name])
        gap = feature.null_means == "unknown" and (before is None or after is None)
        category = DATA_GAP if gap else feature.category
        says = say_change(feature, before, after, on)
        found.append(FeatureMove(name, category, feature.unit, before, after, margin, says))
    return tuple(sorted(found, key=lambda item: (-abs(item.margin), item.feature)))


def plain_value(value: Any) -> Value:
    """Return a value of the matrix as Python's own: null is None."""
    if isinstance(value, str):
        return value
    return None if pd.isna(value) else float(value)


def say_change(feature: Feature, before: Value, after: Value, on: date) -> str | None:
    """Say how a feature's value changed since the date `on`, as a clause that can follow a colon.

    "9 active users in the last 28 days, down from 22". None where it did not change as people write it, or
    where the new value is not worth saying.
    """
    said, was = write_sentence(feature, after), write_sentence(feature, before)
    if said == was:
        return None
    if said is None:
        return f"no longer known: {_lower(was or '')}" if feature.null_means == "unknown" else None
    text = _lower(said)
    if before is None:
        return f"{text} (not known on {day_month(on)})" if feature.null_means == "unknown" else text
    if after is None or feature.is_yes_no:
        return text
    if isinstance(before, str) or isinstance(after, str):
        return f"{text} ({str(before).replace('_', ' ')} on {day_month(on)})"
    return text + _compared(feature, before, after, was or "", on)


def _compared(feature: Feature, before: float, after: float, was: str, on: date) -> str:
    """Return what a number is compared with: its earlier value, in the fewest words that read well."""
    new, old = (feature.sentence(value) or "" for value in (after, before))
    number, day = write_number(before, feature.unit), day_month(on)
    if before == 0 and "{value}" not in old:
        return f" (on {day}: {_lower(was)})"
    if feature.unit == "days" and ("{value} days ago" in f"{new} {old}" or "yesterday" in new):
        return f" ({number} {'day' if number == '1' else 'days'} ago on {day})"
    if before == 0 and counts(feature.unit):
        number = "none"
    if "{value}" not in new and not any(letter.isdigit() for letter in _first_words(new)):
        # "A champion left in the last 180 days": what was none before needs no comparison
        return "" if before == 0 else f" ({number} on {day})"
    return f", {'up' if after > before else 'down'} from {number}"


def _first_words(template: str) -> str:
    """Return where a number of things stands in a sentence: before any period it speaks of."""
    return template.split(" in the last ", maxsplit=1)[0]


def say_move(
    move: Move | None,
    probabilities: tuple[float | None, float | None],
    bands: tuple[str, str],
    on: date,
    until: date,
    versions: tuple[str | None, str | None] = (None, None),
) -> list[str]:
    """Say a move for people: how far and by what facts, and what was not the account's own doing.

    "The risk rose from 12% to 31% since 3 June: 9 active users in the last 28 days, down from 22." Facts are
    those that push the way the risk went, the strongest first, at most three and one a category; none where
    the account's facts together push the other way. Without a probability the bands are compared.
    """
    since = f"since {day_month(on, until)}"
    before, after = probabilities
    if before is None or after is None:
        if bands[0] == bands[1]:
            return [f"The risk has stayed {bands[1]} {since}."]
        return [f"The risk went from {bands[0]} to {bands[1]} {since}."]
    old, new = _percent(before), _percent(after)
    if old == new:
        first = f"The risk has stayed at {new} {since}"
        return [f"{first}."]
    first = f"The risk {'rose' if after > before else 'fell'} from {old} to {new} {since}"
    if move is None:
        return [f"{first}."]
    facts = _facts(move, (until - on).days)
    said = [f"{first}: {'; '.join(facts)}." if facts else f"{first}."]
    aside = _aside(move, on, until, versions)
    return said if aside is None else [*said, aside]


def say_color(colors: tuple[str, str], probabilities: tuple[float | None, float | None]) -> str | None:
    """Say that the colour went another way than the risk, which would puzzle a reader.

    A colour also turns by a fact, or by a risk that was over its limit in between. None where they agree.
    """
    before, after = probabilities
    old, new = (_ORDER.index(color) for color in colors)
    if before is None or after is None or old == new or (after - before) * (new - old) > 0:
        return None
    return f"It turned from {colors[0]} to {colors[1]} meanwhile, not by this; the account's page says why."


_ORDER = ("green", "yellow", "red")


def _facts(move: Move, days: int) -> list[str]:
    sign = math.copysign(1.0, move.change)
    if move.features_margin * sign <= 0:
        return []
    least = max(SPOKEN * abs(move.change), STILL)
    chosen: dict[str, str] = {}
    for item in move.features:
        if item.margin * sign < least or _is_time_passing(item, days):
            continue
        if item.says is not None and item.category not in chosen and len(chosen) < CLAUSES:
            chosen[item.category] = item.says
    return list(chosen.values())


def _is_time_passing(item: FeatureMove, days: int) -> bool:
    """Whether a day count of the calendar grew by the days between: a customer for 428 days, up from 400."""
    if item.category != CONTEXT or isinstance(item.before, str) or isinstance(item.after, str):
        return False
    if item.unit != "days" or item.before is None or item.after is None:
        return False
    return item.after - item.before == days


def _aside(move: Move, on: date, until: date, versions: tuple[str | None, str | None]) -> str | None:
    """Say the largest thing that was not the account's own doing, if it explains enough of the move."""
    parts = {
        "late": move.late_data,
        "model": move.model + move.calibration,
        "rewritten": move.rewritten,
    }
    name, size = max(parts.items(), key=lambda item: abs(item[1]))
    if abs(size) <= ASIDE * abs(move.change) or abs(size) < STILL:
        return None
    day = day_month(on, until)
    went = "rise" if move.change > 0 else "fall"
    with_move = size * move.change > 0
    if name == "rewritten":
        how = _much(size / move.change) if with_move else f"Part of what held back the {went}"
        return (
            f"{how} cannot be traced to a cause: the source or its definitions no longer say what they said "
            "when the readings were published."
        )
    if name == "late":
        if with_move:
            return (
                f"{_much(size / move.change)} comes from data that arrived late: on {day} it was not known."
            )
        return f"Without data that was not known on {day} yet, the {went} would have been larger."
    new = abs(move.model) > abs(move.calibration)
    what = f"a new model{_versions(versions)}" if new else "a new calibration of the model"
    if with_move:
        return f"{_much(size / move.change)} comes from {what}, not from the account."
    return f"Without {what} the {went} would have been larger."


def _versions(versions: tuple[str | None, str | None]) -> str:
    old, new = versions
    known = old and new and old != new and old.isdigit() and new.isdigit()
    return f" (version {new} after {old})" if known else ""


def _much(share: float) -> str:
    for least, words in (
        (0.95, "All of the move"),
        (0.6, "Most of the move"),
        (0.4, "About half of the move"),
    ):
        if abs(share) >= least:
            return words
    return "About a third of the move"


def _percent(probability: float) -> str:
    return "under 1%" if probability < 0.01 else f"{probability:.0%}"


def day_month(day: date, beside: date | None = None) -> str:
    """Write a day as 3 June, with its year where it is another than that of the day beside it."""
    year = f" {day.year}" if beside is not None and beside.year != day.year else ""
    return f"{day.day} {day:%B}{year}"


def _lower(sentence: str) -> str:
    """Begin in the middle of a sentence, as one clause of several; words in capitals keep them."""
    sentence = sentence.replace("; ", ", ")
    return (
        sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() or sentence[1:2] == " " else sentence
    )
