"""Canonical tables that lie on an engine: checked, dated and asked there. The engine here is Postgres."""

from __future__ import annotations

from contextlib import contextmanager

import ibis
import pandas as pd
import pytest
from companies import AS_OF, spine
from engine_measures import KINDS, assert_same
from engine_tables import columns_of, copy_to_postgres, rich_companies, rows_of, write_database
from hypothesis import given
from test_no_look_ahead import DELAYS, random_companies

from lifecycle_ml.errors import TableError
from lifecycle_ml.matrix.build import active_accounts, build_matrix, customers
from lifecycle_ml.tables.engine import tables_on
from lifecycle_ml.tables.fetch import fetch
from lifecycle_ml.tables.source import tables_from_frames

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("postgres")]


@contextmanager
def connected(url):
    """Connect Ibis for as long as the block lasts."""
    backend = ibis.connect(url)
    try:
        yield backend
    finally:
        backend.disconnect()


@pytest.fixture
def engine(database):
    """Return an Ibis backend on a fresh database, and run statements there."""
    with connected(database) as backend:

        def run(statements):
            with backend.con.cursor() as cursor:
                cursor.execute(statements)
            return backend

        yield run


ACCOUNTS = """
    CREATE TABLE accounts (account_id text, created_at timestamptz);
    INSERT INTO accounts VALUES ('a', '2024-01-01'), ('b', '2024-02-01');
"""


def test_the_matrix_is_computed_there(postgres, tmp_path_factory):
    """The same tables, customers, accounts in use and measures as on one machine."""

    @random_companies(1)
    @given(frames=rich_companies())
    def compare(frames):
        path, url = tmp_path_factory.mktemp("company") / "raw.db", postgres.create("company")
        write_database(frames, path)
        copy_to_postgres(path, url)
        expected = tables_from_frames(frames)
        features = KINDS.available(expected)
        with connected(url) as backend:
            tables = tables_on(backend)
            for name in expected.names:
                assert tables.provided(name) == expected.provided(name)
                if name != "usage_events":  # repeated deliveries are not looked for there
                    assert rows_of(tables, name) == rows_of(expected, name)
            assert_same(
                build_matrix(tables, features, spine(DELAYS[1])),
                build_matrix(expected, features, spine(DELAYS[1])),
                features,
            )
            pd.testing.assert_frame_equal(customers(tables, AS_OF), customers(expected, AS_OF))
            in_use = active_accounts(tables, AS_OF, 28)
            pd.testing.assert_frame_equal(in_use, active_accounts(expected, AS_OF, 28))

    compare()


def test_rows_are_left_out_by_the_same_rules_as_from_files(database, tmp_path):
    """What is left out is counted under the same rules, and the rest is the same."""
    frames = {
        "accounts": pd.DataFrame(
            {
                "account_id": ["a", "b", None, "c", "c"],
                "created_at": ["2024-01-01", "2024-01-01", "2024-01-01", "2024-01-02", "2024-01-02"],
            }
        ),
        "contracts": pd.DataFrame(
            {
                "contract_id": ["1", "2", "3", "4", "5", "5", "6", "6"],
                "account_id": ["a", "nobody", "a", "a", "b", "b", "a", "a"],
                "starts_on": ["2024-01-01"] * 6 + ["2024-02-01", "2024-03-01"],
                "ends_on": [None, None, None, "2023-01-01", None, None, None, None],
                "arr": [1, 2, -3, 4, 5, 5, 6, 7],
            }
        ),
        "milestones": pd.DataFrame(
            {"account_id": ["a", "nobody"], "milestone": ["m", "m"], "due_on": ["2024-05-01"] * 2}
        ),
    }
    frames = {name: frame.reindex(columns=list(columns_of(name))) for name, frame in frames.items()}
    write_database(frames, tmp_path / "raw.db")
    copy_to_postgres(tmp_path / "raw.db", database)
    expected = tables_from_frames(frames)
    with connected(database) as backend:
        tables = tables_on(backend)
        for name in expected.names:
            seen = [row for row in rows_of(tables, name) if not replaced_at_once(row)]
            assert seen == rows_of(expected, name)
    counted = {(f.rule, f.table, f.column): f.rows for f in tables.findings if f.severity == "warning"}
    assert counted == {
        (f.rule, f.table, f.column): f.rows for f in expected.findings if f.severity == "warning"
    }


def replaced_at_once(row):
    """Whether a row repeats another and is never seen."""
    known, superseded = (
        row.partition(f"'{name}': ")[2].partition(")")[0] for name in ("known_at", "superseded_at")
    )
    return known == superseded


def test_a_row_is_known_from_its_own_date_and_what_is_missing_has_its_meaning(engine):
    """Clocks, defaults and types as for files; capitals and further columns do no harm."""
    backend = engine(
        ACCOUNTS
        + """
        CREATE TABLE contracts ("CONTRACT_ID" int, account_id text, starts_on timestamp, arr float8,
            signed_at date, colour text);
        INSERT INTO contracts VALUES (1, 'a', '2024-03-01', 1200.5, NULL), (2, 'a', '2024-03-01', 'NaN',
            '2024-02-10'), (3, 'b', '2024-03-01', 7, '2024-02-10');
        CREATE TABLE milestones (account_id text, milestone text);
        INSERT INTO milestones VALUES ('b', 'kick-off');
        CREATE TABLE usage_events (account_id text, happened_at timestamptz, users numeric(9, 0), team text);
        INSERT INTO usage_events VALUES ('a', '2024-03-01 12:00+02', 3, NULL);
        """
    )
    tables = tables_on(backend)
    contracts = fetch(backend, tables["contracts"].order_by("contract_id"))
    assert contracts["contract_id"].tolist() == ["1", "3"]
    assert contracts["known_at"].tolist() == [pd.Timestamp("2024-03-01"), pd.Timestamp("2024-02-11")]
    assert contracts["is_recurring"].tolist() == [True, True]
    assert fetch(backend, tables["milestones"])["known_at"].tolist() == [pd.Timestamp("2024-02-01")]
    event = fetch(backend, tables["usage_events"]).iloc[0]
    assert (event["kind"], int(event["quantity"]), int(event["users"])) == ("use", 1, 3)
    assert event["happened_at"] == pd.Timestamp("2024-03-01 10:00")
    assert tables.provided("usage_events") == {"account_id", "happened_at", "users"}
    said = {(finding.rule, finding.column) for finding in tables.findings}
    assert {("column_unused", "colour"), ("column_empty", "team"), ("required_empty", "arr")} <= said
    assert "team" in tables_on(backend, checked=False).provided("usage_events")


def test_a_later_version_replaces_an_earlier_one(engine):
    """The latest known wins, and until then the one before."""
    backend = engine(
        ACCOUNTS
        + """
        CREATE TABLE tickets (ticket_id text, account_id text, opened_at timestamptz, severity int,
            known_at timestamptz);
        INSERT INTO tickets VALUES ('t', 'a', '2024-01-02', 3, '2024-01-03'), ('t', 'a', '2024-01-02', 1,
            '2024-01-05'), ('u', 'a', '2024-01-02', 2, '2024-01-03');
        """
    )
    for checked in (True, False):
        tables = tables_on(backend, checked=checked)
        held = fetch(backend, tables["tickets"].order_by("ticket_id", "known_at"))["superseded_at"].tolist()
        assert held == [pd.Timestamp("2024-01-05"), pd.NaT, pd.NaT]
        assert tables.versioned("tickets")
    assert not tables_on(backend).versioned("accounts")


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (
            "CREATE TABLE accounts (account_id text, created_at text, employees text)",
            r"'employees' is string, .* BIGINT; cast it there\.\n.*'created_at' is string",
        ),
        (
            "CREATE TABLE accounts (account_id text, creatd_at date)",
            r"lacks the required column 'created_at' of `accounts`\. Did you mean 'creatd_at'",
        ),
        ("CREATE TABLE contracts (contract_id text)", "`accounts` is required"),
        (
            ACCOUNTS
            + "CREATE TABLE tickets (ticket_id text, account_id text, opened_at date, severity int);"
            + "INSERT INTO tickets VALUES ('t', 'a', '2024-01-02', 3), ('t', 'a', '2024-01-02', 1)",
            "2 rows of `tickets` share ticket_id and known_at but differ, e.g. 't'",
        ),
        (
            """
            CREATE TABLE accounts (account_id text, created_at date);
            CREATE TABLE contracts (contract_id int, account_id text, starts_on date, arr int, currency text);
            INSERT INTO accounts VALUES ('a', '2024-01-01');
            INSERT INTO contracts VALUES (1, 'a', '2024-01-02', 3, 'EUR'), (2, 'a', '2024-01-02', 1, 'USD');
            """,
            "contracts are in EUR, USD without rates",
        ),
    ],
)
def test_what_cannot_be_used_is_an_error_that_says_what_to_do(engine, statements, said):
    """A missing table or column, a wrong type, rows that contradict each other, currencies without rates."""
    backend = engine(statements)
    with pytest.raises(TableError, match=said):
        tables_on(backend)


def test_a_name_that_is_not_there_is_said(engine):
    """No such table, and no such canonical name."""
    backend = engine(ACCOUNTS)
    with pytest.raises(TableError, match="There is no table 'tickets' on postgres"):
        tables_on(backend, "accounts", "tickets")
    with pytest.raises(TableError, match=r"'account' is no canonical table\. Did you mean 'accounts'"):
        tables_on(backend, "account")


def test_tables_elsewhere_have_no_fingerprint(engine):
    """It is over every value, and so taken where the values are."""
    tables = tables_on(engine(ACCOUNTS), checked=False)
    with pytest.raises(TableError, match="tables on postgres have no fingerprint"):
        _ = tables.fingerprint
