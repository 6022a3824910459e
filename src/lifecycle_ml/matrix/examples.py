"""Worked examples: companies small enough to be worked out by hand, and what features must say of them.

Beside `features/usage.py` stands `features/examples/usage.toml`. Each example writes tables as text, with |
between cells, and below them the values expected. Every example is a company of its own: all tables exist,
rows that are not written do not, and cells left empty are null.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.matrix.definition import NOT_FOR_FEATURES
from lifecycle_ml.matrix.feature import USUAL, Feature, FeatureSet
from lifecycle_ml.matrix.nodes import Measure
from lifecycle_ml.matrix.text_tables import naive_utc, read_cells, read_number, read_table, shaped
from lifecycle_ml.tables.schema import SCHEMAS
from lifecycle_ml.workspace import Strict, Workspace, read_toml

ROOM = "features/examples"
BEGINNING = date(2000, 1, 1)
"""Since when accounts exist and tables are recorded, where an example does not say otherwise."""
TABLES = tuple(name for name in SCHEMAS if name not in NOT_FOR_FEATURES)

Value = float | str | None

_USUAL = " usual"
_WHEN = ("as_of", "known_at")
IDS = tuple(
    dict.fromkeys(
        [
            *(schema.key[0] for schema in SCHEMAS.values() if schema.key and schema.key[0].endswith("_id")),
            "parent_account_id",
            "renews_contract_id",
        ]
    )
)
"""Columns whose values name a row; made unique so that examples can share tables."""


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
                instant = naive_utc(datetime.fromisoformat(cell))
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
        known_at = _midnight(as_of) if known_at is None else naive_utc(known_at)
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
            frames["accounts"] = shaped(accounts, SCHEMAS["accounts"])
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
        if key in IDS and key not in frame and key != "account_id":
            frame[str(key)] = [f"{name}{number}" for number in range(1, len(frame) + 1)]
        for column in (column.name for column in schema.columns if column.required):
            empty = frame[column].isna() if column in frame else None
            if empty is None or empty.any():
                row = "" if empty is None else f", row {int(empty.to_numpy().argmax()) + 1} below the header"
                raise ConfigError(f"{self._where}, {name}{row}: {column} is missing; every row needs one.")
        return shaped(frame, schema)

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
