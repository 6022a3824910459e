"""The revenue statement: over HTTP as it was kept, and as a page with formulas and drawings."""

from __future__ import annotations

import copy
import re
from datetime import timedelta

import pytest
from browsing import Strict, read, signed_in
from published_company import AS_OF, KEYS, NOW

from lifecycle_ml.service.api.revenue import EXAMPLE, RevenueAnswer
from lifecycle_ml.service.pages.revenue import curves, fall


@pytest.fixture
def kept(published, store):
    """The documented statement, kept by the run that published the company."""
    store.write_statement(AS_OF, NOW, EXAMPLE)
    return EXAMPLE


def test_the_statement_is_served_as_it_was_kept(client, kept, store):
    """The newest as_of counts, and an answer without change has the same tag."""
    store.write_statement(AS_OF - timedelta(days=7), NOW, EXAMPLE | {"as_of": "2026-06-23"})
    answer = client.get("/v1/revenue")
    assert answer.json() == kept | {"request_id": answer.headers["x-request-id"], "budget": None}
    again = client.get("/v1/revenue", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_documented_example_is_an_answer(client, kept):
    """The type takes it whole, and refuses a key it does not know."""
    answer = client.get("/v1/revenue").json()
    assert RevenueAnswer.model_validate(answer).model_dump(mode="json") == answer
    with pytest.raises(ValueError, match="extra"):
        RevenueAnswer.model_validate(answer | {"more": 1})


def test_before_the_first_run_there_is_none(client, published, browser):
    """A problem for machines that says what to do; a page for people that says the same."""
    answer = client.get("/v1/revenue")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-statement")
    assert "lifecycle revenue" in read(browser.get("/problems/no-statement"))
    assert "Nothing has been worked out yet" in read(browser.get("/revenue"))


def test_neither_route_nor_page_is_shown_without_a_key(make_client, kept):
    """401 for machines, the form to sign in for people."""
    client = make_client()
    assert client.get("/v1/revenue").status_code == 401
    assert client.get("/revenue").headers["location"] == "/sign-in?next=%2Frevenue"
    assert client.get("/v1/revenue", headers={"X-API-Key": KEYS["read"]}).status_code == 200


def test_the_page_has_every_figure_beside_its_formula(make_client, kept):
    """The last month's numbers stand in the formulas; what has no interval says why."""
    said = read(signed_in(make_client()).get("/revenue"))
    assert "closing = opening + new + reactivation + expansion + contraction + churn" in said
    assert "1,104,000.00 / 1,150,000.00 = 96.0%" in said
    assert "96.0% (91.0 to 101.0)" in said
    assert "1,200,000.00 24,000.00 0.00 10,500.50 2,500.00 -4,500.00 -18,000.00 1,212,000.50 101" in said
    assert "1 account has no contract now but may still renew within grace: 12,000.00" in said
    assert "Losses of the first two quarters: the scores published for 2026-07-01" in said
    assert "NRR: 29 of 30 past forecasts held, off by 1.5 points on average" in said
    assert "GRR, 2026-09: too few accounts changed (3; 5 are needed)" in said
    assert "Acquisition channel events: 28 of 100 customers do not fit" in said
    assert "Looked at on 28 June 2026" in said


def test_each_currency_has_its_book_and_what_is_young_says_so(make_client, store, published):
    """Books apart by currency, one too young for a year and a forecast; hostile words stay words."""
    book = copy.deepcopy(EXAMPLE["books"][0])
    young = book | {"currency": "USD", "retention": [], "advice": "<b>Add</b> rates"}
    young["forecast"] = book["forecast"] | {"quarters": [], "says": "the books are too young"}
    empty = young | {"currency": "GBP", "waterfall": []}
    loops = {"as_of": "2026-06-28", "lacks": "fx_rates: no rate", "rows": []}
    given = EXAMPLE | {"books": [book | {"currency": "EUR"}, young, empty], "loops": loops}
    store.write_statement(AS_OF, NOW, given)
    page = signed_in(make_client()).get("/revenue")
    said = read(page)
    assert "<b>Add" not in page.text
    for words in ("in EUR", "in USD", "they are not that old yet", "The books are too young"):
        assert words in said
    assert "No contract had recurring revenue at the end of a month before 1 July 2026" in said
    assert "fx_rates: no rate" in said


def test_the_bars_of_the_waterfall_hang_together():
    """Each begins where the one before ended, and the movements lead from opening to closing."""
    flow = EXAMPLE["books"][0]["waterfall"]
    drawn = fall(flow)
    opening, *moves, closing = drawn.steps
    assert [each.name for each in moves] == ["new", "reactivation", "expansion", "contraction", "churn"]
    at = opening.top
    for each in moves:
        assert each.from_y == pytest.approx(at, abs=0.11)
        at = each.top if each.value >= 0 else each.top + each.height
    assert at == pytest.approx(closing.top, abs=0.11)
    assert [each.tone for each in moves] == ["green", "green", "green", "red", "red"]
    assert drawn.cut
    assert fall([]) is None
    assert fall([dict.fromkeys(flow[0], 0)]) is None


def test_a_company_that_lost_everything_is_drawn_from_zero():
    """The closing bar is empty, and nothing lies outside the drawing."""
    row = dict.fromkeys(EXAMPLE["books"][0]["waterfall"][0], 0.0) | {"opening": 100.0, "churn": -100.0}
    drawn = fall([row])
    assert not drawn.cut
    assert drawn.steps[-1].height == 0
    assert all(0 <= each.top <= each.top + each.height <= drawn.foot for each in drawn.steps)


def test_months_and_quarters_share_one_scale_of_time():
    """June to September are three months, wherever forecasts begin; all of it lies inside the drawing."""
    kept, ahead = EXAMPLE["books"][0]["retention"], EXAMPLE["books"][0]["forecast"]["quarters"]
    before = copy.deepcopy(kept[0]) | {"month": "2026-03"}
    drawn = curves([before, *kept], ahead)
    march, june, september = drawn.lines["nrr"]
    assert june.x - march.x == pytest.approx(september.x - june.x, abs=0.2)
    assert drawn.now == june.x
    assert (june.ahead, september.ahead) == (False, True)
    assert drawn.lines["grr"][-1].low is None
    assert all(
        each.low is None or 0 < each.high < each.y < each.low < drawn.height
        for points in drawn.lines.values()
        for each in points
    )
    assert curves(kept, []) is None


def test_the_page_is_sound_html_without_scripts_or_styles_of_its_own(make_client, kept):
    """The content policy allows neither."""
    page = signed_in(make_client()).get("/revenue")
    tags = {tag for tag, _ in Strict(page.text).tags}
    assert {"svg", "table", "dl"} <= tags
    assert "script" not in tags
    assert not re.search(r' (style|on\w+)="', page.text)
