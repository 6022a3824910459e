"""Planted leaks are named; honest features, however strong, are not."""

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.promotion.leaks import suspect_leaks


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
