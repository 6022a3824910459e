"""Companies: the same again, canonical, and with the truth kept apart."""

import hashlib
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.errors import UserError
from lifecycle_ml.simulate.causes import CAUSES
from lifecycle_ml.simulate.company import Company, simulate_company
from lifecycle_ml.tables.schema import CATEGORIES, KNOWN_AT, SCHEMAS

EVENT_TABLES = ("usage_events", "contacts", "touchpoints", "tickets", "invoices", "signals", "outcomes")
HAPPENED = {name: SCHEMAS[name].happened for name in EVENT_TABLES}


@pytest.fixture(scope="module")
def company() -> Company:
    return simulate_company(7, 400, truth_step_weeks=4)


@pytest.fixture(scope="module")
def by_chance() -> Company:
    return simulate_company(7, 400, causes=False, truth_step_weeks=4)


def churned(company: Company) -> pd.Series:
    """Day on which an account's ARR reaches 0 for more than 30 days, by the contract rule."""
    contracts = company.tables["contracts"]
    far = pd.Timestamp("2100-01-01")
    ends = contracts[["ends_on", "cancelled_on"]].min(axis=1).fillna(far)
    last = ends.groupby(contracts["account_id"]).max()
    stop = pd.Timestamp(company.first) + pd.Timedelta(days=company.days)
    return last[last < stop]


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    """Two runs write files that agree to the byte."""
    for name in ("one", "two"):
        simulate_company(3, 60, days=400).write(tmp_path / name / "data")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.parquet"))
    assert len(files) == 16
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_another_seed_gives_another_company(company: Company) -> None:
    """The seed decides who leaves."""
    other = simulate_company(8, 400, truth_step_weeks=4)
    assert not company.truth["leavers"].equals(other.truth["leavers"])


def test_the_truth_is_written_into_a_folder_of_its_own(company: Company, tmp_path: Path) -> None:
    """Nothing of the truth lies in the folder that sources read."""
    company.write(tmp_path / "data")
    assert {path.stem for path in (tmp_path / "data").iterdir()} == set(company.tables)
    assert {path.stem for path in (tmp_path / "truth").iterdir()} == set(company.truth)
    company.write(tmp_path / "elsewhere", tmp_path / "hidden")
    assert {path.stem for path in (tmp_path / "hidden").iterdir()} == set(company.truth)


def test_every_table_has_canonical_columns_and_no_other(company: Company) -> None:
    """Columns are those of the schema, required ones without gaps, values from the closed lists."""
    for name, table in company.tables.items():
        schema = SCHEMAS[name].by_name
        assert set(table.columns) <= {*schema, KNOWN_AT.name}, name
        for column in schema.values():
            if column.required:
                assert table[column.name].notna().all(), (name, column.name)
            if column.values:
                assert set(table[column.name].dropna()) <= set(column.values), (name, column.name)


def test_all_tables_but_currencies_are_there(company: Company) -> None:
    """One currency needs no rates."""
    assert set(company.tables) == set(SCHEMAS) - {"fx_rates"}
    assert all(len(table) for table in company.tables.values())


def test_rows_refer_to_accounts_and_contracts_that_exist(company: Company) -> None:
    """No orphan rows; keys name one row, corrected invoices apart."""
    accounts = set(company.tables["accounts"]["account_id"])
    for name, table in company.tables.items():
        assert set(table["account_id"]) <= accounts, name
        keys = [*SCHEMAS[name].key, *(["known_at"] if name == "invoices" else [])]
        if keys:
            assert not table.duplicated(keys).any(), name
    contracts = company.tables["contracts"]
    renewed = contracts["renews_contract_id"].dropna()
    assert set(renewed) <= set(contracts["contract_id"])
    contacts = company.tables["contacts"].set_index("contact_id")["account_id"]
    met = company.tables["touchpoints"].dropna(subset="contact_id")
    assert (contacts.loc[met["contact_id"]].to_numpy() == met["account_id"].to_numpy()).all()


def test_nothing_happens_before_the_account_or_after_the_data_ends(company: Company) -> None:
    """Events lie between the account's creation and the last midnight, and so does what was known of them."""
    created = company.tables["accounts"].set_index("account_id")["created_at"]
    stop = pd.Timestamp(company.first) + pd.Timedelta(days=company.days)
    for name, column in HAPPENED.items():
        table = company.tables[name]
        assert (table[column] < stop).all(), name
        assert (table[column] >= created.loc[table["account_id"]].dt.normalize().to_numpy()).all(), name
        if KNOWN_AT.name in table:
            assert (table[KNOWN_AT.name] <= stop).all(), name
            assert (table[KNOWN_AT.name] >= table[column]).all(), name


def test_later_dates_lie_within_the_data(company: Company) -> None:
    """What is overwritten in place is empty where it had not happened when the data was taken."""
    stop = pd.Timestamp(company.first) + pd.Timedelta(days=company.days)
    for name, table in company.tables.items():
        for column in SCHEMAS[name].columns:
            if column.clock == "dated" and column.name in table:
                assert table[column.name].notna().any(), (name, column.name)
                assert not (table[column.name] >= stop).any(), (name, column.name)


def test_real_data_is_hard_in_the_ways_promised(company: Company) -> None:
    """Late rows, versions, gaps, unequal sizes, three kinds of contract, amendments and late renewals."""
    usage, contracts = company.tables["usage_events"], company.tables["contracts"]
    late = (usage["known_at"] - usage["happened_at"]) > pd.Timedelta(hours=12)
    assert 0.01 < late.mean() < 0.1
    assert company.tables["invoices"].duplicated("invoice_id").any()
    assert company.tables["accounts"]["icp_fit"].isna().any()
    first = contracts.drop_duplicates("account_id")
    assert first["seats"].max() > 10 * first["seats"].median() / 2
    days = (first["ends_on"] - first["starts_on"]).dt.days
    assert {30.0, 365.0} <= set(days.dropna())
    assert days.isna().any()
    assert contracts["product"].str.startswith("seats").any()
    by_id = contracts.set_index("contract_id")
    renewals = contracts.dropna(subset="renews_contract_id")
    before = by_id.loc[renewals["renews_contract_id"]]
    gap = (pd.Series(renewals["starts_on"].to_numpy() - before["ends_on"].to_numpy()).dropna()).dt.days
    assert gap.min() == 0
    assert 0 < gap.max() <= 30
    early = (before["ends_on"].to_numpy() - renewals["signed_at"].to_numpy()) > np.timedelta64(20, "D")
    assert early.any()


def test_contracts_run_forward_and_cost_something(company: Company) -> None:
    """Every term ends after it starts, renewals follow what they renew, nothing is sold for less than 0."""
    contracts = company.tables["contracts"]
    assert (contracts["arr"] > 0).all()
    assert (contracts["seats"] > 0).all()
    ends = contracts[["ends_on", "cancelled_on"]].min(axis=1)
    assert not (ends <= contracts["starts_on"]).any()
    platform = contracts[contracts["product"] == "platform"].sort_values(["account_id", "starts_on"])
    until = platform[["ends_on", "cancelled_on"]].min(axis=1)
    following = platform["starts_on"].shift(-1)
    same = platform["account_id"] == platform["account_id"].shift(-1)
    assert (until[same] <= following[same]).all()


def test_leavers_are_those_whose_contracts_end(company: Company) -> None:
    """The truth and the contract rule name the same accounts and days."""
    leavers = company.truth["leavers"].set_index("account_id")["churned_on"]
    stop = pd.Timestamp(company.first) + pd.Timedelta(days=company.days)
    gone = leavers[leavers < stop]
    told = churned(company)
    settled = told[told < stop - pd.Timedelta(days=31)]
    assert set(settled.index) == set(gone[gone < stop - pd.Timedelta(days=31)].index)
    assert (settled == gone.loc[settled.index]).all()


def test_recorded_reasons_are_mostly_right_and_sometimes_wrong_or_unknown(company: Company) -> None:
    """People's reasons agree with the true cause for a good half."""
    outcomes = company.tables["outcomes"]
    said = outcomes[outcomes["outcome"] == "churned"].set_index("account_id")["reason"]
    cause = company.truth["leavers"].set_index("account_id")["cause"].loc[said.index]
    assert 0.45 < (said == cause).mean() < 0.8
    assert 0.08 < (said == "unknown").mean() < 0.35


def test_tables_hold_no_word_of_the_truth(company: Company) -> None:
    """No column of a truth frame but ids and dates occurs in a table."""
    secret = {column for frame in company.truth.values() for column in frame.columns}
    secret -= {"account_id", "as_of", "column", "value"}
    for name, table in company.tables.items():
        assert not secret & set(table.columns), name


def test_every_cause_makes_somebody_leave() -> None:
    """All eleven causes occur among the leavers of one company of usual size."""
    company = simulate_company(1, 1200, truth_step_weeks=12)
    assert set(company.truth["leavers"]["cause"]) == set(CATEGORIES)
    assert set(company.truth["episodes"]["nature"]) == {"true", "muted", "look_alike"}


def test_longer_horizons_are_never_less_likely(company: Company) -> None:
    """30 <= 90 <= 180 days for every account and date, between 0 and 1."""
    table = company.truth["probabilities"]
    near, middle, far = (table[f"probability_{days}d"] for days in (30, 90, 180))
    assert (near <= middle + 1e-12).all()
    assert (middle <= far + 1e-12).all()
    assert near.min() >= 0
    assert far.max() <= 1


def test_shares_of_causes_add_up(company: Company) -> None:
    """What each cause contributes to the expected hazard sums to 1, where an account can leave at all."""
    table = company.truth["probabilities"]
    total = table[[f"share_{category}" for category in CATEGORIES]].sum(axis=1)
    assert np.allclose(total[table["probability_90d"] > 0], 1.0, atol=1e-4)
    assert (table["probability_90d"] > 0).mean() > 0.99


def test_without_causes_leaving_is_the_same_chance_for_all(by_chance: Company) -> None:
    """One probability for every settled account, no planted fact, no treatment, no cause."""
    table = by_chance.truth["probabilities"]
    created = by_chance.tables["accounts"].set_index("account_id")["created_at"]
    settled = table[table["as_of"] - created.loc[table["account_id"]].to_numpy() > pd.Timedelta(days=80)]
    assert np.ptp(settled["probability_90d"]) < 1e-9
    assert set(by_chance.truth["leavers"]["cause"]) == {"chance"}
    assert len(by_chance.truth["planted"]) == 0
    assert len(by_chance.truth["treatments"]) == 0
    assert by_chance.tables["contracts"]["notice_given_on"].isna().all()


def test_planted_facts_name_values_that_occur(company: Company) -> None:
    """Channel, segment, feature, industry and topic of the planted facts stand in the tables."""
    planted = company.truth["planted"].set_index("column")["value"]
    accounts = company.tables["accounts"]
    for column in ("acquisition_channel", "segment", "industry"):
        assert planted[column] in set(accounts[column].dropna())
    assert planted["feature"] in set(company.tables["usage_events"]["feature"].dropna())
    assert planted["topic"] in set(company.tables["touchpoints"]["topic"].dropna())
    treatments = company.truth["treatments"]
    assert treatments["hazard_multiplier"].between(0.25, 0.85).all()


@pytest.mark.parametrize("wrong", [{"accounts": 0}, {"days": 100}, {"seed": -1}, {"truth_step_weeks": 0}])
def test_impossible_companies_are_refused(wrong: dict[str, int]) -> None:
    """The message says what a company needs and what was given."""
    with pytest.raises(UserError, match="a company needs at least 1 account, 180 days"):
        simulate_company(**({"seed": 1, "accounts": 100} | wrong))


def test_a_very_small_and_short_company_works() -> None:
    """One account over half a year, from another first day."""
    company = simulate_company(5, 1, date(2024, 2, 29), 180)
    assert len(company.tables["accounts"]) == 1
    assert len(company.tables["contracts"]) >= 1


def test_companies_are_frozen() -> None:
    """Later needs are new arguments: with the old ones nobody comes, goes or changes the cause."""
    company = simulate_company(1, 100, days=400, truth_step_weeks=4)
    assert {name: len(table) for name, table in company.tables.items()} == {
        "accounts": 100,
        "contracts": 584,
        "usage_events": 43476,
        "contacts": 711,
        "touchpoints": 11543,
        "tickets": 1350,
        "milestones": 400,
        "invoices": 902,
        "signals": 409,
        "outcomes": 28,
    }
    leavers = company.truth["leavers"]
    said = leavers["account_id"] + leavers["churned_on"].dt.strftime("%F") + leavers["cause"]
    assert hashlib.sha256(" ".join(said).encode()).hexdigest()[:16] == "7fd2b827972f8861"


def test_causes_stand_in_the_order_of_the_taxonomy() -> None:
    """Arrays over causes are read by position, so the two orders must be one."""
    assert tuple(cause.category for cause in CAUSES) == CATEGORIES
