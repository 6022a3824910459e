"""Random companies: every canonical table with late rows, versions, gaps and instants on the boundaries."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pandas as pd
from hypothesis import strategies as st

from lifecycle_ml.tables.schema import SCHEMAS, Column, Type

FIRST = datetime.fromisoformat("2024-01-01")
DAYS = 200
ACCOUNTS = ("A", "B", "C")
AS_OF = (date(2024, 4, 1), date(2024, 4, 29), date(2024, 5, 6), date(2024, 6, 24))
"""Dates 28, 7 and 49 days apart, so that windows both share their boundaries and cross them."""

# Late by nothing, by an hour, to the next midnight and past later as_of dates.
_DELAYS = (0, 0, 0, 3600, 86_400, 5 * 86_400, 40 * 86_400)
_TIMES = (0, 1, 43_200_000_000, 86_399_999_999)
_WORDS = {
    "currency": ("EUR",),
    "user_id": ("u1", "u2", "u3"),
    "team": ("red", "blue"),
    "feature": ("f", "g"),
    "plan": ("p", "q"),
}
_READ = tuple(name for name in SCHEMAS if name not in {"outcomes", "fx_rates"})
_SIZES = {"accounts": 3, "contracts": 4, "usage_events": 14}

days = st.integers(0, DAYS).map(lambda n: FIRST + timedelta(days=n))
instants = st.builds(lambda day, micros: day + timedelta(microseconds=micros), days, st.sampled_from(_TIMES))


def _values(column: Column) -> st.SearchStrategy:
    match column.type:
        case Type.DATE:
            return days
        case Type.INSTANT:
            return instants
        case Type.YES_NO:
            return st.booleans()
        case Type.WHOLE:
            return st.integers(1, 4)
        case Type.NUMBER:
            return st.sampled_from((0.5, 1, 2.25, 10, 100.1))
        case Type.TEXTS:
            return st.lists(st.sampled_from(("email", "phone")), max_size=2)
    return st.sampled_from(column.values or _WORDS.get(column.name, ("x", "y")))


@st.composite
def _rows(draw: st.DrawFn, table: str) -> pd.DataFrame:
    """Rows of one table; a key may come in several versions, each known later than the one before."""
    schema = SCHEMAS[table]
    rows = []
    for number in range(draw(st.integers(3 if table == "accounts" else 0, _SIZES.get(table, 5)))):
        versions = draw(st.sampled_from((1, 1, 1, 2, 3))) if schema.key else 1
        known = None
        for _ in range(versions):
            row = {c.name: draw(_values(c) if c.required else st.none() | _values(c)) for c in schema.columns}
            row["account_id"] = ACCOUNTS[number] if table == "accounts" else draw(st.sampled_from(ACCOUNTS))
            if table == "accounts":
                row["parent_account_id"] = draw(st.sampled_from((None, None, *ACCOUNTS)))
                row["created_at"] = draw(days.map(lambda day: day - timedelta(days=150)))
            elif table == "milestones":
                row |= {"account_id": ACCOUNTS[number % 3], "milestone": f"m{number}"}
            elif schema.key:
                row[schema.key[0]] = f"{table}{number}"
            if table == "contracts" and row["ends_on"] is not None:
                row["ends_on"] = max(row["ends_on"], row["starts_on"]) + timedelta(days=30)
            since = row[schema.happened] if schema.happened else draw(days)
            late = since + timedelta(seconds=draw(st.sampled_from(_DELAYS)))
            known = late if known is None else max(late, known + timedelta(hours=1))
            rows.append(row | {"known_at": known})
    frame = pd.DataFrame(rows, columns=[*schema.by_name, "known_at"])
    for column in schema.columns:
        if column.type in {Type.DATE, Type.INSTANT}:
            frame[column.name] = pd.to_datetime(frame[column.name]).astype("datetime64[us]")
        elif column.type in {Type.WHOLE, Type.NUMBER}:
            frame[column.name] = pd.to_numeric(frame[column.name])
        elif column.type is Type.YES_NO:
            frame[column.name] = frame[column.name].astype("boolean")
        elif column.type is Type.TEXT:
            frame[column.name] = frame[column.name].astype("str")
    frame["known_at"] = pd.to_datetime(frame["known_at"]).astype("datetime64[us]")
    return frame


@st.composite
def companies(draw: st.DrawFn) -> dict[str, pd.DataFrame]:
    """Frames of a random company; tables that came out empty are absent, as they would be in a source."""
    frames = {name: draw(_rows(name)) for name in _READ}
    return {name: frame for name, frame in frames.items() if name == "accounts" or len(frame)}


def spine(delay: timedelta = timedelta(0)) -> pd.DataFrame:
    """Every account on every as_of date, looked at `delay` later."""
    rows = [(a, pd.Timestamp(d), pd.Timestamp(d) + delay) for a in ACCOUNTS for d in AS_OF]
    frame = pd.DataFrame(rows, columns=["account_id", "as_of", "known_at"])
    return frame.astype({"as_of": "datetime64[us]", "known_at": "datetime64[us]"})
