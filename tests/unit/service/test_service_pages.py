"""The pages: signing in, the list, the account, and what hostile input does to them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from browsing import Strict, read, signed_in, token_of
from published_company import AS_OF, KEYS, NOW, action, document, ruled

from lifecycle_ml.actions.action import ActionEvent
from lifecycle_ml.service.pages import rendering, words
from lifecycle_ml.store.rows import StoredReading


@pytest.mark.parametrize("path", ["/", "/accounts", "/accounts/A-1042", "/accounts/nobody"])
def test_nobody_sees_a_page_without_signing_in(published, make_client, path):
    """The form comes first, then the page that was asked for."""
    client = make_client()
    response = client.get(path + "?health=red")

    assert response.status_code == 303
    assert response.headers["location"].startswith("/sign-in?next=")
    form = client.get(response.headers["location"])
    target = re.search(r'name="next" value="([^"]*)"', form.text).group(1)
    assert target == path + "?health=red"
    signed = client.post("/sign-in", data={"key": KEYS["read"], "token": token_of(form), "next": target})
    assert (signed.status_code, signed.headers["location"]) == (303, target)


def test_the_cookie_holds_no_key_and_is_kept_from_scripts_and_other_sites(browser):
    """HttpOnly, SameSite=Strict, and nothing in it that could be used as a key."""
    value = browser.cookies["lifecycle_session"]
    assert KEYS["read"] not in value
    assert browser.get("/v1/accounts", headers={"X-API-Key": value}).status_code == 401

    form = browser.get("/sign-in")
    again = browser.post("/sign-in", data={"key": KEYS["read"], "token": token_of(form)})
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(again.headers["set-cookie"].split("; "))


def test_the_session_does_not_open_the_api(browser):
    """A cookie is for pages only, so no other site can make a browser call the API."""
    assert browser.get("/v1/accounts").status_code == 401


@pytest.mark.parametrize("forge", ["drop", "extend", "rename", "resign", "garbage"])
def test_a_forged_session_is_none(browser, forge):
    """Name, time and signature hang together."""
    name, until, signature = browser.cookies["lifecycle_session"].split(".")
    forged = {
        "drop": "",
        "extend": f"{name}.{int(until) + 1}.{signature}",
        "rename": f"key-000000000000.{until}.{signature}",
        "resign": f"{name}.{until}.{'0' * 64}",
        "garbage": "a.b.c.d;é",
    }[forge]
    browser.cookies.clear()
    response = browser.get("/accounts", headers={"Cookie": f"lifecycle_session={forged}".encode("latin-1")})

    assert response.status_code == 303


def test_a_session_ends_after_twelve_hours_and_with_its_key(published, make_client, settings, workspace):
    """Time and a removed key both end it."""
    from dataclasses import replace

    from published_company import TestClient

    from lifecycle_ml.service.app import create_app

    now = [NOW]
    client = make_client(clock=lambda: now[0])
    form = client.get("/sign-in")
    client.post("/sign-in", data={"key": KEYS["act"], "token": token_of(form)})
    cookie = {"Cookie": f"lifecycle_session={client.cookies['lifecycle_session']}"}
    now[0] = NOW + timedelta(hours=11)
    assert client.get("/accounts", headers=cookie).status_code == 200

    fewer = replace(settings, api_keys=tuple(each for each in settings.api_keys if each.role != "act"))
    with TestClient(create_app(fewer, workspace, clock=lambda: NOW), follow_redirects=False) as other:
        assert other.get("/accounts", headers=cookie).status_code == 303
    now[0] = NOW + timedelta(hours=12)
    assert client.get("/accounts", headers=cookie).status_code == 303


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_a_form_from_elsewhere_signs_nobody_in(published, make_client, token):
    """Without the token of this browser's own form nothing happens."""
    client = make_client()
    client.get("/sign-in")
    response = client.post("/sign-in", data={"key": KEYS["read"], "token": token})

    assert "The form had expired" in read(response, 403)
    assert "lifecycle_session" not in client.cookies
    assert client.post("/sign-in", content=b"\xff&&&" + b"a=b&" * 500).status_code == 403


def test_a_wrong_key_is_told_without_repeating_it(published, make_client):
    """The form comes back with a sentence."""
    client = make_client()
    form = client.get("/sign-in")
    response = client.post("/sign-in", data={"key": "wrong-key-0123456789", "token": token_of(form)})

    assert "This key is not known." in read(response, 401)
    assert "wrong-key" not in response.text


@pytest.mark.parametrize(
    "target", ["https://elsewhere.example", "//elsewhere.example", "/\\x", "x", "/a\nb", "/é"]
)
def test_signing_in_leads_nowhere_else(published, make_client, target):
    """Only paths of this service are followed."""
    client = make_client()
    form = client.get("/sign-in")
    response = client.post("/sign-in", data={"key": KEYS["read"], "token": token_of(form), "next": target})

    assert response.headers["location"] == "/"


def test_signing_out_needs_the_form_and_ends_the_session(browser):
    """Another site cannot sign anybody out; the button can."""
    page = browser.get("/accounts")
    assert browser.post("/sign-out", data={"token": "0" * 64}).status_code == 403
    assert browser.get("/accounts").status_code == 200

    assert browser.post("/sign-out", data={"token": token_of(page)}).headers["location"] == "/sign-in"
    assert browser.get("/accounts").status_code == 303


def test_a_red_page_says_why_since_when_what_to_do_and_what_is_missing(browser):
    """What a CS manager leaves with."""
    text = read(browser.get("/accounts/A-1042"))

    assert "Red for 2 weeks, since 12 June 2026. The likeliest cause: low adoption" in text
    assert "9 active users in the last 28 days; usually 31" in text
    assert "Maya Lindqvist (CSM), due 2 July 2026; goes to the CS lead on 4 July 2026 if it slips" in text
    assert "Active users in the last 28 days at least 22 9 22 ✗ not yet" in text
    assert "No severe ticket open 0 0 ✓ met" in text
    assert "90 days 41%" in text
    assert "Usage against own pattern ✗ poor ↘ declining" in text
    assert "An executive sponsor is in place" in text
    assert "churn version 7" in text


def test_a_page_by_rules_says_so_and_shows_no_number_it_does_not_have(browser):
    """Nulls are words or dashes, never None, nan or 0%."""
    response = browser.get("/accounts/A-ruled")
    text = read(response)

    assert "Rules serve here" in text
    assert "Provisional" in text
    assert "? cannot tell" in text
    assert not re.search(r"\bNone\b|\bnan\b|\b0%", text)


def emptied(value):
    """The same document with every leaf that may be null made null, and every list emptied."""
    kept = {"account_id", "as_of", "scored_at", "color", "since", "band", "source", "tier", "horizon_days"}
    if isinstance(value, dict):
        return {key: each if key in kept else emptied(each) for key, each in value.items()}
    return [] if isinstance(value, list) else None


@pytest.mark.parametrize("color", words.COLORS)
@pytest.mark.parametrize("role", ["read", "act"])
def test_every_page_renders_with_nulls(published, make_client, store, color, role):
    """Whatever is unknown is a word or a dash, in the list, the file and the account, for every role."""
    hollow = document("A-hollow", health__color=color)
    hollow = emptied(hollow) | {"receipt": "sha256:" + "0" * 64}
    hollow["health"] |= {"color": color, "since": "2026-06-30"}
    hollow["churn"]["provisional"] = hollow["expansion"]["provisional"] = False
    hollow["model"] = {"churn": None, "expansion": None}
    half = document("A-half", health__color=color, scorecard__renewal_date="2026-11-30")
    nothing = {"renewal_on": "2026-11-30", "notice_on": None, "auto_renew": None, "owner": None}
    publication = store.begin(as_of=AS_OF, known_at=NOW, now=NOW)
    rows = [
        StoredReading.of(hollow, state="", risk=None),
        StoredReading.of(half, state="", risk=None, renewal={**nothing, "checkpoints": []}),
    ]
    store.write_readings(publication, rows)
    bare = {"owner": None, "due_at": None, "why": None, "escalates_to": None, "escalates_at": None}
    events = [
        ActionEvent("opened", NOW, action(f"n-{at}", each, **bare, **more))
        for at, (each, more) in enumerate(
            [
                ("A-hollow", {"arr_kept_per_hour": None}),
                ("A-half", {"status": "snoozed", "snoozed_until": NOW + timedelta(days=3)}),
                ("A-half", {"status": "over_capacity", "kind": "renewal_data"}),
            ]
        )
    ]
    store.publish(publication, events)

    client = signed_in(make_client(), role)
    pages = [read(client.get(path)) for path in ("/accounts", "/accounts/A-hollow", "/accounts/A-half")]
    for text in [*pages, client.get("/accounts.csv").text]:
        assert not re.search(r"\bNone\b|\bnan\b|\bNaT\b|\bnull\b", text)
    assert "No dated renewal" in pages[1]
    assert "Last day for notice not known" in re.sub(r" +", " ", pages[2])
    assert "Renewal owner nobody" in pages[2]
    assert "snoozed until 3 Jul 2026" in pages[2]
    assert "over capacity" in pages[2]
    assert "renewal data" in pages[2]


@pytest.mark.parametrize("account_id", ["A-green", "A-bare"])
def test_a_green_page_calls_for_nothing(browser, account_id):
    """No action, no way back, no alarm."""
    text = read(browser.get(f"/accounts/{account_id}"))

    assert "Nothing calls for action." in text
    assert "Nothing is to be done now." in text
    assert "Still missing" not in text


def test_hostile_names_are_text(browser):
    """Markup in names, titles and evidence is shown, not run."""
    listed = browser.get("/accounts")
    link = re.search(r'href="(/accounts/%3C[^"]*)"', listed.text).group(1)
    page = browser.get(link)

    for response in (listed, page):
        assert "<b>Ünïcode" not in response.text
        assert "&lt;b&gt;Ünïcode" in response.text
    assert "<script" not in page.text
    assert "<i>Ask</i> why" in read(page)


def test_past_readings_are_drawn_and_told(browser, store):
    """The same colours as bars and as a table."""
    for weeks, color in ((2, "green"), (1, "yellow")):
        then = timedelta(weeks=weeks)
        publication = store.begin(as_of=AS_OF - then, known_at=NOW - then, now=NOW - then, kind="history")
        made = document("A-1042", health__color=color)
        rows = [
            StoredReading.of(made, state="", risk=0.1),
            StoredReading.of(ruled("A-ruled"), state="", risk=None),
        ]
        store.write_readings(publication, rows)
        store.publish(publication, current=False)

    page = Strict(browser.get("/accounts/A-1042").text)
    bars = [
        attrs["class"] for tag, attrs in page.tags if tag == "rect" and attrs.get("class") in words.COLORS
    ]
    assert bars == ["green", "yellow", "red"]
    assert "30 June 2026" in page.text
    assert read(browser.get("/accounts/A-ruled"))


def test_overrides_and_sentiment_stand_beside_the_colour(browser, monkeypatch):
    """A person's word is shown with name and reason (the page, with a document that has them)."""
    import json

    made = document(
        "A-1042",
        health__override={"color": "green", "reason": "They signed", "by": "Maya", "until": "2026-08-01"},
        health__sentiment={"value": "happy", "by": "Zoë", "at": "2026-06-29T10:00:00Z"},
        health__what_would_help=[{"change": "6 more users", "probability": 0.19, "step": "training"}],
        triggers=[{"trigger": "limit", "says": "at 90% of the limit", "owner_role": "account_executive"}],
        scorecard__escalation_status="overdue",
    )
    monkeypatch.setattr(
        "lifecycle_ml.service.pages.account.read_account", lambda *_: json.dumps(made).encode()
    )
    text = read(browser.get("/accounts/A-1042"))
    assert "Maya set this account to green: “They signed”, until 1 August 2026." in text
    assert "Zoë on 29 June 2026: happy." in text
    assert "6 more users: risk 19% (training)" in text
    assert "At 90% of the limit (account executive)" in text
    assert "overdue" in text


def test_unknown_pages_are_pages_to_browsers_and_problems_to_machines(browser):
    """Who asks for HTML gets words."""
    assert "No such account" in read(browser.get("/accounts/nobody"), 404)
    assert "Nothing" not in browser.get("/v1/nothing", headers={"Accept": "text/html"}).text[:5]
    assert "nothing at this address" in read(browser.get("/nothing", headers={"Accept": "text/html"}), 404)
    assert browser.get("/nothing").headers["content-type"] == "application/problem+json"
    assert "There is no such kind" in read(browser.get("/problems/odd"), 404)


def test_pages_ask_nothing_of_other_places(browser):
    """No script, no style attribute, no address of another site."""
    for path in ("/accounts", "/accounts/A-1042", "/sign-in", "/docs", "/problems/no-key"):
        page = Strict(browser.get(path).text)
        for tag, attrs in page.tags:
            assert tag != "script"
            assert "style" not in attrs
            for name in ("href", "src", "action"):
                assert attrs.get(name, "/").startswith(("/", "#"))


def test_pages_before_the_first_run_say_what_to_do(make_client):
    """An empty store is no error to a person."""
    client = make_client()
    form = client.get("/sign-in")
    client.post("/sign-in", data={"key": KEYS["read"], "token": token_of(form)})

    assert "Nothing is published yet" in read(client.get("/"))
    assert "Nothing is published yet" in read(client.get("/accounts/A-1"), 503)


def test_the_reference_page_shows_every_operation(browser):
    """People read the same schema machines do."""
    text = read(browser.get("/docs"))

    for path in browser.get("/openapi.json").json()["paths"]:
        assert path in text


def luminance(color):
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def palette(scheme):
    """The colours of a scheme: dark says only what it has of its own."""
    style = (rendering.HERE / "static" / "style.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    chosen = blocks[:1] if scheme == "light" else blocks[:2]
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", "".join(chosen)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back"),
    [
        ("ink", "ground"),
        ("ink", "paper"),
        ("ink", "hover"),
        ("soft", "paper"),
        ("soft", "ground"),
        ("soft", "hover"),
        ("link", "paper"),
        ("link", "ground"),
        ("on-link", "link"),
        ("on-bar", "bar"),
        ("paper", "ink"),
        ("paper", "red"),
        ("ink", "yellow-soft"),
        *((color, ground) for color in words.COLORS for ground in (f"{color}-soft", "paper")),
    ],
)
def test_text_has_the_contrast_wcag_asks_for(scheme, front, back):
    """At least 4.5 to 1 for every pair of colours text is set in, by day and by night."""
    colors = palette(scheme)
    light, dark = sorted((luminance(colors[front]), luminance(colors[back])), reverse=True)

    assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("drawn", ["red-fill", "green-fill", "growth-fill", "soft"])
def test_what_is_drawn_stands_out_from_its_ground(scheme, drawn):
    """At least 3 to 1 for bars and dots; yellow is never the only sign and has its word beside it."""
    colors = palette(scheme)
    light, dark = sorted((luminance(colors[drawn]), luminance(colors["paper"])), reverse=True)

    assert (light + 0.05) / (dark + 0.05) >= 3


@pytest.mark.parametrize(
    ("filter_name", "value", "said"),
    [
        ("money", None, "–"),
        ("money", 49200.4, "49,200"),
        ("number", True, "yes"),
        ("number", 0.333333, "0.33"),
        ("number", 31.0, "31"),
        ("number", None, "cannot tell"),
        ("percent", 0.004, "under 1%"),
        ("percent", 0.0, "0%"),
        ("percent", None, "–"),
        ("day", "2026-07-02T02:00:00Z", "2 July 2026"),
        ("day", None, "–"),
        ("short_day", None, "–"),
        ("moment", "2026-07-02T02:05:00Z", "2 July 2026, 02:05 UTC"),
        ("moment", None, "–"),
        ("role", "product_marketing", "product marketing"),
        ("role", None, "–"),
        ("escalation", None, "–"),
        ("trend", None, ""),
    ],
)
def test_numbers_and_dates_are_said_as_people_write_them(filter_name, value, said):
    """What is not known has a sign of its own."""
    assert words.FILTERS[filter_name](value) == said


@pytest.mark.parametrize(
    ("since", "said"),
    [("2026-06-30", "today"), ("2026-06-29", "1 day"), ("2026-06-20", "10 days"), ("2026-05-01", "8 weeks")],
)
def test_how_long_a_colour_has_lasted(since, said):
    """Days up to a fortnight, then weeks."""
    assert words.ago(since, "2026-06-30") == said


def test_the_headline_names_facts_where_rules_serve():
    """Without shares the sentence speaks of facts."""
    made = document("A-1")
    made["reasons"][0]["share"] = None

    assert words.headline(made).endswith("The facts point to low adoption after onboarding.")
