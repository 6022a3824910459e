"""No person of a customer gets from the source tables into the store or the files beside it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from demo_company import Demo
from lifecycle_ml.tables.schema import SCHEMAS

PEOPLE = {("usage_events", "user_id"), ("contacts", "contact_id"), ("touchpoints", "contact_id")}
"""The columns of the canonical tables that stand for one person of a customer."""
_WORD = re.compile(rb"[\w.@+-]+")


def words_in(folder: Path) -> set[bytes]:
    """Every word in the files of a folder: tables and databases cell by cell, all else by its bytes."""
    found: set[bytes] = set()
    for path in folder.rglob("*"):
        if path.is_file():
            for content in _contents(path):
                found.update(_WORD.findall(content))
    return found


def _contents(path: Path) -> Iterator[bytes]:
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        for column in table.columns:
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                yield "\n".join(filter(None, column.unique().to_pylist())).encode()
    elif path.suffix == ".db":
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table_name,) in tables:
                for row in database.execute(f'SELECT * FROM "{table_name}"'):
                    for cell in row:
                        yield cell if isinstance(cell, bytes) else str(cell).encode()
    else:
        yield path.read_bytes()


def test_every_column_that_stands_for_a_person_is_looked_for() -> None:
    """A column of people that is added to the tables must be added above."""
    named = {
        (table.name, column.name)
        for table in SCHEMAS.values()
        for column in table.columns
        if column.name.endswith(("user_id", "contact_id", "person_id", "email"))
    }
    assert named == PEOPLE


@pytest.mark.slow
@pytest.mark.xdist_group("demo")
def test_no_user_and_no_contact_of_the_demo_is_in_the_store_or_a_file_beside_it(demo: Demo) -> None:
    """They are counted and never named; the same search finds each of them in the tables themselves."""
    people: set[bytes] = set()
    for table, column in sorted(PEOPLE):
        ids = pq.read_table(demo.folder / "data" / f"{table}.parquet", columns=[column])[column]
        people.update(str(each).encode() for each in ids.unique().to_pylist() if each is not None)
    assert len(people) > 1_000
    assert people <= words_in(demo.folder / "data")

    for kept in ("out", "mlruns"):
        words = words_in(demo.folder / kept)
        assert words
        assert sorted(people & words)[:3] == [], kept
