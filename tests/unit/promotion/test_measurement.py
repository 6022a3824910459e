"""What is measured, part by part: against small companies whose figures are known by hand."""

import json
import math
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, log_loss

from lifecycle_ml.models.calibration import AffineCalibration
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.promotion.backtest import LOGISTIC, MODEL, UNSEEN, Backtest
from lifecycle_ml.promotion.evaluation import RANDOM
from lifecycle_ml.promotion.measurement import _Rows, listed, measure
from lifecycle_ml.workspace import Workspace, standard_root

DATES = pd.date_range("2024-01-01", periods=6, freq="28D").as_unit("us")


def tried(accounts=360, seed=0):
    """Six dates of accounts whose risk lasts; the model knows it, but of big accounts it knows nothing."""
    rng = np.random.default_rng(seed)
    risk = rng.beta(1, 4, accounts)
    ends = DATES[0] + pd.to_timedelta(rng.integers(10, 260, accounts), "D")
    churned_on = np.where(rng.random(accounts) < 2 * risk, ends, np.datetime64("NaT"))
    account, date_of = np.divmod(np.arange(accounts * len(DATES)), len(DATES))
    there = ~(churned_on[account] <= DATES.to_numpy()[date_of])
    account, date_of = account[there], date_of[there]
    as_of, churned_on = DATES.to_numpy()[date_of], churned_on[account].astype("datetime64[us]")
    y = (churned_on < as_of + np.timedelta64(90, "D")).astype(float)
    big = account % 3 == 0
    known = np.clip(risk[account], 0.01, 0.99)
    model = np.where(big, rng.uniform(0.01, 0.3, len(y)), known)
    rows = pd.DataFrame(
        {
            "account_id": [f"A{each}" for each in account],
            "as_of": as_of,
            "fold": date_of // 3,
            "arr": np.where(big, 10_000.0, 1_000.0),
            "days_to_renewal": np.where(account % 2 == 0, 40.0, 300.0),
            "notice_days": np.nan,
            "churned_on": churned_on,
            "arr_after": np.nan,
            "rise": np.nan,
        }
    )
    late = date_of >= 3
    return Backtest(
        horizons=(90,),
        headline=90,
        rows=rows,
        outcomes=y[:, None],
        probabilities={MODEL: model[:, None], UNSEEN: model[:, None], LOGISTIC: known[:, None]},
        rules={
            "base_rate": np.full(len(y), 0.1),
            "renewal_calendar": np.where(account % 2 == 0, 0.15, 0.05),
            "usage_drop": np.clip(known + rng.normal(0, 0.02, len(y)), 0, 1),
        },
        skipped={},
        calibration=AffineCalibration(),
        cutoffs=(date(2024, 1, 1), date(2024, 3, 25)),
        uncalibrated=model**3,
        calibrated_from=((~late, late), (late, ~late)),
    )


@pytest.fixture(scope="module")
def shown(recipe):
    """A backtest and what was measured on it, by segments `big` and `small`."""
    back = tried()
    return back, measure(back, recipe, seed=0, draws=60, segments=segments_of(back))


def segments_of(back):
    arr = back.rows["arr"].to_numpy()
    return dict(zip(back.rows["account_id"], np.where(arr > 5000, "big", "small"), strict=True))


def test_each_group_is_measured_on_its_own_rows(shown):
    """Figures of a segment, and of those that renew in time, are those of the rows alone."""
    back, evaluation = shown
    renewing = back.rows["days_to_renewal"].to_numpy() < 90
    big = back.rows["arr"].to_numpy() > 5000
    groups = {"small": ~big, "big": big, "renewing": renewing, "unseen_accounts": np.ones(len(big), bool)}
    found = dict(evaluation.segments) | dict(evaluation.groups)
    assert list(evaluation.segments) == ["small", "big"]  # the largest first
    assert set(found) == set(groups)
    for name, rows in groups.items():
        group, y = found[name], back.y[rows]
        precision = {rule: average_precision_score(y, p[rows]) for rule, p in back.rules.items()}
        model = average_precision_score(y, back.at_headline(MODEL)[rows])
        assert group.rows == rows.sum()
        assert group.best_rule == max(precision, key=precision.get)
        assert group.metrics["average_precision"].value == pytest.approx(model)
        assert group.gain.value == pytest.approx(model - max(precision.values()))
        assert group.gain.low <= group.gain.value <= group.gain.high


def test_segments_where_a_rule_is_better_are_named(shown):
    """Of big accounts the model knows nothing, and the evaluation says so."""
    _, evaluation = shown
    assert evaluation.worse_segments == ("big",)
    assert evaluation.to_json()["worse_segments"] == ["big"]


def test_a_segment_with_too_few_is_told_not_measured(recipe):
    """Below min_events there are counts and a sentence, and it is never called worse."""
    back = tried()
    churned = back.rows["account_id"][back.y > 0].unique()
    segments = dict.fromkeys(back.rows["account_id"], "many") | dict.fromkeys(churned[:3], "few")
    evaluation = measure(back, recipe, seed=0, draws=20, segments=segments)
    few = evaluation.segments["few"]
    assert few.reason == f"too few: 3 churned accounts; measured from {recipe.gate.min_events} on"
    assert few.metrics == {}
    assert not few.worse
    assert few.to_json() == {
        "rows": few.rows,
        "accounts": 3,
        "accounts_with_outcome": 3,
        "reason": few.reason,
    }


@pytest.mark.parametrize(
    ("segments", "reason"),
    [
        (None, "no segment is recorded"),
        ("smb", "no segment but smb is recorded"),
    ],
)
def test_one_segment_is_no_group(recipe, segments, reason):
    """Without segments, or with one for all, nothing is told apart."""
    back = tried(120)
    given = None if segments is None else dict.fromkeys(back.rows["account_id"], segments)
    evaluation = measure(back, recipe, seed=0, draws=10, segments=given)
    assert evaluation.segments == {}
    assert evaluation.unmeasured["segments"] == reason


@pytest.mark.parametrize(
    ("days", "reason"),
    [
        (math.nan, "no contract with an end is in force on any of these dates"),
        (200.0, "no contract ends within 90 days of these dates"),
    ],
)
def test_without_renewals_the_cohort_says_why(recipe, days, reason):
    """Contracts absent, evergreen, or far from their end: not applicable."""
    back = tried(120)
    back = replace(back, rows=back.rows.assign(days_to_renewal=days))
    evaluation = measure(back, recipe, seed=0, draws=10)
    assert "renewing" not in evaluation.groups
    assert evaluation.unmeasured["renewing"] == reason


def test_lists_stand_beside_arr_and_calendar(shown):
    """What the capacity table says at the team's list is the metric, rules included."""
    back, evaluation = shown
    row = evaluation.capacity.set_index("share").loc[evaluation.list_share]
    caught = evaluation.metrics["arr_captured_at_capacity"].value
    assert row["arr_caught"] == pytest.approx(caught)
    calendar = evaluation.baselines["renewal_calendar"]["arr_captured_at_capacity"].value
    assert row["arr_caught_calendar"] == pytest.approx(calendar)
    assert row["gain_over_calendar"] == pytest.approx(caught - calendar)
    alone = evaluation.baselines["base_rate"]["arr_captured_at_capacity"].value
    assert row["arr_caught_arr"] == pytest.approx(alone)
    assert len(evaluation.deciles) == 10
    assert back.y.mean() == pytest.approx(evaluation.deciles["rate"].mean())


def test_a_teams_own_list_is_one_of_the_lengths(recipe):
    """Capacity known: measured at it, in the table too."""
    evaluation = measure(tried(120), recipe, seed=0, draws=10, capacity=0.07)
    assert 0.07 in evaluation.capacity["share"].tolist()
    assert evaluation.list_share == 0.07


def test_the_list_is_the_highest_of_each_date():
    """A tenth of twenty is two, of three is one; a date with higher scores gets no longer list."""
    score = np.concatenate([np.arange(20) / 100, [0.9, 0.8, 0.7]])
    as_of = np.repeat([1, 2], [20, 3])
    assert np.flatnonzero(listed(score, as_of, 0.1)).tolist() == [18, 19, 20]


def test_warning_is_of_the_model_beside_a_rule_and_chance(shown):
    """The same losses for all three; who knows the risk warns more often than a list drawn at random."""
    _, evaluation = shown
    assert list(evaluation.warning) == [MODEL, "usage_drop", RANDOM]
    assert len({found.losses for found in evaluation.warning.values()}) == 1
    shares = {name: found.shares[60].value for name, found in evaluation.warning.items()}
    assert shares["usage_drop"] > shares[RANDOM]


def test_money_is_probability_times_arr(shown):
    """By date, expected and seen; the ratio over all dates is theirs."""
    back, evaluation = shown
    p, arr = back.at_headline(MODEL), back.rows["arr"].to_numpy()
    money = evaluation.money.set_index("as_of")
    for day in DATES:
        rows = (back.rows["as_of"] == day).to_numpy()
        assert money.loc[day, "expected"] == pytest.approx((p * arr)[rows].sum())
        assert money.loc[day, "observed"] == pytest.approx((back.y * arr)[rows].sum())
    assert evaluation.money_ratio.value == pytest.approx((back.y * arr).sum() / (p * arr).sum())


def test_without_arr_money_says_why(recipe):
    """No ARR: lists by probability stay, what needs money is absent with the reason."""
    back = tried(120)
    back = replace(back, rows=back.rows.assign(arr=np.nan))
    evaluation = measure(back, recipe, seed=0, draws=10)
    assert evaluation.money is None
    assert evaluation.unmeasured["money"] == "no ARR is known"
    assert evaluation.unmeasured["arr_caught"] == "no ARR is known"
    assert "arr_caught" not in evaluation.capacity
    assert evaluation.capacity["recall"].notna().all()


def test_other_calibrations_never_learn_from_the_rows_they_are_measured_on(shown, recipe):
    """Log losses of beta and isotonic beside the one served, on the same rows, cross-fitted."""
    back, evaluation = shown
    found = evaluation.calibrators
    assert set(found) == {"served", "none", "beta", "isotonic"}
    assert found["none"]["log_loss"].value == pytest.approx(log_loss(back.y, back.uncalibrated))
    assert found["served"]["above_served"].value == 0
    assert found["beta"]["above_served"].value == pytest.approx(
        found["beta"]["log_loss"].value - found["served"]["log_loss"].value
    )
    assert found["beta"]["log_loss"].value < found["none"]["log_loss"].value
    first = back.calibrated_from[0][0]
    turned = replace(back, outcomes=np.where(first[:, None], 1 - back.outcomes, back.outcomes))
    again = _Rows(turned, recipe, 0, 5, 0.1).bent("beta")
    before = _Rows(back, recipe, 0, 5, 0.1).bent("beta")
    assert (again[first] == before[first]).all()
    assert (again[~first] != before[~first]).any()


def test_nobody_churned_gives_reasons_and_no_figures(recipe):
    """One class out of time: everything is NaN or absent with why, and plain JSON all the same."""
    back = tried(60)
    back = replace(back, outcomes=np.zeros_like(back.outcomes), rows=back.rows.assign(churned_on=pd.NaT))
    evaluation = measure(back, recipe, seed=0, draws=10, segments=segments_of(back))
    assert evaluation.unmeasured["days_of_warning"] == "no account churned"
    assert all(group.reason.startswith("too few: 0 churned") for group in evaluation.segments.values())
    assert evaluation.deciles["lift"].isna().all()
    document = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert document["capacity"][0]["recall"] is None
    assert document["money_ratio"]["value"] == 0


def test_the_document_holds_every_part(shown):
    """Plain JSON: dates as text, groups, tables, days and money."""
    _, evaluation = shown
    document = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert document["money"][0]["as_of"] == "2024-01-01"
    assert document["groups"]["renewing"]["best_rule"] == evaluation.groups["renewing"].best_rule
    assert document["days_of_warning"]["model"]["shares"]["60"]["value"] is not None
    assert document["capacity"][0]["share"] == 0.01


def test_expansion_counts_what_was_gained():
    """Expected is probability x the rise of those who grew x ARR; seen is what ARR rose by. No warning."""
    workspace = Workspace(root=standard_root(), standard=standard_root())
    recipe = load_recipe(workspace, "expansion")
    back = tried(120)
    rows = back.rows.assign(arr_after=back.rows["arr"] * (1 + 0.2 * back.y), rise=0.1)
    grown = replace(back, rows=rows, horizons=(180,), headline=180)
    evaluation = measure(grown, recipe, seed=0, draws=10)
    p, arr = back.at_headline(MODEL), rows["arr"].to_numpy()
    assert evaluation.money["expected"].sum() == pytest.approx((0.1 * p * arr).sum())
    assert evaluation.money["observed"].sum() == pytest.approx((0.2 * back.y * arr).sum())
    assert evaluation.warning == {}
    assert evaluation.unmeasured["days_of_warning"] == "only churn has a last day on which to act"
    unknown = measure(replace(grown, rows=rows.assign(rise=np.nan)), recipe, seed=0, draws=10)
    assert unknown.money is None
    assert unknown.unmeasured["money"] == "how far ARR rose is not known at every cut-off"


def test_nothing_tried_measures_nothing(recipe):
    """No backtest: empty, and still plain JSON."""
    evaluation = measure(None, recipe, seed=0, draws=10)
    assert evaluation.metrics == {}
    json.dumps(evaluation.to_json(), allow_nan=False)
