"""Limits of a segment's own: who has them, who has not, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from pydantic import ValidationError
from test_health_state import BASE, CONFIG, START, row

from lifecycle_ml.health.config import HealthFile, check_health
from lifecycle_ml.health.state import next_states

FEATURES = {"users", "closures", "notice", "left_180d"}
OWN = {"red": {"enter": 2.0, "exit": 1.5}, "yellow": {"enter": 1.2, "exit": 0.8}}


def config(own=OWN, **limits):
    """The limits of the state tests, with some of their own for the enterprise."""
    raw = CONFIG.file.model_dump()
    raw["limits"] = {**raw["limits"], "segments": {"enterprise": own}, **limits}
    return check_health(HealthFile.model_validate(raw), FEATURES)


def test_an_account_is_judged_by_the_limits_of_its_segment():
    """The same risk is red where the segment's limit is lower, and not elsewhere or where it is unknown."""
    rows = [
        {**row(0.25), "account_id": name, "segment": segment}
        for name, segment in (("E", "enterprise"), ("S", "small"), ("N", None))
    ]
    states = {}
    for day in (START, START + timedelta(days=7)):
        states = next_states(
            states,
            pd.DataFrame(rows),
            config(),
            day,
            lambda *_: (),
            lambda color, why: f"{why}_{color}",
            BASE,
        )

    assert {name: state.color for name, state in states.items()} == {"E": "red", "S": "yellow", "N": "yellow"}
    assert "the limit of 20%" in states["E"].because


def test_limits_are_given_by_segment():
    """Multiples of the same base rate; no segment has those of all."""
    found = config()

    assert found.limit("red", BASE, "enterprise").enter == pytest.approx(0.2)
    assert found.limit("red", BASE, "small") == found.limit("red", BASE) == found.limit("red", BASE, None)


@pytest.mark.parametrize(
    ("own", "unit", "match"),
    [
        ({**OWN, "red": {"enter": 1.1, "exit": 1.0}}, "times_base_rate", "below red"),
        ({"red": OWN["red"]}, "times_base_rate", "yellow"),
        (OWN, "probability", "below 1"),
    ],
)
def test_limits_of_a_segment_are_checked_as_those_of_all(own, unit, match):
    """Yellow below red, both given, and a probability below 1."""
    plain = {"red": {"enter": 0.3, "exit": 0.2}, "yellow": {"enter": 0.15, "exit": 0.1}}
    given = plain if unit == "probability" else {}

    with pytest.raises(ValidationError, match=match):
        config(own, unit=unit, **given)
