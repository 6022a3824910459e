"""The portfolio page and its CSV file: filters kept in the address, orders, pages, and hostile text."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import date, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from browsing import listed, read
from hypothesis import given
from hypothesis import strategies as some
from published_company import AS_OF, NOW, company, document
from starlette.datastructures import QueryParams

from lifecycle_ml.actions.action import ActionEvent
from lifecycle_ml.actions.ledger import Complete
from lifecycle_ml.service.pages.portfolio import CSV_COLUMNS
from lifecycle_ml.service.pages.question import CHOSEN, DESCENDING, WINDOWS, Question
from lifecycle_ml.store.export import harmless
from lifecycle_ml.store.rows import StoredReading

HOSTILE = "%3CA%26%221%27%3E"
EVERYTHING = (
    "health=red&owner=Maya+Lindqvist&segment=mid_market&stage=adoption"
    "&reason=low_adoption_after_onboarding&expansion_band=medium&renewal=180&text=north&sort=name&order=down"
)


def test_the_list_shows_what_needs_someone_most_first(browser):
    """Colour in words, money, risk, reason, owner, growth, next action and due date, by ARR at risk."""
    response = browser.get("/accounts")
    text = read(response)

    assert "As of 30 June 2026" in text
    assert listed(response) == [HOSTILE, "A-1042", "A-bare", "A-green", "A-ruled"]
    row = text[text.index("Northwind Traders") : text.index("A-bare")]
    for shown in (
        "A-1042 · mid market adoption",
        "120,000",
        "49,200",
        "41%",
        "Low adoption after onboarding",
        "30 Nov 2026 in 153 days",
        "medium 1 sign",
        "Maya Lindqvist",
        "Call the champion",
        "due 2 Jul 2026",
    ):
        assert shown in row, shown


def test_one_line_says_where_one_more_hour_would_keep_most(browser):
    """The hostile account's only action is over capacity; of somebody without such work nothing is said."""
    text = read(browser.get("/accounts"))

    assert (
        "Over capacity: 1 action, 0 hours, of accounts of Zoë O'Neill <zoe@example.org>. One more hour"
        in text
    )
    assert "Over capacity" not in read(browser.get("/accounts?owner=Maya+Lindqvist"))


def test_a_red_account_that_waits_for_the_evidence_shows_until_when(browser, store):
    """On the list, in the file and on its own page, with owner and day."""
    actions = store.actions(["A-1042"])["A-1042"]
    for each in actions:
        store.tell(each.action_id, Complete("done"), "Maya", NOW + timedelta(hours=1))
    until = NOW + timedelta(days=14)
    asleep = replace(
        actions[0], action_id="act-r", step="review_1", status="snoozed", snoozed_until=until, kind="playbook"
    )
    asleep = replace(asleep, owner="Ada", owner_role="cs_lead", due_at=until + timedelta(days=5))
    publication = store.begin(as_of=AS_OF, known_at=NOW, now=NOW + timedelta(hours=2))
    store.write_readings(publication, company())
    store.publish(publication, [ActionEvent("opened", NOW + timedelta(hours=2), asleep)])

    says = f"Waiting for the evidence until {until:%Y-%m-%d}, owner Ada (cs lead)"
    assert says in read(browser.get("/accounts"))
    assert says in browser.get("/accounts.csv").text
    assert f"waiting for the evidence until {until.day} Jul 2026" in read(browser.get("/accounts/A-1042"))


def test_the_mix_is_that_of_the_filters_so_a_colour_can_be_exchanged(browser):
    """Counting every colour under the other filters says what choosing it would show."""
    text = read(browser.get("/accounts?health=red&owner=Maya+Lindqvist"))

    assert "All 2 180k ARR" in text
    assert "Red 1 120k ARR 49.2k at risk" in text
    assert "Green 1" in text
    assert "1 account, 120k ARR, 49.2k at risk" in text


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("health=yellow", ["A-ruled"]),
        ("health=red&health=yellow", [HOSTILE, "A-1042", "A-ruled"]),
        ("health=purple", [HOSTILE, "A-1042", "A-bare", "A-green", "A-ruled"]),
        ("owner=Maya+Lindqvist&segment=smb", ["A-green"]),
        ("stage=growth", ["A-green"]),
        ("reason=unknown&health=yellow", ["A-ruled"]),
        ("expansion_band=high", ["A-green"]),
        ("renewal=90", [HOSTILE]),
        ("renewal=91", [HOSTILE, "A-1042", "A-bare", "A-green", "A-ruled"]),
        ("text=SÖHNE", [HOSTILE]),
        ("text=A-10", ["A-1042"]),
        ("sort=arr&order=up", ["A-green", "A-1042", "A-bare", HOSTILE, "A-ruled"]),
        ("sort=name", [HOSTILE, "A-bare", "A-green", "A-ruled", "A-1042"]),
        ("sort=renewal&order=down", ["A-1042", "A-green", HOSTILE, "A-bare", "A-ruled"]),
        ("sort=nonsense", [HOSTILE, "A-1042", "A-bare", "A-green", "A-ruled"]),
        ("owner=nobody+like+this", []),
        (EVERYTHING, ["A-1042"]),
    ],
)
def test_the_address_says_which_accounts_in_which_order(browser, address, expected):
    """The page, and the file behind its CSV link, hold the same accounts in the same order."""
    page = browser.get(f"/accounts?{address}")
    link = re.search(r'href="(/accounts\.csv[^"]*)"', page.text).group(1).replace("&amp;", "&")
    rows = table(browser.get(link))

    assert listed(page) == expected
    assert [row["account_id"].replace("<A&\"1'>", HOSTILE) for row in rows] == expected


def test_every_link_and_the_form_keep_every_filter(browser):
    """Sorting, colours, taking one filter away and the form itself change one thing and keep the rest."""
    page = browser.get(f"/accounts?{EVERYTHING}")
    asked = parse_qsl(EVERYTHING)
    links = [
        parse_qsl(urlsplit(link.replace("&amp;", "&")).query)
        for link in re.findall(r'href="(/accounts\?[^"]+)"', page.text)
    ]

    narrowing = {name for name, _ in asked} - {"sort", "order"}
    for link in links:
        missing = narrowing - {name for name, _ in link}
        assert len(missing) <= 1 or missing == narrowing, link
    for removed in narrowing:
        assert [pair for pair in asked if pair[0] != removed] in links
    form = page.text[page.text.index('<form class="filters"') :].partition("</form>")[0]
    said = dict(re.findall(r'name="([a-z_]+)" value="([^"]*)"', form))
    said |= {
        name: re.search(r'<option value="([^"]*)" selected', body).group(1)
        for name, body in re.findall(r'<select name="([a-z_]+)">(.*?)</select>', form, re.DOTALL)
    }
    assert said == dict(asked)


def test_a_form_keeps_alternatives_it_cannot_show(browser):
    """A list can show one owner; the address may hold several, and sending the form loses none."""
    page = browser.get("/accounts?owner=Maya+Lindqvist&owner=Zo%C3%AB+O%27Neill+%3Czoe%40example.org%3E")

    assert listed(page) == [HOSTILE, "A-1042", "A-green"]
    assert '<input type="hidden" name="owner" value="Zoë O&#39;Neill &lt;zoe@example.org&gt;">' in page.text


chosen = some.lists(
    some.sampled_from(["red", "yellow", "Maya", "x&y=z", "é?#", "a b", "-"]), max_size=3, unique=True
).map(tuple)


@given(
    filters=some.fixed_dictionaries(dict.fromkeys(CHOSEN[1:], chosen)),
    renewal=some.sampled_from([None, *WINDOWS]),
    text=some.sampled_from(["", "a&b", "100%", "=1+1", "Söhne"]),
    sort=some.sampled_from(list(DESCENDING)),
    descending=some.booleans(),
)
def test_an_address_means_the_question_it_was_made_from(filters, renewal, text, sort, descending):
    """Writing and reading back changes nothing, whatever the values hold."""
    question = Question(**filters, renewal=renewal, text=text, sort=sort, descending=descending)

    assert Question.read(QueryParams(urlsplit(question.address()).query)) == question


def test_a_renewal_window_begins_at_the_as_of_and_includes_its_last_day():
    """Within 30 days of 30 June is up to 30 July."""
    filters = Question(renewal=30).filters(date(2026, 6, 30))

    assert (filters.renewal_from, filters.renewal_before) == (date(2026, 6, 30), date(2026, 7, 31))


def test_the_list_goes_on_page_by_page_with_its_filters(browser, monkeypatch):
    """The link to the next page keeps the filter, and the way back is there."""
    monkeypatch.setattr("lifecycle_ml.service.pages.portfolio.PER_PAGE", 1)
    first = browser.get("/accounts?health=red&sort=name")
    link = re.search(r'href="(/accounts\?health=red&amp;sort=name&amp;cursor=[^"]+)"', first.text).group(1)

    second = browser.get(link.replace("&amp;", "&"))
    assert listed(first) + listed(second) == [HOSTILE, "A-1042"]
    assert "Next accounts" not in second.text
    assert 'href="/accounts?health=red&amp;sort=name">Back to the first' in second.text


@pytest.mark.parametrize("cursor", ["nonsense", "AAAA", "W10", "%00"])
def test_a_place_that_no_longer_exists_leads_to_the_beginning(browser, cursor):
    """A person gets the list and a sentence; only machines get the problem."""
    page = browser.get(f"/accounts?cursor={cursor}")

    assert "The list has moved on" in read(page)
    assert len(listed(page)) == 5


def test_the_order_shown_is_the_order_served(browser):
    """The column says its order to readers of the screen too, and its link turns it round."""
    page = browser.get("/accounts?sort=risk")
    head = re.search(r'<th scope="col" class="num" aria-sort="descending"><a href="([^"]+)">Risk', page.text)

    assert head.group(1) == "/accounts?sort=risk&amp;order=up"
    assert page.text.count("aria-sort") == 1


def table(response):
    """Read a CSV answer as rows by column."""
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))


def test_the_file_holds_every_page_and_says_what_the_list_says(browser, monkeypatch):
    """However many parts it is read in; empty cells where nothing is known."""
    monkeypatch.setattr("lifecycle_ml.service.pages.portfolio.PER_PART", 2)
    response = browser.get("/accounts.csv")
    rows = table(response)

    assert response.headers["content-disposition"] == 'attachment; filename="accounts-2026-06-30.csv"'
    assert list(rows[0]) == list(CSV_COLUMNS)
    assert len(rows) == 5
    known = rows[1]
    assert known["name"] == "Northwind Traders"
    assert (known["arr"], known["arr_at_risk"], known["churn_probability"]) == ("120000.0", "49200.0", "0.41")
    assert (known["next_action"], known["next_action_due_at"]) == (
        "Call the champion and agree a usage plan",
        "2026-07-02T02:00:00Z",
    )
    assert known["triggers"] == "2 teams use the product that did not in the 84 days before"
    ruled = rows[4]
    assert (ruled["churn_probability"], ruled["arr_at_risk"], ruled["renewal_on"]) == ("", "", "")


def test_the_file_is_of_one_publication_even_while_the_next_arrives(browser, store, monkeypatch):
    """Parts belong together: what began in one publication ends in it."""
    monkeypatch.setattr("lifecycle_ml.service.pages.portfolio.PER_PART", 2)
    read_page = type(store).list_accounts

    def and_publish(self, filters, sort, cursor, limit, **order):
        page = read_page(self, filters, sort, cursor, limit, **order)
        if cursor is None:
            tomorrow = timedelta(days=1)
            following = store.begin(as_of=AS_OF + tomorrow, known_at=NOW, now=NOW + tomorrow)
            store.write_readings(following, [StoredReading.of(document("A-new"), state="", risk=0.1)])
            store.publish(following)
        return page

    monkeypatch.setattr(type(store), "list_accounts", and_publish)
    rows = table(browser.get("/accounts.csv"))

    assert len(rows) == 5
    assert {row["as_of"] for row in rows} == {"2026-06-30"}


def test_no_cell_of_the_file_is_a_formula(browser):
    """An owner that would call another site when the sheet is opened stays text."""
    rows = table(browser.get("/accounts.csv"))

    assert rows[2]["owner"] == '\'=HYPERLINK("http://elsewhere.example")'
    for row in rows:
        assert not [cell for cell in row.values() if cell.lstrip(" ").startswith(tuple("=+-@\t\r\n"))]


@given(some.text())
def test_text_that_begins_like_a_formula_is_quoted_and_other_text_untouched(text):
    """Blanks before the sign do not hide it, and nothing else changes."""
    cell = harmless(text)

    assert cell in {text, "'" + text}
    assert (cell != text) == (text.lstrip(" ")[:1] in tuple("=+-@\t\r\n＝＋－＠"))
    assert harmless(-3.5) == -3.5


@pytest.mark.parametrize("path", ["/accounts.csv", "/accounts.csv?health=red"])
def test_the_file_needs_somebody_signed_in_and_a_publication(make_client, published, path):
    """The file is as guarded as the page."""
    assert make_client().get(path).status_code == 303


def test_there_is_no_file_before_the_first_run(make_client):
    """Nothing to list is said, not an empty file that looks like an answer."""
    from browsing import signed_in

    assert "Nothing is published yet" in read(signed_in(make_client()).get("/accounts.csv"), 503)


def test_markup_in_names_and_filters_is_text(browser):
    """Names from the source and values from the address are shown, not run."""
    page = browser.get("/accounts?text=%3Cscript%3Ealert(1)%3C/script%3E&owner=%22%3E%3Cimg%20src=x%3E")
    assert "<script" not in page.text
    assert "<img" not in page.text
    assert "No account is like this." in read(page)

    page = browser.get("/accounts")
    assert "<b>Ünïcode" not in page.text
    assert "&lt;b&gt;Ünïcode" in page.text


def test_an_empty_question_is_the_plain_address():
    """What goes without saying is not said."""
    assert Question().address() == "/accounts"
    assert replace(Question(), sort="name", descending=False).address() == "/accounts?sort=name"
