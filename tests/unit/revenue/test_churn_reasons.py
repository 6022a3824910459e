"""Reasons for leaving by month: counts, limits, and what each would change."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest
from scipy.stats import betabinom

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.revenue.churn_reasons import (
    FILE,
    control_chart,
    load_review,
    predicted_counts,
    reasons_report,
    recorded_counts,
)
from lifecycle_ml.revenue.known import known_tables
from lifecycle_ml.store.engine import open_engine
from lifecycle_ml.store.rows import Publication
from lifecycle_ml.store.schema import listings, metadata, publications
from lifecycle_ml.tables.schema import CATEGORIES
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root

STANDARD = Workspace(standard_root(), standard_root())


def counts(**columns):
    months = pd.period_range("2024-01", periods=len(next(iter(columns.values()))), freq="M")
    return pd.DataFrame(columns, index=months.strftime("%Y-%m"))


def test_a_month_is_held_against_the_months_before_it():
    """Of 40 reasons 10 were a; then 9 of 10."""
    chart = control_chart(counts(a=[5, 5, 9], b=[15, 15, 1])).set_index(["month", "category"])
    last = chart.loc[("2024-03", "a")]
    law = betabinom(10, 10.5, 30.5)

    assert (last["centre"], last["share"], last["of"]) == (0.25, 0.9, 10)
    assert (last["low"], last["high"]) == (law.ppf(0.00135), law.ppf(0.99865))
    assert last["signal"] == "above"
    assert chart.loc[("2024-03", "b"), "signal"] == "below"


def test_ordinary_months_raise_no_signal():
    chart = control_chart(counts(a=[5, 5, 4], b=[15, 15, 6]))

    assert chart["signal"].isna().all()


def test_with_few_reasons_before_there_are_no_limits():
    """19 reasons before are one too few."""
    chart = control_chart(counts(a=[19, 0], b=[0, 10])).set_index(["month", "category"])

    assert np.isnan(chart.loc[("2024-02", "b"), "high"])
    assert (
        control_chart(counts(a=[20, 0], b=[0, 10]))
        .set_index(["month", "category"])
        .loc[("2024-02", "b"), "signal"]
        == "above"
    )


def test_under_constant_shares_hardly_any_month_is_outside():
    """400 months of 11 categories, 30 reasons each: about 0.27% of the points, not more than twice that."""
    drawn = np.random.default_rng(7).multinomial(30, [0.3, 0.2, *[0.5 / 9] * 9], size=400)
    months = pd.period_range("1990-01", periods=400, freq="M").strftime("%Y-%m")
    chart = control_chart(pd.DataFrame(drawn, index=months, columns=list(CATEGORIES)), months=399)

    assert 0 < chart["signal"].notna().mean() < 2 * 0.0027


def test_recorded_reasons_are_those_known_and_months_without_any_are_zero():
    """One loss of May is recorded in July; on 1 July it is unknown. June has none."""
    outcomes = pd.DataFrame(
        {
            "account_id": ["A", "B", "C", "D", "E"],
            "happened_on": pd.to_datetime(
                ["2024-04-10", "2024-05-10", "2024-05-11", "2024-05-12", "2024-05-13"]
            ),
            "outcome": ["churned", "churned", "churned", "expanded", "churned"],
            "reason": ["champion_left", "champion_left", "champion_left", None, "non_payment"],
            "known_at": pd.to_datetime(
                ["2024-04-11", "2024-07-02", "2024-05-12", "2024-05-13", "2024-05-14"]
            ),
        }
    )
    accounts = pd.DataFrame({"account_id": list("ABCDE"), "created_at": pd.Timestamp("2023-01-01")})
    tables = tables_from_frames({"accounts": accounts, "outcomes": outcomes})
    found, without = recorded_counts(known_tables(tables, date(2024, 7, 1)))

    assert found["champion_left"].to_dict() == {"2024-04": 1, "2024-05": 1, "2024-06": 0}
    assert found.drop(columns="champion_left").to_numpy().sum() == 0
    assert without == 1


@pytest.fixture
def engine(tmp_path):
    made = open_engine(f"sqlite:///{tmp_path / 'store.db'}")
    metadata.create_all(made)
    yield made
    made.dispose()


def publication(number, as_of):
    moment = datetime.fromisoformat(f"{as_of}T02:00")
    return Publication(
        publication_id=number,
        as_of=date.fromisoformat(as_of),
        known_at=moment,
        now=moment,
        kind="nightly",
        digests={},
        published_at=moment,
    )


def test_predicted_reasons_count_accounts_that_newly_turned(engine):
    """A is red in May and June: no new reason. B turns in June, C's reason is unknown, D stays green."""
    told = {
        1: [("A", "red", "champion_left"), ("B", "green", "unknown")],
        2: [
            ("A", "red", "champion_left"),
            ("B", "yellow", "budget_eliminated"),
            ("C", "red", "unknown"),
            ("D", "green", "champion_left"),
        ],
    }
    days = {1: "2024-05-31", 2: "2024-06-28"}
    made = [publication(number, day) for number, day in days.items()]
    with engine.begin() as connection:
        for each in made:
            connection.execute(
                publications.insert().values(
                    publication_id=each.publication_id,
                    as_of=each.as_of,
                    known_at=each.known_at,
                    now=each.now,
                    kind=each.kind,
                    digests={},
                    attempt=1,
                    ledger_seen=0,
                    published_at=each.published_at,
                )
            )
            for account, health, reason in told[each.publication_id]:
                connection.execute(
                    listings.insert().values(
                        publication_id=each.publication_id,
                        account_id=account,
                        called=account,
                        health=health,
                        band="high",
                        reason=reason,
                    )
                )
    found = predicted_counts(engine, made, date(2024, 7, 5))

    assert found.loc["2024-06"].to_dict() == dict.fromkeys(CATEGORIES, 0) | {"budget_eliminated": 1}
    assert list(found.index) == ["2024-06"]
    assert predicted_counts(engine, made[:1], date(2024, 7, 5)).empty


def test_every_category_says_what_would_change_and_who_decides():
    review = load_review(STANDARD)
    chart = control_chart(
        pd.DataFrame(
            [[10] * 11, [10] * 11, [30] + [0] * 10],
            columns=list(CATEGORIES),
            index=["2024-01", "2024-02", "2024-03"],
        )
    )
    report = reasons_report({"recorded": chart}, review, dict.fromkeys(CATEGORIES, "label"))
    first = report["categories"][0]

    assert [row["category"] for row in report["categories"]] == list(CATEGORIES)
    assert all(row["decides"] and row["if_it_rose"] for row in report["categories"])
    assert first["signals"] == [{"chart": "recorded", "month": "2024-03", "signal": "above"}]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            "[categories.champion_gone]\nif_it_rose = 'Call within a week of it.'\ndecides = 'csm'",
            "champion_gone",
        ),
        ("[categories.champion_left]\nif_it_rose = 'Call within a week of it.'\ndecides = 'boss'", "decides"),
        ("[categories.champion_left]\nif_it_rose = 'Call.'\ndecides = 'csm'", "if_it_rose"),
        ("[categories]", "categories missing"),
    ],
)
def test_a_wrong_review_file_is_refused_by_name(tmp_path, wrong, says):
    folder = tmp_path / "serving"
    folder.mkdir()
    (folder / FILE).write_text(wrong, encoding="utf-8")

    with pytest.raises(ConfigError, match=says):
        load_review(Workspace(tmp_path, standard_root()))
