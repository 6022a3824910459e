"""Plots of a training: pictures of a size a person can read, the same bytes for the same figures."""

import struct

import numpy as np
import pandas as pd
import pytest
from promotion_world import simulate

from lifecycle_ml.promotion.backtest import MODEL
from lifecycle_ml.promotion.challenger import build_challenger
from lifecycle_ml.promotion.plots import draw_gain, draw_plots, draw_stability, readable


@pytest.fixture(scope="module")
def built(recipe):
    """A company and its challenger."""
    world = simulate(accounts=300)
    challenger = build_challenger(
        world.matrix, world.labels, world.inputs, recipe, world.data_through, num_threads=1, draws=20
    )
    return world, challenger


def size_of(png):
    """Width and height, from the header every PNG begins with."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", png[16:24])


def test_a_training_leaves_four_pictures(built):
    """Calibration, gain, contributions and stability, each large enough to read and small enough to keep."""
    world, challenger = built
    plots = draw_plots(challenger.backtest, challenger.bundle, world.matrix, "churned")
    assert sorted(plots) == ["contributions.png", "gain.png", "reliability.png", "stability.png"]
    for png in plots.values():
        width, height = size_of(png)
        assert 700 <= width <= 1600
        assert 400 <= height <= 1200
        assert len(png) < 300_000


def test_the_same_training_gives_the_same_bytes(built):
    """Nothing of the clock or the machine is in a picture."""
    world, challenger = built
    first = draw_plots(challenger.backtest, challenger.bundle, world.matrix, "churned")
    assert draw_plots(challenger.backtest, challenger.bundle, world.matrix, "churned") == first


def test_pictures_show_what_they_are_drawn_from(built):
    """Another ranking is another picture: the gain is not that of some constant."""
    _, challenger = built
    tried = challenger.backtest
    accounts = tried.rows["account_id"].to_numpy()
    p = tried.at_headline(MODEL)
    drawn = draw_gain(tried.y, p, accounts, None, "churned", 90)
    assert draw_gain(tried.y, 1 - p, accounts, None, "churned", 90) != drawn
    assert draw_gain(tried.y, p, accounts, ("usage_drop", 1 - p), "churned", 90) != drawn


def test_a_cutoff_without_the_outcome_has_no_point():
    """One class at a cut-off leaves a gap, not an error."""
    rng = np.random.default_rng(0)
    y = np.r_[np.zeros(60), rng.random(60) < 0.3].astype(float)
    fold = np.repeat([0, 1], 60)
    accounts = np.array([f"A-{number % 30}" for number in range(120)], dtype=object)
    days = tuple(pd.to_datetime(["2024-01-01", "2024-04-01"]).date)
    png = draw_stability(y, rng.random(120), accounts, fold, days, "churned")
    assert size_of(png)[0] > 1000
    assert draw_stability(y, rng.random(120), accounts, fold, days, "churned") != png


def test_without_a_model_there_is_nothing_to_draw(built):
    """Too few accounts for a model, so no picture pretends there was one."""
    world, challenger = built
    assert draw_plots(None, None, world.matrix, "churned") == {}
    assert draw_plots(challenger.backtest, None, world.matrix, "churned") == {}


def test_feature_names_are_written_as_words():
    """Windows become periods, underscores blanks."""
    assert readable("active_users_28d") == "Active users (28 days)"
    assert readable("days_to_renewal") == "Days to renewal"
    assert readable("users_28d_usual") == "Users (28 days) usual"


def test_matplotlib_is_imported_by_the_plots_alone():
    """Neither scoring nor the service pays for it."""
    import subprocess
    import sys

    code = (
        "import sys, lifecycle_ml.promotion.training, lifecycle_ml.promotion.challenger; "
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
