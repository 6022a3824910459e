"""Accounts that were worked on: figures with and without them, and what a recipe learns from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from promotion_world import simulate

from lifecycle_ml.outcomes.treatment import with_treatment
from lifecycle_ml.promotion.card import write_card
from lifecycle_ml.promotion.challenger import build_challenger
from lifecycle_ml.promotion.evaluation import LEFT_ALONE, WORKED_ON, say_worked_on
from lifecycle_ml.promotion.training import describe

SMALL = {"tiers": {"advisory_from_accounts": 30, "full_from_accounts": 5000, "min_history_horizons": 2}}


@pytest.fixture(scope="module")
def world():
    """A company small enough for the logistic regression."""
    return simulate(accounts=260, dates=20, level=0.03)


@pytest.fixture(scope="module")
def advisory(recipe):
    """A recipe under which that company is advisory."""
    tiers = recipe.tiers.model_copy(update=SMALL["tiers"])
    gate = recipe.gate.model_copy(update={"min_events": 10})
    return recipe.model_copy(update={"tiers": tiers, "gate": gate})


@pytest.fixture(scope="module")
def done(world):
    """A step done for every third account on one day, and everybody offered it."""
    accounts = sorted(world.matrix["account_id"].unique())[::3]
    at = world.matrix["as_of"].sort_values().unique()[8] + pd.Timedelta(days=5)
    return pd.DataFrame({"account_id": accounts, "arm": "offered", "at": at, "done_at": at})


def build(world, recipe, interventions):
    """A challenger, and the labels it learned from."""
    labels = with_treatment(world.labels, interventions, recipe, world.data_through)
    data = describe(labels, "sha256:ab", world.data_through)
    made = build_challenger(
        world.matrix, labels, world.inputs, recipe, world.data_through, data=data, draws=50
    )
    return made, labels, data


@pytest.mark.slow
def test_without_work_nothing_changes_and_with_it_figures_stand_apart(world, advisory, done):
    """Digests are the same for no store and an empty one; marks alone change no model."""
    plain, _, _ = build(world, advisory, None)
    empty, _, data = build(world, advisory, done.iloc[:0])
    marked, labels, counts = build(world, advisory, done)

    assert plain.bundle.digest == empty.bundle.digest
    assert "treatment" not in data
    assert set(marked.evaluation.groups) - set(plain.evaluation.groups) == {LEFT_ALONE, WORKED_ON}
    rows = {name: marked.evaluation.groups[name].rows for name in (LEFT_ALONE, WORKED_ON)}
    assert sum(rows.values()) == marked.evaluation.counts["rows"]
    assert rows[WORKED_ON] > 0
    assert marked.evaluation.metrics["auroc"] == plain.evaluation.metrics["auroc"]
    treated = int((labels["treatment"] == "treated").sum())
    assert counts["treatment"] == {"snapshots": len(labels), "treated": treated, "held_out": 0}
    says = say_worked_on(counts["treatment"], marked.evaluation, advisory)
    assert says.startswith(f"{treated:,} of {len(labels):,} snapshots (")
    assert "must not teach the model" in says
    assert f"instead of {marked.evaluation.metrics['auroc'].value:.3f}" in says
    card = write_card(marked, advisory, world.inputs, counts)
    assert "## Accounts that were worked on" in card
    assert "| Nobody worked on them |" in card
    assert "worked on" not in write_card(plain, advisory, world.inputs, data)


@pytest.mark.slow
def test_a_recipe_may_leave_out_what_was_worked_on(world, advisory, done):
    """The model learns from fewer rows; every row is tested all the same."""
    kept, _, _ = build(world, advisory, done)
    without, _, counts = build(world, advisory.model_copy(update={"treated": "leave_out"}), done)

    assert without.evaluation.counts == kept.evaluation.counts
    assert without.bundle.digest != kept.bundle.digest
    assert not np.isnan(without.backtest.at_headline("model")).any()
    assert "left out of learning" in say_worked_on(
        counts["treatment"], without.evaluation, advisory.model_copy(update={"treated": "leave_out"})
    )
