"""A measure reads as a short formula over lettered parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.matrix.measures import (
    IN_FORCE,
    among_peers,
    calendar,
    change,
    count,
    days_since,
    days_until,
    deviation,
    distinct,
    first,
    first_of,
    greatest,
    largest,
    latest,
    mean,
    only_if,
    own_past,
    present,
    share,
    slope,
    smallest,
    spread,
    streak,
    total,
)
from lifecycle_ml.matrix.words import describe, describe_clocks
from lifecycle_ml.workspace import load_workspace

TICKETS = count("tickets", days=28)
SEATS = total("contracts", "seats", where=IN_FORCE)
SAID = {
    "count": (count("tickets"), "how many tickets", []),
    "window": (TICKETS, "how many tickets, last 28 days", []),
    "earlier window": (TICKETS.before(28), "how many tickets, 56 to 28 days ago", []),
    "earlier": (SEATS.before(84), "the sum of seats over contracts in force, as of 84 days earlier", []),
    "other date": (
        count("contacts", where="role = 'champion'", on="left_on", days=84),
        "how many contacts where role = 'champion', last 84 days, by left_on",
        [],
    ),
    "distinct": (
        distinct("usage_events", "team", days=7),
        "how many different team among usage_events, last 7 days",
        [],
    ),
    "largest": (largest("tickets", "severity"), "the largest severity of tickets", []),
    "smallest": (smallest("tickets", "severity"), "the smallest severity of tickets", []),
    "latest": (latest("accounts", "segment"), "segment of the latest of accounts", []),
    "first": (first("accounts", "segment"), "segment of the first of accounts", []),
    "mean": (
        mean("tickets", "csat", where="severity = 1", days=84),
        "the mean of csat over tickets where severity = 1, last 84 days",
        [],
    ),
    "mean of all": (mean("tickets", "csat"), "the mean of csat over tickets", []),
    "deviation": (deviation("tickets", "csat"), "the standard deviation of csat over tickets", []),
    "since": (days_since("tickets"), "days since the largest opened_at of tickets", []),
    "until": (
        days_until("contracts", "ends_on", where=f"{IN_FORCE} AND auto_renew"),
        "days until the largest ends_on of contracts in force where auto_renew",
        [],
    ),
    "present": (present("tickets", days=7), "1 if there are tickets, last 7 days, else 0", []),
    "ratio": (
        TICKETS / SEATS,
        "A / B",
        ["how many tickets, last 28 days", "the sum of seats over contracts in force"],
    ),
    "same twice": (TICKETS / (TICKETS + 1), "A / (A + 1)", ["how many tickets, last 28 days"]),
    "share": (
        share("tickets", where="severity = 1"),
        "A / B",
        ["how many tickets where severity = 1", "how many tickets"],
    ),
    "change": (
        change(TICKETS),
        "A / (average A in the 3 windows of 28 days before)",
        ["how many tickets, last 28 days"],
    ),
    "one window": (
        own_past(TICKETS, windows=1),
        "A in the window of 28 days before",
        ["how many tickets, last 28 days"],
    ),
    "slope": (
        slope(TICKETS),
        "growth of A per window, over the last 6 windows of 28 days",
        ["how many tickets, last 28 days"],
    ),
    "spread": (
        spread(TICKETS),
        "standard deviation of A over the last 6 windows of 28 days",
        ["how many tickets, last 28 days"],
    ),
    "streak": (
        streak(1 - present("tickets", days=7)),
        "how many windows of 7 days in a row, from the latest back, (1 - A) was above zero; at most 12",
        ["1 if there are tickets, last 7 days, else 0"],
    ),
    "choice": (
        first_of(mean("tickets", "csat"), 0),
        "the first known of (A, 0)",
        ["the mean of csat over tickets"],
    ),
    "greatest": (greatest(TICKETS, TICKETS.before(28)), "the largest of (A, B)", None),
    "only if": (only_if(TICKETS, SEATS), "A where B > 0, else null", None),
    "calendar": (calendar("day_of_year"), "the day of year of as_of", []),
    "peers": (
        among_peers(TICKETS),
        "position (0 to 1) of A among customers with the same B and a similar C",
        [
            "how many tickets, last 28 days",
            "segment of the latest of accounts",
            "the sum of arr over contracts in force",
        ],
    ),
}


@pytest.mark.parametrize(("measure", "text", "parts"), SAID.values(), ids=SAID)
def test_a_measure_reads_as_words(measure, text, parts):
    """One part is said alone; several get a letter each, the same part once."""
    formula = describe(measure)

    assert formula.text == text
    if parts is not None:
        assert list(formula.parts.values()) == parts
        assert list(formula.parts) == list("ABC"[: len(parts)])


def test_every_standard_feature_can_be_said():
    """No measure falls back to how Python would print it."""
    features = load_features(load_workspace(Path(__file__).parents[3]))
    said = [describe(measure) for f in features for measure in (f.value, f.usual) if measure is not None]

    assert not [
        one for one in said for text in (one.text, *one.parts.values()) if "Rows(" in text or not text
    ]


def test_columns_say_from_when_they_are_known():
    """The clock of each column, in words."""
    columns = frozenset({("tickets", "csat"), ("tickets", "closed_at"), ("accounts", "segment")})
    columns |= {("contracts", "cancelled_on"), ("contracts", "arr")}

    assert describe_clocks(columns) == {
        "accounts.segment": "overwritten without a date: as of today",
        "contracts.arr": "known with the row",
        "contracts.cancelled_on": "empty until its own day has come",
        "tickets.closed_at": "empty until its own date has passed",
        "tickets.csat": "known once closed_at is",
    }
