"""What was known when: rows and columns become visible on their own dates."""

from datetime import date, datetime

import ibis
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle_ml.tables.clock import as_known, cut
from lifecycle_ml.tables.schema import SCHEMAS
from lifecycle_ml.tables.source import tables_from_frames

ACCOUNTS = pd.DataFrame({"account_id": ["a"], "created_at": ["2024-01-01T00:00:00"]})
TICKETS = pd.DataFrame(
    {
        "ticket_id": ["t"],
        "account_id": ["a"],
        "opened_at": ["2024-01-10T09:00:00"],
        "closed_at": ["2024-01-12T15:00:00"],
        "csat": [4],
        "escalated_at": ["2024-01-11T09:00:00"],
    }
)


def tables(**frames):
    return tables_from_frames({"accounts": ACCOUNTS} | frames)


def only(known, name):
    rows = known[name].execute()
    assert len(rows) == 1
    return rows.iloc[0]


def test_a_row_is_seen_from_the_first_as_of_after_it_happened():
    """A ticket of the 10th is not there on the 10th at 00:00, and is on the 11th."""
    company = tables(tickets=TICKETS)
    assert cut(company, date(2024, 1, 10))["tickets"].count().execute() == 0
    assert cut(company, date(2024, 1, 11))["tickets"].count().execute() == 1


def test_a_dated_column_reads_empty_until_its_date_lies_before_as_of():
    """Closed on the 12th at 15:00: unknown on the 12th, known on the 13th."""
    company = tables(tickets=TICKETS)
    assert only(cut(company, date(2024, 1, 12)), "tickets")["closed_at"] is pd.NaT
    assert only(cut(company, date(2024, 1, 13)), "tickets")["closed_at"] == pd.Timestamp("2024-01-12 15:00")


def test_what_hangs_on_a_dated_column_is_known_with_it():
    """The satisfaction with an open ticket cannot be known."""
    company = tables(tickets=TICKETS)
    row = only(cut(company, date(2024, 1, 12)), "tickets")
    assert pd.isna(row["csat"])
    assert row["escalated_at"] == pd.Timestamp("2024-01-11 09:00")
    assert only(cut(company, date(2024, 1, 13)), "tickets")["csat"] == 4


def contract(**columns):
    given = {"contract_id": ["c"], "account_id": ["a"], "starts_on": [date(2024, 1, 1)], "arr": [1]}
    return pd.DataFrame(given | columns)


def test_an_effective_date_is_known_on_its_own_day():
    """A cancellation takes effect at 00:00 of its day; notice given that day is known the day after."""
    day = date(2024, 3, 1)
    company = tables(contracts=contract(cancelled_on=[day], notice_given_on=[day]))
    eve, on, after = (only(cut(company, date(2024, m, d)), "contracts") for m, d in ((2, 29), (3, 1), (3, 2)))
    assert eve["cancelled_on"] is pd.NaT
    assert on["cancelled_on"] == pd.Timestamp(day)
    assert on["notice_given_on"] is pd.NaT
    assert after["notice_given_on"] == pd.Timestamp(day)


def test_a_plan_is_known_with_its_row_before_it_happens():
    """A signed contract and its end are known before it starts."""
    company = tables(contracts=contract(signed_at=["2023-12-01T00:00:00"], ends_on=[date(2025, 1, 1)]))
    assert only(cut(company, date(2023, 12, 5)), "contracts")["ends_on"] == pd.Timestamp("2025-01-01")
    assert cut(company, date(2023, 11, 30))["contracts"].count().execute() == 0


def test_an_unsigned_contract_is_known_at_its_start():
    """It is in force on its first day, as known on that day."""
    company = tables(contracts=contract())
    assert cut(company, date(2024, 1, 1))["contracts"].count().execute() == 1
    assert cut(company, date(2023, 12, 31))["contracts"].count().execute() == 0


VERSIONS = pd.DataFrame(
    {
        "ticket_id": ["t", "t"],
        "account_id": ["a", "a"],
        "opened_at": ["2024-01-02T00:00:00"] * 2,
        "severity": [4, 1],
        "known_at": ["2024-01-03", "2024-01-20"],
    }
)


@pytest.mark.parametrize(("day", "severity"), [(3, 4), (19, 4), (20, 1), (31, 1)])
def test_the_latest_version_known_wins(day, severity):
    """Before the correction became known the old value holds, from then on the new one."""
    company = tables(tickets=VERSIONS)
    assert only(cut(company, date(2024, 1, day)), "tickets")["severity"] == severity


def test_looking_later_shows_late_rows_but_no_later_facts():
    """known_at moves what had arrived, as_of what had happened."""
    events = pd.DataFrame(
        {
            "account_id": ["a"] * 3,
            "happened_at": ["2024-01-05T10:00:00", "2024-01-06T10:00:00", "2024-01-11T10:00:00"],
            "known_at": ["2024-01-05T10:00:00", "2024-01-14T00:00:00", "2024-01-11T10:00:00"],
        }
    )
    company = tables(usage_events=events)
    counts = [
        cut(company, date(2024, 1, 10), known_at=known)["usage_events"].count().execute()
        for known in (None, datetime(2024, 1, 15))
    ]
    assert counts == [1, 2]


def test_looking_before_as_of_is_refused():
    """Nothing can be known of a day that has not come."""
    with pytest.raises(ValueError, match="lies before as_of"):
        cut(tables(), date(2024, 1, 10), known_at=datetime(2024, 1, 9))


def test_cut_keeps_what_decides_which_features_exist():
    """The same columns are provided after the cut, though all of their values are gone."""
    company = tables(tickets=VERSIONS)
    known = cut(company, date(2023, 1, 1))
    assert known.names == company.names
    assert known.provided("tickets") == company.provided("tickets")
    assert not known.versioned("tickets")
    assert known["tickets"].columns == company["tickets"].columns
    assert known["tickets"].schema() == company["tickets"].schema()


def test_cut_leaves_the_tables_it_was_given_alone():
    """A new value comes back; the old one can be cut again at another date."""
    company = tables(tickets=TICKETS)
    before = company.fingerprint
    cut(company, date(2024, 1, 1))
    assert company["tickets"].count().execute() == 1
    assert company.fingerprint == before


def test_cutting_twice_at_one_date_changes_nothing():
    """What was known then is all there is then."""
    company = tables(tickets=VERSIONS, contracts=contract())
    once = cut(company, date(2024, 1, 12))
    assert cut(once, date(2024, 1, 12)).fingerprint == once.fingerprint


def test_every_row_of_a_spine_is_seen_at_its_own_date():
    """One pass over several as_of dates sees at each what cut sees there."""
    company = tables(tickets=pd.concat([TICKETS, VERSIONS.assign(ticket_id="v")]))
    days = [date(2024, 1, d) for d in (2, 4, 11, 13, 25)]
    spine = ibis.memtable({"as_of": pd.to_datetime(days), "known_until": pd.to_datetime(days)})
    schema = SCHEMAS["tickets"]
    at_once = as_known(company["tickets"].cross_join(spine), schema).execute()
    for day in days:
        expected = cut(company, day)["tickets"].execute()[["ticket_id", "severity", "csat", "closed_at"]]
        seen = at_once.loc[at_once["as_of"] == pd.Timestamp(day), expected.columns]
        pd.testing.assert_frame_equal(
            seen.sort_values("ticket_id").reset_index(drop=True),
            expected.sort_values("ticket_id").reset_index(drop=True),
            check_dtype=False,
        )


days = st.dates(date(2024, 1, 1), date(2024, 1, 20))


@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(st.tuples(days, st.none() | days, days), min_size=1, max_size=8),
    as_of=days,
)
def test_cut_agrees_with_a_reading_of_the_rule_row_by_row(rows, as_of):
    """For random tickets: seen when opened before and known at as_of; closed only when closed before."""
    frame = pd.DataFrame(
        {
            "ticket_id": [str(n) for n in range(len(rows))],
            "account_id": "a",
            "opened_at": pd.to_datetime([opened for opened, _, _ in rows]),
            "closed_at": pd.to_datetime([closed for _, closed, _ in rows]),
            "known_at": pd.to_datetime([known for _, _, known in rows]),
        }
    )
    seen = (
        cut(tables(tickets=frame), as_of)["tickets"].execute().set_index("ticket_id")["closed_at"].to_dict()
    )
    expected = {
        str(n): pd.Timestamp(closed) if closed is not None and closed < as_of else pd.NaT
        for n, (opened, closed, known) in enumerate(rows)
        if opened < as_of and known <= as_of
    }
    assert {key: str(value) for key, value in seen.items()} == {k: str(v) for k, v in expected.items()}
