"""The rules a model has to beat, and what serves where there is no model.

For each kind of recipe four rules that any customer team could apply without machine learning, each fitted to
give probabilities so that it can be compared on every metric; and a fixed point table for when no label
exists at all. Fitted rules are plain numbers: `to_json` and `rule_from_json` carry them into a bundle.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from lifecycle_ml.errors import BundleError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lifecycle_ml.outcomes.recipe import Recipe

    Floats = NDArray[np.float64]

CALENDAR_EDGES_DAYS = (0.0, 30.0, 60.0, 90.0, 120.0, 180.0, 270.0, 365.0)
"""Where the buckets of days to renewal begin; the last is open."""

USAGE = (
    "days_since_last_use",
    "active_days_28d",
    "active_users_28d",
    "events_per_seat_28d",
    "key_events_28d",
)
VALUE = ("tenure_days", "arr")
UTILISATION = ("usage_limit_used_28d", "seats_used_28d", "active_users_per_seat")
GROWTH = ("usage_change_28d", "usage_change_84d")
"""What was bought and is used up; use against the account's own past."""
"""What recency-frequency looks at: how lately, how often and how broadly used; how long and how much paid."""

_LEAST_SLOPE = 0.01
_OPERATORS: dict[str, Callable[[Floats, float], NDArray[np.bool_]]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
}


@dataclass(frozen=True)
class Constant:
    """The same probability for everyone."""

    rate: float

    def score(self, matrix: pd.DataFrame) -> Floats:
        """Return a probability for each row."""
        return np.full(len(matrix), self.rate)

    def to_json(self) -> dict[str, Any]:
        """Return the rule as plain data."""
        return {"kind": "constant"} | dataclasses.asdict(self)


@dataclass(frozen=True)
class Buckets:
    """A probability for each stretch of one feature: [edge, next edge); before the first; null."""

    feature: str
    edges: tuple[float, ...]
    rates: tuple[float, ...]
    null_rate: float

    def score(self, matrix: pd.DataFrame) -> Floats:
        """Return a probability for each row."""
        values = _numbers(matrix, self.feature)
        return np.asarray([*self.rates, self.null_rate])[_bucket(values, self.edges)]

    def to_json(self) -> dict[str, Any]:
        """Return the rule as plain data."""
        return {"kind": "buckets"} | dataclasses.asdict(self)


@dataclass(frozen=True)
class Term:
    """One feature's part of a logistic rule; a null adds `null_weight` and nothing else."""

    feature: str
    shape: Literal["log", "lost", "gained"]
    center: float
    scale: float
    weight: float = 0.0
    null_weight: float = 0.0

    def inputs(self, matrix: pd.DataFrame) -> tuple[Floats, Floats]:
        """Return the shaped and standardised values (0 where null) and 1.0 where null."""
        shaped = _shaped(_numbers(matrix, self.feature), self.shape)
        null = np.isnan(shaped)
        return np.where(null, 0.0, (shaped - self.center) / self.scale), null.astype("float64")


@dataclass(frozen=True)
class Logistic:
    """A logistic regression on a few shaped features."""

    intercept: float
    terms: tuple[Term, ...]

    def score(self, matrix: pd.DataFrame) -> Floats:
        """Return a probability for each row."""
        margin = np.full(len(matrix), self.intercept)
        for term in self.terms:
            values, null = term.inputs(matrix)
            margin += term.weight * values + term.null_weight * null
        return np.asarray(1 / (1 + np.exp(-margin)))

    def to_json(self) -> dict[str, Any]:
        """Return the rule as plain data."""
        return {"kind": "logistic"} | dataclasses.asdict(self)


@dataclass(frozen=True)
class PointTable:
    """Points for each line a snapshot meets; nothing is learned. A null, or an absent feature, adds none.

    `score` is the prior rate of the outcome in the band the points fall into.
    """

    lines: tuple[tuple[str, str, float, int], ...]
    """(feature, operator, number, points)"""
    medium_from_points: int
    high_from_points: int
    prior_rates: Mapping[str, float]

    @classmethod
    def of(cls, recipe: Recipe) -> PointTable:
        """Take the table of a recipe."""
        rules = recipe.rules
        lines = tuple((line.feature, line.op, line.number, line.points) for line in rules.points)
        return cls(lines, rules.medium_from_points, rules.high_from_points, rules.prior_rates)

    def absent(self, matrix: pd.DataFrame) -> tuple[str, ...]:
        """Features of the table that this matrix lacks."""
        return tuple(dict.fromkeys(line[0] for line in self.lines if line[0] not in matrix.columns))

    def points(self, matrix: pd.DataFrame) -> Floats:
        """Return the points of each row."""
        total = np.zeros(len(matrix))
        for feature, operator, number, points in self.lines:
            if feature in matrix.columns:
                total += points * _OPERATORS[operator](_numbers(matrix, feature), number)
        return total

    def band(self, matrix: pd.DataFrame) -> NDArray[np.str_]:
        """Return low, medium or high for each row."""
        points = self.points(matrix)
        above = np.where(points >= self.medium_from_points, "medium", "low")
        return np.where(points >= self.high_from_points, "high", above)

    def score(self, matrix: pd.DataFrame) -> Floats:
        """Return the prior rate of each row's band."""
        return np.asarray([self.prior_rates[band] for band in self.band(matrix)], dtype="float64")

    def to_json(self) -> dict[str, Any]:
        """Return the table as plain data."""
        return {"kind": "points"} | dataclasses.asdict(self) | {"prior_rates": dict(self.prior_rates)}


FittedRule = Constant | Buckets | Logistic | PointTable


@dataclass(frozen=True)
class Rule:
    """One of the rules: what it says, the features it may use (it needs at least one of `needs`), its fit."""

    name: str
    says: str
    needs: tuple[str, ...]
    learn: Callable[[pd.DataFrame, Floats, NDArray[Any], float], FittedRule] = field(repr=False)

    def unavailable(self, matrix: pd.DataFrame) -> str | None:
        """Why this rule cannot be applied to the matrix, or None if it can."""
        if not self.needs or any(matrix[name].notna().any() for name in self.needs if name in matrix):
            return None
        return f"none of its features has a value here: {', '.join(self.needs)}"

    def fit(
        self, matrix: pd.DataFrame, y: ArrayLike, groups: ArrayLike, prior_accounts: float = 50.0
    ) -> FittedRule:
        """Learn the rule's probabilities from labelled snapshots.

        Shapes: one row of `matrix`, one 0/1 outcome and one account each. `prior_accounts` is the weight of
        the base rate: a bucket with so many accounts is believed half.
        Raises: ValueError where no row is given, an outcome is not 0 or 1, or the rule is unavailable.
        """
        outcome = np.asarray(y, dtype="float64")
        if len(outcome) == 0 or len(outcome) != len(matrix) or not np.isin(outcome, (0.0, 1.0)).all():
            raise ValueError(
                f"rule {self.name}: {len(matrix)} rows and {len(outcome)} outcomes; give as many outcomes of "
                "0 or 1 as rows, at least one, and leave out censored rows."
            )
        reason = self.unavailable(matrix)
        if reason is not None:
            raise ValueError(f"rule {self.name}: {reason}.")
        return self.learn(matrix, outcome, np.asarray(groups, dtype=object), prior_accounts)


@dataclass(frozen=True)
class FittedRules:
    """The rules that could be fitted, by name, and why the others could not."""

    rules: Mapping[str, FittedRule]
    skipped: Mapping[str, str]

    def score(self, matrix: pd.DataFrame) -> dict[str, Floats]:
        """Return each rule's probabilities, by name."""
        return {name: rule.score(matrix) for name, rule in self.rules.items()}


def _learn_base_rate(
    matrix: pd.DataFrame, y: Floats, groups: NDArray[Any], prior_accounts: float
) -> Constant:
    del matrix, groups, prior_accounts
    return Constant(_rate(y))


def _learn_calendar(matrix: pd.DataFrame, y: Floats, groups: NDArray[Any], prior_accounts: float) -> Buckets:
    base = _rate(y)
    buckets = _bucket(_numbers(matrix, "days_to_renewal"), CALENDAR_EDGES_DAYS)
    rates = []
    for bucket in range(len(CALENDAR_EDGES_DAYS) + 2):
        inside = buckets == bucket
        accounts = len(pd.unique(groups[inside]))
        seen = float(y[inside].mean()) if accounts else base
        rates.append((accounts * seen + prior_accounts * base) / (accounts + prior_accounts))
    return Buckets("days_to_renewal", CALENDAR_EDGES_DAYS, tuple(rates[:-1]), rates[-1])


def _learn_usage_drop(
    matrix: pd.DataFrame, y: Floats, groups: NDArray[Any], prior_accounts: float
) -> Logistic | Constant:
    del groups, prior_accounts
    return _claiming(_learn_logistic(matrix, y, [_term(matrix, "usage_change_28d", "lost")]))


def _learn_recency(
    matrix: pd.DataFrame, y: Floats, groups: NDArray[Any], prior_accounts: float
) -> Logistic | Constant:
    del groups, prior_accounts
    return _claiming(_learn_logistic(matrix, y, [_term(matrix, "days_since_last_use", "log")]))


def _learn_utilisation(
    matrix: pd.DataFrame, y: Floats, groups: NDArray[Any], prior_accounts: float
) -> Logistic | Constant:
    del groups, prior_accounts
    return _claiming(
        _learn_logistic(matrix, y, [_term(matrix, name, "log") for name in _of(matrix, UTILISATION)])
    )


def _learn_usage_growth(
    matrix: pd.DataFrame, y: Floats, groups: NDArray[Any], prior_accounts: float
) -> Logistic | Constant:
    del groups, prior_accounts
    return _claiming(
        _learn_logistic(matrix, y, [_term(matrix, name, "gained") for name in _of(matrix, GROWTH)])
    )


def _learn_recency_frequency(
    matrix: pd.DataFrame, y: Floats, groups: NDArray[Any], prior_accounts: float
) -> Logistic | Constant:
    del groups, prior_accounts
    return _learn_logistic(matrix, y, [_term(matrix, name, "log") for name in _of(matrix, (*USAGE, *VALUE))])


BASE_RATE = Rule("base_rate", "everyone fares at the rate of all", (), _learn_base_rate)
USAGE_DROP = Rule(
    "usage_drop",
    "the larger the share of usual use lost in 28 days, the riskier",
    ("usage_change_28d",),
    _learn_usage_drop,
)
RECENCY_FREQUENCY = Rule(
    "recency_frequency",
    "how lately, how often and how broadly used, how long and how much paid: a logistic regression",
    USAGE,
    _learn_recency_frequency,
)
CHURN_RULES: tuple[Rule, ...] = (
    BASE_RATE,
    Rule(
        "renewal_calendar",
        "the nearer the renewal, the riskier: the churn rate at that distance",
        ("days_to_renewal",),
        _learn_calendar,
    ),
    USAGE_DROP,
    RECENCY_FREQUENCY,
)
INACTIVITY_RULES: tuple[Rule, ...] = (
    BASE_RATE,
    Rule(
        "recency",
        "the longer not used, the riskier",
        ("days_since_last_use",),
        _learn_recency,
    ),
    USAGE_DROP,
    RECENCY_FREQUENCY,
)
EXPANSION_RULES: tuple[Rule, ...] = (
    BASE_RATE,
    Rule(
        "utilisation",
        "the more of the contracted seats and limits is used, the likelier to buy more",
        UTILISATION,
        _learn_utilisation,
    ),
    Rule(
        "usage_growth",
        "the more use has grown against the account's own past, the likelier to buy more",
        GROWTH,
        _learn_usage_growth,
    ),
    RECENCY_FREQUENCY,
)


def rules_for(recipe: Recipe) -> tuple[Rule, ...]:
    """Return the four rules a model of this recipe is compared with, in the order reports show them."""
    kinds = {
        "rolling": CHURN_RULES,
        "renewal": CHURN_RULES,
        "inactivity": INACTIVITY_RULES,
        "expansion": EXPANSION_RULES,
    }
    return kinds[recipe.label.mode]


def fit_rules(
    matrix: pd.DataFrame,
    y: ArrayLike,
    groups: ArrayLike,
    recipe: Recipe,
) -> FittedRules:
    """Fit every rule of the recipe's kind that the matrix allows; the others are skipped with a reason.

    Shapes as in `Rule.fit`.
    """
    rules, prior_accounts = rules_for(recipe), recipe.rules.prior_accounts
    skipped = {rule.name: reason for rule in rules if (reason := rule.unavailable(matrix)) is not None}
    fitted = {
        rule.name: rule.fit(matrix, y, groups, prior_accounts) for rule in rules if rule.name not in skipped
    }
    return FittedRules(fitted, skipped)


def rule_from_json(document: Mapping[str, Any]) -> FittedRule:
    """Rebuild a fitted rule from `to_json`. Raises: BundleError if the document is none."""
    kinds: dict[str, Callable[[dict[str, Any]], FittedRule]] = {
        "constant": lambda data: Constant(**data),
        "buckets": lambda data: Buckets(
            **data | {"edges": tuple(data["edges"]), "rates": tuple(data["rates"])}
        ),
        "logistic": lambda data: Logistic(data["intercept"], tuple(Term(**term) for term in data["terms"])),
        "points": lambda data: PointTable(
            **data | {"lines": tuple((str(f), str(o), float(n), int(p)) for f, o, n, p in data["lines"])}
        ),
    }
    data = dict(document)
    kind = str(data.pop("kind", ""))
    if kind not in kinds:
        raise BundleError(f"a rule of kind {kind!r} is unknown.{did_you_mean(kind, kinds)}")
    try:
        return kinds[kind](data)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"the saved {kind} rule is damaged: {error}.") from error


def _learn_logistic(matrix: pd.DataFrame, y: Floats, terms: list[Term]) -> Logistic | Constant:
    if y.min() == y.max():
        return Constant(_rate(y))
    columns = [column for term in terms for column in term.inputs(matrix)]
    model = LogisticRegression(C=1.0, max_iter=1000).fit(np.column_stack(columns), y)
    weights = model.coef_[0].reshape(-1, 2)
    return Logistic(
        float(model.intercept_[0]),
        tuple(
            dataclasses.replace(term, weight=float(weight), null_weight=float(null_weight))
            for term, (weight, null_weight) in zip(terms, weights, strict=True)
        ),
    )


def _claiming(fitted: Logistic | Constant) -> Logistic | Constant:
    """Hold a rule to what it says: where the data disagree it goes on saying so, only very quietly."""
    if isinstance(fitted, Constant):
        return fitted
    held = tuple(dataclasses.replace(term, weight=max(term.weight, _LEAST_SLOPE)) for term in fitted.terms)
    return dataclasses.replace(fitted, terms=held)


def _of(matrix: pd.DataFrame, features: tuple[str, ...]) -> list[str]:
    """Return those of the features that have a value anywhere."""
    return [name for name in features if name in matrix and matrix[name].notna().any()]


def _term(matrix: pd.DataFrame, feature: str, shape: Literal["log", "lost", "gained"]) -> Term:
    shaped = _shaped(_numbers(matrix, feature), shape)
    known = shaped[~np.isnan(shaped)]
    spread = float(known.std())
    return Term(feature, shape, float(known.mean()), spread if spread > 0 else 1.0)


def _shaped(values: Floats, shape: str) -> Floats:
    if shape == "log":
        return np.log1p(np.clip(values, 0.0, None))
    if shape == "gained":
        return np.clip(values, 0.0, 4.0) - 1
    # Share of usual use lost; growth beyond doubling tells no more.
    return 1 - np.clip(values, 0.0, 2.0)


def _bucket(values: Floats, edges: tuple[float, ...]) -> NDArray[np.intp]:
    """Number of the bucket of each value: 0 before the first edge, len(edges) + 1 for null."""
    found = np.searchsorted(np.asarray(edges), values, side="right")
    return np.where(np.isnan(values), len(edges) + 1, found)


def _numbers(matrix: pd.DataFrame, feature: str) -> Floats:
    """Values of a feature; all null where a later matrix lacks it."""
    if feature not in matrix.columns:
        return np.full(len(matrix), np.nan)
    return matrix[feature].to_numpy(dtype="float64", na_value=np.nan)


def _rate(y: Floats) -> float:
    """Share of ones, kept off 0 and 1 by half a row so that its log loss is finite."""
    return float((y.sum() + 0.5) / (len(y) + 1))
