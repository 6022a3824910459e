"""Raw tables in Postgres: a real server, the same tables and the same matrix as from files."""

from __future__ import annotations

import duckdb
import pandas as pd
import pytest
from companies import AS_OF, spine
from engine_tables import columns_of, copy_to_postgres, export, rich_companies, write_database
from hypothesis import given
from test_no_look_ahead import PROBES, features_of, random_companies

from demo_company import lifecycle_here
from lifecycle_ml.errors import TableError
from lifecycle_ml.matrix.build import build_matrix, customers
from lifecycle_ml.settings import Settings
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import read_tables, survey_tables, tables_from_frames
from lifecycle_ml.workspace import load_workspace

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("postgres")]


@pytest.fixture
def company(tmp_path):
    """Return a workspace with standard sources, and a function that reads it from an address."""
    (tmp_path / "features").mkdir()
    workspace = load_workspace(tmp_path)

    def read(url, reader=read_tables):
        return reader(workspace, Settings.read(tmp_path, {"LIFECYCLE_SOURCE_URL": str(url)}))

    return workspace, read


def own_source(workspace, name, text):
    """Write one of the workspace's own SELECTs."""
    folder = workspace.root / "features" / "sources"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.sql").write_text(text)


def run(url, *statements):
    """Run statements on a server."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def test_files_and_postgres_give_the_same_tables_and_matrix(postgres, tmp_path_factory):
    """Parquet, CSV, a DuckDB file and Postgres hold the same company: same fingerprint, same matrix."""

    @random_companies(3)
    @given(frames=rich_companies())
    def compare(frames):
        folder = tmp_path_factory.mktemp("company")
        workspace = load_workspace(_with_features(folder))
        url = postgres.create("company")
        write_database(frames, folder / "raw.db")
        copy_to_postgres(folder / "raw.db", url)
        export(folder / "raw.db", folder / "parquet", ".parquet")
        export(folder / "raw.db", folder / "csv", ".csv")
        expected = tables_from_frames(frames)
        features = features_of(PROBES).available(expected)
        matrix = build_matrix(expected, features, spine())
        for source in (folder / "parquet", folder / "csv", f"duckdb://{folder}/raw.db", url):
            tables = read_tables(workspace, Settings.read(folder, {"LIFECYCLE_SOURCE_URL": str(source)}))
            assert tables.fingerprint == expected.fingerprint, source
            assert [tables.provided(n) for n in tables.names] == [expected.provided(n) for n in tables.names]
            pd.testing.assert_frame_equal(build_matrix(tables, features, spine()), matrix)
            pd.testing.assert_frame_equal(customers(tables, AS_OF), customers(expected, AS_OF))

    compare()


def _with_features(folder):
    (folder / "features").mkdir()
    return folder


def test_the_command_writes_the_same_matrix_from_postgres(database, tmp_path):
    """`features build` with LIFECYCLE_SOURCE_URL=postgres://... and with the folder the tables came from."""
    simulate_company(3, 12).write(tmp_path / "data", tmp_path / "truth")
    frames = {path.stem: pd.read_parquet(path) for path in (tmp_path / "data").glob("*.parquet")}
    frames = {name: frame.reindex(columns=list(columns_of(name))) for name, frame in frames.items()}
    write_database(frames, tmp_path / "raw.db")
    copy_to_postgres(tmp_path / "raw.db", database)
    (tmp_path / "features").mkdir()
    written = []
    for source in (str(tmp_path / "data"), database):
        out = tmp_path / f"{len(written)}.parquet"
        words = (
            "features",
            "build",
            "--workspace",
            str(tmp_path),
            "--as-of",
            "2026-07-01",
            "--out",
            str(out),
        )
        done = lifecycle_here(*words, LIFECYCLE_SOURCE_URL=source)
        assert done.returncode == 0, done.stderr
        written.append(pd.read_parquet(out))
    assert len(written[0]) > 5
    pd.testing.assert_frame_equal(written[0], written[1])


def test_types_only_postgres_has_arrive_as_text_and_infinity_as_no_end(database, company):
    """Enum, uuid, json, text of fixed length, numeric without a scale, commas in arrays, infinity."""
    _, read = company
    run(
        database,
        """
        CREATE TYPE tier AS ENUM ('smb', 'enterprise');
        CREATE TABLE accounts (account_id uuid, name char(9), segment tier, industry json, employees numeric,
            created_at timestamp, icp_fit real, handoff_missing varchar(20)[]);
        INSERT INTO accounts VALUES
            ('00000000-0000-0000-0000-000000000007', 'A, "B"', 'smb', '{"a": 1}', 12.0,
             '2024-03-31 02:30', 0.5, '{"e, mail",phone,NULL}'),
            ('00000000-0000-0000-0000-000000000008', E'new\\nline', NULL, NULL, NULL,
             '2024-01-01', NULL, NULL);
        CREATE TABLE contracts (contract_id int, account_id uuid, starts_on date, ends_on date, arr float8,
            signed_at timestamptz, is_recurring boolean);
        INSERT INTO contracts VALUES
            (7, '00000000-0000-0000-0000-000000000007', '2024-03-31', 'infinity', 0.1, '2024-03-31 02:30+01',
             NULL),
            (8, '00000000-0000-0000-0000-000000000007', '2024-04-01', '2025-04-01', 1e3, '-infinity', false);
        """,
    )
    tables = read(database)
    accounts = tables["accounts"].execute().sort_values("account_id").to_dict("records")
    assert accounts[0]["account_id"] == "00000000-0000-0000-0000-000000000007"
    assert [row["name"] for row in accounts] == ['A, "B"', "new\nline"]
    assert (accounts[0]["segment"], accounts[0]["industry"]) == ("smb", '{"a": 1}')
    assert accounts[0]["handoff_missing"] == ["e, mail", "phone", None]
    assert (accounts[0]["employees"], float(accounts[0]["icp_fit"])) == (12, 0.5)
    assert accounts[0]["created_at"] == pd.Timestamp("2024-03-31 02:30")
    contracts = tables["contracts"].execute().sort_values("contract_id").to_dict("records")
    assert [row["contract_id"] for row in contracts] == ["7", "8"]
    assert [float(row["arr"]) for row in contracts] == [0.1, 1000]
    assert pd.isna(contracts[0]["ends_on"])
    assert [row["is_recurring"] for row in contracts] == [True, False]
    assert contracts[0]["known_at"] == pd.Timestamp("2024-03-31 01:30")
    assert contracts[1]["known_at"] == pd.Timestamp("2024-04-01")


def test_a_workspaces_own_selects_are_translated(database, company):
    """DuckDB's functions arrive as Postgres', with the same values."""
    workspace, read = company
    accounts = """
        -- one row per customer, the latest copy
        SELECT id::VARCHAR AS account_id, ifnull(nullif(upper(title), ''), 'unnamed') AS name,
            strptime(since, '%d.%m.%Y') AS created_at, ['email', owner] AS handoff_missing
        FROM crm.customers
        QUALIFY row_number() OVER (PARTITION BY id ORDER BY copied DESC) = 1;
    """
    contracts = """
        WITH paid AS (SELECT * FROM billing WHERE NOT is_test)
        SELECT id AS contract_id, customer::VARCHAR AS account_id, date_trunc('month', start) AS starts_on,
            start + INTERVAL 1 YEAR AS ends_on, 12 * monthly AS arr, seats // 2 AS seats,
            date_diff('day', start, noticed) AS notice_days, tier ILIKE 'pro%' AS auto_renew,
            if(tier = 'pro', 'big', 'small') AS plan
        FROM paid
    """
    own_source(workspace, "accounts", accounts)
    own_source(workspace, "contracts", contracts)
    raw = """
        CREATE TABLE {0}customers (id int, title text, since text, owner text, copied date);
        INSERT INTO {0}customers VALUES (7, 'a', '01.02.2024', 'o', '2024-03-01'),
            (7, 'b', '01.02.2024', 'p', '2024-03-02'), (8, '', '29.02.2024', 'q', '2024-03-02');
        CREATE TABLE billing (id text, customer int, start date, monthly decimal(10, 2), seats int,
            noticed date, tier text, is_test boolean);
        INSERT INTO billing VALUES ('c', 7, '2024-03-31', 99.95, 7, '2024-05-31', 'Pro', false),
            ('d', 7, '2024-03-31', 1, 7, NULL, 'pro', true);
    """
    run(database, "CREATE SCHEMA crm", raw.format("crm."))
    there = read(database)
    # A folder of files has no schemas.
    own_source(workspace, "accounts", accounts.replace("crm.", ""))
    with duckdb.connect(str(workspace.root / "raw.db")) as local:
        local.execute(raw.format(""))
    here = read(f"duckdb://{workspace.root}/raw.db")
    assert there.fingerprint == here.fingerprint
    row = there["contracts"].execute().iloc[0]
    assert (str(row["starts_on"])[:10], float(row["arr"]), row["seats"]) == ("2024-03-01", 1199.4, 3)


def test_a_replica_that_may_not_be_written_will_do(database, company):
    """Nothing is created on the server, and its habits of writing dates are not relied on."""
    workspace, read = company
    own_source(workspace, "accounts", "SELECT id AS account_id, since AS created_at FROM recent")
    role = "ALTER ROLE reader SET {}"
    run(
        database,
        "CREATE TABLE customers (id text, since timestamptz)",
        "INSERT INTO customers VALUES ('a', '2024-02-03 12:00+00')",
        "CREATE MATERIALIZED VIEW recent AS SELECT * FROM customers",
        role.format("default_transaction_read_only = on"),
        role.format("DateStyle = 'SQL, DMY'"),
    )
    try:
        created = read(database)["accounts"].created_at.execute()[0]
    finally:
        run(database, "SET default_transaction_read_only = off", "ALTER ROLE reader RESET ALL")
    assert created == pd.Timestamp("2024-02-03 12:00")


def test_a_table_that_is_not_there_is_absent_and_a_refused_select_names_its_line(database, company):
    """As with files: what rests on an absent table is left out, what cannot be run is an error."""
    workspace, read = company
    run(database, "CREATE TABLE accounts (account_id text, created_at date)")
    absent = {finding.table for finding in read(database).findings if finding.rule == "table_absent"}
    assert "contracts" in absent
    own_source(workspace, "accounts", "SELECT account_id, created_at FROM accounts")
    own_source(workspace, "tickets", "SELECT 1 AS ticket_id FROM support.tickets")
    own_source(workspace, "contracts", "\nSELECT account_id, arg_max(created_at, 1) FROM accounts")
    findings = {finding.table: finding for finding in read(database, survey_tables).findings}
    assert "no table 'support.tickets'" in findings["tickets"].advice
    assert findings["contracts"].rule == "source_fails"
    assert "contracts.sql line 2: function arg_max" in findings["contracts"].advice


def test_numbers_that_are_none_are_counted(database, company):
    """Postgres' numeric may be NaN: said with a count, not turned into nothing."""
    _, read = company
    run(
        database,
        "CREATE TABLE accounts (account_id text, created_at date, icp_fit numeric(9, 2))",
        "INSERT INTO accounts VALUES ('a', '2024-01-01', 'NaN'), ('b', '2024-01-01', 0.5)",
    )
    with pytest.raises(TableError, match=r"1 value of `accounts\.icp_fit` .* e\.g\. 'NaN'"):
        read(database)


def test_what_keeps_the_server_from_answering_is_said_without_the_password(postgres, company):
    """No such database, a wrong password, nobody listening."""
    _, read = company
    for url, said in (
        (postgres.url("elsewhere"), "does not exist"),
        (postgres.url("postgres").replace(postgres.password, "guessed"), "password authentication failed"),
        (f"postgres://reader:{postgres.password}@127.0.0.1:1/postgres", "refused"),
    ):
        with pytest.raises(TableError, match=f"LIFECYCLE_SOURCE_URL: .*{said}") as raised:
            read(url)
        assert postgres.password not in str(raised.value)
        assert "guessed" not in str(raised.value)
