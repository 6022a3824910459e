"""GET routes: accounts, history, actions, models."""

from __future__ import annotations

from datetime import timedelta

import pytest
from published_company import AS_OF, NOW, company, document

from lifecycle_ml.service.api import examples
from lifecycle_ml.service.api.models import AccountAnswer, AccountList, ActionList, History, ModelsAnswer
from lifecycle_ml.service.api.scoreboard import EXAMPLE as SCOREBOARD
from lifecycle_ml.service.api.scoreboard import TriggerScoreboard
from lifecycle_ml.store.rows import StoredReading


@pytest.fixture(autouse=True)
def _published(published):
    """Every test here asks about the published company."""


def listed(client, **question):
    """List accounts and return the answer, held against its type."""
    response = client.get("/v1/accounts", params=question)
    assert response.status_code == 200, response.text
    AccountList.model_validate_json(response.content)
    return response.json()


def ids(answer):
    """The ids of an answer's accounts."""
    return [each["account_id"] for each in answer["accounts"]]


def every_id(client, **question):
    """The ids of all pages."""
    found, cursor = [], None
    while True:
        answer = listed(client, **question, **({"cursor": cursor} if cursor else {}))
        found += ids(answer)
        cursor = answer["next"]
        if cursor is None:
            return found


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("arr_at_risk", ["<A&\"1'>", "A-1042", "A-bare", "A-green", "A-ruled"]),
        ("risk", ["<A&\"1'>", "A-1042", "A-green", "A-bare", "A-ruled"]),
        ("renewal", ["<A&\"1'>", "A-1042", "A-green", "A-bare", "A-ruled"]),
        ("arr", ["<A&\"1'>", "A-1042", "A-bare", "A-green", "A-ruled"]),
        ("name", ["<A&\"1'>", "A-bare", "A-green", "A-ruled", "A-1042"]),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_pages_together_are_the_whole_list_in_order_with_the_unknown_last(client, sort, expected, limit):
    """Whatever the page size, ties and missing values included, each account comes exactly once."""
    assert every_id(client, sort=sort, limit=limit) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"health": "red"}, {"A-1042", "<A&\"1'>"}),
        ({"health": ["red", "yellow"]}, {"A-1042", "<A&\"1'>", "A-ruled"}),
        ({"health": "green", "stage": "growth"}, {"A-green"}),
        ({"expansion_band": "high"}, {"A-green"}),
        ({"text": "NORTHwind"}, {"A-1042"}),
        ({"text": "söhne"}, {"<A&\"1'>"}),
        ({"text": "100%"}, set()),
        ({"owner": "Zoë O'Neill <zoe@example.org>"}, {"<A&\"1'>"}),
        ({"segment": "smb"}, {"A-green"}),
        ({"reason": "unknown"}, {"A-ruled", "A-green", "A-bare"}),
        ({"renewal_from": "2026-08-01", "renewal_before": "2026-11-30"}, {"<A&\"1'>"}),
        ({"renewal_before": "2026-08-01"}, set()),
        ({"owner": "'; DROP TABLE readings; --"}, set()),
    ],
)
def test_filters_are_joined_by_and_and_their_values_by_or(client, filters, expected):
    """Each filter narrows the list; the renewal window includes its first day and not its last."""
    assert set(ids(listed(client, **filters))) == expected


def test_a_list_stays_one_list_while_the_next_publication_arrives(client, store):
    """A cursor goes on in the publication it began in."""
    first = listed(client, limit=2)
    tomorrow = timedelta(days=1)
    following = store.begin(as_of=AS_OF + tomorrow, known_at=NOW, now=NOW + tomorrow)
    store.write_readings(following, [StoredReading.of(document("A-new"), state="", risk=0.1)])
    store.publish(following)

    rest = listed(client, limit=5, cursor=first["next"])
    assert ids(rest) == ["A-bare", "A-green", "A-ruled"]
    assert rest["publication_id"] == first["publication_id"]
    assert ids(listed(client)) == ["A-new"]


@pytest.mark.parametrize(
    "change",
    [
        {"health": "red"},
        {"sort": "risk"},
        {"cursor": "AAAA"},
        {"cursor": "ü"},
        {"cursor": "W10"},
        {"cursor": ""},
    ],
)
def test_a_cursor_of_another_list_is_refused(client, change):
    """Going on with other filters would leave accounts out unseen."""
    question = {"cursor": listed(client, limit=2)["next"]} | change
    response = client.get("/v1/accounts", params=question)

    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-cursor")


@pytest.mark.parametrize(
    "question",
    [
        {"limit": 0},
        {"limit": 201},
        {"limit": "many"},
        {"health": "orange"},
        {"sort": "since"},
        {"order": "sideways"},
        {"colour": "red"},
        {"owner": "nul\0"},
        {"renewal_from": "soon"},
        {"cursor": "x" * 2_001},
    ],
)
def test_a_wrong_question_names_its_parameter(client, question):
    """A mistyped filter is refused: an unfiltered list would look like an answer."""
    response = client.get("/v1/accounts", params=question)

    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == next(iter(question))


@pytest.mark.parametrize(
    ("question", "detail"),
    [
        ({"health": "red,green"}, "once for each value, without commas."),
        ({"owner": "nul\0"}, "A text cannot hold the character NUL."),
        ({"renewal_from": "soon"}, "Write a date as YYYY-MM-DD."),
        ({"colour": "red"}, "Not a known parameter."),
    ],
)
def test_a_wrong_question_says_how_a_right_one_looks(client, question, detail):
    """In words, where the framework would show a pattern or a list."""
    (fault,) = client.get("/v1/accounts", params=question).json()["errors"]

    assert fault["detail"].endswith(detail)


def test_one_account_is_the_contract_and_its_request_id(client):
    """The account's own route answers the same document as a score."""
    response = client.get("/v1/accounts/A-1042")
    scored = client.post("/v1/score", json={"account_ids": ["A-1042"]}).json()["results"][0]["account"]

    AccountAnswer.model_validate_json(response.content)
    assert response.json() == scored | {
        "onboarding_start": [],
        "request_id": response.headers["x-request-id"],
        "budget": None,
    }


def test_one_account_says_what_its_onboarding_waits_for(client, store):
    """Met, unmet with what is missing, and what nobody can tell, of the publication the reading is from."""
    starts = examples.ACCOUNT_ANSWER["onboarding_start"]
    later = store.begin(AS_OF + timedelta(days=7), NOW, NOW + timedelta(days=7))
    store.write_readings(later, company())
    store.write_onboarding_starts(later, {"A-1042": starts})
    store.publish(later)

    response = client.get("/v1/accounts/A-1042")
    assert AccountAnswer.model_validate_json(response.content).onboarding_start[1].met is False
    assert response.json()["onboarding_start"] == starts
    assert [one["met"] for one in starts] == [True, False, None]
    assert client.get("/v1/accounts/A-green").json()["onboarding_start"] == []
    assert client.get("/v1/accounts/A-1042", params={"as_of": str(AS_OF)}).json()["onboarding_start"] == []


def test_the_scoreboard_of_triggers_is_served_as_it_was_kept(client, store):
    """The newest as_of counts; before the first one the problem says which command makes one."""
    missing = client.get("/v1/triggers/scoreboard")
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/no-scoreboard")

    store.write_scoreboard(AS_OF, NOW, SCOREBOARD)
    store.write_scoreboard(AS_OF - timedelta(days=28), NOW, SCOREBOARD | {"as_of": "2026-06-02"})
    response = client.get("/v1/triggers/scoreboard")
    answer = TriggerScoreboard.model_validate_json(response.content)
    assert answer.triggers[0].grew.difference.low == 0.12
    assert response.json().items() >= SCOREBOARD.items()


def test_ids_with_any_sign_have_an_address(client, store):
    """Slashes and quotes in an id are percent-encoded, nothing more."""
    from urllib.parse import quote

    later = store.begin(as_of=AS_OF, known_at=NOW, now=NOW)
    store.write_readings(later, [StoredReading.of(document("EU/7?a#b c"), state="", risk=0.1), *company()])
    store.publish(later)

    for account_id in ("EU/7?a#b c", "<A&\"1'>"):
        response = client.get("/v1/accounts/" + quote(account_id, safe=""))
        assert response.json()["account_id"] == account_id
    assert client.get("/v1/accounts/" + quote("EU/7?a#b c", safe="") + "/history").status_code == 200


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/accounts/nobody", "account-not-found"),
        ("/v1/accounts/A-lapsed", "account-not-scored"),
        ("/v1/accounts/nobody/history", "account-not-found"),
        ("/v1/accounts/%00", "account-not-found"),
        ("/v1/accounts/" + "x" * 5_000, "account-not-found"),
        ("/v1/accounts/%ED%A0%80", "account-not-found"),
        ("/v1/nothing", "not-found"),
        ("/v1/accounts/", "account-not-found"),
    ],
)
def test_what_is_not_there_is_a_404_that_says_what_is_missing(client, path, kind):
    """An unknown account, one without a reading, and a wrong address are told apart."""
    response = client.get(path)

    assert (response.status_code, response.json()["type"]) == (404, f"/problems/{kind}")


def test_history_has_one_reading_per_as_of_the_newest_first(client, store):
    """A day published twice counts once, with what was published last; unfinished ones never."""
    for weeks, color in ((2, "green"), (1, "green"), (1, "yellow")):
        then = timedelta(weeks=weeks)
        publication = store.begin(as_of=AS_OF - then, known_at=NOW - then, now=NOW - then, kind="history")
        made = document("A-1042", health__color=color)
        store.write_readings(publication, [StoredReading.of(made, state="", risk=0.1)])
        store.publish(publication, current=False)
    unfinished = store.begin(as_of=AS_OF + timedelta(days=1), known_at=NOW, now=NOW)
    store.write_readings(unfinished, [StoredReading.of(document("A-1042"), state="", risk=0.1)])

    answer = client.get("/v1/accounts/A-1042/history")
    History.model_validate_json(answer.content)
    readings = answer.json()["readings"]
    assert [(each["as_of"], each["color"]) for each in readings] == [
        ("2026-06-30", "red"),
        ("2026-06-23", "yellow"),
        ("2026-06-16", "green"),
    ]

    first = client.get("/v1/accounts/A-1042/history", params={"limit": 2}).json()
    rest = client.get("/v1/accounts/A-1042/history", params={"limit": 2, "cursor": first["next"]}).json()
    assert [*first["readings"], *rest["readings"]] == readings
    assert rest["next"] is None
    stolen = client.get("/v1/accounts/A-green/history", params={"cursor": first["next"]})
    assert stolen.json()["type"] == "/problems/invalid-cursor"


def test_the_queue_lists_what_is_worth_most_first_page_by_page(client):
    """Actions carry their account, and filters narrow them."""
    answer = client.get("/v1/actions")
    ActionList.model_validate_json(answer.content)
    assert [each["action_id"] for each in answer.json()["actions"]] == ["act-1", "act-3", "act-2"]

    first = client.get("/v1/actions", params={"limit": 2}).json()
    rest = client.get("/v1/actions", params={"limit": 2, "cursor": first["next"]}).json()
    assert [each["action_id"] for each in rest["actions"]] == ["act-2"]


def test_the_queue_says_what_one_more_hour_would_bring(client):
    """With the first page, of whom the question is about."""
    first = client.get("/v1/actions", params={"limit": 2}).json()
    [beyond] = first["next_hour"]
    assert beyond["actions"] == 1
    rest = client.get("/v1/actions", params={"limit": 2, "cursor": first["next"]}).json()
    assert rest["next_hour"] == []
    others = client.get("/v1/actions", params={"owner": "Nobody"}).json()
    assert others["next_hour"] == []


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"status": "over_capacity"}, ["act-3"]),
        ({"status": "done"}, []),
        ({"owner": "Maya Lindqvist"}, ["act-1", "act-2"]),
        ({"account_id": "<A&\"1'>"}, ["act-3"]),
        ({"owner_role": "finance"}, []),
        ({"due_before": "2026-07-05"}, ["act-1", "act-3"]),
    ],
)
def test_the_queue_is_filtered(client, filters, expected):
    """By status, owner, role, account and due day."""
    found = client.get("/v1/actions", params=filters).json()["actions"]

    assert [each["action_id"] for each in found] == expected


def test_models_names_what_the_publication_was_made_with(client):
    """The answer comes from the publication, so it says what is served, not what was trained last."""
    answer = client.get("/v1/models")
    ModelsAnswer.model_validate_json(answer.content)

    model = answer.json()["models"][0]
    assert (model["recipe"], model["version"], model["source"]) == ("churn", "7", "model")
    assert answer.json()["digests"] == {"workspace": "sha256:ab"}
