"""The first law: what is built from all tables equals what is built from tables cut to what was known."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import ibis
import pandas as pd
import pytest
from companies import AS_OF, companies, spine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lifecycle_ml.matrix import aggregates, question
from lifecycle_ml.matrix.build import build_matrix, customers
from lifecycle_ml.matrix.compiled import forget
from lifecycle_ml.matrix.facts import FactSet
from lifecycle_ml.matrix.feature import Feature, FeatureSet
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.matrix.measures import (
    IN_FORCE,
    Measure,
    change,
    count,
    days_since,
    days_until,
    distinct,
    largest,
    latest,
    mean,
    own_past,
    share,
    total,
)
from lifecycle_ml.outcomes.renewal import renewals
from lifecycle_ml.tables.clock import cut
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import load_workspace

CATALOGUE = load_features(load_workspace(Path(__file__).parents[2]))
DELAYS = (timedelta(0), timedelta(hours=2), timedelta(days=9))

# Building all features takes seconds to plan, so the fast test asks for each kind of aggregate once.
PROBES: dict[str, Measure] = {
    "open": count("tickets", where="closed_at IS NULL"),
    "csat": mean("tickets", "csat", on="closed_at", days=28),
    "seats": total("contracts", "seats", where=IN_FORCE),
    "seats_before": total("contracts", "seats", where=IN_FORCE, ago=28),
    "renewal": days_until("contracts", "ends_on", where=IN_FORCE),
    "plan": latest("contracts", "plan", where=IN_FORCE, on="starts_on"),
    "late": largest("invoices", "days_between(due_on, as_of)", where="paid_on IS NULL AND due_on < as_of"),
    "left": count("contacts", on="left_on", days=84),
    "done": share("milestones", where="completed_on IS NOT NULL"),
    "touched": days_since("touchpoints"),
    "use": change(total("usage_events", "quantity", days=28)),
    "users": distinct("usage_events", "user_id", where="kind <> 'admin'", days=28),
    "users_before": own_past(distinct("usage_events", "user_id", days=7)),
    "feature": latest("usage_events", "feature", days=56),
    "last": days_since("usage_events", days=84),
}


def features_of(measures):
    """Wrap measures so that they can be built."""
    return FeatureSet(
        tuple(
            Feature(
                name=name,
                value=measure,
                unit="things",
                null_means="unknown",
                direction="none",
                category="context",
                says="{value}",
                says_no="no",
            )
            for name, measure in measures.items()
        )
    )


def assert_no_look_ahead(frames, features, delay, dates=AS_OF):
    """Compare the matrix of all dates at once with those from tables cut at each of `dates`, exactly."""
    tables = tables_from_frames(frames)
    features = features.available(tables)
    everything = build_matrix(tables, features, spine(delay))
    for as_of in dates:
        at = pd.Timestamp(as_of)
        known = cut(tables, as_of, (at + delay).to_pydatetime())
        rows = spine(delay).query("as_of == @at")
        alone = build_matrix(known, features, rows)
        together = everything[everything["as_of"] == at].reset_index(drop=True)
        pd.testing.assert_frame_equal(together, alone, check_exact=True)


def random_companies(examples):
    """Settings for laws whose single examples are slow by nature, the same examples on every run."""
    return settings(
        deadline=None,
        derandomize=True,
        max_examples=examples,
        # Shrinking a whole company takes longer than reading the one that failed.
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@random_companies(3)
@given(frames=companies(), delay=st.sampled_from(DELAYS), as_of=st.sampled_from(AS_OF))
def test_every_kind_of_aggregate_sees_only_what_was_known(frames, delay, as_of):
    """Late rows, later versions, amendments and columns filled in later change no earlier matrix."""
    assert_no_look_ahead(frames, features_of(PROBES), delay, [as_of])


@pytest.mark.slow
@random_companies(10)
@given(frames=companies(), delay=st.sampled_from(DELAYS))
def test_every_kind_of_aggregate_sees_only_what_was_known_in_many_companies(frames, delay):
    """The same over more companies and at every date."""
    assert_no_look_ahead(frames, features_of(PROBES), delay)


@pytest.mark.slow
@random_companies(8)
@given(frames=companies(), delay=st.sampled_from(DELAYS), as_of=st.sampled_from(AS_OF))
def test_no_feature_of_the_catalogue_looks_ahead(frames, delay, as_of):
    """The law holds for every feature we ship, with its usual value."""
    assert_no_look_ahead(frames, CATALOGUE, delay, [as_of])


@random_companies(3)
@given(frames=companies())
def test_customers_are_those_known_to_pay_then(frames):
    """The spine itself is free of look-ahead: contracts learned of later add no customer to the past."""
    if "contracts" not in frames:
        return
    tables = tables_from_frames(frames)
    together = customers(tables, AS_OF)
    alone = [customers(cut(tables, as_of), [as_of]) for as_of in AS_OF]
    expected = pd.concat(alone).sort_values(["account_id", "as_of"], ignore_index=True)
    pd.testing.assert_frame_equal(together, expected)


@random_companies(3)
@given(frames=companies(), delay=st.sampled_from(DELAYS))
def test_renewals_are_those_known_then(frames, delay):
    """Where a renewal label stands is free of look-ahead: later versions and amendments move no row."""
    if "contracts" not in frames:
        return
    tables, rows = tables_from_frames(frames), spine(delay)
    together = renewals(tables, rows)
    for as_of in AS_OF:
        here = rows[rows["as_of"] == pd.Timestamp(as_of)]
        known = cut(tables, as_of, (pd.Timestamp(as_of) + delay).to_pydatetime())
        pd.testing.assert_series_equal(together[here.index], renewals(known, here))


ACCOUNT_ROWS = pd.DataFrame({"account_id": ["A", "B", "C"], "created_at": pd.to_datetime(["2023-01-01"] * 3)})


def ticket(known_at, closed_at):
    """A company with one ticket of 1 March."""
    row = {"ticket_id": "t1", "account_id": "A", "severity": 1}
    dates = {"opened_at": "2024-03-01", "closed_at": closed_at, "known_at": known_at}
    tickets = pd.DataFrame([row | {name: pd.to_datetime(value) for name, value in dates.items()}])
    return {"accounts": ACCOUNT_ROWS, "tickets": tickets}


@pytest.fixture
def cheating(monkeypatch):
    """Put a cheat into how questions are put; no question put before or with it is kept."""

    def put(room, name, cheat):
        forget()
        monkeypatch.setattr(room, name, cheat)

    yield put
    forget()


def always_known(builder):
    """Cheat: pretend that every row had been known since the beginning."""

    def cheat(table, *arguments, **options):
        return builder(table.mutate(known_at=ibis.timestamp("2000-01-01")), *arguments, **options)

    return cheat


def facts_always_known(placed):
    """Cheat: pretend that every fact had been known since the beginning."""

    def cheat(several, table, *arguments):
        return placed(several, table.mutate(known_at=ibis.timestamp("2000-01-01")), *arguments)

    return cheat


def columns_as_they_are_now(rows, schema):
    """Cheat: show the rows known then with what was written into their columns since."""
    return rows.filter((rows.known_at <= rows.known_until) & (rows[schema.happened] < rows.as_of))


OPEN = {"open": count("tickets", where="closed_at IS NULL")}
EVENTS = {"events": count("usage_events", days=28), "users": distinct("usage_events", "user_id", days=28)}


def test_the_law_catches_a_feature_that_reads_a_later_row(cheating):
    """A ticket that reached us on 1 May is no part of what we knew on 1 April."""
    frames = ticket(known_at="2024-05-01", closed_at=None)
    assert_no_look_ahead(frames, features_of(OPEN), DELAYS[0])
    cheating(question, "aggregate_rows", always_known(question.aggregate_rows))
    with pytest.raises(AssertionError, match="are different"):
        assert_no_look_ahead(frames, features_of(OPEN), DELAYS[0])


def test_the_law_catches_a_feature_that_reads_an_overwritten_column(cheating):
    """closed_at was written on 20 May; whoever reads it on 1 April knows the future."""
    frames = ticket(known_at="2024-03-01", closed_at="2024-05-20")
    assert_no_look_ahead(frames, features_of(OPEN), DELAYS[0])
    cheating(aggregates, "as_known", columns_as_they_are_now)
    with pytest.raises(AssertionError, match="are different"):
        assert_no_look_ahead(frames, features_of(OPEN), DELAYS[0])


@pytest.mark.parametrize("name", EVENTS)
def test_the_law_catches_a_feature_that_reads_a_late_event(cheating, name):
    """An event of 20 March that arrived on 10 April was not there on 1 April."""
    event = {"event_id": "e1", "account_id": "A", "user_id": "u1"}
    dates = {"happened_at": "2024-03-20", "known_at": "2024-04-10"}
    events = pd.DataFrame([event | {key: pd.to_datetime(value) for key, value in dates.items()}])
    frames = {"accounts": ACCOUNT_ROWS, "usage_events": events}
    features = features_of({name: EVENTS[name]})
    assert_no_look_ahead(frames, features, DELAYS[0])
    cheating(FactSet, "placed", facts_always_known(FactSet.placed))
    with pytest.raises(AssertionError, match="are different"):
        assert_no_look_ahead(frames, features, DELAYS[0])
