"""A wrong measure cannot be built, and says what to write instead."""

from __future__ import annotations

import pytest

from lifecycle_ml.errors import DefinitionError
from lifecycle_ml.matrix.measures import (
    among_peers,
    change,
    count,
    days_since,
    days_since_first,
    days_until,
    distinct,
    first_of,
    greatest,
    largest,
    latest,
    mean,
    only_if,
    own_past,
    slope,
    streak,
    total,
)
from lifecycle_ml.matrix.nodes import leaves

WRONG = {
    "table": (lambda: count("ticket"), "no table 'ticket' for features. Did you mean 'tickets'"),
    "outcomes": (lambda: count("outcomes"), "no table 'outcomes' for features"),
    "column": (lambda: total("contracts", "seat"), "no column 'seat'. Did you mean 'seats'"),
    "where": (lambda: count("tickets", where="severty = 1"), "no column 'severty'. Did you mean 'severity'"),
    "no condition": (lambda: count("tickets", where="severity"), "is a value, not a condition"),
    "function": (lambda: count("tickets", where="median(severity) = 1"), "'median' is not on the list"),
    "kinds": (lambda: count("tickets", where="severity = 'high'"), "they do not compare"),
    "text sum": (lambda: total("tickets", "kind"), "does not add up"),
    "text size": (lambda: largest("tickets", "kind"), "use latest"),
    "days": (lambda: count("tickets", days=0), "days is 0"),
    "ago": (lambda: count("tickets", days=1, ago=-1), "ago is -1"),
    "undated": (lambda: count("contracts", days=28), "have no date of their own; say on="),
    "on": (lambda: count("tickets", on="severity", days=28), "on='severity' is no date of tickets"),
    "on near": (lambda: count("tickets", on="close_at", days=28), "Did you mean 'closed_at'"),
    "no window": (lambda: count("usage_events"), "need a window"),
    "event date": (lambda: count("usage_events", on="known_at", days=1), "no date of usage_events"),
    "as_of": (lambda: count("usage_events", where="happened_at < as_of", days=28), "cannot use as_of"),
    "since": (lambda: days_since("tickets", "severity"), "no date of tickets"),
    "until": (lambda: days_until("tickets", "severity"), "no date of tickets"),
    "plus text": (lambda: latest("accounts", "segment") + 1, "holding text cannot be calculated with"),
    "no measure": (lambda: greatest(count("tickets"), "many"), "'many' is neither a measure nor a number"),
    "past of all": (lambda: own_past(count("tickets")), "all windows must have one length"),
    "past of two": (lambda: own_past(count("tickets", days=7) / count("tickets", days=28)), "one length"),
    "no past": (lambda: change(count("tickets", days=7), windows=0), "windows is 0"),
    "value": (
        lambda: count("tickets", where="kind = 'bugg'"),
        "tickets.kind is never 'bugg'. Did you mean 'bug'",
    ),
    "values": (
        lambda: count("signals", where="kind IN ('merger', 'closing')"),
        "signals.kind is never 'closing'.",
    ),
    "yes for days": (lambda: count("tickets", days=True), "days is True"),
    "text for days": (lambda: count("tickets", days=28).before("28"), "before('28'): give a whole number"),
    "into the future": (lambda: count("tickets", days=28).before(-28), "before(-28): give a whole number"),
    "no text": (lambda: count("tickets", where=1), "where is 1; write it as a text, in quotes"),
    "undated since": (lambda: days_since("milestones"), "have no date of their own; say on='due_on'"),
    "undated first": (lambda: days_since_first("contracts"), "have no date of their own; say on='starts_on'"),
    "no table since": (
        lambda: days_since("ticket"),
        "no table 'ticket' for features. Did you mean 'tickets'",
    ),
    "divided by 0": (lambda: count("tickets") / 0, "nothing is divided by 0"),
    "and": (lambda: count("tickets") and count("contacts"), "not joined with and, or, not"),
    "above": (lambda: count("tickets") > 3, "not compared with 3 here; say it in where="),
    "of none": (first_of, "first_of(): of which measures"),
    "of two kinds": (lambda: first_of(latest("accounts", "segment"), 0), "holds text, another number"),
    "only if text": (lambda: only_if(count("tickets"), latest("accounts", "segment")), "this one is text"),
    "past of a number": (lambda: own_past(3), "own_past(): 3 is no measure"),
    "streak of text": (lambda: streak(latest("touchpoints", "topic", days=7)), "this measure holds text"),
    "slope of past": (lambda: slope(own_past(count("tickets", days=7))), "cannot be taken of another"),
    "peers of text": (lambda: among_peers(latest("accounts", "segment")), "has no higher or lower"),
    "peers by text": (lambda: among_peers(count("tickets"), group="segment"), "'segment' is no measure"),
    "past of past": (lambda: own_past(count("tickets", days=7)).before(7), "cannot itself be moved"),
}


@pytest.mark.parametrize(("build", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_measure_fails_where_it_is_written(build, says):
    """The message starts with file and line, and names the nearest right word."""
    with pytest.raises(DefinitionError, match=r"^matrix/test_measures\.py:\d+: ") as error:
        build()
    assert says in str(error.value)


def test_columns_inside_coalesce_are_not_needed():
    """coalesce() says how to do without a column, so its absence costs nothing."""
    (leaf,) = leaves(count("contracts", where="starts_on <= as_of AND coalesce(ends_on > as_of, TRUE)"))
    assert leaf.needed == {"starts_on"}
    assert leaf.columns == {"starts_on", "ends_on"}


def test_a_measure_moves_into_the_past_with_all_its_parts():
    """Moving a ratio moves both its sides; numbers stay."""
    moved = (count("tickets", days=7) / distinct("tickets", "kind", days=7, ago=7) + 1).before(7)
    assert [leaf.ago for leaf in leaves(moved)] == [7, 14]


def test_measures_know_their_kind():
    """A feature is a number, a yes/no or a text, told from its expression."""
    assert latest("accounts", "segment").kind == "text"
    assert largest("contracts", "auto_renew").kind == "yes_no"
    assert largest("milestones", "completed_on IS NOT NULL").kind == "yes_no"
    assert latest("tickets", "closed_at").kind == "date"
    assert mean("tickets", "csat").kind == "number"
    assert first_of(latest("tickets", "csat"), 0).kind == "number"


def test_a_minus_before_a_measure_turns_it_round():
    """-measure is what people write for 0 - measure."""
    assert -count("tickets") == 0 - count("tickets")
