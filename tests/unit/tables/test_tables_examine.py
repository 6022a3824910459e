"""What is odd about tables at one as_of, rule by rule."""

from datetime import date, timedelta

import pandas as pd
import pytest

from lifecycle_ml.tables.examine import examine
from lifecycle_ml.tables.findings import SEVERITIES
from lifecycle_ml.tables.rules import RULES
from lifecycle_ml.tables.source import tables_from_frames

AS_OF = date(2024, 6, 30)
ACCOUNTS = pd.DataFrame({"account_id": ["a", "b"], "created_at": ["2024-01-01T00:00:00"] * 2})
CONTRACTS = pd.DataFrame(
    {
        "contract_id": ["c1", "c2"],
        "account_id": ["a", "b"],
        "starts_on": ["2024-01-02"] * 2,
        "arr": [100, 200],
    }
)


def found(rule, as_of=AS_OF, **frames):
    tables = tables_from_frames({"accounts": ACCOUNTS, "contracts": CONTRACTS} | frames)
    return [finding for finding in examine(tables, as_of) if finding.rule == rule]


def tickets(**columns):
    given = {"ticket_id": ["t1", "t2"], "account_id": ["a", "b"], "opened_at": ["2024-03-01T10:00"] * 2}
    return pd.DataFrame(given | columns)


def events(days, *, each=1, **columns):
    happened = [f"{day}T12:00:00" for day in days for _ in range(each)]
    return pd.DataFrame({"account_id": "a", "happened_at": happened} | columns)


def daily(first, last):
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def test_sound_tables_have_nothing_but_absent_ones():
    """No false alarm on a small healthy company."""
    tables = tables_from_frames(
        {
            "accounts": ACCOUNTS,
            "contracts": CONTRACTS,
            "tickets": tickets(severity=[1, 4], closed_at=["2024-03-02T10:00", None]),
            "usage_events": events(daily(date(2024, 1, 2), date(2024, 6, 29))),
        }
    )
    assert {finding.rule for finding in examine(tables, AS_OF)} == {"table_absent"}


@pytest.mark.parametrize(
    ("rule", "column", "frames"),
    [
        (
            "before_account",
            "opened_at",
            {"tickets": tickets(opened_at=["2023-12-31T23:00", "2024-01-01T01:00"])},
        ),
        (
            "before_account",
            "starts_on",
            {"contracts": CONTRACTS.assign(starts_on=["2023-12-31", "2024-01-01"])},
        ),
        ("dates_out_of_order", "closed_at", {"tickets": tickets(closed_at=["2024-02-28", "2024-03-01"])}),
        ("out_of_range", "severity", {"tickets": tickets(severity=[0, 1])}),
        ("out_of_range", "icp_fit", {"accounts": ACCOUNTS.assign(icp_fit=[70, 0.7])}),
        ("out_of_range", "seats", {"contracts": CONTRACTS.assign(seats=[-1, 5])}),
        ("unknown_value", "kind", {"tickets": tickets(kind=["glitch", "BUG"])}),
        ("implausible_date", "closed_at", {"tickets": tickets(closed_at=["1970-01-01", None])}),
        ("unknown_parent", "parent_account_id", {"accounts": ACCOUNTS.assign(parent_account_id=["x", "a"])}),
        (
            "unknown_contract",
            "renews_contract_id",
            {"contracts": CONTRACTS.assign(renews_contract_id=["c0", "c1"])},
        ),
        (
            "after_as_of",
            "opened_at",
            {"tickets": tickets(opened_at=["2024-06-30T00:00", "2024-06-29T23:59"])},
        ),
        (
            "after_as_of",
            "closed_at",
            {"tickets": tickets(closed_at=["2024-07-01T00:00", "2024-06-29T23:59"])},
        ),
        (
            "overlapping_contracts",
            "starts_on",
            {"contracts": CONTRACTS.assign(account_id="a", starts_on=["2024-01-02", "2024-02-02"])},
        ),
        ("no_contract", "account_id", {"contracts": CONTRACTS.head(1)}),
        ("before_contract", "happened_at", {"usage_events": events(["2024-01-01", "2024-01-02"])}),
    ],
)
def test_a_rule_counts_the_one_row_that_breaks_it(rule, column, frames):
    """One row of two breaks the rule, the other lies just inside."""
    (finding,) = (f for f in found(rule, **frames) if f.column == column)
    assert finding.rows == 1
    assert len(finding.examples) == 1
    assert finding.severity == RULES[rule].severity


def test_contracts_that_follow_each_other_do_not_overlap():
    """One ends on the day the next starts, or is cancelled on it."""
    contracts = CONTRACTS.assign(
        account_id="a", starts_on=["2024-01-02", "2024-02-02"], ends_on=["2024-12-31", None]
    )
    assert found("overlapping_contracts", contracts=contracts.assign(cancelled_on=["2024-02-02", None])) == []


def test_rows_after_as_of_depend_on_as_of_alone():
    """Looking back makes rows unseen; looking from later shows none of them."""
    frames = {"usage_events": events(daily(date(2024, 1, 2), date(2024, 6, 29)))}
    (finding,) = found("after_as_of", as_of=date(2024, 6, 1), **frames)
    assert finding.rows == 29
    assert found("after_as_of", **frames) == []


@pytest.mark.parametrize(("last", "late"), [(29, False), (28, False), (27, False), (26, True), (1, True)])
def test_a_daily_feed_is_late_after_three_silent_days(last, late):
    """Its own rhythm is a day; one quiet weekend is none of our business."""
    days = daily(date(2024, 2, 1), date(2024, 6, last))
    assert bool(found("feed_late", usage_events=events(days))) is late


@pytest.mark.parametrize(("as_of", "late"), [(date(2024, 7, 1), False), (date(2024, 7, 6), True)])
def test_a_feed_that_rests_on_weekends_is_late_only_after_more(as_of, late):
    """Friday to Monday is its usual gap."""
    days = [day for day in daily(date(2024, 2, 1), date(2024, 6, 28)) if day.weekday() < 5]
    assert bool(found("feed_late", as_of=as_of, usage_events=events(days))) is late


def test_a_feed_too_young_for_a_rhythm_is_not_called_late():
    """Seven days say nothing about the eighth."""
    assert found("feed_late", usage_events=events(daily(date(2024, 2, 1), date(2024, 2, 7)))) == []


def test_lateness_is_measured_from_as_of_not_from_the_newest_row():
    """The same rows are on time at one as_of and late at a later one."""
    frames = {"usage_events": events(daily(date(2024, 1, 2), date(2024, 5, 31)))}
    assert found("feed_late", as_of=date(2024, 6, 1), **frames) == []
    (finding,) = found("feed_late", as_of=date(2024, 6, 30), **frames)
    assert finding.examples == ("2024-05-31",)
    assert "29 days before 2024-06-30" in finding.advice


@pytest.mark.parametrize(("each", "thin"), [(5, True), (20, False)])
def test_a_week_far_below_the_usual_is_said(each, thin):
    """A quarter of the usual rows is the line."""
    frame = pd.concat(
        [
            events(daily(date(2024, 4, 1), date(2024, 6, 22)), each=40),
            events(daily(date(2024, 6, 23), date(2024, 6, 29)), each=each),
        ]
    )
    assert bool(found("feed_thin", usage_events=frame)) is thin


def test_a_column_that_stopped_being_filled_is_said():
    """Filled until May, empty in all of the last 28 days."""
    days = daily(date(2024, 1, 2), date(2024, 6, 29))
    users = ["u" if day < date(2024, 6, 1) else None for day in days for _ in range(3)]
    (finding,) = found("column_empties", usage_events=events(days, each=3, user_id=users))
    assert (finding.column, finding.rows) == ("user_id", 84)


def test_a_column_still_filled_is_not():
    """One value in the last 28 days is enough."""
    days = daily(date(2024, 1, 2), date(2024, 6, 29))
    users = ["u" if day < date(2024, 6, 5) else None for day in days for _ in range(3)]
    assert found("column_empties", usage_events=events(days, each=3, user_id=users)) == []


def test_a_table_without_known_rows_is_said():
    """Empty, or all of it still to come."""
    (finding,) = found("table_empty", tickets=tickets(opened_at=["2024-08-01T00:00"] * 2))
    assert finding.table == "tickets"


def test_columns_overwritten_in_place_are_flagged_unless_versions_are_kept():
    """A segment of today says nothing about last year; with its versions it does."""
    (finding,) = found("as_of_today", accounts=ACCOUNTS.assign(segment=["smb", "smb"]))
    assert (finding.column, finding.severity) == ("segment", "advice")
    versions = pd.concat(
        [
            ACCOUNTS.assign(segment="smb", known_at="2024-01-01"),
            ACCOUNTS.assign(segment="ent", known_at="2024-02-01"),
        ]
    )
    assert found("as_of_today", accounts=versions) == []


def test_findings_come_errors_first_and_only_by_rules_of_the_catalogue():
    """A reader mends from the top; every rule has its line in the reference."""
    frames = {"tickets": tickets(account_id=["a", "zz"], severity=[9, 9]), "contracts": CONTRACTS.head(1)}
    tables = tables_from_frames({"accounts": ACCOUNTS} | frames)
    findings = examine(tables, AS_OF)
    ranks = [SEVERITIES.index(finding.severity) for finding in findings]
    assert ranks == sorted(ranks)
    assert {finding.rule for finding in findings} <= set(RULES)
