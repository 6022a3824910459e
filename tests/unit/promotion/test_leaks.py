"""Planted leaks are named; honest features, however strong, are not."""

import re

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.promotion.leaks import suspect_edges, suspect_hindsight, suspect_leaks


@pytest.fixture(scope="module")
def world():
    """Six thousand snapshots of 600 accounts, 3% churn, honest features of differing strength."""
    rng = np.random.default_rng(2)
    accounts = np.repeat(np.arange(600), 10)
    risk = rng.normal(size=6000)
    y = (rng.random(6000) < 1 / (1 + np.exp(4.2 - 1.5 * risk))).astype(float)
    frame = pd.DataFrame(
        {
            "strong": risk + rng.normal(0, 0.5, 6000),
            "weak": rng.normal(size=6000),
            "plan": pd.Series(rng.choice(["basic", "plus"], 6000), dtype="str"),
            "gappy": np.where(rng.random(6000) < 0.5, np.nan, risk),
        }
    )
    return frame, y, accounts, rng


def names(frame, y, accounts):
    return [suspect.feature for suspect in suspect_leaks(frame, y, accounts, list(frame.columns), 0.95)]


def test_honest_features_are_not_suspected(world):
    """Even the true risk with a little noise is no leak."""
    frame, y, accounts, _ = world
    assert names(frame, y, accounts) == []


def test_a_copy_of_the_label_with_noise_is_named(world):
    """In either direction."""
    frame, y, accounts, rng = world
    copy = y + rng.normal(0, 0.2, len(y))
    assert names(frame.assign(copied=-copy), y, accounts) == ["copied"]


def test_a_ticket_before_a_third_of_all_churn_is_named(world):
    """Its area under the curve is far below the limit, but nothing honest is always followed by churn."""
    frame, y, accounts, rng = world
    ticket = np.where((y > 0) & (rng.random(len(y)) < 0.35), 1.0, 0.0)
    (suspect,) = suspect_leaks(frame.assign(ticket=ticket), y, accounts, ["weak", "ticket"], 0.95)
    assert suspect.feature == "ticket"
    assert "ticket from 1: 100% of such snapshots churn" in suspect.says


def test_a_null_that_knows_is_named(world):
    """A field that is emptied when the account leaves."""
    frame, y, accounts, rng = world
    owner = np.where((y > 0) | (rng.random(len(y)) < 0.002), np.nan, 1.0)
    (suspect,) = suspect_leaks(frame.assign(owner=owner), y, accounts, ["owner"], 0.95)
    assert "owner being null" in suspect.says


def test_an_overwritten_category_is_named(world):
    """A segment called lost."""
    frame, y, accounts, _ = world
    segment = pd.Series(np.where(y > 0, "lost", "smb"), dtype="str")
    (suspect,) = suspect_leaks(frame.assign(segment=segment), y, accounts, ["segment"], 0.95)
    assert "segment=" in suspect.says


def test_few_churned_accounts_accuse_nobody(world):
    """With nine churned accounts a perfect feature may be chance."""
    frame, y, _, _ = world
    few = np.zeros_like(y)
    few[:9] = 1.0
    assert names(frame.assign(copied=few), few, np.arange(len(y))) == []


HORIZONS = (30, 90, 180)


@pytest.fixture(scope="module")
def lives():
    """Three hundred accounts seen every 28 days; a third leaves, all are used less and less before."""
    rng = np.random.default_rng(5)
    days = pd.date_range("2023-01-02", periods=20, freq="28D").as_unit("us")
    end = np.where(rng.random(300) < 0.35, rng.integers(200, 540, 300), 10_000)
    account, step = np.nonzero(np.arange(20)[None, :] * 28 < end[:, None])
    left = end[account] - step * 28
    day = pd.Series(days[step])
    labels = pd.DataFrame({"account_id": [f"A-{a:03d}" for a in account], "as_of": day})
    labels["churned_on"] = (day + pd.to_timedelta(left, unit="D")).where(end[account] < 10_000)
    labels["churned_on"] = labels["churned_on"].astype("datetime64[us]")
    size = np.exp(rng.normal(2, 0.5, 300))[account]
    fade = np.clip(left / 150, 0.4, 1)
    matrix = labels[["account_id", "as_of"]].assign(
        active_users=rng.poisson(size * fade).astype(float),
        # everybody renews once a year; an end falls on a renewal
        days_to_renewal=np.where(end[account] < 10_000, left, (account * 37 - step * 28) % 364) % 364.0,
        tenure_days=28.0 * step,
        segment=pd.Series(rng.choice(["smb", "enterprise"], len(account)), dtype="str"),
    )
    matrix["in_notice_period"] = (matrix["days_to_renewal"] < 90).astype(float)
    return matrix, labels, left, rng


def honest(matrix):
    return [name for name in matrix.columns if name not in ("account_id", "as_of")]


def test_what_fades_and_what_the_calendar_does_is_not_suspected(lives):
    """Use that falls before the end, days to renewal and a notice period are honest, however strong."""
    matrix, labels, _, _ = lives
    assert suspect_edges(matrix, labels, honest(matrix), HORIZONS) == ()
    assert suspect_hindsight(matrix, labels, honest(matrix), 90) == ()


@pytest.mark.parametrize("horizon", [30, 90, 180])
def test_a_copy_of_the_label_jumps_at_the_edge_of_its_window(lives, horizon):
    """One in ten turned round: its AUROC is 0.9, no more than honest calendars have."""
    matrix, labels, left, rng = lives
    y = (left < horizon) ^ (rng.random(len(left)) < 0.1)
    (suspect,) = suspect_edges(
        matrix.assign(copied=y.astype(float)), labels, [*honest(matrix), "copied"], HORIZONS
    )
    assert suspect.feature == "copied"
    near = "28 days|30 days" if horizon == 30 else f"{horizon} days"  # a step is 28 days
    assert re.search(f"nearer than ({near})", suspect.says)
    assert (
        suspect_leaks(
            matrix.assign(copied=y.astype(float)), left < horizon, labels["account_id"], ["copied"], 0.95
        )
        == ()
    )


def test_a_count_of_the_future_falls_when_the_end_lies_inside_it(lives):
    """Events of the 28 days after as_of, of which fewer and fewer are left."""
    matrix, labels, left, rng = lives
    ahead = rng.poisson(np.exp(3.0) * np.clip(left, 0, 28) / 28).astype(float)
    (suspect,) = suspect_edges(
        matrix.assign(events_28d=ahead), labels, [*honest(matrix), "events_28d"], HORIZONS
    )
    assert suspect.feature == "events_28d"
    assert "events_28d falls in" in suspect.says
    assert "ends at as_of" in suspect.needs


@pytest.mark.parametrize("word", ["inactive", "churned"])
def test_a_value_overwritten_at_the_end_is_known_from_the_first_day(lives, word):
    """A segment set when accounts leave stands on all their snapshots, whatever it is called."""
    matrix, labels, _, _ = lives
    gone = labels["account_id"].isin(labels.loc[labels["churned_on"].notna(), "account_id"])
    segment = matrix["segment"].where(~gone, word).astype("str")
    (suspect,) = suspect_hindsight(matrix.assign(segment=segment), labels, honest(matrix), 90)
    assert suspect.feature == "segment"
    assert "known_at" in suspect.needs


def test_a_value_that_names_the_outcome_is_suspected_though_few_have_it(lives):
    """Six accounts called cancelled decide nothing by themselves; the word does."""
    matrix, labels, _, _ = lives
    gone = labels.loc[labels["churned_on"].notna(), "account_id"].unique()[:6]
    segment = matrix["segment"].where(~labels["account_id"].isin(gone), "Cancelled 2024").astype("str")
    (suspect,) = suspect_hindsight(matrix.assign(segment=segment), labels, honest(matrix), 90)
    assert "names the outcome" in suspect.says
    fine = matrix["segment"].where(~labels["account_id"].isin(gone), "public sector").astype("str")
    assert suspect_hindsight(matrix.assign(segment=fine), labels, honest(matrix), 90) == ()
