"""The benchmark of effects, small: the hold-out finds what is there, before and after what is not."""

from __future__ import annotations

import pytest
from benchmarks import playbook_effects
from benchmarks.playbook_effects import RELIEF, Estimate, estimate, summarise


@pytest.fixture(scope="module", autouse=True)
def two_companies():
    """Small companies, so that it takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(playbook_effects, "COMPANIES", 2)
        yield
    playbook_effects.outlooks.cache_clear()


@pytest.mark.parametrize("relief", [RELIEF, 1.0])
def test_the_interval_holds_the_true_effect_and_is_no_wider_than_planned(relief):
    """19 in 20 on average; the seeds are fixed, so this run is always the same."""
    figures = summarise([estimate(seed, relief, accounts=500) for seed in range(20)])

    assert figures["covered"] >= 17
    assert figures["width_ratio"] <= 1.2
    assert abs(figures["effect"] - figures["true"]) < 0.02


def test_before_and_after_sees_an_effect_where_there_is_none():
    """Work that does nothing looks as if it kept three accounts in a hundred: the reason for hold-outs."""
    figures = summarise([estimate(seed, 1.0, accounts=500) for seed in range(20)])

    assert figures["true"] == 0
    assert figures["naive"] > 0.02


def test_an_estimate_off_its_interval_is_counted_as_missed():
    """The count can fall."""
    sure = {"held_out": 10, "offered": 20, "delivered": 1.0, "width": 0.1, "planned": 0.1, "naive": 0.0}
    found = [
        Estimate(seed=0, relief=1.0, true=0.0, effect=0.1, low=0.05, high=0.15, **sure),
        Estimate(seed=1, relief=1.0, true=0.1, effect=0.1, low=0.05, high=0.15, **sure),
    ]

    assert summarise(found)["covered"] == 1
