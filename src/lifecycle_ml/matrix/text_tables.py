"""Tables written as text, with | between cells: the form in which worked examples are read and kept.

The first line names the columns; lines that begin with # are remarks; cells left empty are null.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any, NamedTuple

import pandas as pd

from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.tables.schema import KNOWN_AT, SCHEMAS, Column, TableSchema, Type

_DTYPES = {
    Type.TEXT: "str",
    Type.TEXTS: "object",
    Type.WHOLE: "Int64",
    Type.NUMBER: "float64",
    Type.YES_NO: "boolean",
    Type.DATE: "datetime64[us]",
    Type.INSTANT: "datetime64[us]",
}


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
                return pd.Timestamp(naive_utc(datetime.fromisoformat(cell)))
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


def naive_utc(instant: datetime) -> datetime:
    """Return an instant without its zone, in UTC; one without a zone is taken as UTC."""
    return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


def shaped(frame: pd.DataFrame, schema: TableSchema) -> pd.DataFrame:
    """Give a frame every column of its table; what was not written is null."""
    columns = {column.name: _DTYPES[column.type] for column in (*schema.columns, KNOWN_AT)}
    return frame.reindex(columns=list(columns)).astype(columns)
