"""The example workspaces read the third-party tables they are written for."""

import os
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from lifecycle_ml.check import check
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.source import read_tables
from lifecycle_ml.workspace import load_workspace

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("THIRD_PARTY_DATA") or ROOT.parent / "shared" / "data")


def company(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"the third-party tables of {name} are not here; set THIRD_PARTY_DATA to their folder")
    workspace = load_workspace(ROOT / "examples" / name)
    settings = Settings.read(workspace.root, {"LIFECYCLE_SOURCE_URL": str(DATA / name)})
    return workspace, settings, read_tables(workspace, settings)


@pytest.mark.real_data
def test_churnsim_maps_without_a_warning():
    """Simulated tables are sound: every billed period is a contract, every event counts once."""
    workspace, settings, tables = company("churnsim_crm5")
    report = check(workspace, settings, date(2024, 1, 1), tables=tables)
    assert report.ok
    assert report.of("warning") == ()
    contracts, events = tables["contracts"], tables["usage_events"]
    assert contracts.count().execute() == 17567
    assert contracts.renews_contract_id.count().execute() == 15658
    assert int(events.quantity.sum().execute()) == 42_848_558
    assert events.users.max().execute() <= 100


@pytest.mark.real_data
def test_ravenstack_breaks_many_rules_and_says_so():
    """The known defects of the published data, each with its number of rows."""
    workspace, settings, tables = company("ravenstack")
    report = check(workspace, settings, date(2025, 1, 1), tables=tables)
    rows = {(f.rule, f.table): f.rows for f in report.findings}
    assert report.ok
    assert rows["before_account", "tickets"] == 1077
    assert rows["before_account", "usage_events"] == 13198
    assert rows["repeated_key", "usage_events"] == 21
    assert rows["overlapping_contracts", "contracts"] > 4000
    assert rows["outcome_contradicted", "outcomes"] == 342
    assert tables["usage_events"].count().execute() == 25000


@pytest.mark.real_data
def test_ravenstack_does_not_know_an_end_before_it_comes():
    """The day a subscription was ended is no plan: ends_on stays empty, cancelled_on has its clock."""
    _, _, tables = company("ravenstack")
    assert "ends_on" not in tables.provided("contracts")
    assert tables["contracts"].cancelled_on.count().execute() > 0


@pytest.mark.real_data
def test_a_commit_log_is_sound_and_knows_only_use():
    """Every commit is an event of its day; what happened after as_of is the only thing to warn of."""
    workspace, settings, tables = company("dpdk_orgs")
    report = check(workspace, settings, date(2026, 7, 1), tables=tables)
    assert report.ok
    assert {(f.rule, f.table): f.rows for f in report.of("warning")} == {("after_as_of", "usage_events"): 192}
    assert tables["usage_events"].count().execute() == 44104
    assert "contracts" not in tables


@pytest.mark.real_data
def test_lines_without_a_customer_are_left_out_and_counted():
    """A till that does not know the buyer loses nothing silently; purchases and returns are told apart."""
    workspace, settings, tables = company("online_retail_ii")
    report = check(workspace, settings, date(2011, 12, 1), tables=tables)
    rows = {(f.rule, f.table): f.rows for f in report.findings}
    assert report.ok
    assert rows["required_empty", "usage_events"] == 228_610
    assert tables["usage_events"].count().execute() == 791_044
    assert tables["accounts"].count().execute() == 5942
    invoices = tables["invoices"]
    assert 0 < invoices.filter(invoices.amount < 0).count().execute() < invoices.count().execute()


@pytest.mark.real_data
def test_a_cohort_begins_with_its_first_purchase():
    """Every purchase is an event; a customer's day is one invoice, whatever it cost."""
    workspace, settings, tables = company("cdnow")
    report = check(workspace, settings, date(1998, 7, 1), tables=tables)
    assert report.ok
    assert report.of("warning") == ()
    assert tables["accounts"].count().execute() == 23_570
    assert tables["usage_events"].count().execute() == 69_659
    assert tables["invoices"].count().execute() == 67_591
    assert tables["accounts"].created_at.max().execute() < pd.Timestamp(1997, 4, 1)


@pytest.mark.real_data
def test_registrations_are_no_use_and_nothing_of_today_is_read():
    """Log-ins alone are use; the columns as of the day of extraction do not reach any table."""
    workspace, settings, tables = company("relax_saas")
    report = check(workspace, settings, date(2014, 6, 6), tables=tables)
    assert report.ok
    assert {(f.rule, f.table): f.rows for f in report.of("warning")} == {("after_as_of", "usage_events"): 1}
    events = tables["usage_events"]
    kinds = events.kind.value_counts().execute().set_index("kind").iloc[:, 0].to_dict()
    assert kinds == {"use": 207_917, "invite": 6_417, "admin": 5_583}
    assert tables["accounts"].count().execute() == 417
    assert tables.provided("accounts") == {"account_id", "created_at"}
