"""GET /v1/accounts/{id}/changes: which readings, what is answered, and what is refused in words."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest
from browsing import read, signed_in
from published_company import AS_OF, KEYS, NOW, document

from lifecycle_ml.errors import StoreError, TableError
from lifecycle_ml.service.api import examples
from lifecycle_ml.service.api.models import Problem
from lifecycle_ml.service.api.movement import Changes
from lifecycle_ml.store.rows import StoredReading

DAYS = [AS_OF - timedelta(weeks=week) for week in range(8, 0, -1)]


@pytest.fixture
def past(store, published):
    """Eight weekly readings before the published one, of two of its accounts."""
    for day in DAYS:
        clock = NOW - (AS_OF - day)
        publication = store.begin(day, clock, clock, "history")
        rows = [
            document(name, as_of=str(day), churn__probability=0.1, health__color="green")
            for name in ("A-1042", "<A&\"1'>")
        ]
        store.write_readings(publication, [StoredReading.of(row, state="{}", risk=0.1) for row in rows])
        store.publish(publication, current=False)


class Comparer:
    """Answers the documented example for whatever pair is asked for, and remembers the pairs."""

    def __init__(self, error=None):
        self.pairs, self.error = [], error

    def __call__(self, pair):
        self.pairs.append(pair)
        if self.error is not None:
            raise self.error
        answer = copy.deepcopy(examples.CHANGES) | pair.to_json()
        del answer["request_id"], answer["budget"]
        return answer

    @property
    def days(self):
        """The dates of the only pair asked for."""
        (pair,) = self.pairs
        return pair.before.publication.as_of, pair.after.publication.as_of


@pytest.fixture
def comparer():
    """What stands in for the source."""
    return Comparer()


@pytest.fixture
def crm(past, make_client, comparer):
    """A client with a read key of a service that can compare."""
    client = make_client(comparer=comparer)
    client.headers["X-API-Key"] = KEYS["read"]
    return client


def problem(response, status, kind):
    """Check a problem and return it."""
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{kind}"), response.text
    return Problem.model_validate_json(response.content)


def test_the_documented_example_is_valid_and_adds_up():
    """What a reader copies from the reference has the shape served, and its parts sum to the whole."""
    answer = Changes.model_validate(examples.CHANGES)
    parts = answer.parts
    steps = (parts.late_data, parts.features, parts.model, parts.calibration, parts.rewritten)

    assert abs(sum(step.margin for step in steps) - answer.margin_change) < 2e-5
    assert abs(sum(each.margin for each in parts.features.contributions) - parts.features.margin) < 2e-5


def test_without_dates_the_way_to_the_colour_is_told(crm, comparer):
    """The account turned red on 12 June: four weeks before that against the newest reading."""
    response = crm.get("/v1/accounts/A-1042/changes")

    answer = Changes.model_validate_json(response.content)
    assert response.status_code == 200
    assert comparer.days == (AS_OF - timedelta(weeks=7), AS_OF)
    assert (answer.from_.as_of, answer.to.as_of) == comparer.days
    assert answer.from_.probability == 0.1
    assert answer.request_id == response.headers["x-request-id"]


def test_dates_choose_the_readings(crm, comparer):
    """By their as_of, also of an account whose id must be escaped."""
    asked = {"from": str(DAYS[2]), "to": str(DAYS[5])}

    assert crm.get("/v1/accounts/%3CA%26%221'%3E/changes", params=asked).status_code == 200
    assert comparer.days == (DAYS[2], DAYS[5])


@pytest.mark.parametrize(
    ("asked", "parameter"),
    [
        ({"from": str(AS_OF)}, "from"),
        ({"from": "2026-06-29"}, "from"),
        ({"to": "2020-01-01"}, "to"),
        ({"from": str(DAYS[5]), "to": str(DAYS[2])}, "from"),
        ({"to": str(DAYS[0])}, "to"),
    ],
)
def test_a_date_without_a_reading_says_which_there_are(crm, comparer, asked, parameter):
    """422 with the parameter and dates that would do."""
    response = crm.get("/v1/accounts/A-1042/changes", params=asked)

    said = problem(response, 422, "no-such-reading")
    assert said.errors[0].parameter == parameter
    assert set(response.json()["available"]) <= {str(day) for day in [*DAYS, AS_OF]}
    assert response.json()["available"]
    assert comparer.pairs == []


@pytest.mark.parametrize("asked", [{"from": "yesterday"}, {"to": "20260630"}, {"since": "2026-06-03"}])
def test_what_is_no_date_or_no_parameter_is_refused(crm, asked):
    """As on every route: an ignored parameter would look like an answer."""
    problem(crm.get("/v1/accounts/A-1042/changes", params=asked), 422, "invalid-request")


@pytest.mark.parametrize("account", ["nobody", "x" * 300, "a%00b"])
def test_a_stranger_is_not_found(crm, account):
    """Unknown, too long and unstorable ids alike."""
    problem(crm.get(f"/v1/accounts/{account}/changes"), 404, "account-not-found")


def test_one_reading_has_nothing_to_compare_with(crm):
    """The account is known, so the answer says that it is early."""
    said = problem(crm.get("/v1/accounts/A-green/changes"), 404, "no-earlier-reading")

    assert str(AS_OF) in said.detail


def test_a_service_without_the_source_says_so(past, client):
    """Like `refresh`, this needs the source tables."""
    problem(client.get("/v1/accounts/A-1042/changes"), 422, "refresh-unavailable")


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (TableError("tickets lacks the required column 'opened_at'"), 422, "refresh-failed"),
        (StoreError("gone"), 503, "store-unavailable"),
    ],
)
def test_a_fault_of_the_source_is_a_problem_of_its_own(crm, comparer, error, status, kind):
    """What is wrong with the tables is said; a store that does not answer is another thing."""
    comparer.error = error

    problem(crm.get("/v1/accounts/A-1042/changes"), status, kind)


def test_nobody_asks_without_a_key(past, make_client, comparer):
    """401 comes before anything is computed."""
    client = make_client(comparer=comparer)

    problem(client.get("/v1/accounts/A-1042/changes"), 401, "no-key")
    assert comparer.pairs == []


def test_the_page_tells_the_sentences_and_what_pushed_either_way(past, make_client, comparer):
    """What a CS manager reads: words, bars and dates to choose; no log-odds and no feature names."""
    browser = signed_in(make_client(comparer=comparer))
    page = browser.get("/accounts/A-1042/changes")
    text = read(page)

    assert "The risk rose from 19% to 41% since 13 May: 9 active users" in text
    assert "9 active users in the last 28 days, down from 22" in text.partition("What raised it")[2]
    assert "Nothing worth a line" in text.partition("What lowered it")[2]
    assert "active_users" not in page.text
    assert page.text.count(f'value="{AS_OF}" selected') == 1
    assert comparer.days == (AS_OF - timedelta(weeks=7), AS_OF)


def test_the_page_takes_dates_and_says_what_is_wrong_with_them(past, make_client, comparer):
    """Chosen days are compared; a day without a reading leads to the problem's page."""
    browser = signed_in(make_client(comparer=comparer))

    assert browser.get(f"/accounts/A-1042/changes?from={DAYS[2]}&to={DAYS[5]}").status_code == 200
    assert comparer.days == (DAYS[2], DAYS[5])
    assert "There is no reading on this date" in read(browser.get("/accounts/A-1042/changes?from=soon"), 422)
    assert "has no reading as of" in read(browser.get("/accounts/A-1042/changes?to=2020-01-01"), 422)


def test_where_a_move_cannot_be_split_the_page_says_why(past, make_client):
    """Rules served, or a model is gone: words instead of bars."""
    why = "Rules served the reading of 13 May: it has a band and no probability to split."

    def by_rules(pair):
        answer = {**examples.CHANGES, **pair.to_json(), "margin_change": None, "parts": None}
        return answer | {"says": ["The risk went from low to high since 13 May."], "why_no_parts": why}

    text = read(signed_in(make_client(comparer=by_rules)).get("/accounts/A-1042/changes"))

    assert "The risk went from low to high since 13 May." in text
    assert why in text
    assert "What raised it" not in text


def test_an_account_leads_to_why_it_moved_only_where_that_can_be_told(past, make_client, comparer):
    """The source must be there, and an earlier reading."""
    browser = signed_in(make_client(comparer=comparer))

    assert 'href="/accounts/A-1042/changes"' in browser.get("/accounts/A-1042").text
    assert "/changes" not in browser.get("/accounts/A-green").text
    assert "/changes" not in signed_in(make_client()).get("/accounts/A-1042").text
    assert comparer.pairs == []
