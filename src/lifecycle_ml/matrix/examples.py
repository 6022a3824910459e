"""Worked examples: companies small enough to be worked out by hand, and what features must say of them.

Beside `features/usage.py` stands `features/examples/usage.toml`. Each example writes tables as text, with |
between cells, and below them the values expected. Every example is a company of its own: all tables exist,
rows that are not written do not, and cells left empty are null.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pandas as pd
from pydantic import Field

from lifecycle_ml.errors import ConfigError, TableError, did_you_mean
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import USUAL, Feature, FeatureSet
from lifecycle_ml.matrix.nodes import (
    NOT_FOR_FEATURES,
    Arithmetic,
    Measure,
    Peers,
    Root,
    Series,
    holds_peers,
)
from lifecycle_ml.tables.rules import RULES
from lifecycle_ml.tables.schema import KNOWN_AT, SCHEMAS, Column, TableSchema, Type
from lifecycle_ml.tables.source import Tables, tables_from_frames
from lifecycle_ml.workspace import Strict, Workspace, read_toml

ROOM = "features/examples"
BEGINNING = date(2000, 1, 1)
"""Since when accounts exist and tables are recorded, where an example does not say otherwise."""
TABLES = tuple(name for name in SCHEMAS if name not in NOT_FOR_FEATURES)
RELATIVE = 1e-9
"""How exactly a ratio must be met; what is counted, summed or dated must be met exactly."""

Value = float | str | None
Progress = Callable[[str, int, int], None]

_USUAL = " usual"
_WHEN = ("as_of", "known_at")
_IDS = tuple(
    dict.fromkeys(
        [
            *(schema.key[0] for schema in SCHEMAS.values() if schema.key and schema.key[0].endswith("_id")),
            "parent_account_id",
            "renews_contract_id",
        ]
    )
)
"""Columns whose values name a row; made unique so that examples can share tables."""
_DTYPES = {
    Type.TEXT: "str",
    Type.TEXTS: "object",
    Type.WHOLE: "Int64",
    Type.NUMBER: "float64",
    Type.YES_NO: "boolean",
    Type.DATE: "datetime64[us]",
    Type.INSTANT: "datetime64[us]",
}


class ExampleText(Strict):
    """One [[example]] as written.

    says            what it shows, in a sentence
    as_of           the date stood on; default: the file's. The table `expected` may name it per row instead
    known_at        when we look (UTC); default: as_of 00:00. Likewise a column of `expected`
    recorded_since  the first day of the company's records, for what rests on how far back a table reaches
    expected        account_id, then a column per feature, and `<feature> usual` for its usual value
    """

    says: Annotated[str, Field(min_length=8)]
    as_of: date | None = None
    known_at: datetime | None = None
    recorded_since: date = BEGINNING
    accounts: str | None = None
    contracts: str | None = None
    usage_events: str | None = None
    contacts: str | None = None
    touchpoints: str | None = None
    tickets: str | None = None
    milestones: str | None = None
    invoices: str | None = None
    signals: str | None = None
    expected: str


class ExampleFile(Strict):
    """features/examples/<family>.toml as written."""

    as_of: date | None = None
    example: Annotated[tuple[ExampleText, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Expectation:
    """What one feature (or its usual value) must be for one account as of one date."""

    account_id: str
    as_of: date
    known_at: datetime
    feature: Feature
    is_usual: bool
    value: Value

    @property
    def column(self) -> str:
        """The matrix column that must hold it."""
        return f"{self.feature.name}{USUAL}" if self.is_usual else self.feature.name

    @property
    def measure(self) -> Measure:
        """What is measured."""
        usual = self.feature.usual
        return usual if self.is_usual and usual is not None else self.feature.value


@dataclass(frozen=True)
class Example:
    """One example, read and checked: the tables of a tiny company and what must come of them."""

    family: str
    number: int
    says: str
    recorded_since: date
    frames: Mapping[str, pd.DataFrame]
    expectations: tuple[Expectation, ...]

    def __repr__(self) -> str:
        return f"Example({self.where!r}, {self.says!r})"

    @property
    def file(self) -> str:
        """The file it is written in."""
        return _file(self.family)

    @property
    def where(self) -> str:
        """File and number, as messages name it."""
        return f"{self.file}: example {self.number}"


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


def load_examples(
    workspace: Workspace, families: Mapping[str, Sequence[Feature]], only: Collection[str] | None = None
) -> tuple[Example, ...]:
    """Read the examples of a workspace, in the order of their files.

    `families` are those of `load_families`; `only` names the features wanted: expectations of others, and
    examples without any left, are left out, and mistakes in the examples of other families wait until those
    are asked for. The examples of a standard file that the workspace replaced are not read: they speak of
    other features.

    Raises: ConfigError with file, example, table and line for whatever cannot be read, a feature that does
    not exist, or a file beside which no family stands.
    """
    features = FeatureSet(tuple(feature for family in families.values() for feature in family))
    found: list[Example] = []
    for family, path in _files(workspace, families).items():
        asked_for = only is None or any(feature.name in only for feature in families[family])
        try:
            examples = _read_file(family, path, features)
        except ConfigError:
            if asked_for:
                raise
            continue
        for example in examples:
            wanted = tuple(e for e in example.expectations if only is None or e.feature.name in only)
            if wanted:
                found.append(replace(example, expectations=wanted))
    return tuple(found)


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


def read_table(name: str, text: str, where: str = "table") -> pd.DataFrame:
    """Read a canonical table written with | between cells: the columns given, with their canonical types.

    The first line names the columns; lines that begin with # are remarks; empty cells are null. Dates are
    2024-06-30, instants also 2024-06-30T12:00:00 (UTC), yes/no is yes or no, lists are words with blanks
    between them ([] is the empty list).
    Raises: ConfigError naming `where`, table, line and the nearest right word.
    """
    schema = SCHEMAS[name]
    header, rows = read_cells(text, f"{where}, {name}")
    columns = {column.name: column for column in (*schema.columns, KNOWN_AT)}
    for column in header:
        if column not in columns:
            raise ConfigError(f"{where}: {name} has no column {column!r}.{did_you_mean(column, columns)}")
    frame = {}
    for position, column in enumerate(header):
        cells = [
            _typed(row.cells[position], columns[column], f"{where}, {name} line {row.line}") for row in rows
        ]
        frame[column] = pd.Series(cells, dtype=_DTYPES[columns[column].type])
    return pd.DataFrame(frame)


class Row(NamedTuple):
    """One line of a text table: its number, from 1 for the header, and its cells."""

    line: int
    cells: list[str | None]


def read_cells(text: str, where: str) -> tuple[list[str], list[Row]]:
    """Split a text table into its header and its rows; empty cells are None. Raises: ConfigError."""
    lines = [line.strip() for line in text.strip().splitlines()]
    numbered = [(n, line) for n, line in enumerate(lines, start=1) if line and not line.startswith("#")]
    if not numbered:
        raise ConfigError(f"{where}: no line that names the columns, such as `account_id | …`.")
    header = [cell.strip() for cell in numbered[0][1].split("|")]
    twice = [column for column in header if header.count(column) > 1]
    if twice or not all(header):
        fault = f"column {twice[0]!r} is there twice" if all(header) else "a column has no name"
        raise ConfigError(f"{where}: {fault}; the first line names every column once.")
    rows = []
    for number, line in numbered[1:]:
        cells = [cell.strip() or None for cell in line.split("|")]
        if len(cells) != len(header):
            raise ConfigError(
                f"{where} line {number}: {len(cells)} cells, but {len(header)} columns "
                f"({', '.join(header)}). Cells are divided by |, also empty ones."
            )
        rows.append(Row(number, cells))
    return header, rows


def read_number(text: str, where: str) -> float:
    """Read 31, 0.8, 1/3, 12.5% or sqrt(2/3). Raises: ConfigError."""
    inner = re.fullmatch(r"sqrt\((.+)\)", text)
    try:
        if inner:
            return math.sqrt(Fraction(inner[1].replace(" ", "")))
        if text.endswith("%"):
            return float(Fraction(text[:-1].strip()) / 100)
        return float(Fraction(text.replace(" ", "")))
    except (ValueError, ZeroDivisionError):
        raise ConfigError(
            f"{where}: {text!r} is no number; write 31, 0.8, 1/3, 12.5% or sqrt(2/3), nothing for null."
        ) from None


def _typed(cell: str | None, column: Column, where: str) -> Any:
    if cell is None:
        return None
    at = f"{where}: {column.name} is {cell!r}"
    try:
        match column.type:
            case Type.DATE:
                return pd.Timestamp(date.fromisoformat(cell))
            case Type.INSTANT:
                return pd.Timestamp(_naive(datetime.fromisoformat(cell)))
            case Type.WHOLE:
                return int(cell)
            case Type.NUMBER:
                return float(cell)
            case Type.YES_NO:
                return {"yes": True, "no": False}[cell.lower()]
            case Type.TEXTS:
                return cell.strip("[]").replace(",", " ").split()
    except (ValueError, KeyError):
        wanted = {
            Type.DATE: "a date, YYYY-MM-DD",
            Type.INSTANT: "an instant, YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS",
            Type.WHOLE: "a whole number",
            Type.NUMBER: "a number",
            Type.YES_NO: "yes or no",
        }[column.type]
        raise ConfigError(f"{at}; write {wanted}, or nothing for null.") from None
    if column.values and cell not in column.values:
        raise ConfigError(f"{at}, which is not on its list.{did_you_mean(cell, column.values)}")
    return cell


def _naive(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _file(family: str) -> str:
    return f"{ROOM}/{family}.toml"


def _read_file(family: str, path: Path, features: FeatureSet) -> list[Example]:
    """Parse one file; examples are counted from 1 in messages, as people count."""
    try:
        file = read_toml(path, ExampleFile, _file(family))
    except ConfigError as error:
        said = re.sub(
            r"'example\.(\d+)\.(\w+)'", lambda m: f"{m[2]!r} of example {int(m[1]) + 1}", str(error)
        )
        raise ConfigError(said) from error
    return [
        _Reader(family, number, text, file.as_of, features).example()
        for number, text in enumerate(file.example, start=1)
    ]


def _files(workspace: Workspace, families: Mapping[str, Sequence[Feature]]) -> dict[str, Path]:
    own = {path.stem: path for path in sorted((workspace.root / ROOM).glob("*.toml"))}
    for family in own:
        if family not in families:
            raise ConfigError(
                f"{_file(family)}: there is no features/{family}.py beside it."
                f"{did_you_mean(family, families)}"
            )
    standard = workspace.files(ROOM, ".toml")
    replaced = {path.stem for path in (workspace.root / "features").glob("*.py")}
    if workspace.root == workspace.standard:
        replaced = set()
    return {
        family: path
        for family, path in standard.items()
        if family in own or (family in families and family not in replaced)
    }


class _Reader:
    """Reads one [[example]] of a file."""

    def __init__(
        self, family: str, number: int, text: ExampleText, as_of: date | None, features: FeatureSet
    ) -> None:
        self._family, self._number, self._text = family, number, text
        self._as_of = text.as_of or as_of
        self._features = features
        self._where = f"{_file(family)}: example {number} ({text.says!r})"

    def example(self) -> Example:
        expectations = self._expectations()
        frames = self._frames([item.account_id for item in expectations])
        text = self._text
        return Example(self._family, self._number, text.says, text.recorded_since, frames, expectations)

    def _expectations(self) -> tuple[Expectation, ...]:
        header, rows = read_cells(self._text.expected, f"{self._where}, expected")
        if "account_id" not in header:
            raise ConfigError(f"{self._where}, expected: the column account_id is missing.")
        columns = [name for name in header if name != "account_id" and name not in _WHEN]
        if not columns or not rows:
            raise ConfigError(f"{self._where}, expected: no value is expected; add a column and a row.")
        asked = {name: self._feature(name) for name in columns}
        found: list[Expectation] = []
        seen: set[tuple[str, date, datetime]] = set()
        for line, cells in rows:
            at = f"{self._where}, expected line {line}"
            row = dict(zip(header, cells, strict=True))
            account = row["account_id"]
            if account is None:
                raise ConfigError(f"{at}: account_id is empty.")
            as_of, known_at = self._when(row, at)
            if (account, as_of, known_at) in seen:
                raise ConfigError(f"{at}: account {account!r} as of {as_of} is there twice.")
            seen.add((account, as_of, known_at))
            for name, (feature, is_usual) in asked.items():
                value = _expected(row[name], feature, f"{at}, {name}", is_usual=is_usual)
                found.append(Expectation(account, as_of, known_at, feature, is_usual, value))
        return tuple(found)

    def _feature(self, column: str) -> tuple[Feature, bool]:
        name, is_usual = column.removesuffix(_USUAL), column.endswith(_USUAL)
        if name not in self._features.names:
            raise ConfigError(
                f"{self._where}, expected: no feature {name!r}.{did_you_mean(name, self._features.names)}"
            )
        feature = self._features[name]
        if is_usual and feature.usual is None:
            raise ConfigError(
                f"{self._where}, expected: {name} has no usual value; give its definition usual=."
            )
        return feature, is_usual

    def _when(self, row: Mapping[str, str | None], at: str) -> tuple[date, datetime]:
        as_of, known_at = self._as_of, self._text.known_at
        for key in _WHEN:
            if (cell := row.get(key)) is None:
                continue
            try:
                instant = _naive(datetime.fromisoformat(cell))
            except ValueError:
                raise ConfigError(f"{at}: {key} is {cell!r}; write YYYY-MM-DD.") from None
            if key == "as_of":
                as_of = instant.date()
            else:
                known_at = instant
        if as_of is None:
            raise ConfigError(
                f"{self._where}: as_of is missing; give it here, at the head of the file, or as a column of "
                "expected."
            )
        known_at = _midnight(as_of) if known_at is None else _naive(known_at)
        if known_at < _midnight(as_of):
            raise ConfigError(
                f"{at}: known_at {known_at} lies before as_of {as_of}; look at its 00:00 or later."
            )
        return as_of, known_at

    def _frames(self, expected: Iterable[str]) -> dict[str, pd.DataFrame]:
        given = {name: text for name in TABLES if (text := getattr(self._text, name)) is not None}
        frames = {name: self._filled(name, text) for name, text in given.items()}
        mentioned = dict.fromkeys(expected)
        for frame in frames.values():
            mentioned |= dict.fromkeys(frame["account_id"])
        if "accounts" not in frames:
            accounts = pd.DataFrame({"account_id": list(mentioned), "created_at": pd.Timestamp(BEGINNING)})
            frames["accounts"] = _shaped(accounts, SCHEMAS["accounts"])
        known = set(frames["accounts"]["account_id"])
        for name, frame in frames.items():
            if strangers := sorted(set(frame["account_id"]) - known):
                raise ConfigError(
                    f"{self._where}, {name}: account {strangers[0]!r} is not among its accounts."
                    f"{did_you_mean(strangers[0], known)}"
                )
        if strangers := sorted(set(mentioned) - known):
            raise ConfigError(
                f"{self._where}, expected: account {strangers[0]!r} is not among its accounts."
                f"{did_you_mean(strangers[0], known)}"
            )
        self._check_age(frames)
        return frames

    def _filled(self, name: str, text: str) -> pd.DataFrame:
        """Read a table, number rows without a key, and refuse rows the data contract would leave out."""
        schema = SCHEMAS[name]
        frame = read_table(name, text, self._where)
        if name == "accounts" and "created_at" not in frame:
            frame["created_at"] = pd.Timestamp(BEGINNING)
        key = schema.key[0] if schema.key else None
        if key in _IDS and key not in frame and key != "account_id":
            frame[str(key)] = [f"{name}{number}" for number in range(1, len(frame) + 1)]
        for column in (column.name for column in schema.columns if column.required):
            empty = frame[column].isna() if column in frame else None
            if empty is None or empty.any():
                row = "" if empty is None else f", row {int(empty.to_numpy().argmax()) + 1} below the header"
                raise ConfigError(f"{self._where}, {name}{row}: {column} is missing; every row needs one.")
        return _shaped(frame, schema)

    def _check_age(self, frames: Mapping[str, pd.DataFrame]) -> None:
        since = pd.Timestamp(self._text.recorded_since)
        for name, frame in frames.items():
            happened = SCHEMAS[name].happened
            if happened is None or name == "accounts" or self._text.recorded_since == BEGINNING:
                continue
            if len(frame) and (first := frame[happened].min()) < since:
                raise ConfigError(
                    f"{self._where}, {name}: a row of {first:%Y-%m-%d} lies before recorded_since "
                    f"{self._text.recorded_since}."
                )


def _expected(cell: str | None, feature: Feature, where: str, *, is_usual: bool) -> Value:
    if cell is None or (feature.is_text and not is_usual):
        return cell
    if feature.is_yes_no and not is_usual:
        answers = {"yes": 1.0, "no": 0.0, "1": 1.0, "0": 0.0}
        if cell.lower() not in answers:
            raise ConfigError(f"{where}: {cell!r} is neither yes nor no; write nothing for null.")
        return answers[cell.lower()]
    return read_number(cell, where)


def _is_exact(measure: Measure) -> bool:
    """Whether a measure is counted, added up or dated; ratios, roots and series are divided."""
    if isinstance(measure, Root | Series | Peers):
        return False
    if isinstance(measure, Arithmetic) and measure.operator == "/":
        return False
    return all(_is_exact(child) for child in measure.children)


def _shaped(frame: pd.DataFrame, schema: TableSchema) -> pd.DataFrame:
    """Give a frame every column of its table; what was not written is null."""
    columns = {column.name: _DTYPES[column.type] for column in (*schema.columns, KNOWN_AT)}
    return frame.reindex(columns=list(columns)).astype(columns)


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
                for column in [column for column in _IDS if column in frame]:
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
        return _shaped(pd.DataFrame(), schema)
    row: dict[str, Any] = {
        column.name: column.values[0] if column.values else "nobody"
        for column in schema.columns
        if column.required
    }
    row[schema.happened] = pd.Timestamp(since)
    return _shaped(pd.DataFrame([row]), schema)


def _blame(message: str, copies: Sequence[_Copy]) -> str:
    """Name the example whose rows a message is about, and give the rows the ids they have there."""
    marked = re.search(r"(\d+)/", message)
    by_mark = {copy.mark: copy.example for copy in copies}
    example = by_mark.get(marked[0]) if marked else None
    plain = re.sub(r"\b\d+/", "", message)
    return f"{example.where} ({example.says!r}): {plain}" if example else plain
