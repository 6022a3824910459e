"""[levers] of playbooks.toml: what a team can move, checked at load, and what an account is told."""

from __future__ import annotations

import tomllib
from datetime import date

import pytest

from lifecycle_ml.actions.levers import NOTHING, UNDER, check_levers
from lifecycle_ml.actions.playbooks import PlaybooksFile, check_playbooks
from lifecycle_ml.actions.team import load_team
from lifecycle_ml.errors import UserError
from lifecycle_ml.health.state import HealthState
from lifecycle_ml.health.what_would_help import Move, Offer, WhatIf
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.workspace import Workspace, standard_root

WORKSPACE = Workspace(root=standard_root(), standard=standard_root())
FEATURES = load_features(WORKSPACE)
TEAM = load_team(WORKSPACE)
TEXT = (standard_root() / "serving" / "playbooks.toml").read_text(encoding="utf-8")


def load(text=TEXT):
    file = PlaybooksFile.model_validate(tomllib.loads(text))
    return check_levers(check_playbooks(file, FEATURES.names, TEAM), FEATURES)


LEVERS = load()


@pytest.mark.parametrize("lever", LEVERS.moved, ids=lambda lever: lever.name)
def test_standard_levers_touch_only_what_a_team_can_move(lever):
    """Nothing a lever changes is tenure, a date, or the customer's own decision."""
    assert all(FEATURES[name].movable for name in lever.touches)
    assert lever.sign == {"lowers": 1, "raises": -1}[FEATURES[lever.feature].direction]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('feature = "meetings_84d"', 'feature = "meeting_84d"', "Did you mean 'meetings_84d'"),
        ('feature = "meetings_84d"', 'feature = "tenure_days"', "'tenure_days' is not movable"),
        ('feature = "meetings_84d"', 'feature = "renewal_meetings_84d"', "claims no direction"),
        (".red.set_rhythm", ".red.set_rythm", "Did you mean 'poor_stakeholder_ownership.red.set_rhythm'"),
        ("meetings_change_84d = ", "meeting_change_84d = ", "Did you mean 'meetings_change_84d'"),
        ('needs = "active_users_28d"', 'needs = "active_user_28d"', "Did you mean 'active_users_28d'"),
        ("meetings_change_84d = ", "tenure_days = ", "'tenure_days' is not movable"),
        ("target / meetings_84d__usual", "target / meeting_84d__usual", "Did you mean 'meetings_84d__usual'"),
        ('"target / meetings_84d__usual"', '"target > 3"', "is no number"),
        ('"target / meetings_84d__usual"', "\"length('abc')\"", "is not calculated"),
        ("{target} meetings in 84 days", "{goal} meetings in 84 days", "braces may hold only"),
        ("{target} meetings in 84 days instead of {now}", "meet more often", "need a number"),
        ("{target} meetings in 84 days instead of {now}", "{target} of {then}", "braces may hold only"),
    ],
)
def test_a_wrong_lever_is_refused_with_place_and_remedy(old, new, says):
    """Features, steps, words and calculations are checked when the file is loaded."""
    assert old in TEXT
    with pytest.raises((UserError, ValueError)) as error:
        load(TEXT.replace(old, new))

    assert says in str(error.value)
    assert "levers" in str(error.value)


def test_a_lever_needs_a_step_for_either_colour():
    """Yellow accounts are told what would help as red ones are."""
    red = TEXT.replace(
        ', "poor_stakeholder_ownership.yellow.map_stakeholders", "unknown.yellow.check_in"]', "]"
    )

    with pytest.raises(UserError, match=r"levers\.meetings\.steps: none is of a yellow playbook"):
        load(red)


def state(color="red", playbook="champion_left_red"):
    return HealthState(color=color, since=date(2026, 6, 1), playbook=playbook)


def offer(*moves):
    return Offer(tuple(Move(*move) for move in moves), {}, 0.19)


def test_an_offer_is_said_with_numbers_and_a_step_of_the_accounts_own_playbook():
    """Two changes make one sentence; the step comes from the account's playbook where that has one."""
    found = WhatIf(
        (offer(("meetings", "meetings_84d", 0.0, 1.0), ("sponsors", "executive_sponsors_present", 0.0, 1.0)),)
    )

    (told,) = LEVERS.say(found, state(), 0.4)

    assert told == {
        "change": "Meet: 1 meeting in 84 days instead of none, and "
        "get a sponsor named: 1 executive sponsor at the customer instead of none",
        "probability": 0.19,
        "step": "Agree a meeting rhythm with the named owner and hold the first meeting; "
        "Call the executive sponsor or budget holder and confirm what they expect",
    }


def test_without_a_step_of_its_own_the_first_for_the_colour_is_named():
    """A yellow account is never told a step of a red playbook."""
    found = WhatIf((offer(("active_users", "active_users_28d", 4.0, 7.0)),))

    (told,) = LEVERS.say(found, state("yellow", "unknown_yellow"), 0.2)

    assert told["step"] == "Ask the admin which team stopped using the product and why"


def test_nothing_in_reach_under_already_and_not_looked_for_are_told_apart():
    """One sentence each; an empty list where nobody asked."""
    assert LEVERS.say(WhatIf(), state(), 0.4) == [{"change": NOTHING, "probability": None, "step": None}]
    assert LEVERS.say(WhatIf(under=True), state(), 0.01) == [
        {"change": UNDER, "probability": 0.01, "step": None}
    ]
    assert LEVERS.say(None, state("green", None), 0.01) == []


def test_a_playbooks_file_without_levers_still_serves():
    """A company that wrote its own playbooks before there were levers is told nothing, and nothing breaks."""
    assert load(TEXT[: TEXT.index("[levers.active_users]")]).moved == ()
