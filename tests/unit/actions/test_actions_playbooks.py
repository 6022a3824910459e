"""serving/playbooks.toml and team.toml: complete, and wrong ones fail with file, key and remedy."""

from __future__ import annotations

import re
import tomllib

import pytest

from lifecycle_ml.actions.playbooks import COLORS, REASONS, PlaybooksFile, load_playbooks
from lifecycle_ml.actions.team import load_team
from lifecycle_ml.errors import UserError
from lifecycle_ml.workspace import Workspace, standard_root

SERVING = standard_root() / "serving"
PLAYBOOKS = (SERVING / "playbooks.toml").read_text(encoding="utf-8")
TEAM = (SERVING / "team.toml").read_text(encoding="utf-8")
FEATURES = {
    predicate.feature
    for by_color in PlaybooksFile.model_validate(tomllib.loads(PLAYBOOKS)).playbooks.values()
    for playbook in by_color.values()
    for predicate in playbook.recovers_when
} - {"risk"}


def load(tmp_path, playbooks=PLAYBOOKS, team=TEAM, features=FEATURES):
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "playbooks.toml").write_text(playbooks, encoding="utf-8")
    (tmp_path / "serving" / "team.toml").write_text(team, encoding="utf-8")
    workspace = Workspace(root=tmp_path, standard=standard_root())
    return load_playbooks(workspace, features, load_team(workspace))


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("color", COLORS)
def test_every_reason_and_colour_has_a_playbook_with_a_way_back(tmp_path, reason, color):
    """Eleven categories and unknown, each at yellow and red: one to three steps and an exit."""
    playbooks = load(tmp_path)

    playbook = playbooks.by_id[playbooks.choose(color, reason)].playbook
    assert 1 <= len(playbook.steps) <= 3
    assert playbooks.recovers_when(color, reason) == playbook.recovers_when != ()


def test_ways_back_of_counted_features_ask_for_whole_numbers(tmp_path):
    """The unit of the feature decides; a risk is no count."""
    load(tmp_path)
    workspace = Workspace(root=tmp_path, standard=standard_root())
    units = {"active_users_28d": "users"}
    playbooks = load_playbooks(workspace, FEATURES, load_team(workspace), units)

    users = playbooks.recovers_when("red", "low_adoption_after_onboarding")[0]
    assert users.check(3, {"active_users_28d": 2.0}).criterion == "at least 3 active users in 28 days"
    risk = next(
        each
        for plan in playbooks.by_id.values()
        for each in plan.playbook.recovers_when
        if each.feature == "risk"
    )
    assert risk.needed({"risk": 0.5}) == 0.45


def test_no_way_back_is_waiting_for_old_news_to_fall_out_of_a_year(tmp_path):
    """What was counted in a long window goes away by waiting alone, and only by waiting."""
    waits = [
        f"{name}: {each.feature}"
        for name, plan in load(tmp_path).by_id.items()
        for each in plan.playbook.recovers_when
        if each.op in {"<=", "<"} and int((re.findall(r"_(\d+)d$", each.feature) or [0])[0]) > 84
    ]
    assert waits == []


def test_green_has_no_way_back(tmp_path):
    """There is nothing to recover from."""
    assert load(tmp_path).recovers_when("green", "unknown") == ()


def test_a_reason_nobody_wrote_a_playbook_for_takes_that_of_unknown(tmp_path):
    """Non-payment is recorded by people and is no category."""
    assert load(tmp_path).choose("red", "non_payment") == "unknown_red"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[playbooks.champion_left.red]", "[playbooks.champon_left.red]", "Did you mean 'champion_left'"),
        (
            "[playbooks.champion_left.red]",
            "[playbooks.champion_left.rde]",
            "no colour 'rde'. Did you mean 'red'",
        ),
        (
            '{ feature = "champions_present", op',
            '{ feature = "champion_present", op',
            (
                "champion_left.yellow.recovers_when: no feature 'champion_present'. "
                "Did you mean 'champions_present'"
            ),
        ),
        ('feature = "risk"', 'feature = "reason"', "no feature 'reason'"),
        (
            'owner_role = "product"',
            'owner_role = "produkt"',
            "no role 'produkt' in serving/team.toml. Did you mean 'product'",
        ),
        (
            'owner_role = "cs_lead", sla_days = 7, hours = 0.5,',
            'owner_role = "cs_lead", escalates_to = "csm", sla_days = 7, hours = 0.5,',
            "escalation runs in a circle: 'csm' leads back to 'cs_lead'",
        ),
        (
            'owner_role = "cs_lead", sla_days = 7',
            'owner_role = "vp_cs", sla_days = 7',
            "nobody stands above 'vp_cs'",
        ),
        ('id = "diagnosis_call"', 'id = "diagnose"', "step 'diagnose' occurs twice"),
        (
            "{name} turned {color}: {because}. No single reason stands out, so ask.",
            "{nme}",
            "braces may hold only",
        ),
        ("sla_days = 2,", "sla_days = 0,", "greater than or equal to 1"),
        ("sla_days = 2,", "sla_day = 2,", "sla_days"),
        ("cool_down_days = 14", "cool_down_days = -1", "cool_down_days"),
    ],
)
def test_wrong_playbooks_fail_at_load_with_file_and_remedy(tmp_path, old, new, says):
    """Every mistake is found before any action is opened."""
    assert old in PLAYBOOKS
    with pytest.raises(UserError) as refused:
        load(tmp_path, PLAYBOOKS.replace(old, new))

    assert str(refused.value).startswith("serving/playbooks.toml")
    assert says in str(refused.value)


def test_a_playbook_without_an_exit_is_refused(tmp_path):
    """Nobody could ever leave the colour."""
    start = PLAYBOOKS.index("recovers_when = [")
    end = PLAYBOOKS.index("\n]", start) + 2

    with pytest.raises(UserError, match=r"bad_fit_customer_sold.yellow.recovers_when.*at least 1 item"):
        load(tmp_path, PLAYBOOKS[:start] + "recovers_when = []" + PLAYBOOKS[end:])


def test_a_missing_playbook_is_named(tmp_path):
    """Each of the twelve reasons needs both colours."""
    without = PLAYBOOKS[: PLAYBOOKS.index("[playbooks.unknown.red]")]

    with pytest.raises(UserError, match=r"no playbook for unknown.red"):
        load(tmp_path, without)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[roles.vp_cs]", "[roles.vp_sc]", "no role 'vp_sc'. Did you mean 'vp_cs'"),
        (
            'escalates_to = "cs_lead"\n\n[roles.cs_lead]',
            'escalates_to = "cs_laed"\n\n[roles.cs_lead]',
            "no role 'cs_laed'. Did you mean 'cs_lead'",
        ),
        (
            'people = [{ name = "VP Customer Success" }]\n',
            'people = [{ name = "V" }]\nescalates_to = "cs_lead"\n',
            "circle: cs_lead -> vp_cs -> cs_lead",
        ),
        ('people = [{ name = "VP Customer Success" }]\n', "", "'vp_cs' ends a chain of escalation"),
        ('arr_from = 50_000\nrole = "cs_lead"', 'arr_from = 50_000\nrole = "ceo"', "no role 'ceo'"),
    ],
)
def test_a_wrong_team_fails_at_load_with_file_and_remedy(tmp_path, old, new, says):
    """Roles exist, chains end with a person and never run in a circle."""
    assert old in TEAM
    with pytest.raises(UserError) as refused:
        load(tmp_path, team=TEAM.replace(old, new))

    assert str(refused.value).startswith("serving/team.toml")
    assert says in str(refused.value)


def test_larger_contracts_are_told_higher_up(tmp_path):
    """The ARR levels lift the first person told, never lower them, and only along the role's own chain."""
    load(tmp_path)
    team = load_team(Workspace(root=tmp_path, standard=standard_root()))

    assert [team.first_told("cs_lead", arr) for arr in (0, 60_000, 250_000)] == [
        "cs_lead",
        "cs_lead",
        "vp_cs",
    ]
    assert team.first_told("vp_cs", 0) == "vp_cs"
    assert team.first_told("product", 60_000) == "product"
