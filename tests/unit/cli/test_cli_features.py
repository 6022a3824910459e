"""The commands around feature definitions: what they print, and what a mistake gets."""

from __future__ import annotations

import json
from datetime import date

import pytest
from typer.testing import CliRunner

from lifecycle_ml.cli.app import app
from lifecycle_ml.cli.matrix import dates_of
from lifecycle_ml.errors import ConfigError, DefinitionError, UserError

MINE = """
from lifecycle_ml import Feature, count, own_past

waits = count("tickets", where="kind = 'question' AND closed_at IS NULL", days=28)

FEATURES = (
    Feature(
        name="waiting_questions_28d",
        value=waits,
        usual=own_past(waits),
        unit="questions",
        null_means="unknown",
        direction="raises",
        category="service_support_failure",
        movable=True,
        says="{value} questions wait for an answer; usually {usual}",
        says_one="1 question waits for an answer; usually {usual}",
    ),
    Feature(
        name="bugs_28d",
        value=count("tickets", where="kind = 'bug'", days=28),
        unit="bugs",
        null_means="unknown",
        direction="raises",
        category="service_support_failure",
        says="{value} bugs in the last 28 days",
    ),
)
"""
EXAMPLES = """
as_of = 2024-07-01

[[example]]
says = "A question waits until it is closed"
tickets = \"\"\"
account_id | opened_at  | closed_at  | kind
A          | 2024-06-20 |            | question
A          | 2024-06-21 | 2024-06-25 | question
A          | 2024-06-22 |            | bug
\"\"\"
expected = \"\"\"
account_id | waiting_questions_28d | waiting_questions_28d usual
A          | 1                     | 0
\"\"\"
"""


@pytest.fixture
def folder(tmp_path):
    """A workspace with a family of its own and one example; everything else is the standard's."""
    (tmp_path / "features" / "examples").mkdir(parents=True)
    (tmp_path / "features" / "mine.py").write_text(MINE, encoding="utf-8")
    (tmp_path / "features" / "examples" / "mine.toml").write_text(EXAMPLES, encoding="utf-8")
    return tmp_path


def lifecycle(folder, *words):
    """Run a command of `lifecycle features` in a wide terminal and return what happened."""
    return CliRunner().invoke(app, ["features", *words, "--workspace", str(folder)], env={"COLUMNS": "200"})


def document(folder, *words):
    """Return the JSON a command prints."""
    return json.loads(lifecycle(folder, *words, "--json").stdout)


def test_the_list_names_every_feature_with_its_family(folder):
    """Own ones beside the standard's; as a table and for machines."""
    entries = {entry["name"]: entry for entry in document(folder, "list")}

    assert entries["bugs_28d"] == {
        "name": "bugs_28d",
        "family": "mine",
        "unit": "bugs",
        "category": "service_support_failure",
        "direction": "raises",
        "null_means": "unknown",
        "movable": False,
        "for_model": True,
        "as_of_today": False,
        "tables": ["tickets"],
        "columns": ["tickets.kind", "tickets.opened_at"],
        "says": "{value} bugs in the last 28 days",
    }
    assert entries["active_users_28d"]["family"] == "usage"
    assert "waiting_questions_28d" in lifecycle(folder, "list").stdout


def test_the_list_can_be_narrowed(folder):
    """By family, category and table, together or alone."""
    assert [item["name"] for item in document(folder, "list", "--family", "mine")] == [
        "waiting_questions_28d",
        "bugs_28d",
    ]
    signals = document(folder, "list", "--table", "signals", "--category", "company_closed_or_merged")
    assert {"mergers_364d", "closures_364d"} <= {item["name"] for item in signals}
    assert all(item["tables"] == ["signals"] for item in signals)
    shown = lifecycle(folder, "list", "--family", "mine").stdout
    assert "2 features (family mine)" in shown
    assert "movable" in shown


def test_one_feature_is_shown_in_words(folder):
    """What it measures, when it knows it, how it reads, and its examples."""
    shown = lifecycle(folder, "show", "waiting_questions_28d").stdout

    assert "how many tickets where kind = 'question' AND closed_at IS NULL, last 28 days" in shown
    assert "average A in the 3 windows of 28 days before" in shown
    assert "tickets.closed_at  empty until its own date has passed" in shown
    assert "more of it raises it" in shown
    assert "no rule names it" in shown
    assert "features/examples/mine.toml 1: A question waits until it is closed" in shown


def test_a_feature_says_who_uses_it(folder):
    """Every kind of rule that names it, or its usual value."""
    shown = lifecycle(folder, "show", "active_users_28d").stdout
    assert "serving/playbooks.toml low_adoption_after_onboarding_red.recovers_when" in shown

    users = {name: used_by(folder, name) for name in USED}
    for name, rule in USED.items():
        assert rule in users[name]
    assert users["new_departments_84d"] == {"serving/triggers.toml triggers.new_department"}


USED = {
    "days_since_last_use": "training/churn.toml rules.points",
    "closures_364d": "serving/taxonomy.toml categories.company_closed_or_merged.required_evidence",
    "champions_left_180d": "serving/health.toml facts.champion_left",
    "milestones_overdue": "serving/health.toml inputs.onboarding_milestones",
    "new_departments_84d": "serving/triggers.toml triggers.new_department",
    "tenure_days": "serving/stages.toml stages.hand_off.enters",
    "notice_days": "serving/renewals.toml data.problems.notice_longer_than_term",
}


def used_by(folder, name):
    """The rules that name a feature."""
    return {user["rule"] for user in document(folder, "show", name)["used_by"]}


def test_a_feature_without_example_says_where_to_write_one(folder):
    """The first thing its author should do next."""
    shown = lifecycle(folder, "show", "bugs_28d").stdout
    assert "none yet; add one to features/examples/mine.toml" in shown


def test_what_is_as_expected_is_counted_and_what_has_no_example_is_named(folder):
    """The end of the output is what a reader needs most."""
    done = lifecycle(folder, "test", "mine")

    assert done.exit_code == 0
    assert "1 question waits for an answer; usually none" in done.stdout
    assert "1 example, 2 of 2 values as expected." in done.stdout
    assert "1 feature has no example in features/examples/: bugs_28d." in done.stdout


def test_a_wrong_expectation_fails_with_what_came_and_how_it_reads(folder):
    """File, example, account, feature, expected, got and the sentence; exit status 2."""
    path = folder / "features" / "examples" / "mine.toml"
    path.write_text(EXAMPLES.replace("A          | 1 ", "A          | 2 "), encoding="utf-8")
    done = lifecycle(folder, "test", "waiting_questions_28d")

    assert isinstance(done.exception, UserError)
    assert done.exception.exit_code == 2
    assert str(done.exception) == "1 of 2 values is not as expected."
    lines = [line.strip() for line in done.stdout.splitlines()]
    start = lines.index("features/examples/mine.toml: example 1: A question waits until it is closed")
    assert lines[start + 1 : start + 5] == [
        "waiting_questions_28d of account A as of 2024-07-01",
        "expected  2",
        "got       1",
        "reads     1 question waits for an answer; usually none",
    ]
    failure = document(folder, "test", "mine")
    assert failure["ok"] is False
    assert failure["without_example"] == ["bugs_28d"]
    assert failure["failures"] == [
        {
            "file": "features/examples/mine.toml",
            "example": 1,
            "example_says": "A question waits until it is closed",
            "account_id": "A",
            "as_of": "2024-07-01",
            "known_at": "2024-07-01T00:00:00",
            "feature": "waiting_questions_28d",
            "usual": False,
            "expected": 2.0,
            "got": 1.0,
            "sentence": "1 question waits for an answer; usually none",
        }
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show", "bugs_28"), "no feature 'bugs_28'. Did you mean 'bugs_28d'?"),
        (("test", "mien"), "no feature or family 'mien'. Did you mean 'mine'?"),
        (
            ("list", "--family", "suport"),
            "--family 'suport': there is none of that name. Did you mean 'support'?",
        ),
        (
            ("list", "--table", "ticket"),
            "--table 'ticket': there is none of that name. Did you mean 'tickets'?",
        ),
        (
            ("list", "--category", "champion"),
            "--category 'champion': there is none of that name. Did you mean",
        ),
        (("build", "--out", "m.xls"), "--out m.xls: the name must end in .parquet, .csv, .csv.gz."),
        (
            ("build", "--out", "m.csv", "--as-of", "2024-07-01", "--known-at", "2024-06-30T12:00"),
            "--known-at 2024-06-30 12:00:00 lies before --as-of 2024-07-01; look at its 00:00 or later.",
        ),
        (("build", "--out", "m.csv", "--as-of", "July"), "--as-of 'July' is not a date; write YYYY-MM-DD."),
        (("build", "--out", "m.csv", "--known-at", "July"), "--known-at 'July' is no date or instant; write"),
        (("late", "--as-of", "2024-07-01", "--known-at", "2024-06-30"), "lies before --as-of 2024-07-01"),
    ],
)
def test_a_mistake_is_said_before_any_table_is_read(folder, words, says):
    """There are no tables here, so whatever read them first would complain of that."""
    done = lifecycle(folder, *words)

    assert isinstance(done.exception, ConfigError | DefinitionError)
    assert str(done.exception).startswith(says) or says in str(done.exception)


def test_an_expectation_of_a_feature_that_is_not_there_names_the_nearest(folder):
    """A renamed feature takes its examples along, or they fail."""
    path = folder / "features" / "examples" / "mine.toml"
    path.write_text(
        EXAMPLES.replace("| waiting_questions_28d |", "| waiting_question_28d |"), encoding="utf-8"
    )
    done = lifecycle(folder, "test")

    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == (
        "features/examples/mine.toml: example 1 ('A question waits until it is closed'), expected: "
        "no feature 'waiting_question_28d'. Did you mean 'waiting_questions_28d'?"
    )


def test_dates_are_those_given_or_a_row_of_them():
    """--from goes back from --as-of in whole steps, four weeks unless --every says otherwise."""
    first, last = date(2024, 6, 1), date(2024, 7, 1)

    assert dates_of([last, first, last], None, None) == [first, last]
    assert dates_of([last], date(2024, 5, 1), None) == [date(2024, 5, 6), date(2024, 6, 3), last]
    assert dates_of([last], last, 7) == [last]
    with pytest.raises(ConfigError, match=r"^--every needs --from"):
        dates_of([last], None, 7)
    with pytest.raises(ConfigError, match=r"^--from goes up to one --as-of; 2 were given"):
        dates_of([first, last], first, None)
    with pytest.raises(ConfigError, match=r"^--from 2024-07-01 lies after --as-of 2024-06-01"):
        dates_of([first], last, None)
