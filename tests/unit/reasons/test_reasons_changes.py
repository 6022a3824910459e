"""Why a risk moved: parts that add up, under which model each is measured, and what people read."""

import math
import re
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.matrix.feature import Feature, FeatureSet
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.matrix.measures import count, latest
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.calibration import AffineCalibration
from lifecycle_ml.models.capacity import Capacity
from lifecycle_ml.models.classifier import RiskClassifier
from lifecycle_ml.models.encoding import EncodedColumn, Encoding
from lifecycle_ml.models.horizons import HorizonModel
from lifecycle_ml.models.logistic import LogisticModel
from lifecycle_ml.reasons.changes import say_change, say_color, say_move, split_move, why_no_parts
from lifecycle_ml.workspace import Workspace, standard_root

ROOT = standard_root()
STANDARD = load_features(Workspace(ROOT, ROOT))
HORIZONS = (30, 90, 180)
STARTS = {30: -3.0, 90: -2.0, 180: -1.5}
ON, UNTIL = date(2026, 6, 3), date(2026, 7, 1)


def feature(name, says, unit="users", **more):
    """A feature by hand; its measure plays no part here."""
    given = {"null_means": "unknown", "direction": "lowers", "category": "low_adoption_after_onboarding"}
    return Feature(name=name, value=count("tickets"), unit=unit, says=says, **(given | more))


USERS = feature(
    "active_users_28d", "{value} active users in the last 28 days; usually {usual}", usual=count("tickets")
)
SEVERE = feature(
    "severe_tickets_28d",
    "{value} severe tickets opened in the last 28 days",
    unit="tickets",
    direction="raises",
    category="service_support_failure",
)
AGE = feature("tenure_days", "A customer for {value} days", unit="days", direction="none", category="context")
BY_HAND = FeatureSet((USERS, SEVERE, AGE))


def by_hand(weights=(-0.1, 0.5, 0.001), calibration=None, starts=STARTS, **changes):
    """A model one can do sums with: weight times value, in log-odds; a null stands for the mean."""
    return replace(
        Bundle(
            name="churn",
            tier="full",
            horizons=HORIZONS,
            headline=90,
            model=LogisticModel(
                features=BY_HAND.names,
                horizons=HORIZONS,
                starts=starts,
                encoding=Encoding(tuple(EncodedColumn(name) for name in BY_HAND.names)),
                weights=np.array(weights),
                means=np.array([10.0, 0.0, 0.0]),
                lows=np.full(3, -1e9),
                highs=np.full(3, 1e9),
            ),
            base_rates={30: 0.05, 90: 0.1, 180: 0.15},
            band_rates={},
            calibration=calibration or AffineCalibration(0.8, 0.1, 60),
        ),
        **changes,
    )


def rows(*values):
    """Three rows: then, then as known later, later."""
    return pd.DataFrame(values, columns=list(BY_HAND.names), dtype=float).assign(
        account_id="A-1", as_of=pd.Timestamp("2026-06-03")
    )


def parts(move):
    """The five parts."""
    return [move.late_data, move.features_margin, move.model, move.calibration, move.rewritten]


def test_each_step_is_measured_where_the_one_before_it_ended():
    """Late data and features under the earlier model, the model on the later row, the line last."""
    earlier = by_hand()
    later = by_hand((-0.2, 0.5, 0.001), AffineCalibration(1.1, -0.2, 60), {30: -3, 90: -1.7, 180: -1})
    move = split_move(earlier, later, rows([22, 0, 400], [20, 0, 400], [9, 1, 428]), BY_HAND, ON)

    assert move.late_data == pytest.approx(0.8 * -0.1 * -2)
    assert move.features_margin == pytest.approx(0.8 * (-0.1 * -11 + 0.5 + 0.028))
    # -0.2 instead of -0.1 for one user below the mean, and another base rate, on the earlier line
    assert move.model == pytest.approx(0.8 * 0.1 + 0.3)
    assert move.calibration == pytest.approx(0.3 * (0.2 + 0.5 + 0.428) - 0.3)
    assert move.rewritten == pytest.approx(0.0, abs=1e-12)
    assert sum(parts(move)) == pytest.approx(move.change, abs=1e-12)
    assert {item.feature: round(item.margin, 6) for item in move.features} == {
        "active_users_28d": 0.88,
        "severe_tickets_28d": 0.4,
        "tenure_days": 0.0224,
    }
    assert [item.feature for item in move.late] == ["active_users_28d"]
    assert list(move.by_category) == ["low_adoption_after_onboarding", "service_support_failure", "context"]


def test_the_same_bundle_leaves_nothing_to_model_and_calibration():
    """Exactly nothing: readings of one bundle differ by the account alone."""
    move = split_move(by_hand(), by_hand(), rows([22, 0, 400], [22, 0, 400], [9, 1, 428]), BY_HAND, ON)

    assert (move.late_data, move.model, move.calibration, move.rewritten) == (0.0, 0.0, 0.0, 0.0)
    assert move.reproduced == (True, True)


def test_a_new_line_alone_is_calibration():
    """Other slope and intercept, the same trees: nothing is said to be the model's."""
    later = by_hand(calibration=AffineCalibration(1.0, 0.3, 90))
    move = split_move(by_hand(), later, rows(*[[9, 1, 428]] * 3), BY_HAND, ON)

    assert move.model == 0.0
    assert move.calibration == pytest.approx(0.2 * (0.1 + 0.5 + 0.428) + 0.2)
    assert move.change == pytest.approx(move.calibration)


def test_what_does_not_come_out_again_stands_apart():
    """The parts add up to the published difference, and the reading that changed is named."""
    line = rows([22, 0, 400], [22, 0, 400], [9, 1, 428])
    sound = split_move(by_hand(), by_hand(), line, BY_HAND, ON)
    published = (sound.before - 0.25, sound.after)
    move = split_move(by_hand(), by_hand(), line, BY_HAND, ON, published)

    assert move.rewritten == pytest.approx(0.25)
    assert move.reproduced == (False, True)
    assert sum(parts(move)) == pytest.approx(published[1] - published[0], abs=1e-12)


def test_what_became_unknown_is_a_gap_and_no_cause():
    """A null that means unknown, on either side, moves the risk as a gap in the data."""
    move = split_move(by_hand(), by_hand(), rows([22, 0, 400], [22, 0, 400], [math.nan, 1, 400]), BY_HAND, ON)
    by_name = {item.feature: item for item in move.features}

    assert by_name["active_users_28d"].category == "data_gap"
    assert by_name["active_users_28d"].after is None
    assert by_name["active_users_28d"].says == "no longer known: 22 active users in the last 28 days"
    assert sum(move.by_category.values()) == pytest.approx(move.features_margin)


def _matrix(rows, seed):
    """Every standard feature the model may see, with plausible values, one in eight of them null."""
    rng = np.random.default_rng(seed)
    columns = {"account_id": [f"A-{n:04d}" for n in range(rows)]}
    columns["as_of"] = pd.Timestamp("2026-06-30").as_unit("us")
    for item in STANDARD.for_model:
        if item.is_text:
            columns[item.name] = rng.choice(["one", "two_words", None], rows)
            continue
        values = rng.poisson(60 if item.unit == "days" else 2, rows).astype(float)
        values = np.minimum(values, 1) if item.is_yes_no else values / (2 if item.unit == "share" else 1)
        columns[item.name] = np.where(rng.random(rows) < 0.125, np.nan, values)
    return pd.DataFrame(columns)


def _trees(seed, names, calibration):
    matrix = _matrix(500, seed)
    rng = np.random.default_rng(seed)
    score = 0.9 * matrix["champions_left_180d"].fillna(0) + 0.02 * matrix["days_to_renewal"].fillna(90) - 4
    labels = pd.DataFrame(
        {
            f"outcome_{h}d": (rng.random(500) < 1 / (1 + np.exp(-score - h / 90))).astype(float)
            for h in HORIZONS
        }
    )
    model = HorizonModel.fit(
        matrix,
        labels,
        features=names,
        horizons=HORIZONS,
        classifier=RiskClassifier(Capacity(n_trees=20), n_members=2, random_state=seed),
    )
    rates = {30: 0.05, 90: 0.1, 180: 0.15}
    return Bundle("churn", "full", HORIZONS, 90, model, rates, {}, calibration=calibration)


@pytest.fixture(scope="module")
def trained():
    """Two real bundles: other rows, other features, another line."""
    names = [item.name for item in STANDARD.for_model]
    return (
        _trees(1, names, AffineCalibration(1.2, 0.1, 60, 0.05)),
        _trees(2, names[::-2], AffineCalibration(0.9, -0.2, 80)),
    )


def test_real_bundles_split_within_2e_5_nulls_and_texts_included(trained):
    """Parts to the difference of the served probabilities; features to their part."""
    earlier, later = trained
    for seed in range(12):
        line = _matrix(3, 100 + seed)
        move = split_move(earlier, later, line, STANDARD, ON)
        served = [
            bundle.probabilities(line.iloc[[at]])[0, HORIZONS.index(90)]
            for bundle, at in ((earlier, 0), (later, 2))
        ]
        before, after = (math.log(p / (1 - p)) for p in served)

        assert abs(sum(parts(move)) - (after - before)) < 2e-5
        assert abs(sum(item.margin for item in move.features) - move.features_margin) < 2e-5
        assert abs(sum(item.margin for item in move.late) - move.late_data) < 2e-5
        assert min(abs(part) for part in parts(move)[:4]) > 0
        assert abs(move.rewritten) < 1e-9


def test_where_there_is_no_probability_there_are_no_parts(trained):
    """Advisory models and other horizons are turned away in words."""
    sound = by_hand()

    assert why_no_parts(sound, sound) is None
    assert "advisory" in why_no_parts(replace(sound, tier="advisory"), sound)
    assert "180 days" in why_no_parts(replace(sound, horizons=(30, 90)), replace(sound, headline=180))
    with pytest.raises(ValueError, match="advisory"):
        split_move(sound, replace(sound, tier="advisory"), rows(*[[9, 1, 428]] * 3), BY_HAND, ON)


PLAN = Feature(
    "plan",
    latest("contracts", "plan", on="starts_on"),
    "category",
    "unknown",
    "none",
    "context",
    "On the plan {value}",
)
LEFT, MET = STANDARD["champions_left_180d"], STANDARD["days_since_last_meeting"]
IDLE, SEATS = STANDARD["weeks_without_use"], STANDARD["seats_change_168d"]


@pytest.mark.parametrize(
    ("item", "before", "after", "says"),
    [
        (USERS, 22.0, 9.0, "9 active users in the last 28 days, down from 22"),
        (USERS, 3.0, 0.0, "no active users in the last 28 days, down from 3"),
        (USERS, 0.0, 1.0, "1 active user in the last 28 days, up from none"),
        (USERS, 9.0, 9.0, None),
        (USERS, None, 9.0, "9 active users in the last 28 days (not known on 3 June)"),
        (LEFT, 0.0, 1.0, "a champion left in the last 180 days"),
        (IDLE, 2.0, 1.0, "not used for 1 week, down from 2"),
        (LEFT, 2.0, 1.0, "a champion left in the last 180 days (2 on 3 June)"),
        (MET, 6.0, 34.0, "the last meeting was 34 days ago (6 days ago on 3 June)"),
        (MET, 6.0, None, "no meeting on record"),
        (MET, 5.0, 1.0, "the last meeting was yesterday (5 days ago on 3 June)"),
        (SEATS, 0.95, 0.41, "seats are at 41% of what they were 168 days ago, down from 95%"),
        (STANDARD["renewal_signed"], 0.0, 1.0, "the next contract is already signed"),
        (STANDARD["csat_latest"], 2.0, None, None),
        (IDLE, 0.0, 3.0, "not used for 3 weeks in a row (on 3 June: used in the last 7 days)"),
        (PLAN, "pro_plus", "basic", "on the plan basic (pro plus on 3 June)"),
    ],
)  # fmt: skip
def test_a_change_reads_as_a_person_would_say_it(item, before, after, says):
    """Numbers, nouns and verbs agree, and what did not change is not said."""
    assert say_change(item, before, after, ON) == says


def test_every_standard_feature_has_a_whole_sentence_for_a_change():
    """No null, no placeholder, no feature name, no double blank, whatever the values."""
    wrong = re.compile(r"\bnan\b|None|[{}_;]|\b1 \w+s are\b|\b0 (users|tickets|meetings)\b|  |\.$")
    found = set()
    for item in STANDARD:
        values = ["one", "two_words", None] if item.is_text else [None, 0.0, 1.0]
        values += [] if item.is_text or item.is_yes_no else [0.4, 3.0, 1234.0]
        found |= {say_change(item, before, after, ON) for before in values for after in values}
    found.discard(None)

    assert len(found) > 1000
    assert [text for text in found if wrong.search(text)] == []


def moved(**changes):
    """A move of one log-odd and a half by two facts."""
    move = split_move(by_hand(), by_hand(), rows([22, 0, 400], [22, 0, 400], [9, 1, 428]), BY_HAND, ON)
    return replace(move, **changes)


def later_by_a_day(items):
    """The same, with one day more of the customer's time."""
    says = "a customer for 429 days, up from 400"
    return tuple(
        replace(each, after=429.0, says=says) if each.feature == "tenure_days" else each for each in items
    )


def told(move, probabilities=(0.12, 0.31), versions=("7", "8")):
    """What is said of a move."""
    return say_move(move, probabilities, ("medium", "high"), ON, UNTIL, versions)


def test_the_facts_that_push_the_way_it_went_follow_the_risk():
    """One sentence with numbers; that time passed (28 days more) is no news, however much it counts."""
    older = by_hand((-0.1, 0.5, 0.02))
    days = split_move(older, older, rows([22, 0, 400], [22, 0, 400], [9, 1, 428]), BY_HAND, ON)
    assert "a customer" not in told(days)[0]
    assert "a customer for 429 days" in told(replace(days, features=later_by_a_day(days.features)))[0]
    assert told(moved()) == [
        (
            "The risk rose from 12% to 31% since 3 June: 9 active users in the last 28 days, down from 22; "
            "1 severe ticket opened in the last 28 days, up from none."
        )
    ]


def test_facts_that_push_the_other_way_explain_nothing():
    """A fall against the facts is not explained by them."""
    move = moved()
    assert told(replace(move, after=move.before - 1.0, model=-2.5), (0.31, 0.12))[0] == (
        "The risk fell from 31% to 12% since 3 June."
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": 0.7}, "About half of the move comes from a new model (version 8 after 7), not from"),
        ({"calibration": 1.2}, "Most of the move comes from a new calibration of the model, not from"),
        ({"late_data": 0.45}, "About a third of the move comes from data that arrived late: on 3 June"),
        ({"late_data": -0.45}, "Without data that was not known on 3 June yet, the rise would"),
        ({"model": -0.7}, "Without a new model (version 8 after 7) the rise would have been larger."),
        ({"rewritten": 1.5}, "All of the move cannot be traced"),
        ({"model": 0.2}, None),
    ],
)  # fmt: skip
def test_what_was_not_the_accounts_doing_gets_one_sentence_where_it_counts(changes, says):
    """From a quarter of the move on."""
    move = moved(before=-2.0, after=-0.5, **changes)
    _, *more = told(move)

    assert (more == []) if says is None else more[0].startswith(says)


def test_without_numbers_the_bands_are_compared():
    """Rules serve no probability, and a risk that did not move is said to have stayed."""
    assert say_move(None, (None, 0.3), ("low", "high"), ON, UNTIL) == [
        "The risk went from low to high since 3 June."
    ]
    assert say_move(None, (None, None), ("low", "low"), ON, UNTIL) == [
        "The risk has stayed low since 3 June."
    ]
    assert told(moved(), (0.121, 0.119)) == ["The risk has stayed at 12% since 3 June."]
    assert told(moved(), (0.004, 0.02))[0].startswith("The risk rose from under 1% to 2% since 3 June: ")
    assert say_move(None, (0.1, 0.2), ("low", "low"), date(2025, 6, 3), UNTIL) == [
        "The risk rose from 10% to 20% since 3 June 2025."
    ]


def test_a_colour_that_went_another_way_than_the_risk_is_said():
    """Turned red by a fact while the risk fell; where both went one way there is nothing to add."""
    puzzling = "It turned from green to red meanwhile, not by this; the account's page says why."

    assert say_color(("green", "red"), (0.23, 0.17)) == puzzling
    assert say_color(("green", "red"), (0.17, 0.17)) == puzzling
    assert say_color(("red", "yellow"), (0.1, 0.2)).startswith("It turned from red to yellow meanwhile")
    assert say_color(("green", "red"), (0.17, 0.23)) is None
    assert say_color(("red", "red"), (0.23, 0.17)) is None
    assert say_color(("green", "red"), (None, 0.23)) is None
