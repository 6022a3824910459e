"""What `lifecycle health tune` says, and what it refuses before it reads anything."""

from types import SimpleNamespace

import pytest

from lifecycle_ml.cli.tune import show_proposal, tune
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.health.config import ColorLimits, Limit
from lifecycle_ml.promotion.tuning import Caught, Proposal
from lifecycle_ml.workspace import Workspace, standard_root

LIMITS = ColorLimits(red=Limit(enter=3.5, exit=2.8), yellow=Limit(enter=1.25, exit=1.0))


def caught(**other):
    """What some limits would have done."""
    given = {"limits": LIMITS, "accounts": 100.0, "red": 4.0, "flagged": 28.0, "caught": 0.12, "odds": 3.7}
    given |= {"caught_flagged": 0.64, "rule": 0.07, "rule_flagged": 0.47, "flips": float("nan")}
    return Caught(**(given | other))


def proposal(**other):
    """What was found."""
    one = caught()
    given = {"now": one, "proposed": one, "reds": (one,), "yellows": (one,), "segments": {}, "own": {}}
    given |= {"with_own": None, "rule": "recency_frequency", "dates": 12, "churned": 191, "passes": True}
    return Proposal(**(given | other))


def test_choices_rule_and_section_are_shown(capsys):
    """History, capacity, the rule by name, what each choice would have caught, and what to paste."""
    show_proposal(proposal(), 0.05, 0.3)
    said = capsys.readouterr().out
    words = " ".join(said.split())

    assert "12 dates with 191 accounts that left" in words
    assert "recency frequency" in words
    assert "64%" in words
    assert "nothing was written" in words
    assert "red = { enter = 3.5, exit = 2.8 }" in said
    assert "No choice stays within" not in words


def test_it_is_said_where_capacity_or_segments_cannot_be_met(capsys):
    """More than the team can carry, and limits by segment that do not earn their place."""
    wide = caught(red=20.0)
    show_proposal(proposal(proposed=wide, segments={"small": (wide, wide)}, with_own=wide), 0.05, 0.3)
    words = " ".join(capsys.readouterr().out.split())

    assert "No choice stays within the capacity" in words
    assert "none are proposed" in words
    assert "small: its own" in words


def test_it_is_said_whose_record_it_is_and_whether_the_gate_would_take_it(capsys):
    """A refused version is named; limits that were chosen on what the gate judges are no proof."""
    show_proposal(proposal(refused="3"), 0.05, 0.3)
    words = " ".join(capsys.readouterr().out.split())
    assert "No full model serves. This is of version 3" in words
    assert "its colours would pass the gate" in words
    assert "train again later" in words

    show_proposal(proposal(refused="3", passes=False), 0.05, 0.3)
    words = " ".join(capsys.readouterr().out.split())
    assert "these limits do not lift a refusal" in words
    assert "would pass" not in words


@pytest.mark.parametrize(("red", "flagged"), [(0.0, 0.3), (0.4, 0.3), (0.1, 1.2)])
def test_shares_that_are_none_are_refused(red, flagged):
    """Before any table is read."""
    workspace = Workspace(standard_root(), standard_root())

    with pytest.raises(ConfigError, match="--red"):
        tune(workspace, SimpleNamespace(), red, flagged, as_json=False)
