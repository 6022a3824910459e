"""The matrix on one machine: DuckDB groups facts into tiles and answers states, NumPy does the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from lifecycle_ml.matrix.aggregates import unstamp
from lifecycle_ml.matrix.arithmetic import Calculator
from lifecycle_ml.matrix.compiled import place, text_of
from lifecycle_ml.matrix.definition import EVENTS
from lifecycle_ml.matrix.distinct import Values
from lifecycle_ml.matrix.facts import Array, Cuts, FactSet, Look, fact_sets, numbered
from lifecycle_ml.matrix.kept import KeptTiles
from lifecycle_ml.matrix.nodes import ORDERED, Measure, Rows, leaves
from lifecycle_ml.matrix.question import OWN, answer_question
from lifecycle_ml.matrix.series import FeedAge, feeds
from lifecycle_ml.matrix.snapshots import Snapshots
from lifecycle_ml.matrix.spine import own_rows, rolled_up
from lifecycle_ml.matrix.windows import Taken, Tiles
from lifecycle_ml.tables.schema import SCHEMAS
from lifecycle_ml.tables.source import Tables

AT_ONCE = 4_000_000
"""Rows of a table up to which its tiles are fetched at once, and twice the tiles fetched in one part."""


def compute_here(
    tables: Tables,
    spine: pd.DataFrame,
    measures: Mapping[str, Measure],
    kept: KeptTiles | None = None,
) -> pd.DataFrame:
    """Return one column per measure, rows as the spine (account_id, as_of, known_at, in any order).

    Events are read from `kept` tiles where those hold what is needed.
    """
    spine = spine.reset_index(drop=True)
    asked = dict.fromkeys(leaf for measure in measures.values() for leaf in leaves(measure))
    there = [leaf for leaf in asked if leaf.table in tables]
    sets = fact_sets(there)
    facts = {leaf for several in sets for leaf in several.leaves}
    read = dict.fromkeys(table for measure in measures.values() for table in feeds(measure))
    found = _feed_ages(tables, spine, [table for table in read if table in tables], kept)
    waiting = [FeedAge(table) for table in read if table in tables and FeedAge(table) not in found]
    found |= _states(tables, spine, [*(leaf for leaf in there if leaf not in facts), *waiting])
    own = own_rows(spine)
    members = rolled_up(tables, own) if any(several.table not in OWN for several in sets) else own
    for belonging in (True, False):
        wanted = [several for several in sets if (several.table in OWN) == belonging]
        if wanted:
            found |= _facts(tables, spine, own if belonging else members, wanted, kept)
    calculator = Calculator(spine["as_of"], found)
    return pd.DataFrame({name: calculator.value(measure) for name, measure in measures.items()})


def _feed_ages(
    tables: Tables, spine: pd.DataFrame, read: Iterable[str], kept: KeptTiles | None
) -> dict[Measure, Array]:
    """Return how far back feeds reach, where everybody looks after the first row of the first day was known.

    That is read off the table's earliest rows; what else there may be has to be asked.
    """
    looked = spine["known_at"].min().to_pydatetime()
    today = spine["as_of"].to_numpy().astype("datetime64[D]")
    found: dict[Measure, Array] = {}
    for table in read:
        happened = SCHEMAS[table].happened
        seen = kept.first_seen() if kept is not None and table == EVENTS else None
        first, known = (
            seen
            or tables.backend.con.execute(
                f'SELECT first, (SELECT min(known_at) FROM "{table}" WHERE superseded_at IS NULL '
                f"AND {happened} < first + INTERVAL 1 DAY) FROM "
                f'(SELECT CAST(min({happened}) AS DATE) AS first FROM "{table}")'
            ).fetchall()[0]
        )
        if known is not None and known <= looked:
            found[FeedAge(table)] = (today - np.datetime64(first, "D")).astype("float64")
    return found


def _states(tables: Tables, spine: pd.DataFrame, measures: Iterable[Measure]) -> dict[Measure, Array]:
    """Ask for what looks at states; and for how far back feeds reach."""
    named = {f"s{i}": measure for i, measure in enumerate(measures)}
    if not named:
        return {}
    frame = answer_question(tables, spine, named)
    return {measure: _array(frame[name], measure) for name, measure in named.items()}


def _array(column: pd.Series, measure: Measure) -> Array:
    if measure.kind == "text":
        texts = column.to_numpy(dtype="object", copy=True)
        texts[column.isna().to_numpy()] = None
        return texts
    if measure.kind == "date":
        dates = pd.to_datetime(column).to_numpy().astype("datetime64[D]")
        return np.where(np.isnat(dates), np.nan, dates.astype("int64").astype("float64"))
    return column.to_numpy(dtype="float64")


def _facts(
    tables: Tables,
    spine: pd.DataFrame,
    members: pd.DataFrame,
    sets: Iterable[FactSet],
    kept: KeptTiles | None,
) -> dict[Measure, Array]:
    """Group each set of facts into tiles and take the windows of its leaves, several at once."""
    accounts = pd.unique(members["member"])
    numbered = {account: number for number, account in enumerate(accounts)}
    snapshots = Snapshots.of(members, numbered, len(spine))
    place(
        tables,
        "fact_accounts",
        pd.DataFrame({"account_id": accounts, "account_number": np.arange(len(accounts), dtype="int32")}),
    )
    midnights = bool((spine["known_at"] == spine["known_at"].dt.normalize()).all())
    dates = np.unique(snapshots.day)
    found: dict[Measure, Array] = {}
    threads = tables.backend.con.execute("SELECT current_setting('threads')").fetchall()[0][0]
    with ThreadPoolExecutor(max_workers=int(threads)) as pool:
        for several in sets:
            held = kept if kept is not None and kept.covers(several) else None
            taken: dict[Rows, list[Taken]] = {leaf: [] for leaf in several.leaves}
            if several.additive:
                cuts = Cuts.of(dates, several.additive)
                for answer, part in _asked(tables, several, None, cuts, snapshots, held, midnights=midnights):
                    tiles = Tiles(answer, several, cuts, part)
                    for leaf, windows in zip(
                        several.additive, pool.map(tiles.taken, several.additive), strict=True
                    ):
                        taken[leaf].append(windows)
            for column, counted in several.distinct.items():
                cuts = Cuts.of(dates, counted)
                for answer, part in _asked(
                    tables, several, column, cuts, snapshots, held, midnights=midnights
                ):
                    values = Values(answer, several.conditions(column), cuts, part)
                    for leaf, windows in zip(counted, pool.map(values.taken, counted), strict=True):
                        taken[leaf].append(windows)
            decoded = pool.map(
                lambda leaf, parts: _decoded(Taken.joined(parts), leaf, snapshots), taken, taken.values()
            )
            found |= dict(zip(taken, decoded, strict=True))
            _mend_families(tables, spine, snapshots.families, several, found)
    return found


def _asked(
    tables: Tables,
    facts: FactSet,
    column: str | None,
    cuts: Cuts,
    snapshots: Snapshots,
    held: KeptTiles | None,
    *,
    midnights: bool,
) -> Iterator[tuple[pa.Table, Snapshots]]:
    """Return the tiles of a set of facts, or the values of one of its columns, with those who look at them.

    What may be too much at once comes in parts, account by account; DuckDB holds the rest, on disk if
    need be.
    """
    segments = place(tables, "fact_segments", cuts.frame())
    accounts = tables.backend.table("fact_accounts")
    look = Look(cuts.everything, midnights, tables.versioned(facts.table), _looked_at_by_most(tables))

    def question() -> ibis.Table:
        placed = facts.placed(tables[facts.table], accounts, segments, look)
        return numbered(facts.question(placed) if column is None else facts.values(placed, column), accounts)

    if held is None:
        text = text_of(tables, (facts, column, look), question)
    else:
        text = held.question(facts, column, cuts)
    connection = tables.backend.con
    rows = connection.execute(f'SELECT count(*) FROM "{facts.table}"').fetchall()[0][0]
    if rows <= AT_ONCE:
        yield connection.sql(text).to_arrow_table(), snapshots
        return
    connection.execute(f"CREATE OR REPLACE TEMP TABLE fact_tiles AS {text}")
    counts = connection.execute("SELECT account, count(*) FROM fact_tiles GROUP BY 1 ORDER BY 1").fetchnumpy()
    number, many = (np.asarray(values) for values in counts.values())
    part = np.cumsum(many) // (AT_ONCE // 2)
    edges = [0, *(number[1:][part[1:] != part[:-1]]), int(snapshots.account.max()) + 1]
    for low, high in pairwise(edges):
        answer = connection.sql(f"SELECT * FROM fact_tiles WHERE account >= {low} AND account < {high}")
        yield answer.to_arrow_table(), snapshots.of_accounts(int(low), int(high))
    connection.execute("DROP TABLE fact_tiles")


def _looked_at_by_most(tables: Tables) -> bool:
    """Whether the accounts looked at are most of those there are."""
    asked, there = tables.backend.con.execute(
        "SELECT (SELECT count(*) FROM fact_accounts), (SELECT count(DISTINCT account_id) FROM accounts)"
    ).fetchall()[0]
    return bool(2 * asked >= there)


def _decoded(taken: Taken, leaf: Rows, snapshots: Snapshots) -> Array:
    """Return a leaf as the calculator wants it: texts as objects, dates and numbers as floats."""
    value = taken.by_row(leaf, snapshots)
    if leaf.verb not in ORDERED:
        return value
    empty = None if leaf.kind == "text" else np.nan
    texts = [unstamp(text, leaf) for text in taken.texts]
    known = np.array([*texts, empty], dtype="object" if leaf.kind == "text" else "float64")
    decoded: Array = known[np.where(np.isnan(value), len(texts), value).astype("int64")]
    return decoded


def _mend_families(
    tables: Tables, spine: pd.DataFrame, families: Array, facts: FactSet, found: dict[Measure, Array]
) -> None:
    """Count different values anew where several accounts roll up to one: they may share some."""
    counted = [leaf for leaf in facts.leaves if leaf.verb == "distinct"]
    if not len(families) or not counted:
        return
    shared = _states(tables, spine.iloc[families].reset_index(drop=True), counted)
    for leaf in counted:
        found[leaf][families] = shared[leaf]
