"""Raw tables become canonical ones: cast, complete, deduplicated, with the clock of every row."""

import gzip
from datetime import date

import duckdb
import ibis
import pandas as pd
import pytest

from lifecycle_ml.errors import TableError
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.engine import tables_on
from lifecycle_ml.tables.schema import SCHEMAS
from lifecycle_ml.tables.source import read_tables, survey_tables, tables_from_frames
from lifecycle_ml.workspace import Workspace, load_workspace, standard_root

ACCOUNTS = pd.DataFrame(
    {"account_id": ["a", "b"], "created_at": ["2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"]}
)


def contracts(**columns):
    given = {
        "contract_id": ["c1", "c2"],
        "account_id": ["a", "b"],
        "starts_on": [date(2024, 1, 1), date(2024, 2, 1)],
        "arr": [1200, 2400.5],
    }
    return pd.DataFrame(given | columns)


def rules(tables, *, severity=None):
    return {f.rule: f for f in tables.findings if severity in {None, f.severity}}


@pytest.fixture
def company(tmp_path):
    """Return a workspace with standard sources, and the settings of its data folder."""
    (tmp_path / "features").mkdir()
    (tmp_path / "data").mkdir()
    ACCOUNTS.to_parquet(tmp_path / "data" / "accounts.parquet")
    contracts().to_parquet(tmp_path / "data" / "contracts.parquet")
    workspace = load_workspace(tmp_path)
    return workspace, Settings.read(tmp_path, {})


def own_source(workspace, name, text):
    folder = workspace.root / "features" / "sources"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.sql").write_text(text)


def test_every_canonical_column_is_there_with_its_type():
    """Columns the source lacks are NULL, and each has the canonical type."""
    tables = tables_from_frames({"accounts": ACCOUNTS, "contracts": contracts()})
    for name in tables.names:
        assert tables[name].columns == (*SCHEMAS[name].by_name, "known_at", "superseded_at")
    types = tables["contracts"].schema()
    assert str(types["arr"]) == "decimal(18, 4)"
    assert str(types["starts_on"]) == "date"
    assert tables["contracts"].seats.count().execute() == 0


def test_parquet_csv_and_gzip_give_the_same_tables(company, tmp_path):
    """The file format leaves no trace: same content, same fingerprint."""
    workspace, settings = company
    parquet = read_tables(workspace, settings).fingerprint
    data = tmp_path / "data"
    for name, frame in (("accounts", ACCOUNTS), ("contracts", contracts())):
        (data / f"{name}.parquet").unlink()
        text = frame.iloc[::-1].to_csv(index=False)
        if name == "accounts":
            (data / f"{name}.csv").write_text(text)
        else:
            (data / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert read_tables(workspace, settings).fingerprint == parquet


def test_a_changed_value_changes_the_fingerprint():
    """The fingerprint is over content: one other number, another fingerprint."""
    one = tables_from_frames({"accounts": ACCOUNTS, "contracts": contracts()})
    other = tables_from_frames({"accounts": ACCOUNTS, "contracts": contracts(arr=[1200, 2400.6])})
    assert one.fingerprint != other.fingerprint


def test_ids_in_csv_files_keep_their_leading_zeros(company, tmp_path):
    """'007' is an id and not the number 7."""
    workspace, settings = company
    data = tmp_path / "data"
    (data / "accounts.parquet").unlink()
    (data / "contracts.parquet").unlink()
    (data / "accounts.csv").write_text("account_id,created_at\n007,2024-01-01\n")
    (data / "contracts.csv").write_text("contract_id,account_id,starts_on,arr\n01,007,2024-01-01,12\n")
    tables = read_tables(workspace, settings)
    assert tables["contracts"].execute()[["contract_id", "account_id"]].to_numpy().tolist() == [["01", "007"]]


def test_an_ibis_url_reads_as_a_folder_does(company, tmp_path):
    """Sources written for DuckDB run on whatever engine the URL names."""
    workspace, settings = company
    expected = read_tables(workspace, settings).fingerprint
    with duckdb.connect(str(tmp_path / "raw.db")) as database:
        for name in ("accounts", "contracts"):
            database.execute(f"CREATE TABLE {name} AS FROM '{tmp_path}/data/{name}.parquet'")
    url = Settings.read(tmp_path, {"LIFECYCLE_SOURCE_URL": f"duckdb://{tmp_path}/raw.db"})
    assert read_tables(workspace, url).fingerprint == expected


def test_sources_are_transpiled_to_sqlite(company, tmp_path):
    """A DuckDB expression SQLite writes differently arrives with the same value."""
    import sqlite3

    workspace, _ = company
    with sqlite3.connect(tmp_path / "raw.sqlite") as database:
        database.execute("CREATE TABLE crm (id TEXT, since TEXT)")
        database.execute("INSERT INTO crm VALUES ('a', '2024-01-01')")
        database.execute("CREATE TABLE deals (id INT, crm TEXT, mrr REAL)")
        database.execute("INSERT INTO deals VALUES (1, 'a', 100)")
    database.close()
    own_source(workspace, "accounts", "SELECT id AS account_id, since AS created_at FROM crm;")
    own_source(
        workspace,
        "contracts",
        "SELECT id::VARCHAR AS contract_id, crm AS account_id, '2024-01-01' AS starts_on, mrr * 12 AS arr "
        "FROM deals",
    )
    settings = Settings.read(tmp_path, {"LIFECYCLE_SOURCE_URL": f"sqlite://{tmp_path}/raw.sqlite"})
    assert read_tables(workspace, settings)["contracts"].arr.sum().execute() == 1200


def test_a_driver_that_is_not_installed_is_named_with_what_installs_it(company, tmp_path, monkeypatch):
    """An address is right, and yet nothing can be read."""
    workspace, _ = company

    def connect(url):
        raise ModuleNotFoundError("No module named 'psycopg'")

    monkeypatch.setattr(ibis, "connect", connect)
    settings = Settings.read(tmp_path, {"LIFECYCLE_SOURCE_URL": "postgres://reader:secret@db/company"})
    with pytest.raises(
        TableError, match=r"No module named 'psycopg'\. pip install 'lifecycle_ml\[postgres\]'"
    ):
        read_tables(workspace, settings)


def test_tables_in_duckdb_are_read_and_not_asked_where_they_lie():
    """There is one way to them, and it checks every row."""
    with pytest.raises(TableError, match="LIFECYCLE_SOURCE_URL=duckdb:///"):
        tables_on(ibis.duckdb.connect())


def test_instants_with_a_zone_become_utc():
    """Text and typed instants alike: 01:00+02:00 is 23:00 of the day before."""
    for instant in ("2024-01-01T01:00:00+02:00", pd.Timestamp("2024-01-01 01:00", tz="Etc/GMT-2")):
        tables = tables_from_frames(
            {"accounts": pd.DataFrame({"account_id": ["a"], "created_at": [instant]})}
        )
        assert tables["accounts"].created_at.execute()[0] == pd.Timestamp("2023-12-31 23:00")


@pytest.mark.parametrize(
    ("columns", "known"),
    [
        ({}, "2024-01-01"),
        ({"signed_at": [pd.Timestamp("2023-12-20 09:00"), None]}, "2023-12-20 09:00"),
        ({"signed_at": [date(2023, 12, 20), None]}, "2023-12-21"),
        ({"known_at": ["2024-03-01", "2024-03-02"]}, "2024-03-01"),
    ],
)
def test_a_row_is_known_from_its_own_date_unless_the_source_says_more(columns, known):
    """A contract is known when signed, else when it starts; a bare date is over at the next midnight."""
    tables = tables_from_frames({"accounts": ACCOUNTS, "contracts": contracts(**columns)})
    assert tables["contracts"].order_by("contract_id").known_at.execute()[0] == pd.Timestamp(known)


def test_milestones_are_known_with_their_account():
    """A plan has no date of its own."""
    milestones = pd.DataFrame({"account_id": ["b"], "milestone": ["kick-off"], "due_on": [date(2024, 3, 1)]})
    tables = tables_from_frames({"accounts": ACCOUNTS, "milestones": milestones})
    assert tables["milestones"].known_at.execute()[0] == pd.Timestamp("2024-02-01")


def test_a_missing_value_with_a_plain_meaning_gets_it():
    """No kind is use, no quantity is one event, and a contract recurs unless it says not."""
    events = pd.DataFrame({"account_id": ["a"], "happened_at": ["2024-01-05"]})
    tables = tables_from_frames({"accounts": ACCOUNTS, "contracts": contracts(), "usage_events": events})
    event = tables["usage_events"].execute().iloc[0]
    assert (event["kind"], int(event["quantity"])) == ("use", 1)
    assert tables["contracts"].is_recurring.all().execute()
    assert "kind" not in tables.provided("usage_events")


def test_provided_names_only_what_the_source_fills():
    """A selected column that is always empty is not provided, unless it is a date still to come."""
    empty = {"product": [None, None], "cancelled_on": [None, None], "plan": ["basic", None]}
    tables = tables_from_frames(
        {"accounts": ACCOUNTS, "contracts": contracts(**empty).astype({"product": "str"})}
    )
    provided = tables.provided("contracts")
    assert "plan" in provided
    assert "product" not in provided
    assert rules(tables)["column_empty"].column == "product"


def test_versions_carry_when_the_next_one_became_known():
    """Each version holds until the next is known; the last holds on."""
    tickets = pd.DataFrame(
        {
            "ticket_id": ["t", "t", "u"],
            "account_id": ["a", "a", "a"],
            "opened_at": ["2024-01-02"] * 3,
            "severity": [3, 1, 2],
            "known_at": ["2024-01-03", "2024-01-05", "2024-01-03"],
        }
    )
    tables = tables_from_frames({"accounts": ACCOUNTS, "tickets": tickets})
    held = tables["tickets"].order_by("ticket_id", "known_at").superseded_at.execute()
    assert held.tolist() == [pd.Timestamp("2024-01-05"), pd.NaT, pd.NaT]
    assert tables.versioned("tickets")
    assert not tables.versioned("accounts")


def test_a_repeated_event_is_counted_and_left_out():
    """An event delivered twice is one event, known when it first came."""
    events = pd.DataFrame(
        {
            "event_id": ["e", "e", None, None],
            "account_id": ["a"] * 4,
            "happened_at": ["2024-01-05T10:00:00"] * 4,
            "known_at": ["2024-01-07", "2024-01-06", "2024-01-06", "2024-01-06"],
        }
    )
    tables = tables_from_frames({"accounts": ACCOUNTS, "usage_events": events})
    found = rules(tables)["repeated_row"]
    assert (found.severity, found.rows, found.examples) == ("warning", 1, ("e",))
    kept = tables["usage_events"].execute()
    assert len(kept) == 3
    assert kept.loc[kept["event_id"] == "e", "known_at"].tolist() == [pd.Timestamp("2024-01-06")]
    assert not tables.versioned("usage_events")


@pytest.mark.parametrize("columns", [{}, {"known_at": ["2024-02-07", "2024-02-08"]}])
def test_events_that_share_an_id_and_differ_both_count(columns):
    """Events are appended, never changed: neither is dropped nor hidden, and it is said."""
    given = {"event_id": ["e", "e"], "account_id": ["a", "b"], "happened_at": ["2024-02-05", "2024-02-06"]}
    events = pd.DataFrame(given | columns)
    tables = tables_from_frames({"accounts": ACCOUNTS, "usage_events": events})
    assert rules(tables)["repeated_key"].rows == 1
    assert tables["usage_events"].count().execute() == 2
    assert tables["usage_events"].superseded_at.count().execute() == 0


def test_rows_that_contradict_each_other_stop_the_run():
    """Same key, same known_at, other content: the message names table, column, rows and example."""
    twice = contracts(contract_id=["c1", "c1"], account_id=["a", "a"], starts_on=[date(2024, 1, 1)] * 2)
    with pytest.raises(TableError, match=r"2 rows of `contracts` share contract_id and known_at.*'c1'"):
        tables_from_frames({"accounts": ACCOUNTS, "contracts": twice})


@pytest.mark.parametrize(
    ("rule", "columns"),
    [
        ("negative_arr", {"arr": [100, -1]}),
        ("unknown_account", {"account_id": ["a", "nobody"]}),
        ("ends_before_start", {"ends_on": [date(2025, 1, 1), date(2024, 1, 31)]}),
        ("required_empty", {"arr": [100, None]}),
    ],
)
def test_rows_that_cannot_count_are_left_out_and_said(rule, columns):
    """One row breaks the rule, one stays; the finding counts it and names it."""
    tables = tables_from_frames({"accounts": ACCOUNTS, "contracts": contracts(**columns)})
    found = rules(tables)[rule]
    assert (found.severity, found.rows, found.examples) == ("warning", 1, ("c2",))
    assert "left out" in found.advice
    assert tables["contracts"].contract_id.execute().tolist() == ["c1"]


def test_a_missing_required_column_names_the_file_and_line(company):
    """The message says which column, where to write it, and which given one looks like it."""
    workspace, settings = company
    own_source(workspace, "accounts", "SELECT * FROM accounts")
    own_source(
        workspace,
        "contracts",
        "-- ours\nSELECT contract_id, account_id, starts_on, arr AS ar\nFROM contracts",
    )
    with pytest.raises(
        TableError, match=r"contracts\.sql line 2: .* required column 'arr'.*Did you mean 'ar'"
    ):
        read_tables(workspace, settings)


def test_a_wrong_type_names_rows_examples_and_line(company, tmp_path):
    """Values that are no dates are counted, shown, and the line to change is named."""
    workspace, settings = company
    contracts(starts_on=["soon", "2024-02-01"]).to_parquet(tmp_path / "data" / "contracts.parquet")
    own_source(workspace, "accounts", "SELECT * FROM accounts")
    own_source(
        workspace, "contracts", "SELECT\n  contract_id,\n  account_id,\n  starts_on,\n  arr\nFROM contracts"
    )
    tables = survey_tables(workspace, settings)
    found = rules(tables, severity="error")["wrong_type"]
    assert (found.table, found.column, found.rows, found.examples) == ("contracts", "starts_on", 1, ("soon",))
    assert "contracts.sql line 4" in found.advice
    assert "contracts" not in tables


def test_all_errors_are_said_at_once(company, tmp_path):
    """Whoever maps tables wants to mend everything in one go."""
    workspace, settings = company
    contracts(starts_on=["soon", "later"], arr=["much", "1"]).to_parquet(
        tmp_path / "data" / "contracts.parquet"
    )
    with pytest.raises(TableError, match=r"(?s)arr.*starts_on|starts_on.*arr"):
        read_tables(workspace, settings)


def test_a_required_table_that_is_missing_stops_the_run(company, tmp_path):
    """Without accounts there is nobody to score."""
    workspace, settings = company
    (tmp_path / "data" / "accounts.parquet").rename(tmp_path / "data" / "account.parquet")
    with pytest.raises(TableError, match=r"no table 'accounts' \(Did you mean 'account'\?\); .*required"):
        read_tables(workspace, settings)


def test_an_optional_table_that_is_missing_is_said(company):
    """Its absence is advice, and the table is not there."""
    workspace, settings = company
    tables = read_tables(workspace, settings)
    assert tables.names == ("accounts", "contracts")
    assert {f.table for f in tables.findings if f.rule == "table_absent"} >= {"tickets", "usage_events"}
    with pytest.raises(TableError, match="no table 'tickets'"):
        tables["tickets"]


def test_a_table_the_own_sources_lack_is_not_inherited(company):
    """Where a workspace has sources, only those count."""
    workspace, settings = company
    own_source(workspace, "accounts", "SELECT * FROM accounts")
    tables = read_tables(workspace, settings)
    assert tables.names == ("accounts",)
    assert any("contracts.sql does not exist" in finding.advice for finding in tables.findings)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SELECT nothing FROM accounts", "nothing"),
        ("SELECT (1 FROM accounts", "not valid SQL"),
        ("DELETE FROM accounts", "exactly one SELECT"),
        ("SELECT 1; SELECT 2", "exactly one SELECT"),
    ],
)
def test_a_source_that_cannot_run_is_an_error_with_its_name(company, text, says):
    """The engine's words, and the file they are about."""
    workspace, settings = company
    own_source(workspace, "accounts", text)
    found = rules(survey_tables(workspace, settings))["source_fails"]
    assert says in found.advice
    assert "accounts.sql" in found.advice


def test_a_source_of_no_canonical_table_is_an_error(company):
    """A misspelt file name would otherwise silently be no table."""
    workspace, settings = company
    own_source(workspace, "contract", "SELECT 1")
    found = rules(survey_tables(workspace, settings))["source_unknown"]
    assert "Did you mean 'contracts'" in found.advice


def test_a_column_nobody_reads_is_advice_with_the_nearest_name():
    """A misspelt optional column would otherwise silently be empty."""
    frame = ACCOUNTS.assign(segmnt=["x", "y"])
    found = rules(tables_from_frames({"accounts": frame}))["column_unused"]
    assert (found.severity, found.column) == ("advice", "segmnt")
    assert "Did you mean 'segment'?" in found.advice


def test_several_currencies_need_rates():
    """ARR in two currencies cannot be added up; rates for one of them make it possible."""
    given = {"accounts": ACCOUNTS, "contracts": contracts(currency=["EUR", "USD"])}
    with pytest.raises(TableError, match="EUR, USD without rates"):
        tables_from_frames(given)
    rates = pd.DataFrame({"currency": ["USD"], "month": [date(2024, 1, 1)], "rate": [0.9]})
    assert "fx_rates" in tables_from_frames(given | {"fx_rates": rates})


@pytest.mark.parametrize("bad", ["gone", "empty"])
def test_a_source_folder_without_tables_says_what_to_do(company, tmp_path, bad):
    """Address and remedy, not a traceback."""
    workspace, _ = company
    (tmp_path / "empty").mkdir()
    settings = Settings.read(tmp_path, {"LIFECYCLE_SOURCE_URL": str(tmp_path / bad)})
    with pytest.raises(TableError, match=r"LIFECYCLE_SOURCE_URL: the folder .*CSV"):
        read_tables(workspace, settings)


def test_two_files_of_one_table_are_refused(company, tmp_path):
    """Nobody can say which of them is meant."""
    workspace, settings = company
    ACCOUNTS.to_csv(tmp_path / "data" / "accounts.csv", index=False)
    with pytest.raises(TableError, match=r"accounts\.csv and accounts\.parquet"):
        read_tables(workspace, settings)


def test_an_engine_that_cannot_be_reached_is_a_mistake_of_the_address(company, tmp_path):
    """The scheme is named; the address, which may hold a password, is not."""
    workspace, _ = company
    settings = Settings.read(tmp_path, {"LIFECYCLE_SOURCE_URL": "nonsense://user:secret@host/db"})
    with pytest.raises(TableError, match="the nonsense source cannot be opened") as error:
        read_tables(workspace, settings)
    assert "secret" not in str(error.value)


def test_a_misspelt_sqlite_file_is_said_and_not_made(company, tmp_path):
    """SQLite makes an empty database of any name, in which every table would be missing."""
    workspace, _ = company
    there_not = tmp_path / "typo.db"
    settings = Settings.read(tmp_path, {"LIFECYCLE_SOURCE_URL": f"sqlite://{there_not}"})

    with pytest.raises(TableError, match=r"there is no file .*typo\.db; after sqlite:// write"):
        read_tables(workspace, settings)

    assert not there_not.exists()


def test_a_frame_of_no_canonical_table_is_refused():
    """A misspelt name says the right one."""
    with pytest.raises(TableError, match="Did you mean 'accounts'"):
        tables_from_frames({"account": ACCOUNTS})


def test_the_standard_workspace_has_a_source_for_every_table():
    """Whoever has tables of the canonical names writes no SQL at all."""
    root = standard_root()
    assert set(Workspace(root, root).sources()) == set(SCHEMAS)
