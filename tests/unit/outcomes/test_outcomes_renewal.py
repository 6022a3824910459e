"""Churn at the renewal, worked by hand on one account at a time."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pandas as pd
import pytest

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.outcomes.renewal import renewals
from lifecycle_ml.outcomes.snapshots import label, population, snapshot_dates, snapshots
from lifecycle_ml.outcomes.splits import known_at_cutoff
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import load_workspace, standard_root

PAGE = standard_root() / "docs" / "how-to" / "predict-renewals.md"
READY = PAGE.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
AS_OF = pd.Timestamp("2024-06-01")
DUE = "2024-09-01"  # 92 days after as_of: the lead of 120; + grace 30 + lag 2 = 2024-10-03
LATER = date(2026, 1, 1)


def recipe_of(root, old="", new=""):
    assert old in READY
    (root / "training").mkdir()
    (root / "training" / "churn.toml").write_text(READY.replace(old, new), encoding="utf-8")
    return load_recipe(load_workspace(root), "churn")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """The recipe of the how-to page, word for word."""
    return recipe_of(tmp_path_factory.mktemp("renewal"))


def tables_of(contracts, **more):
    """Contracts by account, each a dict on top of one from June 2023 to September 2024."""
    rows = [
        {
            "contract_id": f"{account}{position}",
            "account_id": account,
            "starts_on": "2023-06-01",
            "ends_on": DUE,
            "cancelled_on": None,
            "notice_given_on": None,
            "arr": 1200,
        }
        | row
        for account, history in contracts.items()
        for position, row in enumerate(history)
    ]
    frame = pd.DataFrame(rows)
    for column in ("starts_on", "ends_on", "cancelled_on", "notice_given_on", "known_at"):
        if column in frame:
            frame[column] = pd.to_datetime(frame[column])
    if "known_at" in frame:
        frame["known_at"] = frame["known_at"].fillna(frame["starts_on"])
    accounts = pd.DataFrame({"account_id": sorted(contracts), "created_at": pd.Timestamp("2022-01-01")})
    return tables_from_frames({"accounts": accounts, "contracts": frame, **more})


def spine_of(accounts, days=(AS_OF,)):
    rows = [(account, pd.Timestamp(day), pd.Timestamp(day)) for account in accounts for day in days]
    frame = pd.DataFrame(rows, columns=["account_id", "as_of", "known_at"])
    return frame.astype({"as_of": "datetime64[us]", "known_at": "datetime64[us]"})


AMENDED = [
    {"contract_id": "amended", "known_at": "2023-06-01"},
    {"contract_id": "amended", "known_at": "2024-07-01", "ends_on": "2024-12-01"},
]
SHORTENED = [
    {"contract_id": "shortened", "known_at": "2023-06-01"},
    {"contract_id": "shortened", "known_at": "2024-07-01", "ends_on": "2024-08-01"},
]
ADD_ON = {"starts_on": "2024-01-01", "ends_on": "2024-06-15", "arr": 300}
CASES = {
    "nothing follows": ([{}], DUE, 1.0),
    "renewed the same day": ([{}, {"starts_on": DUE, "ends_on": "2025-09-01"}], DUE, 0.0),
    "renewed without an end": ([{}, {"starts_on": DUE, "ends_on": None}], DUE, 0.0),
    "renewed on the last day of grace": ([{}, {"starts_on": "2024-10-01", "ends_on": None}], DUE, 0.0),
    "renewed one day after grace": ([{}, {"starts_on": "2024-10-02", "ends_on": None}], DUE, 1.0),
    "renewed for a month only": ([{}, {"starts_on": DUE, "ends_on": "2024-10-01"}], DUE, 0.0),
    "terminated early": ([{"cancelled_on": "2024-07-15"}], DUE, 1.0),
    "terminated on the renewal itself": ([{"cancelled_on": DUE}], DUE, 1.0),
    "terminated early, back within grace": (
        [{"cancelled_on": "2024-07-15"}, {"starts_on": "2024-08-01", "ends_on": None}],
        DUE,
        0.0,
    ),
    "moved later after as_of, then lost": (AMENDED, DUE, 0.0),
    "moved earlier after as_of, then lost": (SHORTENED, DUE, 1.0),
    "an add-on ends first": ([{}, ADD_ON], DUE, 1.0),
    "an add-on ends first, the rest is renewed": (
        [{}, ADD_ON, {"starts_on": DUE, "ends_on": None}],
        DUE,
        0.0,
    ),
    "an add-on runs beside until 90 days later": (
        [{}, ADD_ON | {"ends_on": "2024-11-20"}],
        "2024-11-20",
        1.0,
    ),
    "renewed early, both in force": (
        [{}, {"starts_on": "2024-05-01", "ends_on": "2024-11-01"}],
        "2024-11-01",
        1.0,
    ),
    "a free contract beside has no renewal": ([{}, {"ends_on": "2025-01-01", "arr": 0}], DUE, 1.0),
    "a purchase beside has no renewal": ([{}, {"ends_on": "2025-01-01", "is_recurring": False}], DUE, 1.0),
    "evergreen": ([{"ends_on": None}], None, None),
    "evergreen beside one that ends": ([{}, {"ends_on": None}], None, None),
    "exactly the longest lead away": ([{"ends_on": "2024-11-28"}], "2024-11-28", None),
    "one day nearer than the longest lead": ([{"ends_on": "2024-11-27"}], "2024-11-27", 1.0),
    "ended on as_of": ([{"ends_on": "2024-06-01"}], None, None),
}


@pytest.fixture(scope="module")
def worked(recipe):
    """Labels of all cases at once, each case an account of its own."""
    tables = tables_of({case: history for case, (history, _, _) in CASES.items()})
    return label(tables, spine_of(CASES), recipe, LATER).set_index("account_id")


@pytest.mark.parametrize("case", CASES)
def test_a_renewal_worked_by_hand(worked, case):
    """Each history has the renewal known on 1 June, and the outcome a person would give it."""
    _, renews_on, expected = CASES[case]
    row = worked.loc[case]
    assert str(row["renews_on"]) == str(pd.Timestamp(renews_on))
    assert str(row["outcome_180d"]) == str(float("nan") if expected is None else expected)


@pytest.mark.parametrize(
    ("ends_on", "through", "expected"),
    [
        # 2024-09-01 + 30 + 2 = 2024-10-03, and of that last day all must be known
        (DUE, date(2024, 10, 3), None),
        (DUE, date(2024, 10, 4), 1.0),
        # known earlier than the window of 180 days, for the renewal lies nearer
        ("2024-06-20", date(2024, 7, 22), None),
        ("2024-06-20", date(2024, 7, 23), 1.0),
    ],
)
def test_a_renewal_is_censored_until_grace_and_lag_have_passed(recipe, ends_on, through, expected):
    """Lost or kept, a renewal counts from the day after its grace and the arrival lag."""
    kept = [{"ends_on": ends_on}, {"starts_on": ends_on, "ends_on": None}]
    tables = tables_of({"kept": kept, "lost": [{"ends_on": ends_on}]})
    found = label(tables, spine_of(["kept", "lost"]), recipe, through)["outcome_180d"]
    assert found.isna().all() if expected is None else found.tolist() == [0.0, expected]


def test_an_early_loss_is_not_told_before_its_renewal_is_over(recipe):
    """A termination in July is known in September; until October the row of a kept account is not."""
    tables = tables_of({"A": [{"cancelled_on": "2024-07-15"}]})
    assert label(tables, spine_of("A"), recipe, date(2024, 9, 15))["outcome_180d"].isna().all()
    assert label(tables, spine_of("A"), recipe, date(2024, 10, 4))["outcome_180d"].tolist() == [1.0]


def test_leads_stand_on_the_first_snapshot_nearer_than_each(recipe):
    """Of a renewal on 1 September, seen every 28 days: one row per lead, 28 days at most inside it."""
    days = pd.date_range("2024-01-13", "2024-08-24", freq="28D")
    labels = label(tables_of({"A": [{}]}), spine_of("A", days), recipe, LATER)
    ahead = (pd.Timestamp(DUE) - labels["as_of"]).dt.days
    assert ahead.tolist() == [232, 204, 176, 148, 120, 92, 64, 36, 8]
    shown = labels["lead_days"].fillna(0).astype(int).tolist()
    assert shown == [0, 0, 180, 0, 0, 120, 90, 60, 30]
    assert labels["outcome_180d"].notna().tolist() == [False, False] + [True] * 7


def test_leads_reached_in_one_step_share_a_row(tmp_path):
    """With 90 days between snapshots, one of them is the first inside 30 and inside 60 days."""
    wide = recipe_of(tmp_path, "step_days = 28 ", "step_days = 90 ")
    days = pd.to_datetime(["2024-02-14", "2024-05-14", "2024-08-12"])  # 200, 110 and 20 days before
    labels = label(tables_of({"A": [{}]}), spine_of("A", days), wide, LATER)
    assert labels["lead_days"].fillna(0).tolist() == [0.0, 120.0, 30.0]


def test_an_amendment_moves_no_row_that_stood_before_it(recipe):
    """Known in July: rows of June keep the old end, rows of August have the new one and its loss."""
    days = ["2024-06-12", "2024-06-30", "2024-07-01", "2024-08-15"]
    labels = label(tables_of({"A": AMENDED}), spine_of("A", days), recipe, LATER)
    assert labels["renews_on"].dt.strftime("%m-%d").tolist() == ["09-01", "09-01", "12-01", "12-01"]
    assert labels["outcome_180d"].tolist() == [0.0, 0.0, 1.0, 1.0]


def test_what_was_not_known_then_is_no_renewal(recipe):
    """A contract entered in July is no renewal of June; who looks later sees it."""
    tables = tables_of({"A": [{"known_at": "2024-07-10"}]})
    rows = spine_of("A")
    assert renewals(tables, rows).isna().all()
    late = rows.assign(known_at=pd.Timestamp("2024-07-10"))
    assert renewals(tables, late).tolist() == [pd.Timestamp(DUE)]
    assert recipe.needs == {"contracts"}


def test_notice_and_cause_are_those_of_every_churn_label(recipe):
    """Notice known at as_of is too late; the recorded reason stands beside the loss."""
    outcomes = pd.DataFrame(
        {
            "account_id": ["A"],
            "happened_on": pd.to_datetime(["2024-09-02"]),
            "outcome": ["churned"],
            "reason": ["non_payment"],
        }
    )
    contracts = {"A": [{"notice_given_on": "2024-05-31"}], "B": [{"notice_given_on": "2024-06-01"}]}
    labels = label(tables_of(contracts, outcomes=outcomes), spine_of("AB"), recipe, LATER)
    assert labels["too_late"].tolist() == [True, False]
    assert labels["involuntary"].tolist() == [True, False]
    assert labels["cause"].fillna("").tolist() == ["non_payment", ""]
    assert labels["churned_on"].tolist() == [pd.Timestamp(DUE)] * 2


def test_two_renewals_of_one_account_are_rows_of_their_own(recipe):
    """Renewed once, then lost: each renewal has a row per lead, none twice; evergreen accounts have none."""
    first, second = "2024-06-01", "2025-06-01"
    contracts = {
        "A": [{"ends_on": first}, {"starts_on": first, "ends_on": second}],
        "B": [{"ends_on": None}],
    }
    tables = tables_of(contracts)
    rows = snapshots(tables, recipe, LATER)
    assert rows["account_id"].unique().tolist() == ["A"]
    assert not rows.duplicated(["renews_on", "lead_days"]).any()
    found = rows.groupby("renews_on").agg(leads=("lead_days", sorted), lost=("outcome_180d", "mean"))
    assert found.index.strftime("%Y-%m-%d").tolist() == [first, second]
    assert found["leads"].tolist() == [[30.0, 60.0, 90.0, 120.0, 180.0]] * 2
    assert found["lost"].tolist() == [0.0, 1.0]
    assert set(population(tables, recipe, [AS_OF.date()])["account_id"]) == {"A", "B"}


def test_too_short_a_history_gives_no_rows_with_all_columns(recipe):
    """No date fits: the columns are there, of the same kinds."""
    tables = tables_of({"A": [{}]})
    full, empty = snapshots(tables, recipe, LATER), snapshots(tables, recipe, date(2023, 8, 1))
    assert len(full) == 5
    assert empty.empty
    assert empty.dtypes.astype(str).to_dict() == full.dtypes.astype(str).to_dict()


def test_a_label_learned_at_a_cutoff_was_known_there(recipe):
    """On a simulated company: rows that pass the purge have the label the tables of that day give them."""
    company = simulate_company(11, 300, days=730)
    tables = tables_from_frames(company.tables)
    through = company.first + timedelta(days=company.days)
    rows = snapshots(tables, recipe, through)
    assert (rows["renews_on"] < rows["as_of"] + pd.Timedelta(days=180)).all()
    cutoff = snapshot_dates(recipe, company.first, through)[-1]
    passed = rows[known_at_cutoff(rows["as_of"], 180, cutoff, recipe)].reset_index(drop=True)
    then = label(tables, passed[["account_id", "as_of", "known_at"]], recipe, cutoff)
    assert passed["outcome_180d"].sum() > 0
    assert then["outcome_180d"].equals(passed["outcome_180d"])
    assert then["lead_days"].equals(passed["lead_days"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[30, 60, 90, 120, 180]", "[30, 30, 60]", "write each lead once, the shortest first"),
        ("[30, 60, 90, 120, 180]", "[]", "'label.leads_days'"),
        ("[30, 60, 90, 120, 180]", "[0, 30]", "'label.leads_days.0' is 0"),
        ("leads_days", "lead_days", "unknown key 'label.lead_days'. Did you mean 'leads_days'?"),
        ("grace_days = 30 ", "grace_days = 30\nheadline_days = 90 ", "unknown key 'label.headline_days'"),
        ('mode = "renewal"', 'mode = "renewals"', "'label.mode' is 'renewals'"),
    ],
)
def test_a_wrong_renewal_label_names_file_key_and_remedy(tmp_path, old, new, message):
    """Its own keys are read as strictly as those of the other modes."""
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        recipe_of(tmp_path, old, new)
    assert str(caught.value).startswith("training/churn.toml: ")


def test_the_recipe_of_the_how_to_page_has_the_longest_lead_as_its_horizon(recipe):
    """One horizon, which is the headline; its outcome is churn."""
    named = (recipe.label.horizons_days, recipe.label.headline_days, recipe.label.outcome)
    assert named == ((180,), 180, "churned")
