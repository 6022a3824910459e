"""Worked examples put to the proof: what the engine makes of their tables beside what they expect."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, NamedTuple

import pandas as pd

from lifecycle_ml.errors import ConfigError, TableError
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.examples import IDS, TABLES, Example, Expectation, Value
from lifecycle_ml.matrix.feature import USUAL, FeatureSet
from lifecycle_ml.matrix.nodes import Arithmetic, Measure, Peers, Root, holds_peers
from lifecycle_ml.matrix.series import Series
from lifecycle_ml.matrix.text_tables import shaped
from lifecycle_ml.tables.rules import RULES
from lifecycle_ml.tables.schema import KNOWN_AT, SCHEMAS, TableSchema
from lifecycle_ml.tables.source import Tables, tables_from_frames

RELATIVE = 1e-9
"""How exactly a ratio must be met; what is counted, summed or dated must be met exactly."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Proof:
    """An expectation beside what the engine says; `value` and `usual` are those of the feature there."""

    example: Example
    expectation: Expectation
    value: Value
    usual: float | None

    @property
    def got(self) -> Value:
        """What stands where the expectation looks."""
        return self.usual if self.expectation.is_usual else self.value

    @property
    def holds(self) -> bool:
        """Whether the engine says what is expected: exactly, ratios to nine digits."""
        expected, got = self.expectation.value, self.got
        if not isinstance(expected, float) or not isinstance(got, float):
            return expected == got
        if _is_exact(self.expectation.measure):
            return expected == got
        return math.isclose(expected, got, rel_tol=RELATIVE, abs_tol=1e-12)


def prove(
    examples: Sequence[Example], progress: Progress = lambda _step, _done, _total: None
) -> tuple[Proof, ...]:
    """Build what the examples expect and set it beside what they say, in their order.

    Examples share a build wherever they cannot see each other: records that begin on different days, looks
    at midnight and between, and positions among peers are kept apart.
    Raises: ConfigError naming the example where its rows break the data contract.
    """
    builds: dict[tuple[Any, ...], list[tuple[Example, Expectation]]] = {}
    for example in examples:
        for expectation in example.expectations:
            apart = (example.family, example.number) if holds_peers(expectation.measure) else None
            at_midnight = expectation.known_at.time() == time()
            key = (example.recorded_since, at_midnight, apart)
            builds.setdefault(key, []).append((example, expectation))
    found: dict[int, Proof] = {}
    for done, asked in enumerate(builds.values()):
        progress("working the examples out", done, len(builds))
        for proof in _build(asked):
            found[id(proof.expectation)] = proof
    progress("working the examples out", len(builds), len(builds))
    return tuple(found[id(item)] for example in examples for item in example.expectations)


def _is_exact(measure: Measure) -> bool:
    """Whether a measure is counted, added up or dated; ratios, roots and series are divided."""
    if isinstance(measure, Root | Series | Peers):
        return False
    if isinstance(measure, Arithmetic) and measure.operator == "/":
        return False
    return all(_is_exact(child) for child in measure.children)


class _Copy(NamedTuple):
    """The rows of one example in a build; `mark` stands before its ids."""

    example: Example
    mark: str
    expectations: list[Expectation]


def _copies(asked: Iterable[tuple[Example, Expectation]]) -> list[_Copy]:
    """Give every example, and every further look at the same account and date, ids of its own."""
    copies: dict[tuple[str, int, int], _Copy] = {}
    looks: dict[tuple[str, int, str, date], list[datetime]] = {}
    for example, item in asked:
        key = (example.family, example.number, item.account_id, item.as_of)
        seen = looks.setdefault(key, [])
        if item.known_at not in seen:
            seen.append(item.known_at)
        place = (example.family, example.number, seen.index(item.known_at))
        copy = copies.setdefault(place, _Copy(example, f"{len(copies)}/", []))
        copy.expectations.append(item)
    return list(copies.values())


def _build(asked: Sequence[tuple[Example, Expectation]]) -> list[Proof]:
    copies = _copies(asked)
    tables = _tables(copies, asked[0][0].recorded_since)
    features = FeatureSet(tuple(dict.fromkeys(item.feature for _, item in asked)))
    places = {
        (copy.mark + item.account_id, pd.Timestamp(item.as_of), pd.Timestamp(item.known_at))
        for copy in copies
        for item in copy.expectations
    }
    spine = pd.DataFrame(sorted(places), columns=["account_id", "as_of", "known_at"])
    matrix = build_matrix(tables, features, spine).set_index(["account_id", "as_of"])
    rows = matrix.to_dict("index")
    proofs = []
    for copy in copies:
        for item in copy.expectations:
            row = rows[copy.mark + item.account_id, pd.Timestamp(item.as_of)]
            name = item.feature.name
            value, usual = _plain(row[name]), _plain(row.get(f"{name}{USUAL}"))
            assert not isinstance(usual, str), "what is usual is a number"
            proofs.append(Proof(copy.example, item, value, usual))
    return proofs


def _plain(value: Any) -> Value:
    if value is None or isinstance(value, str):
        return value
    return None if pd.isna(value) else float(value)


def _tables(copies: Sequence[_Copy], recorded_since: date) -> Tables:
    """Lay the rows of all copies into one set of tables in which every column counts as provided."""
    frames = {}
    for name in TABLES:
        parts = [_recorded(SCHEMAS[name], recorded_since)]
        for copy in copies:
            if name in copy.example.frames:
                frame = copy.example.frames[name].copy()
                for column in [column for column in IDS if column in frame]:
                    frame[column] = copy.mark + frame[column]
                parts.append(frame)
        frames[name] = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    try:
        tables = tables_from_frames(frames)
    except TableError as error:
        raise ConfigError(_blame(str(error), copies)) from error
    for finding in tables.findings:
        if RULES[finding.rule].effect == "left out":
            shown = ", ".join(finding.examples)
            raise ConfigError(_blame(f"{finding.advice.partition('.')[0]}: {shown}.", copies))
    every = {name: frozenset([*SCHEMAS[name].by_name, KNOWN_AT.name]) for name in TABLES}
    versioned = frozenset(name for name in TABLES if tables.versioned(name))
    return Tables.of(tables.backend, provided=every, versioned=versioned, findings=tables.findings)


def _recorded(schema: TableSchema, since: date) -> pd.DataFrame:
    """Return a row of nobody's, with which a table's records begin; none where its rows have no date."""
    if schema.happened is None:
        return shaped(pd.DataFrame(), schema)
    row: dict[str, Any] = {
        column.name: column.values[0] if column.values else "nobody"
        for column in schema.columns
        if column.required
    }
    row[schema.happened] = pd.Timestamp(since)
    return shaped(pd.DataFrame([row]), schema)


def _blame(message: str, copies: Sequence[_Copy]) -> str:
    """Name the example whose rows a message is about, and give the rows the ids they have there."""
    marked = re.search(r"(\d+)/", message)
    by_mark = {copy.mark: copy.example for copy in copies}
    example = by_mark.get(marked[0]) if marked else None
    plain = re.sub(r"\b\d+/", "", message)
    return f"{example.where} ({example.says!r}): {plain}" if example else plain
