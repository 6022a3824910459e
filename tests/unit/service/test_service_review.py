"""A lifecycle review: who is on the agenda, what becomes of decisions, and the list at the end."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from browsing import Strict, read, signed_in, token_of
from published_company import AS_OF, NOW
from reviewed_company import AGENDA, SIGN, publish, reading, red, renewing

from lifecycle_ml.actions.account_words import Decision, Outcome

SINCE = "since=2026-06-30T08%3A00%3A00"
WORDS = {
    "decision": "offer the annual plan",
    "decided_by": "Ada Byron",
    "next_step": "send the offer",
    "due": "2026-07-10",
}


@pytest.fixture
def reviewed(store):
    """The seven accounts, published."""
    publish(store)
    return store


@pytest.fixture
def reviewer(reviewed, make_client):
    """Somebody who may act."""
    return signed_in(make_client(), "act")


def agenda(page):
    """The accounts of the agenda, in order."""
    return tuple(re.findall(r'<a href="/accounts/([^"]+)">', page.text.partition("<tbody>")[2]))


def shown(page):
    """The account a step is about."""
    return form_of_step(page)["account_id"]


def form_of_step(page):
    """The hidden fields of the form that decides."""
    form = page.text.partition('<form class="decide" method="post" action="/review/decide">')[2]
    return dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', form))


def decide(client, page, **changes):
    """Post a step's form with these words."""
    return client.post("/review/decide", data=form_of_step(page) | WORDS | changes)


def test_five_of_seven_accounts_are_on_the_agenda_in_order(reviewer):
    """Red by ARR at risk, checkpoints by renewal, growth; one ahead and a weak sign count for nothing."""
    page = reviewer.get("/review")
    assert agenda(page) == AGENDA
    said = read(page)
    assert "5 accounts call for a decision, as of 30 June 2026" in said
    assert "Its 90-day checkpoint fell on 2 June 2026; it renews on 1 September 2026" in said
    assert "91% of the contracted usage was used in the last 28 days" in said


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ("owner=Ben+Ode", ("A-red-small", "A-due-later")),
        ("segment=enterprise", AGENDA[:1]),
        ("owner=Ben+Ode&segment=enterprise", ()),
        ("owner=nobody", ()),
    ],
)
def test_a_review_may_be_about_one_owner_or_segment(reviewer, asked, left):
    """Whose it is stays in the address from page to page."""
    page = reviewer.get(f"/review?{asked}")
    assert agenda(page) == left
    if left:
        begin = re.search(r'href="(/review/next[^"]+)"', page.text)[1].replace("&amp;", "&")
        assert shown(reviewer.get(begin)) == left[0]


def test_a_sign_of_growth_is_strong_where_the_band_is_high_or_unknown(reviewer, reviewed):
    """Rules may give no band; a sign that only scores is never strong."""
    publication = reviewed.begin(AS_OF + timedelta(days=1), NOW, NOW + timedelta(days=1))
    weak = SIGN | {"trigger": "several_teams"}
    company = [
        reading("A-high", triggers=[SIGN], expansion__band="high"),
        reading("A-unknown", triggers=[SIGN], expansion__band=None),
        reading("A-medium", triggers=[SIGN], expansion__band="medium"),
        reading("A-score-only", triggers=[weak], expansion__band="high"),
        reading("A-gone", triggers=[SIGN | {"trigger": "no_such"}], expansion__band="high"),
    ]
    reviewed.write_readings(publication, company)
    reviewed.publish(publication, [])
    assert agenda(reviewer.get("/review")) == ("A-high", "A-unknown")


def test_a_checkpoint_that_was_closed_calls_for_nothing(reviewer, reviewed):
    """Somebody said what it came to."""
    reviewed.say("A-due-soon", Outcome("renew"), "maya", NOW)
    assert agenda(reviewer.get("/review")) == tuple(each for each in AGENDA if each != "A-due-soon")


def test_a_review_walks_all_five_and_ends_with_what_was_decided(reviewer, reviewed):
    """Every decision is in the store with who took it; one account is left for later."""
    page = reviewer.get(f"/review/next?{SINCE}")
    for number, account in enumerate(AGENDA):
        assert shown(page) == account
        assert f"account {number + 1} of 5" in read(page)
        if account == "A-due-soon":
            onward = re.search(r'href="(/review/next[^"]+)">Leave for later', page.text)[1]
            page = reviewer.get(onward.replace("&amp;", "&"))
            continue
        answer = decide(reviewer, page, decision=f"decision {number}")
        assert answer.status_code == 303
        page = reviewer.get(answer.headers["location"])
        if number + 1 < len(AGENDA):
            assert (
                'name="decided_by" maxlength="255" list="people-named" required value="Ada Byron"'
                in page.text
            )
    end = reviewer.get(page.headers["location"])
    said = read(end)
    assert "4 decisions since 30 June 2026, 08:00 UTC; 1 account left" in said
    assert [each.account_id for each in reviewed.decisions(NOW)] == [
        each for each in AGENDA if each != "A-due-soon"
    ]
    (first, *_) = reviewed.said("A-red-large")
    assert first.kind == "decision"
    assert first.by.startswith("key-")
    assert first.details == WORDS | {"decision": "decision 0"}
    back = re.search(r'href="(/review/next[^"]+)">Go on', end.text)[1].replace("&amp;", "&")
    assert shown(reviewer.get(back)) == "A-due-soon"


def test_a_form_sent_twice_is_kept_once(reviewer, reviewed):
    """Pressed again with the same words; with other words it is another decision."""
    page = reviewer.get(f"/review/next?{SINCE}")
    places = [decide(reviewer, page).headers["location"] for _ in range(2)]
    assert places[0] == places[1]
    assert len(reviewed.decisions(NOW)) == 1
    decide(reviewer, page, decision="another one")
    assert len(reviewed.decisions(NOW)) == 2


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"due": "2026-06-29"}, "cannot be due on 2026-06-29"),
        ({"due": ""}, "Choose a day"),
        ({"decided_by": " "}, "needs somebody who took it"),
        ({"decision": ""}, "needs words"),
        ({"decision": "x" * 1001}, "at most 1,000 characters"),
    ],
)
def test_what_cannot_be_decided_is_said_beside_the_form_with_all_that_was_written(
    reviewer, reviewed, changes, fault
):
    """Nothing is kept, and nothing has to be written again."""
    page = decide(reviewer, reviewer.get(f"/review/next?{SINCE}"), **changes)
    assert fault in read(page, 409)
    assert shown(page) == AGENDA[0]
    assert 'value="send the offer"' in page.text
    assert reviewed.decisions(NOW) == []


def test_only_who_may_act_decides(reviewed, make_client):
    """A read key walks the same accounts without a form; its form is refused."""
    reader, actor = signed_in(make_client(), "read"), signed_in(make_client(), "act")
    page = reader.get(f"/review/next?{SINCE}")
    assert "sign in with a key that may act" in read(page)
    form = form_of_step(actor.get(f"/review/next?{SINCE}")) | WORDS
    mine = form | {"token": token_of(page)}
    assert reader.post("/review/decide", data=mine).status_code == 403
    assert actor.post("/review/decide", data=form | {"token": "0" * 64}).status_code == 403
    assert make_client().post("/review/decide", data=form).headers["location"].startswith("/sign-in")
    assert reviewed.decisions(NOW) == []


def test_a_decision_about_an_account_nobody_knows_is_refused(reviewer, reviewed):
    """The form was made up."""
    form = form_of_step(reviewer.get(f"/review/next?{SINCE}")) | WORDS | {"account_id": "A-none"}
    assert reviewer.post("/review/decide", data=form).status_code == 404
    assert reviewer.post("/review/decide", data=form | {"due": "x"}).status_code == 409


@pytest.mark.parametrize("page", ["next", "decided", "decided.csv"])
@pytest.mark.parametrize("asked", ["", "?since=yesterday", "?since="])
def test_an_address_without_a_beginning_leads_to_one(reviewer, page, asked):
    """Half an address begins anew."""
    assert reviewer.get(f"/review/{page}{asked}").headers["location"] == "/review"


def test_only_decisions_since_the_review_began_are_listed(reviewer, reviewed):
    """One of six hours before is not; it is shown with the account, and /review leads back to its day."""
    earlier = Decision("call their sponsor", "Ada", "call", date(2026, 7, 2))
    reviewed.say("A-red-large", earlier, "maya", NOW)
    decide(reviewer, reviewer.get(f"/review/next?{SINCE}"))
    said = read(reviewer.get(f"/review/decided?{SINCE}"))
    assert "1 decision since 30 June 2026, 08:00 UTC; 4 accounts left" in said
    assert "Call their sponsor" not in said
    page = reviewer.get("/review/next?since=2026-06-30T09:00")
    assert "Call their sponsor decided by Ada on 30 June 2026; next: call, due 2 July 2026" in read(page)
    assert (
        '<a href="/review/decided?since=2026-06-30T00%3A00%3A00">Since 30 June 2026</a>'
        in reviewer.get("/review").text
    )


def test_the_list_as_csv_holds_no_formula(reviewer):
    """Spreadsheets would run what begins with an equals sign."""
    decide(reviewer, reviewer.get(f"/review/next?{SINCE}"), decision="=HYPERLINK(1)")
    answer = reviewer.get(f"/review/decided.csv?{SINCE}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="decisions-2026-06-30.csv"' in answer.headers["content-disposition"]
    head, line = answer.text.splitlines()
    assert head == "account_id,name,decision,decided_by,next_step,due,by,at"
    assert line.startswith("A-red-large,A red large,'=HYPERLINK(1),Ada Byron,send the offer,2026-07-10,key-")


def test_hostile_words_stay_words(reviewer):
    """What was written is shown as it was written, on every page that shows it."""
    hostile = "<script>alert(1)</script>"
    page = decide(reviewer, reviewer.get(f"/review/next?{SINCE}"), decision=hostile, next_step="'\"<b>")
    for address in (page.headers["location"], f"/review/decided?{SINCE}", "/review?owner=%3Cb%3E"):
        answer = reviewer.get(address)
        assert read(answer)
        assert "<script" not in answer.text
        assert "<b>" not in answer.text


def test_before_the_first_run_there_is_nothing_to_decide(make_client):
    """The page says what to run; a step leads to an empty list."""
    client = signed_in(make_client(), "act")
    assert "Nothing is published yet" in read(client.get("/review"))
    assert "0 decisions" in read(client.get(client.get(f"/review/next?{SINCE}").headers["location"]))


def test_the_pages_need_no_script(reviewer):
    """Plain forms and links; no style of their own either."""
    for address in ("/review", f"/review/next?{SINCE}", f"/review/decided?{SINCE}"):
        page = reviewer.get(address)
        assert "script" not in {tag for tag, _ in Strict(page.text).tags}
        assert not re.search(r' (style|on\w+)="', page.text)


def test_of_a_long_agenda_the_first_two_hundred_are_shown(reviewed, reviewer):
    """A review takes all of them."""
    publication = reviewed.begin(AS_OF + timedelta(days=1), NOW, NOW + timedelta(days=1))
    company = [red(f"A-{at:03}", 1.0 * at) for at in range(250)]
    company += [reading(f"B-{at:03}", renewal=renewing("2026-09-01")) for at in range(250)]
    reviewed.write_readings(publication, company)
    reviewed.publish(publication, [])
    page = reviewer.get("/review")
    assert "500 accounts call for a decision" in read(page)
    assert len(agenda(page)) == 200
    assert "The first 200 are shown" in read(page)
