"""What a challenger shows of a simulated company: its notice periods, its calibrations, its outlook."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from promotion_world import simulate

from lifecycle_ml.models.evaluation import evaluate
from lifecycle_ml.promotion.backtest import MODEL
from lifecycle_ml.promotion.challenger import build_challenger
from lifecycle_ml.promotion.outlook import arr_outlook


@pytest.fixture(scope="module")
def built(recipe):
    """A company with notice periods, and its challenger."""
    world = simulate()
    matrix = world.matrix.assign(notice_days=60.0, term_days=365.0)
    segments = {account: f"S{int(account[2:]) % 2}" for account in matrix["account_id"].unique()}
    challenger = build_challenger(
        matrix,
        world.labels,
        world.inputs,
        recipe,
        world.data_through,
        segments=segments,
        num_threads=1,
        draws=50,
    )
    return replace(world, matrix=matrix), challenger


def test_the_backtest_carries_what_figures_rest_on(built, recipe):
    """Every row has renewal, notice and end as the snapshot knew them, and an uncalibrated probability."""
    world, challenger = built
    back = challenger.backtest
    keys = ["account_id", "as_of"]
    known = world.matrix[[*keys, "days_to_renewal"]].merge(world.labels[[*keys, "churned_on"]], on=keys)
    joined = back.rows.merge(known, on=keys, suffixes=("", "_known"))
    assert len(joined) == len(back.rows)
    for name in ("days_to_renewal", "churned_on"):
        pd.testing.assert_series_equal(joined[name], joined[f"{name}_known"], check_names=False)
    assert (back.rows["notice_days"] == 60).all()
    assert challenger.evaluation.warning[MODEL].by_notice == challenger.evaluation.warning[MODEL].losses > 0
    applied = np.sum([apply for apply, _ in back.calibrated_from], axis=0)
    assert (applied == 1).all()
    for apply, learn in back.calibrated_from:
        assert not (apply & learn).any()
    assert evaluate(back.y, back.uncalibrated, back.rows["account_id"], draws=0)["auroc"].value > 0.6


def test_notice_as_long_as_the_term_is_a_mistake(built, recipe):
    """It is read as none, so the end itself counts. And a refused model has no outlook to give."""
    world, _ = built
    challenger = build_challenger(
        world.matrix.assign(term_days=30.0),
        world.labels,
        world.inputs,
        recipe,
        world.data_through,
        as_of_today=["plan"],
        num_threads=1,
        draws=5,
    )
    assert challenger.backtest.rows["notice_days"].isna().all()
    assert challenger.evaluation.warning[MODEL].by_notice == 0
    assert challenger.refusals
    assert challenger.outlook is None


def test_the_outlook_is_that_of_the_newest_snapshots(built):
    """Sums over months are the probability at the longest horizon times ARR, as the bundle scores it."""
    world, challenger = built
    newest = world.matrix["as_of"].max()
    outlook = arr_outlook(challenger.bundle, challenger.evaluation, world.matrix, world.labels)
    assert (challenger.outlook is None) == bool(challenger.refusals)
    assert outlook.as_of == newest
    scored = challenger.bundle.score(world.matrix[world.matrix["as_of"] == newest])
    sums = outlook.accounts.groupby("account_id")["expected"].sum()
    assert sums.loc[scored["account_id"]].to_numpy() == pytest.approx(
        1000 * scored["probability_180d"].to_numpy()
    )
    whole = outlook.total.iloc[-1]
    assert whole["expected"] == pytest.approx(sums.sum())
    assert whole["low"] < whole["expected"] < whole["high"]
    assert arr_outlook(challenger.rules, challenger.evaluation, world.matrix, world.labels) is None
    no_arr = world.labels.drop(columns="arr")
    assert arr_outlook(challenger.bundle, challenger.evaluation, world.matrix, no_arr) is None
