"""The six third-party workspaces run end to end, and each gets what it has earned: a model, or a refusal."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path

import duckdb
import pytest

from lifecycle_ml import nightly
from lifecycle_ml.nightly import RunSummary, run_nightly
from lifecycle_ml.settings import Settings
from lifecycle_ml.workspace import load_workspace

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("THIRD_PARTY_DATA") or ROOT.parent / "shared" / "data")

pytestmark = [pytest.mark.slow, pytest.mark.real_data]


@dataclass(frozen=True)
class Case:
    """A workspace, the day it is run as of, and what is known of the answer."""

    as_of: date
    accounts: int
    refused: str | None = None
    """The rule of the gate that refuses the churn model; None where one serves."""
    auroc: float = 0.0
    """What the churn model reaches out of time at least; published models reach it or a little more."""
    only: str = "TRUE"
    """Which rows of each of its tables are read, as SQL: part of what is large says as much, sooner."""


CASES = {
    # When a contract ends says more than any use of the product: the calendar is not beaten.
    "churnsim_crm5": Case(date(2024, 1, 1), accounts=1526, refused="no_skill"),
    # An account holds about ten subscriptions, and hardly any loses all of them.
    "ravenstack": Case(date(2025, 1, 1), accounts=500, refused="too_few_events"),
    # No contracts: churn is falling silent.
    "dpdk_orgs": Case(date(2026, 7, 1), accounts=26, auroc=0.84),
    "online_retail_ii": Case(date(2011, 12, 1), accounts=1733, auroc=0.77, only="customer_id % 2 = 0"),
    # How lately and on how many days somebody logged in tells all there is; a rule says it.
    "relax_saas": Case(date(2014, 6, 6), accounts=407, refused="no_skill"),
    # Half of everybody goes: red accounts' odds are not three times the others'.
    "cdnow": Case(date(1998, 7, 1), accounts=1841, refused="colour_bar", only="customer_id % 3 = 0"),
}


# a workspace's tests in one process, or it would be run once in each
@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in CASES]
)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, RunSummary]:
    """Each workspace, run once on its tables."""
    name = str(request.param)
    if not (DATA / name).is_dir():
        pytest.skip(f"the third-party tables of {name} are not here; set THIRD_PARTY_DATA to their folder")
    as_of = CASES[name].as_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nightly, "HISTORY_WEEKS", 1)  # the demo's tests replay all twelve
        return name, run(name, as_of, tmp_path_factory.mktemp(name))


def run(name: str, as_of: date, home: Path) -> RunSummary:
    """Take a workspace from its tables to a publication in `home`."""
    source = DATA / name
    if CASES[name].only != "TRUE":
        source = home / "source"
        source.mkdir()
        for table in (DATA / name).glob("*.parquet"):
            rows = duckdb.read_parquet(str(table)).filter(CASES[name].only)
            rows.write_parquet(str(source / table.name))
    settings = Settings.read(home, environ={"LIFECYCLE_SOURCE_URL": str(source)})
    workspace = load_workspace(ROOT / "examples" / name)
    return run_nightly(workspace, settings, as_of, datetime.combine(as_of, time(2)))


def test_every_account_of_the_book_is_published(ran: tuple[str, RunSummary]) -> None:
    """Customers by contract or by use, counted from the tables by hand; every one has a colour."""
    name, summary = ran

    assert summary.accounts == CASES[name].accounts
    assert sum(summary.health.values()) == summary.accounts


def test_a_model_serves_only_where_it_has_earned_it(ran: tuple[str, RunSummary]) -> None:
    """Refused where rules do as well or nobody churned; else it ranks as well as plain models do."""
    name, summary = ran
    case, bundle = CASES[name], summary.bundles["churn"]

    if case.refused is not None:
        assert bundle.source == "rules"
        assert case.refused in {refusal["rule"] for refusal in bundle.refusals}
        return
    assert (bundle.source, bundle.refusals) == ("model", ())
    assert bundle.metrics["metrics"]["auroc"]["value"] >= case.auroc
