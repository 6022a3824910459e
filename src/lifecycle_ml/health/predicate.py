"""Exit evidence as data: a feature, a comparison, and the number it must reach."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.reasons.sentences import after_one, counts
from lifecycle_ml.workspace import Strict

Op = Literal[">=", "<=", ">", "<", "="]
_WORDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than", "=": "exactly"}
USUAL = "__usual"


class Predicate(Strict):
    """One criterion of a way back, such as `active_users_28d >= 0.7 x its usual value at onset`.

    `number` is absolute; `factor_of_onset` multiplies the value the feature had when the colour turned (of
    `risk` no less than where the colour begins: a fact may have turned it while the risk was low),
    `factor_of_usual` the value that was usual for the account then. Where several are given the strictest
    counts: a factor of nothing asks for nothing, so an account that went dark needs a number as well.
    Where only `whole` numbers make sense, at least 2.4 users are 3 and at most 2.4 are 2.
    """

    feature: str
    op: Op
    number: float | None = None
    factor_of_onset: float | None = Field(default=None, gt=0)
    factor_of_usual: float | None = Field(default=None, gt=0)
    says: str | None = None
    """The criterion in words; `{needed}` is replaced. Default: feature, comparison, number."""
    whole: bool | None = None
    """Whether only whole numbers make sense; default: where the feature's unit counts things or days."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Predicate:
        if self.number is None and self.factor_of_onset is None and self.factor_of_usual is None:
            raise ValueError("give number, factor_of_onset or factor_of_usual")
        if self.factor_of_usual is not None and self.number is None and self.factor_of_onset is None:
            # A young account has no usual value yet, and what nobody knows nobody can reach.
            raise ValueError("beside factor_of_usual give number or factor_of_onset")
        if self.says is not None:
            try:
                self.says.format(needed="1")
            except (KeyError, IndexError, ValueError) as error:
                raise ValueError("says may hold {needed} and nothing else in braces") from error
        return self

    @property
    def remembers(self) -> tuple[str, ...]:
        """Columns whose values at onset this criterion needs later."""
        own = (self.feature,) if self.factor_of_onset is not None else ()
        usual = (self.feature + USUAL,) if self.factor_of_usual is not None else ()
        return own + usual

    def needed(self, onset: Mapping[str, float]) -> float | None:
        """Return the number to reach, None if it rests on an onset value nobody knew."""
        candidates = [
            self.number,
            _times(self.factor_of_onset, onset.get(self.feature)),
            _times(self.factor_of_usual, onset.get(self.feature + USUAL)),
        ]
        known = [value for value in candidates if value is not None]
        if not known:
            return None
        strictest = max(known) if self.op in {">=", ">"} else min(known)
        return self._rounded(strictest) if self.whole else strictest

    def in_unit(self, unit: str) -> Predicate:
        """Return it asking for whole numbers where `unit` counts things or days and nothing else is said."""
        if self.whole is not None:
            return self
        return self.model_copy(update={"whole": counts(unit) or unit == "days"})

    def _rounded(self, value: float) -> float:
        if self.op == "=":
            return value
        # 1.1 x 10 is a little more than 11 in binary, and eleven users must do
        exact = round(value, 9)
        return float(math.ceil(exact) if self.op in {">=", "<"} else math.floor(exact))

    def check(self, now: float | None, onset: Mapping[str, float]) -> Check:
        """Compare the feature's value `now` with what is needed. NaN and None cannot tell."""
        value = None if now is None or math.isnan(now) else float(now)
        needed = self.needed(onset)
        met = None if value is None or needed is None else _holds(value, self.op, needed)
        return Check(criterion=self._words(needed), now=value, needed=needed, met=met)

    def _words(self, needed: float | None) -> str:
        shown = "its value before" if needed is None else format_number(needed)
        if self.says is not None:
            before, mark, after = self.says.partition("{needed}")
            return f"{before}{shown}{after_one(after) if shown == '1' else after}" if mark else before
        return f"{self.feature.replace('_', ' ')} {_WORDS[self.op]} {shown}"


@dataclass(frozen=True)
class Check:
    """A criterion with today's value. `met` is None where it cannot be told, which never recovers."""

    criterion: str
    now: float | None
    needed: float | None
    met: bool | None


def applicable(predicates: Collection[Predicate], columns: Collection[str]) -> tuple[Predicate, ...]:
    """Leave out criteria on features this company has no source for: nobody could ever meet them."""
    return tuple(predicate for predicate in predicates if predicate.feature in columns)


def require_known(predicates: Collection[Predicate], columns: Collection[str], where: str) -> None:
    """Raise ConfigError, naming the place and the nearest right name, for a feature that does not exist."""
    for predicate in predicates:
        if predicate.feature not in columns:
            raise ConfigError(
                f"{where}: no feature {predicate.feature!r}.{did_you_mean(predicate.feature, columns)}"
            )


def format_number(value: float) -> str:
    """Write a number as people do: 22, 0.7, 1,250."""
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.1f}"


def _times(factor: float | None, value: float | None) -> float | None:
    return None if factor is None or value is None or math.isnan(value) else factor * value


def _holds(value: float, op: Op, needed: float) -> bool:
    return {
        ">=": value >= needed,
        "<=": value <= needed,
        ">": value > needed,
        "<": value < needed,
        "=": value == needed,
    }[op]
