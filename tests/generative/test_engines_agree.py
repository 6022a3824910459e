"""The second law, on one machine: windows in NumPy and one question in Ibis give the same matrix."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from companies import companies, spine
from hypothesis import given
from hypothesis import strategies as st
from test_no_look_ahead import CATALOGUE, DELAYS, PROBES, features_of, random_companies

from lifecycle_ml.matrix import one_machine
from lifecycle_ml.matrix.feature import USUAL
from lifecycle_ml.matrix.measures import (
    count,
    deviation,
    distinct,
    first,
    first_of,
    largest,
    latest,
    only_if,
    present,
    slope,
    smallest,
    spread,
    streak,
    total,
)
from lifecycle_ml.matrix.nodes import Peers
from lifecycle_ml.matrix.one_machine import compute_here
from lifecycle_ml.matrix.question import answer_question
from lifecycle_ml.matrix.spine import checked
from lifecycle_ml.tables.source import tables_from_frames

WEEKLY = total("usage_events", "quantity", days=7)
SERIES = {
    "slope": slope(WEEKLY, 3),
    "streak": streak(WEEKLY, 4),
    "spread": spread(count("touchpoints", days=14), 3),
    "deviation": deviation("invoices", "amount", days=84),
    "first_topic": first("touchpoints", "topic"),
    "first_plan": first("contracts", "plan", on="starts_on"),
    "days_used": distinct("usage_events", "happened_at", where="kind <> 'admin'", days=84),
    "days_used_before": distinct("usage_events", "happened_at", days=28, ago=28),
    "topics": distinct("touchpoints", "topic"),
    "severities": distinct("tickets", "severity", days=168),
    "dearest": largest("invoices", "amount"),
    "worst": smallest("tickets", "severity", where="kind = 'bug'", days=168),
    "answered": latest("tickets", "csat", on="closed_at", days=168),
    "closed_severe": count("tickets", where="severity <= 2", on="closed_at", days=84),
    "people": largest("usage_events", "users", days=56, ago=7),
    "either": first_of(largest("tickets", "csat", on="closed_at", days=56), 0),
    "busy": only_if(WEEKLY, present("usage_events", days=7)),
    "sums": total("usage_events", "users * 1.5", days=28),
    "started": count("contracts", on="starts_on", days=84),
    "overdue_then": count("invoices", on="due_on", days=28, ago=28),
}


def assert_engines_agree(frames, measures, delay):
    """Compare both engines on all dates, exactly."""
    tables = tables_from_frames(frames)
    rows = checked(spine(delay))
    here = compute_here(tables, rows, measures)
    asked = answer_question(tables, rows, measures)
    for name, measure in measures.items():
        kind = "str" if measure.kind == "text" else "float64"
        pd.testing.assert_series_equal(
            here[name].astype(kind), asked[name].astype(kind), check_exact=True, obj=f"{name} = {measure}"
        )


@random_companies(4)
@given(frames=companies(), delay=st.sampled_from(DELAYS))
def test_every_kind_of_measure_is_the_same_on_both(frames, delay):
    """Counts, sums, extremes, values, days and series over late rows, versions, and accounts below others."""
    assert_engines_agree(frames, PROBES | SERIES, delay)


@pytest.mark.slow
@random_companies(10)
@given(frames=companies(), delay=st.sampled_from((*DELAYS, timedelta(days=200))))
def test_every_kind_of_measure_is_the_same_on_both_in_many_companies(frames, delay):
    """The same over more companies, looked at much later too."""
    assert_engines_agree(frames, PROBES | SERIES, delay)


@pytest.mark.slow
@random_companies(4)
@given(frames=companies(), delay=st.sampled_from(DELAYS))
def test_the_catalogue_is_the_same_on_both(frames, delay):
    """Every feature we ship and its usual value; positions among peers rest on values compared here."""
    tables = tables_from_frames(frames)
    features = CATALOGUE.available(tables)
    measures = {f.name: f.value for f in features} | {
        f"{f.name}{USUAL}": f.usual for f in features if f.usual is not None
    }
    inner = {name: m.of if isinstance(m, Peers) else m for name, m in measures.items()}
    assert_engines_agree(frames, inner, delay)


@random_companies(3)
@given(frames=companies(), delay=st.sampled_from(DELAYS))
def test_tiles_in_parts_are_the_same(frames, delay):
    """What is too much at once is looked at account by account, with the same answer."""
    whole, one_machine.AT_ONCE = one_machine.AT_ONCE, 2
    try:
        assert_engines_agree(frames, PROBES | SERIES, delay)
    finally:
        one_machine.AT_ONCE = whole


def test_features_of_the_law_are_built_from_the_same_measures():
    """What is compared here is what the first law is shown for."""
    assert set(features_of(PROBES).names) == set(PROBES)
