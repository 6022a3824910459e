"""Tiles of events kept from run to run: each night adds what became known since, and nothing is read twice.

Kept are tiles of one UTC day: sums, counts and extremes by account and day, and for each different value that
is counted the days on which it occurred, as bits. Tiles are only ever added; those of one account and day are
put together when they are read. Windows over them are the same as over the events themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.matrix.aggregates import countable
from lifecycle_ml.matrix.compiled import place, text_of
from lifecycle_ml.matrix.definition import EVENTS
from lifecycle_ml.matrix.facts import WORD, Cuts, FactSet, Partial, fact_sets
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.matrix.nodes import leaves
from lifecycle_ml.tables.source import Tables

_AGAIN = {"rows": "sum", "values": "sum", "total": "sum", "largest": "max", "latest": "max"}
"""How partials of several tiles are put together; the others are the least."""


@dataclass(frozen=True)
class Update:
    """What an update did."""

    rows: int
    """Events added."""
    anew: str | None
    """Why all tiles were made anew; None where only new events were read."""


class KeptTiles:
    """The tiles of a workspace's features in a DuckDB file, for one set of tables at a time."""

    def __init__(self, path: Path, features: FeatureSet, tables: Tables) -> None:
        """Open the file, or begin it. Raises: ConfigError where it is no file of kept tiles."""
        measures = [m for f in features.available(tables) for m in (f.value, f.usual) if m is not None]
        found = dict.fromkeys(
            leaf for measure in measures for leaf in leaves(measure) if leaf.table == EVENTS
        )
        self._sets = fact_sets(found)
        self._tables = tables
        wanted: dict[Partial, None] = {}
        for several in self._sets:
            for what, column, where in several.partials:
                # A day counts where it has a row.
                wanted["rows" if what == "days" else what, column, where] = None
        self._columns = {partial: f"p{i}" for i, partial in enumerate(wanted)}
        self._counted = {
            column: (f"values_{i}", several)
            for i, (column, several) in enumerate(
                (column, several) for several in self._sets for column in several.distinct
            )
        }
        self._begin(path)

    def update(self) -> Update:
        """Add the events that became known since the last update.

        Everything is read anew where the definitions changed, or where events are there that ought to have
        been known by the last update and were not (a source without known_at cannot tell what is new).
        """
        connection = self._tables.backend.con
        taken, until, definitions = connection.execute(
            "SELECT taken, until, definitions FROM kept.state"
        ).fetchall()[0]
        # One look at known_at says what is new and whether anything is missing.
        there, old, newest = connection.execute(
            f"SELECT count(*), count(*) FILTER (WHERE known_at <= $1), max(known_at) FROM {EVENTS}", [until]
        ).fetchall()[0]
        anew = None
        if not taken:
            anew = "no tiles yet"
        elif definitions != self._definitions:
            anew = "the features count other things than when the tiles were made"
        elif old != taken:
            anew = f"{old:,} events were known by {until}, and {taken:,} were kept"
        if anew:
            until = None
        new = f" WHERE known_at > TIMESTAMP '{until}'" if until is not None else ""
        connection.execute(f"CREATE OR REPLACE TEMP VIEW fact_arriving AS SELECT * FROM {EVENTS}{new}")
        texts = self._texts()
        added = there if anew else there - old
        connection.execute("BEGIN")
        try:
            if anew:
                self._empty(texts)
            for name, text in texts.items():
                order = "day" if name == "tiles" else "days"
                connection.execute(f"INSERT INTO kept.{name} SELECT * FROM ({text}) ORDER BY {order}")
            connection.execute(
                "UPDATE kept.state SET taken = $1, until = $2, definitions = $3",
                [there, newest, self._definitions],
            )
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return Update(added, anew)

    def covers(self, facts: FactSet) -> bool:
        """Whether a set of facts can be read from these tiles."""
        needed = {
            ("rows" if what == "days" else what, column, where) for what, column, where in facts.partials
        }
        known = all(
            column in self._counted
            and set(facts.conditions(column)) <= set(self._counted[column][1].conditions(column))
            for column in facts.distinct
        )
        return facts.table == EVENTS and needed <= set(self._columns) and known

    def question(self, facts: FactSet, column: str | None, cuts: Cuts) -> str:
        """Return the SQL that gives the tiles, or the values of a column, as `FactSet` does from events."""
        if column is None:
            picked = [self._again(*partial, name) for partial, name in facts.partials.items()]
            return (
                "SELECT account_number AS account, cut AS segment, "
                "CASE WHEN known > cut_ends THEN known END AS known, "
                f"{', '.join(picked)} FROM kept.tiles JOIN fact_accounts USING (account_id) "
                f"JOIN fact_segments ON day = cut_day WHERE {self._within(cuts, 'day', 1)} GROUP BY ALL"
            )
        table, several = self._counted[column]
        stored = several.conditions(column)
        bits = [
            f"bit_or(cut_bit) FILTER (WHERE {stored[where]} & mask <> 0) AS {name}"
            for where, name in facts.conditions(column).items()
        ]
        self._place_masks(cuts)
        return (
            "SELECT account_number AS account, counted, cut_word AS word, "
            f"CASE WHEN known > cut_ends THEN known END AS known, {', '.join(bits)} "
            f"FROM kept.{table} JOIN fact_accounts USING (account_id) JOIN fact_masks USING (days) "
            f"WHERE {self._within(cuts, 'days', WORD)} GROUP BY ALL"
        )

    def first_seen(self) -> tuple[date, datetime] | None:
        """Return the day of the first event, and a midnight by which one of that day was known on time.

        None where there is no event, or all of the first day were late.
        """
        rows = self._tables.backend.con.execute(
            "SELECT DATE '1970-01-01' + min(day) FROM kept.tiles "
            "WHERE day = (SELECT min(day) FROM kept.tiles) AND known IS NULL"
        ).fetchall()
        first = rows[0][0]
        if first is None:
            return None
        day = first.date() if isinstance(first, datetime) else first
        return day, datetime(day.year, day.month, day.day) + timedelta(days=1)

    @staticmethod
    def _within(cuts: Cuts, column: str, length: int) -> str:
        """Say which days, or words of days, windows reach, so that no others are read."""
        return f"{column} BETWEEN {cuts.days[0] // length} AND {(cuts.days[-1] - 1) // length}"

    def close(self) -> None:
        """Let go of the file."""
        self._tables.backend.con.execute("DETACH kept")

    def _begin(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = self._tables.backend.con
        try:
            connection.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS kept")
        except Exception as error:
            raise ConfigError(
                f"{path}: no file of kept tiles ({error}); give another path or delete it."
            ) from error
        text = repr(
            (sorted(self._columns.items(), key=repr), sorted((c, t) for c, (t, _) in self._counted.items()))
        )
        conditions = repr([(c, s.conditions(c)) for c, (_, s) in sorted(self._counted.items())])
        self._definitions = hashlib.sha256((text + conditions).encode()).hexdigest()
        connection.execute(
            "CREATE TABLE IF NOT EXISTS kept.state (taken BIGINT, until TIMESTAMP, definitions VARCHAR)"
        )
        if not connection.execute("SELECT count(*) FROM kept.state").fetchall()[0][0]:
            connection.execute("INSERT INTO kept.state VALUES (0, NULL, '')")

    def _empty(self, texts: Mapping[str, str]) -> None:
        """Throw all tiles away and make room for new ones."""
        connection = self._tables.backend.con
        names = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'kept' AND table_name <> 'state'"
        ).fetchall()
        for (name,) in names:
            connection.execute(f'DROP TABLE kept."{name}"')
        for name, text in texts.items():
            connection.execute(f"CREATE TABLE kept.{name} AS SELECT * FROM ({text}) LIMIT 0")

    def _texts(self) -> dict[str, str]:
        """Return the questions that make tiles of `fact_arriving` as SQL, by the table they go to."""
        bits_of_a_word = place(
            self._tables,
            "fact_places",
            pd.DataFrame(
                {"place": np.arange(WORD), "place_bit": np.uint64(1) << np.arange(WORD, dtype="uint64")}
            ),
        )
        asked: dict[str, ibis.Table] = {}

        def question(name: str) -> ibis.Table:
            if not asked:
                asked.update(self._questions(self._tables.backend.table("fact_arriving"), bits_of_a_word))
            return asked[name]

        names = ["tiles", *(name for name, _ in self._counted.values())]
        key = "kept", self._definitions
        return {name: text_of(self._tables, (*key, name), partial(question, name)) for name in names}

    def _questions(self, events: ibis.Table, bits_of_a_word: ibis.Table) -> dict[str, ibis.Table]:
        day = events.happened_at.cast("date").delta(ibis.date("1970-01-01"), unit="day")
        next_day = events.happened_at.truncate("D") + ibis.interval(days=1)
        late = ibis.ifelse(events.known_at > next_day, events.known_at, ibis.null("timestamp"))
        dated = events.mutate(fact_day=day, fact_known=late)
        # Any set of the table says how a partial is computed.
        several = self._sets[0]
        partials = {name: several.partial(dated, *partial) for partial, name in self._columns.items()}
        keys = {
            "account_id": dated.account_id,
            "day": dated.fact_day.cast("int32"),
            "known": dated.fact_known,
        }
        questions = {"tiles": dated.group_by(**keys).aggregate(**partials)}
        for column, (name, counting) in self._counted.items():
            valued = dated.mutate(
                fact_value=countable(counting.expression(dated, column)), place=dated.fact_day % WORD
            ).inner_join(bits_of_a_word, "place")
            valued = valued.filter(~valued.fact_value.isnull())
            bits = {
                stored: valued.place_bit.bit_or(where=counting.expression(valued, where) if where else None)
                for where, stored in counting.conditions(column).items()
            }
            keys = {
                "account_id": valued.account_id,
                "counted": valued.fact_value,
                "days": (valued.fact_day // WORD).cast("int32"),
                "known": valued.fact_known,
            }
            questions[name] = valued.group_by(**keys).aggregate(**bits)
        return questions

    def _again(self, what: str, column: str | None, where: str | None, name: str) -> str:
        if what == "days":
            return f"bit_or(cut_day_bit) FILTER (WHERE {self._columns['rows', None, where]} > 0) AS {name}"
        return f"{_AGAIN.get(what, 'min')}({self._columns[what, column, where]}) AS {name}"

    def _place_masks(self, cuts: Cuts) -> None:
        """Put beside the tiles which days of each kept word lie in which segment."""
        days = cuts.frame()
        days["days"] = (days["cut_day"] // WORD).astype("int32")
        days["mask"] = np.uint64(1) << (days["cut_day"].to_numpy() % WORD).astype("uint64")
        masks = days.groupby(["days", "cut", "cut_ends", "cut_word", "cut_bit"], as_index=False)["mask"].sum()
        place(self._tables, "fact_masks", pd.DataFrame(masks))
