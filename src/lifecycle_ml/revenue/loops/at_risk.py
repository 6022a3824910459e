"""Customers day by day: who was watched when, what ended, what grew, and what had happened before it.

All of it lies in temporary tables of a DuckDB cursor; days are whole days since 1970-01-01, and a stretch
`[from_day, to_day)` holds an event on `day` if `from_day < day <= to_day`.

    steps     account_id, from_day, arr, before: recurring ARR from a day on, and until that day
    lives     life, account_id, from_day, to_day, ended (whether it was lost on to_day), arr (before to_day)
    profiles  account_id, segment, industry, size, term, activity: what rates are adjusted for
    cells     cell, segment, size, tenure, quarter, term, activity, days: time of customers alike in all of it
    slices    account_id, cell, from_day, to_day: each life cut where a quarter or a band of tenure ends
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd

from lifecycle_ml.errors import TableError
from lifecycle_ml.outcomes.labels import UNITS, active_periods, recurring_contracts, step_sums
from lifecycle_ml.revenue.books import NOT_RECORDED
from lifecycle_ml.tables.clock import as_known
from lifecycle_ml.tables.schema import SCHEMAS

if TYPE_CHECKING:
    from datetime import date

    from lifecycle_ml.tables.source import Tables

TENURES = (0, 30, 90, 180, 365, 730)
"""Days since an account's first ARR at which a band of tenure begins."""
MOST_SEGMENTS = 12
"""Segments told apart when rates are adjusted; smaller ones stand together."""
LONG_TERM_DAYS = 240
"""From here on a contract's term counts as long: it is left when it ends, not in between."""
MIN_SHARE = 0.05
"""ARR up by at least this share is growth; less is a rise in price (as in training/expansion.toml)."""
DAYS_BEFORE = 90
LOOKED_BACK = 180
"""Days for which what a customer said or had goes on to count before it is lost."""


@dataclass(frozen=True)
class AtRisk:
    """The tables above, as known on `known_on`. Build it with `customers_at_risk`."""

    con: Any
    known_on: date
    today: int
    names: frozenset[str]
    known: dict[str, str]
    """SQL of each canonical table as known on known_on."""

    def frame(self, question: str) -> pd.DataFrame:
        """Return the rows of a question."""
        rows: pd.DataFrame = self.con.sql(question).df()
        return rows

    def lacks(self, *tables: str) -> str | None:
        """Say which of these tables is not there, None where all are."""
        missing = [name for name in tables if name not in self.names]
        if not missing:
            return None
        listed = ", ".join(f"`{name}`" for name in missing)
        return f"Needs {listed}: add features/sources/{missing[0]}.sql."


def customers_at_risk(tables: Tables, known_on: date, grace_days: int, arrival_lag_days: int) -> AtRisk:
    """Lay out customers day by day, from what was known on `known_on`.

    Time:   a loss counts once grace and arrival lag have passed; who may yet renew is watched to the last
            day paid. Customers are watched from the first loss on record: what lies before may be told only
            of those who stayed. Reads usage events once.
    Money:  as `read_books`; where currencies have no rate, TableError.
    Raises: TableError where there are no contracts, or the tables lie on another engine than DuckDB.
    """
    if tables.backend.name != "duckdb":
        raise TableError(f"feedback loops read tables in DuckDB; these lie on {tables.backend.name}.")
    if "contracts" not in tables:
        raise TableError("contracts: there is no such table, so nobody can say who stayed and who left.")
    through = ibis.timestamp(pd.Timestamp(known_on).to_pydatetime())
    known = {
        name: str(
            tables.backend.compile(
                as_known(tables[name].mutate(as_of=through, known_until=through), SCHEMAS[name])
            )
        )
        for name in tables.names
    }
    today = int(np.datetime64(known_on, "D").astype(np.int64))
    # A cursor shares the tables and keeps what it makes to itself.
    about = AtRisk(tables.backend.con.cursor(), known_on, today, frozenset(tables.names), known)
    _lay_lives(about, recurring_contracts(tables, known_on), grace_days, arrival_lag_days)
    _lay_use(about)
    _lay_profiles(about)
    _lay_slices(about)
    return about


def day_of(column: str) -> str:
    """SQL of a date or instant as whole days."""
    return f"(CAST({column} AS DATE) - DATE '1970-01-01')"


def _lay_lives(about: AtRisk, contracts: pd.DataFrame, grace_days: int, arrival_lag_days: int) -> None:
    following = contracts[contracts["renews_contract_id"].notna() & (contracts["units"] > 0)]
    starts = following.groupby("renews_contract_id")["starts_on"].min()
    renewed = pd.Series(starts.reindex(contracts["contract_id"]).to_numpy(), index=contracts.index)
    stops = pd.concat([contracts["stops_on"], renewed], axis=1).min(axis=1)
    contracts = contracts.assign(stops_on=stops.astype(contracts["stops_on"].dtype))
    steps = step_sums(contracts, ["units"]).assign(arr=lambda rows: rows["units"] / UNITS)
    about.con.register("arriving_contracts", contracts)
    about.con.register("arriving_steps", steps)
    about.con.register("arriving_lives", active_periods(steps, grace_days))
    about.con.execute(f"""
        CREATE TEMP TABLE steps AS
        SELECT account_id, {day_of("from_on")} AS from_day, arr,
               coalesce(lag(arr) OVER (PARTITION BY account_id ORDER BY from_on), 0) AS before
        FROM arriving_steps;
        CREATE TEMP TABLE terms AS
        SELECT account_id, CASE WHEN days IS NULL THEN 'open' WHEN days >= {LONG_TERM_DAYS} THEN 'long'
                           ELSE 'short' END AS term
        -- The planned end: when a contract was cancelled is what became of it, not how it was made.
        FROM (SELECT account_id, arg_min_null({day_of("ends_on")} - {day_of("starts_on")}, starts_on) AS days
              FROM ({about.known["contracts"]}) WHERE arr > 0 AND is_recurring GROUP BY account_id);
        CREATE TEMP TABLE lives AS
        WITH told AS (
            SELECT account_id, {day_of("started_on")} AS began,
                   coalesce({day_of("ended_on")}, {about.today}) AS ended_on
            FROM arriving_lives WHERE {day_of("started_on")} < {about.today}),
        sure AS (
            SELECT *, ended_on + {grace_days + arrival_lag_days} < {about.today} AS ended FROM told),
        watched AS (SELECT coalesce(min(ended_on) FILTER (WHERE ended), {about.today}) AS since FROM sure)
        SELECT row_number() OVER (ORDER BY account_id, began) AS life, account_id, began,
               greatest(began, (SELECT since FROM watched) - 1) AS from_day,
               least(ended_on, {about.today}) AS to_day, ended,
               (SELECT max_by(arr, steps.from_day) FROM steps
                WHERE steps.account_id = sure.account_id AND steps.from_day < sure.ended_on
                  AND steps.from_day < {about.today} AND arr > 0) AS arr
        FROM sure WHERE least(ended_on, {about.today}) > greatest(began, (SELECT since FROM watched) - 1);
    """)
    for name in ("arriving_contracts", "arriving_steps", "arriving_lives"):
        about.con.unregister(name)


def _lay_use(about: AtRisk) -> None:
    """First use of each feature and team, and what was used in each 28 days, in one pass over the events."""
    if "usage_events" not in about.names:
        about.con.execute("""
            CREATE TEMP TABLE use (account_id VARCHAR, feature VARCHAR, team VARCHAR, block BIGINT,
                                   first_day BIGINT, quantity DOUBLE, events BIGINT, part BIGINT)
        """)
        return
    about.con.execute(f"""
        CREATE TEMP TABLE use AS
        SELECT account_id, feature, team, block, min(day) AS first_day, sum(quantity) AS quantity,
               count(*) AS events, grouping(feature, team, block) AS part
        FROM (SELECT account_id, feature, team, {day_of("happened_at")} AS day,
                     {day_of("happened_at")} // 28 AS block, CAST(quantity AS DOUBLE) AS quantity
              FROM ({about.known["usage_events"]}) WHERE kind NOT IN ('admin', 'export'))
        GROUP BY GROUPING SETS ((account_id, feature), (account_id, team), (account_id, block))
    """)


FEATURES, TEAMS, BLOCKS = 3, 5, 6
"""Values of `use.part`: which of the three sets a row belongs to."""


def _lay_profiles(about: AtRisk) -> None:
    about.con.execute(f"""
        CREATE TEMP TABLE profiles AS
        WITH known AS (SELECT * FROM ({about.known["accounts"]})),
        large AS (SELECT segment FROM known WHERE segment IS NOT NULL
                  GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {MOST_SEGMENTS}),
        first AS (SELECT account_id, min_by(arr, from_day) AS arr FROM steps WHERE arr > 0 GROUP BY 1),
        days AS (SELECT account_id, sum(to_day - from_day) AS days FROM lives GROUP BY 1),
        used AS (SELECT account_id, sum(events) AS events FROM use WHERE part = {BLOCKS} GROUP BY 1),
        sized AS (
            SELECT account_id, {_third("first.arr")} AS size,
                   coalesce(events, 0) / days.days / first.arr AS per_arr, events IS NULL AS silent
            FROM first JOIN days USING (account_id) LEFT JOIN used USING (account_id))
        SELECT sized.account_id, coalesce(known.segment, '{NOT_RECORDED}') AS segment,
               coalesce(large.segment, 'others') AS wide_segment,
               coalesce(known.industry, '{NOT_RECORDED}') AS industry, size,
               coalesce(term, 'open') AS term,
               CASE WHEN silent THEN 0 ELSE 1 + {_third("per_arr", "PARTITION BY silent, size")} END
                   AS activity
        FROM sized JOIN known USING (account_id) LEFT JOIN terms USING (account_id)
        LEFT JOIN large ON large.segment = known.segment
    """)


def _third(value: str, within: str = "") -> str:
    """SQL of the third a value lies in, 0 to 2; equal values lie in the same."""
    return f"CAST(floor(3 * least(percent_rank() OVER ({within} ORDER BY {value}), 0.999999)) AS INTEGER)"


def _lay_slices(about: AtRisk) -> None:
    bands = ", ".join(
        f"({number}, {low}, {high})"
        for number, (low, high) in enumerate(zip(TENURES, (*TENURES[1:], 1_000_000), strict=True))
    )
    about.con.execute(f"""
        CREATE TEMP TABLE cut AS
        WITH span AS (SELECT min(from_day) AS first FROM lives),
        quarters AS (
            SELECT {day_of("q")} AS low, {day_of("q + INTERVAL 3 MONTH")} AS high
            FROM (SELECT unnest(generate_series(
                date_trunc('quarter', DATE '1970-01-01' + CAST((SELECT first FROM span) AS INTEGER)),
                DATE '1970-01-01' + {about.today}, INTERVAL 3 MONTH)) AS q)),
        bands (tenure, low, high) AS (VALUES {bands})
        SELECT account_id, quarters.low AS quarter, tenure,
               greatest(lives.from_day, quarters.low, began + bands.low) AS from_day,
               least(lives.to_day, quarters.high, began + bands.high) AS to_day
        FROM lives
        JOIN quarters ON quarters.low < lives.to_day AND quarters.high > lives.from_day
        JOIN bands ON began + bands.low < lives.to_day AND began + bands.high > lives.from_day
        WHERE greatest(lives.from_day, quarters.low, began + bands.low)
            < least(lives.to_day, quarters.high, began + bands.high);
        CREATE TEMP TABLE cells AS
        SELECT row_number() OVER (ORDER BY wide_segment, size, tenure, quarter, term, activity) AS cell, *
        FROM (SELECT wide_segment, size, tenure, quarter, term, activity, sum(to_day - from_day) AS days
              FROM cut JOIN profiles USING (account_id) GROUP BY ALL);
        CREATE TEMP TABLE slices AS
        SELECT account_id, cell, from_day, to_day
        FROM cut JOIN profiles USING (account_id)
        JOIN cells USING (wide_segment, size, tenure, quarter, term, activity);
    """)


def joined(stretches: str, days: int) -> str:
    """SQL that turns (label, account_id, day) into stretches of `days` days after each, overlaps joined."""
    return f"""
        SELECT label, account_id, min(day) AS from_day, max(day) + {days} AS to_day
        FROM (SELECT *, sum(fresh) OVER (PARTITION BY label, account_id ORDER BY day
                                         ROWS UNBOUNDED PRECEDING) AS stretch
              FROM (SELECT label, account_id, day,
                           CASE WHEN day - lag(day) OVER (PARTITION BY label, account_id ORDER BY day)
                                     <= {days} THEN 0 ELSE 1 END AS fresh
                    FROM (SELECT DISTINCT label, account_id, day FROM ({stretches}))))
        GROUP BY label, account_id, stretch"""
