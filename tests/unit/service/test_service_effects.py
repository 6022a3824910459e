"""The page of effects, and a held-out account's own page."""

from __future__ import annotations

from dataclasses import replace

import pytest
from browsing import read, signed_in, token_of
from published_company import AS_OF, NOW, action, company

from lifecycle_ml.actions.action import ActionEvent, Assignment
from lifecycle_ml.actions.effects import Case, measure_effect
from lifecycle_ml.service.api.scoreboard import EXAMPLE

P = "champion_left_yellow"
HELD = action(
    "act-held",
    title="Held out, nothing is to be done: “Win a new <champion>”",
    playbook=P,
    step="hold-out",
    status="held_out",
    due_at=None,
    escalates_at=None,
    escalates_to=None,
    arr_kept_per_hour=None,
    why="20% of the accounts are left alone at random.",
)


@pytest.fixture
def held_out(store, published):
    """A publication in which one account was held out."""
    publication = store.begin(AS_OF, NOW, NOW)
    store.write_readings(publication, company())
    given = Assignment(HELD.account_id, P, "playbook", AS_OF, NOW, "held_out", 0.2, None, 0.3, 100.0)
    store.publish(publication, [ActionEvent("held_out", NOW, HELD, "it turned yellow", assignment=given)])
    return HELD


def effect():
    """20 of 100 held out left, 40 of 400 offered."""
    cases = [
        Case(
            f"A-{at}",
            P,
            100,
            "offered" if at >= 100 else "held_out",
            0.2,
            at >= 100,
            0.3,
            at < 20 or at >= 460,
        )
        for at in range(500)
    ]
    return measure_effect(P, cases, "churn", 90, claims=0.5).to_json()


def test_the_page_says_what_is_known_and_names_the_naive_estimate(store, held_out, make_client):
    """Effect with interval, what is still needed, the naive figure as such, offers, and who is left alone."""
    store.write_effects(AS_OF, NOW, [effect()])
    said = read(signed_in(make_client(), "read").get("/effects"))

    assert "40 of 400 left" in said
    assert "20 of 100 left" in said
    assert "+10.0 (+2.6 to +19.2)" in said
    assert "it is no effect, for many accounts get better by themselves" in said
    assert "Win a new <champion>" in said


def test_what_followed_triggers_stands_beside_comparable_accounts(store, published, make_client):
    """With what to make of it, and what it is not; what cannot be told is a dash and no zero."""
    untold = {**EXAMPLE["triggers"][0], "trigger": "advanced", "label": "Advanced <feature>", "fired": None}
    untold |= {"grew": None, "says": "Its signs cannot be told from the tables there are."}
    store.write_scoreboard(AS_OF, NOW, {**EXAMPLE, "triggers": [*EXAMPLE["triggers"], untold]})
    said = read(signed_in(make_client(), "read").get("/effects"))

    assert "Use comes close to what the contract allows Growth follows: 31% grew" in said
    assert "comparable accounts. 212 20, 12 31%, others 12% – –" in said
    assert "Advanced <feature> Its signs cannot be told from the tables there are. – 20, 12 – – –" in said
    assert "This is no effect" in said


def test_before_a_scoreboard_the_page_names_the_command(published, make_client):
    """Nothing is worth looking at yet."""
    assert "lifecycle actions --scoreboard" in read(signed_in(make_client(), "read").get("/effects"))


def test_without_hold_outs_the_page_says_that_nothing_can_be_told(store, published, make_client):
    """And what to do about it."""
    publication = store.begin(AS_OF, NOW, NOW)
    given = Assignment("A-1042", P, "playbook", AS_OF, NOW, "offered", 0.0, "nobody is held out", 0.3, 100.0)
    opened = ActionEvent(
        "opened", NOW, replace(HELD, action_id="act-o", status="open", step="x"), assignment=given
    )
    store.publish(publication, [opened])

    assert "cannot be told" in read(signed_in(make_client(), "read").get("/effects"))


def test_a_held_out_account_says_so_and_has_nothing_due(held_out, make_client, store):
    """On its page, in the API, and in the queue where it is asked for; its next step is another."""
    client = signed_in(make_client(), "act")
    page = client.get(f"/accounts/{HELD.account_id}")
    assert "20% of the accounts are left alone at random." in read(page)

    key = {"X-API-Key": "read-key-0123456789"}
    account = client.get(f"/v1/accounts/{HELD.account_id}", headers=key).json()
    assert [each["status"] for each in account["actions"]].count("held_out") == 1
    assert not account["scorecard"]["next_action"].startswith("Held out")
    queue = client.get("/v1/actions", headers=key, params={"status": "held_out"}).json()["actions"]
    assert [(each["action_id"], each["due_at"]) for each in queue] == [("act-held", None)]
    assert "act-held" not in client.get("/v1/actions", headers=key).text


def test_whoever_may_act_can_end_a_hold_out(held_out, make_client, store):
    """With a reason; the next run opens the work."""
    client = signed_in(make_client(), "act")
    page = client.get(f"/accounts/{HELD.account_id}")
    form = {
        "token": token_of(page),
        "account_id": HELD.account_id,
        "key": "k1",
        "reason": "they asked for help",
    }
    assert client.post("/actions/act-held/dismiss", data=form).status_code == 303
    assert [line["kind"] for line in store.ledger(HELD.account_id) if line["action_id"] == "act-held"] == [
        "held_out",
        "dismissed",
    ]
