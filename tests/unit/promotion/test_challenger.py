"""A challenger on past dates: honest figures, right tier, right answer of the gate, same digest again."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from promotion_world import simulate

from lifecycle_ml.models.logistic import sigmoid
from lifecycle_ml.outcomes.splits import known_at_cutoff, rolling_origins
from lifecycle_ml.promotion import backtest as backtests
from lifecycle_ml.promotion.challenger import build_challenger


@pytest.fixture(scope="module")
def built(recipe):
    """A company whose causes can be learned, and its challenger."""
    world = simulate()
    return world, build(world, recipe)


def build(world, recipe, **changes):
    settings = {"num_threads": 1, "draws": 200, **changes}
    return build_challenger(world.matrix, world.labels, world.inputs, recipe, world.data_through, **settings)


def test_a_model_with_skill_passes_and_serves(built):
    """It beats every rule, is calibrated, and is what may be served."""
    _, challenger = built
    assert challenger.refusals == ()
    assert challenger.serves is challenger.bundle
    assert challenger.tier.name == "full"
    gains = challenger.evaluation.gains
    assert set(gains) == {"base_rate", "renewal_calendar", "usage_drop", "recency_frequency", "logistic"}
    assert all(gain.low > 0 for name, gain in gains.items() if name != "logistic")
    slope = challenger.evaluation.metrics["calibration_slope"]
    assert slope.low < 1 < slope.high


def test_the_rates_of_a_rule_are_those_of_the_bands_it_puts_accounts_into(built):
    """Not of the bands that other fits of it, at earlier cut-offs, put them into."""
    world, challenger = built
    tested = world.matrix.merge(challenger.backtest.rows[["account_id", "as_of"]])
    left = tested[["account_id", "as_of"]].merge(world.labels, on=["account_id", "as_of"])["outcome_90d"]
    bands = np.array(challenger.rules.model.bands(tested))
    rates = challenger.rules.band_rates
    for band in np.unique(bands):
        assert rates[band] == pytest.approx(left[bands == band].mean())
    # and the base rate that colours compare them with is that of the same rows, whatever it was before
    mean = np.mean([rates[band] for band in bands])
    assert challenger.rules.base_rates[90] == pytest.approx(mean, abs=1 / len(bands))
    assert challenger.rules.base_rates[90] != pytest.approx(challenger.bundle.base_rates[90], rel=1e-3)


def test_predictions_are_those_of_the_figures(built):
    """One row per account, date and horizon with a known outcome, tested once, probabilities rising."""
    world, challenger = built
    frame = challenger.predictions
    assert list(frame.columns) == ["account_id", "as_of", "horizon_days", "probability", "outcome", "fold"]
    assert not frame.duplicated(["account_id", "as_of", "horizon_days"]).any()
    wide = frame.set_index(["account_id", "as_of", "horizon_days"])["probability"].unstack().dropna()  # noqa: PD010
    assert (np.diff(wide.to_numpy(), axis=1) >= 0).all()
    headline = frame[frame["horizon_days"] == 90]
    assert len(headline) == challenger.evaluation.counts["rows"]
    truth = world.labels.set_index(["account_id", "as_of"])["outcome_90d"]
    joined = headline.set_index(["account_id", "as_of"])["outcome"]
    assert (truth.loc[joined.index] == joined).all()


def test_no_cutoff_learns_from_a_label_known_later(built, recipe, monkeypatch):
    """Every training row's label window, grace and lag end at the cut-off or before."""
    world, _ = built
    seen = []
    fit = backtests.fit_model

    def spy(matrix, labels, *args, **kwargs):
        seen.append(labels)
        return fit(matrix, labels, *args, **kwargs)

    monkeypatch.setattr(backtests, "fit_model", spy)
    build(world, recipe, draws=20)
    dates = [stamp.date() for stamp in sorted(world.matrix["as_of"].unique().tolist())]
    folds = rolling_origins(dates, recipe, world.data_through)
    assert len(seen) == 2 * len(folds)
    for fold, labels in zip(np.repeat(np.array(folds, dtype=object), 2), seen, strict=True):
        for horizon in recipe.label.horizons_days:
            used = labels["as_of"][labels[f"outcome_{horizon}d"].notna()]
            assert known_at_cutoff(used.to_numpy(), horizon, fold.cutoff, recipe).all()
            assert used.max() + pd.Timedelta(days=horizon + 32) <= pd.Timestamp(fold.test_dates[0])


def out_of_time_rows(recipe, cutoffs, accounts=400, seed=0):
    """Margins and outcomes of accounts tested on three dates after each cut-off."""
    rng = np.random.default_rng(seed)
    grid = [
        (fold, pd.Timestamp(cutoff) + pd.Timedelta(days=28 * step), account)
        for fold, cutoff in enumerate(cutoffs)
        for step in range(3)
        for account in rng.choice(accounts, accounts // 2, replace=False)
    ]
    fold, as_of, account = (np.array(column) for column in zip(*grid, strict=True))
    raw = np.repeat(rng.normal(size=(len(grid), 1)), 3, axis=1)
    margins = backtests.Margins(raw, np.broadcast_to([-2.0, -1.0, 0.0], raw.shape))
    outcomes = (rng.random(raw.shape) < sigmoid(margins.starts + 2 * raw)).astype(float)
    names = np.array([f"A-{number}" for number in account], dtype=object)
    return backtests._Calibrator(margins, outcomes, names, as_of.astype("datetime64[us]"), fold, recipe)


def test_no_calibration_sees_what_was_not_known_at_its_cutoff(recipe):
    """Turning round every outcome known later changes nothing at a cut-off that earlier ones calibrate."""
    cutoffs = [date(2025, 1, 1) + timedelta(days=84 * step) for step in range(4)]
    rows = out_of_time_rows(recipe, cutoffs)
    models = [None] * len(cutoffs)
    before = rows.cross_fitted(cutoffs, models, seed=0)
    for fold in (2, 3):
        later = ~rows._known_at(cutoffs[fold])
        assert later.any()
        turned = replace(rows, outcomes=np.where(later, 1 - rows.outcomes, rows.outcomes))
        assert (
            turned.cross_fitted(cutoffs, models, seed=0)[rows.fold_of == fold] == before[rows.fold_of == fold]
        ).all()
        known = rows._known_at(cutoffs[fold]) & (rows.fold_of < fold)[:, None]
        turned = replace(rows, outcomes=np.where(known, 1 - rows.outcomes, rows.outcomes))
        assert (
            turned.cross_fitted(cutoffs, models, seed=0)[rows.fold_of == fold] != before[rows.fold_of == fold]
        ).any()


def test_where_nothing_was_known_accounts_calibrate_each_other(recipe):
    """In the first cut-off no account's own outcome moves its probability; other accounts' do."""
    cutoffs = [date(2025, 1, 1)]
    rows = out_of_time_rows(recipe, cutoffs)
    before = rows.cross_fitted(cutoffs, [None], seed=0)
    own = rows.accounts == rows.accounts[0]
    turned = replace(rows, outcomes=np.where(own[:, None], 1 - rows.outcomes, rows.outcomes))
    after = turned.cross_fitted(cutoffs, [None], seed=0)
    assert (after[own] == before[own]).all()
    assert (after != before).any()


def test_same_arguments_give_the_same_digest(built, recipe):
    """Bundle, rule and figures are a function of data, recipe and seed."""
    world, challenger = built
    again = build(world, recipe, num_threads=2)
    assert again.bundle.digest == challenger.bundle.digest
    assert again.rules.digest == challenger.rules.digest


def test_shuffled_labels_are_refused(recipe):
    """Outcomes dealt to other accounts: no skill, and the best rule serves instead."""
    world = simulate(accounts=400, seed=3)
    ids = world.labels["account_id"].unique()
    other = dict(zip(ids, np.random.default_rng(0).permutation(ids), strict=True))
    columns = [column for column in world.labels if column.startswith("outcome_")]
    dealt = world.labels[["account_id", "as_of"]].assign(account_id=world.labels["account_id"].map(other))
    dealt = dealt.merge(world.labels[["account_id", "as_of", *columns]], "left", ["account_id", "as_of"])
    labels = world.labels.assign(**{column: dealt[column].to_numpy() for column in columns})
    challenger = build(replace(world, labels=labels), recipe)
    assert "no_skill" in {refusal.rule for refusal in challenger.refusals}
    assert challenger.serves is challenger.rules
    assert challenger.serves.source == "rules"
    scored = challenger.serves.score(world.matrix.head(20))
    assert scored["probability_90d"].isna().all()
    assert scored["risk"].between(0, 1).all()


def test_a_leak_is_refused_by_name(recipe):
    """However good the figures, a feature that knows the answer keeps the model out."""
    world = simulate(accounts=300, seed=4)
    future = world.labels["outcome_90d"].fillna(0) + np.random.default_rng(0).normal(
        0, 0.1, len(world.labels)
    )
    leaky = replace(
        world, matrix=world.matrix.assign(offboarding=future), inputs=world.inputs | {"offboarding": 1}
    )
    challenger = build(leaky, recipe)
    (refusal,) = [item for item in challenger.refusals if item.rule == "leakage_suspect"]
    assert "offboarding" in refusal.saw


def test_few_churned_accounts_serve_bands_of_a_logistic_regression(recipe):
    """Between 30 and 100: advisory, no probabilities, and no tree in the bundle."""
    world = simulate(accounts=120, seed=5, level=0.03)
    challenger = build(world, recipe)
    assert challenger.tier.name == "advisory"
    assert type(challenger.bundle.model).__name__ == "LogisticModel"
    assert challenger.bundle.score(world.matrix.head(5))["probability_90d"].isna().all()


def test_a_dozen_accounts_are_refused_with_the_number_needed(recipe):
    """No model is fitted; rules serve, by the point table where no rule could be tried."""
    world = simulate(accounts=12, seed=6)
    challenger = build(world, recipe)
    assert challenger.bundle is None
    (refusal,) = challenger.refusals
    assert refusal.rule == "too_few_events"
    assert "more churned accounts" in refusal.needs
    assert challenger.serves.score(world.matrix)["band"].isin(["low", "medium", "high"]).all()


def test_no_churn_at_all_is_refused_and_still_scored(recipe):
    """One class: the point table serves with the recipe's prior rates."""
    world = simulate(accounts=60, seed=7)
    stayed = world.labels.assign(
        **{
            f"outcome_{h}d": world.labels[f"outcome_{h}d"].where(lambda x: x.isna(), 0.0)
            for h in (30, 90, 180)
        }
    )
    challenger = build(replace(world, labels=stayed), recipe)
    assert challenger.refusals[0].rule == "too_few_events"
    assert challenger.rules.model.name == "point_table"
    assert len(challenger.predictions) == 0


def test_no_snapshot_at_all_is_refused(recipe):
    """History too short for one date is an answer too."""
    world = simulate(accounts=20, seed=8)
    empty = replace(world, matrix=world.matrix.head(0), labels=world.labels.head(0))
    challenger = build(empty, recipe)
    assert challenger.refusals[0].rule == "too_few_events"
    assert challenger.serves.score(world.matrix.head(3))["risk"].notna().all()


def test_too_late_snapshots_count_nowhere(recipe):
    """Where notice was already given there is nothing left to predict."""
    world = simulate(accounts=300, seed=9)
    late = world.labels["outcome_30d"] == 1
    challenger = build(replace(world, labels=world.labels.assign(too_late=late)), recipe, draws=20)
    kept = challenger.predictions.merge(
        world.labels.loc[late, ["account_id", "as_of"]], on=["account_id", "as_of"]
    )
    assert len(kept) == 0


def test_an_input_as_of_today_is_refused_unless_allowed(recipe):
    """It is named; a recipe that allows it lifts the refusal."""
    world = simulate(accounts=300, seed=10)
    refused = build(world, recipe, as_of_today=["plan", "segment"], draws=20)
    assert ["plan" in item.saw for item in refused.refusals if item.rule == "leakage_suspect"] == [True]
    allowed = build(
        world, recipe.model_copy(update={"allow_as_of_today": True}), as_of_today=["plan"], draws=20
    )
    assert all(item.rule != "leakage_suspect" for item in allowed.refusals)


def test_matrix_and_labels_must_be_the_same_snapshots(recipe):
    """Rows in another order would teach each account another's fate."""
    world = simulate(accounts=20, seed=11)
    with pytest.raises(ValueError, match="same snapshots in the same order"):
        build(replace(world, labels=world.labels.iloc[::-1].reset_index(drop=True)), recipe)
