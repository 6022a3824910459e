"""A feature: one measured fact about an account, and everything the product needs to know about it."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lifecycle_ml.errors import DefinitionError, did_you_mean
from lifecycle_ml.matrix.definition import wrong
from lifecycle_ml.matrix.nodes import Choice, Measure, Peers, Rows, holds_peers, leaves
from lifecycle_ml.matrix.series import Series
from lifecycle_ml.tables.schema import CATEGORIES, SCHEMAS

if TYPE_CHECKING:
    from lifecycle_ml.tables.source import Tables

CONTEXT = "context"
NULL_MEANS = ("unknown", "none", "not_applicable")
DIRECTIONS = ("raises", "lowers", "none")
USUAL = "__usual"
"""Suffix of the column that holds a feature's usual value; never a model input."""

_RESERVED = ("account_id", "as_of", "known_at")


@dataclass(frozen=True)
class Feature:
    """One measured fact about an account. A wrong one cannot be built.

    name        snake_case, with its window and unit: `active_users_28d`
    value       a measure (see `matrix/measures.py`)
    unit        what the number counts: "users", "days"; "share" and "ratio" are printed as percent; "yes/no"
                for yes/no values, "category" for texts
    null_means  "unknown" (a gap in the data), "none" (there was nothing) or "not_applicable"
    direction   what more of it does to churn risk: "raises", "lowers", or "none" where nothing is claimed
    category    the one churn category it speaks for, or "context"
    says        the sentence that turns the value into evidence, with {value} and, where `usual` is given,
                {usual}. What follows the last ";" is left out where the usual value is null.
    says_one    the sentence for a value of exactly 1, where English needs one
    says_no     the sentence for "no", required for yes/no features; for numbers, that for exactly 0
    says_null   the sentence for null, where null is worth saying ("no business review on record")
    usual       a measure of what is usual for this account, shown beside the value; mostly `own_past(value)`
    movable     whether a team can move it
    for_model   whether the model may see it; rules and reasons always do

    Raises: DefinitionError naming file, line, feature and the nearest right word.
    """

    name: str
    value: Measure
    unit: str
    null_means: Literal["unknown", "none", "not_applicable"]
    direction: Literal["raises", "lowers", "none"]
    category: str
    says: str
    says_one: str | None = None
    says_no: str | None = None
    says_null: str | None = None
    usual: Measure | None = None
    movable: bool = False
    for_model: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise wrong(f"feature {self.name!r}: a name is lower case letters, digits and underscores.")
        if "__" in self.name or self.name in _RESERVED:
            raise wrong(f"feature {self.name!r}: this name is reserved; choose another.")
        for measure in (self.value, *([self.usual] if self.usual is not None else [])):
            if not isinstance(measure, Measure):
                raise wrong(
                    f"feature {self.name!r}: {measure!r} is no measure; start from count(), total(), …"
                )
        for part in (*self.value.children, *([self.usual] if self.usual is not None else [])):
            if holds_peers(part):
                raise wrong(
                    f"feature {self.name!r}: a position among peers is a whole feature; calculate inside "
                    "among_peers(...), not with it."
                )
        if self.usual is not None and self.usual.kind in {"text", "date"}:
            raise wrong(
                f"feature {self.name!r}: what is usual is a number; this measure holds {self.usual.kind}."
            )
        for key in ("movable", "for_model"):
            if not isinstance(getattr(self, key), bool):
                raise wrong(f"feature {self.name!r}: {key} is {getattr(self, key)!r}; write True or False.")
        if self.value.kind == "date":
            raise wrong(f"feature {self.name!r}: a date is no feature; use days_since() or days_until().")
        if not isinstance(self.unit, str) or not self.unit.strip():
            raise wrong(f"feature {self.name!r}: unit is missing.")
        for key, choices in (
            ("null_means", NULL_MEANS),
            ("direction", DIRECTIONS),
            ("category", (*CATEGORIES, CONTEXT)),
        ):
            given = getattr(self, key)
            if given not in choices:
                raise wrong(f"feature {self.name!r}: {key} is {given!r}.{did_you_mean(str(given), choices)}")
        if self.is_text and self.direction != "none":
            raise wrong(f"feature {self.name!r}: a text has no more or less; direction is 'none'.")
        if self.is_yes_no and self.says_no is None:
            raise wrong(f"feature {self.name!r}: a yes/no feature needs says_no, the sentence for no.")
        self._check_sentences()

    def _check_sentences(self) -> None:
        allowed = {"value"} | ({"usual"} if self.usual is not None else set())
        for key in ("says", "says_one", "says_no", "says_null"):
            text = getattr(self, key)
            if text is None and key != "says":
                continue
            if not isinstance(text, str) or not text.strip():
                shown = "empty" if isinstance(text, str) else repr(text)
                raise wrong(f"feature {self.name!r}: {key} is {shown}; write a sentence.")
            try:
                fields = [field for field in string.Formatter().parse(text) if field[1] is not None]
            except ValueError as error:
                raise wrong(f"feature {self.name!r}: {key}: {error}.") from error
            named = {str(name) for _, name, _, _ in fields}
            for _, name, form, conversion in fields:
                if form or conversion:
                    raise wrong(
                        f"feature {self.name!r}: {key} says how to write {{{name}}}; leave that out, "
                        "numbers are written as people write them."
                    )
            for extra in sorted(named - allowed):
                hint = " Give usual= to use {usual}." if extra == "usual" else did_you_mean(extra, allowed)
                raise wrong(f"feature {self.name!r}: {key} names {{{extra}}}, which is not there.{hint}")

    def __repr__(self) -> str:
        return f"Feature({self.name!r}, {self.unit!r}, {self.category!r})"

    @property
    def sign(self) -> int:
        """+1 where more of it raises the risk of churn, -1 where it lowers it, 0 where nothing is claimed."""
        return {"raises": 1, "lowers": -1, "none": 0}[self.direction]

    @property
    def is_text(self) -> bool:
        """Whether it is a category (a text) and not a number."""
        return self.value.kind == "text"

    @property
    def is_yes_no(self) -> bool:
        """Whether its value is 1.0 for yes and 0.0 for no."""
        return self.value.kind == "yes_no"

    @property
    def is_count(self) -> bool:
        """Whether it counts rows or different values, and so is never below zero."""
        return isinstance(self.value, Rows) and self.value.verb in {"count", "distinct"}

    @property
    def columns(self) -> frozenset[tuple[str, str]]:
        """Every (table, column) its value and usual value read."""
        return frozenset((leaf.table, name) for leaf in self._leaves for name in leaf.columns)

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables its value and usual value read, in the order of the data contract."""
        read = {leaf.table for leaf in self._leaves}
        return tuple(name for name in SCHEMAS if name in read)

    @property
    def rests_on_today(self) -> bool:
        """Whether its value reads a column that systems overwrite without a date (clock "today").

        What only says who an account's peers are does not count.
        """
        compared = self.value.of if isinstance(self.value, Peers) else self.value
        read = {
            (leaf.table, name)
            for measure in (compared, self.usual)
            if measure is not None
            for leaf in leaves(measure)
            for name in leaf.columns
        }
        return any(SCHEMAS[table].by_name[name].clock == "today" for table, name in read)

    def lacks(self, tables: Tables) -> frozenset[str]:
        """Return the tables ("tickets") and columns ("tickets.csat") it needs and the source has not.

        Empty where the feature is available. A column named only inside coalesce() is not needed, and of
        `greatest` and `first_of` one measure is enough.
        """
        return frozenset().union(*(_lacks(m, tables) for m in (self.value, self.usual) if m is not None))

    def sentence(self, value: float | str | None, usual: float | None = None) -> str | None:
        """Return the sentence template that fits a value, its {value} and {usual} still to be filled in.

        None where the value is null and null is not worth saying.
        """
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return self.says_null
        text = self.says
        if value == 0 and self.says_no is not None:
            text = self.says_no
        elif value == 1 and not self.is_yes_no and self.says_one is not None:
            text = self.says_one
        if usual is None or math.isnan(usual):
            head, semicolon, tail = text.rpartition(";")
            if semicolon and "{usual}" in tail:
                text = head
        return text

    @property
    def _leaves(self) -> tuple[Rows, ...]:
        measures = (self.value,) if self.usual is None else (self.value, self.usual)
        return tuple(leaf for measure in measures for leaf in leaves(measure))


def _lacks(measure: Measure, tables: Tables) -> frozenset[str]:
    if isinstance(measure, Rows):
        if measure.table not in tables:
            return frozenset({measure.table})
        absent = measure.needed - tables.provided(measure.table)
        return frozenset(f"{measure.table}.{column}" for column in absent)
    if isinstance(measure, Series | Peers):
        # Peers are found without a group or a size, too: all accounts are then of one kind.
        return _lacks(measure.of, tables)
    if isinstance(measure, Choice):
        # One of several is enough; where none is there, all of them are what could be added.
        missing = [_lacks(child, tables) for child in measure.of if tuple(leaves(child))]
        return frozenset[str]().union(*missing) if all(missing) else frozenset()
    return frozenset[str]().union(*(_lacks(child, tables) for child in measure.children))


@dataclass(frozen=True)
class FeatureSet:
    """Features in the order they were defined, each name once; iterating gives the features.

    Raises: DefinitionError where a name is used twice.
    """

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        for name in self.names:
            if self.names.count(name) > 1:
                raise DefinitionError(
                    f"features/: {name!r} is defined {self.names.count(name)} times; once is enough."
                )

    def __repr__(self) -> str:
        return f"FeatureSet({len(self.features)} features)"

    def __iter__(self) -> Iterator[Feature]:
        return iter(self.features)

    def __len__(self) -> int:
        return len(self.features)

    def __contains__(self, name: object) -> bool:
        return name in self.names or name in self.features

    def __getitem__(self, name: str) -> Feature:
        """Return the feature of that name. Raises: DefinitionError with the nearest right one."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise DefinitionError(f"no feature {name!r}.{did_you_mean(name, self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def for_model(self) -> FeatureSet:
        """Only those the model may see."""
        return FeatureSet(tuple(feature for feature in self.features if feature.for_model))

    @property
    def as_of_today(self) -> tuple[str, ...]:
        """Names of those that rest on columns overwritten without a date (clock "today")."""
        return tuple(feature.name for feature in self.features if feature.rests_on_today)

    def available(self, tables: Tables) -> FeatureSet:
        """Only those whose tables and needed columns the source has."""
        return FeatureSet(tuple(feature for feature in self.features if not feature.lacks(tables)))

    def select(self, names: Iterable[str]) -> FeatureSet:
        """Only the named ones, in the order given. Raises: DefinitionError for an unknown name."""
        return FeatureSet(tuple(self[name] for name in names))

    def tables_of(self, feature: Feature | str) -> tuple[str, ...]:
        """Return the tables a feature reads."""
        return (self[feature] if isinstance(feature, str) else feature).tables
