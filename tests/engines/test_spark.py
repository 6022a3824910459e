"""The same definitions on Spark: equal to DuckDB, free of look-ahead, usable on tables that lie there."""

from __future__ import annotations

import gc
from contextlib import contextmanager, nullcontext
from datetime import date, timedelta

import ibis
import pandas as pd
import pytest
from companies import AS_OF, spine
from engine_measures import KINDS, SOME_KINDS, assert_same
from engine_tables import drop_views, lay_on_spark, lay_raw_on_spark, rich_companies, rows_of
from hypothesis import given
from hypothesis import strategies as st
from test_no_look_ahead import CATALOGUE, DELAYS, random_companies

from lifecycle_ml.errors import TableError
from lifecycle_ml.matrix.build import active_accounts, build_matrix, customers
from lifecycle_ml.matrix.compiled import ask, place
from lifecycle_ml.tables.clock import cut
from lifecycle_ml.tables.engine import tables_on
from lifecycle_ml.tables.fetch import fetch
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import load_workspace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("spark"),
    # pyspark leaves the sockets its answers came by to the garbage collector
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@pytest.fixture(autouse=True)
def no_socket_left_for_other_tests():
    """Collect what Spark left while its warning is not an error."""
    yield
    gc.collect()


@contextmanager
def interpreted(spark):
    """Let Spark interpret its plans: for a handful of rows, compiling them takes far longer."""
    settings = {
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.codegen.wholeStage": "false",
    }
    for name, value in settings.items():
        spark.conf.set(name, value)
    yield
    for name in settings:
        spark.conf.unset(name)


@pytest.mark.parametrize(
    ("kinds", "companies", "how"),
    [(KINDS, 2, interpreted), (SOME_KINDS, 1, nullcontext)],
    ids=["all", "compiled"],
)
def test_every_kind_of_measure_is_the_same_on_spark(spark, kinds, companies, how):
    """Counts, sums, extremes, values, days, series and the calendar over late rows and versions."""

    @random_companies(companies)
    @given(frames=rich_companies(), delay=st.sampled_from(DELAYS))
    def compare(frames, delay):
        tables = tables_from_frames(frames)
        features = kinds.available(tables)
        with how(spark):
            there = build_matrix(lay_on_spark(spark, tables), features, spine(delay))
        assert_same(there, build_matrix(tables, features, spine(delay)), features)

    compare()


def test_the_catalogue_is_the_same_on_spark(spark):
    """Every feature we ship, with its usual value."""

    @random_companies(1)
    @given(frames=rich_companies(), delay=st.sampled_from(DELAYS))
    def compare(frames, delay):
        tables = tables_from_frames(frames)
        features = CATALOGUE.available(tables)
        with interpreted(spark):
            there = build_matrix(lay_on_spark(spark, tables), features, spine(delay))
        assert_same(there, build_matrix(tables, features, spine(delay)), features)

    compare()


def test_nothing_on_spark_looks_ahead(spark):
    """The first law there: what is built from all tables equals what is built from tables cut."""

    @random_companies(1)
    @given(frames=rich_companies())
    def compare(frames):
        delay = timedelta(hours=2)
        tables = tables_from_frames(frames)
        features = KINDS.available(tables)
        with interpreted(spark):
            there = lay_on_spark(spark, tables)
            everything = build_matrix(there, features, spine(delay))
            known = {at: cut(there, at, at.to_pydatetime() + delay) for at in map(pd.Timestamp, AS_OF[1:3])}
            for at, cut_out in known.items():
                rows = spine(delay).query("as_of == @at")
                alone = build_matrix(lay_on_spark(spark, cut_out), features, rows)
                together = everything[everything["as_of"] == at].reset_index(drop=True)
                pd.testing.assert_frame_equal(together, alone, check_exact=True)
                assert_same(alone, build_matrix(cut_out, features, rows), features)

    compare()


def test_tables_that_lie_on_spark_are_those_read_from_files(spark):
    """Clocks, versions, defaults, what is left out, filled columns, and the accounts on each date."""

    @random_companies(1)
    @given(frames=rich_companies())
    def compare(frames):
        expected = tables_from_frames(frames)
        lay_raw_on_spark(spark, frames)
        with interpreted(spark):
            tables = tables_on(ibis.pyspark.connect(spark))
            for name in expected.names:
                assert tables.versioned(name) == expected.versioned(name)
                assert tables.provided(name) == expected.provided(name)
                if name != "usage_events":  # repeated deliveries are not looked for there
                    assert rows_of(tables, name) == rows_of(expected, name)
            pd.testing.assert_frame_equal(customers(tables, AS_OF), customers(expected, AS_OF))
            in_use = active_accounts(tables, AS_OF, 28)
        pd.testing.assert_frame_equal(in_use, active_accounts(expected, AS_OF, 28))

    compare()


SOURCES = {
    "accounts": """
        SELECT id AS account_id, strptime(since, '%d.%m.%Y') AS created_at, NULL AS team,
            ['email', owner] AS handoff_missing
        FROM crm
        QUALIFY row_number() OVER (PARTITION BY id ORDER BY copied DESC) = 1;
    """,
    "contracts": """
        SELECT id AS contract_id, crm AS account_id, date_trunc('month', start)::DATE AS starts_on,
            12 * monthly AS arr, seats // 2 AS seats
        FROM deals
    """,
    "tickets": "SELECT * FROM desk",
}


def test_a_workspaces_sources_run_on_spark(spark, tmp_path):
    """SELECTs in DuckDB's dialect over raw tables that lie on Spark; what is not there is absent."""
    (tmp_path / "features" / "sources").mkdir(parents=True)
    for name, text in SOURCES.items():
        (tmp_path / "features" / "sources" / f"{name}.sql").write_text(text)
    drop_views(spark)
    crm = "('a', '01.02.2024', 'o', 1), ('a', '02.02.2024', 'p', 2) AS t(id, since, owner, copied)"
    deals = "('c', 'a', DATE'2024-03-31', 99.95, 7), ('d', 'nobody', DATE'2024-03-31', 1.0, 7)"
    spark.sql(f"SELECT * FROM VALUES {crm}").createOrReplaceTempView("crm")
    deals += " AS t(id, crm, start, monthly, seats)"
    spark.sql(f"SELECT * FROM VALUES {deals}").createOrReplaceTempView("deals")
    with interpreted(spark):
        tables = tables_on(ibis.pyspark.connect(spark), workspace=load_workspace(tmp_path))
        contract = fetch(tables.backend, tables["contracts"]).iloc[0]
        account = fetch(tables.backend, tables["accounts"]).iloc[0]
        rows = customers(tables, [date(2024, 4, 1)])
    assert tables.names == ("accounts", "contracts")
    assert (account["created_at"], list(account["handoff_missing"])) == (
        pd.Timestamp("2024-02-02"),
        ["email", "p"],
    )
    assert (float(contract["arr"]), contract["seats"]) == (1199.4, 3)
    assert rows["account_id"].tolist() == ["a"]
    said = {(finding.rule, finding.table) for finding in tables.findings}
    assert {
        ("unknown_account", "contracts"),
        ("table_absent", "tickets"),
        ("column_unused", "accounts"),
    } <= said


def test_a_select_spark_refuses_is_named_with_its_line(spark, tmp_path):
    """As with any source."""
    (tmp_path / "features" / "sources").mkdir(parents=True)
    (tmp_path / "features" / "sources" / "accounts.sql").write_text("-- all\nSELECT nothing FROM crm")
    drop_views(spark)
    spark.range(1).createOrReplaceTempView("crm")
    with pytest.raises(TableError, match=r"features/sources/accounts\.sql line 2: .*nothing"):
        tables_on(ibis.pyspark.connect(spark), workspace=load_workspace(tmp_path))


def test_instants_are_utc_in_the_hour_local_clocks_show_twice(spark):
    """Midnight UTC of 27 October 2024 was two o'clock in Berlin, twice: rows go there and back unchanged."""
    drop_views(spark)
    born = "SELECT 'a' AS account_id, TIMESTAMP'2024-10-27 00:30:00 UTC' AS created_at"
    spark.sql(born).createOrReplaceTempView("accounts")
    tables = tables_on(ibis.pyspark.connect(spark), checked=False)
    midnights = pd.DataFrame({"at": pd.to_datetime(["2024-10-27 00:00", "2024-10-27 01:00"])})
    placed = place(tables, "midnights", midnights)
    written = ask(tables, "midnights", lambda: placed.mutate(text=placed["at"].cast("string")))
    assert written["at"].tolist() == midnights["at"].tolist()
    assert written["text"].tolist() == ["2024-10-27 00:00:00", "2024-10-27 01:00:00"]
    created = fetch(tables.backend, tables["accounts"])["created_at"].tolist()
    assert created == [pd.Timestamp("2024-10-27 00:30")]
