"""Churn by silence, worked by hand on one account at a time."""

from __future__ import annotations

import re
from datetime import date

import pandas as pd
import pytest

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.outcomes.snapshots import history_start, label, population, snapshots
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import load_workspace, standard_root

LABEL = """
mode = "inactivity"
horizon_days = 90
active_within_days = 60
arrival_lag_days = 2
"""
AS_OF = date(2024, 6, 1)  # the window ends before 2024-08-30
LATER = date(2025, 1, 1)


@pytest.fixture(scope="module")
def workspace_of(tmp_path_factory):
    def build(text):
        root = tmp_path_factory.mktemp("silent")
        standard = (standard_root() / "training" / "churn.toml").read_text(encoding="utf-8")
        before, after = standard.index("[label]"), standard.index("[snapshots]")
        (root / "training").mkdir()
        (root / "training" / "churn.toml").write_text(
            f"{standard[:before]}[label]\n{text}\n{standard[after:]}", encoding="utf-8"
        )
        return load_workspace(root)

    return build


@pytest.fixture(scope="module")
def recipe(workspace_of):
    return load_recipe(workspace_of(LABEL), "churn")


def tables_of(events, accounts=None):
    rows = [{"kind": "use"} | event for event in events]
    frame = pd.DataFrame(rows)
    frame["happened_at"] = pd.to_datetime(frame["happened_at"], format="ISO8601")
    if "known_at" in frame:
        frame["known_at"] = pd.to_datetime(frame["known_at"]).fillna(frame["happened_at"])
    frame.insert(0, "event_id", [f"E{number}" for number in range(len(frame))])
    if accounts is None:
        accounts = {"account_id": sorted(set(frame["account_id"]))}
    accounts = pd.DataFrame(accounts).assign(created_at=pd.Timestamp("2022-01-01"))
    return tables_from_frames({"accounts": accounts, "usage_events": frame})


def at(*times, account="A", **more):
    return [{"account_id": account, "happened_at": time} | more for time in times]


def outcome(tables, recipe, data_through=LATER):
    labels = label(tables, population(tables, recipe, [AS_OF]), recipe, data_through)
    return dict(zip(labels["account_id"], labels["outcome_90d"], strict=True))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (at("2024-05-30"), 1.0),
        (at("2024-05-30", "2024-06-01"), 0.0),
        (at("2024-05-30", "2024-08-29 23:00"), 0.0),
        (at("2024-05-30", "2024-08-30"), 1.0),
        (at("2024-05-30") + at("2024-07-01", kind="admin"), 1.0),
        (at("2024-05-30") + at("2024-07-01", kind="export"), 1.0),
        (at("2024-05-30") + at("2024-07-01", kind=None), 0.0),
        (at("2024-04-02"), 1.0),
        (at("2024-04-01 23:00"), None),
        (at("2024-05-30", kind="admin"), None),
        (at("2024-06-01"), None),
        (at("2024-05-30", known_at="2024-06-02"), None),
        (at("2024-05-30") + at("2024-07-01", known_at="2025-02-01"), 1.0),
    ],
)
def test_silence_worked_by_hand(recipe, events, expected):
    """Who was in use in the 60 days before, and whether use followed in the 90 days from as_of on."""
    found = outcome(tables_of(events), recipe)
    assert found == ({} if expected is None else {"A": expected})


def test_a_window_that_reaches_past_the_data_is_censored(recipe):
    """2024-06-01 + 90 + 2 = 2024-09-01: before that day silence proves nothing."""
    tables = tables_of([*at("2024-05-30"), *at("2024-05-30", "2024-06-10", account="B")])
    early = label(tables, population(tables, recipe, [AS_OF]), recipe, date(2024, 8, 31))
    assert early["outcome_90d"].isna().all()
    assert early["churned_on"].isna().all()
    assert outcome(tables, recipe, date(2024, 9, 1)) == {"A": 1.0, "B": 0.0}


def test_silence_begins_the_day_after_the_last_use(recipe):
    """The date of churn is the first day without use."""
    tables = tables_of([*at("2024-05-20", "2024-05-28 17:00"), *at("2024-05-30", "2024-06-10", account="B")])
    labels = label(tables, population(tables, recipe, [AS_OF]), recipe, LATER).set_index("account_id")
    assert labels.loc["A", "churned_on"] == pd.Timestamp("2024-05-29")
    assert pd.isna(labels.loc["B", "churned_on"])
    assert not labels["too_late"].any()


def test_use_of_a_child_counts_for_its_parent(recipe):
    """A parent whose child goes on is no churn, the child is no row of its own, an orphan is one."""
    accounts = {"account_id": ["P", "C", "O"], "parent_account_id": [None, "P", "nobody"]}
    tables = tables_of(
        [*at("2024-05-30", account="P"), *at("2024-07-01", account="C"), *at("2024-05-30", account="O")],
        accounts,
    )
    assert outcome(tables, recipe) == {"P": 0.0, "O": 1.0}
    assert population(tables, recipe, [AS_OF], account_ids=["P"])["account_id"].tolist() == ["P"]


def test_population_follows_when_we_look(recipe):
    """An event that arrived late makes its account active only for those who look later."""
    tables = tables_of(at("2024-05-30", known_at="2024-06-05"))
    assert population(tables, recipe, [AS_OF]).empty
    later = population(tables, recipe, [AS_OF], known_at=pd.Timestamp("2024-06-05"))
    assert later["account_id"].tolist() == ["A"]
    assert (later["known_at"] == pd.Timestamp("2024-06-05")).all()
    with pytest.raises(ValueError, match="lies before as_of"):
        population(tables, recipe, [AS_OF], known_at=pd.Timestamp("2024-05-05"))


def test_what_counts_as_use_is_the_workspaces_to_say(workspace_of):
    """A condition over usage_events decides; one that names an unknown column is refused with the key."""
    strict = load_recipe(workspace_of(f"{LABEL}meaningful = \"kind = 'key'\""), "churn")
    tables = tables_of([*at("2024-05-30", kind="key"), *at("2024-07-01", kind="use")])
    assert outcome(tables, strict) == {"A": 1.0}
    with pytest.raises(ConfigError, match=re.escape("key 'label.meaningful'")) as caught:
        load_recipe(workspace_of(f"{LABEL}meaningful = \"knd = 'key'\""), "churn")
    assert "Did you mean 'kind'?" in str(caught.value)


def test_snapshots_without_contracts_begin_with_the_usage_feed(recipe):
    """History starts at the first event; rows are accounts in use on their date, without ARR."""
    days = [str(day) for day in pd.date_range("2023-06-01", "2024-11-01", freq="7D")]
    tables = tables_of([*at(*days), *at(*days[:30], account="B")])
    assert history_start(tables) == date(2023, 6, 1)
    rows = snapshots(tables, recipe, date(2024, 11, 1))
    assert "arr" not in rows
    assert rows["as_of"].min() >= pd.Timestamp("2023-08-24")
    assert rows.loc[rows["account_id"] == "B", "outcome_90d"].iloc[-1] == 1.0
    assert (rows.loc[rows["account_id"] == "A", "outcome_90d"] == 0.0).all()
    assert rows.columns.tolist() == snapshots(tables, recipe, date(2023, 7, 1)).columns.tolist()


def test_recipes_say_which_tables_they_need(recipe):
    """Contracts for churn and expansion, usage for inactivity."""
    standard = load_workspace(standard_root())
    assert recipe.needs == {"usage_events"}
    assert load_recipe(standard, "churn").needs == {"contracts"}
    assert load_recipe(standard, "expansion").needs == {"contracts"}
    assert (recipe.label.horizons_days, recipe.label.headline_days) == ((90,), 90)
