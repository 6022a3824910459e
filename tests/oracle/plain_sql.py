"""Runs the oracles: every feature of the catalogue written once more, in plain SQL over DuckDB.

The files are read in order: `source.sql` (tables as a source gives them), `known.sql` (what was known when),
`words.sql` (windows, contracts in force), `peers.sql`, then one file of oracles per file of features. An
oracle is a comment and the SELECT below it:

    -- active_users_28d: ...                what gives (snapshot, value) of a feature
    -- active_users_28d usual: ...          of its usual value
    -- events_per_seat_peers among peers:   of what is compared; peers.sql then says where an account stands

A snapshot without a row is null. A value of an exact type (whole number, decimal, text) has to be met
exactly, a DOUBLE within a billionth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd

ROOM = Path(__file__).parent
FILES = ("usage", "engagement", "support", "commercial", "onboarding", "signals", "fit")
_HEADING = re.compile(r"^-- ([a-z][a-z0-9_]*)( usual| among peers)?: ", re.MULTILINE)


@dataclass(frozen=True)
class Oracle:
    """The SELECT (snapshot, value) that recomputes one column; kind is "", "usual" or "among peers"."""

    feature: str
    kind: str
    sql: str

    @property
    def column(self) -> str:
        """The column of the matrix it stands for."""
        return f"{self.feature}__usual" if self.kind == "usual" else self.feature


def read_oracles(text: str) -> tuple[str, list[Oracle]]:
    """Return what a file defines first, and its oracles."""
    headings = list(_HEADING.finditer(text))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    found = [
        Oracle(heading[1], (heading[2] or "").strip(), text[heading.start() : end].rstrip().removesuffix(";"))
        for heading, end in zip(headings, ends, strict=True)
    ]
    return text[: headings[0].start()], found


_READ = [read_oracles((ROOM / f"{name}.sql").read_text()) for name in FILES]
DEFINITIONS = [definitions for definitions, _ in _READ]
ORACLES = [oracle for _, oracles in _READ for oracle in oracles]


@dataclass(frozen=True)
class Answers:
    """What the oracles say: one row per snapshot (account_id, as_of), one column per column of the matrix."""

    frame: pd.DataFrame
    exact: frozenset[str]


def ask_oracles(
    frames: Mapping[str, pd.DataFrame], looks: pd.DataFrame, columns: Iterable[str] | None = None
) -> Answers:
    """Answer for every account on every day of `looks` (as_of, known_at), from canonical frames."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute((ROOM / "source.sql").read_text())
    for name, frame in frames.items():
        connection.register("given", frame)
        connection.execute(f"INSERT INTO source.{name} BY NAME SELECT * FROM given")
        connection.unregister("given")
    connection.register("given", looks)
    connection.execute("INSERT INTO looks SELECT DISTINCT as_of, known_at FROM given")
    for name in ("known", "words", "peers"):
        connection.execute((ROOM / f"{name}.sql").read_text())
    # Companies are small: planning costs more than anything a better plan could save.
    connection.execute("PRAGMA disable_optimizer")
    for definitions in DEFINITIONS:
        connection.execute(definitions)
    frame = connection.execute("SELECT * FROM snapshots ORDER BY snapshot").df().set_index("snapshot")
    answers, exact = {}, set()
    for oracle in ORACLES:
        if columns is not None and oracle.column not in columns:
            continue
        query = f"SELECT snapshot, value FROM (\n{oracle.sql}\n)"
        if oracle.kind == "among peers":
            connection.execute("DELETE FROM compared")
            connection.execute(f"INSERT INTO compared {query}")
            query = "SELECT snapshot, value FROM positions"
        answer = connection.execute(query)
        if str(answer.description[1][1]) != "DOUBLE":
            exact.add(oracle.column)
        rows = answer.fetchall()
        found = dict(rows)
        assert len(found) == len(rows), f"{oracle.column}: several rows for one snapshot"
        answers[oracle.column] = [found.get(number) for number in frame.index]
    connection.close()
    columns_found = {name: pd.Series(values, dtype="object") for name, values in answers.items()}
    return Answers(
        pd.concat([frame.reset_index(drop=True), pd.DataFrame(columns_found)], axis=1), frozenset(exact)
    )
