"""A wrong rule fails when its file is loaded; one that loads and does nothing is named by `check serving`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lifecycle_ml.check import check_rules
from lifecycle_ml.cli import inspect
from lifecycle_ml.errors import ConfigError, UserError
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.settings import Settings
from lifecycle_ml.workspace import Workspace, standard_root

STANDARD = standard_root()
FEATURES = load_features(Workspace(STANDARD, STANDARD))

WHEN = {
    "health.toml": ("notice_given = 1", "facts.notice_given"),
    "triggers.toml": ("hiring_signals_84d >= 1", "triggers.hiring_related"),
    "renewals.toml": ("notice_days >= term_days", "data.problems.notice_longer_than_term"),
    "stages.toml": ("expansion_band = 'high' AND health = 'green'", "stages.growth.tasks.account_plan"),
    "taxonomy.toml": ("champions_left_180d >= 1\nOR champions_present = 0", "categories.champion_left"),
}
WRONG = {
    "an unknown column": ("notice_givn = 1", "notice_given"),
    "a misspelt category": ("reason = 'champion_lefft'", "champion_left"),
    "a misspelt colour": ("health IN ('red', 'yelow')", "yellow"),
    "a misspelt stage": ("'adoptoin' = stage", "adoption"),
    "a subquery": ("tenure_days > (SELECT max(tenure_days) FROM accounts)", "a subquery"),
    "a subquery in IN": ("account_id IN (SELECT account_id FROM accounts)", "list the values"),
    "a file read": ("tenure_days IN (SELECT * FROM read_csv('/etc/passwd'))", "list the values"),
    "a file read as a value": ("read_text('/etc/passwd') = 'x'", "not on the list"),
    "a function off the list": ("greatst(tenure_days, 3) > 2", "greatest"),
    "a value for a condition": ("tenure_days + 1", "compare it with something"),
    "two statements": ("tenure_days > 1; DROP TABLE accounts", "more than one statement"),
}

CASES = [
    (file, wrong)
    for file in WHEN
    for wrong in WRONG
    # evidence of a category reads features only, so it knows neither reason nor colour nor stage
    if file != "taxonomy.toml" or "misspelt" not in wrong
]


def workspace(folder: Path, file: str, old: str, new: str) -> Workspace:
    """A workspace with one file of its own: the standard one, changed in one place."""
    text = (STANDARD / "serving" / file).read_text(encoding="utf-8")
    assert old in text
    (folder / "serving").mkdir()
    (folder / "serving" / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    return Workspace(folder, STANDARD)


def refusal(found: Workspace) -> str:
    """What loading says."""
    with pytest.raises(UserError) as caught:
        check_rules(found, FEATURES)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(("file", "wrong"), CASES)
def test_a_wrong_condition_fails_at_load(tmp_path, file, wrong):
    """Each file, each mistake: with the file, the rule, and the nearest right name or what to do."""
    condition, near = WRONG[wrong]
    old, rule = WHEN[file]
    said = refusal(workspace(tmp_path, file, old, condition))

    assert f"serving/{file}" in said
    assert rule in said
    assert near in said


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("health.toml", 'category = "champion_left"', 'category = "champion_lef"', "champion_left"),
        (
            "health.toml",
            'feature = "milestones_overdue"',
            'feature = "milestone_overdue"',
            "milestones_overdue",
        ),
        ("health.toml", "exit = 2.75", "exit = 3.5", "exit must lie below enter"),
        (
            "health.toml",
            "red = { enter = 3.0, exit = 2.75 }",
            "red = { enter = 1.2, exit = 1.1 }",
            "below red",
        ),
        ("playbooks.toml", "[playbooks.champion_left.red]", "[playbooks.champion_lft.red]", "champion_left"),
        ("playbooks.toml", 'owner_role = "csm"', 'owner_role = "csn"', "csm"),
        ("team.toml", 'escalates_to = "vp_cs"', 'escalates_to = "vp_sc"', "vp_cs"),
        ("taxonomy.toml", "[categories.champion_left]", "[categories.champion_lef]", "champion_left"),
        ("stages.toml", "[stages.growth]", "[stages.groth]", "growth"),
    ],
)
def test_a_misspelt_name_fails_at_load(tmp_path, file, old, new, says):
    """Categories, features, roles and stages, and limits that contradict each other."""
    said = refusal(workspace(tmp_path, file, old, new))

    assert f"serving/{file}" in said or file in said
    assert says in said


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (
            "team.toml",
            '[roles.vp_cs]\npeople = [{ name = "VP Customer Success" }]\nhours_a_week = 5.0',
            '[roles.vp_cs]\npeople = [{ name = "V" }]\nhours_a_week = 5.0\nescalates_to = "csm"',
            "csm -> cs_lead -> vp_cs -> csm",
        ),
        (
            "stages.toml",
            'owner_role = "account_executive", sla_days = 5, hours = 0.5, escalates_after_days = 3',
            'owner_role = "cs_lead", sla_days = 5, hours = 1, escalates_after_days = 3, escalates_to = "csm"',
            "'csm' leads back to 'cs_lead'",
        ),
    ],
)
def test_a_circle_of_escalations_fails_at_load(tmp_path, file, old, new, says):
    """In the team, and through a step that tells somebody below its owner."""
    said = refusal(workspace(tmp_path, file, old, new))

    assert "runs in a circle" in said
    assert says in said
    assert f"serving/{file}" in said


def test_the_standard_rules_are_sound():
    """Nothing to say of what we ship."""
    assert check_rules(Workspace(STANDARD, STANDARD), FEATURES) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "rule", "key"),
    [
        (
            "health.toml",
            "invoice_overdue_days > 60",
            "invoice_overdue_days > 60 AND invoice_overdue_days < 30",
            "rule_unreachable",
            "facts.invoice_long_overdue",
        ),
        ("health.toml", '"notice_given = 1"', '"risk > 1"', "rule_unreachable", "facts.notice_given"),
        (
            "health.toml",
            '"notice_given = 1"',
            '"tenure_days > 1 OR tenure_days <= 1 OR tenure_days IS NULL"',
            "rule_always",
            "facts.notice_given",
        ),
        (
            "health.toml",
            "open_severe_tickets >= 1 AND oldest_open_ticket_days > 21",
            "champions_left_180d >= 2 AND champions_present = 0",
            "rule_shadowed",
            "facts.severe_ticket_past_sla",
        ),
        ("health.toml", "exit = 2.75", "exit = 1.2", "thresholds_overlap", "limits"),
        (
            "triggers.toml",
            "hiring_signals_84d >= 1",
            "hiring_signals_84d >= 1 AND health = 'red'",
            "rule_unreachable",
            "triggers.hiring_related",
        ),
        (
            "triggers.toml",
            "seats_used_28d >= 0.95 AND seats >= 5",
            "usage_limit_used_28d >= 0.95 AND seats_used_28d >= 0.5 AND seats >= 5",
            "rule_shadowed",
            "triggers.usage_near_limit.also[0]",
        ),
        (
            "renewals.toml",
            "notice_days >= term_days",
            "notice_days = 30 AND notice_days = 60",
            "rule_unreachable",
            "data.problems.notice_longer_than_term",
        ),
        (
            "renewals.toml",
            "arr_from = 50_000",
            "arr_from = 0",
            "thresholds_overlap",
            "owners.account_executive",
        ),
        (
            "renewals.toml",
            "times = 1.5",
            "times = 1.5\n\n[[wider]]\narr_from = 500_000\ntimes = 1.2",
            "thresholds_overlap",
            "wider.500000",
        ),
        ("renewals.toml", "sla_days = 7,", "sla_days = 45,", "step_too_late", "checkpoints.30.paperwork"),
        (
            "stages.toml",
            "tenure_days <= 14 OR (tenure_days <= 60 AND handoff_gaps >= 1)",
            "tenure_days > 90",
            "stage_flaps",
            "stages.hand_off.exits",
        ),
        (
            "stages.toml",
            "tenure_days <= 365 AND (activated = 0 OR (activated IS NULL AND tenure_days <= 90))",
            "tenure_days < 7",
            "rule_shadowed",
            "stages.onboarding.enters",
        ),
        ("team.toml", "arr_from = 250_000", "arr_from = 10_000", "thresholds_overlap", "escalation.cs_lead"),
        (
            "team.toml",
            'people = [{ name = "Finance Desk" }]\n',
            "",
            "role_unheld",
            "roles.finance.people",
        ),
        (
            "team.toml",
            'people = [{ name = "Product Desk" }]\nhours_a_week = 10.0',
            'people = [{ name = "Product Desk" }]\nhours_a_week = 0.0',
            "role_unheld",
            "roles.product.hours_a_week",
        ),
        (
            "taxonomy.toml",
            "icp_fit < 0.4",
            "icp_fit < 0.4 AND icp_fit > 0.6",
            None,
            None,
        ),
    ],
)
def test_a_rule_that_does_nothing_is_named(tmp_path, file, old, new, rule, key):
    """Each loads, and the finding says which, in which file; what is one way of several is left alone."""
    found = [(f.rule, f.column) for f in check_rules(workspace(tmp_path, file, old, new), FEATURES)]

    assert found == ([] if rule is None else [(rule, key)])


def test_a_way_back_nobody_can_go_is_named(tmp_path):
    """Two criteria on one feature that contradict each other."""
    text = (STANDARD / "serving" / "playbooks.toml").read_text(encoding="utf-8")
    head, mark, tail = text.partition("[playbooks.champion_left.red]")
    old = "recovers_when = [\n"
    more = old + '  { feature = "tenure_days", op = ">=", number = 9 },\n'
    more += '  { feature = "tenure_days", op = "<", number = 3 },\n'
    assert old in tail
    (tmp_path / "serving").mkdir()
    written = tmp_path / "serving" / "playbooks.toml"
    written.write_text(head + mark + tail.replace(old, more, 1), encoding="utf-8")

    (finding,) = check_rules(Workspace(tmp_path, STANDARD), FEATURES)

    assert (finding.rule, finding.table) == ("way_back_impossible", "serving/playbooks.toml")
    assert finding.column == "playbooks.champion_left.red.recovers_when"


def test_a_red_playbook_without_a_review_is_named(tmp_path):
    """Once its steps ended nobody would owe the account anything; a yellow one may do so."""
    text = (STANDARD / "serving" / "playbooks.toml").read_text(encoding="utf-8")
    for color in ("red", "yellow"):
        head = f"[playbooks.unknown.{color}]\n"
        assert head in text
        text = text.replace(head, f"{head}review = false\n")
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "playbooks.toml").write_text(text, encoding="utf-8")

    (finding,) = check_rules(Workspace(tmp_path, STANDARD), FEATURES)

    assert (finding.rule, finding.column) == ("never_reviewed", "playbooks.unknown.red.review")
    assert finding.severity == "warning"


def test_the_command_shows_findings_and_answers_machines(tmp_path, capsys):
    """With rule, file and advice; a warning is no failure, and a part nobody knows is refused."""
    own = workspace(tmp_path, "health.toml", '"notice_given = 1"', '"risk > 1"')
    settings = Settings.read(tmp_path, {})

    inspect.check(own, settings, "serving", None, as_json=False)
    said = " ".join(capsys.readouterr().out.split())
    inspect.check(own, settings, "serving", None, as_json=True)
    document = json.loads(capsys.readouterr().out)

    assert "rule_unreachable serving/health.toml facts.notice_given: 'risk > 1' can never be true." in said
    assert [each["rule"] for each in document["findings"]] == ["rule_unreachable"]
    assert document["ok"]
    with pytest.raises(ConfigError, match="serving"):
        inspect.check(own, settings, "servin", None, as_json=False)
