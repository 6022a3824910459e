"""serving/health.toml: the standard file stands, and wrong ones fail with file, key and remedy."""

from __future__ import annotations

import tomllib
from datetime import date

import pytest

from lifecycle_ml.actions.playbooks import REASONS
from lifecycle_ml.actions.stages import STAGES
from lifecycle_ml.errors import UserError
from lifecycle_ml.health.config import INPUTS, HealthFile, check_health, load_health
from lifecycle_ml.health.inputs import Past, inputs_of, remember, state_of, trend_of
from lifecycle_ml.health.scored import SCORED_COLUMNS, SCORED_VALUES
from lifecycle_ml.workspace import Workspace, read_toml, standard_root

STANDARD = (standard_root() / "serving" / "health.toml").read_text(encoding="utf-8")


def features() -> set[str]:
    """Every feature the standard file names."""
    file = HealthFile.model_validate(tomllib.loads(STANDARD))
    return {
        "closures_364d",
        "days_since_last_use",
        "notice_given",
        "champions_left_180d",
        "champions_present",
        "days_to_renewal",
        "open_severe_tickets",
        "oldest_open_ticket_days",
        "mergers_364d",
        "invoice_overdue_days",
    } | {entry.feature for entry in file.inputs.values()}


def load(tmp_path, text):
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "health.toml").write_text(text, encoding="utf-8")
    return load_health(Workspace(root=tmp_path, standard=standard_root()), features())


def test_the_standard_file_has_all_ten_inputs_in_their_order():
    """The ten inputs are a closed list, each bound to a feature."""
    file = read_toml(standard_root() / "serving" / "health.toml", HealthFile, "serving/health.toml")

    assert tuple(check_health(file, features()).inputs) == INPUTS


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "closures_364d >= 1",
            "closure_364d >= 1",
            "facts.closure_announced: no column 'closure_364d'. Did you mean 'closures_364d'",
        ),
        ("closures_364d >= 1", "closures_364d IN (SELECT 1)", "facts.closure_announced: a subquery"),
        (
            "closures_364d >= 1",
            "read_csv('x') = 1",
            "facts.closure_announced: function 'read_csv' is not on the list",
        ),
        ("closures_364d >= 1", "health = 'red'", "facts.closure_announced: a fact cannot rest on health"),
        ("closures_364d >= 1", "reason = 3", "reason is text, 3 is a number"),
        ('category = "champion_left"', 'category = "champon_left"', "Did you mean 'champion_left'"),
        (
            'feature = "invoices_overdue"',
            'feature = "invoice_overdue"',
            "inputs.payment_issues: no feature 'invoice_overdue'",
        ),
        (
            "[inputs.payment_issues]",
            "[inputs.payments]",
            "no health input 'payments'. Did you mean 'payment_issues'",
        ),
        ("exit = 2.75", "exit = 3.0", "exit must lie below enter"),
        ("yellow = { enter = 1.5", "yellow = { enter = 3.5", "yellow must be entered and left below red"),
        ('unit = "times_base_rate" ', 'unit = "probability" ', "lies below 1"),
        ("min_days = 7", "min_days = 7\nmin_day = 7", "Did you mean 'min_days'"),
        ('color = "yellow"', 'color = "orange"', "'yellow' or 'red'"),
        ("good = 0.9\npoor = 0.6", "good = 0.5\npoor = 0.6", "good must lie beyond poor"),
    ],
)
def test_a_wrong_health_file_fails_at_load_with_file_and_remedy(tmp_path, old, new, says):
    """Every mistake is found before any account is coloured."""
    assert old in STANDARD
    with pytest.raises(UserError) as refused:
        load(tmp_path, STANDARD.replace(old, new))

    assert str(refused.value).startswith("serving/health.toml")
    assert says in str(refused.value)


def test_a_missing_input_is_named(tmp_path):
    """Leaving one of the ten out is an error that names it."""
    without = STANDARD[: STANDARD.index("[inputs.executive_sponsor]")]

    with pytest.raises(UserError, match=r"health inputs missing: executive_sponsor"):
        load(tmp_path, without)


def test_features_without_a_source_are_reported_not_refused(tmp_path):
    """A company without a support table loads; what it cannot judge is listed."""
    config = load(tmp_path, STANDARD)

    missing = config.unavailable(features() - {"open_severe_tickets", "tickets_per_seat_84d"})

    assert missing == {
        "facts.severe_ticket_past_sla": ("open_severe_tickets",),
        "inputs.support_severity_and_volume": ("tickets_per_seat_84d",),
    }


@pytest.mark.parametrize(
    ("base_rate", "red", "yellow"),
    [
        (0.1, (0.3, 0.275), (0.15, 0.1)),
        (0.4, (0.8, 0.7818181818), (0.6, 0.4)),
        (0.0, (float("inf"),) * 2, (float("inf"),) * 2),
    ],
)
def test_limits_follow_the_base_rate_and_stay_below_one(tmp_path, base_rate, red, yellow):
    """Three times 40% would be beyond certainty: there the chance of staying is divided instead."""
    config = load(tmp_path, STANDARD)

    assert config.limit("red", base_rate) == pytest.approx(red)
    assert config.limit("yellow", base_rate) == pytest.approx(yellow)


def test_limits_can_be_probabilities(tmp_path):
    """With unit probability the base rate plays no part."""
    text = STANDARD.replace('unit = "times_base_rate"', 'unit = "probability"')
    text = text.replace("enter = 3.0, exit = 2.75", "enter = 0.3, exit = 0.2")
    text = text.replace("enter = 1.5, exit = 1.0", "enter = 0.15, exit = 0.1")

    assert load(tmp_path, text).limit("red", 0.5) == (0.3, 0.2)


def test_input_states_follow_their_thresholds(tmp_path):
    """Good at good, poor at poor, watched between, unknown where null; never poor without a threshold."""
    inputs = load(tmp_path, STANDARD).inputs

    usage, growth = inputs["usage_against_own_pattern"], inputs["expansion_potential"]
    assert [state_of(usage, value) for value in (0.9, 0.6, 0.7, None)] == ["good", "poor", "watch", "unknown"]
    assert [state_of(growth, value) for value in (1, 0)] == ["good", "watch"]
    meeting = inputs["stakeholder_engagement"]
    assert [state_of(meeting, value) for value in (30, 75, 50)] == ["good", "poor", "watch"]


def test_trend_says_improving_in_the_direction_that_is_better(tmp_path):
    """Fewer days since a meeting is an improvement, more users too; short spans and nulls are unknown."""
    inputs = load(tmp_path, STANDARD).inputs
    usage, meeting = inputs["usage_against_own_pattern"], inputs["stakeholder_engagement"]

    assert trend_of(usage, 1.0, 0.8, 14) == "improving"
    assert trend_of(usage, 0.8, 1.0, 14) == "declining"
    assert trend_of(usage, 1.05, 1.0, 14) == "steady"
    assert trend_of(meeting, 10, 40, 14) == "improving"
    assert trend_of(usage, 1.0, 0.8, 6) == "unknown"
    assert trend_of(usage, None, 0.8, 14) == "unknown"
    assert trend_of(inputs["renewal_proximity"], 100, 114, 14) == "unknown"


def test_the_remembered_values_stay_between_half_and_the_whole_span():
    """Comparing nightly never falls back to comparing with yesterday."""
    past: Past | None = None
    ages = []
    for day in range(1, 29):
        as_of = date(2026, 6, day)
        past = remember(past, lambda day=day: {"x": float(day)}, as_of, 14)
        ages.append((as_of - past.older_on).days)

    assert ages[-14:] == [7, 8, 9, 10, 11, 12, 13] * 2


def test_inputs_without_their_feature_are_unknown(tmp_path):
    """A company without the table still gets all ten inputs."""
    shown = inputs_of(load(tmp_path, STANDARD), {"active_users_change": 0.5}, None, date(2026, 6, 1))

    assert [entry["name"] for entry in shown] == list(INPUTS)
    assert shown[0] == {
        "name": "usage_against_own_pattern",
        "state": "poor",
        "value": 0.5,
        "trend": "unknown",
    }
    assert {entry["state"] for entry in shown[1:]} == {"unknown"}


def test_the_words_of_closed_columns_are_those_of_their_rooms():
    """Rules are held against the colours, stages and reasons there are."""
    assert SCORED_VALUES["stage"] == STAGES
    assert SCORED_VALUES["reason"] == REASONS
    assert set(SCORED_VALUES) <= set(SCORED_COLUMNS)
