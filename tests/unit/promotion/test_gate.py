"""The gate: each rule refuses with what it saw and what would lift it, and nothing else refuses."""

import math

import pytest

from lifecycle_ml.models.evaluation import Interval
from lifecycle_ml.models.tiers import Tier
from lifecycle_ml.promotion.colours import Colours
from lifecycle_ml.promotion.gate import Shown, judge
from lifecycle_ml.promotion.leaks import Suspect
from lifecycle_ml.promotion.stability import Stability

GOOD = {"base_rate": Interval(0.06, 0.03, 0.09), "usage_drop": Interval(0.04, 0.01, 0.08)}
UNKNOWN = Interval(math.nan, math.nan, math.nan, "no churn among 300 rows")


def shown(**changes):
    return Shown(
        **{
            "tier": Tier("full", 240, 0),
            "cutoffs": 4,
            "events": 90,
            "gains": GOOD,
            "slope": Interval(1.05, 0.8, 1.3),
            "observed_expected": Interval(0.97, 0.85, 1.1),
            **changes,
        }
    )


def rules(recipe, **changes):
    return [refusal.rule for refusal in judge(shown(**changes), recipe.gate)]


def test_a_good_model_passes(recipe):
    """Enough events, better than every rule, calibrated: nothing refuses."""
    assert judge(shown(), recipe.gate) == ()


def test_a_rule_that_is_not_beaten_is_named(recipe):
    """A lower bound at zero is not above zero."""
    gains = GOOD | {"recency_frequency": Interval(0.02, 0.0, 0.05)}
    (refusal,) = judge(shown(gains=gains), recipe.gate)
    assert refusal.rule == "no_skill"
    assert refusal.saw == "average precision against recency_frequency: +0.020 [+0.000, +0.050]"
    assert "97.5% lower bound" in refusal.needs


def test_a_gain_that_cannot_be_told_is_no_gain(recipe):
    """Without an interval nothing was shown."""
    (refusal,) = judge(shown(gains={"usage_drop": UNKNOWN}), recipe.gate)
    assert refusal.rule == "no_skill"
    assert "no churn among 300 rows" in refusal.saw


@pytest.mark.parametrize(
    ("slope", "passes"),
    [
        (Interval(0.6, 0.45, 0.75), True),
        (Interval(0.5, 0.3, 0.69), False),
        (Interval(1.6, 1.41, 1.9), False),
        (UNKNOWN, False),
    ],
)
def test_slope_interval_must_touch_its_range(recipe, slope, passes):
    """The interval decides, not the point."""
    assert rules(recipe, slope=slope) == ([] if passes else ["calibration"])


@pytest.mark.parametrize(
    ("ratio", "passes"), [(Interval(1.3, 1.1, 1.5), True), (Interval(1.5, 1.26, 1.8), False)]
)
def test_observed_over_expected_must_touch_its_range(recipe, ratio, passes):
    """Likewise the level."""
    assert rules(recipe, observed_expected=ratio) == ([] if passes else ["calibration"])


def test_a_suspected_leak_is_refused_by_name(recipe):
    """The feature stands in what was seen and in what would lift it."""
    suspects = [Suspect("cancel_tickets", "cancel_tickets alone tells churned from retained (AUROC 0.991)")]
    (refusal,) = judge(shown(suspects=suspects), recipe.gate)
    assert refusal.rule == "leakage_suspect"
    assert "AUROC 0.991" in refusal.saw
    assert "when cancel_tickets is known" in refusal.needs


def test_a_suspect_names_its_column_and_its_own_cure(recipe):
    """Where a table gives the leak away, its column and what to do in its source are said."""
    suspect = Suspect(
        "champions_left_180d", "dates huddle", ("contacts.left_on",), needs="known_at in contacts.sql"
    )
    (refusal,) = judge(shown(suspects=[suspect]), recipe.gate)
    assert refusal.saw == "dates huddle [champions_left_180d from contacts.left_on]"
    assert refusal.needs == "known_at in contacts.sql"


@pytest.mark.parametrize(("value", "passes"), [(0.75, True), (0.74, False)])
def test_reasons_must_survive_a_refit(recipe, value, passes):
    """The point decides; the interval is shown."""
    found = judge(shown(stability=Stability(Interval(value, 0.6, 0.85), 40)), recipe.gate)
    assert [refusal.rule for refusal in found] == ([] if passes else ["unstable_reasons"])
    if not passes:
        assert "74% [60%, 85%]" in found[0].saw
        assert "at least 75%" in found[0].needs


def test_no_red_account_is_no_stable_reason(recipe):
    """What cannot be told was not shown."""
    assert rules(recipe, stability=Stability(UNKNOWN, 0)) == ["unstable_reasons"]


def colours(**changes):
    share = Interval(0.2, 0.1, 0.3)
    return Colours(
        **{
            "rule": "recency_frequency",
            "red": 0.04,
            "flagged": 0.2,
            "caught": share,
            "gain": Interval(0.05, -0.02, 0.1),
            "caught_flagged": share,
            "gain_flagged": Interval(0.1, 0.02, 0.2),
            "odds": Interval(3.4, 2.1, 4.9),
            "readings": 5000,
            "dates": 11,
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("changes", "saw"),
    [
        ({}, None),
        ({"gain": Interval(0.0, -0.1, 0.1)}, "red accounts (4.0% of readings; the worst 5%"),
        ({"gain_flagged": Interval(-0.01, -0.1, 0.1)}, "beside recency_frequency at equal numbers"),
        ({"odds": Interval(2.9, 2.0, 4.0)}, "odds of churn among red accounts 2.900 [2.000, 4.000] times"),
        ({"odds": Interval(math.nan, math.nan, math.nan, "no account turned red")}, "no account turned red"),
    ],
)
def test_colours_must_beat_the_rule_and_mean_something(recipe, changes, saw):
    """More churn than the best rule catches at equal numbers, and three times the population's odds."""
    found = judge(shown(colours=colours(**changes)), recipe.gate)
    assert [refusal.rule for refusal in found] == ([] if saw is None else ["colour_bar"])
    assert saw is None or saw in found[0].saw


def test_columns_overwritten_in_place_are_refused_by_name(recipe):
    """An input that reads as of today is a leak unless the recipe allows it."""
    (refusal,) = judge(shown(as_of_today=["icp_fit"]), recipe.gate)
    assert (refusal.rule, "icp_fit" in refusal.saw) == ("leakage_suspect", True)
    assert "allow_as_of_today" in refusal.needs


def test_too_few_churned_accounts_says_how_many_more(recipe):
    """Below the advisory tier nothing else is judged."""
    tier = Tier("insufficient", 12, 18, 40)
    (refusal,) = judge(shown(tier=tier, gains={}, slope=UNKNOWN, observed_expected=UNKNOWN), recipe.gate)
    assert refusal.rule == "too_few_events"
    assert refusal.saw == "12 churned accounts"
    assert refusal.needs == "18 more churned accounts and 40 more days of history"


def test_one_account_and_one_day_are_said_in_the_singular(recipe):
    """Small companies read this sentence first."""
    tier = Tier("insufficient", 1, 1, 1)
    (refusal,) = judge(shown(tier=tier, gains={}, slope=UNKNOWN, observed_expected=UNKNOWN), recipe.gate)
    assert refusal.saw == "1 churned account"
    assert refusal.needs == "1 more churned account and 1 more day of history"


def test_refusals_speak_of_the_outcome_that_is_predicted(recipe):
    """Expansion is refused for want of expanded accounts, not of churned ones."""
    tier = Tier("insufficient", 12, 18, outcome="expanded")
    (refusal,) = judge(shown(tier=tier, gains={}, slope=UNKNOWN, observed_expected=UNKNOWN), recipe.gate)
    assert (refusal.saw, refusal.needs) == ("12 expanded accounts", "18 more expanded accounts")


def test_too_few_out_of_time_events_are_refused(recipe):
    """Many churned accounts in the past prove nothing about dates that were tested."""
    (refusal,) = judge(shown(events=8), recipe.gate)
    assert (refusal.rule, refusal.needs) == ("too_few_events", "12 more (min_events = 20)")


def test_without_a_cutoff_nothing_was_shown(recipe):
    """No date to test on is a refusal, not a pass."""
    assert rules(recipe, cutoffs=0, events=0, gains={}, slope=UNKNOWN, observed_expected=UNKNOWN) == [
        "too_few_events"
    ]


def test_several_rules_refuse_together(recipe):
    """All that was seen is said at once."""
    found = rules(recipe, gains={"base_rate": Interval(0, -0.1, 0.1)}, slope=Interval(0.2, 0.1, 0.3))
    assert found == ["no_skill", "calibration"]
