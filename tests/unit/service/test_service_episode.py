"""The running episode: the reason that was latched, what is still waited for, and what happened."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from browsing import read, signed_in
from published_company import AS_OF, NOW, action, document, ruled

from lifecycle_ml.actions.action import ActionEvent
from lifecycle_ml.service.pages import episode
from lifecycle_ml.store.rows import StoredReading
from lifecycle_ml.workspace import Workspace, standard_root

MET = [{"criterion": "no severe ticket open", "now": 0, "needed": 0, "met": True}]


@pytest.fixture
def workspace(tmp_path):
    """The standard rules: yellow is left under the usual rate, after seven days."""
    return Workspace(root=tmp_path, standard=standard_root())


def account(probability=0.05, lift=0.5, color="yellow", since="2026-06-01", recovers_when=MET):
    """A scored account: by these defaults the usual rate is 10%."""
    return document(
        "A-1",
        churn__probability=probability,
        churn__lift=lift,
        health__color=color,
        health__since=since,
        health__recovers_when=recovers_when,
    )


def readings(*days_and_risks):
    """Short readings, the newest first."""
    return [
        {"as_of": day, "probability": risk, "color": "yellow", "reason": "champion_left"}
        for day, risk in days_and_risks
    ]


def test_an_open_criterion_is_all_there_is_to_wait_for(workspace):
    """The table says it; no sentence is needed. Green waits for nothing."""
    open_one = [{**MET[0], "now": 3, "met": False}]
    assert episode.waits_for(account(recovers_when=open_one), [], workspace) is None
    unknown = [{**MET[0], "now": None, "met": None}]
    assert episode.waits_for(account(recovers_when=unknown), [], workspace) is None
    assert episode.waits_for(account(color="green"), [], workspace) is None


def test_all_met_but_the_risk_is_still_over_its_limit(workspace):
    """The limit is the colour's own: yellow is left under once the usual rate, red under 2.75 times."""
    says = episode.waits_for(account(probability=0.12, lift=1.2), readings(("2026-06-30", 0.12)), workspace)
    assert says == ("Everything listed is met, but the risk must stay under 10% for 7 days; it is 12% today.")
    says = episode.waits_for(
        account(probability=0.3, lift=3.0, color="red"), readings(("2026-06-30", 0.3)), workspace
    )
    assert "must stay under 28% for 7 days; it is 30% today" in says


def test_all_met_and_the_risk_is_under_its_limit_but_not_for_long_enough(workspace):
    """The page says since when, and the first day the colour can turn."""
    past = readings(("2026-06-30", 0.05), ("2026-06-27", 0.06), ("2026-06-20", 0.11), ("2026-06-13", 0.02))
    says = episode.waits_for(account(), past, workspace)

    assert says == (
        "Everything listed is met, and the risk must stay under 10% for 7 days: it has been since "
        "27 June 2026, so the colour can turn on 4 July 2026."
    )


def test_time_is_counted_from_the_day_the_colour_was_entered(workspace):
    """A risk that was low before a fact turned the colour does not shorten the wait."""
    past = readings(("2026-06-30", 0.05), ("2026-06-23", 0.05), ("2026-06-16", 0.05))
    says = episode.waits_for(account(since="2026-06-28"), past, workspace)

    assert "since 28 June 2026, so the colour can turn on 5 July 2026" in says


def test_what_is_left_is_a_fact(workspace):
    """Met, low, and long enough: only a fact that is still true holds the colour."""
    past = readings(("2026-06-30", 0.05), ("2026-06-16", 0.05))

    assert "a fact that alone turns the colour is still true" in episode.waits_for(account(), past, workspace)


def test_where_rules_serve_no_number_is_made_up(workspace):
    """Without a probability the sentence names the rule alone."""
    made = ruled("A-1")
    made["health"]["recovers_when"] = MET

    assert episode.waits_for(made, [], workspace) == (
        "Everything listed is met; the risk must stay under its limit for 7 days as well."
    )


def test_a_broken_health_file_costs_a_number_not_the_page(tmp_path):
    """The nightly run refuses it; a page only quotes it."""
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "health.toml").write_text("min_days = 'soon'")
    broken = Workspace(root=tmp_path, standard=standard_root())

    assert "under its limit as well" in episode.waits_for(account(), [], broken)


def latched(category, color="yellow", opened="2026-06-01", **changes):
    """An action of a category's playbook."""
    return action(
        "act-9", playbook=f"{category}_{color}", opened_at=datetime.fromisoformat(opened), **changes
    )


def test_the_latched_reason_is_the_one_its_actions_were_opened_for():
    """Finished ones tell it too; those of an earlier episode or another colour do not."""
    actions = [
        latched("budget_eliminated", opened="2026-03-01"),
        latched("failed_onboarding", "red"),
        latched("champion_left", status="done", why="Their champion left."),
    ]
    assert episode.onset(account(), [], actions) == {
        "category": "champion_left",
        "says": "Their champion left.",
    }
    assert episode.onset(account(color="green"), [], actions) is None


def test_without_actions_the_reading_of_that_day_tells():
    """And where neither is kept, nothing is claimed."""
    past = readings(("2026-06-30", 0.05), ("2026-06-01", 0.3))

    assert episode.onset(account(), past, []) == {"category": "champion_left", "says": None}
    assert episode.onset(account(), past[:1], []) is None


def test_the_page_tells_the_latched_reason_from_todays(published, make_client, store):
    """Why it turned and what the model sees today are two things, and the page says which stays."""
    following = store.begin(as_of=AS_OF + timedelta(days=1), known_at=NOW, now=NOW + timedelta(days=1))
    made = document("A-1042", health__since="2026-06-30")
    store.write_readings(following, [StoredReading.of(made, state="", risk=0.4)])
    opened = action("act-7", playbook="champion_left_red", why="Their champion left in May.")
    store.publish(following, [ActionEvent("opened", NOW, opened)])
    text = read(signed_in(make_client()).get("/accounts/A-1042"))

    assert "Why it turned, on 30 June 2026: The champion left" in text
    assert "Their champion left in May." in text
    assert "That reason stays with the episode" in text
    assert text.index("Today") < text.index("Low adoption after onboarding 46%")


def test_what_happened_is_told_once_per_moment_the_newest_first():
    """Several actions of one moment are one line; colours that turned stand among them."""
    at = datetime(2026, 6, 8, 2)
    line = {"at": at, "because": "", "by": "lifecycle"}
    ledger = [
        {**line, "kind": "opened", "action": {"title": "Call"}},
        {**line, "kind": "opened", "action": {"title": "Write"}},
        {
            "at": at + timedelta(days=2),
            "kind": "done",
            "because": "They agreed",
            "by": "key-ab",
            "action": {"title": "Call"},
        },
    ]
    past = [
        {"as_of": "2026-06-15", "color": "red"},
        {"as_of": "2026-06-08", "color": "red"},
        {"as_of": "2026-06-01", "color": "green"},
    ]
    told = [(each["on"], each["what"], each["titles"], each["by"]) for each in episode.events(ledger, past)]

    assert told == [
        ("2026-06-10", "done", ["Call"], "key-ab"),
        ("2026-06-08", "to do", ["Call", "Write"], None),
        ("2026-06-08", "turned red", [], None),
    ]


def test_a_long_history_is_cut_to_what_fits_a_page():
    """The API has the rest."""
    past = [
        {"as_of": str(AS_OF - timedelta(days=at)), "color": ("red", "yellow")[at % 2]} for at in range(100)
    ]

    assert len(episode.events([], past)) == episode.MOST_EVENTS
    assert episode.events([], past)[0]["on"] == str(AS_OF)
